#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what the tests need, build, and run every level; the last line is the sum over all.
#
#   tests/run.sh [--quick] [--level NAME]... [--no-install]
#
# Levels, in order:
#   lint      the scripts of tests/lint                            (dev build)
#   unit      tests/unit and tests/model under ASan and UBSan      (dev build)
#   fuzz      each fuzz target over its corpus                     (dev build)
#   lib       the tests of the tests' own parts, tests/lib
#   release   the hardened build of the binary that the rest drives
#   integ     real clients against the real binary, tests/integ
#   accept    each script of tests/accept: one claim, from outside
#   sabotage  two of the scripts of tests/accept, each against a product spoilt by its patch: they
#             must turn red; WEIR_SEED picks them, else the day.  --level sabotage tries all
#   conserve  tests/conserve.py: seeded faults, nothing lost; a slice with the embedded store, one
#             with replicas on one Redis
# Only with --level: tsan (unit and model under ThreadSanitizer), analyze (clang-tidy).
#
# A test of integ or a script of accept that failed is run once more, alone, when few failed.  If it
# holds then, it has passed, and is named as UNSTEADY beside what its first run said: these drive
# real processes by real clocks, on machines that are not ours alone.  An unsteady test is a defect
# to be mended, and conserve, where one lost event is one too many, gets no second run.
#
# --quick shortens accept and conserve (WEIR_QUICK=1 tells the scripts).  WEIR_SEED is the seed
# of conserve.  Logs are in build/logs, one per level.  A level that runs no test has failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

LEVELS=(lint unit fuzz lib release integ accept sabotage conserve)
EXTRA_LEVELS=(tsan analyze)
PYTHON=/usr/bin/python3
LOGS=build/logs
JOBS=$(nproc)
SEED=${WEIR_SEED:-1}
declare -A CONSERVE_MINUTES=([embedded]=4 [redis]=8)
ACCEPT_TIMEOUT_S=900
SECOND_RUNS=3 # of a level; more failures than that are no accident
SABOTAGES=2 # of a run that did not ask for that level

passed=0
failed=0
skipped=0
unsteady=0

usage() {
    sed -n '5,32s/^# \{0,1\}//p' "$0"
}

# note OUTCOME_COUNTS: add "PASSED FAILED SKIPPED" to the level's counts.
note() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + ${3:-0}))
}

show_end() {
    tail -n "${2:-60}" "$1" | sed 's/^/    /' >&2
}

# held_again NAME COMMAND...: run once more what has just been counted as failed.
held_again() {
    local name=$1
    shift
    "$@" || return
    printf '  UNSTEADY %s: failed once, and held when run again\n' "$name" >&2
    unsteady=$((unsteady + 1))
    note 1 -1
}

# build PRESET: configure and build once; a failure is one failed test of each level that needs it.
declare -A built
build() {
    local preset=$1 log=$LOGS/build-$1.log
    if [ -z "${built[$preset]:-}" ]; then
        built[$preset]=failed
        if cmake --preset "$preset" >"$log" 2>&1 &&
            cmake --build --preset "$preset" -j "$JOBS" >>"$log" 2>&1; then
            built[$preset]=ok
        else
            show_end "$log"
        fi
    fi
    [ "${built[$preset]}" = ok ] && return
    printf '  FAILED the %s build: %s\n' "$preset" "$log" >&2
    note 0 1
    return 1
}

# count_junit FILE LOG: sum up what a runner reported, or count one failure when it did not.
count_junit() {
    local counts
    if counts=$($PYTHON tests/lib/results.py "$1"); then
        # Three words on purpose.
        # shellcheck disable=SC2086
        note $counts
    else
        show_end "$2"
        note 0 1
    fi
}

# run_ctest PRESET LABELS LEVEL
run_ctest() {
    local junit=$PWD/$LOGS/$3.xml log=$LOGS/$3.log
    rm -f "$junit"
    build "$1" || return
    ctest --test-dir "build/$1" -L "$2" -j "$JOBS" --output-on-failure --timeout 600 \
        --output-junit "$junit" >"$log" 2>&1
    count_junit "$junit" "$log"
}

# run_pytest FOLDER LEVEL
run_pytest() {
    local junit=$LOGS/$2.xml log=$LOGS/$2.log
    rm -f "$junit"
    $PYTHON -m pytest -q -p no:cacheprovider --junitxml "$junit" "$1" >"$log" 2>&1
    count_junit "$junit" "$log"
}

