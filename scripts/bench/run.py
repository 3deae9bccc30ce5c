#!/usr/bin/env python3
"""Runs several relays under the same load and compares the cost of a delivery.

Server on core 0, load on core 1, loopback, lines of 64 bytes, 10 senders. The relays take turns,
so a disturbance affects all of them. Results are medians over the repetitions. Needs only the
standard library; bench-relay.sh builds the programs that this script starts.

`--relays room` compares one room on one and on several servers, which an engine connects: all
servers and redis-server share core 0, so the figures are costs. As root, each of them has a network
namespace of its own, unless `--loopback` is given.
"""

import argparse
import contextlib
import csv
import itertools
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SCRIPTS = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", SCRIPTS.parent.parent / "target")) / "dist"
HOST = "127.0.0.1"
CHATAGRAM = [
    TARGET / "chatagram", "server", "--quiet", "--no-history", "--no-discovery",
    "--max-peers", "20000", "--max-peers-per-ip", "20000", "--rate-limit", "off",
    *os.environ.get("CHATAGRAM_BENCH_OPTIONS", "").split(),
]
LOAD = [TARGET / "examples" / "bench-load"]
NATS = "max_connections: 16384\nmax_pending: 256MB\nwrite_deadline: \"10s\"\n"


# How to start each relay: its command, the load's command, and the load's options.
def chatagram(protocol, *delivery):
    options = ["--protocol", protocol, *delivery]
    return lambda port, _: ([*CHATAGRAM, "--bind", f"{HOST}:{port}"], LOAD, options)


def plain(port, _):
    server = [TARGET / "examples" / "bench-plain-relay", f"{HOST}:{port}"]
    return server, LOAD, ["--protocol", "plain"]


def redis(port, _):
    server = [
        "redis-server", "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no",
        "--maxclients", "16384", "--client-output-buffer-limit", "pubsub 0 0 0",
    ]
    return server, LOAD, ["--protocol", "redis"]


def nats(port, scratch):
    config = scratch / "nats.conf"
    config.write_text(f"listen: {HOST}:{port}\n{NATS}")
    return ["nats-server", "-c", config], LOAD, ["--protocol", "nats"]


def enet(channel):
    relay, load = TARGET / "bench-enet-relay", [TARGET / "bench-enet-load"]
    return lambda port, _: ([relay, str(port)], load, ["--channel", channel])


# Name: servers, and whether they have an engine. Peers join the servers in turns.
ROOMS = {
    "room on 1 server without engine": (1, False),
    **{f"room on {count} server{'s' * (count > 1)}": (count, True) for count in (1, 2, 4, 10)},
}
# Name: the commands, and the programs that they need.
RELAYS = {
    "chatagram unreliable": (chatagram("chatagram"), TARGET / "chatagram"),
    "chatagram reliable-ordered":
        (chatagram("chatagram", "--delivery", "reliable-ordered"), TARGET / "chatagram"),
    "chatagram tcp": (chatagram("chatagram-tcp"), TARGET / "chatagram"),
    "chatagram quic-unreliable": (chatagram("chatagram-quic"), TARGET / "chatagram"),
    "chatagram quic-reliable-ordered":
        (chatagram("chatagram-quic", "--delivery", "reliable-ordered"), TARGET / "chatagram"),
    "plain relay": (plain, TARGET / "examples" / "bench-plain-relay"),
    "enet unreliable": (enet("0"), TARGET / "bench-enet-relay"),
    "enet reliable": (enet("1"), TARGET / "bench-enet-relay"),
    "redis": (redis, "redis-server"),
    "nats": (nats, "nats-server"),
}
# Name: the number of peers, and the load.
SETTINGS = {
    f"{lines} outstanding, {peers} peers": (peers, ["--outstanding", str(lines)])
    for lines in (20, 320) for peers in (10, 50, 200, 1000)
}
SETTINGS["200 lines/s, 50 peers"] = (50, ["--rate", "200", "--seconds", "5"])
SETTINGS["50 lines/s, 1000 peers"] = (1000, ["--rate", "50", "--seconds", "5"])
SETTINGS["room of 50, 50 lines/s"] = (50, ["--rate", "50", "--seconds", "10"])
SETTINGS["room of 10000, 5 lines/s"] = (10_000, ["--rate", "5", "--seconds", "10"])
SETTINGS["room of 10000, 50 lines/s"] = (10_000, ["--rate", "50", "--seconds", "5"])
SETTINGS["2000 lines/s, 50 peers"] = (50, ["--rate", "2000", "--seconds", "4"])
SETTINGS["unpaced, 50 peers"] = (50, ["--unpaced"])
SETTINGS["unpaced, 1000 peers"] = (1000, ["--unpaced"])
LOAD_LIMIT = 0.95


