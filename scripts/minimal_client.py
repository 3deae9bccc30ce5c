#!/usr/bin/env python3
"""A Chatagram client in under 200 lines, written from proto.md; § is a section of that text.

usage: scripts/minimal_client.py HOST:PORT NICK        (type lines; `exit` or the end of input leaves)

Exit codes: 0 left in order, 2 usage, 3 nobody answers, 4 refused, 5 the session is over. It does what §12
asks of a minimal client and no more: one message at a time, a fixed timer, no way back after a restart.
"""
import queue
import secrets
import select
import signal
import socket
import struct
import sys
import threading
import time
import zlib

RESEND, LEAVE_RESEND, GIVE_UP, SILENT = 1, 0.25, 30, 15  # §12 no. 6, §9, in seconds
JOIN_RETRY, JOIN_RETRY_MAX, JOIN_TIMEOUT, LEAVE_TIMEOUT = 0.25, 2, 5, 1
FROM_SERVER, ACK, WINDOW, MAX_TEXT = 1, 2, 64, 1000
HEADER = struct.Struct(">HBBIQIIQIHH")  # §3.1: 40 bytes in network byte order

# §2.3: an integer, enumeration or boolean is given here by its largest value, `bytes[N]` by (N,).
U16, U32, U64, BOOL, DELIVERY, REFUSAL, DEPARTURE = 2**16 - 1, 2**32 - 1, 2**64 - 1, 1, 2, 5, 2
STRING, BYTES = "string", "bytes"
FRAMES = {  # §5
    0: ("Padding", BYTES), 1: ("Heartbeat",), 2: ("Once", BYTES), 3: ("Unordered", U16, BYTES),
    4: ("Ordered", U16, BYTES), 5: ("Join", U64, BYTES, STRING, DELIVERY, BYTES, U64, U16),
    6: ("Challenge", U64, (20,)), 7: ("Refused", U64, REFUSAL, STRING), 8: ("PathChallenge", (8,)),
    9: ("PathResponse", (8,)), 10: ("Reset",)}
MESSAGES = {  # §6.2
    0: ("Welcome", U64, U16, (16,), STRING, STRING, U32, U32, U16, U16, U16, U16, BOOL, U64),
    1: ("Present", U16, STRING, U16), 2: ("History", U64, STRING, STRING),
    3: ("Joined", U16, STRING, U16, U16), 4: ("Left", U16, STRING, U16, U16, DEPARTURE),
    5: ("Line", U64, U32, U16, U16, STRING, STRING), 6: ("Accepted", U16, U64),
    7: ("Whisper", U64, U32, U16, STRING, STRING), 8: ("Whispered", U16, U64, STRING, STRING),
    9: ("NotHere", U16, STRING), 10: ("Notice", STRING), 11: ("Closing", DEPARTURE, STRING)}
UNSAFE = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
CLEAN = {**dict.fromkeys(UNSAFE, "\ufffd"), 9: " "}  # §4.2, for str.translate


def integer(value):  # §2.3: the shortest form
    for size, mark in ((2, 251), (4, 252), (8, 253)):
        if value <= 250:
            return bytes([value])
        if value < 1 << 8 * size:
            return bytes([mark]) + value.to_bytes(size, "big")


def blob(content):  # `bytes`, and `string` once it is encoded
    return integer(len(content)) + content


