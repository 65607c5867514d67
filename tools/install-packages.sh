#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs those of the named Debian packages that are missing; nothing is asked, nothing else is touched.
set -eu
missing=()
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
run=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "install-packages: missing: ${missing[*]}; run as root, or install sudo" >&2; exit 77; }
    run=(sudo)
fi
echo "installing: ${missing[*]}"
# A machine that runs PostgreSQL of its own keeps it as it is; a fresh one gets no cluster from us.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${run[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${run[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${run[@]}" apt-get update && "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "install-packages: apt-get could not install: ${missing[*]} (see above)" >&2
    exit 69
fi
