# shellcheck shell=bash
# A cluster of dynnodes on this machine, through dynctl playground.
#
#   cluster_start [NODES [flags]]   sets $nodes: host:port,host:port,...
#   node kill|start|pause|resume|stop I
#   node_address I, node_pid I, node_data I
#   cluster_kill                    kill -9 of all nodes at the same moment
#   node_replace_disk I             an empty disk; it starts in its own place
#   cluster_store [options]         CREATE EXTENSION, CREATE SERVER store
#   replica_listing BUCKET I        what node I holds, with hashes

cluster_dir=
cluster_port=
cluster_size=
cluster_flags=()
nodes=

playground() {
    "$dynctl" playground "$@" --dir "$cluster_dir"
}

cluster_start() {
    local try
    cluster_size=${1:-3}
    shift || true
    cluster_flags=("$@")
    [ -x "$dynctl" ] || bail_out "no $dynctl: run make"
    cluster_dir=${cluster_dir:-$scratch/cluster}
    at_exit cluster_stop
    # Somebody may take a port between the look and the start.
    for try in 1 2 3; do
        [ -n "$cluster_port" ] || cluster_port=$(free_ports "$cluster_size")
        nodes=$(cluster_addresses)
        playground start --nodes "$cluster_size" --base-port "$cluster_port" \
            "$@" >"$scratch/playground.out" 2>&1 && return 0
        cluster_stop # those that did start
        [ "$try" = 3 ] || rm -rf "$cluster_dir"
        cluster_port=
    done
    bail_out "the cluster does not start: $(cat "$scratch/playground.out")"
}

cluster_addresses() {
    local i list=
    for ((i = 1; i <= cluster_size; i++)); do
        list+=${list:+,}$(node_address "$i")
    done
    echo "$list"
}

cluster_stop() {
    [ ! -f "$cluster_dir/playground" ] || playground stop >/dev/null 2>&1
}

cluster_restart() {
    playground start >"$scratch/playground.out" 2>&1
}

cluster_kill() {
    local i pids=
    for ((i = 1; i <= cluster_size; i++)); do
        pids+=" $(node_pid "$i")"
    done
    # shellcheck disable=SC2086
    kill -9 $pids
    for i in $pids; do
        wait_for 30 is_gone "$i"
    done
}

# A zombie holds no file and no port any more.
is_gone() {
    ! grep -q '^State:[[:space:]][^Z]' "/proc/$1/status" 2>/dev/null
}

node() {
    playground "$1" "$2"
}

node_address() {
    echo "127.0.0.1:$((cluster_port + 10 * ($1 - 1)))"
}

node_pid() {
    cat "$cluster_dir/node$1/pid"
}

node_data() {
    echo "$cluster_dir/node$1/data"
}

node_log() {
    cat "$cluster_dir/node$1/log"
}

# The playground starts nodes without their ids, but stops this one, too.
node_replace_disk() {
    local id
    id=$(node_status "$1" 'print(status["node"])')
    node kill "$1" >/dev/null
    rm -rf "$(node_data "$1")"
    "$dynnode" --listen "$(node_address "$1")" --seeds "$nodes" \
        --data "$(node_data "$1")" --cluster-name playground --node-id "$id" \
        "${cluster_flags[@]}" >>"$cluster_dir/node$1/log" 2>&1 </dev/null &
    echo $! >"$cluster_dir/node$1/pid"
    disown
}

node_fds() {
    find "/proc/$(node_pid "$1")/fd" -mindepth 1 2>/dev/null | wc -l
}

# node_status I PYTHON: run it with what the node tells in `status`
node_status() {
    "$dynctl" status --node "$(node_address "$1")" --json |
        python3 -c 'import json, sys
status = json.load(sys.stdin)
exec(sys.argv[1])' "$2"
}

# node_counter I NAME
node_counter() {
    node_status "$1" "print(status[\"counters\"][\"$2\"])"
}

cluster_store() {
    sql "CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
         CREATE SERVER store FOREIGN DATA WRAPPER dynamo_fdw
             OPTIONS (nodes '$nodes'${1:+, $1});" ||
        bail_out "the extension does not load"
}

replica_listing() {
    "$dynctl" scan "$1" --replica --node "$(node_address "$2")" \
        --timeout 60000 | sort
}

# Do all nodes hold the same objects of a bucket?
replicas_are_equal() {
    local i
    replica_listing "$1" 1 >"$scratch/replica.1"
    for ((i = 2; i <= cluster_size; i++)); do
        replica_listing "$1" "$i" | cmp - "$scratch/replica.1" || return 1
    done
}
