#!/bin/bash
# Is the harness worth anything?  Each line below plants bugs (patches of
# tests/sim/planted) into a copy of the tree and names the classes that must
# notice them within a few rounds of real processes.  Not part of `make check`:
# it takes half an hour.
#
#     bash tests/fault/planted.sh [word]     only lines with this word
set -u
cd "$(dirname "$0")/../.." || exit 2
B=${B:-build}
ROUNDS_MAX=${ROUNDS_MAX:-4}
export DURATION=${DURATION:-45}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# patches                                        classes
list='
ack_before_commit+replica_acks_before_commit     power_cut failing_sync
quorum_one_short                                 kill_two halves
read_of_one_owner                                kill_two
replica_overwrites                               kill_one lossy
damaged_is_absent                                corrupt_records
sync_forgets_a_context                           kill_one
delete_forgets_the_context                       halves bridge kill_two
row_clock_covers_a_sibling                       kill_one halves
blind_write_replaces                             kill_one
create_checks_itself_only                        kill_one halves
reap_without_all_owners                          deletes
closure_missing                                  late_cut late_pause
retry_under_an_own_dot                           late_cut late_pause
'

# plant NAME...: a copy of the tree with these patches, built
plant() {
    local name
    rm -rf "$work/tree"
    mkdir -p "$work/tree/$B"
    cp -a Makefile dynnode fdw tests dynamo_fdw.control dynamo_fdw.so "$work/tree/" &&
        cp -a "$B/gen" "$B/dynnode" "$B/tests" "$work/tree/$B/" || return 1
    for name; do
        patch -s -d "$work/tree" -p1 --fuzz=3 \
            <"tests/sim/planted/$name.patch" || return 1
    done
    make -s -C "$work/tree" daemon fault-programs >"$work/log" 2>&1
}

count=0
missed=0
while read -r names classes; do
    [[ -n $names && $names == *${1:-}* ]] || continue
    count=$((count + 1))
    found=
    # shellcheck disable=SC2086
    if ! plant ${names//+/ }; then
        found="the patch does not fit, or does not compile"
        good=
    else
        good=
        for ((round = 1; round <= ROUNDS_MAX && ${#good} == 0; round++)); do
            for class in $classes; do
                "$work/tree/tests/fault/run" "$class" 1 "$round" >"$work/log" 2>&1
                grep -q '^not ok' "$work/log" || continue
                good=yes
                found="$class, seed $round: $(grep -m1 -E '^#   (C[0-9]+ |[0-9]+ good|[a-z])' "$work/log")"
                break
            done
        done
    fi
    if [ -n "$good" ]; then
        echo "ok $count - $names: $found"
    else
        missed=$((missed + 1))
        echo "not ok $count - $names: ${found:-not caught in $ROUNDS_MAX rounds}"
    fi
done <<<"$list"
echo "1..$count"
[ "$missed" = 0 ]
