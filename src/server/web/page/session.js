// A client's session over the stream of TCP (proto.md, sections 7 and 11.2), without a socket and
// without a clock: the owner passes bytes and times in milliseconds, and sends `outgoing`.

import { StreamReader, encodeMessage, decodeMessage, preface, record, Malformed }
  from "./codec.js";
import { OwnLines, Pace, tokens } from "./lines.js";

const INITIAL_HEARTBEAT = 2000;
const QUIET = 5000;
const SILENT = 15000;
const GIVE_UP = 30000;
const LASTING = 5000;
const JOIN_RETRY = 250;
const REJOIN_PAUSE_MAX = 8000;
const LEAVE_TIMEOUT = 1000;
/// Lines that are remembered so that none is shown twice: twice the server's log.
const REMEMBERED = 2048;

const key = (epoch, position) => `${epoch}:${position}`;

export class Session {
  /// `emit` takes the events; `random` gives a number from 0 to 1, `nonce` a random BigInt.
  constructor({ nickname, emit, random, nonce, saved = {} }) {
    Object.assign(this, { nickname, emit, random, nonce });
    this.token = Uint8Array.from(saved.token ?? []);
    this.epoch = BigInt(saved.epoch ?? 0);
    this.reached = { epoch: BigInt(saved.reached?.[0] ?? 0), position:
      BigInt(saved.reached?.[1] ?? 0) };
    this.shown = new Set(saved.shown ?? []);
    this.own = new OwnLines(saved.own);
    this.pace = new Pace();
    this.questions = 0;
    this.ended = false;
    this.failures = 0;
    this.outgoing = [];
    this.state = "waiting";
  }

  /// What a page needs to go on after it was loaded again.
  save() {
    const { nickname, own } = this;
    const { waiting, nextLine, nextWhisper } = own;
    return { nickname, token: [...this.token], epoch: String(this.epoch),
      reached: [String(this.reached.epoch), String(this.reached.position)],
      shown: [...this.shown], own: { waiting, nextLine, nextWhisper } };
  }

  /// The connection is open: its first bytes are the preface and `Join`.
  connected(now) {
    this.reader = new StreamReader();
    this.welcome = null;
    this.joinNonce = this.nonce();
    this.heard = this.spoke = this.opened = now;
    this.isQuiet = false;
    this.state = "joining";
    this.outgoing.push(preface());
    this.sendFrame({ is: "Join", nonce: this.joinNonce, cookie: [], nickname: this.nickname,
      delivery: "ReliableOrdered", resume: this.token, epoch: this.reached.epoch,
      seen: this.reached.position, next: this.own.next() }, now);
  }

  /// The connection has ended, or could not be made. Returns the pause before the next one.
  disconnected(now) {
    const lasted = this.welcome && this.heard - this.opened >= LASTING;
    this.failures = lasted ? 0 : this.failures + 1;
    if (this.welcome && !this.ended) this.emit({ is: "lost" });
    this.state = "waiting";
    this.welcome = null;
    this.outgoing = [];
    const half = Math.min(JOIN_RETRY * 2 ** this.failures, REJOIN_PAUSE_MAX) / 2;
    return half + half * this.random();
  }

  sendFrame(frame, now) {
    this.spoke = now;
    this.outgoing.push(record(frame));
  }

  sendMessage(message, now) {
    const payload = encodeMessage(message, false);
    this.sendFrame({ is: "Once", payload }, now);
    return payload.length;
  }

  /// Bytes of the server. False if the connection has to be closed.
  received(bytes, now) {
    this.heard = now;
    if (this.isQuiet) {
      this.isQuiet = false;
      this.emit({ is: "heard" });
    }
    for (const { preface: begun, frame, error } of this.reader.read(bytes)) {
      if (error || (begun && !begun.fromServer)) {
        this.emit({ is: "invalid" });
        return false;
      }
      if (frame && !this.frame(frame, now)) return false;
    }
    this.tick(now);
    return true;
  }

