// An emulated network as text (the words of --impair) and as positions of dials.

/// Each dial: its largest position, its step, and the text of a value.
export const DIALS = [
  { name: "loss", most: 50, step: 0.5, unit: "%" },
  { name: "burst", most: 10, step: 1, unit: "" },
  { name: "delay", most: 500, step: 5, unit: "ms" },
  { name: "jitter", most: 200, step: 1, unit: "ms" },
  { name: "duplicate", most: 20, step: 0.5, unit: "%" },
  { name: "rate", most: 8, step: 1, unit: "" },
];
/// The positions of the dial of the rate, bits a second. Zero is no limit.
export const RATES = [0, 10e6, 5e6, 2e6, 1e6, 500e3, 200e3, 100e3, 50e3];

/// The presets of --impair.
export const PRESETS = [
  ["wifi", "loss 1% burst 2, delay 5ms, jitter 3ms, duplicate 0.1%"],
  ["cellular",
    "loss 1% burst 4, delay 40ms, jitter 10ms, limit 200, rate 20mbit; up: rate 5mbit"],
  ["satellite",
    "loss 0.5% burst 5, delay 270ms, jitter 5ms, limit 500, rate 20mbit; up: rate 3mbit"],
  ["congested", "loss 3% burst 3, delay 40ms, jitter 20ms, rate 1mbit, limit 50"],
  ["lossy-lab", "loss 20%, delay 20ms, jitter 10ms, duplicate 2%, corrupt 1%"],
];

const OFF = { loss: 0, burst: 0, delay: 0, jitter: 0, duplicate: 0, rate: 0, other: [] };
const UNITS = { us: 1e-3, ms: 1, s: 1000, bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/// The values in the text of one direction. What no dial shows is kept in `other`.
export function parse(text) {
  const values = { ...OFF, other: [] };
  for (const item of text.split(",").map((it) => it.trim()).filter(Boolean)) {
    const [, name, amount, unit, burst] =
      /^(\w+) ([\d.]+) ?(%|[a-z]*)(?: burst ([\d.]+))?$/.exec(item) ?? [];
    if (name in OFF && name !== "other") {
      values[name] = Number(amount) * (UNITS[unit] ?? 1);
      if (burst) values.burst = Number(burst);
    } else if (item !== "none") values.other.push(item);
  }
  return values;
}

export function rateText(rate) {
  return rate >= 1e6 ? `${rate / 1e6}mbit` : `${rate / 1e3}kbit`;
}

/// The text of these values; empty for a network that impairs nothing.
export function write({ loss, burst, delay, jitter, duplicate, rate, other }) {
  const items = [];
  if (loss > 0) items.push(burst > 0 ? `loss ${loss}% burst ${burst}` : `loss ${loss}%`);
  if (delay > 0) items.push(`delay ${delay}ms`);
  if (jitter > 0) items.push(`jitter ${jitter}ms`);
  if (duplicate > 0) items.push(`duplicate ${duplicate}%`);
  if (rate > 0) items.push(`rate ${rateText(rate)}`);
  // A limit is that of a rate.
  return [...items, ...other.filter((it) => rate > 0 || !it.startsWith("limit"))].join(", ");
}

/// Both directions of a preset.
export function preset(text) {
  const [both, ...others] = text.split(";");
  const way = (label) => {
    const own = others.find((it) => it.trim().startsWith(`${label}:`));
    const items = own ? own.trim().slice(label.length + 1).split(",").map((it) => it.trim()) : [];
    const names = items.map((it) => it.split(" ")[0]);
    const kept = both.split(",").map((it) => it.trim());
    return [...kept.filter((it) => !names.includes(it.split(" ")[0])), ...items].join(", ");
  };
  return { up: way("up"), down: way("down") };
}
