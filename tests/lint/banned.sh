#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# banned.sh [ROOT] - words that may appear in their one allowed place only. Comments and the insides
# of strings do not count. core/base.h bans more: what the compiler can refuse, it refuses.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
bad=0

mapfile -t files < <(find core accounts routing storage delivery gateway -name '*.[ch]' 2>/dev/null | sort)

# Every line of code as file:line:text.
# shellcheck disable=SC2016 # awk reads its own variables
code=$(awk '
    FNR == 1 { in_comment = 0 }
    {
        text = ""
        rest = $0
        while (rest != "") {
            if (in_comment) {
                at = index(rest, "*/")
                rest = at ? substr(rest, at + 2) : ""
                in_comment = !at
            } else if (match(rest, /\/\*|"([^"\\]|\\.)*"/)) {
                in_comment = substr(rest, RSTART, 2) == "/*"
                text = text substr(rest, 1, RSTART - 1) (in_comment ? "" : "\"\"")
                rest = substr(rest, RSTART + RLENGTH)
            } else {
                text = text rest
                rest = ""
            }
        }
        print FILENAME ":" FNR ":" text
    }' "${files[@]}" </dev/null)

# ban REGEX ALLOWED INSTEAD: REGEX stands only in files that match ALLOWED.
ban() {
    local file line text
    while IFS=: read -r file line text; do
        printf '%s:%s: "%s" is banned here; %s\n' "$file" "$line" "${text#"${text%%[! ]*}"}" "$3"
        bad=1
    done < <(grep -P "^[^:]+:\d+:.*$1" <<<"$code" | grep -vP "^($2):")
}

call='(?<![\w.>])'
ban "$call(m|c|re)alloc ?\(|${call}free ?\(|${call}strn?dup ?\(" 'core/.*' 'use an arena, a buf, or xmalloc and xfree'
ban "$call(clock_gettime|gettimeofday|time|ev_time) ?\(" 'core/moment\.c' 'take now_ms as an argument, or ask core/moment.h'
ban "$call(s?rand|s?random|[lm]rand48|getrandom|RAND_\w+) ?\(" 'core/random\.c' 'use core/random.h'
ban '\bgoto (?!fail;)' '-' 'keep one label, fail'
ban '\btypedef (struct|enum|union)\b[^(]*$' '-' 'write struct, enum or union where it is used'
ban "$call(f?printf|f?puts|putchar|perror|dprintf) ?\(" 'gateway/(main|cli\w*)\.[ch]' 'log with core/log.h; only the commands print'
ban "$call(system|popen|setlocale|uselocale) ?\(" '-' 'not in this process'
ban '\bEVP_Cipher ?\(' '-' 'it skips the tag: use EVP_CipherUpdate and EVP_CipherFinal_ex'
ban "$call(assert|abort|exit) ?\(" 'core/base\.c|gateway/(main|cli\w*)\.c' 'state facts with CHECK, return errors'
ban '\bmemcmp ?\(' "$(grep -v '^#' tests/lint/memcmp.txt 2>/dev/null | cut -d' ' -f1 | paste -sd'|')" \
    'use slice_eq, or digest_equal for secrets; else add the file to tests/lint/memcmp.txt with the reason'
exit $bad
