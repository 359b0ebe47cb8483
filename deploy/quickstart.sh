#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From nothing to an event routed to a queue, on one machine.
#
#   deploy/quickstart.sh [--redis] [--once] [--no-install]
#
# Installs what is missing, builds the release binary, makes certificates, starts a local stand-in
# for AWS (SQS and STS that verify every signature) and the gateway on its embedded store, applies
# deploy/examples/guardduty-high, and sends two GuardDuty findings of severity 8: one through the
# AWS CLI, one through curl over HTTP/2 as a forwarder would.  Then it shows what arrived at the
# queue, under which role, and the routing statistics, and leaves everything running.  --once stops
# it all and exits.  Running it again is safe: what an earlier run left running is stopped first.
#
# --redis: two replicas share a Redis of their own (append-only file flushed at every write, password,
# nothing evicted).  The catalog is applied through the first, the AWS CLI speaks to the first, curl
# to the second, and one event goes to both, which answer it with one EventId and deliver it once.
#
# Everything it makes lies in build/quickstart (WEIR_QUICKSTART to put it elsewhere); ports:
# WEIR_DATA_PORT (8443), WEIR_ADMIN_PORT (9443), WEIR_AWS_PORT (4566), and for --redis
# WEIR_DATA_PORT_2 (8444), WEIR_ADMIN_PORT_2 (9444), WEIR_REDIS_PORT (6390).
set -euo pipefail
cd "$(dirname "$0")/.."

HOME_DIR=${WEIR_QUICKSTART:-$PWD/build/quickstart}
DATA_PORT=${WEIR_DATA_PORT:-8443}
ADMIN_PORT=${WEIR_ADMIN_PORT:-9443}
AWS_PORT=${WEIR_AWS_PORT:-4566}
DATA_PORT_2=${WEIR_DATA_PORT_2:-8444}
ADMIN_PORT_2=${WEIR_ADMIN_PORT_2:-9444}
REDIS_PORT=${WEIR_REDIS_PORT:-6390}
EXAMPLE=deploy/examples/guardduty-high
WEIR=build/release/weir
QUEUE=arn:aws:sqs:us-east-1:999999999999:findings
WAIT_STEPS=300

once=no
install=yes
redis=no

step() {
    printf '\n\033[1m== %s\033[0m\n' "$*"
}

fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

parse_arguments() {
    for argument in "$@"; do
        case $argument in
            --once) once=yes ;;
            --redis) redis=yes ;;
            --no-install) install=no ;;
            *)
                sed -n '5,22s/^# \{0,1\}//p' "$0"
                [ "$argument" = --help ] && exit 0
                exit 2
                ;;
        esac
    done
}