# The tests that a run of pytest left failed, a second time.
run_pytest_again() {
    local junit=$LOGS/$1.xml log=$LOGS/$1-again.log names name
    [ -f "$junit" ] || return
    mapfile -t names < <($PYTHON tests/lib/results.py --failed "$junit")
    [ ${#names[@]} -le "$SECOND_RUNS" ] || return
    for name in "${names[@]}"; do
        held_again "$name" $PYTHON -m pytest -q -p no:cacheprovider "$name" >>"$log"
    done
}

level_lint() { run_ctest dev '^lint$' lint; }
level_unit() { run_ctest dev '^(unit|model)$' unit; }
level_fuzz() { run_ctest dev '^fuzz$' fuzz; }
level_tsan() { run_ctest tsan '^(unit|model)$' tsan; }
level_lib() { run_pytest tests/lib lib; }
level_release() { build release && note 1 0; }
level_analyze() { build analyze && note 1 0; }

# The SDK clients: node modules as the lock file says, and the Go program.
clients() {
    [ "${built[clients]:-}" = ok ] && return
    if tests/lib/build_clients.sh >"$LOGS/clients.log" 2>&1; then
        built[clients]=ok
        return
    fi
    show_end "$LOGS/clients.log"
    printf '  FAILED to make the SDK clients: %s\n' "$LOGS/clients.log" >&2
    note 0 1
    return 1
}

level_integ() {
    build release && clients || return
    run_pytest tests/integ integ
    run_pytest_again integ
}

# run_claim SCRIPT LOG
run_claim() {
    timeout -k 10 "$ACCEPT_TIMEOUT_S" "$1" >"$2" 2>&1 </dev/null
}

level_accept() {
    local script log again=()
    build release && clients || return
    for script in tests/accept/*; do
        if [ ! -f "$script" ] || [ ! -x "$script" ] || [ "$script" = tests/accept/sabotage.sh ]; then
            continue
        fi
        log=$LOGS/accept-$(basename "$script").log
        if run_claim "$script" "$log"; then
            note 1 0
        else
            printf '  FAILED %s\n' "$script" >&2
            show_end "$log" 40
            note 0 1
            again+=("$script")
        fi
    done
    [ ${#again[@]} -le "$SECOND_RUNS" ] || return
    for script in "${again[@]}"; do
        held_again "$script" run_claim "$script" "$LOGS/accept-$(basename "$script")-again.log"
    done
}

level_sabotage() {
    local log=$LOGS/sabotage.log counts
    build release && clients || return
    tests/accept/sabotage.sh "${sample[@]}" >"$log" 2>&1 </dev/null
    counts=$(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) red as they must be, \([0-9]*\) failed$/\1 \2/p')
    if [ -z "$counts" ]; then
        show_end "$log"
        counts="0 1"
    fi
    grep -v ' is red, as it must be' "$log" | sed '$d' >&2
    # Two words on purpose.
    # shellcheck disable=SC2086
    note $counts
}

level_conserve() {
    local log store slice
    build release && clients || return
    for store in embedded redis; do
        slice=(tests/conserve.py --store "$store" --seed "$SEED"
            --minutes "${CONSERVE_MINUTES[$store]}")
        log=$LOGS/conserve-$store.log
        if $PYTHON "${slice[@]}" >"$log" 2>&1 </dev/null; then
            note 1 0
        else
            printf '  FAILED %s\n' "${slice[*]}" >&2
            show_end "$log"
            note 0 1
        fi
    done
}

# run_level NAME: run one level and print its line.
run_level() {
    local start=$SECONDS before_passed=$passed before_failed=$failed before_skipped=$skipped
    printf '== %s\n' "$1"
    "level_$1"
    if [ $((passed + failed)) -eq $((before_passed + before_failed)) ]; then
        printf '  FAILED: level %s ran no test\n' "$1" >&2
        note 0 1
    fi
    printf '== %s: %d passed, %d failed, %d skipped in %d s\n' "$1" $((passed - before_passed)) \
        $((failed - before_failed)) $((skipped - before_skipped)) $((SECONDS - start))
}

parse_arguments() {
    chosen=()
    sample=(--sample "$SABOTAGES")
    install=yes
    while [ $# -gt 0 ]; do
        case $1 in
            --quick)
                export WEIR_QUICK=1
                CONSERVE_MINUTES=([embedded]=0.5 [redis]=0.5)
                ;;
            --level)
                [[ " ${LEVELS[*]} ${EXTRA_LEVELS[*]} " == *" ${2:-?} "* ]] || {
                    printf 'run.sh: --level takes one of: %s %s\n' "${LEVELS[*]}" \
                        "${EXTRA_LEVELS[*]}" >&2
                    exit 2
                }
                chosen+=("$2")
                [ "$2" != sabotage ] || sample=()
                shift
                ;;
            --no-install) install=no ;;
            -h | --help)
                usage
                exit 0
                ;;
            *)
                usage >&2
                exit 2
                ;;
        esac
        shift
    done
    [ ${#chosen[@]} -gt 0 ] || chosen=("${LEVELS[@]}")
}

main() {
    parse_arguments "$@"
    mkdir -p "$LOGS"
    if [ "$install" = yes ] && ! deploy/install.sh deploy/packages.txt tests/packages.txt; then
        echo "0 passed, 1 failed"
        exit 1
    fi
    for level in "${chosen[@]}"; do
        run_level "$level"
    done
    printf 'logs: %s; %d s in all; %d skipped, %d unsteady\n' "$LOGS" "$SECONDS" "$skipped" \
        "$unsteady"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

main "$@"