def free_port():
    """A port free for UDP and TCP. The emulated services of one run never share it."""
    while True:
        with socket.socket(type=socket.SOCK_STREAM) as tcp, \
                socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((HOST, 0))
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


class Hosts:
    """Network namespaces on one bridge, in a namespace of this script; or loopback."""

    def __init__(self, namespaces):
        self.namespaces = namespaces
        if namespaces:
            self.ip("link set lo up", "link add hosts type bridge",
                    "addr add 10.9.0.254/24 dev hosts", "link set hosts up")
        self.count = 0

    def ip(self, *commands):
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)

    def get(self, number):
        """The address of a host, and the words that start a program there."""
        if not self.namespaces:
            return HOST, []
        while self.count <= number:
            name, address = f"host{self.count}", f"10.9.0.{self.count + 1}/24"
            self.ip(f"netns add {name}", f"link add {name} type veth peer name eth0 netns {name}",
                    f"link set {name} master hosts up", f"-n {name} addr add {address} dev eth0",
                    f"-n {name} link set eth0 up", f"-n {name} link set lo up")
            self.count += 1
        return f"10.9.0.{number + 1}", ["ip", "netns", "exec", f"host{number}"]


def wait_until_up(process, port):
    """Waits for a bound port in /proc/net, which lists connections of earlier runs too."""
    listening = {"tcp": "0A", "udp": "07", "udp6": "07"}
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        for table, state in listening.items():
            sockets = pathlib.Path(f"/proc/{process.pid}/net/{table}").read_text()
            for socket_line in sockets.splitlines()[1:]:
                _, local, _, its_state, *_ = socket_line.split()
                if local.endswith(f":{port:04X}") and its_state == state:
                    return
        time.sleep(0.02)
    raise RuntimeError("it does not listen")


def run(relay, setting, hosts=None):
    peers, pace = SETTINGS[setting]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as running:

        def start(command, port, prefix=()):
            quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            command = ["taskset", "-c", "0", *prefix, *command]
            process = subprocess.Popen(command, cwd=scratch, **quiet)
            running.callback(process.wait)
            running.callback(process.kill)
            wait_until_up(process, port)
            return str(process.pid)

        if relay in ROOMS:
            servers, pids, options = start_room(*ROOMS[relay], hosts or Hosts(False), start)
            load = LOAD
        else:
            port = free_port()
            server, load, options = RELAYS[relay][0](port, pathlib.Path(scratch))
            servers, pids = [f"{HOST}:{port}"], [start(server, port)]
        command = [
            "taskset", "-c", "1", *load, *options, "--server", ",".join(servers),
            "--pid", ",".join(pids), "--peers", str(peers), *pace,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-300:])
        row = json.loads(done.stdout)
        row["lines_per_second"] = row["lines"] / row["seconds"]
        row["engine_busy"] = row["engine_cpu"] / row["seconds"]
        return row


def start_room(count, with_engine, hosts, start):
    """Starts the servers of a room: their addresses, their processes, and options of the load."""
    engine, options = [], ["--protocol", "chatagram", "--delivery", "reliable-ordered"]
    if with_engine:
        (address, prefix), port = hosts.get(count), free_port()
        command = ["redis-server", "--bind", address, "--port", str(port), "--protected-mode", "no",
                   "--save", "", "--appendonly", "yes"]
        options += ["--engine-pid", start(command, port, prefix)]
        engine = ["--engine", f"redis://{address}:{port}/bench"]
    servers, pids = [], []
    for number in range(count):
        (address, prefix), port = hosts.get(number), free_port()
        servers.append(f"{address}:{port}")
        pids.append(start([*CHATAGRAM, *engine, "--bind", servers[-1]], port, prefix))
    return servers, pids, options


def wants(names, table):
    """The rows of `table` that begin with one of the names."""
    return [row for row in table if any(row.startswith(name.strip()) for name in names.split(","))]


def compact(value):
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.0f} k" if value >= 1e4 else f"{value:.0f}"


