#!/bin/bash
# Is the differential test worth anything?  Each patch of tests/cluster/planted
# plants a bug into the extension, in a copy of the tree; some statement must
# answer otherwise than on a heap table.  Not part of `make check`: it takes
# half an hour.
#
#     bash tests/cluster/planted.sh [name ...]
set -u
cd "$(dirname "$0")/../.." || exit 2
B=${B:-build}
seconds_max=${SECONDS_MAX:-600}
work=$(mktemp -d) || exit 2
# PostgreSQL's user looks into the copy.
chmod 755 "$work"
running=
trap 'stop_running; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# The test with all that it has started; it cleans up.
stop_running() {
    [ -n "$running" ] || return
    kill -TERM -- "-$running" 2>/dev/null
    wait "$running" 2>/dev/null
    running=
}

plant() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/$B"
    cp -a Makefile dynnode fdw tests dynamo_fdw.control dynamo_fdw.so "$work/tree/" &&
        cp -a "$B/gen" "$B/dynnode" "$B/libmodel.a" "$work/tree/$B/" &&
        patch -s -d "$work/tree" -p1 --fuzz=3 <"tests/cluster/planted/$1.patch" &&
        make -s -C "$work/tree" -f fdw/pgxs.mk B="$B" >"$work/log" 2>&1
}

# Until the first answer that is wrong.
caught() {
    : >"$work/log"
    setsid "$work/tree/tests/cluster/differential" >"$work/log" 2>&1 &
    running=$!
    for ((second = 0; second < seconds_max; second++)); do
        grep -q '^not ok' "$work/log" && break
        kill -0 "$running" 2>/dev/null || break
        sleep 1
    done
    stop_running
    grep -m1 '^not ok' "$work/log"
}

[ $# -gt 0 ] || set -- $(cd tests/cluster/planted && ls -- *.patch | sed 's/\.patch$//')
echo "1..$#"
count=0
missed=0
for name; do
    count=$((count + 1))
    if ! plant "$name"; then
        found="the patch does not fit, or does not compile"
        bad=yes
    else
        bad=
        found=$(caught) || bad=yes
    fi
    if [ -z "$bad" ]; then
        echo "ok $count - $name: ${found#not ok }"
    else
        missed=$((missed + 1))
        echo "not ok $count - $name: ${found:-not caught}"
        sed 's/^/# /' "$work/log" | grep -v '^# ok'
    fi
done
[ "$missed" = 0 ]
