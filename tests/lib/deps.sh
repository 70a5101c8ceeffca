#!/bin/sh
# Install the Debian packages that building and testing need and that are
# missing.  Quick and silent when there is nothing to do.
packages="gcc make pkg-config libczmq-dev libzmq3-dev liblmdb-dev \
libprotobuf-c-dev protobuf-c-compiler libxxhash-dev uthash-dev libcmocka-dev \
patch postgresql postgresql-contrib postgresql-server-dev-all libipc-run-perl python3 \
util-linux mount man-db git lmdb-utils"

command -v dpkg-query >/dev/null 2>&1 || {
    echo "not a Debian system: please see to these packages yourself: $packages" >&2
    exit 0
}
missing=
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null |
        grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq || exit 1
exec $sudo apt-get install -y -qq --no-install-recommends $missing