  frame(frame, now) {
    if (frame.is === "Refused" && frame.nonce === this.joinNonce && !this.welcome) {
      const { reason, detail } = frame;
      this.ended = this.token.length === 0 || ["NameNotAllowed", "Kicked"].includes(reason);
      this.emit({ is: "refused", reason, detail, final: this.ended });
      return false;
    }
    if (!["Once", "Unordered", "Ordered"].includes(frame.is)) return true;
    try {
      return this.message(decodeMessage(frame.payload, true), now);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return true;
    }
  }

  message(message, now) {
    if (!this.welcome) {
      if (message.is === "Welcome" && message.nonce === this.joinNonce) this.begin(message, now);
      return true;
    }
    if (message.is === "History") this.replayed(message);
    else if (message.is === "Line" || message.is === "Accepted") {
      if (this.isBriefed()) this.line(message);
      else this.held.push(message);
    } else if (message.is === "Closing") {
      const isOver = this.state === "leaving" || ["Shutdown", "Kicked"].includes(message.reason);
      this.ended = this.ended || isOver;
      const { reason, detail } = message;
      this.emit({ is: "closing", reason, detail, final: isOver });
      return false;
    } else this.other(message, now);
    return true;
  }

  begin(welcome, now) {
    const isAgain = this.token.length > 0;
    const before = this.reached;
    Object.assign(this, { welcome, state: "here", replays: welcome.replay, held: [] });
    this.token = welcome.token;
    this.nickname = welcome.nickname;
    this.epoch = welcome.epoch;
    this.forgetAbove(welcome.latest);
    this.pace.begin(welcome, now);
    const { nickname, room, peers } = welcome;
    this.emit({ is: "welcome", nickname, room, peers, again: isAgain });
    if (isAgain && !welcome.complete) {
      this.emit({ is: "gap", other: before.epoch !== welcome.epoch });
    }
    for (const { id } of this.own.afterWelcome(welcome)) {
      this.emit({ is: "settled", id, as: "doubtful" });
    }
    if (this.isBriefed()) this.briefed();
  }

  /// The log may have lost its end: other lines take these positions.
  forgetAbove(latest) {
    const prefix = `${this.epoch}:`;
    for (const line of this.shown) {
      if (line.startsWith(prefix) && BigInt(line.slice(prefix.length)) > latest) {
        this.shown.delete(line);
      }
    }
    if (this.reached.epoch === this.epoch && this.reached.position > latest) {
      this.reached.position = latest;
    }
  }

  isBriefed() {
    return this.replays === 0;
  }

  replayed({ position, at, own, number, from, text }) {
    if (this.isBriefed()) return;
    this.replays -= 1;
    this.advance(position);
    const line = own ? this.own.take(true, number) : undefined;
    if (line) {
      this.remember(position);
      this.emit({ is: "settled", id: line.id, as: "accepted" });
    } else if (this.remember(position)) {
      this.emit({ is: "line", at, from, text, own, past: true });
    }
    if (this.isBriefed()) this.briefed();
  }

  briefed() {
    this.advance(this.welcome.latest);
    for (const { id } of this.own.afterReplay()) this.emit({ is: "settled", id, as: "accepted" });
    this.held.splice(0).forEach((it) => this.line(it));
    this.emit({ is: "ready" });
  }

  /// A line of the room, or the acceptance of an own one, in the order of the log.
  line(message) {
    const isNew = this.remember(message.position);
    this.advance(message.position);
    if (message.is === "Accepted") {
      const line = this.own.take(true, message.number);
      if (line) this.emit({ is: "settled", id: line.id, as: "accepted" });
    } else if (isNew) {
      const { at, from, text } = message;
      this.emit({ is: "line", at, from, text, own: false, past: false });
    }
  }

  /// False if the line was shown before.
  remember(position) {
    const line = key(this.epoch, position);
    if (this.shown.has(line)) return false;
    this.shown.add(line);
    if (this.shown.size > REMEMBERED) this.shown.delete(this.shown.values().next().value);
    return true;
  }

  advance(position) {
    if (this.reached.epoch !== this.epoch || this.reached.position < position) {
      this.reached = { epoch: this.epoch, position };
    }
  }

