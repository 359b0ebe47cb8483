#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From nothing to an event routed to a queue, on one machine.
#
#   deploy/quickstart.sh [--once] [--no-install]
#
# Installs what is missing, builds the release binary, makes certificates, starts a local stand-in
# for AWS (SQS and STS that verify every signature) and the gateway on its embedded store, applies
# deploy/examples/guardduty-high, and sends two GuardDuty findings of severity 8: one through the
# AWS CLI, one through curl over HTTP/2 as a forwarder would.  Then it shows what arrived at the
# queue, under which role, and the routing statistics, and leaves everything running.  --once stops
# it all and exits.  Running it again is safe: what an earlier run left running is stopped first.
#
# Everything it makes lies in build/quickstart (WEIR_QUICKSTART to put it elsewhere); ports:
# WEIR_DATA_PORT (8443), WEIR_ADMIN_PORT (9443), WEIR_AWS_PORT (4566).
set -euo pipefail
cd "$(dirname "$0")/.."

HOME_DIR=${WEIR_QUICKSTART:-$PWD/build/quickstart}
DATA_PORT=${WEIR_DATA_PORT:-8443}
ADMIN_PORT=${WEIR_ADMIN_PORT:-9443}
AWS_PORT=${WEIR_AWS_PORT:-4566}
EXAMPLE=deploy/examples/guardduty-high
WEIR=build/release/weir
QUEUE=arn:aws:sqs:us-east-1:999999999999:findings
WAIT_STEPS=300

once=no
install=yes

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
            --no-install) install=no ;;
            *)
                sed -n '5,17s/^# \{0,1\}//p' "$0"
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

write_configuration() {
    cat >"$HOME_DIR/weir.json" <<EOF
{
  "region": "us-east-1",
  "central_account": "999999999999",
  "public_url": "https://localhost:$DATA_PORT",
  "store": "embedded:state",
  "seal_key": "seal.key",
  "listen": {
    "data":  {"address": "127.0.0.1:$DATA_PORT", "certificate": "tls/server.pem", "key": "tls/server.key"},
    "admin": {"address": "127.0.0.1:$ADMIN_PORT"}
  },
  "aws": {"endpoints": {"sqs": "http://127.0.0.1:$AWS_PORT", "sts": "http://127.0.0.1:$AWS_PORT"}}
}
EOF
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

start_gateway() {
    AWS_ACCESS_KEY_ID=AKIACENTRAL0000WEIR \
        AWS_SECRET_ACCESS_KEY=central-secret-for-the-quickstart \
        $WEIR serve --config "$HOME_DIR/weir.json" >"$HOME_DIR/weir.log" 2>&1 </dev/null &
    echo $! >"$HOME_DIR/weir.pid"
    wait_for "the gateway" curl -sf "http://127.0.0.1:$ADMIN_PORT/readyz"
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

# Over HTTP/2 with an API key, a whole envelope, as a forwarder or an API destination sends it.
send_with_curl() {
    local key id
    key=$($WEIR account issue 444455556666 --kind api-key)
    id=$(cat /proc/sys/kernel/random/uuid)
    sed "s/6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10/$id/" "$EXAMPLE/finding.json" >"$HOME_DIR/finding.json"
    curl -sS --http2 --cacert "$HOME_DIR/tls/ca.pem" "https://localhost:$DATA_PORT/events" \
        -H "x-api-key: $(member key <<<"$key")" -H 'content-type: application/json' \
        --data-binary @"$HOME_DIR/finding.json" -w '   (HTTP/%{http_version} %{http_code})\n'
}

count_messages() {
    grep -c '"kind": *"message"' "$HOME_DIR/aws.ndjson" || true
}

have_arrived() {
    [ "$(count_messages)" -ge 2 ]
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
    cat <<EOF

The gateway is running (pid $(cat "$HOME_DIR/weir.pid")), logs in $HOME_DIR.  To try next:

  export WEIR_CONFIG=$HOME_DIR/weir.json
  $WEIR stats
  $WEIR account list
  $WEIR apply -f $EXAMPLE/catalog.json --name quickstart --dry-run
  echo '{"source":"aws.guardduty","detail":{"severity":5}}' | \\
      $WEIR match --rules <(echo '{"high":{"detail":{"severity":[{"numeric":[">=",7]}]}}}')
  kill \$(cat $HOME_DIR/weir.pid $HOME_DIR/aws.pid)      # stop it
EOF
}

main() {
    parse_arguments "$@"
    mkdir -p "$HOME_DIR"
    chmod 700 "$HOME_DIR"
    if [ "$install" = yes ]; then
        step "packages"
        deploy/install.sh deploy/packages.txt
    fi
    step "build"
    cmake --preset release >"$HOME_DIR/build.log"
    cmake --build --preset release -j "$(nproc)" >>"$HOME_DIR/build.log" || {
        tail -30 "$HOME_DIR/build.log" >&2
        fail "the build failed; its log is $HOME_DIR/build.log"
    }
    $WEIR --help | head -1

    step "start"
    stop weir
    stop aws
    make_certificates
    write_configuration
    export WEIR_CONFIG=$HOME_DIR/weir.json
    start_stand_in
    start_gateway
    $WEIR apply -f $EXAMPLE/catalog.json --name quickstart

    step "a finding of account 111122223333, through the AWS CLI"
    send_with_aws_cli
    step "a finding of account 444455556666, through curl over HTTP/2"
    send_with_curl

    step "what arrived at the queue, and who signed for it"
    wait_for "the messages" have_arrived
    show_messages

    step "routing statistics"
    $WEIR stats
    if [ "$once" = yes ]; then
        stop weir
        stop aws
    else
        next_steps
    fi
}

main "$@"
