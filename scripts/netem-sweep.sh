#!/usr/bin/env bash
# Runs the plans of `chatagram lab` over tc/netem, in the namespaces of netem-net.sh. The files and
# the report are those of the lab.
#
#   scripts/netem-sweep.sh [PLAN.toml] [OPTION...]   options of 'chatagram lab', such as --loss 0,5
#   scripts/netem-sweep.sh --resume --out DIR        continue a stopped sweep
#
# Without a plan and without --repetitions it measures each condition five times; with --repetitions
# auto, until the intervals are narrow. A run that the machine spoiled is measured again, at most
# twice. Each run has server.csv, how long the server held lines back, and trace.pcapng, a capture
# of both sides of the router, made by dumpcap, or else by tcpdump and Python; it ends at 64 MB.
# --no-trace writes none. --dry-run prints the commands instead. The program is $CHATAGRAM,
# target/release/chatagram or the chatagram in PATH. Needs root, iproute2 and a kernel with
# sch_netem. Without such a kernel the sweep runs under the one that scripts/with-netem-kernel.sh
# lends, in virtual time, so a busy machine delays nothing. netem draws its losses anew each time:
# modes and repetitions meet the same share of losses, not the same lost packets.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
server=10.77.2.2:2428
trace_kb=65536 # largest size of a capture
capture_mb=16 # of the kernel's memory: packets wait there while the machine is busy
ethernet=14 # bytes of header that netem counts and the lab does not

die() {
    echo "netem-sweep.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0"
}

net() {
    "$here/netem-net.sh" ${dry:+--dry-run} "$@"
}

run() {
    if [ -n "$dry" ]; then echo "$*"; else "$@"; fi
}

find_program() {
    local release=$here/../target/release/chatagram
    if [ -n "${CHATAGRAM:-}" ]; then
        program=$CHATAGRAM
    elif [ -x "$release" ]; then
        program=$release
    else
        program=$(command -v chatagram) ||
            die "no chatagram: cargo build --release, or say where it is: CHATAGRAM=path $0 ..."
    fi
    "$program" --version >/dev/null || die "$program does not run"
}

check() {
    [ -z "$dry" ] || return 0
    command -v ip >/dev/null || die "ip is missing: apt-get install iproute2"
    command -v tc >/dev/null || die "tc is missing: apt-get install iproute2"
    [ "$(id -u)" = 0 ] || die "only root can make network namespaces: sudo $0 ..."
    if unshare -n tc qdisc add dev lo root netem 2>/dev/null; then
        # The processor of the lent kernel has this name.
        ! grep -qi 'user mode linux' /proc/cpuinfo || [ "${UML_CLOCK:-}" = virtual ] ||
            echo "this kernel's clock is the host's, on which a busy machine makes packets late:" \
                "UML_CLOCK=virtual scripts/with-netem-kernel.sh $0 ..." >&2
        return
    fi
    grep -qi 'user mode linux' /proc/cpuinfo &&
        die "the lent kernel has no sch_netem: is its package whole?"
    for tool in linux.uml insmod cc; do
        command -v $tool >/dev/null ||
            die "this kernel has no sch_netem, and $tool for another one is missing:" \
                "apt-get install user-mode-linux kmod gcc libc6-dev"
    done
    echo "this kernel has no sch_netem: measuring under User-mode Linux, with a virtual clock" >&2
    UML_CLOCK=${UML_CLOCK:-virtual} exec "$here/with-netem-kernel.sh" \
        "$here/netem-sweep.sh" "${given[@]}"
}

