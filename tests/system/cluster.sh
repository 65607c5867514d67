# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A private PostgreSQL 15 cluster for tests, to be sourced. It runs as a user that is not root (PostgreSQL refuses root) on
# a Unix socket in a temporary folder, never on TCP; fsync stays on unless CLUSTER_FSYNC=off.
#
#   cluster_start [DATABASE]     a fresh cluster, superuser "postgres"; sets CLUSTER_DIR
#   cluster_stop [MODE]          stops it (fast | immediate) and removes its folder; safe to call twice, as a trap
#   cluster_conninfo [DATABASE]  prints the connection string
#   cluster_crash / cluster_up   stop as a power cut would (immediate), and start it again
#   cluster_psql ARGS...         psql on the cluster, without start-up file, stopping at the first error
#   cluster_template DIR         an initdb to copy from: export CLUSTER_TEMPLATE=DIR saves each cluster its own
#   cluster_migrate [DATABASE]   loads sql/migrations in order with psql and records them

CLUSTER_DIR=''
CLUSTER_DATABASE=''

cluster_bin() {
    local dir
    for dir in "${PG_BIN:-}" /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
        if [ -n "$dir" ] && [ -x "$dir/initdb" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    echo 'cluster: no PostgreSQL server found; install the package postgresql' >&2
    return 1
}

# The user the server runs as: ourselves, or when we are root the first of postgres and nobody that exists.
cluster_user() {
    if [ "$(id -u)" != 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

cluster_as() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec setpriv --reuid="$(cluster_user)" --regid="$(id -g "$(cluster_user)")" --clear-groups "$@")
    else
        (cd / && exec "$@")
    fi
}

cluster_start() {
    local bin
    CLUSTER_DATABASE=${1:-teldag}
    bin=$(cluster_bin) || return 1
    CLUSTER_DIR=$(mktemp -d "${TMPDIR:-/tmp}/teldag-pg.XXXXXX") || return 1
    mkdir "$CLUSTER_DIR/socket"
    if [ "$(id -u)" = 0 ]; then
        chown -R "$(cluster_user)" "$CLUSTER_DIR"
    fi
    # The folder itself must be passable: the tests' own programs may run as another user than the server.
    chmod 755 "$CLUSTER_DIR" "$CLUSTER_DIR/socket"
    if [ -d "${CLUSTER_TEMPLATE:-}/data" ]; then
        cp -a "$CLUSTER_TEMPLATE/data" "$CLUSTER_DIR/data" || return 1
    elif ! LC_ALL=C cluster_as "$bin/initdb" -D "$CLUSTER_DIR/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        >"$CLUSTER_DIR/initdb.log" 2>&1; then
        cat "$CLUSTER_DIR/initdb.log" >&2
        return 1
    fi
    cat >>"$CLUSTER_DIR/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$CLUSTER_DIR/socket'
fsync = ${CLUSTER_FSYNC:-on}
max_connections = 40
shared_buffers = 128MB
logging_collector = off
log_min_messages = warning
timezone = 'UTC'
CONF
    [ -z "${CLUSTER_CONF:-}" ] || printf '%s\n' "$CLUSTER_CONF" >>"$CLUSTER_DIR/data/postgresql.conf"
    cluster_up || return 1
    if [ "$CLUSTER_DATABASE" != postgres ]; then
        psql -X -q -d "$(cluster_conninfo postgres)" -c "CREATE DATABASE \"$CLUSTER_DATABASE\"" || return 1
    fi
}

# Makes a folder with a fresh cluster's files, which cluster_start copies when CLUSTER_TEMPLATE names it.
cluster_template() {
    local bin
    bin=$(cluster_bin) || return 1
    if [ "$(id -u)" = 0 ]; then chown "$(cluster_user)" "$1"; fi
    LC_ALL=C cluster_as "$bin/initdb" -D "$1/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
}

cluster_up() {
    if ! cluster_as "$(cluster_bin)/pg_ctl" -D "$CLUSTER_DIR/data" -l "$CLUSTER_DIR/server.log" -w -t 60 -s start; then
        cat "$CLUSTER_DIR/server.log" >&2
        return 1
    fi
}

cluster_crash() {
    cluster_as "$(cluster_bin)/pg_ctl" -D "$CLUSTER_DIR/data" -m immediate -w -s stop
}

cluster_stop() {
    [ -n "$CLUSTER_DIR" ] || return 0
    if [ -f "$CLUSTER_DIR/data/postmaster.pid" ]; then
        cluster_as "$(cluster_bin)/pg_ctl" -D "$CLUSTER_DIR/data" -m "${1:-fast}" -w -s stop || true
    fi
    rm -rf "$CLUSTER_DIR"
    CLUSTER_DIR=''
}

cluster_conninfo() {
    printf 'host=%s/socket dbname=%s user=postgres\n' "$CLUSTER_DIR" "${1:-$CLUSTER_DATABASE}"
}

cluster_psql() {
    PGOPTIONS="${PGOPTIONS:-} -c client_min_messages=warning" psql -X -q -v ON_ERROR_STOP=1 -d "$(cluster_conninfo)" "$@"
}

cluster_migrate() {
    local top file version database=${1:-$CLUSTER_DATABASE}
    top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
    for file in "$top"/sql/migrations/*.sql; do
        version=$(basename "$file" .sql)
        PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -1 -d "$(cluster_conninfo "$database")" \
            -f "$file" -c "INSERT INTO teldag_data.schema_migration (version) VALUES ('$version')" || return 1
    done
}
