#!/usr/bin/env python3
"""Recomputes every statistic of summary.csv from the raw records, and compares.

Reads DIR/summary.csv, which `chatagram report DIR` wrote, and DIR/runs/*/{records.csv,run.json}, or
DIR/{records.csv,run.json} of a single run. Runs of other programs also have output.csv: the lines
that their clients printed. Shares no code with that program.

A run's capture, trace.pcapng, is compared with its records and counters, as verify_capture.py does.
The script names the runs that are in no figure: unfinished, failed or damaged ones (rows against
the count and CRC-32 in run.json), and those with another seed than plan.toml's or another version
than most.

Exit codes: 0 all statistics agree; 1 some differ, and each difference is printed, or with --strict
a run is left out or the machine spoiled one; 2 there is nothing to compare, or a file cannot be
read, such as rows in Parquet, which need more than Python's standard library. The message names the
file.
"""

import argparse
import csv
import io
import itertools
import json
import math
import os
import re
import statistics
import sys
import tomllib
import unicodedata
import zlib
from collections import Counter, defaultdict
from pathlib import Path

from verify_capture import problems

HELD_FROM_US = 1000
# Beyond these the machine spoiled a run: lateness, stolen time, the spread of `unreliable`.
LATE_US, STEAL, SPREAD_MS = 5000, 0.05, 10
# Tolerance for the nine decimals of summary.csv and for the order of sums.
RELATIVE, ABSOLUTE = 1e-6, 2e-9
# Line separators and the controls of UAX #9: with all of Cc, the summary has U+FFFD for them.
STEERS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# A spreadsheet takes such a beginning for a formula; the summary has an apostrophe before it.
FORMULA = ("=", "+", "-", "@")


def nearest_rank(values, percent):
    """The value at rank ceil(percent/100 * n); None without values."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def estimate(values):
    """Median, interval by order statistics and its coverage."""
    if not values:
        return None, None, None, None
    n, ordered = len(values), sorted(values)
    median = statistics.median(ordered)
    if n < 3:
        return median, None, None, None
    coverage = lambda rank: 1 - 2 * sum(math.comb(n, i) for i in range(rank + 1)) / 2**n
    rank = max((r for r in range((n + 1) // 2) if coverage(r) >= 0.95), default=0)
    return median, ordered[rank], ordered[-1 - rank], coverage(rank)


def integer(text):
    return int(text) if text else None


def read_rows(path, sums):
    """The rows, which must be those that the run wrote."""
    if [it["file"] for it in sums] != [path.name]:
        listed = ", ".join(it["file"] for it in sums) or "no file"
        raise Unreadable(f"{path}: run.json lists {listed}")
    written, content = sums[0], path.read_bytes()
    text = content.decode()
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    if len(rows) != written["rows"]:
        raise Unreadable(f"{path}: {len(rows)} rows where the run wrote {written['rows']}")
    if zlib.crc32(content) != written["crc32"]:
        raise Unreadable(f"{path}: its checksum is not the one in run.json")
    return rows


def cell(text):
    """Text as in the summary: no character that steers a terminal, and no formula."""
    steers = lambda c: unicodedata.category(c) == "Cc" or c in STEERS
    text = "".join(" " if c == "\t" else "\ufffd" if steers(c) else c for c in text)
    return "'" + text if text.startswith(FORMULA) else text


def name_of(place):
    """The run's name: that of its directory, behind links, whatever the locale is."""
    return cell(os.fsencode(place.resolve().name).decode(errors="replace"))


def decimal(number):
    """A number with the nine decimals of the summary."""
    return None if number is None else float(f"{number:.9f}")


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


