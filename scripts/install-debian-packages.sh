#!/bin/sh
# The tests run on Debian's PostgreSQL 15 too. Install its programs where that is possible; no cluster is made or started.
set -eu
[ -x /usr/lib/postgresql/15/bin/initdb ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "PostgreSQL 15 is not installed, and can't be by us: needs root and apt-get" >&2
    exit 0 # the tests on 15 say so by name: a skip, or a failure where CI is set
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common/createcluster.d
conf=/etc/postgresql-common/createcluster.d/rowlock-tests.conf
echo "create_main_cluster = false" > "$conf"
trap 'rm -f "$conf"' EXIT
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null; } ||
    echo "PostgreSQL 15 could not be installed" >&2
