#!/usr/bin/env bash
# `make faults`: every fault injected for real, one row after the other; what clients notice. Arguments go to `faults`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
target=${CARGO_TARGET_DIR:-target}
if [[ " $* " == *" --list "* || " $* " == *" --help "* ]]; then
    cargo build --locked --workspace --bin faults
    exec "$target/debug/faults" "$@"
fi
run_against_shipped faults "$@"
