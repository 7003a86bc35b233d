#!/bin/sh
# What the tests need of Debian, installed where that is possible: PostgreSQL 15, to run on it too, Redis and RabbitMQ, of
# which the tests start their own, what deploy/ is for (nginx, PgBouncer, Prometheus), what breaks clocks and networks (faketime, nftables), and Chromium, to look at the page
# with. No cluster is made, and nothing is started.
set -eu
missing=
[ -x /usr/lib/postgresql/15/bin/initdb ] || missing="$missing postgresql-15"
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
command -v nginx >/dev/null || missing="$missing nginx"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
command -v promtool >/dev/null || missing="$missing prometheus" # brings promtool along
[ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 ] || missing="$missing faketime"
command -v nft >/dev/null || [ -x /usr/sbin/nft ] || missing="$missing nftables"
command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing="$missing iproute2"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and can't be by us, which needs root and apt-get:$missing" >&2
    exit 0 # the tests that need them say so by name: a skip, or a failure where CI is set
fi
export DEBIAN_FRONTEND=noninteractive
conf=/etc/postgresql-common/createcluster.d/rowlock-tests.conf
policy=/usr/sbin/policy-rc.d # asked before a package starts its service: 101 is no
made=
trap 'rm -f "$conf" $made' EXIT
mkdir -p "${conf%/*}"
echo "create_main_cluster = false" > "$conf"
if [ ! -e "$policy" ]; then
    made=$policy
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
fi
apt-get update -qq || true
for package in $missing; do # one after the other: where one can't be had, the others may
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package could not be installed" >&2
done
