#!/usr/bin/env bash
# `make bench`: the microbenchmarks.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
# The profile that is shipped: without LTO a call into a policy costs twice as much. --workspace, so that features are
# those of every other build and no dependency is built twice.
exec cargo bench --locked --profile dist --workspace --bench pick --bench membership "$@"
