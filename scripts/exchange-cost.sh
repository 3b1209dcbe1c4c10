#!/bin/sh
# What one exchange over a WebSocket costs in instructions of our own process, the kernel's not counted.
#
#   scripts/exchange-cost.sh [path of the example exchange_cost]
#
# Under callgrind with two numbers of exchanges; only what the thread does that asks is counted, and the difference of the two
# numbers is free of connecting.
set -eu

example=${1:-target/release/examples/exchange_cost}
few=1000
many=5000
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# instructions EXCHANGES
instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$files/out" --toggle-collect='exchange_cost::exchange' "$example" "$1" \
        > "$files/stdout" 2> "$files/stderr" || { cat "$files/stderr" >&2; exit 1; }
    sed -n 's/^summary: *//p; s/^totals: *//p' "$files/out" | head -n 1
}

printf '{"instructionsPerExchange":%d}\n' $(( ($(instructions $many) - $(instructions $few)) / (many - few) ))
