// Frames and messages as bytes, and the byte stream of TCP (proto.md, sections 2.3, 5, 6, 11.2).
// The vectors in tests/vectors hold for this file too. 64-bit numbers are BigInts: a Number is
// exact up to 2^53 only.

const MAX_RECORD = 1160;
const PREFACE_LENGTH = 12;
const MAGIC = [0x43, 0x47];
const VERSION = 1;
const FROM_SERVER = 1;

export const DELIVERIES = ["Unreliable", "ReliableUnordered", "ReliableOrdered"];
export const TRANSPORTS = ["Udp", "Tcp", "Quic", "Web"];
export const REFUSALS = ["Version", "NameNotAllowed", "NameTaken", "RoomFull",
  "TooManyFromAddress", "ShuttingDown", "Unavailable", "Locked", "Kicked"];
export const REASONS = ["Quit", "Timeout", "Shutdown", "Flood", "Restart", "Kicked"];

const payload = ["payload", "bytes"];
const part = [["index", "u16"], ["count", "u16"], payload];
export const FRAMES = [
  ["Padding", ["content", "bytes"]],
  ["Heartbeat"],
  ["Once", payload],
  ["Unordered", ["id", "u16"], payload],
  ["Ordered", ["id", "u16"], payload],
  ["Join", ["nonce", "u64"], ["cookie", "bytes"], ["nickname", "string"], ["delivery", DELIVERIES],
    ["resume", "bytes"], ["epoch", "u64"], ["seen", "u64"], ["next", "u16"]],
  ["Challenge", ["nonce", "u64"], ["cookie", 20]],
  ["Refused", ["nonce", "u64"], ["reason", REFUSALS], ["detail", "string"]],
  ["PathChallenge", ["cookie", 8]],
  ["PathResponse", ["cookie", 8]],
  ["Reset"],
  ["Probe", ["nonce", "u64"]],
  ["Found", ["nonce", "u64"], ["server", "u64"], ["port", "u16"], ["peers", "u16"],
    ["room", "string"]],
  ["Part", ["id", "u16"], ["ordered", "bool"], ...part],
  ["OncePart", ["number", "u16"], ...part],
];

const said = [["number", "u16"], ["sent", "u64"]];
export const FROM_CLIENT = [
  ["Say", ...said, ["text", "string"]],
  ["Whisper", ...said, ["to", "string"], ["text", "string"]],
  ["Leave", ["next", "u16"]],
  ["Deliver", ["delivery", DELIVERIES]],
  ["Who", ["number", "u16"]],
  ["Ping", ["number", "u16"], ["to", "string"]],
  ["Pong", ["peer", "u16"], ["number", "u16"]],
  ["Rename", ["nickname", "string"]],
  ["Moderate", ["order", "string"]],
];

const u64s = (names) => names.split(" ").map((name) => [name, "u64"]);
const author = [["from", "string"], ["text", "string"]];
export const FROM_THE_SERVER = [
  ["Welcome", ["nonce", "u64"], ["peer", "u16"], ["token", 16], ["nickname", "string"],
    ["room", "string"], ["heartbeat_ms", "u32"], ["expiry_ms", "u32"], ["burst", "u16"],
    ["rate", "u16"], ["peers", "u16"], ["replay", "u16"], ["complete", "bool"], ["epoch", "u64"],
    ["latest", "u64"], ["newest", "u16"], ["taken", "bytes"], ["sure", "bool"]],
  ["Present", ["roll", "roll"]],
  ["History", ["position", "u64"], ["at", "u64"], ["own", "bool"], ["number", "u16"], ...author],
  ["Joined", ["peers", "u16"], ["roll", "roll"]],
  ["Left", ["peers", "u16"], ["reason", REASONS], ["roll", "roll"]],
  ["Line", ["position", "u64"], ["at", "u64"], ["upstream", "i32"], ["peer", "u16"],
    ["number", "u16"], ...author],
  ["Accepted", ["number", "u16"], ["position", "u64"]],
  ["Whisper", ["at", "u64"], ["upstream", "i32"], ["peer", "u16"], ...author],
  ["Whispered", ["number", "u16"], ["at", "u64"], ["to", "string"], ["text", "string"]],
  ["NotHere", ["number", "u16"], ["to", "string"]],
  ["Notice", ["text", "string"]],
  ["Closing", ["reason", REASONS], ["detail", "string"]],
  ["About", ["number", "u16"], ["left", "u16"], ["peer", "u16"], ["nickname", "string"],
    ["transport", TRANSPORTS], ["delivery", DELIVERIES], ["rtt_us", "u32"], ["silent_ms", "u32"],
    ...u64s("sent lost received missing")],
  ["Pinged", ["peer", "u16"], ["number", "u16"]],
  ["Ponged", ["number", "u16"], ["from", "string"]],
  ["Slow", ["wait_ms", "u16"]],
  ["Counters", ["number", "u16"], ...u64s("received alien other_version corrupt malformed " +
    "unknown_session unread refused left_out")],
  ["Servers", ["servers", "servers"]],
  ["Renamed", ["peer", "u16"], ["from", "string"], ["to", "string"]],
  ["NotRenamed", ["reason", REFUSALS], ["detail", "string"]],
  ["Topic", ["text", "string"]],
  ["Rejected", ["number", "u16"], ["private", "bool"], ["detail", "string"]],
];

