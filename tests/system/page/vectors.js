// The page's codec against the golden vectors: each meaning is read from its bytes, and written
// back to them. Argument: the directory of the vectors.

import { readFileSync } from "node:fs";
import * as codec from "./codec.js";

const HEADER = 40;
const directory = process.argv[2];
const wrong = [];
let checked = 0;

function entries(file) {
  const parts = readFileSync(`${directory}/${file}`, "utf8").split("\nvector ").slice(1);
  return parts.map((part) => {
    const [, name, hex, meaning] = /^(\S+)\n(?:#.*\n)*bytes\n([^]*?)meaning\n?([^]*)$/.exec(part);
    const bytes = Uint8Array.from(Buffer.from(hex.replace(/\s/g, ""), "hex"));
    return { name, bytes, meaning: meaning.split("\n").map((it) => it.trim()).filter(Boolean) };
  });
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");
/// Those of one field that the vectors show without its name.
const BARE = ["PathChallenge", "PathResponse", "Deliver"];
const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

function shown(type, value) {
  if (type === "string") return quoted(value);
  if (type === "roll") {
    return `[${value.map((it) => `${it.peer} ${quoted(it.nickname)} ${it.next}`).join(", ")}]`;
  }
  if (type === "servers") return null;
  return value instanceof Uint8Array ? `<${hex(value)}>` : String(value);
}

function fields(table, value) {
  const [, ...types] = table.find(([name]) => name === value.is);
  if (BARE.includes(value.is)) {
    const [[name, type]] = types;
    return `${value.is}(${shown(type, value[name])})`;
  }
  const all = types.map(([name, type]) => `${name}: ${shown(type, value[name])}`);
  return all.length ? `${value.is} { ${all.join(", ")} }` : value.is;
}

/// A frame as the vectors have it. Sequences of bytes that the vectors show otherwise are left out.
function line(frame, fromServer) {
  if (frame.is === "Padding") return `Padding of ${frame.content.length} bytes`;
  if (!["Once", "Unordered", "Ordered"].includes(frame.is)) return fields(codec.FRAMES, frame);
  const head = frame.is === "Once" ? "Once" : `${frame.is} ${frame.id}`;
  try {
    const message = codec.decodeMessage(frame.payload, fromServer);
    const again = codec.encodeMessage(message, fromServer);
    if (hex(again) !== hex(frame.payload)) return `${head}: written as ${hex(again)}`;
    const table = fromServer ? codec.FROM_THE_SERVER : codec.FROM_CLIENT;
    return `${head}: ${fields(table, message)}`;
  } catch (error) {
    if (!(error instanceof codec.Malformed)) throw error;
    return `${head}: unreadable`;
  }
}

/// Whether the vectors' line begins as this one does up to a sequence that is left out.
function isBegunBy(line, found) {
  return found.includes(": null") && line.startsWith(found.split("null")[0]);
}

function compare(name, found, expected) {
  checked += 1;
  const plain = expected.map((it) => it.replace(/(unreadable|rejected) .*/, "$1"));
  const same = plain.length === found.length && plain.every((it, at) =>
    it === found[at] || isBegunBy(it, found[at]));
  if (!same) {
    wrong.push([name, ...found, "where the vectors have", ...plain].join("\n  "));
  }
}

for (const file of ["handshake", "frames", "client-messages", "server-messages",
  "unreadable-messages"]) {
  for (const { name, bytes, meaning } of entries(`${file}.txt`)) {
    const fromServer = (bytes[3] & 1) === 1;
    const frames = codec.decodeFrames(bytes.subarray(HEADER));
    compare(name, frames.map((it) => line(it, fromServer)), meaning.slice(1));
    const again = frames.map((it) => hex(codec.encodeFrame(it))).join("");
    if (again !== hex(bytes.subarray(HEADER))) wrong.push(`${name}: written as ${again}`);
  }
}

/// The meaning of a stream that arrives in pieces of this size.
function stream(bytes, size) {
  const reader = new codec.StreamReader();
  const lines = [];
  let fromServer = false;
  for (let at = 0; at < bytes.length; at += size) {
    for (const { preface, frame, error } of reader.read(bytes.subarray(at, at + size))) {
      if (error) return [...lines, "rejected"];
      if (preface) {
        ({ fromServer } = preface);
        const session = preface.session.toString(16).padStart(16, "0");
        const flags = fromServer ? "FROM_SERVER" : "";
        lines.push(`preface { flags: [${flags}], session: 0x${session} }`);
      } else lines.push(line(frame, fromServer));
    }
  }
  return lines;
}

for (const { name, bytes, meaning } of entries("streams.txt")) {
  for (const size of [1, 2, 7, 1000, bytes.length || 1]) {
    compare(`${name} in pieces of ${size}`, stream(bytes, size), meaning);
  }
}

console.log(`${checked} checked, ${wrong.length} wrong`);
if (wrong.length) {
  console.log(wrong.slice(0, 5).join("\n"));
  process.exitCode = 1;
}
