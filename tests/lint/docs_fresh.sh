#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# docs_fresh.sh [ROOT] - the committed references are what deploy/reference/generate.py makes of the
# tables, byte for byte.
set -euo pipefail
generate=$(cd "$(dirname "$0")/../.." && pwd)/deploy/reference/generate.py
cd "${1:-$(dirname "$0")/../..}"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
bad=0

/usr/bin/python3 "$generate" --root . --out "$fresh"
for page in "$fresh"/*.md "$fresh"/*.json; do
    [ -e "$page" ] || continue
    committed=deploy/reference/${page##*/}
    if ! difference=$(diff "$committed" "$page" 2>&1); then
        line=$(sed -nE '1s/^([1-9][0-9]*).*/\1/p' <<<"$difference")
        printf '%s:%d: is not what the tables say; run deploy/reference/generate.py and commit\n' \
            "$committed" "${line:-1}"
        bad=1
    fi
done
exit $bad
