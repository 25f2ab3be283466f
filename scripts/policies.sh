#!/usr/bin/env bash
# `make policies`: every policy rebuilt from source into policies/dist.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
# --workspace, so that features are those of `make test` and neither builds the other's dependencies again.
cargo build --locked -q --workspace --bin policy-build
exec "${CARGO_TARGET_DIR:-target}/debug/policy-build" --all "$@"
