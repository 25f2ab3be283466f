#!/usr/bin/env bash
# `make test`: every policy rebuilt from source, then every test of the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
# --force: what is tested is what the sources say today, whatever the digests claim.
scripts/policies.sh --force
mkdir -p out
log=out/test.log
code=0
# The whole output is kept: the closing lines of sixty test binaries do not fit a screen.
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || code=$?
awk '
    /^test result:/ { passed += $4; failed += $6; ignored += $8; binaries++ }
    END { printf "\n%d passed, %d failed, %d ignored in %d test binaries\n", passed, failed, ignored, binaries }
' "$log"
if [ "$code" -ne 0 ]; then
    grep -E '^test .* FAILED$|^error' "$log" | sort -u >&2 || true
    echo "make test failed; the whole output is in $log" >&2
fi
exit "$code"
