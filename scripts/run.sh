#!/usr/bin/env bash
# `make run`: the proxy with config/scenarios/demo.yaml and three demo nodes that join through the registry.
# shellcheck disable=SC2317  # much here is called through a trap or by name
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/need.sh
. scripts/need.sh

readonly config=config/scenarios/demo.yaml
readonly proxy_url=http://127.0.0.1:8080
readonly admin_url=http://127.0.0.1:9901
readonly state=var/demo
nodes=()
proxy=

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

refuse_taken_ports() {
    local port
    for port in 8080 9901; do
        if taken "$port"; then
            echo "Port $port is taken: another program listens on it (\`ss -ltnp 'sport = :$port'\` names it)." >&2
            echo "Stop that program, or change the address in $config, then try again." >&2
            exit 1
        fi
    done
}

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# end PID…: asks each to end, waits five seconds, then ends what is left. Only processes that were started here.
end() {
    local pid tries
    for pid in "$@"; do alive "$pid" && kill -TERM "$pid" 2>/dev/null; done
    for pid in "$@"; do
        tries=0
        while alive "$pid" && [ "$tries" -lt 50 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        alive "$pid" && kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null || true
    done
    return 0
}

stop() {
    trap - EXIT
    trap '' INT TERM
    echo
    echo "Stopping ..."
    # The nodes first: they leave the registry while it is still there.
    [ ${#nodes[@]} -eq 0 ] || end "${nodes[@]}"
    [ -z "$proxy" ] || end "$proxy"
}

# until_true SECONDS WHAT COMMAND…
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        alive "$proxy" || { echo "The proxy has ended; its last words stand above." >&2; exit 1; }
        [ $SECONDS -lt $deadline ] || { echo "Not within the time allowed: $what." >&2; exit 1; }
        sleep 0.1
    done
}

answers() { curl -fsS -o /dev/null "$admin_url/livez" 2>/dev/null; }
ready() { curl -fsS -o /dev/null "$admin_url/readyz" 2>/dev/null; }
nodes_up() {
    local service up
    for service in oms api; do
        up=$(curl -fsS "$admin_url/v1/services/$service" 2>/dev/null | grep -o '"standing": *"up"' | wc -l)
        [ "$up" -ge 3 ] || return 1
    done
}

tell() {
    local bin=$1
    cat <<TEXT

  the proxy            $proxy_url            process $proxy
  the operator's page  $admin_url/           and /metrics  /v1/services  /v1/policies  /v1/config
  its configuration    $config
  nodes                oms-1 process ${nodes[0]}   oms-2 process ${nodes[1]}   oms-3 process ${nodes[2]}
  the access log       $state/access.log

Try, in another terminal, from $PWD:

  # An order of customer 7: customer id mod 3, plus one, is its node. Another customer, another node, each time the same.
  curl -si $proxy_url/orders -H 'x-customer-id: 7' -d '{"clOrdID":"A-1","symbol":"ABC","quantity":100}'
  curl -s  $proxy_url/orders -H 'x-customer-id: 7'

  # Everything else goes to the nodes in turn.
  for i in 1 2 3 4 5 6; do curl -s $proxy_url/; echo; done

  # A WebSocket goes through as well: 101, and x-node says to whom.
  curl -si -N --max-time 1 $proxy_url/ws -H 'Connection: Upgrade' -H 'Upgrade: websocket' \\
    -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ=='

  # Kill a node under load: nothing fails. Look who is up, then bring it back.
  $bin/demo-load $proxy_url/ --rate 500 --duration 10s & sleep 3; kill -9 ${nodes[1]}; wait
  curl -s $admin_url/v1/services/api
  $bin/demo-node --id oms-2 --ordinal 2 --join $admin_url --service oms --service api

  # Swap a policy while requests flow: edit the file, it is picked up by itself. A mistake changes nothing and is shown here.
  sed -i 's/policy: round-robin/policy: least-connections/' $config
  git checkout $config

Ctrl-C stops everything.
TEXT
}

main() {
    refuse_taken_ports
    need_build
    need curl:curl
    echo "Building (several minutes the first time) ..."
    # --workspace, so that features are those of `make test` and neither builds the other's dependencies again.
    cargo build --locked --workspace --bin pointsman --bin demo-node --bin demo-load
    local bin=${CARGO_TARGET_DIR:-target}/debug n
    refuse_taken_ports
    mkdir -p "$state"

    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # The substituted process only prefixes lines; $! is the proxy itself.
    "$bin/pointsman" run -c "$config" > >(sed -u 's/^/proxy | /') 2>&1 &
    proxy=$!
    # The nodes would wait by themselves, but would say so.
    until_true 60 "$admin_url/livez answers 200" answers
    for n in 1 2 3; do
        "$bin/demo-node" --id "oms-$n" --ordinal "$n" --join "$admin_url" --service oms --service api &
        nodes+=($!)
    done
    until_true 60 "$admin_url/readyz answers 200" ready
    until_true 60 "three nodes are up in oms and api" nodes_up
    tell "$bin"
    local code=0
    wait "$proxy" || code=$?
    echo "The proxy has ended by itself (exit code $code)." >&2
    exit 1
}

main
