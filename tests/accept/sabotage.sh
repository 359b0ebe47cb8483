#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Show that the scripts of this folder notice what they claim to notice.
#
#   tests/accept/sabotage.sh [--sample N] [NAME...]
#
# For each NAME (default: all that have a patch): copy the sources to build/sabotage, apply
# NAME.sabotage.patch, build the release binary there, and run NAME in its short form against it.
# That is red, as it must be, only if the script says that its claim "does not hold"; a script that
# passes, or that fails for any other reason, has failed here.  --sample N takes N names by
# WEIR_SEED (default: the day), so that every day's run tries others.
#
# Whatever is tried, every patch must still apply.
#
# The copy keeps its build folder, so the next sabotage compiles only what differs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

TREE=build/sabotage
LOGS=build/logs
JOBS=$(nproc)
TIMEOUT_S=600

passed=0
failed=0

fail() {
    printf 'sabotage: %s: %s\n' "$1" "$2"
    [ -z "${3:-}" ] || tail -n 30 "$3" | sed 's/^/    /'
    failed=$((failed + 1))
}

sources() {
    git ls-files --cached --others --exclude-standard
}

# Make the copy equal to the tree: only what differs is touched, so only that is built again.
copy_tree() {
    local file
    mkdir -p "$TREE"
    sources | while IFS= read -r file; do
        if [ -f "$file" ] && ! cmp -s "$file" "$TREE/$file"; then
            mkdir -p "$TREE/$(dirname "$file")"
            cp -p --no-preserve=timestamps "$file" "$TREE/$file"
        fi
    done
    (cd "$TREE" && find . -path ./build -prune -o -name node_modules -prune -o -type f -print) |
        cut -c3- | while IFS= read -r file; do
        [ -f "$file" ] || rm -f "$TREE/$file"
    done
    mkdir -p "$TREE/build"
    ln -sfn "$PWD/tests/lib/node/node_modules" "$TREE/tests/lib/node/node_modules"
    ln -sfn "$PWD/build/clients" "$TREE/build/clients"
}

# As outside of a repository, for the copy lies in a folder that this one ignores.
apply_patch() {
    GIT_CEILING_DIRECTORIES=$PWD/build git -C "$TREE" apply "$PWD/tests/accept/$1.sabotage.patch"
}

# check_patches NAME...: patches grow stale while the product moves on; look at those that are not
# tried now, too.
check_patches() {
    local name
    all_names | while IFS= read -r name; do
        [[ " $* " == *" $name "* ]] || git apply --check "tests/accept/$name.sabotage.patch" ||
            printf '%s\n' "$name"
    done 2>/dev/null
}

build_copy() {
    (cd "$TREE" && cmake --preset release && cmake --build --preset release -j "$JOBS")
}

try() {
    local name=$1 start=$SECONDS log=$LOGS/sabotage-$1.log status
    copy_tree
    if ! apply_patch "$name" >"$log" 2>&1; then
        fail "$name" "its patch does not apply" "$log"
        return
    fi
    if ! build_copy >"$log" 2>&1; then
        fail "$name" "the sabotaged sources do not build" "$log"
        return
    fi
    env -u WEIR_BINARY WEIR_QUICK=1 timeout -k 10 "$TIMEOUT_S" "$TREE/tests/accept/$name" \
        >"$log" 2>&1 </dev/null
    status=$?
    if [ $status -eq 0 ]; then
        fail "$name" "passes although it was sabotaged" "$log"
    elif ! grep -q "^$name: does not hold: " "$log"; then
        fail "$name" "ended with $status, but not because its claim does not hold" "$log"
    else
        passed=$((passed + 1))
        printf 'sabotage: %s is red, as it must be (%d s): %s\n' "$name" $((SECONDS - start)) \
            "$(sed -n "s/^$name: does not hold: //p" "$log" | head -1 | cut -c1-160)"
    fi
}

all_names() {
    local patch
    for patch in tests/accept/*.sabotage.patch; do
        basename "$patch" .sabotage.patch
    done
}

# sample N: N of all names, other ones for each seed, every one in its turn.
sample() {
    local seed=${WEIR_SEED:-$(($(date +%s) / 86400))} names count i
    mapfile -t names < <(all_names)
    count=${#names[@]}
    for ((i = 0; i < $1 && i < count; i++)); do
        printf '%s\n' "${names[(seed * $1 + i) % count]}"
    done
}

main() {
    local names name
    if [ "${1:-}" = --sample ]; then
        mapfile -t names < <(sample "${2:?--sample takes a number}")
    elif [ $# -gt 0 ]; then
        names=("$@")
    else
        mapfile -t names < <(all_names)
    fi
    mkdir -p "$LOGS"
    for name in "${names[@]}"; do
        try "$name"
    done
    for name in $(check_patches "${names[@]}"); do
        fail "$name" "its patch does not apply any more"
    done
    printf '%d red as they must be, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

main "$@"
