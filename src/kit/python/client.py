#!/usr/bin/env python3
"""A Chatagram client.
usage: client.py HOST:PORT NICK

The places marked STEP are yours: README.md has the steps. § is a section of proto.md."""
import queue
import select
import socket
import sys
import threading
import time

import codec


class Client:
    """Is told what happens, and answers with datagrams."""

    def __init__(self, sock, nick):
        self.sock = sock
        self.nick = nick
        self.session = 0  # the id of the session; 0 before it begins

    def send(self, frames=b""):
        """Sends a datagram with these frames."""
        header = codec.Header(session=self.session)
        # STEP 4 (§I.3, §I.6): in a session, fill in sequence, acknowledgment, ack_bitmap, and the
        # flag codec.ACK.
        # STEP 5 (§I.7): and window.
        try:
            self.sock.send(codec.encode(header, frames))
        except OSError:
            pass  # an error of the socket proves nothing (§I.3)

    def start(self, now):
        """The program has started. Times are in seconds."""
        # STEP 2 (§I.5): send Join in place of this datagram without frames.
        self.send()

    def on_datagram(self, header, frames, now):
        """A datagram of the server arrived. Its header is right; `frames` are bytes."""
        # STEP 3 (§I.5): before the session, answer Challenge, and show Refused.
        # STEP 4 (§I.5, §I.6): Welcome begins the session. Acknowledge each datagram of it.
        # STEP 5 (§I.7): show the messages in Ordered and Unordered, in order, each once.
        # STEP 6 (§I.7): join the messages that arrive in Part.
        # STEP 7 (§I.3, §I.9): drop what is not whole; Closing.
        # STEP 9 (§I.8): note which of your datagrams the header acknowledges.
        # STEP 10 (§I.9): Reset.

    def on_line(self, line):
        """The user typed a line."""
        # STEP 8 (§I.8): say it.

    def on_end(self):
        """The user typed `exit`, or the input ended."""
        # STEP 10 (§I.10): leave.

    def on_tick(self, now):
        """Called every 20 ms: for all that is due at a time."""
        # STEP 2 (§I.5): in place of this end, send Join again, and give up in time.
        show("* step 2 is yours: see README.md")
        sys.exit(3)
        # STEP 7 (§I.9): Heartbeat; and notice that the server is gone.
        # STEP 8 (§I.8): send the next message.
        # STEP 9 (§I.8): send it again.


def show(text):
    """Prints a line."""
    # STEP 6 (§I.7): clean the text first.
    print(text, flush=True)


def main(arguments):
    if len(arguments) != 2 or ":" not in arguments[0]:
        sys.exit(__doc__)
    host, _, port = arguments[0].rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)
    family, kind, _, _, address = found[0]
    sock = socket.socket(family, kind)
    sock.connect(address)  # the kernel drops datagrams of other senders
    client = Client(sock, arguments[1])
    lines = queue.SimpleQueue()  # of text; None is the end
    threading.Thread(target=read_lines, args=[lines], daemon=True).start()
    client.start(time.monotonic())
    while True:
        if select.select([sock], [], [], 0.02)[0]:
            receive(sock, client)
        while not lines.empty():
            line = lines.get()
            client.on_end() if line is None else client.on_line(line)
        client.on_tick(time.monotonic())


def receive(sock, client):
    try:
        header, frames = codec.decode(sock.recv(2048))
    except (OSError, ValueError):
        return
    if header.flags & codec.FROM_SERVER:
        client.on_datagram(header, frames, time.monotonic())


def read_lines(lines):
    for line in open(0, "rb", 0):
        line = line.decode(errors="replace").rstrip("\r\n")
        lines.put(None if line == "exit" else line)
    lines.put(None)


if __name__ == "__main__":
    main(sys.argv[1:])
