#!/bin/sh
# The tests run on Debian's PostgreSQL 15 and RabbitMQ too. Install their programs where that is possible; no cluster is
# made, and nothing is started.
set -eu
packages=""
[ -x /usr/lib/postgresql/15/bin/initdb ] || packages="$packages postgresql-15"
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || packages="$packages rabbitmq-server"
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$packages; and can't be by us: needs root and apt-get" >&2
    exit 0 # the tests on them say so by name: a skip, or a failure where CI is set
fi
export DEBIAN_FRONTEND=noninteractive
conf=/etc/postgresql-common/createcluster.d/rowlock-tests.conf
policy=/usr/sbin/policy-rc.d # what says no to services that a package would start
made=""
trap 'rm -f "$conf" $made' EXIT
mkdir -p "${conf%/*}"
echo "create_main_cluster = false" > "$conf"
if [ ! -e "$policy" ]; then
    made="$policy"
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
fi
# One after the other: where one can't be had, the others may.
apt-get update -qq || true
for package in $packages; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "$package could not be installed" >&2
done
