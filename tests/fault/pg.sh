# shellcheck shell=bash
# A private PostgreSQL until standard input ends (tests/fault/sessions.py).
. "$(dirname "$0")/../lib/common.sh"
. "$top/tests/lib/pg.sh"
make_scratch
pg_start
echo "ready $pg_client $pg_dir $pg_port"
read -r _
