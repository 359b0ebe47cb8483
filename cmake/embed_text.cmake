# SPDX-License-Identifier: Apache-2.0
#
# A file as a C string: cmake -DFILE=... -DNAME=... -DOUT=... -P embed_text.cmake
#
# Semicolons and brackets mean something to CMake's lists, not to file(READ) into one variable.
file(READ ${FILE} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
file(WRITE ${OUT} "/* Made from ${FILE} by embed_text.cmake. */\nstatic const char ${NAME}[] =\n    \"${text}\";\n")
