#!/usr/bin/env bash
# `make scenario NAME=…`: a system that people built by hand, played under load, without and with failures. Without NAME:
# the list. Arguments go to `scenario`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
target=${CARGO_TARGET_DIR:-target}
arguments=("$@")
if [[ $# -eq 0 || " $* " == *" --help "* ]]; then
    cargo build --quiet --locked --workspace --bin scenario
    exec "$target/debug/scenario" "$@"
fi
# Sessions that stay open take descriptors, here as in the proxy and the nodes.
ulimit -n "$(ulimit -Hn)"
if [[ " $* " != *" --pointsman "* ]]; then
    echo "Building the proxy as it is shipped (fat LTO: several minutes the first time) ..."
    # --workspace, so that features are those of every other build and no dependency is built twice.
    cargo build --locked --profile dist --workspace --bin pointsman
    arguments+=(--pointsman "$target/dist/pointsman")
fi
if [[ " $* " != *" --tools "* ]]; then
    cargo build --locked --profile dist --workspace --bin demo-node
    arguments+=(--tools "$target/dist")
fi
cargo build --locked --workspace --bin scenario
exec "$target/debug/scenario" "${arguments[@]}"
