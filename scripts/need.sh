# shellcheck shell=bash
# Sourced. `need COMMAND:PACKAGE …` installs the Debian package of each command that is missing; says nothing when all
# are there.

# root_do COMMAND…: as root, directly or through sudo.
root_do() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need() {
    local pair missing=()
    for pair in "$@"; do
        # /usr/sbin is not on everybody's PATH, and nginx and haproxy live there.
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# install_packages PACKAGE…
install_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing: $*. This is not a Debian system; install them with its own tools and try again." >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "Missing: $*. Without root or sudo they cannot be installed from here; as root: apt-get install $*" >&2
        return 1
    fi
    echo "Installing $* ..."
    local log
    log=$(mktemp)
    # RUNLEVEL=1: a server that is installed for a measurement must not start as a service and take port 80.
    # A fresh machine has no package lists; one that has them is spared the update.
    if root_do env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 \
        || { root_do apt-get update >>"$log" 2>&1 \
            && root_do env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; }; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "Installing $* failed; the lines above say why." >&2
        return 1
    fi
}

# What every build needs: a linker, and cmake for the zlib of pingora-core.
need_build() {
    if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null 2>&1; then
        echo "cargo is missing. Install Rust from https://rustup.rs and try again." >&2
        return 1
    fi
    need cc:build-essential c++:build-essential make:make cmake:cmake
}

# run_against_shipped PROGRAM ARGUMENT…: runs a program of benches/ against the proxy as it is shipped, unless the arguments name
# another.
run_against_shipped() {
    local target=${CARGO_TARGET_DIR:-target} program=$1
    shift
    local arguments=("$@")
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
    cargo build --locked --workspace --bin "$program"
    exec "$target/debug/$program" "${arguments[@]}"
}
