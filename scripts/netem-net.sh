#!/usr/bin/env bash
# A network of three namespaces with tc/netem in the middle:
#
#   cg-clients 10.77.1.2 ── 10.77.1.1 cg-router 10.77.2.1 ── 10.77.2.2 cg-server
#
# netem is on the router's two interfaces, so that the sender's kernel does not learn of a loss.
# netem sees single packets, each once, and only those of the conversation.
#
#   scripts/netem-net.sh up [NETEM...]     make the network; NETEM as in tc-netem(8), per direction
#   scripts/netem-net.sh set NETEM...      replace all settings, such as: delay 25ms loss 5%
#   scripts/netem-net.sh show              print the settings and the counters
#   scripts/netem-net.sh down              remove the network
#   scripts/netem-net.sh with 'NETEM' COMMAND...
#                                          up, run the command, down (always)
#
# --dry-run before the verb prints the commands instead. Needs root, iproute2 and a kernel with
# sch_netem; scripts/with-netem-kernel.sh lends one.
set -Eeuo pipefail

die() {
    echo "netem-net.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0"
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

at_least() { # at_least 6.6 VERSION
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

check_netem() { # check_netem NETEM...: tried on an interface that nothing uses
    [ -z "$dry" ] || return 0
    local tc kernel
    case " $* " in
    *' seed '*)
        # An older tc does not know `seed`; an older kernel accepts and ignores it.
        tc=$(tc -V) kernel=$(uname -r)
        at_least 6.6 "$(sed -n 's/.*iproute2-\([0-9.]*\).*/\1/p' <<<"$tc")" ||
            die "'seed' needs iproute2 6.6 or later, and this is $tc"
        at_least 6.6 "$kernel" || die "'seed' needs Linux 6.6 or later, and this is $kernel"
        ;;
    esac
    unshare -n tc qdisc add dev lo root netem 2>/dev/null ||
        die "this kernel has no sch_netem: try scripts/with-netem-kernel.sh"
    unshare -n tc qdisc add dev lo root netem limit 10000 "$@" ||
        die "tc and the kernel do not take 'netem $*': see tc-netem(8)"
}

check_free() {
    [ -z "$dry" ] || return 0
    ! ip netns list | grep -qE '^cg-(clients|router|server)\b' ||
        die "the namespaces are there already: run '$0 down' first"
}

ip_in() { # ip_in NAMESPACE: runs the commands on standard input
    if [ -n "$dry" ]; then sed "s/^/ip -n $1 /"; else ip -n "$1" -batch -; fi
}

# gso_max_segs: otherwise TCP passes up to 64 KB as one packet, which netem counts, delays and loses
# as one. neigh: with static entries no ARP packet is lost or counted.
up() {
    local ns
    for ns in cg-clients cg-router cg-server; do
        run ip netns add $ns
        # IPv6 announcements would use up losses. A kernel without IPv6 sends none.
        run ip netns exec $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
            net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
    done
    ip_in cg-clients <<'END'
link set lo up
link add eth0 address 02:00:00:00:01:02 type veth peer name clients netns cg-router
link set eth0 gso_max_segs 1
addr add 10.77.1.2/24 dev eth0
link set eth0 up
neigh add 10.77.1.1 lladdr 02:00:00:00:01:01 nud permanent dev eth0
route add default via 10.77.1.1
END
    ip_in cg-server <<'END'
link set lo up
link add eth0 address 02:00:00:00:02:02 type veth peer name server netns cg-router
link set eth0 gso_max_segs 1
addr add 10.77.2.2/24 dev eth0
link set eth0 up
neigh add 10.77.2.1 lladdr 02:00:00:00:02:01 nud permanent dev eth0
route add default via 10.77.2.1
END
    ip_in cg-router <<'END'
link set lo up
link set clients address 02:00:00:00:01:01
link set server address 02:00:00:00:02:01
addr add 10.77.1.1/24 dev clients
addr add 10.77.2.1/24 dev server
link set clients up
link set server up
neigh add 10.77.1.2 lladdr 02:00:00:00:01:02 nud permanent dev clients
neigh add 10.77.2.2 lladdr 02:00:00:00:02:02 nud permanent dev server
END
    run ip netns exec cg-router sysctl -qw net.ipv4.ip_forward=1
    [ $# -eq 0 ] || netem "$@"
}

netem() { # netem NETEM...
    local interface
    for interface in clients server; do
        run tc -n cg-router qdisc add dev $interface root netem limit 10000 "$@"
    done
}

no_netem() { # also where there was none
    local interface
    for interface in clients server; do
        run tc -n cg-router qdisc del dev $interface root 2>/dev/null || true
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
        check_netem "$@"
        check_free
        trap 'down; exit 2' ERR INT TERM
        up "$@"
        ;;
    set)
        [ $# -gt 0 ] || die "set what? such as: delay 25ms loss 5%"
        check_netem "$@"
        # `tc qdisc replace` would keep the rate, corruption and reordering of before.
        no_netem
        netem "$@"
        ;;
    with)
        [ $# -gt 1 ] || die "usage: $0 with 'NETEM...' COMMAND..."
        # shellcheck disable=SC2086 # several words
        check_netem $1
        check_free
        trap down EXIT
        # shellcheck disable=SC2086
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
-h | --help)
    usage
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
