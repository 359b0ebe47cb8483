#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Make the SDK clients: the node modules that the lock file pins, and the Go program
# build/clients/put_events.  Does nothing when they are newer than their sources.
set -euo pipefail
cd "$(dirname "$0")/../.."

node=tests/lib/node
if [ ! -f $node/node_modules/.made ] || [ $node/package-lock.json -nt $node/node_modules/.made ]; then
    for pause_s in 5 20 0; do
        if npm ci --prefix $node --no-audit --no-fund; then
            break
        fi
        [ "$pause_s" -gt 0 ] || exit 1
        sleep "$pause_s"
    done
    touch $node/node_modules/.made
fi

go=build/clients/put_events
if [ ! -x $go ] || [ tests/lib/go/put_events.go -nt $go ]; then
    mkdir -p build/clients
    GO111MODULE=off GOFLAGS='' GOPATH=$PWD/build/gopath:/usr/share/gocode \
        GOCACHE=${GOCACHE:-$PWD/build/gocache} go build -o $go tests/lib/go/put_events.go
fi
