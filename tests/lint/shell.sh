#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# shell.sh [ROOT] - every shell script passes shellcheck.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

mapfile -t files < <(find . \( -name build -o -name node_modules -o -name .git -o -path ./tests/lint/bad -o \
    -path ./tests/fuzz/corpus \) -prune -o -type f -size +0 -print | sed 's,^\./,,' | sort)
mapfile -t scripts < <(awk '/^#!.*[\/ ](ba)?sh$/ { print FILENAME } { nextfile }' "${files[@]}")
if [ ${#scripts[@]} -eq 0 ]; then
    exit 0
fi
if ! found=$(shellcheck --external-sources --format gcc "${scripts[@]}"); then
    sed -E 's/^([^:]+:[0-9]+):[0-9]+: (.*)/\1: \2; see shellcheck.net/' <<<"$found"
    exit 1
fi
