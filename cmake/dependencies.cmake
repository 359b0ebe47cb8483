# SPDX-License-Identifier: Apache-2.0
#
# The libraries of ARCHITECTURE.md, as system headers so that our warnings stay ours.
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(Threads REQUIRED)

# A library without a CMake package of its own.
function(weir_library name header library)
    find_path(${name}_INCLUDE ${header} REQUIRED)
    find_library(${name}_LIBRARY ${library} REQUIRED)
    add_library(weir_${name} INTERFACE)
    target_include_directories(weir_${name} SYSTEM INTERFACE ${${name}_INCLUDE})
    target_link_libraries(weir_${name} INTERFACE ${${name}_LIBRARY})
endfunction()

weir_library(libev ev.h ev)
weir_library(jansson jansson.h jansson)
weir_library(expat expat.h expat)
weir_library(hiredis hiredis/hiredis.h hiredis)
weir_library(nghttp2 nghttp2/nghttp2.h nghttp2)

# llhttp: the distribution ships its C sources and no library, so they are compiled here.
find_path(llhttp_INCLUDE llhttp.h PATH_SUFFIXES llhttp PATHS /usr/share/include REQUIRED)
find_path(llhttp_SOURCE llhttp.c PATHS /usr/share/llhttp REQUIRED)
add_library(weir_llhttp STATIC ${llhttp_SOURCE}/api.c ${llhttp_SOURCE}/http.c
            ${llhttp_SOURCE}/llhttp.c)
target_include_directories(weir_llhttp SYSTEM PUBLIC ${llhttp_INCLUDE})
target_compile_options(weir_llhttp PRIVATE -w)
