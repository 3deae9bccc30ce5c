#!/usr/bin/env python3
"""Tests your own client: first on a clean network, then on one that loses 20 % of the datagrams.

usage: check_client.py COMMAND...      such as: check_client.py python3 my_client.py

The script starts COMMAND with two more arguments, HOST:PORT and a nickname. The client has to say
each line that it reads from its input, print the lines of others, and leave when it reads `exit`,
as scripts/minimal_client.py does. The script starts its own server and needs `chatagram` on the
PATH. Exit codes: 0 all checks passed, 1 a check failed, 2 usage.
"""
import json
import queue
import subprocess
import sys
import threading
import time

DEADLINE = 15  # limit of each wait in seconds; only a failed check takes this long
HEARTBEAT = ["--heartbeat", "500ms", "--expiry", "3s"]


class Program:
    """A child process. A thread reads its lines, so that every wait has a deadline."""

    def __init__(self, *command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines, self.seen = queue.SimpleQueue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode(errors="replace").rstrip())

    def type(self, line):
        try:
            self.child.stdin.write(f"{line}\n".encode())
            self.child.stdin.flush()
        except OSError:  # the child has ended: the next check fails
            pass

    def wait(self, wanted, seconds=DEADLINE):
        """The lines up to the wanted one; None if it does not arrive."""
        deadline, before = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            try:
                before.append(self.lines.get(timeout=left))
            except queue.Empty:
                return None
            if wanted(before[-1]):
                return before
        return None

    def stop(self):
        self.child.terminate()
        self.child.wait()


def event(name, **fields):
    """A test whether a line of `--output json` is this event."""
    def wanted(line):
        found = json.loads(line)
        wanted = {"event": name, **fields}
        return all(found.get(key) == value for key, value in wanted.items())
    return wanted


def check(network, impairment, command):
    print(network, flush=True)
    options = ["--bind", "127.0.0.1:0", "--no-history", "-q", *HEARTBEAT, *impairment]
    server = Program("chatagram", "server", *options)
    address = server.wait(lambda line: line.startswith("listening on "))[-1].split()[-1]
    listen = ["--nick", "teacher", "--no-cache", "--output", "json", "--stay", "forever"]
    teacher = Program("chatagram", "client", address, *listen)
    teacher.wait(event("welcome"))
    student = Program(*command, address, "student")
    numbers = [f"line {number}" for number in range(1, 6)]

    def says():
        for line in numbers:
            student.type(line)
        heard = teacher.wait(event("message", text=numbers[-1])) or []
        return [e["text"] for e in map(json.loads, heard) if e["event"] == "message"] == numbers

    def hears():
        for line in numbers:
            teacher.type(f"your {line}")
        heard = student.wait(lambda line: f"your {numbers[-1]}" in line) or []
        heard = [line[line.index("your "):] for line in heard if "your " in line]
        return heard == [f"your {line}" for line in numbers]

    def stays():
        return teacher.wait(event("left"), seconds=4) is None  # the expiry is 3 s

    def leaves():
        student.type("exit")
        return teacher.wait(event("left", nickname="student", reason="quit")) is not None

    def ends():
        try:
            return student.child.wait(DEADLINE) == 0
        except subprocess.TimeoutExpired:
            return False

    checks = [
        ("joins (§7.2)", lambda: teacher.wait(event("joined", nickname="student")) is not None),
        ("what it says arrives, once and in order (§7.4, §7.5)", says),
        ("hears what is said, once and in order (§7.3, §7.4)", hears),
        ("stays in a silent room (§7.6)", stays),
        ("leaves with a goodbye (§7.11)", leaves),
        ("ends with exit code 0", ends),
    ]
    good = True
    for what, works in checks:
        good = good and works()
        print(f"  {'ok    ' if good else 'FAILED'}  {what}", flush=True)
        if not good:
            break
    for program in (student, teacher, server):
        program.stop()
    return good


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    bad = ["--impair", "loss 20%", "--seed", "7"]
    networks = [("a clean network", []), ("a network that loses 20 %", bad)]
    sys.exit(0 if all(check(*network, sys.argv[1:]) for network in networks) else 1)
