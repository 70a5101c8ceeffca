#!/bin/sh
# Fail when a file includes a header its layer may not see (the picture is in
# dynnode/ARCHITECTURE.md).  One line per rule:
# <directory> <extended regex of forbidden include targets>
cd "$(dirname "$0")/.." || exit 2
bad=0
deny() {
    hits=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" \
        --include='*.[ch]' "$1")
    [ -z "$hits" ] && return
    printf '%s may not include:\n%s\n' "$1" "$hits" >&2
    bad=1
}
world='postgres\.h|czmq\.h|zmq\.h|lmdb\.h'
pure='time\.h|pthread\.h|unistd\.h|stdio\.h|sys/'
deny dynnode/model "(.*/)?(core|io|fdw)/|$world|$pure"
deny dynnode/core  "(.*/)?(io|fdw)/|$world|$pure"
deny dynnode/io    '(.*/)?fdw/|postgres\.h'
deny fdw           '(.*/)?(core|io)/|czmq\.h|lmdb\.h'
exit $bad