# wait_for WHAT COMMAND...: until the command succeeds, 30 s at most.
wait_for() {
    local what=$1 n
    shift
    for ((n = 0; n < WAIT_STEPS; n++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$what did not come up; see the logs in $HOME_DIR"
}

# stop NAME: end the process of an earlier run, if it is still there.
stop() {
    local file=$HOME_DIR/$1.pid pid
    [ -f "$file" ] || return 0
    pid=$(cat "$file")
    if kill "$pid" 2>/dev/null; then
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    rm -f "$file"
}

make_certificates() {
    local dir=$HOME_DIR/tls
    [ -f "$dir/server.pem" ] && openssl x509 -checkend 86400 -noout -in "$dir/server.pem" >/dev/null && return
    mkdir -p "$dir"
    (
        cd "$dir"
        openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -x509 -new -key ca.key -days 365 -subj "/CN=weir quickstart CA" -out ca.pem
        openssl ecparam -name prime256v1 -genkey -noout -out server.key
        openssl req -new -key server.key -subj "/CN=localhost" -out server.csr
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 \
            -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") -out server.pem
    ) 2>"$HOME_DIR/openssl.log"
}

# write_configuration FOLDER DATA_PORT ADMIN_PORT STORE_SETTINGS: one gateway's weir.json; keys and
# certificates are those of HOME_DIR, whichever gateway it is.
write_configuration() {
    mkdir -p "$1"
    cat >"$1/weir.json" <<EOF
{
  "region": "us-east-1",
  "central_account": "999999999999",
  "public_url": "https://localhost:$2",
  $4,
  "seal_key": "$HOME_DIR/seal.key",
  "listen": {
    "data":  {"address": "127.0.0.1:$2", "certificate": "$HOME_DIR/tls/server.pem", "key": "$HOME_DIR/tls/server.key"},
    "admin": {"address": "127.0.0.1:$3"}
  },
  "aws": {"endpoints": {"sqs": "http://127.0.0.1:$AWS_PORT", "sts": "http://127.0.0.1:$AWS_PORT"}}
}
EOF
}

redis_answers() {
    REDISCLI_AUTH=$(cat "$HOME_DIR/redis/password") redis-cli -p "$REDIS_PORT" ping | grep -qx PONG
}

# A Redis as the guarantee wants it, with a folder and a password of its own.
start_redis() {
    local dir=$HOME_DIR/redis
    mkdir -p "$dir"
    [ -s "$dir/password" ] || openssl rand -hex 32 >"$dir/password"
    cat >"$dir/redis.conf" <<EOF
port $REDIS_PORT
bind 127.0.0.1
dir $dir
requirepass $(cat "$dir/password")
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
maxmemory-policy noeviction
save ""
EOF
    chmod 600 "$dir/password" "$dir/redis.conf"
    redis-server "$dir/redis.conf" >"$HOME_DIR/redis.log" 2>&1 </dev/null &
    echo $! >"$HOME_DIR/redis.pid"
    wait_for "Redis on port $REDIS_PORT" redis_answers
}

start_stand_in() {
    : >"$HOME_DIR/aws.ndjson"
    /usr/bin/python3 tests/lib/aws_standin.py --port "$AWS_PORT" --log "$HOME_DIR/aws.ndjson" \
        --caller AKIACENTRAL0000WEIR:central-secret-for-the-quickstart \
        --role arn:aws:iam::111122223333:role/weir-dispatch=weir-7f3a-payments \
        --role arn:aws:iam::444455556666:role/weir-dispatch=weir-91c2-analytics \
        --queue "$QUEUE" >"$HOME_DIR/aws.log" 2>&1 </dev/null &
    echo $! >"$HOME_DIR/aws.pid"
    wait_for "the AWS stand-in" curl -sf "http://127.0.0.1:$AWS_PORT/_health"
}

# start_gateway NAME FOLDER ADMIN_PORT
start_gateway() {
    AWS_ACCESS_KEY_ID=AKIACENTRAL0000WEIR \
        AWS_SECRET_ACCESS_KEY=central-secret-for-the-quickstart \
        $WEIR serve --config "$2/weir.json" >"$HOME_DIR/$1.log" 2>&1 </dev/null &
    echo $! >"$HOME_DIR/$1.pid"
    wait_for "the gateway $1" curl -sf "http://127.0.0.1:$3/readyz"
}

start_one_gateway() {
    write_configuration "$HOME_DIR" "$DATA_PORT" "$ADMIN_PORT" '"store": "embedded:state"'
    start_gateway weir "$HOME_DIR" "$ADMIN_PORT"
}

start_two_replicas() {
    local store="\"store\": \"redis://127.0.0.1:$REDIS_PORT/0\",
  \"redis\": {\"password_file\": \"$HOME_DIR/redis/password\"}"
    start_redis
    write_configuration "$HOME_DIR" "$DATA_PORT" "$ADMIN_PORT" "$store"
    write_configuration "$HOME_DIR/second" "$DATA_PORT_2" "$ADMIN_PORT_2" "$store"
    start_gateway weir "$HOME_DIR" "$ADMIN_PORT"
    start_gateway weir2 "$HOME_DIR/second" "$ADMIN_PORT_2"
}

# The second replica has seen the key that the first one issued.
follows() {
    $WEIR account show 444455556666 --config "$HOME_DIR/second/weir.json" |
        grep -qF "$(member credential <<<"$api_key")"
}

# member NAME: one string member of the JSON object on standard input.
member() {
    /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Through the AWS CLI with a SigV4 key that weir issued; the CLI knows nothing of weir.
send_with_aws_cli() {
    local key entries
    key=$($WEIR account issue 111122223333 --kind sigv4 --forwarder)
    entries=$(/usr/bin/python3 - "$EXAMPLE/finding.json" <<'EOF'
import json
import sys
import uuid

event = json.load(open(sys.argv[1]))
event["detail"]["accountId"] = "111122223333"
event["detail"]["id"] = uuid.uuid4().hex
print(json.dumps([{"Source": event["source"], "DetailType": event["detail-type"],
                   "Detail": json.dumps(event["detail"])}]))
EOF
    )
    AWS_ACCESS_KEY_ID=$(member access_key_id <<<"$key") \
        AWS_SECRET_ACCESS_KEY=$(member secret_access_key <<<"$key") \
        AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER='' \
        /usr/bin/aws events put-events --endpoint-url "https://localhost:$DATA_PORT" \
        --ca-bundle "$HOME_DIR/tls/ca.pem" --entries "$entries"
}

# post DATA_PORT FILE: over HTTP/2 with an API key, as a forwarder or an API destination sends it.
post() {
    curl -sS --http2 --cacert "$HOME_DIR/tls/ca.pem" "https://localhost:$1/events" \
        -H "x-api-key: $(member key <<<"$api_key")" -H 'content-type: application/json' \
        --data-binary @"$2" -w '   (HTTP/%{http_version} %{http_code})\n'
}

# A whole envelope with an id of its own.
write_finding() {
    sed "s/6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10/$(cat /proc/sys/kernel/random/uuid)/" \
        "$EXAMPLE/finding.json" >"$HOME_DIR/finding.json"
}

count_messages() {
    grep -c '"kind": *"message"' "$HOME_DIR/aws.ndjson" || true
}

# have_arrived COUNT
have_arrived() {
    [ "$(count_messages)" -ge "$1" ]
}

show_messages() {
    /usr/bin/python3 - "$HOME_DIR/aws.ndjson" <<'EOF'
import json
import sys

for line in open(sys.argv[1]):
    entry = json.loads(line)
    if entry["kind"] != "message":
        continue
    event = json.loads(entry["body"])
    print(f"queue    {entry['queue']}\n"
          f"  event  {event['id']}  {event['detail-type']}, severity {event['detail']['severity']}, "
          f"account {event['account']}\n"
          f"  signed {entry['role']} (session {entry['session']})")
EOF
}

next_steps() {
    local pids
    pids=$(cd "$HOME_DIR" && printf "$HOME_DIR/%s " *.pid)
    cat <<EOF

The gateway is running (pid $(cat "$HOME_DIR/weir.pid")), logs in $HOME_DIR.  To try next:

  export WEIR_CONFIG=$HOME_DIR/weir.json
  $WEIR stats
  $WEIR account list
  $WEIR apply -f $EXAMPLE/catalog.json --name quickstart --dry-run
  echo '{"source":"aws.guardduty","detail":{"severity":5}}' | \\
      $WEIR match --rules <(echo '{"high":{"detail":{"severity":[{"numeric":[">=",7]}]}}}')
  kill \$(cat $pids)      # stop it
EOF
}

# Gateways first: they put down what they hold.
stop_all() {
    for name in weir weir2 aws redis; do
        stop "$name"
    done
}

send_to_one() {
    step "a finding of account 111122223333, through the AWS CLI"
    send_with_aws_cli
    step "a finding of account 444455556666, through curl over HTTP/2"
    write_finding
    post "$DATA_PORT" "$HOME_DIR/finding.json"
    expected=2
}

send_to_both() {
    step "a finding of account 111122223333, through the AWS CLI to the first replica"
    send_with_aws_cli
    step "a finding of account 444455556666, through curl over HTTP/2 to the second"
    write_finding
    post "$DATA_PORT_2" "$HOME_DIR/finding.json"
    step "one finding to both: one EventId, one delivery"
    write_finding
    post "$DATA_PORT" "$HOME_DIR/finding.json"
    post "$DATA_PORT_2" "$HOME_DIR/finding.json"
    expected=3
}

show_statistics() {
    step "routing statistics"
    $WEIR stats
    if [ "$redis" = yes ]; then
        step "routing statistics of the second replica"
        $WEIR stats --config "$HOME_DIR/second/weir.json"
    fi
}

build() {
    cmake --preset release >"$HOME_DIR/build.log"
    cmake --build --preset release -j "$(nproc)" >>"$HOME_DIR/build.log" || {
        tail -30 "$HOME_DIR/build.log" >&2
        fail "the build failed; its log is $HOME_DIR/build.log"
    }
    $WEIR --help | head -1
}

main() {
    local lists=(deploy/packages.txt) expected api_key
    parse_arguments "$@"
    mkdir -p "$HOME_DIR"
    chmod 700 "$HOME_DIR"
    [ "$redis" = no ] || lists+=(deploy/packages-redis.txt)
    if [ "$install" = yes ]; then
        step "packages"
        deploy/install.sh "${lists[@]}"
    fi
    step "build"
    build

    step "start"
    stop_all
    make_certificates
    export WEIR_CONFIG=$HOME_DIR/weir.json
    start_stand_in
    if [ "$redis" = yes ]; then start_two_replicas; else start_one_gateway; fi
    $WEIR apply -f $EXAMPLE/catalog.json --name quickstart
    api_key=$($WEIR account issue 444455556666 --kind api-key)
    if [ "$redis" = yes ]; then
        wait_for "the catalog at the second replica" follows
        send_to_both
    else
        send_to_one
    fi

    step "what arrived at the queue, and who signed for it"
    wait_for "the messages" have_arrived "$expected"
    show_messages
    show_statistics
    if [ "$once" = yes ]; then
        stop_all
    else
        next_steps
    fi
}

main "$@"
