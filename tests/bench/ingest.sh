#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What one event costs at the front door, beside nghttpd and nginx in the same run.
#
#   tests/bench/ingest.sh [--rounds N] [--requests N]
#
# Needs the release build and the packages nghttp2-client, nghttp2-server, nginx,
# libnginx-mod-http-lua and curl.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec /usr/bin/python3 tests/bench/ingest.py "$@"
