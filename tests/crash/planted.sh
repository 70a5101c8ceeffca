#!/bin/sh
# Each patch of tests/crash/planted plants one bug into a copy of the tree; the
# crash images must show it.
#
#     tests/crash/planted.sh            all of them, as make check does
#     tests/crash/planted.sh NAME ...
#
# JOBS: how many processes compile; IMAGES_MAX: how many images are tried.
set -u
cd "$(dirname "$0")/../.." || exit 2
jobs=${JOBS:-2}
images_max=${IMAGES_MAX:-3000}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

[ $# -gt 0 ] || set -- $(cd tests/crash/planted && ls -- *.patch | sed 's/\.patch$//')
make -s -j"$jobs" build/crash-images >/dev/null || exit 2
echo "1..$#"
number=0
missed=0
not_ok() {
	echo "not ok $number - $name: $1"
	missed=$((missed + 1))
}
for name in "$@"; do
	number=$((number + 1))
	rm -rf "$work/tree"
	mkdir -p "$work/tree/build/tests"
	# Objects come along, with their times: only what a patch touches is
	# compiled.
	cp -a Makefile dynnode fdw tests "$work/tree/"
	cp -a build/gen build/dynnode "$work/tree/build/"
	cp -a build/tests/crash build/tests/lib "$work/tree/build/tests/"
	if ! patch -s -d "$work/tree" -p1 --fuzz=3 <"tests/crash/planted/$name.patch"; then
		not_ok "the patch does not fit"
		continue
	fi
	if ! make -s -j"$jobs" -C "$work/tree" build/crash-images >"$work/log" 2>&1; then
		not_ok "does not compile"
		sed 's/^/# /' "$work/log"
		continue
	fi
	timeout 900 "$work/tree/build/crash-images" --first --images "$images_max" >"$work/log" 2>&1
	if grep -q '^not ok [23]' "$work/log"; then
		echo "ok $number - $name: $(sed -n 's/^# \(.*seed .*life .*\)/\1/p' "$work/log" | head -1)"
	else
		not_ok "not seen in $images_max images"
	fi
done
[ "$missed" -eq 0 ]
