#!/usr/bin/env python3
"""Joins a private room, says one line, and leaves: proto.md 11.4 with aioquic, an implementation of
QUIC and TLS that shares no code with the server's.
usage: private_client.py TICKET_FILE NICK TEXT         (pip install aioquic)
Exit codes: 0 the server has taken the line, 2 usage, 3 no answer, 4 refused, 5 the session is
over."""
import base64, hashlib, hmac, os, secrets, select, socket, ssl, sys, time

from aioquic import tls
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from minimal_client import FRAMES, JOIN, LEAVE, MESSAGES, SAY, blob, integer, read_all, show

LABEL, PROOF_LEN, TIMEOUT = b"EXPORTER-chatagram-private-room", 32, 10
REFUSED, OTHER_KEY = 2, 0x131  # of a closed connection (11.4)
PREFACE, ONCE = b"CG\1\0" + bytes(8), b"\2"


def read_ticket(text):
    """The first address, the hash of the key and the secret (11.4)."""
    scheme, _, rest = text.strip().partition("://")
    places, _, body = rest.partition("/")
    body = base64.urlsafe_b64decode(body)
    signed, check = body[:-4], body[-4:]
    if (scheme, len(body)) != ("chatagram", 57) or hashlib.sha256(signed).digest()[:4] != check:
        raise ValueError("this is no ticket")
    host, _, port = places.split("+")[0].rpartition(":")
    return (host.strip("[]"), int(port)), signed[1:33], signed[33:]


# aioquic has no exporter (RFC 8446 §7.5). Its master secret belongs to the same messages as the
# traffic secrets, so it is derived beside the first of them (§7.1).
derive_secret = tls.KeySchedule.derive_secret


def derive_both(schedule, label):
    if label == b"s ap traffic":
        schedule.exporter_secret = derive_secret(schedule, b"exp master")
    return derive_secret(schedule, label)


tls.KeySchedule.derive_secret = derive_both


def exported(schedule):
    empty = schedule.hash_empty_value
    secret = tls.hkdf_expand_label(
        schedule.algorithm, schedule.exporter_secret, LABEL, empty, len(empty))
    return tls.hkdf_expand_label(schedule.algorithm, secret, b"exporter", empty, PROOF_LEN)


def record(frame):  # of a stream (11.2)
    return len(frame).to_bytes(2, "big") + frame


class Client:
    def __init__(self, ticket, nick, text):
        address, self.key, self.secret = read_ticket(ticket)
        family, kind, _, _, self.server = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind)
        self.nick, self.text = nick.encode(), text.encode()
        log = os.environ.get("SSLKEYLOGFILE")
        # The ticket vouches for the key, and no authority.
        configuration = QuicConfiguration(
            alpn_protocols=["chatagram/1"], verify_mode=ssl.CERT_NONE, server_name="chatagram",
            max_datagram_frame_size=1200, secrets_log_file=open(log, "a") if log else None)
        self.quic = QuicConnection(configuration=configuration)
        self.quic.connect(self.server, time.monotonic())
        self.stream, self.data, self.proof, self.greeted = None, b"", None, False

    def run(self):
        deadline = time.monotonic() + TIMEOUT
        while (now := time.monotonic()) < deadline:
            for data, address in self.quic.datagrams_to_send(now):
                self.socket.sendto(data, address)
            due = max(min(self.quic.get_timer() or deadline, deadline) - now, 0)
            if select.select([self.socket], [], [], due)[0]:
                data, address = self.socket.recvfrom(2048)
                self.quic.receive_datagram(data, address, time.monotonic())
            else:
                self.quic.handle_timer(time.monotonic())
            while event := self.quic.next_event():
                self.handle(event)
        show("* no answer from the server", 3)

    def handle(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self.prove()
        elif isinstance(event, events.StreamDataReceived) and event.stream_id == self.stream:
            self.data += event.data
            self.read()
        elif isinstance(event, events.ConnectionTerminated):
            refused = event.error_code == REFUSED and event.frame_type is None
            show(f"* closed: {event.error_code} {event.reason_phrase}", 4 if refused else 5)

    def prove(self):
        key = self.quic.tls._peer_certificate.public_key()
        key = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if hashlib.sha256(key).digest() != self.key:
            self.quic.close(error_code=OTHER_KEY)
            for data, address in self.quic.datagrams_to_send(time.monotonic()):
                self.socket.sendto(data, address)
            show("* the server has another key than the ticket says", 4)
        value = exported(self.quic.tls.key_schedule)
        proof = lambda end: hmac.digest(self.secret, b"chatagram " + end + value, "sha256")
        self.proof, self.stream = proof(b"server"), self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(self.stream, proof(b"client"))

    def read(self):
        if self.proof and len(self.data) >= PROOF_LEN:
            given, self.data = self.data[:PROOF_LEN], self.data[PROOF_LEN:]
            if not hmac.compare_digest(given, self.proof):
                show("* the server does not know the secret", 4)
            self.proof = None
            # In order; no token, no lines seen (11.2).
            join = integer(secrets.randbits(64) or 1) + b"\0" + blob(self.nick) + b"\2\0\0\0\0"
            self.quic.send_stream_data(self.stream, PREFACE + record(JOIN + join))
        if not self.proof and not self.greeted and len(self.data) >= len(PREFACE):
            self.data, self.greeted = self.data[len(PREFACE):], True
        while self.greeted and len(self.data) >= 2:
            size = 2 + int.from_bytes(self.data[:2], "big")
            if len(self.data) < size:
                return
            [frame], self.data = read_all(self.data[2:size], FRAMES), self.data[size:]
            if frame[0] == "Refused":
                show(f"* refused: {frame[3]}", 4)
            elif frame[0] in ("Once", "Ordered", "Unordered"):
                self.take(*read_all(frame[-1], MESSAGES)[0])

    def take(self, name, *fields):
        if name == "Welcome":
            show(f"* in the room {fields[4]} as {fields[3]}")
            line = integer(0) + integer(time.time_ns() // 1000) + blob(self.text)
            self.send(SAY + line)
        elif name == "Accepted":
            show("* the server has taken it")
            self.send(LEAVE + integer(1))
        elif name == "Closing":
            show(f"* closed: {fields[1] or 'left'}", 0)

    def send(self, message):
        self.quic.send_stream_data(self.stream, record(ONCE + blob(message)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(print(__doc__) or 2)
    with open(sys.argv[1]) as file:
        Client(file.readline(), *sys.argv[2:]).run()
