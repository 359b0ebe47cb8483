#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# essays.sh [ROOT] - every source says what it is before it says how: the licence line, then
# `NAME - what it is`; and every folder of the tree has its README.md.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
bad=0

say() {
    printf '%s:%d: %s; %s\n' "$@"
    bad=1
}

sources() {
    find . \( -name build -o -name node_modules -o -name '.git' -o -path ./tests/lint/bad \) -prune \
        -o -type f -name "$1" -print | sed 's,^\./,,' | sort
}

while read -r file; do
    mapfile -t head < <(head -n 3 "$file")
    name=${file##*/}
    if [ "${head[0]:-}" != '/* SPDX-License-Identifier: Apache-2.0' ]; then
        say "$file" 1 'no licence line' 'begin with /* SPDX-License-Identifier: Apache-2.0'
    elif [[ "$name" == *.def ]]; then
        :
    elif [[ "${head[2]:-}" != " * $name - "* && "${head[2]:-}" != ' * Target functions: '* ]]; then
        say "$file" 3 'no opening essay' "write \` * $name - what it is' there, then why, invariants, memory, time"
    fi
done < <(sources '*.[ch]'; sources '*.def')

while read -r file; do
    if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
        say "$file" 1 'no licence line' 'put SPDX-License-Identifier: Apache-2.0 in the first lines'
    fi
done < <(sources '*.sh'; sources '*.py'; sources '*.cmake'; sources '*.mjs'; sources '*.go'; sources 'CMakeLists.txt')

for folder in core accounts routing storage delivery gateway tests deploy; do
    if [ -d "$folder" ] && [ ! -f "$folder/README.md" ]; then
        say "$folder/README.md" 1 'is missing' 'write a page: purpose, reading order, invariants, who owns what'
    fi
done
exit $bad
