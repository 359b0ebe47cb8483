#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# shell.sh [ROOT] - every shell script passes shellcheck.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

mapfile -t scripts < <(find . \( -name build -o -name node_modules -o -name .git -o -path ./tests/lint/bad \) \
    -prune -o -type f -size -256k -print | sed 's,^\./,,' | sort |
    while read -r file; do
        if head -n 1 "$file" 2>/dev/null | grep -qaE '^#!.*\b(ba)?sh$'; then
            echo "$file"
        fi
    done)
if [ ${#scripts[@]} -eq 0 ]; then
    exit 0
fi
if ! found=$(shellcheck --external-sources --format gcc "${scripts[@]}"); then
    sed -E 's/^([^:]+:[0-9]+):[0-9]+: (.*)/\1: \2; see shellcheck.net/' <<<"$found"
    exit 1
fi
