#!/usr/bin/env bash
# Installs what the machine lacks of the project's needs. `deps`: npm packages only. `all`: the servers and the browser that the
# tests use as well (Debian). Safe to run again; starts no system service.
set -euo pipefail
cd "$(dirname "$0")/.."

policy='' promtool=''
clean_up() {
  [[ -z $policy ]] || rm -f "$policy"
  [[ -z $promtool ]] || kill "$promtool" 2>/dev/null || true
}
trap clean_up EXIT

packages=()
if [[ ${1:-all} == all ]]; then
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || packages+=(postgresql)
  command -v redis-server >/dev/null || packages+=(redis-server)
  if [[ -z ${CHROMIUM:-} ]]; then
    command -v chromium >/dev/null || packages+=(chromium)
    command -v chromium-headless-shell >/dev/null || packages+=(chromium-headless-shell)
  fi
  # Debian keeps these outside the PATH of ordinary users.
  [[ -x /usr/sbin/nginx ]] || command -v nginx >/dev/null || packages+=(nginx-light)
  [[ -x /usr/sbin/haproxy ]] || command -v haproxy >/dev/null || packages+=(haproxy)
  [[ -x /usr/sbin/pgbouncer ]] || command -v pgbouncer >/dev/null || packages+=(pgbouncer)
  # sdks/python listens by Socket.IO too. Debian's Python has it, and not another one that may come first in the PATH.
  /usr/bin/python3 -c 'import socketio, websocket' 2>/dev/null || packages+=(python3-socketio python3-websocket)
  # Calls: a relay for media, and the tools for a network of the test's own.
  command -v turnserver >/dev/null || packages+=(coturn)
  [[ -x /usr/sbin/nft ]] || command -v nft >/dev/null || packages+=(nftables)
  [[ -x /usr/sbin/ip || -x /sbin/ip ]] || command -v ip >/dev/null || packages+=(iproute2)
fi

# promtool checks the alert rules. Debian has it with Prometheus, whose 96 MB are not needed, and unpacking it needs no root.
install_promtool() {
  local folder
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' RETURN
  (cd "$folder" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } 2>/dev/null) || return
  mkdir -p .cache
  dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -x -C "$folder" --strip-components=3 ./usr/bin/promtool
  # Whole or not at all.
  mv "$folder/promtool" .cache/.promtool.new && mv .cache/.promtool.new .cache/promtool
}

if ((${#packages[@]})); then
  if ! command -v apt-get >/dev/null; then
    echo "setup: missing for the tests: ${packages[*]}; install them with this system's package manager" >&2
    exit 1
  fi
  if ((EUID != 0)); then
    echo "setup: missing for the tests: ${packages[*]}; run: sudo apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${packages[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # Exit code 101 of policy-rc.d keeps the packages from starting their daemons; no cluster is made on install.
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    policy=/usr/sbin/policy-rc.d
  fi
  mkdir -p /etc/postgresql-common
  grep -qs create_main_cluster /etc/postgresql-common/createcluster.conf ||
    echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

if [[ ${1:-all} == all ]] && ! command -v promtool >/dev/null && [[ ! -x .cache/promtool ]]; then
  echo "setup: unpacking promtool" >&2
  (install_promtool || echo "setup: promtool is missing: the test of alert rules will say so" >&2) &
  promtool=$!
fi

# npm writes node_modules/.package-lock.json last, so it is newer than the lock only after a complete install.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  echo "setup: installing npm packages" >&2
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
fi

# Wait for promtool.
wait
promtool=''