prepare() { # makes the directory ready, and puts the plan there
    local asked
    asked=$("$program" lab "${plan[@]}" ${repetitions:+--repetitions $repetitions} --print-plan)
    if [ -n "$resume" ]; then
        [ -f "$out/plan.toml" ] || die "there is no lab in $out to go on with: leave --resume out"
        [ ${#plan[@]} = 0 ] || [ "$asked" = "$(cat "$out/plan.toml")" ] ||
            die "the lab in $out has another plan: leave the options out to go on with it," \
                "or choose another --out"
        lock
        return
    fi
    mkdir -p "$out"
    lock
    [ "$(ls -A "$out")" = lab.lock ] ||
        die "$out is not empty: add --resume to go on with the lab in it, or choose another --out"
    mkdir -p "$out/runs"
    printf '%s\n' "$asked" >"$out/plan.toml"
}

all_there() { # all_there TOOL...
    local tool
    for tool; do command -v "$tool" >/dev/null || return 1; done
}

lock() { # the lock of `chatagram lab` on the directory, until this script ends
    command -v flock >/dev/null || die "flock is missing: apt-get install util-linux"
    until [ -n "$locked" ]; do
        exec 9>>"$out/lab.lock"
        flock -n 9 ||
            die "$out is in use: process $(cat "$out/lab.lock") measures in it;" \
                "wait until it ends, or choose another --out"
        # The previous owner may have removed the file between opening and locking it.
        [ "$out/lab.lock" -ef /proc/self/fd/9 ] && locked=$out/lab.lock
    done
    echo $$ >"$locked"
}

cleanup() {
    trap '' INT TERM HUP
    stop "$load" "${capturing[@]}" "$serving"
    [ -z "$network" ] || net down
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$locked" ] || rm -f "$locked"
}

stop() { # stop PROCESS...
    local process
    for process; do
        [ -n "$process" ] || continue
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
}

# one NAME NETEM CONTROL SERVER LOAD: a run, in a network of its own, so that netem's counters are
# its own
one() {
    local name=$1 netem=$2 control=$3 options=$4 arguments=$5 part=$out/runs/$1.part status=0
    local node allowed retries peers attempts up down network_text trace controls=(null null)
    local quic=''
    [ -n "$dry" ] || rm -rf "$part"
    case $arguments in *'--transport quic'*) quic=${control/auto/cubic} ;; esac
    network=1
    # shellcheck disable=SC2086 # several words
    net up $netem
    # As the lab does: CUBIC or the machine's if the plan names none. QUIC's is an option.
    [ -n "$quic" ] || for node in cg-clients cg-server; do
        run ip netns exec $node \
            sysctl -qw "net.ipv4.tcp_congestion_control=${control/auto/cubic}" || {
            allowed=net.ipv4.tcp_allowed_congestion_control
            [ "$control" = auto ] ||
                die "run $name: no TCP with $control; as root: modprobe tcp_$control, or" \
                    "sysctl -w $allowed='$(sysctl -n $allowed) $control'"
            echo "$name: TCP keeps the machine's congestion control, for cubic cannot be had" >&2
        }
        # As the lab does: over a long path a handshake takes minutes.
        [ "$(word_after --expiry "$options")" = 10000ms ] ||
            for retries in tcp_syn_retries tcp_synack_retries; do
                run ip netns exec $node sysctl -qw net.ipv4.$retries=10
            done
    done
    # 2,000 is the largest number of peers in a plan.
    # shellcheck disable=SC2206
    local serve=(ip netns exec cg-server "$program" server --bind "$server" --no-history
        --no-discovery -q --max-peers 2000 --max-peers-per-ip 2000 --rate-limit off
        $options --record-waits "$part/server.csv")
    # shellcheck disable=SC2206
    local drive=(ip netns exec cg-clients "$program" load "$server" $arguments --out "$part")
    if [ -n "$dry" ]; then
        [ -z "$capture" ] || begin_capture "$part"
        echo "${serve[*]} &"
        echo "${drive[*]}"
        echo "tc -n cg-router -s -j qdisc show dev server root # and clients: into $part/run.json"
        net down
        network=
        echo "mv $part $out/runs/$name"
        return
    fi
    mkdir -p "$part"
    [ -z "$capture" ] || begin_capture "$part"
    "${serve[@]}" >"$work/said" 2>"$work/server" 9>&- &
    serving=$!
    exec {said}<"$work/said"
    # The server prints a line when it listens.
    read -r -u "$said" || die "run $name: the server failed: $(tail -n 3 "$work/server")"
    # In the background, so that the shell handles signals at once.
    "${drive[@]}" >/dev/null 2>"$work/load" 9>&- &
    load=$!
    case $arguments in
    *'--transport tcp'*)
        peers=$(($(word_after --senders "$arguments") + $(word_after --receivers "$arguments")))
        mapfile -t controls <<<"$(controls_of $peers)"
        ;;
    *'--transport quic'*) controls=(null "\"$quic\"") ;;
    esac
    wait "$load" || status=$?
    load=
    [ $status = 0 ] || die "run $name: the load failed ($status): $(tail -n 3 "$work/load")"
    for node in "${controls[@]}"; do
        [ "$control" = auto ] || [ "$node" = null ] || [ "$node" = "\"$control\"" ] ||
            die "run $name: its sockets had $node in place of $control"
    done
    stop "$serving"
    serving=
    exec {said}<&-
    # Closed connections may still send for minutes. Now nothing that they send enters the router.
    for node in cg-clients cg-server; do tc -n $node qdisc replace dev eth0 root blackhole; done
    up=$(counts clients server)
    down=$(counts server clients)
    network_text="{ \"up\": $up, \"down\": $down,"
    network_text+=" \"kernel\": { $(sides clients), $(sides server) } }"
    trace=null
    [ -z "$capture" ] || end_capture "$part" "$name" "$up" "$down"
    attempts=0
    if number attempts "$(cat "$out/runs/$name/run.json" 2>/dev/null)"; then attempts=$REPLY; fi
    annotate "$part" "$netem" "$network_text" "$trace" $((attempts + 1)) "${controls[1]}"
    net down
    network=
    # A damaged run that is measured again: mv would move the new one into it.
    rm -rf "$out/runs/$name"
    mv "$part" "$out/runs/$name"
}

