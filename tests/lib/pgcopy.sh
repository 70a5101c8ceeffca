# shellcheck shell=bash
# A copy of PostgreSQL's own tree that one may install into, for the tests of
# what `make install` leaves.  Source after common.sh and pg.sh.
#
#   pg_copy ROOT      copies it; pg_start uses it when ROOT is $pg_dir/root
#   $pg_copy_config   the copy's pg_config: it names the copy's directories,
#                     for PostgreSQL finds its files relative to its programs
#   fresh_make ...    make, as if nobody had started this test with make

pg_copy_config=

pg_copy() {
    local root=$1 what directory
    for what in bindir sharedir pkglibdir pkgincludedir includedir-server; do
        directory=$("$PG_CONFIG" --$what) || bail_out "no pg_config: run make deps"
        [ ! -e "$root$directory" ] || continue
        mkdir -p "$root$(dirname "$directory")"
        cp -a "$directory" "$root$(dirname "$directory")/" ||
            bail_out "cannot copy $directory"
    done
    pg_bin=$root$("$PG_CONFIG" --bindir)
    pg_client=$pg_bin
    pg_copy_config=$pg_bin/pg_config
    for what in sharedir pkglibdir; do
        directory=$("$pg_copy_config" --$what)
        [[ $directory == "$root"/* ]] ||
            bail_out "the copied pg_config says $directory for --$what"
    done
}

fresh_make() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u DESTDIR -u PREFIX make -C "$top" "$@"
}
