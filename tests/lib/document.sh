# shellcheck shell=bash disable=SC2016
# Doing what a document shows, as its reader would: for the tests of README.md
# and docs/.  Source after common.sh and pg.sh.
#
#   own_network "$@"        first of all: the documents' addresses are nobody's
#   own_address A.B.C.D     that network has this address, too; fails without one
#   reader_start PATH [NAME=VALUE ...]   a shell with nothing else but HOME
#   document FILE           runs its blocks in order, and tells each as a test
#
# Blocks are sh, sql or text (tests/lib/blocks.py).  Commands run line by line
# in one shell's directory and must succeed; statements go to psql.  What a sql
# block prints must be shown in a text block after it; what a sh block prints
# may be.

# Start this test again in a network of its own, where 127.0.0.1:7001 is free
# whatever else runs on the machine.  Where that is not allowed the ports of
# the documents must be free.
own_network() {
    local how=(--net)
    [ -z "${DYNAMO_OWN_NETWORK:-}" ] || return 0
    [ "$(id -u)" = 0 ] || how=(--user --map-current-user --keep-caps --net)
    if unshare "${how[@]}" true 2>/dev/null; then
        exec env DYNAMO_OWN_NETWORK=1 unshare "${how[@]}" python3 -c '
import fcntl, os, socket, struct, sys
with socket.socket() as s:  # ip link set lo up
    fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x41))
os.execv(sys.argv[1], sys.argv[1:])' "$(realpath "$0")" "$@"
    fi
    python3 -c '
import socket
for port in [p + i for p in (7001, 7011, 7021) for i in range(3)]:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as nodes do
        s.bind(("127.0.0.1", port))' 2>/dev/null ||
        bail_out "no network of its own, and the ports that the documents use are taken"
}

own_address() {
    [ -n "${DYNAMO_OWN_NETWORK:-}" ] && python3 -c '
import fcntl, socket, struct, sys
address = socket.inet_aton(sys.argv[1])
name = b"lo:%d" % (address[3])
with socket.socket() as s:  # ip address add A.B.C.D dev lo
    fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, address))' "$1"
}

reader_home=
reader_environment=()

reader_start() {
    reader_home=$scratch/home
    mkdir -p "$reader_home" "$scratch/blocks"
    reader_environment=(HOME="$reader_home" TMPDIR="$scratch" LANG=C.UTF-8
        PATH="$1" "${@:2}")
    echo "$reader_home" >"$scratch/reader.directory"
}

# reader 'command': as in one shell, for the directory stays.  What it prints
# goes to $scratch/output; what it leaves running has that open, too.
reader() {
    env -i "${reader_environment[@]}" bash -c '
cd "$(cat "$1")" || exit
eval "$2"
code=$?
pwd >"$1"
exit $code' reader "$scratch/reader.directory" "$1" >"$scratch/output" 2>&1 </dev/null
}

# Lines of a block of commands; $1 = file, $2 = where it stands
run_commands() {
    local line
    while IFS= read -r line; do
        [ -n "${line%%#*}" ] || continue
        line=$(reader_line "$line")
        if reader "$line"; then
            pass "$2: $line"
        else
            fail "$2: $line" "$(tail -n 30 "$scratch/output")"
        fi
    done <"$1"
}

# What of a line is different for the test, and nothing else is.
reader_line() {
    echo "$1"
}

# What is neither: for tests that know what to do with it
run_other() {
    fail "$2: nobody knows what to do with a block of kind ${1##*.}"
}

# psql in the reader's directory and with his environment, for \\! and \\copy
run_statements() {
    (
        cd "$(cat "$scratch/reader.directory")" || exit
        env -i "${reader_environment[@]}" "$pg_client/psql" -X -h "$pg_dir" -p "$pg_port" \
            -U postgres -d postgres -q -P footer=off -P pager=off
    ) <"$1" >"$scratch/output" 2>&1
}

# The output of the block before: shown in $1, or nothing when $1 is empty
check_output() {
    : >"$scratch/nothing"
    check "$2: prints what is shown" "$top/tests/lib/blocks.py" --same \
        "${1:-$scratch/nothing}" "$scratch/output"
}

document() {
    local file name place before=
    rm -f "$scratch"/blocks/*
    check "$1 consists of blocks that can be run" \
        "$top/tests/lib/blocks.py" "$top/$1" "$scratch/blocks"
    for file in "$scratch"/blocks/*; do
        [ -e "$file" ] || continue
        name=${file##*/}
        place=$1:$((10#${name%.*}))
        [ -z "$before" ] || [ "${name##*.}" = text ] || check_output "" "$before"
        before=
        case $name in
            *.sh) run_commands "$file" "$place" ;;
            *.sql)
                run_statements "$file" || echo "psql ended with $?" >>"$scratch/output"
                before=$place
                ;;
            *.text) check_output "$file" "$place" ;;
            *) run_other "$file" "$place" ;;
        esac
    done
    [ -z "$before" ] || check_output "" "$before"
}