class Reader:
    """Takes values off the front of some bytes (§2.3); raises ValueError where there are none."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise ValueError("a length beyond the end")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def value(self, kind):
        if isinstance(kind, tuple):
            return self.take(kind[0])
        if kind in (STRING, BYTES):
            content = self.take(self.value(U64))
            return content.decode() if kind == STRING else content
        first = self.take(1)[0]
        size = {251: 2, 252: 4, 253: 8}.get(first, 0)
        value = int.from_bytes(self.take(size), "big") if size else first
        if first > 253 or value > kind or integer(value)[0] != first:
            raise ValueError("out of range, or not its one encoding")
        return value

    def record(self, table):  # a frame or a message: its number, then its fields
        name, *kinds = table.get(self.value(U32), (None,))
        if name is None:
            raise ValueError("an unknown number")
        return (name, *map(self.value, kinds))


def read_datagram(data):
    """Checks in the order of §8.1; a ValueError means: drop it. Gives the header and the frames."""
    if not HEADER.size <= len(data) <= 1200:
        raise ValueError("size")
    magic, version, flags, checksum, *rest = HEADER.unpack_from(data)
    if magic != 0x4347 or checksum != zlib.crc32(data[:4] + data[8:]):  # §3.2
        raise ValueError("magic or checksum")
    if version != 1:
        raise ValueError("version", version)
    if flags & ~(FROM_SERVER | ACK) or not flags & FROM_SERVER:
        raise ValueError("flags")
    reader, frames = Reader(data[HEADER.size:]), []
    while reader.data:
        frames.append(reader.record(FRAMES))
    return flags, rest, frames


def message_in(payload):
    reader = Reader(payload)
    try:
        message = reader.record(MESSAGES)
        return (None,) if reader.data else message  # §6: no byte may be left over
    except ValueError:
        return (None,)  # §8.3: ignored, though acknowledged


def near(wire, known, bits):  # §2.2: how far `wire` is from `known`, as a serial number
    return (wire - known + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


class Client:
    def __init__(self, host, port, nick):
        self.nick, self.session, self.result = nick, 0, None
        self.sequence = 0  # the last datagram sent in this session
        self.largest, self.received = None, 0  # §7.3: bit i of `received` is number largest - i
        self.next, self.early = 0, {}  # §7.4: ids from the server, and what came before its turn
        self.queue, self.sending, self.id = [], None, 0  # messages of ours; the one on its way; its id
        self.carriers, self.sent_at = [], 0  # the datagrams that carried it, and when the last one left
        self.number, self.unconfirmed = 0, set()  # our lines (§6.1): the next number; not yet Accepted
        self.typed, self.input_ended, self.leave_by = queue.SimpleQueue(), False, None
        self.sockets = []
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
            try:  # a connected socket receives from its one address only (§12 no. 2)
                self.sockets.append(socket.socket(family, kind))
                self.sockets[-1].connect(address)
            except OSError:
                self.sockets.pop()  # say, no IPv6 here
        self.socket = None

    def say_over(self, result, text):
        print(text.translate(CLEAN), file=sys.stderr)
        self.result = result

    # Sending

    def send(self, frames, numbered=True):
        """One datagram: header (§3.1), frames, checksum (§3.2)."""
        clock, header = time.monotonic_ns() // 1000 & U32, [self.session, 0, 0, 0, 0, 0, 0]
        if numbered:
            self.sequence = self.sequence + 1 & U32  # §7.3: every datagram has a new number
            window = self.next + WINDOW - 1 & U16
            header = [self.session, self.sequence, self.largest, self.received >> 1, 0, 0, window]
            if frames:
                self.asked_at = time.monotonic()
                frames += b"\0" + blob(bytes(6))  # Padding: at least 49 bytes (§7.6)
        header[4] = clock
        data = HEADER.pack(0x4347, 1, ACK if numbered else 0, 0, *header) + frames
        data = data[:4] + zlib.crc32(data[:4] + data[8:]).to_bytes(4, "big") + data[8:]
        try:
            self.socket.send(data)
        except OSError:
            pass  # as good as lost; an ICMP error is no proof that nobody is there

    def send_message(self):  # §12 no. 6: the same id, but a new datagram
        self.send(b"\4" + integer(self.id) + blob(self.sending))
        self.carriers.append(self.sequence)
        self.sent_at = time.monotonic()

    # Receiving

    def receive(self, seconds):
        """All good datagrams that come within this time, until the first pause."""
        ready, _, _ = select.select(self.sockets, [], [], max(seconds, 0))
        for sock in ready:
            try:
                yield (sock, *read_datagram(sock.recv(65536)))
            except ValueError as error:
                if not self.session and error.args[0] == "version":  # §11.1
                    self.say_over(4, f"the server speaks version {error.args[1]}")
            except OSError:
                pass  # as above
