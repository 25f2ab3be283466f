#!/usr/bin/env bash
# `make scenario NAME=…`: a system that people built by hand, played under load, without and with failures. Without NAME:
# the list. Arguments go to `scenario`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
target=${CARGO_TARGET_DIR:-target}
if [[ $# -eq 0 || " $* " == *" --help "* ]]; then
    cargo build --quiet --locked --workspace --bin scenario
    exec "$target/debug/scenario" "$@"
fi
# Sessions that stay open take descriptors, here as in the proxy and the nodes.
ulimit -n "$(ulimit -Hn)"
run_against_shipped scenario "$@"