const ENTRY = [null, ["peer", "u16"], ["nickname", "string"], ["next", "u16"]];
const SERVER_LENGTH = 18;
/// The most servers that a client keeps, and the most bytes of `taken`.
const MAX_SERVERS = 16;
const LARGEST = { u16: 0xffffn, u32: 0xffffffffn, u64: 0xffffffffffffffffn };
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const toUtf8 = new TextEncoder();

/// Bytes that break a rule of the protocol.
export class Malformed extends Error {}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(length) {
    if (length > this.bytes.length - this.at) throw new Malformed("ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /// A number up to `largest`, in its shortest form.
  number(largest) {
    const [first] = this.take(1);
    if (first <= 250) return BigInt(first);
    const length = { 251: 2, 252: 4, 253: 8 }[first];
    if (!length) throw new Malformed("no number begins so");
    const value = this.take(length).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const shorter = { 2: 250n, 4: LARGEST.u16, 8: LARGEST.u32 }[length];
    if (value <= shorter || value > largest) throw new Malformed("number of the wrong form");
    return value;
  }

  value(type) {
    if (Array.isArray(type)) {
      const name = type[Number(this.number(LARGEST.u32))];
      if (!name) throw new Malformed("unknown value");
      return name;
    }
    if (typeof type === "number") return this.take(type).slice();
    if (type === "u64") return this.number(LARGEST.u64);
    if (type === "u16" || type === "u32") return Number(this.number(LARGEST[type]));
    if (type === "i32") {
      const value = Number(this.number(LARGEST.u32));
      return (value >>> 1) ^ -(value & 1);
    }
    if (type === "bool") {
      const [byte] = this.take(1);
      if (byte > 1) throw new Malformed("not a bool");
      return byte === 1;
    }
    const length = this.number(LARGEST.u64);
    if (length > BigInt(this.bytes.length - this.at)) throw new Malformed("ends too early");
    const bytes = this.take(Number(length)).slice();
    if (type === "string") return this.text(bytes);
    if (type === "roll") return roll(bytes);
    if (type === "servers" && (bytes.length % SERVER_LENGTH !== 0 ||
        bytes.length > MAX_SERVERS * SERVER_LENGTH)) throw new Malformed("not whole servers");
    return bytes;
  }

  text(bytes) {
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Malformed("not UTF-8");
    }
  }

  fields([, ...fields]) {
    return Object.fromEntries(fields.map(([name, type]) => [name, this.value(type)]));
  }
}

function roll(bytes) {
  const reader = new Reader(bytes);
  const entries = [];
  while (reader.at < bytes.length) entries.push(reader.fields(ENTRY));
  return entries;
}

/// The one value that fills `bytes`, as `{ is: name, ...fields }`.
function decode(table, bytes) {
  const reader = new Reader(bytes);
  const kind = table[Number(reader.number(LARGEST.u32))];
  if (!kind) throw new Malformed("unknown kind");
  const value = { is: kind[0], ...reader.fields(kind) };
  if (reader.at < bytes.length) throw new Malformed("bytes are left over");
  return value;
}

