#!/usr/bin/env python3
"""One-way delay of chat lines under loss: TCP and QUIC beside UDP, through one server, in one run.

    scripts/delay-under-loss.py --program target/dist/chatagram

The network is that of netem-net.sh, inside the kernel that with-netem-kernel.sh lends. The clock
of that kernel is virtual, so a slow or busy machine delays nothing; a condition takes about 25 s.
--real uses this machine's kernel and clock, which needs root and sch_netem.

TCP runs with CUBIC, or as `tcp-bbr` with BBR, at both ends. QUIC's modes need the feature quic.
`enet` is ENet's reliable channel, through a relay of its own; it needs libenet-dev and cc (Debian's
names). Its largest delay is not measured. `kcp` is KCP without congestion control, also through a
relay of its own; it needs cc and, as --kcp, the directory with KCP's ikcp.c and ikcp.h.

One client sends lines of 64 bytes at a fixed rate, another one receives them; both are in
cg-clients, the server is in cg-server. The delay counts from the moment at which a line was due,
so time that the sender waits counts too. Bytes and packets are those that the router forwarded in
both directions over both hops, Ethernet headers included. Percentiles are by nearest rank. A line
that did not arrive has no delay and counts as missing.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time

MODES = {
    "tcp": ["--transport", "tcp"],
    "tcp-bbr": ["--transport", "tcp"],
    "unreliable": ["--delivery", "unreliable"],
    "reliable-unordered": ["--delivery", "reliable-unordered"],
    "reliable-ordered": ["--delivery", "reliable-ordered"],
    "quic-unreliable": ["--transport", "quic", "--delivery", "unreliable"],
    "quic-reliable-unordered": ["--transport", "quic", "--delivery", "reliable-unordered"],
    "quic-reliable-ordered": ["--transport", "quic", "--delivery", "reliable-ordered"],
}
SERVER = "10.77.2.2:2428"
OTHER_PORT = 2430
# Set if the network exists already.
INSIDE = "DELAY_UNDER_LOSS_NET"


def inside(namespace, *command, **options):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *command], text=True, **options)


def set_loss(percent):
    for interface in ("clients", "server"):
        subprocess.run(
            ["tc", "-n", "cg-router", "qdisc", "replace", "dev", interface, "root", "netem",
             "limit", "10000", "delay", "25ms", "loss", f"{percent}%"], check=True)


def set_control(name):
    for node in ("clients", "server"):
        subprocess.run(["ip", "netns", "exec", f"cg-{node}", "sysctl", "-qw",
                        f"net.ipv4.tcp_congestion_control={name}"], check=True)


def passed_on():
    """Bytes and packets."""
    shown = subprocess.run(["ip", "-n", "cg-router", "-s", "-j", "link"],
                           check=True, capture_output=True, text=True).stdout
    sent = [link["stats64"]["tx"] for link in json.loads(shown) if link["ifname"] != "lo"]
    return sum(counts["bytes"] for counts in sent), sum(counts["packets"] for counts in sent)


def percentile(ordered, share):
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def wait_for_welcome(client):
    for line in client.stdout:
        if json.loads(line)["event"] == "welcome":
            return
    sys.exit("a client was not let in: is the loss too high to join at all?")


def measure(program, mode, rate, count):
    """Sends `count` lines, `rate` a second. Returns delays in ms, missing lines, bytes, packets."""
    client = [program, "client", SERVER, "--no-cache", "--output", "json", *MODES[mode]]
    receiver = inside("cg-clients", *client, "--nick", "ear", "--stay", "forever",
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    arrivals, order = {}, []

    def listen():
        for line in receiver.stdout:
            now = time.time()
            event = json.loads(line)
            if event["event"] == "message":
                number = int(event["text"].split()[0])
                order.append(number)
                arrivals.setdefault(number, now)

    wait_for_welcome(receiver)
    threading.Thread(target=listen, daemon=True).start()
    sender = inside("cg-clients", *client, "--nick", "mouth", "--stay", "2s",
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for_welcome(sender)
    threading.Thread(target=sender.stdout.read, daemon=True).start()
    time.sleep(1)
    before = passed_on()
    start = time.time() + 0.1
    for number in range(count):
        due = start + number / rate
        time.sleep(max(0, due - time.time()))
        sender.stdin.write(f"{number:6} ".ljust(64, "x") + "\n")
        sender.stdin.flush()
    sender.stdin.close()
    deadline = time.time() + 40
    while len(arrivals) < count and sender.poll() is None and time.time() < deadline:
        time.sleep(0.05)
    passed = [after - earlier for after, earlier in zip(passed_on(), before)]
    sender.wait()
    receiver.terminate()
    receiver.wait()
    delays = sorted((at - start - number / rate) * 1e3 for number, at in arrivals.items())
    assert len(order) == len(arrivals), "a line came twice"
    if mode.startswith("tcp") or mode.endswith("reliable-ordered"):
        assert order == sorted(order), "lines came out of order"
    return delays, count - len(delays), *passed


def measure_other(relay, load, loss, lines_before):
    """Runs another transport's relay and load, which prints its figures as JSON. `lines_before` are
    those that it says before it measures. Returns p50, p99 and largest delay in ms, and as
    `measure` the rest."""
    relay = inside("cg-server", *relay)
    time.sleep(0.5)
    set_loss(0)
    before = passed_on()
    try:
        load = inside("cg-clients", *load(relay.pid), stdout=subprocess.PIPE)
        # Its first line follows half a second after its joins, or later.
        time.sleep(0.5)
        set_loss(loss)
        text = load.communicate()[0]
        if load.returncode:
            sys.exit("the other transport's load failed")
        passed = [after - earlier for after, earlier in zip(passed_on(), before)]
    finally:
        relay.kill()
        relay.wait()
    row = json.loads(text)
    # The earlier lines are in the bytes, but have no delays.
    share = row["lines"] / (row["lines"] + lines_before)
    # Earlier lines may arrive later.
    missing = max(0, row["lines"] - round(row["lines"] * row["delivered_share"]))
    delays = (row.get(name, math.nan) / 1e3 for name in ("p50_us", "p99_us", "max_us"))
    return *delays, missing, *(it * share for it in passed)


def measure_enet(programs, loss, rate, seconds):
    # It gives its joins up early under loss, and says lines for half a second before it measures.
    def load(relay):
        return [f"{programs}/load", "--server", f"10.77.2.2:{OTHER_PORT}", "--pid", str(relay),
                "--peers", "2", "--senders", "1", "--channel", "1", "--rate", f"{rate:g}",
                "--seconds", f"{seconds:g}", "--idle"]

    return measure_other([f"{programs}/relay", str(OTHER_PORT)], load, loss, rate / 2)


def measure_kcp(programs, loss, rate, seconds):
    def load(_):
        return [f"{programs}/kcp", "load", "10.77.2.2", str(OTHER_PORT), f"{rate:g}",
                f"{seconds:g}"]

    return measure_other([f"{programs}/kcp", "relay", str(OTHER_PORT)], load, loss, 0)


OTHERS = {"enet": measure_enet, "kcp": measure_kcp}


def build_others(modes, directory, kcp):
    bench = os.path.join(os.path.dirname(os.path.realpath(__file__)), "bench")
    cc = ["cc", "-O2", "-o"]
    if "enet" in modes:
        for part in ("relay", "load"):
            command = [*cc, f"{directory}/{part}", f"{bench}/enet_{part}.c", "-lenet"]
            subprocess.run(command, check=True)
    if "kcp" in modes:
        if not kcp:
            sys.exit("kcp needs --kcp DIR, the directory with ikcp.c and ikcp.h")
        command = [*cc, f"{directory}/kcp", f"-I{kcp}", f"{bench}/kcp.c", f"{kcp}/ikcp.c"]
        subprocess.run(command, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/dist/chatagram")
    parser.add_argument("--modes", default="tcp,unreliable,reliable-unordered,reliable-ordered",
                        help=",".join([*MODES, *OTHERS]))
    parser.add_argument("--conditions", default="0:50,1:50,5:50,10:50,20:50,10:2",
                        help="loss in percent : lines a second, ...")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--kcp", metavar="DIR", help="the directory with KCP's ikcp.c and ikcp.h")
    parser.add_argument("--real", action="store_true", help="this kernel and its clock")
    arguments = parser.parse_args()
    if not os.environ.get(INSIDE):
        here = os.path.dirname(os.path.realpath(__file__))
        net = [f"{here}/netem-net.sh", "with", "delay 25ms", sys.executable, *sys.argv]
        os.environ[INSIDE] = "1"
        os.environ.setdefault("UML_CLOCK", "virtual")
        command = net if arguments.real else [f"{here}/with-netem-kernel.sh", *net]
        os.execv(command[0], command)
    modes = arguments.modes.split(",")
    others = tempfile.TemporaryDirectory()
    build_others(modes, others.name, arguments.kcp)
    server = inside("cg-server", arguments.program, "server", "--bind", "0.0.0.0:2428",
                    "--no-history", "--rate-limit", "off", "--expiry", "60s", "-q",
                    stdout=subprocess.PIPE)
    server.stdout.readline()
    print("loss  lines/s  mode                    lines missing      p50      p99      max ms"
          "    bytes/line  packets/line   p99 : TCP's  bytes : TCP's")
    try:
        for condition in arguments.conditions.split(","):
            loss, rate = (float(part) for part in condition.split(":"))
            reference = None
            for mode in modes:
                set_loss(0)
                time.sleep(0.3)
                set_loss(loss)
                set_control("bbr" if mode == "tcp-bbr" else "cubic")
                count = max(int(arguments.seconds * rate), 60)
                if mode in OTHERS:
                    p50, p99, longest, missing, passed, packets = OTHERS[mode](
                        others.name, loss, rate, count / rate)
                else:
                    delays, missing, passed, packets = measure(
                        arguments.program, mode, rate, count)
                    p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
                    longest = delays[-1] if delays else math.nan
                if mode == "tcp":
                    reference = (p99, passed)
                ratios = ("" if reference is None
                          else f"{p99 / reference[0]:12.3f} {passed / reference[1]:14.2f}")
                print(f"{loss:3g} % {rate:8g}  {mode:23} {count:5} {missing:7} "
                      f"{p50:8.1f} {p99:8.1f} {longest:8.1f} {passed / count:12.1f} "
                      f"{packets / count:12.1f} {ratios}", flush=True)
    finally:
        set_loss(0)
        server.terminate()
        server.wait()
        others.cleanup()


if __name__ == "__main__":
    sys.exit(main())
