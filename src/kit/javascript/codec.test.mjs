// Given: the test vectors of proto.md §13 that are about headers and integers.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as codec from "./codec.mjs";

test("vectors", () => {
  const text = readFileSync(new URL("vectors.txt", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) {
    const words = line.split(" ");
    const data = Buffer.from(words.at(-1), "hex");
    if (words[0] === "header") {
      const [flags, session, sequence, acknowledgment, ackBitmap, timestamp, ackDelay, window] =
        words.slice(1, -1).map((word) => BigInt(`0x${word}`));
      const header = {
        flags: Number(flags),
        session,
        sequence: Number(sequence),
        acknowledgment: Number(acknowledgment),
        ackBitmap,
        timestamp: Number(timestamp),
        ackDelay: Number(ackDelay),
        window: Number(window),
      };
      const found = codec.decode(data);
      assert.deepEqual(found?.header, header, line);
      assert.deepEqual(codec.encode(header, found.frames), data, line);
    } else if (words[0] === "rejected") {
      assert.equal(codec.decode(data), null, line);
    } else {
      const value = BigInt(`0x${words[1]}`);
      assert.deepEqual(codec.putInteger(value), data, line);
      assert.equal(codec.takeInteger(data)?.value, value, line);
      assert.equal(codec.takeInteger(data.subarray(0, -1)), null, line);
    }
  }
  assert.ok(lines.length > 50);
});
