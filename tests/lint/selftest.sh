#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# selftest.sh - each lint catches its bad example. tests/lint/bad/NAME is a small tree for NAME.sh;
# its file `expected` holds the beginning of every line that the lint must print, and no other.
set -euo pipefail
cd "$(dirname "$0")"
bad=0

for script in *.sh; do
    name=${script%.sh}
    if [ "$name" = selftest ]; then
        continue
    fi
    if [ ! -f "bad/$name/expected" ]; then
        echo "tests/lint/$script:1: has no bad example; add tests/lint/bad/$name/expected and a file it must catch"
        bad=1
        continue
    fi
    status=0
    printed=$("./$script" "bad/$name" 2>&1) || status=$?
    if [ "$status" -ne 1 ]; then
        echo "tests/lint/$script:1: left its bad example with status $status; it must fail with 1"
        bad=1
    fi
    while read -r line; do
        if ! grep -qF "$line" <<<"$printed"; then
            echo "tests/lint/$script:1: did not say \"$line\"; see tests/lint/bad/$name"
            bad=1
        fi
    done <"bad/$name/expected"
    while read -r line; do
        if ! grep -qE '^[^: ]+:[0-9]+: .+; .+' <<<"$line"; then
            echo "tests/lint/$script:1: said \"$line\"; the form is file:line: what; what to do instead"
            bad=1
        fi
    done <<<"$printed"
    if [ "$(wc -l <<<"$printed")" -ne "$(wc -l <"bad/$name/expected")" ]; then
        echo "tests/lint/$script:1: said more or less than expected; see tests/lint/bad/$name/expected"
        echo "$printed"
        bad=1
    fi
done
exit $bad
