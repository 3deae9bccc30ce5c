#!/usr/bin/env python3
"""A client of all that `chatagram grade` judges, and mutants of it: one fault each.
usage: full_client.py [--mutant NAME] HOST:PORT NICK   |   full_client.py --list
It takes the codec from scripts/minimal_client.py. The rest is Part I of proto.md and from Part II
rejoining (7.9), the path challenge (7.7), Slow (7.14), other versions (11.1), whispers (6.1) and
TCP (11.2): tcp://HOST:PORT."""
import pathlib, queue, random, secrets, select, socket, sys, threading, time, types, zlib
from contextlib import suppress

CODEC = pathlib.Path(__file__).parents[3] / "scripts/minimal_client.py"

CLIENT = r'''
TABLE = codec.MESSAGES + [kinds.split() for kinds in (
    "About u16 u16 u16 string 0-2 0-2 u32 u32 u64 u64 u64 u64", "Pinged u16 u16",
    "Ponged u16 string", "Slow u16")]

class Client:
    def __init__(self, host, port, nick):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.nick, self.token, self.epoch, self.seen, self.whispers = nick, b"", 0, 0, 0
        self.number, self.unconfirmed, self.said, self.shown = 0, {}, set(), set()
        self.typed, self.leaving, self.leave_by, self.slow = queue.SimpleQueue(), False, None, 0
        self.begin(0)

    def begin(self, wait):
        """A new attempt to join, and no session."""
        self.nonce, self.cookie, self.pause = secrets.randbits(64) or 1, b"", codec.JOIN_RETRY
        self.session = self.sequence = self.peer = self.largest = self.received = 0
        self.next, self.early, self.outbox, self.id, self.carriers = 0, {}, [], 0, []
        self.heartbeat, self.silent, self.gap, self.here = 1, codec.JOIN_TIMEOUT, 0, False
        self.heard = time.monotonic()
        self.due, self.begun, self.asked = self.heard + wait, self.heard, 0

    def send(self, frames=b""):
        header = [self.session, 0, 0, 0, 0, 0, 0]
        if self.session:
            self.sequence = (self.sequence + 1) % 2**32
            window = (self.next + codec.WINDOW - 1) % 2**16
            header[1:] = self.sequence, self.largest, self.received >> 1, 0, 0, window
        flags = codec.ACK if self.session else 0
        data = codec.HEADER.pack(codec.MAGIC, codec.VERSION, flags, 0, *header) + frames
        checksum = zlib.crc32(data[:4] + data[8:]).to_bytes(4, "big")
        with suppress(OSError):
            self.socket.send(data[:4] + checksum + data[8:])
        self.asked = time.monotonic() if frames else self.asked

    def receive(self):
        try:
            data = self.socket.recv(2048)
        except OSError:
            return
        self.other_version(data)
        try:
            flags, fields, frames = codec.read_datagram(data)
        except (ValueError, IndexError):
            return
        session, sequence, acked, bitmap, *_ = fields
        for name, *fields in [] if self.session else frames:
            self.join(session, sequence, name, fields)
        if not self.session or session != self.session:
            return
        first = frames[0][0] if frames else ""
        if first == "PathChallenge":
            self.send(b"\x09" + frames[0][1])
            return
        if first == "Reset":
            show("* the server does not know the session", 0 if self.leave_by else None)
            self.begin(random.uniform(.25, .5))
            return
        if first == "PathResponse":
            return
        self.heard, age = time.monotonic(), -codec.ahead(sequence, self.largest, 32)
        if age < 0:
            self.largest = sequence
            self.received = self.received << min(-age, 65) & 2**65 - 1
            age = 0
        if age <= 64 and not self.received >> age & 1:
            self.received |= 1 << age
            if flags & codec.ACK:
                self.acknowledged(acked, bitmap << 1 | 1)
            for name, *fields in frames:
                if name in ("Ordered", "Unordered"):
                    self.keep(fields[0], 0, 1, fields[1])
                elif name == "Part":
                    self.keep(fields[0], *fields[2:])
            self.deliver()
        if {name for name, *_ in frames} - {"Padding"}:
            self.send()

    def other_version(self, data):
        if self.session or self.token or len(data) < 40 or data[:2] != b"CG" or data[2] == 1:
            return
        if zlib.crc32(data[:4] + data[8:]).to_bytes(4, "big") == data[4:8] and data[3] & 1:
            show(f"* the server speaks version {data[2]}, this client version 1", 4)

    def join(self, session, sequence, name, fields):
        if name == "Challenge" and fields[0] == self.nonce:
            self.due = self.due if self.cookie else 0
            self.cookie, self.silent = fields[1], codec.JOIN_DEADLINE
        elif name == "Refused" and fields[0] == self.nonce:
            show(f"* refused: {fields[2]}", 4)
        elif name == "Ordered" and fields[0] == 0:
            if fields[1].startswith(b"\0" + codec.integer(self.nonce)):
                self.session, self.largest, self.due = session, sequence - 1, 0

    def acknowledged(self, acked, bitmap):
        if any(bitmap >> (acked - carrier) % 2**32 & 1 for carrier in self.carriers):
            tokens, self.carriers = 1 + len(self.outbox.pop(0)) // codec.TOKEN_BYTES, []
            self.id, self.due = (self.id + 1) % 2**16, self.begun + self.gap * tokens

    def keep(self, number, index, count, payload):
        if 0 <= codec.ahead(number, self.next, 16) < codec.WINDOW:
            self.early.setdefault((number, count), {})[index] = payload

    def deliver(self):
        while True:
            ready = [it for it in (1, 2, 3) if len(self.early.get((self.next, it), ())) == it]
            if not ready:
                return
            parts = self.early.pop((self.next, ready[0]))
            self.next = (self.next + 1) % 2**16
            with suppress(ValueError, IndexError):
                payload = b"".join(part for _, part in sorted(parts.items()))
                [message] = codec.read_all(payload, TABLE)
                self.handle(*message)

    def handle(self, name, *fields):
        if name in ("Line", "History"):
            position = (self.epoch, fields[0])
            if position in self.shown:
                return
            self.shown.add(position)
            self.seen = fields[0]
            if name == "History" and fields[2]:
                self.unconfirmed.pop(fields[3], None)
                return
        if name in ("Joined", "Left"):
            others = ", ".join(entry[2] for entry in fields[-1] if entry[1] != self.peer)
            fields = *fields[:-1], others
        if name in codec.SHOWN and fields[-1] != "":
            show(codec.SHOWN[name].format(name, *fields))
        if name == "Welcome":
            self.welcome(*fields)
        elif name == "Accepted":
            self.unconfirmed.pop(fields[0], None)
            self.seen = fields[1]
        elif name == "Slow":
            self.slow = max(self.slow, time.monotonic() + fields[0] / 1e3)
        elif name == "Closing":
            self.send()
            over = self.leave_by or fields[0] == codec.SHUTDOWN
            show(f"* closed: {fields[1] or 'left'}", 0 if over else None)
            self.begin(.5)

    def welcome(self, nonce, peer, token, nick, room, heartbeat, expiry, burst, rate, peers, replay,
                complete, epoch, latest, newest, taken, sure):
        self.peer, self.token, self.epoch, self.here = peer, token, epoch, True
        self.seen = latest if not replay else self.seen
        self.heartbeat, self.silent = heartbeat / 1e3, max(codec.SILENT, expiry / 667)
        self.gap = 1 / (rate or 9e9)
        for number, line in list(self.unconfirmed.items()):  # doubtful lines, 7.9
            back = codec.ahead(newest, number, 16) if taken else -1
            if 0 <= back < 8 * len(taken) and taken[back // 8] >> back % 8 & 1:
                del self.unconfirmed[number]
            elif line not in self.said or sure and back < 256:
                self.outbox.append(line)
            else:
                show("! a line may be lost")
                del self.unconfirmed[number]

    def type(self, line):
        text = line.decode(errors="replace").rstrip("\r\n").translate(codec.CLEAN)
        self.leaving = self.leaving or text == "exit"
        order, to, told = [*text.split(" ", 2), "", ""][:3]
        if order == "/msg" and told:
            fields = codec.integer(self.whispers) + b"\0" + codec.blob(to.encode())
            self.here and self.outbox.append(b"\1" + fields + codec.blob(told.encode()))
            self.whispers += 1
            return
        while text and not self.leaving:
            piece = text.encode()[:codec.MAX_TEXT].decode(errors="ignore")
            text, sent = text[len(piece):], codec.integer(time.time_ns() // 1000)
            if not piece.isspace():
                say = codec.SAY + codec.integer(self.number) + sent + codec.blob(piece.encode())
                self.unconfirmed[self.number] = say
                self.number = (self.number + 1) % 2**16
                self.here and self.outbox.append(say)

    def fields(self):
        fields = codec.integer(self.nonce) + codec.blob(self.cookie) + codec.blob(self.nick)
        fields += b"\2" + codec.blob(self.token) + codec.integer(self.epoch)
        return fields + codec.integer(self.seen) + codec.integer(self.number if self.token else 0)

    def tick(self):
        now = time.monotonic()
        if self.leaving and not self.unconfirmed and not self.leave_by and self.session:
            self.outbox.append(codec.LEAVE + codec.integer(self.number))
            self.due, self.leave_by = 0, now + codec.LEAVE_TIMEOUT
        self.leave_by and now > self.leave_by and show("* left", 0)
        if not self.session and now >= self.due:
            fields = self.fields()
            padding = codec.PADDING + codec.blob(bytes(max(469 - len(fields), 0)))
            self.send(codec.JOIN + fields + padding)
            self.due, self.pause = now + self.pause, min(2 * self.pause, codec.JOIN_RETRY_MAX)
        elif self.session and self.outbox and now >= max(self.due, self.slow):
            self.begun = self.begun if self.carriers else now
            self.said.add(self.outbox[0])
            self.send(codec.ORDERED + codec.integer(self.id) + codec.blob(self.outbox[0]))
            self.carriers.append(self.sequence)
            self.due = now + (codec.RESEND_LEAVE if self.leave_by else codec.RESEND)
        elif self.session and now > self.asked + self.heartbeat:
            self.send(codec.HEARTBEAT)
        if now > self.heard + self.silent:
            show("* no answer from the server", 5 if self.token else 3)

class Stream(Client):
    """The same over TCP: a record for each frame, and nothing to acknowledge."""
    def __init__(self, host, port, nick):
        super().__init__(host, port, nick)
        self.socket = socket.create_connection((host, int(port)))
        self.buffer, self.answered, self.due = b"", False, float("inf")
        self.socket.sendall(b"CG\1" + bytes(9))
        self.send(codec.JOIN + self.fields())

    def begin(self, wait):
        self.token and show("* the connection is over", 5)
        super().begin(wait)

    def send(self, frames=b""):
        if frames:
            is_message = frames.startswith(codec.ORDERED)
            frame = b"\2" + codec.blob(self.outbox[0]) if is_message else frames
            with suppress(OSError):
                self.socket.sendall(len(frame).to_bytes(2, "big") + frame)
            self.asked = time.monotonic()

    def receive(self):
        data = b""
        with suppress(OSError):
            data = self.socket.recv(2048)
        data or show("* the connection is over", 5)
        self.heard = time.monotonic()
        self.buffer += data
        while len(self.buffer) >= (2 if self.answered else 12):
            size = 2 + int.from_bytes(self.buffer[:2], "big") if self.answered else 12
            if len(self.buffer) < size:
                break
            piece, self.buffer = self.buffer[:size], self.buffer[size:]
            if self.answered:
                self.take(*codec.read_all(piece[2:], codec.FRAMES)[0])
            else:
                self.answered, self.session = True, int.from_bytes(piece[4:], "big")
                self.due = 0 if self.session else self.due

    def take(self, name, *fields):
        name == "Refused" and show(f"* refused: {fields[2]}", 4)
        if name in ("Once", "Unordered", "Ordered"):
            [message] = codec.read_all(fields[-1], TABLE)
            self.handle(*message)

    def tick(self):
        super().tick()
        self.carriers and self.acknowledged(self.sequence, 1)  # the kernel has it

def show(text, exit_code=None):
    print(text.translate(codec.CLEAN), flush=True)
    exit_code is None or sys.exit(exit_code)
'''

