// The parts of the page that need no browser: the session, the dials and the typed commands.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamReader, decodeMessage, encodeMessage, preface, record } from "./codec.js";
import { PRESETS, parse as dials, preset, write } from "./dials.js";
import { Fates } from "./fates.js";
import { Session } from "./session.js";
import { addresses, parse, pieces } from "./typed.js";

const EPOCH = 18369338455419541112n;
const NONCE = 77n;

/// A session with a server that the test plays.
class Play {
  constructor(saved) {
    this.events = [];
    this.now = 0;
    this.session = new Session({ nickname: "alice", saved, random: () => 0.5,
      nonce: () => NONCE, emit: (event) => this.events.push(event) });
  }

  /// Connects. Returns the `Join`.
  connect() {
    this.session.connected(this.now);
    this.reader = new StreamReader();
    const [{ frame }] = this.sent();
    this.bytes(Uint8Array.from([...preface()].map((it, at) => (at === 3 ? 1 : at > 3 ? 9 : it))));
    return frame;
  }

  bytes(bytes) {
    return this.session.received(bytes, this.now);
  }

  tell(message) {
    const payload = encodeMessage(message, true);
    return this.bytes(record({ is: "Once", payload }));
  }

  welcome(more = {}) {
    return this.tell({ is: "Welcome", nonce: NONCE, peer: 3, token: new Uint8Array(16).fill(5),
      nickname: "alice", room: "lab", heartbeat_ms: 2000, expiry_ms: 10000, burst: 20, rate: 10,
      peers: 1, replay: 0, complete: true, epoch: EPOCH, latest: 0n, newest: 0, taken: [],
      sure: true, ...more });
  }

  line(position, text) {
    this.tell({ is: "Line", position, at: 1n, upstream: 0, peer: 1, number: 0, from: "bob", text });
  }

  /// What the session sent since the last call: frames, or the messages in them.
  sent() {
    const bytes = Buffer.concat(this.session.outgoing.splice(0));
    const found = [...this.reader.read(bytes)].filter((it) => it.frame);
    return found.map(({ frame }) =>
      frame.payload ? decodeMessage(frame.payload, false) : { frame });
  }

  say(id, text, to = null) {
    this.session.say(id, to, text, this.now, 1_700_000_000_000);
  }

  drop() {
    return this.session.disconnected(this.now);
  }

  take(is) {
    const found = this.events.filter((it) => it.is === is);
    this.events = this.events.filter((it) => it.is !== is);
    return found;
  }
}

test("nothing is shown twice and nothing is lost without a word after a restart", () => {
  const play = new Play();
  const first = play.connect();
  assert.deepEqual([first.is, first.epoch, first.seen, first.next], ["Join", 0n, 0n, 0]);
  play.welcome({ latest: 4n });
  play.line(5n, "one");
  play.say(1, "mine");
  play.say(2, "taken, and not accepted");
  play.say(3, "not taken");
  play.say(4, "psst", "bob");
  assert.deepEqual(play.sent().map((it) => it.text),
    ["mine", "taken, and not accepted", "not taken", "psst"]);
  play.tell({ is: "Accepted", number: 0, position: 6n });
  play.now = 6000;
  play.line(7n, "two");
  assert.equal(play.take("line").length, 2);
  assert.deepEqual(play.take("settled").map((it) => [it.id, it.as]), [[1, "accepted"]]);

  play.drop();
  play.say(5, "while away");
  const again = play.connect();
  assert.deepEqual([again.epoch, again.seen, again.next], [EPOCH, 7n, 3]);
  assert.equal(again.resume.length, 16);
  // The log has the line of number 1, and not that of number 2. A line overtakes the replay.
  play.welcome({ replay: 2, latest: 1000002n, newest: 1, taken: [0b11] });
  play.line(1000003n, "newest");
  assert.equal(play.sent().length, 0, "own lines wait for the replay");
  play.tell({ is: "History", position: 8n, at: 1n, own: true, number: 1, from: "alice",
    text: "taken, and not accepted" });
  play.tell({ is: "History", position: 1000002n, at: 1n, own: false, number: 0, from: "bob",
    text: "meanwhile" });
  assert.deepEqual(play.take("line").map((it) => it.text), ["meanwhile", "newest"]);
  assert.deepEqual(play.take("settled").map((it) => [it.id, it.as]),
    [[4, "doubtful"], [2, "accepted"]]);
  play.session.tick(play.now);
  assert.deepEqual(play.sent().map((it) => [it.number, it.text]),
    [[2, "not taken"], [3, "while away"]]);
  play.line(7n, "two");
  play.line(1000003n, "newest");
  assert.equal(play.take("line").length, 0, "both were shown before");
  assert.equal(play.take("gap").length, 0);
});

