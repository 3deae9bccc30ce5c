#!/usr/bin/env bash
# Puts netem on a real interface, for packets to one host only.
#
#   scripts/netem-lan.sh put INTERFACE HOST NETEM...   such as: put eth0 192.168.1.7 loss 5%
#   scripts/netem-lan.sh show INTERFACE                print the settings and the counters
#   scripts/netem-lan.sh off INTERFACE                 remove netem
#   scripts/netem-lan.sh with INTERFACE HOST 'NETEM' COMMAND...
#                                                      put, run the command, off (always)
#
# HOST is an IPv4 or IPv6 address. netem treats packets that leave towards HOST; for both
# directions, run the script on both machines. NETEM is as in tc-netem(8). --dry-run before the
# verb prints the commands instead. Needs root, iproute2 and a kernel with sch_netem, sch_prio and
# sch_tbf. The script refuses an interface whose queueing is configured already.
#
# TCP and UDP_SEGMENT pass many packets to the kernel as one, which the interface or its driver
# splits. netem would lose and delay them as one. So a token bucket in front of netem splits them
# at the MTU of the interface; its rate is above that of netem.
set -euo pipefail

handle=2428: # how this script knows its own
rate=40gbit  # of the token bucket, which only splits packets

die() {
    echo "netem-lan.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0"
}

run() {
    if [ -n "$dry" ]; then echo "$*"; else "$@"; fi
}

check() { # check INTERFACE
    [ -n "${1:-}" ] || die "which interface? 'ip -brief link' lists them"
    [ -z "$dry" ] || return 0
    command -v tc >/dev/null || die "tc is missing: apt-get install iproute2"
    [ "$(id -u)" = 0 ] || die "only root can change an interface's queueing: sudo $0 ..."
    ip link show dev "$1" >/dev/null 2>&1 || die "no interface '$1': 'ip -brief link' lists them"
}

ours() { # ours INTERFACE: is what is there this script's?
    tc qdisc show dev "$1" root 2>/dev/null | grep -q "^qdisc prio $handle"
}

put() { # put INTERFACE HOST NETEM...
    local interface=$1 host=$2 family match mtu parent=${handle}4
    shift 2
    [ $# -gt 0 ] || die "put what? such as: delay 25ms loss 5%"
    case $host in
    *:*) family=ipv6 match=ip6 ;;
    *[!0-9.]* | '') die "'$host' is no address: 192.168.1.7 or fe80::1, not a name" ;;
    *) family=ip match=ip ;;
    esac
    if [ -z "$dry" ]; then
        ours "$interface" && die "$interface has netem already: '$0 off $interface' first"
        # The kernel's defaults have the handle 0:; the user configured any other.
        tc qdisc show dev "$interface" root | grep -qv '^qdisc [a-z_]* 0:' &&
            die "the queueing of $interface is configured already:" \
                "$(tc qdisc show dev "$interface" root | head -n 1)"
    fi
    # Band 4 is in no priority map: only the filter leads there.
    run tc qdisc add dev "$interface" root handle $handle prio bands 4 ||
        die "the kernel did not take a prio queue on $interface: does it have sch_prio?"
    mtu=$(cat "/sys/class/net/$interface/mtu" 2>/dev/null || echo 1500)
    # The bucket splits larger packets. It holds an Ethernet frame with VLAN tags.
    if run tc qdisc add dev "$interface" parent $parent handle 2430: \
        tbf rate $rate burst $((mtu + 26)) limit 100000000; then
        parent=2430:1
    else
        echo "netem-lan.sh: this kernel has no sch_tbf, so packets that TCP and UDP_SEGMENT hand" \
            "over as one are lost and delayed as one: the loss will not be the one asked for" >&2
    fi
    run tc qdisc add dev "$interface" parent $parent handle 2429: netem limit 10000 "$@" || {
        off "$interface"
        die "the kernel did not take 'netem $*': is it right, does the kernel have sch_netem?" \
            "('seed' needs iproute2 6.6)"
    }
    run tc filter add dev "$interface" parent $handle protocol $family prio 1 \
        u32 match $match dst "$host" flowid ${handle}4 || {
        off "$interface"
        die "the kernel did not take a filter for $host: does it have cls_u32?"
    }
}

off() { # off INTERFACE
    [ -n "$dry" ] || had "$1" >&2
    run tc qdisc del dev "$1" root handle $handle
}

had() { # had INTERFACE: prints the impairment that was asked for, and netem's counters
    local asked counts bytes packets dropped mtu
    local sent='Sent \([0-9]*\) bytes \([0-9]*\) pkts\{0,1\} (dropped \([0-9]*\),'
    asked=$(tc qdisc show dev "$1" | sed -n 's/^qdisc netem 2429: parent [^ ]* limit 10000 *//p')
    counts=$(tc -s qdisc show dev "$1" |
        sed -n "/^qdisc netem 2429:/,/Sent/s/.*$sent.*/\\1 \\2 \\3/p")
    read -r bytes packets dropped <<<"${counts:-0 0 0}"
    [ $((packets + dropped)) -gt 0 ] || return 0
    echo "netem-lan.sh: asked for '${asked% }'; $packets packets left and $dropped were lost," \
        "$((1000 * dropped / (packets + dropped))) in a thousand"
    mtu=$(cat "/sys/class/net/$1/mtu" 2>/dev/null || echo 1500)
    [ "$packets" -eq 0 ] || [ $((bytes / packets)) -le $((mtu + 26)) ] ||
        echo "netem-lan.sh: they were longer than the MTU:" \
            "several packets were lost or delayed as one" >&2
}

dry=
[ "${1:-}" = --dry-run ] && {
    dry=1
    shift
}
verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
put)
    check "$@"
    [ $# -ge 3 ] || die "usage: $0 put INTERFACE HOST NETEM..."
    put "$@"
    ;;
show)
    check "$@"
    [ -n "$dry" ] || ours "$1" || die "there is no netem of this script on $1"
    run tc -s qdisc show dev "$1"
    run tc filter show dev "$1"
    ;;
off)
    check "$@"
    [ -n "$dry" ] || ours "$1" || die "there is no netem of this script on $1"
    off "$1"
    ;;
with)
    check "$@"
    [ $# -ge 4 ] || die "usage: $0 with INTERFACE HOST 'NETEM...' COMMAND..."
    interface=$1 host=$2 netem=$3
    shift 3
    # shellcheck disable=SC2086 # several words
    put "$interface" "$host" $netem
    trap 'off "$interface"' EXIT
    trap 'exit 130' INT TERM
    run "$@"
    ;;
-h | --help)
    usage
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
