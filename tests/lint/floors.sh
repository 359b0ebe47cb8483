#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# floors.sh [ROOT] - includes go down or stay in the folder, by paths from the root; what an
# _internal.h says is for its own folder.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

mapfile -t files < <(find core accounts routing storage delivery gateway -name '*.[ch]' 2>/dev/null | sort)

# What each floor may include. The same list as the link lines of CMakeLists.txt.
awk '
BEGIN {
    below["core"] = ""
    below["accounts"] = below["routing"] = below["storage"] = "core"
    below["delivery"] = "accounts routing storage core"
    below["gateway"] = "delivery accounts routing storage core"
}

function say(what, instead) {
    printf "%s:%d: %s; %s\n", FILENAME, FNR, what, instead
    bad = 1
}

function may_include(from, to,    i, count, folders) {
    count = split(below[from], folders, " ")
    for (i = 1; i <= count; i++) {
        if (folders[i] == to) {
            return 1
        }
    }
    return from == to
}

/^[ \t]*#[ \t]*include[ \t]+"/ {
    split($0, parts, "\"")
    path = parts[2]
    split(FILENAME, here, "/")
    split(path, there, "/")
    if (path !~ /^[a-z0-9_]+\/[a-z0-9_.]+$/) {
        say("include of \"" path "\" does not start at the root",
            "write the folder: \"" here[1] "/" path "\"")
    } else if (!may_include(here[1], there[1])) {
        say(here[1] "/ may not include " there[1] "/",
            "let a coordinator (gateway/, delivery/) pass the result, or move what both need to core/")
    } else if (path ~ /_internal\.h$/ && here[1] != there[1]) {
        say(path " is private to " there[1] "/", "use the public header, or move the prototype there")
    }
}

END { exit bad }
' "${files[@]}" </dev/null
