#!/usr/bin/env bash
# `make bench`: the microbenchmarks.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
exec cargo bench --locked -p pointsman-benches "$@"
