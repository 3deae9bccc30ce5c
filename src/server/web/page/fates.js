// What became of the lines of the last seconds, by reader.

/// What a line's fate is after this long without a word is unknown.
export const FORGOTTEN = 10_000;
/// Lines that are remembered at most: the picture may be frozen for long.
const MOST = 4000;
/// Lines that came within this time came at once.
const AT_ONCE = 8;
/// Lines that came at once after a wait: at least so many, said over at least this time.
const BUNCH = 3;
const BUNCH_SPAN = 60;

/// The fates of lines, by reader.
export class Fates {
  constructor() {
    this.lines = new Map();
    this.readers = new Map();
    this.step = 0;
    /// The server leaves out fates when there are too many: those up to here may be unknown.
    this.blurred = -Infinity;
  }

  /// The readers that are here, with the times when they were first seen.
  present(peers, now) {
    for (const { peer, name: called, transport, delivery } of peers) {
      const known = this.readers.get(peer);
      if (known?.name !== called) {
        this.readers.set(peer, { name: called, since: now, fates: new Map() });
      }
      const isOrdered = delivery === "reliable-ordered" || transport === "tcp" ||
        transport === "web";
      Object.assign(this.readers.get(peer), { isOrdered,
        // Over UDP the server learns when a line arrived, not when it was shown.
        holds: isOrdered && transport === "udp",
        // Lines that are sent once are acknowledged late: they came at that time or before.
        isLate: transport === "udp" && delivery === "unreliable" });
    }
    const here = new Set(peers.map((it) => it.peer));
    for (const peer of [...this.readers.keys()]) if (!here.has(peer)) this.readers.delete(peer);
  }

  add({ said = [], shown = [], lost = [], again = [], left_out: leftOut = 0 }) {
    for (const { position, at_us: at, ...line } of said) {
      this.lines.set(position, { ...line, at: at / 1000 });
    }
    for (const { position, peer, after_ms: after, certain } of shown) {
      this.note(peer, position, certain ? { after } : { isTaken: true });
    }
    for (const { position, peer } of lost) this.note(peer, position, { isLost: true });
    for (const { position, peer } of again) this.note(peer, position, { isAgain: true });
    for (const first of this.lines.keys()) {
      if (this.lines.size <= MOST) break;
      this.drop(first);
    }
    if (leftOut > 0) this.blurred = Math.max(...[...this.lines.values()].map((it) => it.at));
  }

  note(peer, position, fate) {
    const fates = this.readers.get(peer)?.fates;
    if (fates && this.lines.has(position)) {
      fates.set(position, { ...fates.get(position), ...fate });
    }
  }

  drop(position) {
    this.lines.delete(position);
    for (const { fates } of this.readers.values()) fates.delete(position);
  }

  forget(before) {
    for (const [position, { at }] of this.lines) {
      if (at >= before) break;
      this.drop(position);
    }
  }

  /// What became of the lines said from `from` to `to`, for a reader, oldest first: `came` is when
  /// the reader had it. A line `waits`, is `taken` by TCP (nobody knows when it comes), or `lost`.
  of(peer, from, to) {
    const reader = this.readers.get(peer);
    if (!reader) return [];
    const found = [];
    // A reader in order shows no line before the lines ahead of it (proto.md, section 7.4).
    let ahead = -Infinity;
    for (const [position, line] of this.lines) {
      if (line.at < from || line.at > to || line.peer === peer) continue;
      const fate = reader.fates.get(position);
      if (!fate && line.at < reader.since) continue;
      let came = fate?.after === undefined ? null : line.at + fate.after;
      const lost = came === null && Boolean(fate?.isLost);
      const taken = came === null && !lost && Boolean(fate?.isTaken);
      const isOpen = came === null && !lost && !taken;
      const isUnknown = to - line.at > FORGOTTEN || line.at <= this.blurred || reader.isLate;
      if (isOpen && isUnknown) continue;
      if (reader.holds) {
        ahead = isOpen ? Infinity : Math.max(ahead, came ?? ahead);
        came = came === null || ahead === Infinity ? null : ahead;
      }
      found.push({ position, at: line.at, came, lost, taken, again: Boolean(fate?.isAgain),
        waits: came === null && !lost && !taken });
    }
    return found;
  }

  /// Lines that came at once although they were said one after another: head-of-line blocking.
  /// Only a reader in order knows it.
  bunches(peer, marks) {
    if (!this.readers.get(peer)?.isOrdered) return [];
    const came = marks.filter((it) => it.came !== null);
    const typical = median(came.map((it) => it.came - it.at));
    const groups = [];
    for (const mark of came) {
      const group = groups.at(-1);
      if (group && Math.abs(mark.came - group[0].came) <= AT_ONCE) group.push(mark);
      else groups.push([mark]);
    }
    // Where times are known by a step only, lines within one step did not come at once.
    const least = Math.max(BUNCH_SPAN, 2 * this.step);
    return groups.filter((it) => it.length >= BUNCH && it.at(-1).at - it[0].at >= least &&
      it[0].came - it[0].at >= typical + least);
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
}
