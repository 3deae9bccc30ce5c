#!/usr/bin/env python3
"""Measures how one bulk sender over UDP and one over TCP share a bottleneck.

Run it inside the network of netem-net.sh:

    scripts/with-netem-kernel.sh scripts/netem-net.sh with 'delay 25ms' \\
        scripts/fair-share.py --program target/dist/chatagram

The path to the server is the bottleneck. The path back is not, so the lines that each sender
receives from the other delay nothing. Both send lines of 1,000 bytes as fast as their transport
accepts them. The result counts the lines in the server's history. Exit code 1 if a share is
outside 1/3 to 2/3.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import threading
import time


def inside(namespace, *command, **options):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options)


def feed(process, stop):
    line = b"x" * 1000 + b"\n"
    try:
        while not stop.is_set():
            process.stdin.write(line)
    except BrokenPipeError:
        pass


def shares(history, start):
    counts = collections.Counter()
    with open(history) as lines:
        for line in lines:
            record = json.loads(line)
            if record["at"] >= start:
                counts[record["from"]] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/dist/chatagram")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", default="2mbit")
    parser.add_argument("--queue", type=int, default=50, help="packets the bottleneck holds")
    parser.add_argument("--delivery", default="reliable-ordered")
    arguments = parser.parse_args()
    netem = ["delay", "25ms", "rate", arguments.rate, "limit", str(arguments.queue)]
    subprocess.run(["tc", "-n", "cg-router", "qdisc", "replace", "dev", "server", "root", "netem",
                    *netem], check=True)
    history = os.path.join(tempfile.mkdtemp(), "history.jsonl")
    server = inside("cg-server", arguments.program, "server", "--bind", "0.0.0.0:2428",
                    "--history", history, "--rate-limit", "off", "--expiry", "60s", "-q",
                    stdout=subprocess.PIPE)
    server.stdout.readline()
    stop = threading.Event()
    senders = []
    transports = ("udp", ["--delivery", arguments.delivery]), ("tcp", ["--transport", "tcp"])
    for name, options in transports:
        sender = inside("cg-clients", arguments.program, "client", "10.77.2.2", "--nick", name,
                        "--no-cache", *options, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        senders.append(sender)
        threading.Thread(target=feed, args=(sender, stop), daemon=True).start()
    time.sleep(5)  # past slow start
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    time.sleep(arguments.seconds)
    counts = shares(history, start)
    stop.set()
    for process in (*senders, server):
        process.kill()
        process.wait()
    total = sum(counts.values())
    for name in ("udp", "tcp"):
        rate = counts[name] * 8000 / arguments.seconds / 1e6
        share = counts[name] / max(total, 1)
        print(f"{name}: {counts[name]} lines, {rate:.2f} Mbit/s of text, {share:.0%}")
    return 0 if total and 1 / 3 <= counts["udp"] / total <= 2 / 3 else 1


if __name__ == "__main__":
    sys.exit(main())
