#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a delivery costs, and how soon it comes, beside libcurl sending the same requests.
#
#   tests/bench/delivery.sh [--rounds N] [--count N] [--folder DIR] [--kind sqs|lambda|https]...
#
# Needs the release preset built; builds the far end and the caller itself.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --build --preset release --target bench_far_end bench_caller >/dev/null
exec /usr/bin/python3 tests/bench/delivery.py "$@"
