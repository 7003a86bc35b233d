#!/bin/sh
# What the tests need of Debian, installed where that is possible: PostgreSQL 15, to run on it too (no cluster is made or
# started), and Chromium, to look at the page with.
set -eu
missing=
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and can't be by us (that needs root and apt-get):$missing" >&2
    exit 0 # the tests say so by name: a skip, or a failure where CI is set
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common/createcluster.d
conf=/etc/postgresql-common/createcluster.d/rowlock-tests.conf
echo "create_main_cluster = false" > "$conf"
trap 'rm -f "$conf"' EXIT
# shellcheck disable=SC2086 # a list of names
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
    echo "Could not be installed:$missing" >&2