class Raw:
    """The results of one run, or of several with one condition."""

    def __init__(self):
        self.unsaid = 0
        self.sent = self.delivered = self.lost = self.duplicated = self.reordered = 0
        self.latencies, self.holds, self.jitters, self.runs_of_loss = [], [], [], []
        self.retransmitted, self.redundant, self.wire, self.text = None, None, 0, 0
        self.faults = dict.fromkeys(("fused", "cut", "crashed", "hung"))

    def add(self, info, rows, conduct):
        if conduct:
            for name, count in self.faults.items():
                self.faults[name] = (count or 0) + getattr(conduct, name)
        flows = defaultdict(list)
        for row in rows:
            if row["verdict"] == "duplicate":
                self.duplicated += 1
            elif row["verdict"] == "lost" and not row["sent_us"]:
                self.unsaid += 1
            else:
                flows[row["sender"], row["receiver"]].append(row)
        for flow in flows.values():
            self.add_flow(flow)
        if info["transport"] == "udp":
            self.retransmitted = (self.retransmitted or 0) + info["links"]["retransmitted"]
            self.redundant = (self.redundant or 0) + info["links"]["redundant"]
        network = info.get("network")
        if network:
            self.wire += network["up"]["bytes"] + network["down"]["bytes"]
        else:
            self.wire += info["links"]["sent_bytes"] + info["links"]["received_bytes"]
        self.text += info["text_bytes"]

    def add_flow(self, flow):
        self.sent += len(flow)
        streak, before = 0, None
        for row in sorted(flow, key=lambda r: int(r["id"])):
            number, is_lost = int(row["id"]), row["verdict"] == "lost"
            if streak and (not is_lost or number > before + 1):
                self.runs_of_loss.append(streak)
                streak = 0
            streak += is_lost
            self.lost += is_lost
            before = number
        if streak:
            self.runs_of_loss.append(streak)

        shown = [r for r in flow if r["verdict"] == "delivered"]
        self.delivered += len(shown)
        highest = -1
        for row in sorted(shown, key=lambda r: (int(r["delivered_us"]), int(r["id"]))):
            self.reordered += int(row["id"]) < highest
            highest = max(highest, int(row["id"]))
            delivered = int(row["delivered_us"])
            self.latencies.append(max(0, delivered - int(row["intended_us"])))
            arrived = integer(row["arrived_us"])
            if arrived is not None and delivered - arrived >= HELD_FROM_US:
                self.holds.append(delivered - arrived)

        timed = [r for r in shown if r["arrived_us"] and r["sent_us"]]
        timed.sort(key=lambda r: (int(r["arrived_us"]), int(r["id"])))
        transits = [int(r["arrived_us"]) - int(r["sent_us"]) for r in timed]
        jitter = 0.0
        for one, two in zip(transits, transits[1:]):
            jitter += (abs(two - one) - jitter) / 16
            self.jitters.append(jitter)

    def statistics(self):
        def ms(micros):
            return None if micros is None else micros / 1000

        found = {
            "sent": self.sent,
            "unsaid": self.unsaid,
            "delivered": self.delivered,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "delivery": self.delivered / self.sent if self.sent else None,
            "arrival_jitter_ms":
                math.fsum(self.jitters) / len(self.jitters) / 1000 if self.jitters else None,
            "held": len(self.holds),
            "hold_p99_ms": ms(nearest_rank(self.holds, 99)),
            "loss_runs": len(self.runs_of_loss),
            "loss_run_mean": self.lost / len(self.runs_of_loss) if self.runs_of_loss else None,
            "loss_run_max": max(self.runs_of_loss, default=0),
            "retransmitted": self.retransmitted,
            "redundant": self.redundant,
            "wire_per_text": self.wire / self.text if self.text and self.wire else None,
            **self.faults,
        }
        for name, percent in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99), ("max_ms", 100)):
            found[name] = ms(nearest_rank(self.latencies, percent))
        return found


def key_of(info):
    condition = info["condition"]
    impair = "" if condition else cell(info["impair"] or "")
    names = ("loss", "delay_ms", "jitter_ms", "burst")
    network = tuple(decimal(condition[name] if condition else None) for name in names)
    shape = tuple(decimal(info[k]) for k in ("senders", "receivers", "rate", "size", "duration_s"))
    return (*variant_of(info), *network, impair, info.get("emulation") or "", *shape)


def variant_of(info):
    """Transport, mode, copies (of the reliable modes over UDP) and TCP's congestion control."""
    has_copies = info["transport"] == "udp" and info["mode"] != "unreliable"
    control = info["congestion_control"] if info["transport"] == "tcp" else None
    control = control if re.fullmatch(r"[A-Za-z0-9_-]{1,15}", control or "", re.ASCII) else "auto"
    return info["transport"], info["mode"], info["redundancy"] if has_copies else "auto", control


