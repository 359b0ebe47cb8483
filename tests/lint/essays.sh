#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# essays.sh [ROOT] - every source says what it is before it says how: the licence line, then
# `NAME - what it is`; and every folder of the tree has its README.md.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
bad=0

mapfile -t files < <(find . \( -name build -o -name node_modules -o -name '.git' -o -path ./tests/lint/bad \) \
    -prune -o -type f -size +0 \( -name '*.[ch]' -o -name '*.def' -o -name '*.sh' -o -name '*.py' -o \
    -name '*.cmake' -o -name '*.mjs' -o -name '*.go' -o -name CMakeLists.txt \) -print | sed 's,^\./,,' | sort)

awk '
function say(line, what, instead) {
    printf "%s:%d: %s; %s\n", file, line, what, instead
    bad = 1
}

FNR > 3 { nextfile }
{ head[FILENAME, FNR] = $0 }

END {
    licence = "SPDX-License-Identifier: Apache-2.0"
    for (i = 1; i < ARGC; i++) {
        file = ARGV[i]
        name = file
        sub(/.*\//, "", name)
        first = head[file, 1]
        third = head[file, 3]
        is_c = file ~ /\.([ch]|def)$/
        if ((is_c && first != "/* " licence) || !index(first head[file, 2] third, licence)) {
            say(1, "no licence line", "put " licence " there")
        } else if (file ~ /\.[ch]$/ && index(third, " * " name " - ") != 1 &&
                   third !~ /^ \* Target functions: /) {
            say(3, "no opening essay", "write ` * " name " - what it is`, then why, invariants, memory, time")
        }
    }
    exit bad
}
' "${files[@]}" </dev/null || bad=1

for folder in core accounts routing storage delivery gateway tests deploy; do
    if [ -d "$folder" ] && [ ! -f "$folder/README.md" ]; then
        bad=1
        echo "$folder/README.md:1: is missing; write a page: purpose, reading order, invariants, who owns what"
    fi
done
exit $bad
