// Given: the header (proto.md §I.3) and the integers (§I.2). You need not change this file.

export const HEADER_LEN = 40;
export const MAX_DATAGRAM = 1200;
export const FROM_SERVER = 1;
export const ACK = 2;
const MAGIC = 0x4347;
const VERSION = 1;

/** The fields of the header that have no constant value. `session` and `ackBitmap` have 64 bits,
 * so they are BigInts. */
export const EMPTY = {
  flags: 0, session: 0n, sequence: 0, acknowledgment: 0, ackBitmap: 0n, timestamp: 0, ackDelay: 0,
  window: 0,
};

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** Of all bytes but those of the checksum itself. */
function checksum(data) {
  return crc32(Buffer.concat([data.subarray(0, 4), data.subarray(8)]));
}

/** The datagram with this header and these frames. */
export function encode(header, frames = Buffer.alloc(0)) {
  const data = Buffer.concat([Buffer.alloc(HEADER_LEN), frames]);
  data.writeUInt16BE(MAGIC, 0);
  data.writeUInt8(VERSION, 2);
  data.writeUInt8(header.flags, 3);
  data.writeBigUInt64BE(header.session, 8);
  data.writeUInt32BE(header.sequence, 16);
  data.writeUInt32BE(header.acknowledgment, 20);
  data.writeBigUInt64BE(header.ackBitmap, 24);
  data.writeUInt32BE(header.timestamp, 32);
  data.writeUInt16BE(header.ackDelay, 36);
  data.writeUInt16BE(header.window, 38);
  data.writeUInt32BE(checksum(data), 4);
  return data;
}

/** The header, and the bytes of the frames; null: drop the datagram. */
export function decode(data) {
  if (data.length < HEADER_LEN || data.length > MAX_DATAGRAM) return null;
  const flags = data.readUInt8(3);
  const isOurs = data.readUInt16BE(0) === MAGIC && data.readUInt8(2) === VERSION;
  const isWhole = data.readUInt32BE(4) === checksum(data);
  if (!isOurs || !isWhole || (flags & ~(FROM_SERVER | ACK)) !== 0) return null;
  const header = {
    flags,
    session: data.readBigUInt64BE(8),
    sequence: data.readUInt32BE(16),
    acknowledgment: data.readUInt32BE(20),
    ackBitmap: data.readBigUInt64BE(24),
    timestamp: data.readUInt32BE(32),
    ackDelay: data.readUInt16BE(36),
    window: data.readUInt16BE(38),
  };
  return { header, frames: data.subarray(HEADER_LEN) };
}

/** The value, a number or a BigInt, in its shortest form. */
export function putInteger(value) {
  value = BigInt(value);
  if (value <= 250n) return Buffer.from([Number(value)]);
  const data = Buffer.alloc(9);
  data.writeBigUInt64BE(value, 1);
  const size = value < 1n << 16n ? 2 : value < 1n << 32n ? 4 : 8;
  const mark = size === 2 ? 251 : size === 4 ? 252 : 253;
  return Buffer.concat([Buffer.from([mark]), data.subarray(9 - size)]);
}

/** The integer at the beginning of the bytes, a BigInt, and the rest; null: there is none. */
export function takeInteger(data) {
  const size = { 251: 2, 252: 4, 253: 8 }[data[0]] ?? 0;
  if (data.length < 1 + size || data[0] > 253) return null;
  const bytes = size === 0 ? data.subarray(0, 1) : data.subarray(1, 1 + size);
  const value = BigInt(`0x${bytes.toString("hex")}`);
  if (putInteger(value).length !== 1 + size) return null;
  return { value, rest: data.subarray(1 + size) };
}
