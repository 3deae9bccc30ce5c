#!/usr/bin/env bash
# A network of three namespaces with tc/netem in the middle:
#
#   cg-clients 10.77.1.2 ── 10.77.1.1 cg-router 10.77.2.1 ── 10.77.2.2 cg-server
#
# netem sits on the router's two interfaces, so that a loss is not reported to the sender's own stack.
#
#   scripts/netem-net.sh up [NETEM...]     make it; NETEM as in tc-netem(8), for each direction
#   scripts/netem-net.sh set NETEM...      change what the router does, such as: delay 25ms loss 5%
#   scripts/netem-net.sh show              what it does, and what it did
#   scripts/netem-net.sh down              take it away
#   scripts/netem-net.sh with 'NETEM' COMMAND...   up, run the command, down: also on failure and Ctrl-C
#
# --dry-run before the verb prints the commands instead. Needs root, iproute2 and a kernel with
# sch_netem; scripts/with-netem-kernel.sh lends one.
set -euo pipefail

die() {
    echo "netem-net.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" | sed '$d'
}

run() {
    if [ -n "$dry" ]; then echo "$*"; else "$@"; fi
}

check() {
    [ -z "$dry" ] || return 0
    command -v ip >/dev/null || die "ip is missing: apt-get install iproute2"
    command -v tc >/dev/null || die "tc is missing: apt-get install iproute2"
    [ "$(id -u)" = 0 ] || die "only root can make network namespaces: sudo $0 ..."
}

up() {
    local ns
    for ns in cg-clients cg-router cg-server; do
        run ip netns add $ns || die "namespace $ns is there already: run '$0 down' first"
        run ip -n $ns link set lo up
    done
    run ip -n cg-clients link add eth0 type veth peer name clients netns cg-router
    run ip -n cg-server link add eth0 type veth peer name server netns cg-router
    run ip -n cg-clients addr add 10.77.1.2/24 dev eth0
    run ip -n cg-router addr add 10.77.1.1/24 dev clients
    run ip -n cg-router addr add 10.77.2.1/24 dev server
    run ip -n cg-server addr add 10.77.2.2/24 dev eth0
    run ip -n cg-clients link set eth0 up
    run ip -n cg-router link set clients up
    run ip -n cg-router link set server up
    run ip -n cg-server link set eth0 up
    run ip -n cg-clients route add default via 10.77.1.1
    run ip -n cg-server route add default via 10.77.2.1
    run ip netns exec cg-router sysctl -qw net.ipv4.ip_forward=1
    [ $# -eq 0 ] || netem add "$@"
}

netem() { # netem add|replace NETEM...
    local verb=$1 interface
    shift
    for interface in clients server; do
        run tc -n cg-router qdisc "$verb" dev $interface root netem limit 10000 "$@" ||
            die "the kernel did not take 'netem $*': is it right, and does the kernel have sch_netem? try scripts/with-netem-kernel.sh"
    done
}

down() {
    local ns
    for ns in cg-clients cg-router cg-server; do
        run ip netns del $ns 2>/dev/null || true
    done
}

dry=
[ "${1:-}" = --dry-run ] && {
    dry=1
    shift
}
case ${1:-} in
up | set | with)
    verb=$1
    shift
    check
    case $verb in
    up)
        trap 'down' ERR INT TERM
        up "$@"
        ;;
    set) [ $# -gt 0 ] || die "set what? such as: delay 25ms loss 5%" && netem replace "$@" ;;
    with)
        [ $# -gt 1 ] || die "usage: $0 with 'NETEM...' COMMAND..."
        trap down EXIT
        # shellcheck disable=SC2086 # several words
        up $1
        shift
        run "$@"
        ;;
    esac
    ;;
show)
    check
    for interface in clients server; do run tc -n cg-router -s qdisc show dev $interface; done
    ;;
down)
    check
    down
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
