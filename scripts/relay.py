#!/usr/bin/env python3
"""A relay between clients and a server that prints every datagram.

usage: relay.py [--port PORT] [--forget SECONDS] [--log FILE] SERVER[:PORT]

Clients connect to the relay as to a server, at 127.0.0.1 and PORT (2500). Like a NAT, the relay
has its own port towards the server for each client. --forget: once, SECONDS after the first
datagram, the relay forgets these ports as a NAT does: datagrams continue from new ports, TCP
connections are reset. --log: write the printed lines to FILE too, each with the bytes of its
datagram at the end, for `chatagram decode`. Needs only Python 3.
"""
import argparse
import selectors
import signal
import socket
import struct
import sys
import time

from minimal_client import ACK, FRAMES, HEADER, read_all

FROM_CLIENT = "Say Whisper Leave Deliver Who Ping Pong".split()
FROM_SERVER = """Welcome Present History Joined Left Line Accepted Whisper Whispered NotHere Notice
    Closing About Pinged Ponged Slow Counters""".split()
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a RST (RFC 9293 §3.10.5)


def describe(data, messages):
    """The numbers and frames of a datagram; `chatagram decode` checks more."""
    try:
        _, _, flags, _, session, sequence, acked, _, _, _, _ = HEADER.unpack(data[:40])
        frames = []
        for name, *fields in read_all(data[40:], FRAMES):
            if name in ("Ordered", "Unordered"):
                frames.append(f"{name} {fields[0]}: {messages[fields[1][0]]}")
            elif name == "Once":
                frames.append(f"{name}: {messages[fields[0][0]]}")
            elif name != "Padding":
                frames.append(name)
    except (ValueError, IndexError, struct.error):
        return "not readable"
    numbers = f"seq {sequence}" if sequence else "no session" if not session else "no number"
    return f"{numbers}{f' ack {acked}' if flags & ACK else ''}  {', '.join(frames) or '-'}"


class Relay:
    def __init__(self, options):
        host, _, port = options.server.partition(":")
        self.server, self.options = (socket.gethostbyname(host), int(port or 2428)), options
        self.start, self.ways, self.selector = None, {}, selectors.DefaultSelector()
        self.udp = self.socket(socket.SOCK_DGRAM, ("127.0.0.1", options.port), self.from_client)
        self.tcp = self.socket(socket.SOCK_STREAM, ("127.0.0.1", options.port), self.accept)
        self.tcp.listen()
        self.streams = {}

    def socket(self, kind, address, handler):
        new = socket.socket(socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.bind(address)
        self.selector.register(new, selectors.EVENT_READ, handler)
        return new

    def say(self, text, code=""):
        self.start = self.start or time.monotonic()
        line = f"{time.monotonic() - self.start:7.3f}  {text}"
        print(line, flush=True)
        if self.options.log:
            print(f"{line}  {code}", file=self.options.log, flush=True)

    def show(self, way, data):
        messages = FROM_CLIENT if way == "up" else FROM_SERVER
        self.say(f"{way:4}  {len(data):4} bytes  {describe(data, messages)}", data.hex())

    def from_client(self, udp):
        data, client = udp.recvfrom(2048)
        if client not in self.ways:
            way = self.socket(socket.SOCK_DGRAM, ("", 0), lambda way: self.from_server(way, client))
            way.connect(self.server)
            self.ways[client] = way
            self.say(f"a client: {client[1]} is {way.getsockname()[1]} towards the server")
        self.show("up", data)
        self.ways[client].send(data)

    def from_server(self, way, client):
        try:
            data = way.recv(2048)
            self.show("down", data)
            self.udp.sendto(data, client)
        except OSError as error:  # no program listens there at the moment
            self.say(f"      {error.strerror}")

    def accept(self, listener):
        client, _ = listener.accept()
        server = socket.create_connection(self.server)
        self.say("a TCP connection")
        for one, other in ((client, server), (server, client)):
            self.streams[one] = other
            self.selector.register(one, selectors.EVENT_READ, self.copy)

    def copy(self, one):
        if one not in self.streams:  # closed a moment ago
            return
        try:
            data = one.recv(65536)
            if data:
                return self.streams[one].sendall(data)
        except OSError:
            pass
        self.close(one, self.streams[one])

    def close(self, *streams):
        for stream in streams:
            if self.streams.pop(stream, None):
                self.selector.unregister(stream)
                stream.close()

    def forget(self):
        self.say("forgotten: every client gets a new port")
        for way in self.ways.values():
            self.selector.unregister(way)
            way.close()
        self.ways.clear()
        for stream in list(self.streams):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close(stream)

    def run(self):
        host, port = self.server
        print(f"relay: 127.0.0.1:{self.options.port} to {host}:{port}", flush=True)
        due = self.options.forget
        while True:
            for key, _ in self.selector.select(0.05):
                key.data(key.fileobj)
            if due is not None and self.start and time.monotonic() >= self.start + due:
                self.forget()
                due = None


if __name__ == "__main__":
    about, _, rest = __doc__.partition("usage: ")
    usage, _, rest = rest.partition("\n")
    about, raw = about + rest.strip(), argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(usage=usage, description=about, formatter_class=raw)
    parser.add_argument("--port", type=int, default=2500)
    parser.add_argument("--forget", type=float)
    parser.add_argument("--log", type=argparse.FileType("w"))
    parser.add_argument("server")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even if the shell ignores it
    try:
        Relay(parser.parse_args()).run()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
