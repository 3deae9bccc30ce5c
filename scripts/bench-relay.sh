#!/usr/bin/env bash
# Compares what a line to everybody costs: this server, a plain UDP relay, and those of ENet, Redis and NATS
# that are here. Builds what it needs, then runs scripts/bench/run.py; its options are passed on.
#
# Needs: two processors, python3, taskset. For the others: redis-server, nats-server, libenet-dev and cc
# (Debian's names). As root it asks for precedence, so that other programs disturb it less.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in cargo python3 taskset; do
    command -v "$tool" >/dev/null || { echo "bench-relay: $tool is needed" >&2; exit 2; }
done
cargo build --release --bin chatagram --examples
target=${CARGO_TARGET_DIR:-target}/release
for part in relay load; do
    if ! cc -O2 -o "$target/bench-enet-$part" "scripts/bench/enet_$part.c" -lenet 2>/dev/null; then
        rm -f "$target/bench-enet-$part"
        echo "bench-relay: ENet is left out: libenet-dev and cc are needed" >&2
    fi
done
ulimit -n "$(ulimit -H -n)"
# The kernel schedules sessions as groups; a session of its own lets `nice` count.
exec setsid --wait python3 scripts/bench/run.py "$@"
