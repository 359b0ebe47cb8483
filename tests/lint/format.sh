#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# format.sh [ROOT] - every C source is as clang-format 14 leaves it.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
tool=$(command -v clang-format-14 || command -v clang-format || true)

if [ -z "$tool" ] || ! "$tool" --version | grep -q 'version 14\.'; then
    echo 'tests/lint/format.sh:9: clang-format 14 is not installed; other versions format differently'
    exit 1
fi
mapfile -t files < <(find . \( -name build -o -name node_modules -o -path ./tests/lint/bad \) -prune \
    -o -type f -name '*.[ch]' -print | sed 's,^\./,,' | sort)
if ! found=$("$tool" --dry-run -Werror "${files[@]}" 2>&1); then
    sed -nE 's/^([^:]+:[0-9]+):[0-9]+: error: .*/\1: is not formatted; run clang-format -i on it/p' \
        <<<"$found" | sort -u
    exit 1
fi
