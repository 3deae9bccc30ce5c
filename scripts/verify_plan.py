"""The runs that a plan asks for; for verify_report.py."""

import itertools
import re
import tomllib

# Values of a plan that has none of its own.
DEFAULTS = {"jitter_ms": 0, "burst": 1, "bandwidth": "off", "queue": 100, "rate": 50, "size": 64,
            "redundancy": "auto", "tcp": "auto"}
BIT_RATES = {"gbit": 10**9, "mbit": 10**6, "kbit": 1000, "bit": 1}
NETWORK = ("loss", "delay_ms", "jitter_ms", "burst")


def auto(plan):
    """Percent and the largest number of repetitions, if the plan says `auto`."""
    parts = str(plan.get("repetitions", 3)).split(":")
    if parts[0].strip() != "auto":
        return None, int(parts[0])
    percent, most = parts[1:] + ["10", "20"][len(parts) - 1 :]
    return float(percent.rstrip("% ")), int(most)


def plain(number):
    return f"{number:.9f}".rstrip("0").rstrip(".")


def bandwidth_name(text):
    """A bandwidth in its largest unit; nothing for an unlimited one."""
    if text == "off":
        return ""
    number, unit = re.fullmatch(r"\s*([\d.]+)\s*([a-z]+)\s*", text).groups()
    bits = round(float(number) * BIT_RATES[unit])
    unit = next(it for it, size in BIT_RATES.items() if bits >= size)
    return plain(bits / BIT_RATES[unit]) + unit


def planned_seeds(directory):
    """The seed of each run of the plan, by name."""
    with open(directory / "plan.toml", "rb") as file:
        plan = tomllib.load(file)
    as_list = lambda value: value if isinstance(value, list) else [value]
    plan = DEFAULTS | plan
    values = lambda name: list(dict.fromkeys(map(float, as_list(plan[name]))))
    networks = []
    for loss, delay, jitter, burst in itertools.product(*map(values, NETWORK)):
        start = f"loss{plain(loss)}-delay{plain(delay)}-jitter{plain(jitter)}-burst{plain(burst)}"
        for bandwidth in dict.fromkeys(map(bandwidth_name, as_list(plan["bandwidth"]))):
            queues = [f"-{bandwidth}-queue{plain(it)}" for it in values("queue")]
            networks += [start + it for it in (queues if bandwidth else [""])]
    varies = lambda name: len(values(name)) > 1
    named = lambda name: [f"-{name}{plain(it)}" if varies(name) else "" for it in values(name)]
    conditions = list(map("".join, itertools.product(networks, named("rate"), named("size"))))
    copies = {"off": "-copies0", "auto": ""}
    copies = [copies.get(it, f"-copies{it}") for it in map(str, as_list(plan["redundancy"]))]
    controls = ["" if it == "auto" else f"-{it}" for it in as_list(plan["tcp"])]
    reliable = dict.fromkeys(("reliable-ordered", "reliable-unordered"), copies)
    settings = reliable | {"tcp": controls}
    variants = [mode + it for mode in as_list(plan["modes"]) for it in settings.get(mode, [""])]
    variants += [program["name"] for program in plan.get("program", [])]
    seeds, seed = {}, int(plan["seed"])
    for repetition in range(1, auto(plan)[1] + 1):
        for condition in conditions:
            for variant in variants:
                seeds[f"{condition}-{variant}-{repetition}"] = seed % 2**64
            seed += 1
    return seeds