export const decodeFrame = (bytes) => decode(FRAMES, bytes);
export const decodeMessage = (bytes, fromServer) =>
  decode(fromServer ? FROM_THE_SERVER : FROM_CLIENT, bytes);

/// Several frames, as a datagram has them.
export function decodeFrames(bytes) {
  const reader = new Reader(bytes);
  const frames = [];
  while (reader.at < bytes.length) {
    const kind = FRAMES[Number(reader.number(LARGEST.u32))];
    if (!kind) throw new Malformed("unknown kind");
    frames.push({ is: kind[0], ...reader.fields(kind) });
  }
  return frames;
}

function bigEndian(value, length) {
  return Array.from({ length }, (_, at) => Number((value >> BigInt(8 * (length - 1 - at))) & 255n));
}

function writeNumber(out, number) {
  const value = BigInt(number);
  if (value <= 250n) out.push(Number(value));
  else if (value <= LARGEST.u16) out.push(251, ...bigEndian(value, 2));
  else if (value <= LARGEST.u32) out.push(252, ...bigEndian(value, 4));
  else out.push(253, ...bigEndian(value, 8));
}

function write(out, type, value) {
  if (Array.isArray(type)) writeNumber(out, type.indexOf(value));
  else if (typeof type === "number") out.push(...value);
  else if (type === "bool") out.push(value ? 1 : 0);
  else if (type === "i32") writeNumber(out, ((value << 1) ^ (value >> 31)) >>> 0);
  else if (type in LARGEST) writeNumber(out, value);
  else {
    let bytes = value;
    if (type === "string") bytes = toUtf8.encode(value);
    if (type === "roll") bytes = value.flatMap((entry) => fields([], ENTRY, entry));
    writeNumber(out, bytes.length);
    out.push(...bytes);
  }
}

function fields(out, [, ...types], value) {
  for (const [name, type] of types) write(out, type, value[name]);
  return out;
}

function encode(table, value) {
  const number = table.findIndex(([name]) => name === value.is);
  return Uint8Array.from(fields([number], table[number], value));
}

export const encodeFrame = (frame) => encode(FRAMES, frame);
export const encodeMessage = (message, fromServer) =>
  encode(fromServer ? FROM_THE_SERVER : FROM_CLIENT, message);

/// A frame as it stands in a stream: its length, then its bytes.
export function record(frame) {
  const bytes = encodeFrame(frame);
  return Uint8Array.from([...bigEndian(BigInt(bytes.length), 2), ...bytes]);
}

/// The first bytes of a client.
export function preface() {
  return Uint8Array.from([...MAGIC, VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Reads a stream that arrives in pieces, cut anywhere.
export class StreamReader {
  constructor() {
    this.rest = new Uint8Array(0);
    this.begun = false;
  }

  /// The pieces that are whole now: `{ preface }` first, then `{ frame }`. The first invalid one
  /// is `{ error }`, and the last: the connection then ends.
  *read(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    this.rest = all;
    try {
      for (let piece = this.next(); piece; piece = this.next()) yield piece;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      yield { error };
    }
  }

  next() {
    const { rest } = this;
    if (!this.begun) return this.takePreface();
    if (rest.length < 2) return null;
    const length = (rest[0] << 8) | rest[1];
    if (length < 1 || length > MAX_RECORD) throw new Malformed("record of the wrong length");
    if (rest.length < 2 + length) return null;
    const frame = decodeFrame(rest.subarray(2, 2 + length));
    this.rest = rest.subarray(2 + length);
    return { frame };
  }

  takePreface() {
    const { rest } = this;
    MAGIC.forEach((byte, at) => {
      if (rest.length > at && rest[at] !== byte) throw new Malformed("another protocol");
    });
    if (rest.length > 2 && rest[2] !== VERSION) throw new Malformed("another version");
    if (rest.length > 3 && rest[3] > FROM_SERVER) throw new Malformed("unknown flags");
    if (rest.length < PREFACE_LENGTH) return null;
    const session = rest.subarray(4, 12).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    this.rest = rest.subarray(PREFACE_LENGTH);
    this.begun = true;
    return { preface: { fromServer: rest[3] === FROM_SERVER, session } };
  }
}
