#!/usr/bin/env python3
"""Compares the packets in a run's capture with its records and the counters of kernel and router.

usage: verify_capture.py RUN_DIR    a directory with trace.pcapng, run.json and records.csv
verify_report.py does the same for all runs of a lab. Needs only the standard library and shares no
code with the program.
Exit codes: 0 they agree, 1 they do not, 2 there is no capture or it cannot be read.
"""

import csv
import json
import re
import struct
import sys
from collections import Counter, defaultdict
from pathlib import Path

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
COMMENT, FLAGS, NAME = 1, 2, 2
CLIENTS = "10.77.1.2"
# Link type of captures over netem, and the header that its packets have before IP's.
ETHERNET, ETHERNET_HEADER = 1, 14
# Header of a datagram, and the preface of a stream (proto.md §3.1, §11.2).
HEADER, PREFACE, MAGIC = 40, 12, b"CG"
# The fields of frames with a message (Once, Unordered, Ordered) and of those that share a datagram
# with one.
ONCE, JOIN, CARRY_ID = 2, 5, (3, 4)
FIELDS = {0: ["bytes"], 1: [], 2: ["bytes"], 3: ["int", "bytes"], 4: ["int", "bytes"],
          8: [8], 9: [8], 10: [],
          5: ["int", "bytes", "bytes", "int", "bytes", "int", "int", "int"],
          13: ["int"] * 4 + ["bytes"], 14: ["int"] * 3 + ["bytes"]}
SAY, LINE = 0, 5
# How long the server held each line for an earlier one of its author, microseconds: shorter times
# are processing, and longer ones have to be in the record.
WAITS, HELD_FROM_US, CLEARLY_HELD_US = "server.csv", 1000, 100_000


class Unreadable(Exception):
    """A capture that this script does not read."""


