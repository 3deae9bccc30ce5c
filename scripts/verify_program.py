"""What another program did wrong, from its output.csv; for verify_report.py."""

import csv
import io
import re
from collections import defaultdict

# A receiver of another program hangs if it printed nothing of the last second, and of ten messages.
SILENT_US, SILENT_MESSAGES = 1_000_000, 10


def printed_lines(place):
    """client -> lines of its output; a long line is several rows."""
    lines = defaultdict(list)
    open_line = set()
    text = (place / "output.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(io.StringIO(text, newline="")):
        client = row["client"]
        if client in open_line:
            lines[client][-1] += row["text"]
        else:
            lines[client].append(row["text"])
        (open_line.discard if row["ended"] == "1" else open_line.add)(client)
    return lines


class Conduct:
    """What another program did wrong, and the messages in its output."""

    def __init__(self, place, info, rows):
        said = info["program"]
        mark = f"~{said['nonce']}."
        self.fused = self.cut = 0
        self.shown = set()
        for client, lines in printed_lines(place).items():
            if client.startswith("r"):
                for line in lines:
                    self.add_line(client, line.split(mark)[1:], info["size"] - len(mark) - 1)
        ended = {end["who"] for end in said["ended"]}
        self.crashed = len(said["ended"])
        self.hung = 0 if "server" in ended else len(self.stopped(rows) - ended)

    def add_line(self, client, pieces, size):
        whole = 0
        for piece in pieces:
            head = re.match(r"s(\d+)\.(p?)(\d+)~", piece)
            padding = "x" * (0 if head and head[2] else size - head.end()) if head else ""
            if head and piece.startswith(padding + "!", head.end()):
                whole += 1
                if not head[2]:
                    self.fused += whole > 1
                    self.shown.add((f"s{head[1]}", client, int(head[3])))
            elif not re.match(r"s\d+\.p", piece):
                self.cut += 1

    @staticmethod
    def stopped(rows):
        """Receivers that printed none of the last messages said, senders that did not say all."""
        rows = [r for r in rows if r["verdict"] != "duplicate"]
        stopped = {r["sender"] for r in rows if not r["sent_us"]}
        end = max((int(r["intended_us"]) for r in rows), default=0)
        for receiver in {r["receiver"] for r in rows}:
            said = [r for r in rows if r["receiver"] == receiver and r["sent_us"]]
            said.sort(key=lambda r: int(r["intended_us"]))
            late = [r for r in said if int(r["intended_us"]) >= end - SILENT_US]
            tail = late if len(late) >= SILENT_MESSAGES else said[-SILENT_MESSAGES:]
            if len(tail) >= SILENT_MESSAGES and all(r["verdict"] == "lost" for r in tail):
                stopped.add(receiver)
        return stopped

    def check(self, rows):
        """The rows agree with what was printed, apart from a message printed before it was said."""
        key = lambda row: (row["sender"], row["receiver"], int(row["id"]))
        kept = {key(row) for row in rows if row["verdict"] == "delivered"}
        said = {key(row) for row in rows if row["sent_us"]}
        if kept != self.shown & said:
            odd = sorted(kept ^ (self.shown & said))
            count = f"{len(odd)} messages, first {odd[0]}"
            raise ValueError(f"records.csv and output.csv differ in {count}")
