# SPDX-License-Identifier: Apache-2.0
#
# Warnings, hardening and sanitizers: one interface target that every floor uses privately.
add_library(weir_warnings INTERFACE)
target_compile_options(weir_warnings INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wcast-qual -Wwrite-strings -Wvla -Walloca -Wundef -Wformat=2 -Wimplicit-fallthrough
    -Wswitch-enum -Werror -fno-strict-aliasing)
add_compile_definitions(_GNU_SOURCE)
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/= -fno-omit-frame-pointer)

if(WEIR_HARDENED)
    target_compile_options(weir_warnings INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
        -fno-delete-null-pointer-checks -fno-strict-overflow)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_compile_options(weir_warnings INTERFACE
            -ftrivial-auto-var-init=zero -Wtrampolines -Wbidi-chars=any)
    endif()
    if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
        target_compile_options(weir_warnings INTERFACE -fcf-protection=full)
    elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
        target_compile_options(weir_warnings INTERFACE -mbranch-protection=standard)
    endif()
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    add_link_options(-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code
                     -Wl,--as-needed)
endif()

if(WEIR_SANITIZE)
    add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${WEIR_SANITIZE})
endif()
