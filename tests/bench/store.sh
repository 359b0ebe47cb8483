#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the stores make durable, beside Redis's own XADD and a bare write and flush, on one disk.
#
#   tests/bench/store.sh [--rounds N] [--ms N] [--count N] [--folder DIR]
#
# Needs the release preset configured, redis-server, redis-benchmark and python3-redis.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --build --preset release --target bench_store >/dev/null
exec /usr/bin/python3 tests/bench/store.py "$@"
