#!/usr/bin/env bash
# `make peers`: the same work through nginx, HAProxy and this proxy, one worker each, in turn. Arguments go to `peers`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
need nginx:nginx haproxy:haproxy
# Only the scenario `modulo` needs it, and not every release of Debian has it.
if [ ! -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]; then
    install_packages libnginx-mod-http-lua || echo "Going on without nginx's Lua module."
fi
PATH="$PATH:/usr/sbin:/sbin"
# A thousand idle connections, twice (client and upstream), in this process, its children and the proxies.
ulimit -n "$(ulimit -Hn)"

target=${CARGO_TARGET_DIR:-target}
arguments=("$@")
if [[ " $* " != *" --ours "* ]]; then
    echo "Building the proxy as it is shipped (fat LTO: several minutes the first time) ..."
    cargo build --locked --profile dist -p pointsman --bin pointsman
    arguments+=(--ours "$target/dist/pointsman")
fi
cargo build --locked --release -p pointsman-demo --bins
cargo build --locked --workspace --bin peers
exec "$target/debug/peers" --tools "$target/release" "${arguments[@]}"
