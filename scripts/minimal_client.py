#!/usr/bin/env python3
"""A Chatagram client in under 200 lines, written from proto.md alone; § is a section of that text.
usage: minimal_client.py HOST:PORT NICK      type lines; `exit`, the end of input or Ctrl-C leaves
It does what §12 asks of a minimal client and little more: one message at a time, a fixed timer, no coming back.
Exit codes: 0 left in order, 2 usage, 3 nobody answers, 4 refused, 5 the session is over."""
import queue, secrets, select, signal, socket, struct, sys, threading, time, zlib
from contextlib import suppress

RESEND, RESEND_LEAVE, LEAVE_TIMEOUT, GIVE_UP, SILENT = 1, 0.25, 1, 30, 15  # in seconds (§9, §12)
JOIN_RETRY, JOIN_RETRY_MAX, JOIN_TIMEOUT, WINDOW, MAX_TEXT = 0.25, 2, 5, 64, 1000
HEADER, MAGIC, VERSION, FROM_SERVER, ACK, SHUTDOWN = struct.Struct(">HBBIQIIQIHH"), 0x4347, 1, 1, 2, 2  # §3.1, §6.2
PADDING, HEARTBEAT, ORDERED, JOIN, SAY, LEAVE = b"\0", b"\1", b"\4", b"\5", b"\0", b"\2"  # numbers of §5 and §6.1
# §5 and §6.2, in the order of their numbers. 20 stands for `bytes[20]`, 0-2 for an enumeration, u32 also for i32.
FRAMES = [frame.split() for frame in """Padding bytes, Heartbeat, Once bytes, Unordered u16 bytes, Ordered u16 bytes,
    Join u64 bytes string 0-2 bytes u64 u16, Challenge u64 20, Refused u64 0-5 string, PathChallenge 8, PathResponse 8,
    Reset""".split(",")]
MESSAGES = [message.split() for message in """Welcome u64 u16 16 string string u32 u32 u16 u16 u16 u16 bool u64, Present
    u16 string u16, History u64 string string, Joined u16 string u16 u16, Left u16 string u16 u16 0-3, Line u64 u32 u16
    u16 string string, Accepted u16 u64, Whisper u64 u32 u16 string string, Whispered u16 u64 string string, NotHere u16
    string, Notice string, Closing 0-3 string""".split(",")]
LARGEST = {"u16": 2**16 - 1, "u32": 2**32 - 1, "u64": 2**64 - 1, "bool": 1, "0-2": 2, "0-3": 3, "0-5": 5}
SHOWN = {"Welcome": "* welcome to {5}, {4}: {10} here", "Joined": "* {2} joined, {4} here", "Notice": "! {1}",
         "Left": "* {2} left, {4} here", "History": "{2}: {3}", "Line": "{5}: {6}", "Whisper": "{4} whispers: {5}"}
