#!/bin/sh
# The tests run on Debian's PostgreSQL 15 too, on a Redis of their own, and run what deploy/ is for: nginx, PgBouncer and
# Prometheus. Install their programs where that is possible; no cluster and no service is made or started.
set -eu
missing=
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v nginx >/dev/null || missing="$missing nginx"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
command -v promtool >/dev/null || missing="$missing prometheus" # brings promtool along
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and can't be by us, which needs root and apt-get:$missing" >&2
    exit 0 # the tests that need them say so by name: a skip, or a failure where CI is set
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/postgresql-common/createcluster.d
conf=/etc/postgresql-common/createcluster.d/rowlock-tests.conf
echo "create_main_cluster = false" > "$conf"
policy=/usr/sbin/policy-rc.d # asked before a package starts its service: 101 is no
if [ -e "$policy" ]; then policy=; else printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy"; fi
trap 'rm -f "$conf" $policy' EXIT
# shellcheck disable=SC2086 # they are words
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
    echo "Could not be installed:$missing" >&2
