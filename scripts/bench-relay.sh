#!/usr/bin/env bash
# Compares the cost of relaying a line to every peer: this server, a plain UDP relay, and ENet,
# Redis and NATS if they are installed. Builds the programs and runs scripts/bench/run.py with the
# given options. With `--relays room` it compares one room on 1 to 10 servers.
#
#   scripts/bench-relay.sh --repetitions 5 --settings '20 out,320 out,200 l,50 l'
#   scripts/bench-relay.sh --relays room --settings 'room of 50'
#
# Needs two processors, python3 and taskset. For the other relays: redis-server, nats-server,
# libenet-dev and cc (Debian's names). As root it raises its priority, so that other programs
# disturb it less.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
case " $* " in
*" -h "* | *" --help "*)
    sed -n '2,/^set -/s/^# \{0,1\}//p' scripts/bench-relay.sh
    echo
    exec python3 scripts/bench/run.py --help
    ;;
esac
for tool in cargo python3 taskset; do
    command -v "$tool" >/dev/null || { echo "bench-relay: $tool is needed" >&2; exit 2; }
done
cargo build --profile dist --features redis,quic --bin chatagram --examples
target=${CARGO_TARGET_DIR:-target}/dist
for part in relay load; do
    if ! cc -O2 -o "$target/bench-enet-$part" "scripts/bench/enet_$part.c" -lenet 2>/dev/null; then
        rm -f "$target/bench-enet-$part"
        echo "bench-relay: ENet is left out: libenet-dev and cc are needed" >&2
    fi
done
ulimit -n "$(ulimit -H -n)"
# The kernel schedules sessions as groups; a session of its own lets `nice` count.
exec setsid --wait python3 scripts/bench/run.py "$@"
