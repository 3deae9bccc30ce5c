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

from verify_capture import WAITS, problems, waits_at_server
from verify_plan import auto, planned_seeds
from verify_program import Conduct

HELD_FROM_US = 1000
NETWORK = ("loss", "delay_ms", "jitter_ms", "burst", "bandwidth", "queue")
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
    listed = {it["file"]: it for it in sums}
    if set(listed) | {WAITS} != {path.name, WAITS} or len(listed) != len(sums):
        raise Unreadable(f"{path}: run.json lists {', '.join(listed) or 'no file'}")
    if (path.parent / WAITS).exists() != (WAITS in listed):
        raise Unreadable(f"{path.parent / WAITS}: run.json and the directory differ about it")
    rows = read_file(path, listed[path.name])
    waits = listed.get(WAITS)
    held = waits_at_server(read_file(path.parent / WAITS, waits)) if waits else {}
    for row in rows:
        row["server_held_us"] = held.get((row["sender"], int(row["id"])))
    return rows


def read_file(path, written):
    content = path.read_bytes()
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


class Raw:
    """The results of one run, or of several with one condition."""

    def __init__(self):
        self.unsaid = 0
        self.sent = self.delivered = self.lost = self.duplicated = self.reordered = 0
        self.latencies, self.holds, self.jitters, self.runs_of_loss = [], [], [], []
        self.server_holds = []
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
            if row["server_held_us"] is not None:
                self.server_holds.append(row["server_held_us"])

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

        server_holds = [it for it in self.server_holds if it >= HELD_FROM_US]
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
            "server_held": len(server_holds) if self.server_holds else None,
            "server_hold_p99_ms": ms(nearest_rank(server_holds, 99)),
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
    numbers = tuple(map((condition or {}).get, NETWORK))
    network = tuple(map(decimal, numbers))
    shape = tuple(decimal(info[k]) for k in ("senders", "receivers", "rate", "size", "duration_s"))
    return (*variant_of(info), *network, impair, info.get("emulation") or "", *shape)


def variant_of(info):
    """Transport, mode, copies (of the reliable modes over UDP), congestion control (of others)."""
    has_copies = info["transport"] == "udp" and info["mode"] != "unreliable"
    named = {"tcp": r"(?!new-reno$)[A-Za-z0-9_-]{1,15}", "quic": "new-reno|cubic|bbr"}
    named, control = named.get(info["transport"], ""), info["congestion_control"] or ""
    control = control if control and re.fullmatch(named, control, re.ASCII) else "auto"
    return info["transport"], info["mode"], info["redundancy"] if has_copies else "auto", control


def key_of_row(row):
    """The same key from a row of the summary."""
    number = lambda text: float(text) if text else None
    network = tuple(number(row[k]) for k in NETWORK)
    shape = tuple(number(row[k]) for k in ("senders", "receivers", "rate", "size", "duration_s"))
    variant = (row["transport"], row["mode"], row["redundancy"], row["congestion_control"])
    return (*variant, *network, row["impair"], row["emulation"], *shape)


def spread_of(info, found):
    """The spread of an `unreliable` run over UDP that only the machine explains."""
    if (info["transport"], info["mode"]) != ("udp", "unreliable"):
        return False
    condition = info["condition"]
    if not condition or condition.get("bandwidth") or found["p99_ms"] is None:
        return False
    return found["p99_ms"] - found["p50_ms"] - 2 * condition["jitter_ms"] > SPREAD_MS


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


def width(found, name):
    """That of an interval, as a share of the median."""
    unit = "_ms" if name == "p99" else ""
    median, low, high = (found[f"{name}_{part}{unit}"] for part in ("median", "low", "high"))
    if low is None:
        return None
    return (high - low) / median if high > low else 0


def wrong_repetitions(directory, runs):
    """One line of text for each condition that `auto` repeated too often, or not often enough."""
    if not (directory / "plan.toml").exists():
        return
    with open(directory / "plan.toml", "rb") as file:
        percent, most = auto(tomllib.load(file))
    if percent is None:
        return
    conditions = defaultdict(lambda: defaultdict(dict))
    for info, *_, found in runs:
        conditions[key_of(info)[4:]][variant_of(info)][info["repetition"]] = found

    def narrow(variants, repetition):
        for members in variants.values():
            members = [it for n, it in members.items() if n <= repetition]
            found = with_estimates({}, members)
            for name, of in (("delivery", "delivery"), ("p99", "p99_ms")):
                values = [it[of] for it in members if it[of] is not None]
                if values and (len(values) < 6 or width(found, name) * 100 > percent):
                    return False
        return True

    for condition, variants in conditions.items():
        last = max(max(it) for it in variants.values())
        first = next((n for n in range(6, last + 1) if narrow(variants, n)), None)
        if last != (most if first is None else first):
            yield f"{condition}: {last} repetitions, and the intervals ask for {first or most}"


def with_estimates(found, runs):
    deliveries = [r["delivery"] for r in runs if r["delivery"] is not None]
    p99s = [r["p99_ms"] for r in runs if r["p99_ms"] is not None]
    of_delivery = ("delivery_median", "delivery_low", "delivery_high", "interval_coverage")
    found.update(zip(of_delivery, estimate(deliveries)))
    found.update(zip(("p99_median_ms", "p99_low_ms", "p99_high_ms"), estimate(p99s)))
    widths = [width(found, name) for name in ("delivery", "p99")]
    found["interval_width"] = max((it for it in widths if it is not None), default=None)
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
    if not left_out:
        captures += wrong_repetitions(directory, runs.values())
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
