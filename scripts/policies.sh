#!/usr/bin/env bash
# `make policies`: every policy rebuilt from source into policies/dist.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
exec cargo run --locked -q -p pointsman-builder -- --all