# One fault each: the criterion that fails, then pieces of the text of the codec or the client, each
# with what stands there in the mutant.
MUTANTS = {
    "old-checksum": ("header", '[:4] + data[8:]).to_bytes(4, "big")\n        with',
                     '[8:]).to_bytes(4, "big")\n        with'),
    "wide-integers": ("frames", "if value <= 250:", "if value <= 0:"),
    "short-join": ("join", "max(469 - len(fields), 0)", "0"),
    "new-nonce": ("join", "if not self.session and now >= self.due:",
                  "if not self.session and now >= self.due:\n            self.nonce += 1"),
    "steady-joins": ("join-retry", "min(2 * self.pause, codec.JOIN_RETRY_MAX)", ".1"),
    "slow-joins": ("join-retry", "now + self.pause, min", "now + 1.5, min"),
    "never-gives-up": ("give-up", "now > self.heard + self.silent", "0"),
    "no-cookie": ("cookie", "self.silent = fields[1],", "self.silent = b'',"),
    "cookie-when-due": ("cookie", "self.due = self.due if self.cookie else 0", "pass"),
    "many-answers": ("cookie", "self.due = self.due if self.cookie else 0", "self.due = 0"),
    "any-nonce": ("nonce", 'name == "Challenge" and fields[0] == self.nonce',
                  'name == "Challenge"'),
    "early-session": ("welcome", "            self.join(session, sequence, name, fields)\n",
                      "            self.join(session, sequence, name, fields)\n"
                      "            if session and name == 'Ordered':\n"
                      "                self.session = session if fields[0] else self.session\n"),
    "silent-refusal": ("refused", 'show(f"* refused: {fields[2]}", 4)', 'show("* no", 4)'),
    "one-number": ("sequence", "(self.sequence + 1) % 2**32",
                   "self.sequence + bool(frames or not self.sequence)"),
    "long-datagrams": ("size", "[:codec.MAX_TEXT]", "[:900]"),
    "acks-the-newest": ("ack-number", "self.sequence, self.largest, ",
                        "self.sequence, self.latest, ",
                        "        self.heard, age = time",
                        "        self.latest = sequence\n        self.heard, age = time"),
    "acks-next": ("ack-number", "self.sequence, self.largest, ",
                  "self.sequence, self.largest + 1, "),
    "no-bitmap": ("ack-bitmap", "self.received >> 1, 0, 0", "0, 0, 0"),
    "bitmap-by-one": ("ack-bitmap", "self.received >> 1, 0, 0",
                      "self.received & 2**64 - 1, 0, 0"),
    "delay-in-us": ("ack-delay", "self.received >> 1, 0, 0", "self.received >> 1, 0, 65000"),
    "no-acks": ("ack-prompt", '- {"Padding"}:\n            self.send()',
                '- {"Padding"}:\n            pass'),
    "late-acks": ("ack-prompt", '- {"Padding"}:\n            self.send()',
                  '- {"Padding"}:\n'
                  "            self.owed = getattr(self, 'owed', 0) or time.monotonic() + 2",
                  "        now = time.monotonic()\n",
                  "        now = time.monotonic()\n"
                  "        if self.session and 0 < getattr(self, 'owed', 0) < now:\n"
                  "            self.owed = 0\n            self.send()\n"),
    "acks-acks": ("ack-only", '- {"Padding"}:', '- {"Padding"} or not frames:'),
    "acks-once": ("ack-duplicate", '- {"Padding"}:', '- {"Padding"} and new:',
                  "        if age <= 64 and not", "        new = not self.received >> age & 1\n"
                  "        if age <= 64 and not",
                  "            age = 0\n",
                  "            age = 0\n            self.received &= ~1\n"),
    "no-names": ("hear", '"Line": "{6}: {7}"', '"Line": "{7}"'),
    "order-of-arrival": ("order", "            parts = self.early.pop((self.next, ready[0]))",
                         "            parts = self.early.pop((self.next, ready[0]))\n"
                         "            if (self.next, 1) in self.done:\n"
                         "                self.next += 1\n                continue",
                         "        if 0 <= codec.ahead(number, self.next, 16) < codec.WINDOW:\n",
                         "        if 0 <= codec.ahead(number, self.next, 16) < codec.WINDOW:\n"
                         "            if number > self.next and count == 1:\n"
                         "                [message] = codec.read_all(payload, TABLE)\n"
                         "                (number, 1) in self.done or self.handle(*message)\n"
                         "                self.done.add((number, 1))\n",
                         "        self.next, self.early, ", "        self.done = set()\n"
                         "        self.next, self.early, "),
    "no-duplicates-check": ("once", "            self.deliver()\n",
                            "            self.deliver()\n        else:\n"
                            "            self.shown.clear()\n"
                            "            for name, *fields in frames:\n"
                            "                if name == 'Ordered':\n"
                            "                    [it] = codec.read_all(fields[1], TABLE)\n"
                            "                    self.handle(*it)\n"),
    "fixed-window": ("window-field", "(self.next + codec.WINDOW - 1) % 2**16", "255"),
    "small-buffer": ("window", "< codec.WINDOW:", "< 64:"),
    "no-parts": ("parts", 'elif name == "Part":', 'elif name == "Part" and 0:'),
    "parts-backwards": ("parts", "sorted(parts.items())", "sorted(parts.items(), reverse=True)"),
    "raw-output": ("clean", "print(text.translate(codec.CLEAN), flush=True)",
                   "print(text, flush=True)"),
    "c0-only": ("clean", "*range(127, 160), 0x61C,", "127, 0x61C,"),
    "says-twice": ("say", "self.here and self.outbox.append(say)",
                   "self.here and self.outbox.append(say)\n"
                   "                self.number += 1\n"
                   "                say = say[:1] + codec.integer(self.number - 1) + say[2:]\n"
                   "                self.here and self.outbox.append(say)"),
    "skips-numbers": ("number", "self.number = (self.number + 1) % 2**16",
                      "self.number = (self.number + 2) % 2**16"),
    "raw-input": ("clean-text", '.rstrip("\\r\\n").translate(codec.CLEAN)', '.rstrip("\\r\\n")'),
    "says-blanks": ("clean-text", "if not piece.isspace():", "if 1:"),
    "drops-the-rest": ("cut", "text[len(piece):], codec.integer", "'', codec.integer"),
    "cuts-characters": ("cut", '[:codec.MAX_TEXT].decode(errors="ignore")',
                        '[:codec.MAX_TEXT - 1].decode(errors="replace")'),
    "never-again": ("retransmit", "self.session and self.outbox and now >=",
                    "self.session and self.outbox and not self.carriers and now >="),
    "cumulative-acks": ("retransmit", "any(bitmap >> (acked - carrier) % 2**32 & 1 for carrier in",
                        "any(acked >= carrier for carrier in"),
    "new-id": ("same-id", "codec.ORDERED + codec.integer(self.id)",
               "codec.ORDERED + codec.integer(self.id + len(self.carriers))",
               "            tokens, self.carriers = 1",
               "            self.id += len(self.carriers) - 1\n"
               "            tokens, self.carriers = 1"),
    "impatient": ("backoff", "else codec.RESEND)", "else .1)"),
    "once-more": ("stop", "            tokens, self.carriers = 1",
                  "            self.more = time.monotonic() + .7, self.id, self.outbox[0]\n"
                  "            tokens, self.carriers = 1",
                  "        now = time.monotonic()\n",
                  "        now = time.monotonic()\n"
                  "        if getattr(self, 'more', None) and now > self.more[0]:\n"
                  "            self.send(codec.ORDERED + codec.integer(self.more[1])\n"
                  "                      + codec.blob(self.more[2]))\n"
                  "            self.more = None\n"),
    "no-rate-limit": ("rate", "self.gap = 1 / (rate or 9e9)", "self.gap = 0"),
    "no-whispers": ("whisper", '"Whisper": "{4} whispers: {5}", ', ""),
    "no-heartbeat": ("heartbeat", "self.send(codec.HEARTBEAT)", "pass"),
    "own-heartbeat": ("heartbeat", "self.heartbeat, self.silent = heartbeat / 1e3,",
                      "self.heartbeat, self.silent = 2,"),
    "restless": ("heartbeat", "self.heartbeat, self.silent = heartbeat / 1e3,",
                 "self.heartbeat, self.silent = heartbeat / 5e3,"),
    "naps": ("heartbeat", "self.send(codec.HEARTBEAT)",
             "time.sleep(1.2)\n            self.send(codec.HEARTBEAT)"),
    "wrong-next": ("leave", "codec.LEAVE + codec.integer(self.number)", "codec.LEAVE + b'\\0'"),
    "just-ends": ("leave", "self.outbox.append(codec.LEAVE + codec.integer(self.number))",
                  "show('* left', 0)"),
    "deaf-at-the-end": ("closing", "            self.send()\n            over",
                        "            over"),
    "no-checksum": ("invalid", "VERSION, FROM_SERVER, zlib.crc32(data[:4] + data[8:])",
                    "VERSION, FROM_SERVER, checksum"),
    "no-version-check": ("invalid", "expected = MAGIC, VERSION, FROM_SERVER,",
                         "expected = MAGIC, version, FROM_SERVER,"),
    "any-session": ("invalid", "if not self.session or session != self.session:",
                    "if not self.session:"),
    "any-sender": ("foreign", "self.socket.connect((host, int(port)))",
                   "self.to = host, int(port)", "self.socket.send(data[:4] + checksum + data[8:])",
                   "self.socket.sendto(data[:4] + checksum + data[8:], self.to)"),
    "ignores-reset": ("reset", 'if first == "Reset":', 'if first == "Reset" and 0:'),
    "no-token": ("rejoin", 'b"\\2" + codec.blob(self.token)', 'b"\\2" + codec.blob(b"")'),
    "says-again": ("no-double", "if 0 <= back < 8 * len(taken) and",
                   "if 0:\n                pass\n            elif 0 and",
                   "self.said or sure and back < 256:", "self.said or True:",
                   "self.outbox.append(line)\n", "self.outbox.append(\n"
                   "                    line[:1] + codec.integer(self.number) + line[2:])\n"
                   "                self.number += 1\n"),
    "shows-again": ("no-double", "self.shown.add(position)", "pass",
                    "codec.integer(self.seen) +", "codec.integer(0) +"),
    "forgets-lines": ("resend", "elif line not in self.said or sure and back < 256:",
                      "elif line not in self.said:"),
    "no-path-response": ("roaming", 'self.send(b"\\x09" + frames[0][1])', "pass"),
    "wrong-cookie": ("roaming", 'self.send(b"\\x09" + frames[0][1])',
                     'self.send(b"\\x09" + bytes(8))'),
    "no-slow": ("slow", "now >= max(self.due, self.slow)", "now >= self.due"),
    "says-whispers": ("tell", 'order == "/msg" and', "0 and"),
    "whispers-to-itself": ("tell", "codec.blob(to.encode())", "codec.blob(self.nick)"),
    "no-preface": ("tcp", 'self.socket.sendall(b"CG\\1" + bytes(9))', "pass"),
    "two-frames-a-record": ("tcp", "codec.JOIN + self.fields()",
                            "codec.JOIN + self.fields() + codec.HEARTBEAT"),
    "reads-are-records": ("tcp-cut", "self.buffer += data", "self.buffer = data"),
    "half-records": ("tcp-cut", "if len(self.buffer) < size:", "if 0:"),
    "no-version": ("version", "        self.other_version(data)\n", ""),
}

