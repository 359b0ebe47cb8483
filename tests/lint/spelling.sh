#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# spelling.sh [ROOT] - no word that codespell knows to be a slip. A word that is right here anyway
# goes into tests/lint/words.txt.
set -euo pipefail
words=$(cd "$(dirname "$0")" && pwd)/words.txt
cd "${1:-$(dirname "$0")/../..}"

if ! found=$(codespell --quiet-level 3 --ignore-words "$words" \
    --skip './build,./.git,node_modules,package-lock.json,./tests/lint/bad,./expected,./tests/fuzz/corpus,./LICENSE,*.pyc,*.pem' .); then
    sed -E 's,^\./,,; s/$/; correct it, or add the word to tests\/lint\/words.txt/' <<<"$found"
    exit 1
fi
