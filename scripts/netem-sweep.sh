#!/usr/bin/env bash
# Runs the plans of `chatagram lab` over tc/netem, in the namespaces of netem-net.sh. The files and
# the report are those of the lab.
#
#   scripts/netem-sweep.sh [PLAN.toml] [OPTION...]   options of 'chatagram lab', such as --loss 0,5
#   scripts/netem-sweep.sh --resume --out DIR        continue a stopped sweep
#
# Without a plan and without --repetitions it measures each condition five times. Each run has a
# capture of both sides of the router, trace.pcapng, if dumpcap is installed; it ends at 64 MB.
# --no-trace writes none. --dry-run prints the commands instead. The program is $CHATAGRAM,
# target/release/chatagram or the
# chatagram in PATH. Needs root, iproute2 and a kernel with sch_netem. Without such a kernel the
# sweep runs under the one that scripts/with-netem-kernel.sh lends, in virtual time, so a busy
# machine delays nothing. netem draws its losses anew each time: modes and repetitions meet the
# same share of losses, not the same lost packets.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
server=10.77.2.2:2428
trace_kb=65536 # largest size of a capture
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
    stop "$load"
    stop "$capturing"
    stop "$serving"
    [ -z "$network" ] || net down
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$locked" ] || rm -f "$locked"
}