def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(f"{name} {fault[0]}" for name, fault in MUTANTS.items()))
        return
    texts = [CODEC.read_text(), CLIENT]
    if arguments[0] == "--mutant":
        _, *pieces = MUTANTS[arguments[1]]
        for old, new in zip(pieces[::2], pieces[1::2]):
            if not any(old in text for text in texts):
                sys.exit(f"{arguments[1]}: {old!r} is in neither file")
            texts = [text.replace(old, new) for text in texts]
        arguments = arguments[2:]
    codec = types.ModuleType("codec")
    exec(compile(texts[0], str(CODEC), "exec"), codec.__dict__)
    space = {**globals(), "codec": codec}
    exec(compile(texts[1], __file__, "exec"), space)
    kind = "Stream" if arguments[0].startswith("tcp://") else "Client"
    address = arguments[0].removeprefix("tcp://").rpartition(":")[::2]
    client = space[kind](*address, arguments[1].encode())
    typed = (line for part in (open(0, "rb", 0), [b"exit"]) for line in part)
    threading.Thread(target=lambda: [client.typed.put(it) for it in typed], daemon=True).start()
    while True:
        select.select([client.socket], [], [], 0.02)[0] and client.receive()
        while not client.typed.empty():
            client.type(client.typed.get())
        client.tick()

if __name__ == "__main__":
    main(sys.argv[1:])
