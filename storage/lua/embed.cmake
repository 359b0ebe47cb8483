# SPDX-License-Identifier: Apache-2.0
#
# The scripts as C: cmake -DFOLDER=... -DOUT=... -P embed.cmake
#
# A script that begins with KEYS of a partition has common.lua between its first line, which must
# stay the first, and the rest.
file(READ ${FOLDER}/common.lua common)
set(text "/* Made from storage/lua by embed.cmake. */\n")
string(APPEND text "static const struct {\n    const char *name;\n    const char *text;\n} redis_script_texts[REDIS_SCRIPTS] = {\n")
foreach(name advance archive_find archive_read archive_sizes archive_trim beat bury catalog_put catalog_read claim commit dead_edit dead_find dead_read dues lanes lease open park release retry settle tally)
    file(READ ${FOLDER}/${name}.lua script)
    if(NOT name MATCHES "^(beat|catalog_put|catalog_read|open)$")
        string(FIND "${script}" "\n" end)
        math(EXPR end "${end} + 1")
        string(SUBSTRING "${script}" 0 ${end} first)
        string(SUBSTRING "${script}" ${end} -1 rest)
        set(script "${first}${common}${rest}")
    endif()
    string(REPLACE "\\" "\\\\" script "${script}")
    string(REPLACE "\"" "\\\"" script "${script}")
    string(REPLACE "\n" "\\n\"\n    \"" script "${script}")
    string(TOUPPER ${name} upper)
    string(APPEND text "    [REDIS_${upper}] = {\"${name}\",\n    \"${script}\"},\n")
endforeach()
string(APPEND text "};\n")
file(WRITE ${OUT} "${text}")