stop() { # stop PROCESS
    [ -n "$1" ] || return 0
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# one NAME NETEM CONTROL LOAD: a run, in a network of its own, so that netem's counters are its own
one() {
    local name=$1 netem=$2 control=$3 arguments=$4 part=$out/runs/$1.part status=0
    local node allowed redundancy up down trace
    [ -n "$dry" ] || rm -rf "$part"
    network=1
    # shellcheck disable=SC2086 # several words
    net up $netem
    # As the lab does: CUBIC or the machine's if the plan names none.
    for node in cg-clients cg-server; do
        run ip netns exec $node \
            sysctl -qw "net.ipv4.tcp_congestion_control=${control/auto/cubic}" || {
            allowed=net.ipv4.tcp_allowed_congestion_control
            [ "$control" = auto ] ||
                die "run $name: no TCP with $control; as root: modprobe tcp_$control, or" \
                    "sysctl -w $allowed='$(sysctl -n $allowed) $control'"
            echo "$name: TCP keeps the machine's congestion control, for cubic cannot be had" >&2
        }
    done
    redundancy=$(word_after --redundancy "$arguments")
    # 2,000 is the largest number of peers in a plan.
    local serve=(ip netns exec cg-server "$program" server --bind "$server" --no-history
        --no-discovery -q --max-peers 2000 --max-peers-per-ip 2000 --rate-limit off
        --redundancy "$redundancy")
    # shellcheck disable=SC2206
    local drive=(ip netns exec cg-clients "$program" load "$server" $arguments --out "$part")
    local capture=(ip netns exec cg-router dumpcap -q -i clients -i server -a "filesize:$trace_kb"
        -w "$part/trace.pcapng")
    if [ -n "$dry" ]; then
        [ -n "$no_trace" ] || echo "${capture[*]} &"
        echo "${serve[*]} &"
        echo "${drive[*]}"
        echo "tc -n cg-router -s -j qdisc show dev server root # and clients: into $part/run.json"
        net down
        network=
        echo "mv $part $out/runs/$name"
        return
    fi
    if [ -z "$no_trace" ]; then
        mkdir -p "$part"
        : >"$work/dumpcap"
        "${capture[@]}" 2>"$work/dumpcap" 9>&- &
        capturing=$!
        # It names its file when it has begun.
        until grep -q '^File: ' "$work/dumpcap"; do
            kill -0 "$capturing" 2>/dev/null ||
                die "run $name: dumpcap failed: $(tail -n 3 "$work/dumpcap");" \
                    "--no-trace does without"
            sleep 0.05
        done
    fi
    "${serve[@]}" >"$work/said" 2>"$work/server" 9>&- &
    serving=$!
    exec {said}<"$work/said"
    # The server prints a line when it listens.
    read -r -u "$said" || die "run $name: the server failed: $(tail -n 3 "$work/server")"
    # In the background, so that the shell handles signals at once.
    "${drive[@]}" >/dev/null 2>"$work/load" 9>&- &
    load=$!
    wait "$load" || status=$?
    load=
    [ $status = 0 ] || die "run $name: the load failed ($status): $(tail -n 3 "$work/load")"
    stop "$serving"
    serving=
    exec {said}<&-
    up=$(counts clients server)
    down=$(counts server clients)
    trace=$(end_capture "$part" "$up" "$down")
    capturing=
    annotate "$part" "$netem" "$up" "$down" "$trace"
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

# end_capture DIR UP DOWN: ends the capture, and prints what run.json says about it. Of one that had
# reached its largest size, the packets that netem counted and that are not in it are missing.
end_capture() {
    local packets slow bytes beyond=0
    if [ -z "$capturing" ]; then
        echo null
        return
    fi
    # The kernel hands packets over within 250 ms.
    sleep 0.5
    kill "$capturing" 2>/dev/null || beyond=1
    while kill -0 "$capturing" 2>/dev/null; do sleep 0.05; done
    # dumpcap writes what it has of one interface before the other.
    reordercap "$1/trace.pcapng" "$work/trace.pcapng" >/dev/null &&
        cp "$work/trace.pcapng" "$1/trace.pcapng"
    rm -f "$work/trace.pcapng"
    chmod a+r "$1/trace.pcapng"
    packets=$(sed -n 's/.*Packets captured: //p' "$work/dumpcap")
    bytes=$(stat -c %s "$1/trace.pcapng")
    slow=$(sed -n 's/^Packets received.*: [0-9]*\/\([0-9]*\) .*/\1/p' "$work/dumpcap" | paste -sd+)
    [ $beyond = 0 ] || beyond=$(($(number packets <<<"$2") + $(number delivered <<<"$2") + \
        $(number packets <<<"$3") + $(number delivered <<<"$3") - packets - slow))
    echo "{ \"packets\": $packets, \"bytes\": $bytes," \
        "\"beyond_limit\": $((beyond > 0 ? beyond : 0)), \"too_slow\": $((slow)) }"
}

number() { # number NAME: from one line of JSON
    sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

# counts IN OUT: netem's counters of the packets that entered by one interface and left by the
# other. `packets` and `bytes` are those that left; the other interface counts those that entered.
# `drops` are losses, and packets that found a full queue of 10,000.
counts() {
    local received=/sys/class/net/$1/statistics/rx
    local statistics="ip netns exec cg-router cat ${received}_packets ${received}_bytes"
    local try before after json packets bytes left left_bytes lost held
    for ((try = 0; try < 100; try++)); do
        before=$($statistics)
        json=$(tc -n cg-router -s -j qdisc show dev "$2" root)
        after=$($statistics)
        { read -r packets && read -r bytes; } <<<"$before"
        left=$(number packets <<<"$json") left_bytes=$(number bytes <<<"$json")
        lost=$(number drops <<<"$json") held=$(number qlen <<<"$json")
        # The last packets of closed connections may still be in flight.
        if [ "$before" = "$after" ] && [ "$packets" = $((left + lost + held)) ]; then
            echo "{ \"packets\": $packets, \"bytes\": $((bytes - packets * ethernet))," \
                "\"lost\": $lost, \"delivered\": $left," \
                "\"delivered_bytes\": $((left_bytes - left * ethernet)) }"
            return
        fi
    done
    die "netem's counters do not add up: $packets packets came in by $1; $left left by $2," \
        "$lost were lost, $held wait"
}

# annotate DIR NETEM UP DOWN TRACE: adds the network's setting, counters and capture to run.json
annotate() {
    local file=$1/run.json known
    sed -e "s/^  \"impair\": null,\$/  \"impair\": \"netem $2\",/" \
        -e 's/^  "emulation": null,$/  "emulation": "netem",/' \
        -e "s/^  \"network\": null,\$/  \"network\": { \"up\": $3, \"down\": $4 },/" \
        -e "s/^  \"trace\": null\$/  \"trace\": $5/" "$file" >"$file.new"
    known='^  "(impair": "netem |emulation": "netem|network": \{ "up"|trace": )'
    [ "$(grep -cE "$known" "$file.new")" = 4 ] ||
        die "$file does not have the lines this script knows: is $program of the same version?"
    mv "$file.new" "$file"
}

dry='' resume='' no_trace='' out=chatagram-lab plan=() given=("$@")
network='' serving='' load='' capturing='' work='' locked=''
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
if [ -n "$dry" ]; then
    runs=$("$program" lab "${plan[@]}" ${repetitions:+--repetitions $repetitions} --print-runs)
else
    prepare
    # The runs that are left, which are all of a new lab.
    runs=$("$program" lab "$out/plan.toml" --print-runs --resume --out "$out")
fi
# Every option has an environment variable with this prefix; a run depends on its plan alone.
for twin in "${!CHATAGRAM_@}"; do unset "$twin"; done

for tool in dumpcap reordercap; do
    [ -n "$no_trace$dry" ] || command -v $tool >/dev/null || {
        echo "netem-sweep.sh: no captures, for $tool is missing:" \
            "apt-get install wireshark-common" >&2
        no_trace=1
    }
done
work=$(mktemp -d)
mkfifo "$work/said"
total=$(grep -c . <<<"$runs" || true) done=0
while IFS=$'\t' read -r -u 3 name netem control arguments; do
    [ -n "$name" ] || continue
    done=$((done + 1))
    echo "[$done/$total] $name" >&2
    one "$name" "$netem" "$control" "$arguments"
done 3<<<"$runs"
run "$program" report "$out"
