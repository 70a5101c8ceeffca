# shellcheck shell=bash
# A private PostgreSQL with the extension, for tests, demo and bench.
#
#   pg_start [setting=value ...]   installs, makes and starts one in $pg_dir
#   pg_stop                        stops it
#   sql 'statements' [psql options]   rows without decoration; stderr is psql's
#   sql_state 'statements'         SQLSTATE of the last error, 00000 = none
#   sql_error 'statements'         all that psql says on stderr, verbosely
#
# Nothing of the system is touched: PostgreSQL finds its files relative to its
# own program, so a copy of the program in $pg_dir/root, with links to the
# system's files beside it, has a place of its own for our extension.  As root
# everything runs as the user postgres.

pg_port=
pg_dir=

as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

# Link everything in directory $1 to directory $2 that is not there yet.
link_all() {
    local path
    for path in "$1"/*; do
        [ -e "$2/${path##*/}" ] || ln -s "$path" "$2/"
    done
}

pg_install() {
    local root=$1 program
    local bin share lib
    bin=$("$PG_CONFIG" --bindir) || bail_out "no pg_config: run make deps"
    share=$("$PG_CONFIG" --sharedir)
    lib=$("$PG_CONFIG" --pkglibdir)
    pg_client=$bin
    pg_bin=$root$bin
    mkdir -p "$root$bin" "$root$share/extension" "$root$lib"
    for program in postgres initdb pg_ctl; do
        cp "$bin/$program" "$root$bin/" || bail_out "cannot copy $bin/$program"
    done
    cp "$top/dynamo_fdw.control" "$top"/fdw/dynamo_fdw--*.sql \
        "$root$share/extension/" || bail_out "no extension: run make"
    [ ! -e "$top/dynamo_fdw.so" ] || cp "$top/dynamo_fdw.so" "$root$lib/"
    link_all "$share" "$root$share"
    link_all "$share/extension" "$root$share/extension"
    link_all "$lib" "$root$lib"
}

pg_settings() {
    local setting
    cat <<SETTINGS
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$pg_dir'
max_connections = 200
shared_buffers = 128MB
fsync = off
log_line_prefix = '%m [%p] '
log_min_messages = warning
timezone = 'UTC'
lc_messages = 'C'
SETTINGS
    for setting in "$@"; do
        echo "${setting%%=*} = '${setting#*=}'"
    done
}

pg_start() {
    # Whatever server the caller usually talks to, it is not this one.
    unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGOPTIONS PGSERVICE PGSSLMODE
    pg_dir=${pg_dir:-$scratch/pg}
    mkdir -p "$pg_dir"
    [ -d "$pg_dir/root" ] || pg_install "$pg_dir/root"
    pg_port=${pg_port:-$(free_ports 1)}
    [ "$(id -u)" != 0 ] || chown postgres "$pg_dir"
    (
        # initdb and the server want a directory that they may stand in.
        cd "$pg_dir" || exit 1
        as_postgres "$pg_bin/initdb" -D "$pg_dir/data" -U postgres -A trust \
            -E UTF8 --locale=C.UTF-8 --no-sync >"$pg_dir/initdb.log" 2>&1
    ) || bail_out "initdb failed: $(tail -3 "$pg_dir/initdb.log")"
    pg_settings "$@" >>"$pg_dir/data/postgresql.conf"
    at_exit pg_stop
    pg_restart
}

pg_restart() {
    (
        cd "$pg_dir" || exit 1
        as_postgres "$pg_bin/pg_ctl" -D "$pg_dir/data" -l "$pg_dir/data/log" \
            -w -t 60 start >/dev/null
    ) || bail_out "PostgreSQL does not start: $(tail -5 "$pg_dir/data/log")"
}

pg_stop() {
    [ -f "$pg_dir/data/postmaster.pid" ] || return 0
    (
        cd "$pg_dir" || exit 1
        as_postgres "$pg_bin/pg_ctl" -D "$pg_dir/data" -m immediate -w -t 30 \
            stop >/dev/null 2>&1
    )
}

pg_pid() {
    head -n 1 "$pg_dir/data/postmaster.pid"
}

pg_log() {
    cat "$pg_dir/data/log"
}

# The psql of this major itself: /usr/bin/psql may be a slow wrapper.
psql() {
    "$pg_client/psql" -X -h "$pg_dir" -p "$pg_port" -U postgres -d postgres "$@"
}

sql() {
    local text=$1
    shift
    psql -q -A -t -v ON_ERROR_STOP=1 "$@" <<<"$text"
}

sql_state() {
    sql "\\set ON_ERROR_STOP off
${1%;};
\\echo :LAST_ERROR_SQLSTATE" 2>/dev/null | tail -n 1
}

sql_error() {
    sql "\\set VERBOSITY verbose
\\set ON_ERROR_STOP off
${1%;};" 2>&1 >/dev/null
}

# ------------------------------------------------------- sessions that stay open

# session_open NAME; session NAME 'statements' prints what they print;
# session_pid NAME is the backend's; session_close NAME.
declare -A session_in session_out session_client

session_open() {
    local name=$1 in out
    mkfifo "$scratch/$name.in" "$scratch/$name.out"
    # Line by line, or what \echo says would wait in a buffer.
    stdbuf -oL "$pg_client/psql" -X -q -A -t -h "$pg_dir" -p "$pg_port" \
        -U postgres -d postgres <"$scratch/$name.in" >"$scratch/$name.out" 2>&1 &
    session_client[$name]=$!
    exec {in}>"$scratch/$name.in" {out}<"$scratch/$name.out"
    rm "$scratch/$name.in" "$scratch/$name.out"
    session_in[$name]=$in
    session_out[$name]=$out
}

# Send without waiting for the answer.
session_send() {
    (printf '%s;\n' "${2%;}" >&"${session_in[$1]}")
}

# What was printed until the statements sent so far are done.
session_read() {
    local line
    (printf '%s\n' '\echo --done--' >&"${session_in[$1]}")
    while IFS= read -r -t "${2:-60}" line <&"${session_out[$1]}"; do
        [ "$line" != "--done--" ] || return 0
        printf '%s\n' "$line"
    done
    return 1
}

session() {
    session_send "$1" "$2"
    session_read "$1"
}

session_close() {
    local in=${session_in[$1]} out=${session_out[$1]}
    # Closing alone is not enough: sessions opened later have inherited it.
    (printf '%s\n' '\q' >&"$in") 2>/dev/null
    exec {in}>&- {out}<&-
    wait "${session_client[$1]}" 2>/dev/null
}