test("lines that may be missing, and lines of unknown fate, are reported", () => {
  const play = new Play();
  play.connect();
  play.welcome({ latest: 9n });
  play.say(1, "in doubt");
  play.drop();
  play.connect();
  play.welcome({ epoch: 5n, latest: 0n, complete: false, sure: false });
  assert.deepEqual(play.take("gap").map((it) => it.other), [true]);
  assert.deepEqual(play.take("settled").map((it) => it.as), ["doubtful"]);
  play.session.tick(play.now);
  assert.equal(play.sent().filter((it) => it.is === "Say").length, 0);
});

test("a log that lost its end has other lines at the same positions", () => {
  const play = new Play();
  play.connect();
  play.welcome({ latest: 3n });
  play.line(4n, "lost with the log");
  play.drop();
  play.connect();
  play.welcome({ latest: 3n });
  play.line(4n, "another");
  assert.equal(play.take("line").length, 2);
});

test("a page that is loaded again goes on where it was", () => {
  const play = new Play();
  play.connect();
  play.welcome({ latest: 3n });
  play.line(4n, "shown");
  play.say(1, "unsettled");
  const next = new Play(JSON.parse(JSON.stringify(play.session.save())));
  const join = next.connect();
  assert.deepEqual([join.epoch, join.seen], [EPOCH, 4n]);
  next.welcome({ latest: 5n, newest: 0, taken: [1] });
  assert.deepEqual(next.take("settled").map((it) => [it.id, it.as]), [[1, "accepted"]]);
  next.line(4n, "shown");
  assert.equal(next.take("line").length, 0);
});

test("lines leave as fast as the server allows, and wait when it says so", () => {
  const play = new Play();
  play.connect();
  play.welcome({ burst: 2, rate: 1 });
  [1, 2, 3, 4].forEach((id) => play.say(id, `line ${id}`));
  assert.equal(play.sent().length, 2);
  play.now = 1000;
  play.session.tick(play.now);
  assert.equal(play.sent().length, 1);
  play.tell({ is: "Slow", wait_ms: 3000 });
  play.now = 3900;
  play.session.tick(play.now);
  assert.deepEqual(play.sent().map((it) => it.frame?.is), ["Heartbeat"]);
  play.now = 4000;
  play.session.tick(play.now);
  assert.equal(play.sent().length, 1);
});

test("heartbeats leave, and silence ends the connection", () => {
  const play = new Play();
  play.connect();
  play.welcome();
  play.now = 2000;
  assert.ok(play.session.tick(play.now));
  assert.equal(play.sent()[0].frame.is, "Heartbeat");
  play.now = 5000;
  play.session.tick(play.now);
  assert.equal(play.take("quiet").length, 1);
  play.now = 15000;
  assert.equal(play.session.tick(play.now), false);
  // Sessions that do not last are followed by pauses that grow.
  const pauses = [play.drop(), ...[1, 2, 3, 4, 5, 6].map(() => {
    play.connect();
    return play.drop();
  })];
  assert.deepEqual(pauses.map((it) => it / 0.75), [500, 1000, 2000, 4000, 8000, 8000, 8000]);
});

test("a ping is answered at once, and foreign bytes end the connection", () => {
  const play = new Play();
  play.connect();
  play.tell({ is: "Closing", reason: "Quit", detail: "before Welcome" });
  play.welcome();
  play.tell({ is: "Pinged", peer: 4, number: 9 });
  assert.deepEqual(play.sent(), [{ is: "Pong", peer: 4, number: 9 }]);
  assert.equal(play.bytes(Uint8Array.of(0xff, 0xff, 1)), false);
  assert.equal(play.take("invalid").length, 1);
});

test("the dials write what they read", () => {
  for (const text of ["loss 10% burst 3, delay 25ms, jitter 5ms, duplicate 1%, rate 200kbit",
    "loss 0.5%", "delay 5ms, corrupt 1%", "rate 2mbit, limit 50", ""]) {
    assert.equal(write(dials(text)), text);
  }
  assert.equal(write(dials("none")), "");
  assert.equal(dials("delay 1.5s").delay, 1500);
  const ways = Object.fromEntries(PRESETS.map(([name, text]) => [name, preset(text)]));
  assert.match(ways.cellular.up, /rate 5mbit/);
  assert.match(ways.cellular.down, /rate 20mbit/);
  assert.equal(ways.wifi.up, ways.wifi.down);
});