UNSAFE = [*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
CLEAN = {**dict.fromkeys(UNSAFE, "\ufffd"), 9: " "}  # §4.2, for str.translate()

def integer(value):  # in its shortest form (§2.3)
    size, mark = (0, 0) if value <= 250 else (2, 251) if value < 2**16 else (4, 252) if value < 2**32 else (8, 253)
    return bytes([mark]) + value.to_bytes(size, "big") if size else bytes([value])

def blob(content):  # `bytes`, or a `string` that is encoded already (§2.3)
    return integer(len(content)) + content

def take(data, kind):
    """The value at the beginning of `data`, and what follows it; ValueError if there is none (§2.3)."""
    if kind in LARGEST:
        size = {b"\xfb": 2, b"\xfc": 4, b"\xfd": 8}.get(data[:1], 0)
        value = int.from_bytes(data[1:1 + size] if size else data[:1], "big")
        if value > LARGEST[kind] or integer(value) != data[:1 + size]:  # not its one encoding, or cut off
            raise ValueError("no such integer")
        return value, data[1 + size:]
    size, data = (int(kind), data) if kind.isdigit() else take(data, "u64")
    if size > len(data):
        raise ValueError("longer than what is left")
    return data[:size].decode() if kind == "string" else data[:size], data[size:]

def read_all(data, table):
    """The frames, or messages, that `data` consists of: each a list of its name and its fields."""
    records = []
    while data:
        number, data = take(data, "u32")
        records.append(table[number][:1])  # IndexError: no such number
        for kind in table[number][1:]:
            value, data = take(data, kind)
            records[-1].append(value)
    return records

def read_datagram(data):
    """The fields of the header from the flags on, and the frames; an error if it is to be dropped (§8.1)."""
    magic, version, flags, checksum, *fields = HEADER.unpack(data[:40]) if 40 <= len(data) <= 1200 else [0] * 11
    expected = MAGIC, VERSION, FROM_SERVER, zlib.crc32(data[:4] + data[8:])  # §3.2
    if (magic, version, flags & ~ACK, checksum) != expected:
        raise ValueError("damaged, or not for a client of this version")
    return flags, fields, read_all(data[40:], FRAMES)

def ahead(number, other, bits):  # by how much, although counters wrap; negative: behind (§2.2)
    return (number - other + 2**(bits - 1)) % 2**bits - 2**(bits - 1)

def show(text, exit_code=None):
    print(text.translate(CLEAN), flush=True)  # a terminal obeys what it is sent (§4.2)
    if exit_code is not None:
        sys.exit(exit_code)

class Client:
    def __init__(self, host, port, nick):
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind)
        self.socket.connect(address)  # the kernel drops what comes from other addresses (§12, no. 2)
        self.nick, self.nonce, self.cookie, self.pause = nick, secrets.randbits(64) or 1, b"", JOIN_RETRY
        self.session = self.sequence = self.largest = self.received = 0  # bit i of `received`: `largest - i` is here
        self.next, self.early = 0, {}  # the smallest message id not received, and what came before its turn (§7.4)
        self.outbox, self.id, self.carriers = [], 0, []  # our messages; the first one's id; datagrams that had it
        self.number, self.unconfirmed = 0, set()  # our next line's number, and those not Accepted yet (§6)
        self.typed, self.leaving, self.leave_by, self.heartbeat = queue.SimpleQueue(), False, None, 1
        self.heard, self.silent, self.due, self.begun, self.asked, self.gap = time.monotonic(), JOIN_TIMEOUT, 0, 0, 0, 0

    def send(self, frames=b""):
        header = [self.session, 0, 0, 0, 0, 0, 0]
        if self.session:  # a new number, the newest acknowledgment (§7.3) and window (§7.4)
            self.sequence, window = (self.sequence + 1) % 2**32, (self.next + WINDOW - 1) % 2**16
            header[1:] = self.sequence, self.largest, self.received >> 1, 0, 0, window
        data = HEADER.pack(MAGIC, VERSION, ACK if self.session else 0, 0, *header) + frames
        with suppress(OSError):  # an error is as good as a loss
            self.socket.send(data[:4] + zlib.crc32(data[:4] + data[8:]).to_bytes(4, "big") + data[8:])
        self.asked = time.monotonic() if frames else self.asked

    def receive(self):
        try:
            flags, (session, sequence, acked, bitmap, *_), frames = read_datagram(self.socket.recv(2048))
        except (ValueError, IndexError, OSError):  # an ICMP error proves nothing
            return
        for name, *fields in [] if self.session else frames:  # joining (§7.2)
            if name == "Challenge" and fields[0] == self.nonce and fields[1] != self.cookie:
                self.cookie, self.due, self.pause = fields[1], 0, JOIN_RETRY
            elif name == "Refused" and fields[0] == self.nonce:
                show(f"* refused: {fields[2]}", 4)
            elif [name, *fields[:1]] == ["Ordered", 0] and fields[1].startswith(b"\0" + integer(self.nonce)):  # Welcome
                self.session, self.largest, self.due = session, sequence - 1, 0
        names = {name for name, *_ in frames}
        if not self.session or session != self.session or "PathChallenge" in names:  # it does not roam (§7.7)
            return
        if "Reset" in names:  # §7.8
            show("* the session is over: the server does not know it any more", 0 if self.leave_by else 5)
        self.heard, age = time.monotonic(), -ahead(sequence, self.largest, 32)
        if age < 0:
            self.largest, self.received, age = sequence, self.received << min(-age, 65) & 2**65 - 1, 0
        if age <= 64 and not self.received >> age & 1:  # not a duplicate (§12, no. 3)
            self.received |= 1 << age
            if flags & ACK and any((bitmap << 1 | 1) >> (acked - carrier) % 2**32 & 1 for carrier in self.carriers):
                del self.outbox[0], self.carriers[:]  # it is there: on to the next one (§12, no. 6)
                self.id, self.due = (self.id + 1) % 2**16, self.begun + self.gap
            for number, payload in (frame[1:] for frame in frames if frame[0] in ("Ordered", "Unordered")):
                if 0 <= ahead(number, self.next, 16) < WINDOW:  # else it was here before (§7.4)
                    self.early[number] = payload
            while self.next in self.early:
                payload, self.next = self.early.pop(self.next), (self.next + 1) % 2**16
                with suppress(ValueError, IndexError):  # not exactly one message: ignored (§8.3)
                    [message] = read_all(payload, MESSAGES)
                    self.handle(*message)
        if names - {"Padding"}:
            self.send()  # an acknowledgment, of a duplicate as well (§12, no. 4)

    def handle(self, name, *fields):
        if name in SHOWN:
            show(SHOWN[name].format(name, *fields))
        if name == "Welcome":
            self.heartbeat, self.silent, self.gap = fields[5] / 1e3, max(SILENT, fields[6] / 667), 1 / (fields[8] or 1e9)
        elif name == "Accepted":
            self.unconfirmed.discard(fields[0])
        elif name == "Closing":  # §7.11
            self.send()
            show(f"* closed: {fields[1] or 'left'}", 0 if self.leave_by or fields[0] == SHUTDOWN else 5)

    def type(self, line):
        if line is None:  # Ctrl-C: what was not sent yet stays unsaid
            del self.outbox[bool(self.carriers):]
            self.unconfirmed.clear()
        text = (b"exit" if line is None else line).decode(errors="replace").rstrip("\r\n").translate(CLEAN)
        self.leaving = self.leaving or text == "exit"
        while text and not self.leaving:  # at most 1,000 bytes, no character cut, not blank (§4.2)
            piece = text.encode()[:MAX_TEXT].decode(errors="ignore")
            text, sent = text[len(piece):], integer(time.time_ns() // 1000)
            if not piece.isspace():
                self.outbox.append(SAY + integer(self.number) + sent + blob(piece.encode()))
                self.unconfirmed.add(self.number)
                self.number = (self.number + 1) % 2**16

    def tick(self):
        now = time.monotonic()
        if self.leaving and not self.unconfirmed and not self.leave_by and self.session:
            self.outbox.append(LEAVE + integer(self.number))  # once all else is confirmed (§7.11)
            self.due, self.leave_by = 0, now + LEAVE_TIMEOUT
        if self.leave_by and now > self.leave_by:
            show("* left", 0)
        if not self.session and now >= self.due:
            fields = integer(self.nonce) + blob(self.cookie) + blob(self.nick) + b"\2\0\0\0"  # ReliableOrdered
            self.send(JOIN + fields + PADDING + blob(bytes(512)))
            self.due, self.pause = now + self.pause, min(2 * self.pause, JOIN_RETRY_MAX)
        elif self.session and self.outbox and now >= self.due:
            self.begun = self.begun if self.carriers else now
            self.send(ORDERED + integer(self.id) + blob(self.outbox[0]))  # the same id in a new datagram (§7.4)
            self.carriers.append(self.sequence)
            self.due = now + (RESEND_LEAVE if self.leave_by else RESEND)
        elif self.session and now > self.asked + self.heartbeat:
            self.send(HEARTBEAT)
        if now > self.heard + self.silent or self.session and self.unconfirmed and now > self.begun + GIVE_UP:
            show("* no answer from the server", 5 if self.session else 3)

def read_input(typed):
    for line in open(0, "rb", 0):
        typed.put(line)
    typed.put(b"exit")

if __name__ == "__main__":
    if len(sys.argv) != 3 or ":" not in sys.argv[1]:
        sys.exit(print(__doc__) or 2)
    try:
        client = Client(*sys.argv[1].rpartition(":")[::2], sys.argv[2].encode(errors="replace"))
    except OSError as error:
        show(f"* {sys.argv[1]}: {error}", 3)
    sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGINT, lambda *_: client.typed.put(None) if client.session else show("* left", 0))
    threading.Thread(target=read_input, args=(client.typed,), daemon=True).start()
    while True:
        if select.select([client.socket], [], [], 0.02)[0]:
            client.receive()
        while not client.typed.empty():
            client.type(client.typed.get())
        client.tick()