def report(rows, relays, settings):
    runs = lambda *which: [row for row in rows if (row["relay"], row["setting"]) == which]

    def median(relay, setting, field):
        return statistics.median([row[field] for row in runs(relay, setting)] or [float("nan")])

    def ratio(own, other, setting):
        own, other = (median(relay, setting, "per_cpu_second") for relay in (own, other))
        return own / other

    for setting in settings:
        print(f"\n{setting}")
        paced = "lines/s" in setting
        for relay in relays:
            here = runs(relay, setting)
            if not here:
                continue
            cost = median(relay, setting, "per_cpu_second")
            line = f"  {relay:31}{compact(cost):>8} deliveries per CPU second"
            if paced:
                p50, p99 = (median(relay, setting, it) / 1e3 for it in ("p50_us", "p99_us"))
                line += f", p50 {p50:.2f} ms, p99 {p99:.2f} ms"
            if relay in ROOMS:
                cost = lambda part, of: statistics.median(row[part] / row[of] * 1e6 for row in here)
                line += (f"; µs: servers {cost('server_cpu', 'lines'):.0f} a line,"
                         f" {cost('server_cpu', 'deliveries'):.2f} a delivery;"
                         f" engine {cost('engine_cpu', 'lines'):.1f} a line")
                line += f"; {median(relay, setting, 'lines_per_second'):.0f} lines/s"
                line += f", engine busy {median(relay, setting, 'engine_busy'):.0%}"
            share = min(row["delivered_share"] for row in here)
            if share < 0.99995:
                line += f", {share:.2%} delivered at worst"
            load, server = (median(relay, setting, it) for it in ("load_busy", "server_busy"))
            if load > LOAD_LIMIT > server and not paced:
                line += " (the load generator was the limit)"
            line += f"; {median(relay, setting, 'rss_joined_kib') / 1024:.1f} MiB"
            print(line)
    ours = [relay for relay in relays if relay.startswith("chatagram")]
    others = [relay for relay in relays if relay not in ours and relay not in ROOMS]
    for own in ours:
        print(f"\n{own}: deliveries per CPU second, as a multiple of")
        print("  " + " " * 28 + "".join(f"{other:>17}" for other in others))
        for setting in settings:
            ratios = (f"{ratio(own, other, setting):17.2f}" for other in others)
            print(f"  {setting:28}" + "".join(ratios))
        closed = [it for it in settings if "outstanding" in it and " 10 peers" not in it]
        if closed:
            ratios = ([ratio(own, other, setting) for setting in closed] for other in others)
            means = (f"{statistics.geometric_mean(it):17.2f}" for it in ratios)
            print(f"  {'geometric mean, 50 or more':28}" + "".join(means))


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    names = "names or their beginnings, with commas [default: all installed ones, without rooms]"
    parser.add_argument("--relays", default="", help=names)
    parser.add_argument("--settings", default="", help="the same for the settings [default: all]")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--loopback", action="store_true", help="rooms: no network namespaces")
    parser.add_argument("--csv", help="write each run to this file when it ends")
    options = parser.parse_args()
    relays = wants(options.relays, RELAYS | ROOMS) if options.relays else list(RELAYS)
    rooms = [relay for relay in relays if relay in ROOMS]
    if rooms and not options.loopback and os.environ.pop("BENCH_NAMESPACE", "") != str(os.getpid()):
        # One process from here to the programs: what it makes is gone when it ends.
        alone = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
        inner = ["unshare", "--net", "--mount", "sh", "-c", alone, "sh"]
        if subprocess.run([*inner, "ip", "link"], capture_output=True).returncode == 0:
            os.environ["BENCH_NAMESPACE"] = str(os.getpid())
            os.execvp(inner[0], [*inner, sys.executable, *sys.argv])
        print("no network namespaces here: all servers are on loopback")
        options.loopback = True
    hosts = Hosts(bool(rooms) and not options.loopback)
    for relay in [relay for relay in relays if relay not in ROOMS]:
        if not shutil.which(str(RELAYS[relay][1])):
            print(f"{relay}: left out, {RELAYS[relay][1]} is not here", file=sys.stderr)
            relays.remove(relay)
    settings = wants(options.settings, SETTINGS)
    if os.cpu_count() < 2:
        sys.exit("two processors are needed: one for the relay, one for the load")
    if os.geteuid() == 0:
        os.nice(-15)
        autogroup = pathlib.Path("/proc/self/autogroup")
        if autogroup.exists():
            autogroup.write_text("-15")
    print(f"{platform.platform()}, {options.repetitions} repetitions")
    rows, failed = [], 0
    try:
        file = open(options.csv or os.devnull, "w", newline="")
    except OSError as error:
        sys.exit(f"{options.csv}: {error.strerror}")
    with file:
        try:
            repetitions = range(options.repetitions)
            for repetition, setting, relay in itertools.product(repetitions, settings, relays):
                try:
                    row = {"relay": relay, "setting": setting, "repetition": repetition}
                    row |= run(relay, setting, hosts)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failed += 1
                    print(f"{relay}, {setting}: {error}", file=sys.stderr)
                    continue
                writer = csv.DictWriter(file, row.keys())
                if not rows:
                    writer.writeheader()
                writer.writerow(row)
                file.flush()
                rows.append(row)
        except KeyboardInterrupt:
            failed += 1
            planned = options.repetitions * len(settings) * len(relays)
            print(f"interrupted: {len(rows)} runs of {planned}", file=sys.stderr)
    seen = {row["setting"] for row in rows}
    report(rows, relays, [setting for setting in settings if setting in seen])
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