  other(message, now) {
    const { is } = message;
    if (is === "Joined") this.arrived(message);
    else if (is === "Left") this.departed(message);
    else if (is === "Whisper") {
      this.emit({ is: "whisper", at: message.at, from: message.from, text: message.text });
    } else if (is === "Whispered" || is === "NotHere") {
      const line = this.own.take(false, message.number);
      const as = is === "NotHere" ? "nobody" : "accepted";
      if (line) this.emit({ is: "settled", id: line.id, as, to: message.to });
    } else if (is === "Rejected") {
      const line = this.own.take(!message.private, message.number);
      if (line) this.emit({ is: "settled", id: line.id, as: "rejected" });
      this.emit({ is: "notice", text: message.detail });
    } else if (is === "Renamed") this.renamed(message);
    else if (is === "NotRenamed") this.emit({ is: "notice", text: message.detail });
    else if (is === "Topic") this.emit({ is: "topic", text: message.text });
    else if (is === "Notice") this.emit({ is: "notice", text: message.text });
    else if (is === "Slow") this.pace.pause(message.wait_ms, now);
    else if (is === "Pinged") {
      this.sendMessage({ is: "Pong", peer: message.peer, number: message.number }, now);
    } else if (is === "About" || is === "Ponged") this.emit({ ...message });
  }

  arrived({ roll, peers }) {
    const others = roll.filter((it) =>
      it.peer !== this.welcome.peer && it.nickname !== this.nickname);
    const names = others.map((it) => it.nickname);
    if (names.length) this.emit({ is: "joined", names, peers });
  }

  departed({ roll, reason, peers }) {
    const gone = roll.filter((it) => it.peer !== this.welcome.peer);
    const names = gone.map((it) => it.nickname);
    if (names.length) this.emit({ is: "left", names, reason, peers });
  }

  renamed({ peer, from, to }) {
    if (peer === this.welcome.peer) this.nickname = to;
    this.emit({ is: "renamed", from, to, own: peer === this.welcome.peer });
  }

  /// Asks for another name.
  rename(nickname, now) {
    if (this.state !== "here") return false;
    const length = this.sendMessage({ is: "Rename", nickname }, now);
    this.pace.spend(tokens(length), now);
    return true;
  }

  /// Says a line, or whispers it. It leaves when the server's limit allows.
  say(id, to, text, now, wall) {
    this.own.push(id, to, text, wall);
    this.flush(now);
  }

  /// Asks a question: `Who` or `Ping`. Returns its number, or null while there is no session.
  ask(is, to, now) {
    if (this.state !== "here") return null;
    this.questions = (this.questions + 1) % 65536;
    const length = this.sendMessage({ is, number: this.questions, to }, now);
    this.pace.spend(tokens(length), now);
    return this.questions;
  }

  leave(now) {
    this.ended = true;
    if (this.state !== "here") return false;
    this.state = "leaving";
    this.leftAt = now;
    this.sendMessage({ is: "Leave", next: this.own.next() }, now);
    return true;
  }

  flush(now) {
    if (this.state !== "here" || !this.isBriefed()) return;
    for (let line = this.own.unsent(); line; line = this.own.unsent()) {
      if (!this.pace.allows(line.tokens, this.own.unsettled(), now)) return;
      line.sent = true;
      line.left = now;
      this.sendFrame({ is: "Once", payload: this.own.message(line) }, now);
      this.pace.spend(line.tokens, now);
      this.emit({ is: "sent", id: line.id });
    }
  }

  /// Call it often while connected. False if the connection has to be closed.
  tick(now) {
    if (this.state === "waiting") return true;
    if (this.state === "leaving") return now - this.leftAt < LEAVE_TIMEOUT;
    this.flush(now);
    const { heartbeat_ms: heartbeat = INITIAL_HEARTBEAT, expiry_ms: expiry = 0 } =
      this.welcome ?? {};
    if (now - this.spoke >= heartbeat) this.sendFrame({ is: "Heartbeat" }, now);
    for (const { id } of this.own.overdue(now - GIVE_UP)) {
      this.emit({ is: "settled", id, as: "doubtful" });
    }
    const silence = now - this.heard;
    if (silence >= Math.max(SILENT, 1.5 * expiry)) return false;
    if (!this.isQuiet && silence >= Math.max(QUIET, 2.5 * heartbeat)) {
      this.isQuiet = true;
      this.emit({ is: "quiet" });
    }
    return true;
  }
}
