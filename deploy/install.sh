#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Install the Debian packages that the given lists name and this machine lacks.
#
#   deploy/install.sh LIST...
#
# A list has one package a line: NAME, NAME>=VERSION, or NAME unless COMMAND; # starts a comment.
# What is there already is left alone, and apt is not called when nothing is missing, so a rerun is
# quick and works offline.  Afterwards every minimum is checked.  Needs root or sudo to install.
set -euo pipefail

TRIES=4

say() {
    printf 'install: %s\n' "$*"
}

fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# The lines of the lists, without comments and blanks, spaces around >= removed.
entries() {
    sed -e 's/#.*//' -e 's/[[:space:]]*>=[[:space:]]*/>=/' -e 's/[[:space:]]*$//' -e '/^$/d' "$@"
}

installed_version() {
    # The format is dpkg's, not the shell's.
    # shellcheck disable=SC2016
    { dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null || true; } |
        sed -n 's/^installed //p'
}

# Print the package's name unless what one entry asks for is there.
missing_of() {
    local entry=$1 name minimum='' version
    case $entry in
        *' unless '*)
            name=${entry%% unless *}
            if command -v "${entry##* unless }" >/dev/null; then
                return
            fi
            ;;
        *'>='*)
            name=${entry%%>=*}
            minimum=${entry##*>=}
            ;;
        *)
            name=$entry
            ;;
    esac
    version=$(installed_version "$name")
    if [ -z "$version" ] || { [ -n "$minimum" ] && dpkg --compare-versions "$version" lt "$minimum"; }; then
        printf '%s\n' "$name"
    fi
}

missing() {
    entries "$@" | while IFS= read -r entry; do
        missing_of "$entry"
    done | sort -u
}

# Run an apt-get command as root, again after a pause when the archive or the lock was busy.
apt() {
    local try
    for ((try = 1; try <= TRIES; try++)); do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 \
            -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null; then
            return
        fi
        if [ "$try" -lt "$TRIES" ]; then
            say "apt-get $1 failed (try $try of $TRIES), again in $((try * 5)) s"
            sleep $((try * 5))
        fi
    done
    fail "apt-get $1 failed $TRIES times"
}

main() {
    [ $# -gt 0 ] || fail "usage: deploy/install.sh LIST..."
    command -v dpkg-query >/dev/null ||
        fail "this is not a Debian system; install what the lists name by its own means: $*"
    local list
    for list in "$@"; do
        [ -r "$list" ] || fail "cannot read $list"
    done
    local found
    found=$(missing "$@")
    if [ -z "$found" ]; then
        say "all $(entries "$@" | wc -l) packages of $* are here"
        return
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "run as root, or install sudo, to install: ${found//$'\n'/ }"
        as_root=(sudo)
    fi
    mapfile -t names <<<"$found"
    say "installing ${#names[@]} packages: ${names[*]}"
    apt update
    apt install -y --no-install-recommends "${names[@]}"
    found=$(missing "$@")
    [ -z "$found" ] ||
        fail "missing or too old after all (is the security archive enabled?): ${found//$'\n'/ }"
    say "done"
}

main "$@"
