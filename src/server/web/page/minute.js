// What the counters of one peer say about the last minute. Unknown is null, never zero.

const MINUTE = 60_000;

export class Minute {
  constructor() {
    /// Oldest first, one a second.
    this.samples = [];
  }

  /// Takes the figures of a moment. `before` is the time of the figures before these, of all peers,
  /// or null: a session that was not among them has begun since.
  add(at, { rtt_ms: rtt, up, down }, before) {
    const last = this.samples.at(-1);
    // Counters that shrink are those of a new session.
    if (last && (shrank(last.up, up, "received") || shrank(last.down, down, "sent"))) {
      this.samples = [];
    }
    if (this.samples.length === 0 && before !== null) {
      const none = { up: { received: 0, missing: 0 }, down: { sent: 0, lost: 0 } };
      this.samples.push({ at: before, rtt: null, ...none });
    }
    this.samples.push({ at, rtt, up, down });
    // The counters of a minute are those between 61 samples.
    while (this.samples.length > 1 && this.samples[0].at < at - MINUTE - 500) this.samples.shift();
  }

  /// Datagrams lost on the way to the server.
  lostUp() {
    return difference(this.samples.map((it) => it.up), "received", "missing", true);
  }

  /// Datagrams lost on the way to the peer; over TCP segments that the kernel sent again.
  lostDown() {
    return difference(this.samples.map((it) => it.down), "sent", "lost", false);
  }

  /// Milliseconds between the first sample and the last.
  span() {
    return this.samples.length ? this.samples.at(-1).at - this.samples[0].at : 0;
  }

  /// Points of the sparkline: age in milliseconds, round trip, losses since the point before.
  points() {
    const now = this.samples.at(-1)?.at ?? 0;
    return this.samples.map(({ at, rtt, down }, n) => {
      const before = this.samples[n - 1]?.down;
      return { age: now - at, rtt, lost: before && down ? down.lost - before.lost : 0 };
    });
  }
}

const shrank = (before, after, field) => before && after && after[field] < before[field];

/// Events lost of those sent, between the first and the last known counters.
function difference(counters, all, lost, isBeside) {
  const isKnown = (it) => it && typeof it[all] === "number" && typeof it[lost] === "number";
  const known = counters.filter(isKnown);
  if (known.length < 2) return null;
  const [first, last] = [known[0], known.at(-1)];
  // Losses are taken back when a datagram arrives late.
  const count = Math.max(0, last[lost] - first[lost]);
  const whole = last[all] - first[all] + (isBeside ? count : 0);
  return whole > 0 ? { count: Math.min(count, whole), whole } : null;
}

/// A round upper end for a scale.
export function ceiling(value) {
  const steps = [10, 20, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 60_000];
  return steps.find((it) => it >= value) ?? value;
}