word_after() { # word_after OPTION ARGUMENTS
    local rest=${2##*"$1 "}
    echo "${rest%% *}"
}

# controls_of CONNECTIONS: the congestion controls that the kernel reports of the clients' sockets
# and of the server's, once there are as many; null if it reports none.
controls_of() {
    local node sockets socket names
    for node in cg-clients cg-server; do
        names=
        while kill -0 "$load" 2>/dev/null; do
            mapfile -t sockets <<<"$(ip netns exec $node ss -tinOH state established)"
            if [ ${#sockets[@]} -ge "$1" ]; then
                for socket in "${sockets[@]}"; do
                    # The name stands before the window scaling.
                    [[ $socket =~ ([a-z][a-z0-9_]*)' wscale:' ]] || continue
                    case ,$names, in
                    *,${BASH_REMATCH[1]},*) ;;
                    *) names+=${names:+,}${BASH_REMATCH[1]} ;;
                    esac
                done
                break
            fi
            sleep 0.2
        done
        if [ -n "$names" ]; then echo "\"$names\""; else echo null; fi
    done
}

begin_capture() { # begin_capture DIR
    local side tool begun='^File: ' tools=()
    if [ "$capture" = dumpcap ]; then
        tool="dumpcap -q -B $capture_mb -i clients -i server -a filesize:$trace_kb"
        tools=("$tool -w $work/both.pcapng")
    else
        begun='listening on '
        for side in clients server; do
            tool="tcpdump -Z root -U -B $((capture_mb * 1024)) --time-stamp-precision=nano"
            tools+=("$tool -i $side -w $work/$side.pcap")
        done
    fi
    for tool in "${tools[@]}"; do
        if [ -n "$dry" ]; then
            echo "ip netns exec cg-router $tool &"
            continue
        fi
        : >"$work/capture.${#capturing[@]}"
        # shellcheck disable=SC2086 # several words
        (
            [ "$capture" = dumpcap ] || ulimit -f $((trace_kb / 2))
            exec ip netns exec cg-router $tool
        ) 2>"$work/capture.${#capturing[@]}" 9>&- &
        capturing+=($!)
    done
    for ((side = 0; side < ${#capturing[@]}; side++)); do
        until grep -q "$begun" "$work/capture.$side"; do
            kill -0 "${capturing[side]}" 2>/dev/null ||
                die "$capture failed: $(tail -n 3 "$work/capture.$side"); --no-trace does without"
            sleep 0.05
        done
    done
}

captured() { # makes both.pcapng of what tcpdump has written, and prints how many packets are in it
    if [ "$capture" = dumpcap ]; then
        capinfos -TrMc "$work/both.pcapng" 2>/dev/null | cut -f2
    else
        python3 "$here/join_captures.py" "$work"/{clients,server}.pcap "$work/both.pcapng"
    fi
}

# end_capture DIR NAME UP DOWN: ends the capture, which must have each packet that netem counted,
# and puts what run.json says about it into `trace`. One at its largest size lacks the last packets.
end_capture() {
    local way crossings=0 try packets bytes slow process beyond=0
    for way in "$3" "$4"; do
        number packets "$way" && crossings=$((crossings + REPLY))
        number delivered "$way" && crossings=$((crossings + REPLY))
    done
    # The kernel hands packets over within 250 ms, and nothing crosses any more.
    for ((try = 0; try < 8; try++)); do
        sleep 0.25
        [ "$(captured)" -lt "$crossings" ] || break
        for process in "${capturing[@]}"; do kill -0 "$process" 2>/dev/null || break 2; done
    done
    for process in "${capturing[@]}"; do kill -0 "$process" 2>/dev/null || beyond=1; done
    stop "${capturing[@]}"
    capturing=()
    packets=$(captured)
    slow=$(cat "$work"/capture.* | sed -n -e 's/^Packets received.*: [0-9]*\/\([0-9]*\) .*/\1/p' \
        -e 's/^\([0-9]*\) packets\? dropped by kernel/\1/p' | paste -sd+)
    slow=$((slow))
    [ $beyond = 0 ] || beyond=$((crossings - packets - slow))
    [ $((packets + slow + beyond)) = "$crossings" ] ||
        die "run $2: $packets packets were captured and $slow missed, and the kernel counted" \
            "$crossings"
    if [ "$capture" = dumpcap ]; then
        # It writes what it has of one interface before the other.
        reordercap "$work/both.pcapng" "$1/trace.pcapng" >/dev/null
    else
        cp "$work/both.pcapng" "$1/trace.pcapng"
    fi
    rm -f "$work"/*.pcap* "$work"/capture.*
    chmod a+r "$1/trace.pcapng"
    bytes=$(stat -c %s "$1/trace.pcapng")
    trace="{ \"packets\": $packets, \"bytes\": $bytes,"
    trace+=" \"beyond_limit\": $beyond, \"too_slow\": $slow }"
}

number() { # number NAME JSON: puts the number into REPLY; false if there is none
    [[ $2 =~ \"$1\":\ *([0-9]+) ]] && REPLY=${BASH_REMATCH[1]}
}

# counts IN OUT: netem's counters of the packets that entered by one interface and left by the
# other, once none waits. `packets` and `bytes` are those that left; the other interface counts
# those that entered. `drops` are losses, and packets that found a full queue of 10,000.
counts() {
    local received=/sys/class/net/$1/statistics/rx
    local statistics="ip netns exec cg-router cat ${received}_packets ${received}_bytes"
    local try json packets bytes left left_bytes lost held
    for ((try = 0; try < 1200; try++)); do
        { read -r packets && read -r bytes; } <<<"$($statistics)"
        json=$(tc -n cg-router -s -j qdisc show dev "$2" root)
        number packets "$json" && left=$REPLY
        number bytes "$json" && left_bytes=$REPLY
        number drops "$json" && lost=$REPLY
        number qlen "$json" && held=$REPLY
        if [ "$held" = 0 ] && [ "$packets" = $((left + lost)) ]; then
            echo "{ \"packets\": $packets, \"bytes\": $((bytes - packets * ethernet))," \
                "\"lost\": $lost, \"delivered\": $left," \
                "\"delivered_bytes\": $((left_bytes - left * ethernet)) }"
            return
        fi
        sleep 0.05
    done
    die "netem's counters do not add up: $packets packets came in by $1; $left left by $2," \
        "$lost were lost, $held wait"
}

sides() { # sides NODE: what the kernel of a node counted
    local counted=/sys/class/net/eth0/statistics sent received
    { read -r sent && read -r received; } <<<"$(ip netns exec "cg-$1" \
        cat $counted/tx_packets $counted/rx_packets)"
    echo "\"$1_sent\": $sent, \"$1_received\": $received, \"$1_refused\": 0"
}

# annotate DIR NETEM NETWORK TRACE ATTEMPTS CONTROL: adds the network's setting, counters and
# capture, the attempt, the server's congestion control and the sum of its file to run.json
annotate() {
    local file=$1/run.json known rows sum waits
    rows=$(($(wc -l <"$1/server.csv") - 1))
    # The last eight bytes that gzip writes are the CRC-32 and the length (RFC 1952).
    sum=$(gzip -1c "$1/server.csv" | tail -c 8 | od -An -N4 -tu4 --endian=little)
    waits="{ \"file\": \"server.csv\", \"rows\": $rows, \"crc32\": $sum }"
    sed -e "s/^  \"impair\": null,\$/  \"impair\": \"netem $2\",/" \
        -e 's/^  "emulation": null,$/  "emulation": "netem",/' \
        -e "s/^  \"attempts\": 1,\$/  \"attempts\": $5,/" \
        -e "s/^  \"server_congestion_control\": null,\$/  \"server_congestion_control\": $6,/" \
        -e "s/^  \"network\": null,\$/  \"network\": $3,/" \
        -e "s/^  \"files\": \[\$/&$waits,/" \
        -e "s/^  \"trace\": null\$/  \"trace\": $4/" "$file" >"$file.new"
    known='^  "(impair": "netem |emulation": "netem|network": \{ "up"|trace": |attempts": )'
    known+='|^  "(server_congestion_control": |files": \[\{ "file": "server.csv")'
    [ "$(grep -cE "$known" "$file.new")" = 7 ] ||
        die "$file does not have the lines this script knows: is $program of the same version?"
    mv "$file.new" "$file"
}

dry='' resume='' no_trace='' out=chatagram-lab plan=() given=("$@")
network='' serving='' load='' capturing=() capture='' work='' locked=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry=1 ;;
    --resume) resume=1 ;;
    --no-trace) no_trace=1 ;;
    --out=*) out=${1#--out=} ;;
    --out)
        [ $# -gt 1 ] || die "--out where?"
        out=$2
        shift
        ;;
    -h | --help)
        usage
        exit
        ;;
    *) plan+=("$1") ;;
    esac
    shift
done

# Five repetitions, whose interval covers the median with 94 %, unless a plan or an option says
# more.
repetitions=5
case " ${plan[*]} " in *.toml\ * | *' --repetitions'*) repetitions= ;; esac
[ -z "${CHATAGRAM_REPETITIONS:-}${CHATAGRAM_PLAN:-}" ] || repetitions=

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
find_program
check
remaining() { # the runs that are left: all of a new lab, and later those that the machine spoiled
    "$program" lab "$out/plan.toml" --print-runs --resume --out "$out"
}

if [ -n "$dry" ]; then
    runs=$("$program" lab "${plan[@]}" ${repetitions:+--repetitions $repetitions} --print-runs)
else
    prepare
    runs=$(remaining)
fi
# Every option has an environment variable with this prefix; a run depends on its plan alone.
for twin in "${!CHATAGRAM_@}"; do unset "$twin"; done

if [ -n "$no_trace" ]; then
    capture=
elif [ -n "$dry" ] || all_there dumpcap capinfos reordercap; then
    capture=dumpcap
elif all_there tcpdump python3; then
    capture=tcpdump
else
    echo "netem-sweep.sh: no captures, for dumpcap is missing: apt-get install wireshark-common" >&2
fi
work=$(mktemp -d)
mkfifo "$work/said"
while [ -n "$runs" ]; do
    total=$(grep -c . <<<"$runs") done=0
    while IFS=$'\t' read -r -u 3 name netem control options arguments; do
        done=$((done + 1))
        echo "[$done/$total] $name" >&2
        one "$name" "$netem" "$control" "$options" "$arguments"
    done 3<<<"$runs"
    [ -z "$dry" ] || break
    runs=$(remaining)
done
run "$program" report "$out"
