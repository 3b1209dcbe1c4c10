#!/bin/sh
# What observing a packet costs in instructions, as a share of what the engine spends on it.
#
#   scripts/observer-cost.sh [path of the example observer_cost]
#
# Two sans-IO peers under callgrind, with two numbers of packets each with and without the observer: the difference of
# the two numbers is free of connecting. Both sides' observers are told every packet, and both sides' engines handle it,
# so the share is that of one packet at one side. Fails above the limit (LIMIT, default 3 percent).
set -eu

example=${1:-target/release/examples/observer_cost}
limit=${LIMIT:-3}
few=2000
many=12000
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# instructions PACKETS [OPTION]
instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$files/out" "$example" --packets "$@" \
        > "$files/stdout" 2> "$files/stderr" || { cat "$files/stderr" >&2; exit 1; }
    sed -n 's/^summary: *//p; s/^totals: *//p' "$files/out" | head -n 1
}

plain=$(( ($(instructions $many) - $(instructions $few)) / (many - few) ))
observed=$(( ($(instructions $many --observe) - $(instructions $few --observe)) / (many - few) ))
awk -v plain="$plain" -v observed="$observed" -v limit="$limit" 'BEGIN {
    share = (observed - plain) * 100 / plain
    printf "{\"instructionsPerPacket\":%d,\"observed\":%d,\"sharePercent\":%.2f,\"limitPercent\":%s}\n", \
        plain, observed, share, limit
    exit !(share <= limit)
}'
