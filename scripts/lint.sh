#!/usr/bin/env bash
# `make lint`: formatting, clippy, shellcheck, and cargo-deny where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

need_build
need shellcheck:shellcheck
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    rustup component add "${component/fmt/rustfmt}" || { echo "cargo $component is missing" >&2; exit 1; }
done
shellcheck -x scripts/*.sh .ci/run
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
if cargo deny --version >/dev/null 2>&1; then
    cargo deny check
else
    echo "cargo-deny is not installed; licences and advisories were not checked (cargo install cargo-deny)"
fi
