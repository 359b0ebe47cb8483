#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# patches.sh [ROOT] - each sabotage patch of tests/accept applies to the sources as they are: the
# product moves on, and a patch left behind would be noticed only when its turn comes.  /dev/null for
# a repository: ROOT may lie in one, whose paths these are not.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
bad=0

for patch in tests/accept/*.sabotage.patch; do
    if ! found=$(GIT_DIR=/dev/null git apply --check "$patch" 2>&1); then
        printf '%s:1: does not apply: %s; make it anew against the sources of today\n' \
            "$patch" "$(sed -nE '1s/^error: //p' <<<"$found")"
        bad=1
    fi
done
exit $bad
