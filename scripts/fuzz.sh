#!/usr/bin/env bash
# `make fuzz`: each fuzz target for a while. Arguments: --seconds N (a target; 60), --only NAME[,NAME] (all), --keep (what
# was new goes into fuzz/corpus, as little of it as covers the same).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

# Those that need no more than a crate or two come first, and with the address sanitizer; what needs the whole proxy is
# compiled without, in half the time: unsafe code stands in the lane alone.
readonly light=(heads keys places yaml) whole=(bodies guard wasm)
seconds=60
only=
keep=
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds) seconds=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        --keep) keep=1; shift ;;
        *) echo "fuzz: unknown argument $1; there are --seconds N, --only NAME[,NAME] and --keep" >&2; exit 2 ;;
    esac
done

need_build
# cargo-fuzz brings libFuzzer's sources, so a C++ compiler is all that it needs beside.
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
# The flags of the fuzzer are not stable ones; the toolchain takes them all the same.
export RUSTC_BOOTSTRAP=1
target=${CARGO_TARGET_DIR:-$PWD/target}/fuzz

# run NAME ARGUMENT…: cargo-fuzz's command with the arguments that such a target is built with.
run() {
    local name=$1 command=$2
    shift 2
    local flags=(--target-dir "$target/address")
    [[ " ${whole[*]} " == *" $name "* ]] && flags=(--target-dir "$target/plain" --sanitizer none --features whole)
    env -u CARGO_TARGET_DIR cargo fuzz "$command" "${flags[@]}" "$name" "$@"
}

for name in "${light[@]}" "${whole[@]}"; do
    [ -z "$only" ] || [[ ",$only," == *",$name,"* ]] || continue
    found=out/fuzz/$name
    mkdir -p "$found" "out/fuzz/crashes/$name"
    echo "$name: $seconds s; what is found is kept in $found, what crashes in out/fuzz/crashes/$name"
    # One input that takes 10 s is a fault as much as a panic.
    run "$name" run "$found" "fuzz/corpus/$name" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 \
        -artifact_prefix="out/fuzz/crashes/$name/" -print_final_stats=1 -verbosity=0
    if [ -n "$keep" ]; then
        run "$name" run "fuzz/corpus/$name" "$found" -- -merge=1 -max_len=4096
    fi
done
