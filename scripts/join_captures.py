#!/usr/bin/env python3
"""Joins what tcpdump captured on two interfaces: one pcapng file, in the order of time.

usage: join_captures.py ONE.pcap OTHER.pcap OUT.pcapng

The interfaces are named after the files. Times are in nanoseconds, as tcpdump writes them with
--time-stamp-precision=nano. A last packet that is cut, such as one of a file that is still being
written, is left out. Prints the number of packets. netem-sweep.sh uses it where dumpcap is missing.
"""

import heapq
import struct
import sys
from pathlib import Path

NANOSECONDS = 0xA1B23C4D
SECTION, INTERFACE, PACKET, NAME, RESOLUTION = 0x0A0D0D0A, 1, 6, 2, 9
SNAPSHOT = 262_144


def packets(path, interface):
    data = path.read_bytes()
    if data and struct.unpack_from("<I", data)[0] != NANOSECONDS:
        sys.exit(f"{path}: no capture of this machine in nanoseconds")
    at = 24
    while at + 16 <= len(data):
        seconds, nanos, captured, original = struct.unpack_from("<4I", data, at)
        if at + 16 + captured > len(data):
            return
        yield seconds * 10**9 + nanos, interface, original, data[at + 16 : at + 16 + captured]
        at += 16 + captured


def padded(data):
    return data + bytes(-len(data) % 4)


def option(code, value):
    return struct.pack("<HH", code, len(value)) + padded(value)


def block(kind, body):
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def main():
    if len(sys.argv) != 4:
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    *sides, out = map(Path, sys.argv[1:])
    blocks = [block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for side in sides:
        link, = struct.unpack_from("<I", side.read_bytes().ljust(24, b"\0"), 20)
        options = option(NAME, side.stem.encode()) + option(RESOLUTION, b"\x09") + bytes(4)
        blocks.append(block(INTERFACE, struct.pack("<HHI", link, 0, SNAPSHOT) + options))
    count = 0
    merged = heapq.merge(*(packets(it, at) for at, it in enumerate(sides)))
    for nanos, interface, original, data in merged:
        head = struct.pack("<5I", interface, nanos >> 32, nanos & 0xFFFFFFFF, len(data), original)
        blocks.append(block(PACKET, head + padded(data)))
        count += 1
    out.write_bytes(b"".join(blocks))
    print(count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
