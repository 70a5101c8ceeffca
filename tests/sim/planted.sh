#!/bin/sh
# Each patch of tests/sim/planted plants one bug into a copy of the tree; the
# simulator must catch it within 500 seeds; on LMDB, if planted/by_store names it;
# by a scenario, if planted/by_scenario does.  (tests/sim/planted_bugs.md)
#
#     tests/sim/planted.sh               all of them (make planted)
#     tests/sim/planted.sh --short       some, as make check does
#     tests/sim/planted.sh NAME ...
#
# JOBS: how many processes; SEEDS_MAX: the last seed tried.
set -u
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
jobs=${JOBS:-2}
seeds_max=${SEEDS_MAX:-500}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

[ "${1-}" != --short ] || set -- $(cat tests/sim/planted/short)
[ $# -gt 0 ] || set -- $(cd tests/sim/planted && ls -- *.patch | sed 's/\.patch$//')
make -s -j"$jobs" sim >/dev/null || exit 2
echo "1..$#"
number=0
missed=0
for name in "$@"; do
	number=$((number + 1))
	rm -rf "$work/tree"
	mkdir -p "$work/tree/build/tests"
	# Objects come along, with their times: only what a patch touches is
	# compiled.
	cp -a Makefile dynnode fdw tests "$work/tree/"
	cp -a build/gen build/dynnode "$work/tree/build/"
	cp -a build/tests/sim build/tests/lib "$work/tree/build/tests/" 2>/dev/null
	if ! patch -s -d "$work/tree" -p1 --fuzz=3 <"tests/sim/planted/$name.patch"; then
		echo "not ok $number - $name: the patch does not fit"
		missed=$((missed + 1))
		continue
	fi
	if ! make -s -j"$jobs" -C "$work/tree" sim >"$work/log" 2>&1; then
		echo "not ok $number - $name: does not compile"
		sed 's/^/# /' "$work/log"
		missed=$((missed + 1))
		continue
	fi
	if grep -qx "$name" tests/sim/planted/by_scenario; then
		"$work/tree/build/dynsim" --scenarios >"$work/log" 2>&1
	else
		store=sim
		! grep -qx "$name" tests/sim/planted/by_store || store=lmdb
		"$work/tree/build/dynsim" --seeds "1..$seeds_max" --jobs "$jobs" \
			--store "$store" --first >"$work/log" 2>&1
	fi
	found=$(grep -m1 FAILED "$work/log")
	if [ -n "$found" ]; then
		echo "ok $number - $name: $found"
	else
		echo "not ok $number - $name: not caught in $seeds_max seeds, or by a scenario"
		missed=$((missed + 1))
	fi
done
cd "$root" && [ "$missed" -eq 0 ]