/// Lines said every 20 ms by peer 0, and when they came to peer 1 (`null`: nobody knows yet).
function fates(delivery, after, more = {}) {
  const made = new Fates();
  made.present([{ peer: 1, name: "bob", transport: "udp", delivery }], 0);
  made.add({ said: after.map((_, at) => ({ position: at, at_us: at * 20_000, peer: 0 })),
    shown: after.flatMap((it, position) => (it === null ? []
      : [{ position, peer: 1, after_ms: it, sends: 1, certain: true }])), ...more });
  return made;
}

test("a reader in order shows no line before the lines ahead of it", () => {
  const after = [10, 10, 110, 10, 10, 10, 10, 10, 10];
  const ordered = fates("reliable-ordered", after);
  const marks = ordered.of(1, 0, 1000);
  assert.deepEqual(marks.map((it) => it.came), [10, 30, 150, 150, 150, 150, 150, 150, 170]);
  assert.deepEqual(ordered.bunches(1, marks).map((it) => it.length), [6]);
  const unordered = fates("reliable-unordered", after);
  assert.deepEqual(unordered.bunches(1, unordered.of(1, 0, 1000)), []);
  const waiting = fates("reliable-ordered", [10, null, 10]).of(1, 0, 1000);
  assert.deepEqual(waiting.map((it) => it.waits), [false, true, true]);
});

test("what is not known is not shown as waiting or as come", () => {
  const lost = fates("unreliable", [10, null], { lost: [{ position: 1, peer: 1 }] });
  assert.deepEqual(lost.of(1, 0, 1000).map((it) => [it.lost, it.waits]),
    [[false, false], [true, false]]);
  const taken = fates("reliable-unordered", [null],
    { shown: [{ position: 0, peer: 1, after_ms: 0, sends: 1, certain: false }] });
  assert.deepEqual(taken.of(1, 0, 1000).map((it) => [it.came, it.taken, it.waits]),
    [[null, true, false]]);
  const none = (made, peer, to) => assert.equal(made.of(peer, 0, to).length, 0);
  none(fates("reliable-unordered", [null], { left_out: 1 }), 1, 1000);
  none(fates("reliable-unordered", [null]), 1, 20_000);
  none(fates("reliable-unordered", [null]), 0, 1000);
  none(fates("unreliable", [null]), 1, 1000);
  assert.equal(fates("reliable-unordered", [null]).of(1, 0, 1000).length, 1);
});

test("what looks like a command is never said", () => {
  const kinds = ["hello", "/me waves", "//me", "//@home", "@bob psst", "@bob", " /who", "/whoo",
    "\u200b/who", "EXIT", "  "].map((it) => parse(it));
  assert.deepEqual(kinds.map((it) => it.text ?? it.is), ["hello", "*waves*", "/me", "@home", "psst",
    "wrong", "who", "wrong", "who", "quit", "nothing"]);
  assert.equal(parse("@bob, psst").to, "bob");
});

test("texts are cleaned, and cut between characters", () => {
  const family = "👩‍👩‍👧‍👦";
  const cut = pieces(family.repeat(60));
  assert.ok(cut.every((it) => Buffer.byteLength(it) <= 1000 && !it.startsWith("\u200d")));
  assert.equal(cut.join(""), family.repeat(60));
  assert.deepEqual(pieces("a\tb\u202ec\n"), ["a b\uFFFDc\uFFFD"]);
  assert.deepEqual(pieces(" \t "), []);
});

test("being addressed is a word, whatever its case", () => {
  for (const [text, name, is] of [["hi Alice!", "alice", true], ["malice", "alice", false],
    ["@a.b-c: hi", "a.b-c", true], ["axb", "a.b", false], ["эй, боб", "Боб", true],
    ["бобр", "Боб", false]]) {
    assert.equal(addresses(text, name), is, text);
  }
});

test("a rename, a rejected line and the moderator's removal reach the person", () => {
  const play = new Play();
  play.connect();
  play.welcome();
  play.say(1, "hello");
  play.tell({ is: "Renamed", peer: 3, from: "alice", to: "alicia" });
  assert.equal(play.session.nickname, "alicia");
  play.tell({ is: "Rejected", number: 0, private: false, detail: "mute for 5 min" });
  play.tell({ is: "Topic", text: "losses" });
  assert.equal(play.tell({ is: "Closing", reason: "Kicked", detail: "spam" }), false);
  const kinds = play.events.map((it) => it.as ?? it.is);
  for (const kind of ["renamed", "rejected", "notice", "topic", "closing"]) {
    assert.ok(kinds.includes(kind), `${kind}: ${kinds}`);
  }
  assert.equal(play.events.at(-1).final, true);
});