def options(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found.setdefault(code, data[at + 4 : at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return found


def packets(data):
    """(number in Wireshark, interface, nanoseconds, comment, bytes) of each packet."""
    at, number, interfaces = 0, 0, []
    if data[:4] != struct.pack("<I", SECTION) or data[8:12] != struct.pack("<I", 0x1A2B3C4D):
        raise Unreadable("no pcapng file of this program")
    while at < len(data):
        if at + 12 > len(data):
            raise Unreadable(f"cut after packet {number}")
        kind, length = struct.unpack_from("<II", data, at)
        body = data[at + 8 : at + length - 4]
        again = data[at + length - 4 : at + length]  # the length stands at both ends
        if length < 12 or length % 4 or again != data[at + 4 : at + 8]:
            raise Unreadable(f"cut or damaged after packet {number}")
        at += length
        if kind == INTERFACE:
            header = ETHERNET_HEADER if body[0] == ETHERNET else 0
            interfaces.append((options(body[8:])[NAME].decode(), header))
        elif kind == PACKET:
            number += 1
            interface, high, low, captured, original = struct.unpack_from("<5I", body)
            if captured != original:
                raise Unreadable(f"packet {number} is cut")
            end = 20 + captured
            found = options(body[(end + 3) // 4 * 4 :])
            comment = found.get(COMMENT, b"").decode()
            name, header = interfaces[interface]
            yield number, name, high << 32 | low, comment, body[20 + header : end]


def integer(data, at):
    """bincode's integer, and the place after it."""
    size = {251: 2, 252: 4, 253: 8}.get(data[at], 0)
    if not size:
        return data[at], at + 1
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def blob(data, at):
    size, at = integer(data, at)
    if at + size > len(data):
        raise ValueError("longer than the rest")
    return data[at : at + size], at + size


def text_of(payload, from_server):
    """(nickname or None, text) of a line."""
    kind, at = integer(payload, 0)
    if kind != (LINE if from_server else SAY):
        return None
    for _ in range(5 if from_server else 2):  # position, at, upstream, peer, number; number, sent
        _, at = integer(payload, at)
    name = None
    if from_server:
        name, at = blob(payload, at)
    return name and name.decode(), blob(payload, at)[0].decode()


def frames(data, from_server):
    """("join", nickname) and ("line", nickname or None, text), up to a frame of another kind."""
    at = 0
    while at < len(data):
        kind, at = integer(data, at)
        if kind not in FIELDS:
            return
        values = []
        for field in FIELDS[kind]:
            if field == "int":
                value, at = integer(data, at)
            elif field == "bytes":
                value, at = blob(data, at)
            else:
                value, at = data[at : at + field], at + field
            values.append(value)
        if kind == JOIN and not from_server:
            yield "join", values[2].decode()
        elif kind == ONCE or kind in CARRY_ID:
            line = text_of(values[-1], from_server)
            if line:
                yield ("line", *line)


def number_of(text):
    number = re.match(r"(\d+) ", text)
    return number and int(number[1])


def waits_at_server(lines):
    """(sender, number) -> microseconds, where known. A sender's lines count from 0, modulo 2^16."""
    held, following = {}, defaultdict(int)
    for line in lines:
        sender, near = line["sender"], following[line["sender"]]
        number = near + ((int(line["number"]) - near + 2**15) % 2**16 - 2**15)
        following[sender] = max(near, number + 1)
        if line["held_us"]:
            held[sender, number] = int(line["held_us"])
    return held


class Stream:
    """One direction of a TCP connection: the bytes sent, and those that left to the receiver."""

    def __init__(self):
        self.base, self.sent, self.left = None, bytearray(), []

    def add(self, sequence, is_syn, payload, has_left):
        first = (sequence + is_syn) % 2**32
        if self.base is None:
            self.base = first
        start = (first - self.base) % 2**32
        if not payload or start > len(self.sent):
            return
        self.sent += payload[len(self.sent) - start :]
        if has_left:
            self.left.append((start, start + len(payload)))

    def records(self):
        """(frame, whether all of its bytes left)."""
        whole, at = self.prefix_sums(), PREFACE
        while at + 2 <= len(self.sent):
            end = at + 2 + int.from_bytes(self.sent[at : at + 2], "big")
            if end > len(self.sent):
                return
            yield bytes(self.sent[at + 2 : end]), whole[end] - whole[at] == end - at
            at = end

    def prefix_sums(self):
        """How many of the first n bytes left, for each n."""
        marks = bytearray(len(self.sent))
        for start, end in self.left:
            marks[start:end] = b"\1" * (end - start)
        sums = [0]
        for mark in marks:
            sums.append(sums[-1] + mark)
        return sums


class Capture:
    def __init__(self, data):
        self.total = 0
        self.entered, self.left = Counter(), Counter()
        self.bytes_in, self.bytes_out = Counter(), Counter()
        self.dropped, self.overflowed = defaultdict(list), Counter()
        self.said = {}  # (sender, number) -> its first arrival at the server
        self.shown = Counter()  # (receiver, sender, number)
        self.now = 0
        names, streams = {}, {}
        self.names, self.last = names, 0
        for number, interface, nanos, comment, packet in packets(data):
            self.total = number
            self.in_order = nanos >= self.last
            self.last = nanos
            self.count(number, interface, comment, packet)
            self.now = nanos
            self.read(interface, packet, names, streams)
        # Names are in the clients' joins.
        from_clients_first = sorted(streams.items(), key=lambda it: it[0][0][0] != CLIENTS)
        for (source, target), stream in from_clients_first:
            for frame, has_left in stream.records():
                self.carry(frame, source, target, has_left)

    def count(self, number, interface, comment, packet):
        # netem does not say which packets it drops.
        is_up = ".".join(map(str, packet[12:16])) == CLIENTS
        plain = "up" if is_up else "down", None
        way, index = re.match(r"(up|down) (\d+): ", comment).groups() if comment else plain
        if (way == "up") == (interface == "clients"):
            if comment and int(index) != self.entered[way]:
                before = self.entered[way]
                raise Unreadable(f"packet {number} has index {index}, and {before} entered before")
            self.entered[way] += 1
            self.bytes_in[way] += len(packet)
            if ": dropped by " in comment:
                self.dropped[way].append(int(index))
            elif ": dropped, queue full" in comment or "no room for the copy" in comment:
                self.overflowed[way] += 1
        else:
            self.left[way] += 1
            self.bytes_out[way] += len(packet)

    def read(self, interface, packet, names, streams):
        start = (packet[0] & 15) * 4
        source, target = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
        ports = struct.unpack_from(">HH", packet, start) if len(packet) >= start + 4 else (0, 0)
        source, target = (source, ports[0]), (target, ports[1])
        has_left = (source[0] == CLIENTS) != (interface == "clients")
        if packet[9] == 17:
            datagram = packet[start + 8 :]
            if len(datagram) >= HEADER and datagram[:2] == MAGIC:
                self.carry(datagram[HEADER:], source, target, has_left)
        elif packet[9] == 6 and len(packet) >= start + 20:
            sequence, = struct.unpack_from(">I", packet, start + 4)
            is_syn = packet[start + 13] >> 1 & 1
            stream = streams.setdefault((source, target), Stream())
            stream.add(sequence, is_syn, packet[start + (packet[start + 12] >> 4) * 4 :], has_left)

    def carry(self, data, source, target, has_left):
        try:
            for kind, *rest in frames(data, source[0] != CLIENTS):
                if kind == "join":
                    self.names[source] = rest[0]
                elif source[0] == CLIENTS:
                    if has_left:
                        self.said.setdefault((self.names.get(source), number_of(rest[1])), self.now)
                elif has_left:
                    self.shown[self.names.get(target), rest[0], number_of(rest[1])] += 1
        except (IndexError, ValueError):
            pass  # damaged on the way


def listed(drops):
    """The numbers in `5,17-19`."""
    for part in filter(None, drops.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def problems(place, info, rows):
    """One line of text for each disagreement; (line, packets) at the end is left to the caller."""
    path, trace, network = place / "trace.pcapng", info.get("trace"), info.get("network")
    if not trace or not network or not network.get("kernel"):
        return
    try:
        data = path.read_bytes()
        capture = Capture(data)
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    except (Unreadable, ValueError, KeyError, IndexError, AttributeError, struct.error) as error:
        yield f"{path}: {error}"
        return

    def equal(what, found, wanted):
        if found != wanted:
            yield f"{path}: {what}: {found}, and run.json or the records say {wanted}"

    yield from equal("its length", len(data), trace["bytes"])
    yield from equal("packets", capture.total, trace["packets"])
    left_out = trace["beyond_limit"] + trace["too_slow"]
    crossings = sum(network[way]["packets"] + network[way]["delivered"] for way in ("up", "down"))
    yield from equal("packets and those left out", capture.total + left_out, crossings)
    kernel = network["kernel"]
    for way, sender, receiver in (("up", "clients", "server"), ("down", "server", "clients")):
        router = network[way]
        sent = kernel[f"{sender}_sent"]
        yield from equal(f"{way}: packets the kernel sent", sent, router["packets"])
        received = kernel[f"{receiver}_received"] + kernel[f"{receiver}_refused"]
        yield from equal(f"{way}: packets the kernel received", received, router["delivered"])
        if left_out:
            continue
        yield from equal(f"{way}: entered", capture.entered[way], router["packets"])
        yield from equal(f"{way}: left", capture.left[way], router["delivered"])
        yield from equal(f"{way}: bytes entered", capture.bytes_in[way], router["bytes"])
        yield from equal(f"{way}: bytes left", capture.bytes_out[way], router["delivered_bytes"])
        if info["emulation"] == "netem":
            missing = capture.entered[way] - capture.left[way]
            yield from equal(f"{way}: not left", missing, router["lost"])
            continue
        yield from equal(f"{way}: queue full", capture.overflowed[way], router["overflowed"])
        yield from equal(f"{way}: dropped", len(capture.dropped[way]), router["lost"])
        if not router["drops"].endswith("…"):
            drops = list(listed(router["drops"]))
            yield from equal(f"{way}: numbers dropped", capture.dropped[way], drops)
    # Another program's packets have another format: its output.csv is compared instead. QUIC's
    # packets are encrypted.
    if left_out or info["transport"] in ("program", "quic"):
        return
    for row in rows:
        message = row["sender"], int(row["id"])
        shown = capture.shown[row["receiver"], *message]
        where = f"{path}: message {message[1]} of {message[0]} at {row['receiver']}"
        if row["verdict"] == "delivered" and not shown:
            yield f"{where} was delivered, and no packet with it left for the receiver"
        if row["verdict"] == "delivered" and message not in capture.said:
            yield f"{where} was delivered, and no packet with it left for the server"
        if row["verdict"] == "lost" and shown and row["mode"] == "unreliable":
            yield f"{where} was lost, and {shown} packets with it left for the receiver"
    if info["transport"] == "udp" and (place / WAITS).exists():
        yield from wrong_waits(place, capture.said, info["mode"] == "reliable-ordered")


def wrong_waits(place, arrived, is_ordered):
    """The server held a line only while an earlier one was missing, and held it then."""
    with open(place / WAITS, encoding="utf-8", newline="") as file:
        held = waits_at_server(csv.DictReader(file))
    last = defaultdict(int)
    for sender, number in sorted(it for it in arrived if None not in it):
        wait = last[sender] - arrived[sender, number]
        said = held.get((sender, number))
        where = f"{place / WAITS}: message {number} of {sender}"
        if said is not None and said >= HELD_FROM_US and wait <= 0:
            yield f"{where} waited {said} us, and no earlier one was missing in the capture"
        had_to_wait = is_ordered and wait > CLEARLY_HELD_US * 1000
        if had_to_wait and said is not None and said < HELD_FROM_US:
            yield f"{where} did not wait, and an earlier one was missing for {wait // 1000} us"
        last[sender] = max(last[sender], arrived[sender, number])


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    place = Path(sys.argv[1])
    try:
        info = json.loads((place / "run.json").read_bytes())
        with open(place / "records.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        print(f"{place}: {error}", file=sys.stderr)
        return 2
    if not info.get("trace"):
        print(f"{place}: the run has no capture", file=sys.stderr)
        return 2
    found = list(problems(place, info, rows))
    for line in found:
        print(line)
    packets = info["trace"]["packets"]
    outcome = f"{len(found)} disagreements" if found else "all agree"
    print(f"{packets} packets, {len(rows)} rows: {outcome}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