def key_of_row(row):
    """The same key from a row of the summary."""
    number = lambda text: float(text) if text else None
    network = tuple(number(row[k]) for k in ("loss", "delay_ms", "jitter_ms", "burst"))
    shape = tuple(number(row[k]) for k in ("senders", "receivers", "rate", "size", "duration_s"))
    variant = (row["transport"], row["mode"], row["redundancy"], row["congestion_control"])
    return (*variant, *network, row["impair"], row["emulation"], *shape)


def spread_of(info, found):
    """The spread of an `unreliable` run that only the machine explains."""
    if info["mode"] != "unreliable" or not info["condition"] or found["p99_ms"] is None:
        return False
    return found["p99_ms"] - found["p50_ms"] - 2 * info["condition"]["jitter_ms"] > SPREAD_MS


def is_late(info):
    machine = info["machine"]
    late = max(machine["send_late_p99_us"], machine["router_late_p99_us"] or 0)
    return late > LATE_US or (machine["steal"] or 0) > STEAL


def note_tainted(runs):
    """A spread taints all runs of the same setting and repetition."""
    together = lambda info: (*key_of(info)[4:], info["repetition"])
    spread = {together(info) for info, *_, found in runs if spread_of(info, found)}
    for info, *_, found in runs:
        found["tainted"] = int(is_late(info) or together(info) in spread)


def with_estimates(found, runs):
    deliveries = [r["delivery"] for r in runs if r["delivery"] is not None]
    p99s = [r["p99_ms"] for r in runs if r["p99_ms"] is not None]
    of_delivery = ("delivery_median", "delivery_low", "delivery_high", "interval_coverage")
    found.update(zip(of_delivery, estimate(deliveries)))
    found.update(zip(("p99_median_ms", "p99_low_ms", "p99_high_ms"), estimate(p99s)))
    found["repetitions"] = len(runs)
    found["tainted"] = sum(r["tainted"] for r in runs)
    return found


class Unreadable(Exception):
    """A file that this script does not read."""


class LeftOut(Exception):
    """The reason why a run is in no figure."""


