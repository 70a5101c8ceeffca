# shellcheck shell=bash
# What every shell test, the demo and the bench share: where things are, a
# scratch directory, an orderly end, free ports, and TAP.
#
# Source this first.  It sets:
#   top       the source tree          scratch    a directory, removed at the end
#   B         the build directory      dynctl, dynnode   the programs
#
# at_exit 'command' runs at the end, whatever ended the script, last one first.
# KEEP=1 keeps the scratch directory.

set -u
export LC_ALL=C.UTF-8
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${B:-$top/build}
case $B in /*) ;; *) B=$top/$B ;; esac
dynctl=$B/dynnode/dynctl
dynnode=$B/dynnode/dynnode
PG_CONFIG=${PG_CONFIG:-pg_config}
scratch=
at_exit_commands=()

at_exit() {
    at_exit_commands+=("$1")
}

run_at_exit() {
    local code=$? i
    trap - EXIT INT TERM HUP
    for ((i = ${#at_exit_commands[@]} - 1; i >= 0; i--)); do
        eval "${at_exit_commands[i]}"
    done
    if [ -n "$scratch" ]; then
        if [ -n "${KEEP:-}" ]; then
            echo "# kept: $scratch"
        else
            rm -rf "$scratch"
        fi
    fi
    exit "$code"
}

trap run_at_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A directory that PostgreSQL's user may enter too, for PostgreSQL refuses to
# run as root, and the tree may lie where that user cannot look.
make_scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/dynamo_fdw.XXXXXX") || exit 1
    chmod 755 "$scratch"
}

# free_ports COUNT [STEP]: the first of COUNT blocks of three ports, STEP
# apart, that nobody listens on (below the range of outgoing connections).
free_ports() {
    python3 - "$1" "${2:-10}" <<'PYTHON'
import random, socket, sys
count, step = int(sys.argv[1]), int(sys.argv[2])

def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

for _ in range(1000):
    base = random.randrange(12000, 32000 - count * step)
    if all(is_free(base + step * i + j) for i in range(count) for j in range(3)):
        print(base)
        sys.exit(0)
sys.exit("no free ports")
PYTHON
}

now_ms() {
    local now=$EPOCHREALTIME
    echo $((${now/[.,]/} / 1000))
}

# wait_for SECONDS command...: true as soon as the command is.
wait_for() {
    local until=$(($(now_ms) + $1 * 1000))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$until" ] || return 1
        sleep 0.1
    done
}

# ------------------------------------------------------------------------ TAP

tap_count=0
tap_failed=0

pass() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

# fail NAME [what happened]
fail() {
    tap_count=$((tap_count + 1))
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_count - $1"
    [ -z "${2:-}" ] || sed 's/^/#   /' <<<"$2"
}

skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

diag() {
    sed 's/^/# /' <<<"$*"
}

# check NAME command...: passes when the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        pass "$name"
    else
        fail "$name" "$output"
    fi
}

# is ACTUAL EXPECTED NAME
is() {
    if [ "$1" = "$2" ]; then
        pass "$3"
    else
        fail "$3" "got:      $1
expected: $2"
    fi
}

# matches ACTUAL REGEX NAME
matches() {
    if [[ $1 =~ $2 ]]; then
        pass "$3"
    else
        fail "$3" "got:      $1
expected: $2"
    fi
}

# at_most ACTUAL LIMIT NAME, whole numbers
at_most() {
    if [ "$1" -le "$2" ]; then
        pass "$3"
    else
        fail "$3" "got $1, expected at most $2"
    fi
}

# in_time TOOK_MS LIMIT_MS NAME: what takes that long on a machine that nobody
# else uses may take longer on a busy one: once more for each runnable process
# per core (the load of the last minute).
in_time() {
    local limit
    limit=$(awk -v limit="$2" -v cores="$(nproc)" \
        '{ printf "%d", limit * (1 + $1 / cores) }' /proc/loadavg)
    at_most "$1" "$limit" "$3 ($1 ms)"
}

# Last line of a test.
done_testing() {
    echo "1..$tap_count"
    [ "$tap_failed" = 0 ]
    exit
}

bail_out() {
    echo "Bail out!  $*"
    exit 1
}
