#!/usr/bin/env bash
# `make faults`: every fault injected for real, one row after the other; what clients notice. Arguments go to `faults`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
target=${CARGO_TARGET_DIR:-target}
arguments=("$@")
if [[ " $* " == *" --list "* || " $* " == *" --help "* ]]; then
    cargo build --locked --workspace --bin faults
    exec "$target/debug/faults" "$@"
fi
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
cargo build --locked --workspace --bin faults
exec "$target/debug/faults" "${arguments[@]}"