def read_run(place):
    """The description and the rows of a finished run."""
    if (place / "failed.txt").exists():
        raise LeftOut("it failed")
    path = place / "run.json"
    try:
        info = json.loads(path.read_bytes())
        key_of(info)
        path = place / "records.csv"
        rows = read_rows(path, info["files"])
        conduct = None
        if info.get("program"):
            path = place / "output.csv"
            conduct = Conduct(place, info, rows)
            conduct.check(rows)
        found = Raw()
        found.add(info, rows, conduct)
    except FileNotFoundError as error:
        raise LeftOut(f"it has no {path.name}") from error
    except Unreadable as error:
        raise LeftOut(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise LeftOut(f"{path}: {type(error).__name__}: {error}") from error
    return info, rows, conduct, found.statistics()


def planned_seeds(directory):
    """The seed of each run of the plan, by name."""
    with open(directory / "plan.toml", "rb") as file:
        plan = tomllib.load(file)
    as_list = lambda value: value if isinstance(value, list) else [value]
    plan = {"jitter_ms": 0, "burst": 1, "redundancy": "auto", "tcp": "auto"} | plan
    values = lambda name: list(dict.fromkeys(map(float, as_list(plan[name]))))
    plain = lambda number: f"{number:.9f}".rstrip("0").rstrip(".")
    conditions = list(itertools.product(*map(values, ("loss", "delay_ms", "jitter_ms", "burst"))))
    copies = {"off": "-copies0", "auto": ""}
    copies = [copies.get(it, f"-copies{it}") for it in map(str, as_list(plan["redundancy"]))]
    controls = ["" if it == "auto" else f"-{it}" for it in as_list(plan["tcp"])]
    settings = {"tcp": controls, "unreliable": [""]}
    variants = [mode + it for mode in as_list(plan["modes"]) for it in settings.get(mode, copies)]
    variants += [program["name"] for program in plan.get("program", [])]
    seeds, seed = {}, int(plan["seed"])
    for repetition in range(1, plan["repetitions"] + 1):
        for loss, delay, jitter, burst in conditions:
            loss, delay, jitter, burst = map(plain, (loss, delay, jitter, burst))
            condition = f"loss{loss}-delay{delay}-jitter{jitter}-burst{burst}"
            for variant in variants:
                seeds[f"{condition}-{variant}-{repetition}"] = seed % 2**64
            seed += 1
    return seeds


def strangers(directory, runs):
    """(place, reason) of each run that is not of this lab."""
    if not (directory / "plan.toml").exists():
        return
    try:
        seeds = planned_seeds(directory)
    except (ValueError, KeyError, TypeError):
        seeds = {}
    versions = Counter(info["version"] for info, *_ in runs.values())
    last = lambda version: max(i["started"] for i, *_ in runs.values() if i["version"] == version)
    most = max(versions, key=lambda version: (versions[version], last(version)), default=None)
    for place, (info, *_) in runs.items():
        planned = seeds.get(name_of(place))
        if planned is not None and planned != info["seed"]:
            yield place, f"its seed is {info['seed']} where the plan has {planned}"
        elif info["version"] != most:
            yield place, f"chatagram {info['version']} measured it, and {most} most runs"


def expected(directory, captures):
    """(level, name or key) -> statistics, and the names of the runs that are left out. Adds the
    disagreements of captures to `captures`."""
    single = any((directory / rows).exists() for rows in ("records.csv", "records.parquet"))
    places = [directory.resolve()] if single else sorted((directory / "runs").glob("*"))
    wanted, together, runs, left_out = {}, defaultdict(lambda: (Raw(), [])), {}, {}
    for place in places:
        if (place / "records.parquet").exists():
            raise Unreadable(f"{place / 'records.parquet'}: this script reads records.csv only")
        try:
            runs[place] = read_run(place)
        except LeftOut as why:
            left_out[name_of(place)] = str(why)
    for place, why in list(strangers(directory, runs)):
        left_out[name_of(place)] = why
        del runs[place]
    note_tainted(runs.values())
    for place, (info, rows, conduct, found) in runs.items():
        captures += problems(place, info, rows)
        name = name_of(place)
        if ("run", name) in wanted:
            raise Unreadable(f"{place}: another run is also called {name} in the summary")
        wanted["run", name] = with_estimates(dict(found), [found])
        both, members = together[key_of(info)]
        both.add(info, rows, conduct)
        members.append(found)
    for key, (raw, members) in together.items():
        wanted["condition", key] = with_estimates(raw.statistics(), members)
    return wanted, left_out


def differences(wanted, summary):
    """One line of text for each."""
    seen = set()
    for row in summary:
        key = row["level"], row["name"] if row["level"] == "run" else key_of_row(row)
        where = f"{row['level']} {row['name']} ({row['transport']}, {row['mode']})"
        if key not in wanted:
            yield f"{where}: no such {row['level']} in the records"
            continue
        if key in seen:
            yield f"{where}: twice in the summary"
        seen.add(key)
        for name, right in wanted[key].items():
            text = row.get(name)
            try:
                said = float(text) if text else None
            except ValueError:
                said = math.nan
            if said is None or right is None:
                equal = said is right
            else:
                equal = math.isclose(said, right, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
            if not equal:
                yield f"{where}: {name} is {text or 'empty'}, and the records say {right}"
    for key in wanted.keys() - seen:
        yield f"{key[0]} {key[1]}: not in the summary"


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    help = "the directory that `chatagram report` was given"
    parser.add_argument("directory", type=Path, metavar="DIR", help=help)
    help = "exit with 1 if a run is left out or spoiled by the machine"
    parser.add_argument("--strict", action="store_true", help=help)
    arguments = parser.parse_args()
    directory = arguments.directory
    csv.field_size_limit(2**31 - 1)
    # Names may hold what the locale cannot print.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        with open(directory / "summary.csv", encoding="utf-8", newline="") as file:
            summary = list(csv.DictReader(file))
        captures = []
        wanted, left_out = expected(directory, captures)
        found = list(differences(wanted, summary))
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except (ValueError, KeyError, csv.Error) as error:
        print(f"{directory / 'summary.csv'}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    if not wanted:
        print(f"{directory}: no finished run to compare with", file=sys.stderr)
        return 2
    for line in found + captures:
        print(line)
    checked = sum(len(statistics) for statistics in wanted.values())
    outcome = f"{len(found)} differ" if found else "all agree"
    print(f"{checked} statistics of {len(wanted)} rows: {outcome}")
    spoiled = any(it["tainted"] for it in wanted.values())
    return 1 if found or captures or (arguments.strict and (left_out or spoiled)) else 0


if __name__ == "__main__":
    sys.exit(main())
