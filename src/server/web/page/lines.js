// This client's own lines: waiting, sent, or confirmed (proto.md, section 7.9), and the pace at
// which they leave (section 7.14).

import { encodeMessage } from "./codec.js";

const TOKEN_BYTES = 256;
const MAX_UNSETTLED = 64;
const NUMBER_WINDOW = 256;
const NUMBERS = 65536;

/// Tokens that a message of this many bytes costs.
export const tokens = (length) => 1 + Math.floor(length / TOKEN_BYTES);

/// Whether the log has the line of this number, by `Welcome`; null if that is not known.
function isTaken({ newest, taken, sure }, number) {
  const back = (newest - number + NUMBERS) % NUMBERS;
  if (taken.length === 0 || back >= NUMBERS / 2) return sure ? false : null;
  if ((taken[back >> 3] ?? 0) & (1 << (back & 7))) return true;
  return sure && back < NUMBER_WINDOW ? false : null;
}

export class OwnLines {
  constructor(saved = {}) {
    this.waiting = saved.waiting ?? [];
    this.nextLine = saved.nextLine ?? 0;
    this.nextWhisper = saved.nextWhisper ?? 0;
  }

  /// Takes a line for the room (`to` is null) or a whisper; `id` names it for the page.
  push(id, to, text, typed) {
    const number = to === null ? this.nextLine : this.nextWhisper;
    const next = (number + 1) % NUMBERS;
    if (to === null) this.nextLine = next;
    else this.nextWhisper = next;
    const line = { id, number, to, text, typed, sent: false, inLog: false };
    line.tokens = tokens(this.message(line).length);
    this.waiting.push(line);
  }

  message({ number, to, text, typed }) {
    const sent = BigInt(typed) * 1000n;
    const message = to === null ? { is: "Say", number, sent, text }
      : { is: "Whisper", number, sent, to, text };
    return encodeMessage(message, false);
  }

  /// The number of the next line that has not left.
  next() {
    const unsent = this.waiting.find((it) => it.to === null && !it.sent);
    return unsent ? unsent.number : this.nextLine;
  }

  unsent() {
    return this.waiting.find((it) => !it.sent);
  }

  /// Tokens of the lines that have left and are not settled.
  unsettled() {
    return this.waiting.reduce((sum, it) => sum + (it.sent ? it.tokens : 0), 0);
  }

  /// Takes out the line, or the whisper, of this number.
  take(isLine, number) {
    const at = this.waiting.findIndex((it) => (it.to === null) === isLine && it.number === number);
    return at < 0 ? undefined : this.waiting.splice(at, 1)[0];
  }

  /// Begins a session: lines that the log lacks leave again. Returns those of unknown fate.
  afterWelcome(welcome) {
    const doubtful = [];
    this.waiting = this.waiting.filter((line) => {
      if (!line.sent) return true;
      const taken = line.to === null ? isTaken(welcome, line.number) : null;
      if (taken === null) doubtful.push(line);
      line.inLog = line.sent = taken === true;
      return taken !== null;
    });
    return doubtful;
  }

  /// After the replay: takes out the lines that the log has.
  afterReplay() {
    const found = this.waiting.filter((it) => it.inLog);
    this.waiting = this.waiting.filter((it) => !it.inLog);
    return found;
  }

  /// The lines that left before this time, each once.
  overdue(leftBefore) {
    const overdue = this.waiting.filter((it) => it.sent && !it.doubted && it.left < leftBefore);
    for (const line of overdue) line.doubted = true;
    return overdue;
  }
}

/// The server's token bucket, and the pauses that it asks for. Times in milliseconds.
export class Pace {
  constructor() {
    this.limit = null;
    this.quietUntil = 0;
  }

  /// Takes the limit of `Welcome`. A bucket of before has no more tokens than it had.
  begin({ burst, rate }, now) {
    const before = this.limit && this.tokens(now);
    this.quietUntil = 0;
    this.limit = burst && rate ? { burst, rate } : null;
    this.level = Math.min(before ?? burst, burst);
    this.at = now;
  }

  tokens(now) {
    return Math.min(this.limit.burst, this.level + ((now - this.at) / 1000) * this.limit.rate);
  }

  pause(milliseconds, now) {
    this.quietUntil = Math.max(this.quietUntil, now + milliseconds);
  }

  /// Whether a line of this cost may leave now, with so many tokens unsettled.
  allows(cost, unsettled, now) {
    if (now < this.quietUntil) return false;
    if (!this.limit) return true;
    const needed = Math.min(cost, this.limit.burst);
    return unsettled + cost <= MAX_UNSETTLED && this.tokens(now) >= needed;
  }

  spend(cost, now) {
    if (!this.limit) return;
    this.level = this.tokens(now) - cost;
    this.at = now;
  }
}
