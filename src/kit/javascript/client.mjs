// A Chatagram client. Usage: node client.mjs HOST:PORT NICK
//
// The places marked STEP are yours: README.md has the steps. § is a section of proto.md.
import dgram from "node:dgram";
import readline from "node:readline";
import * as codec from "./codec.mjs";

/** Is told what happens, and answers with datagrams. Times are in milliseconds. */
class Client {
  constructor(socket, nick) {
    this.socket = socket;
    this.nick = nick;
    this.session = 0n; // the id of the session; 0 before it begins
  }

  /** Sends a datagram with these frames. */
  send(frames = Buffer.alloc(0)) {
    const header = { ...codec.EMPTY, session: this.session };
    // STEP 4 (§I.3, §I.6): in a session, fill in sequence, acknowledgment, ackBitmap, and the flag
    // codec.ACK.
    // STEP 5 (§I.7): and window.
    this.socket.send(codec.encode(header, frames));
  }

  /** The program has started. */
  onStart(now) {
    // STEP 2 (§I.5): send Join in place of this datagram without frames.
    this.send();
  }

  /** A datagram of the server arrived. Its header is right; `frames` are bytes. */
  onDatagram(header, frames, now) {
    // STEP 3 (§I.5): before the session, answer Challenge, and show Refused.
    // STEP 4 (§I.5, §I.6): Welcome begins the session. Acknowledge each datagram of it.
    // STEP 5 (§I.7): show the messages in Ordered and Unordered, in order, each once.
    // STEP 6 (§I.7): join the messages that arrive in Part.
    // STEP 7 (§I.3, §I.9): drop what is not whole; Closing.
    // STEP 9 (§I.8): note which of your datagrams the header acknowledges.
    // STEP 10 (§I.9): Reset.
  }

  /** The user typed a line. */
  onLine(line) {
    // STEP 8 (§I.8): say it.
  }

  /** The user typed `exit`, or the input ended. */
  onEnd() {
    // STEP 10 (§I.10): leave.
  }

  /** Called every 20 ms: for all that is due at a time. */
  onTick(now) {
    // STEP 2 (§I.5): in place of this end, send Join again, and give up in time.
    show("* step 2 is yours: see README.md");
    process.exit(3);
    // STEP 7 (§I.9): Heartbeat; and notice that the server is gone.
    // STEP 8 (§I.8): send the next message.
    // STEP 9 (§I.8): send it again.
  }
}

/** Prints a line. */
function show(text) {
  // STEP 6 (§I.7): clean the text first.
  process.stdout.write(`${text}\n`);
}

const [address = "", nick] = process.argv.slice(2);
const [, host, port] = address.match(/^\[?(.*?)\]?:(\d+)$/) ?? [];
if (nick === undefined || port === undefined) {
  console.error("usage: node client.mjs HOST:PORT NICK");
  process.exit(2);
}
const socket = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
// An error of the socket proves nothing (§I.3).
socket.on("error", () => {});
// Connected, so that the kernel drops datagrams of other senders.
socket.connect(Number(port), host, () => {
  const client = new Client(socket, nick);
  socket.on("message", (data) => {
    const datagram = codec.decode(data);
    if (datagram !== null && (datagram.header.flags & codec.FROM_SERVER) !== 0) {
      client.onDatagram(datagram.header, datagram.frames, performance.now());
    }
  });
  const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on("line", (line) => (line === "exit" ? client.onEnd() : client.onLine(line)));
  lines.on("close", () => client.onEnd());
  client.onStart(performance.now());
  setInterval(() => client.onTick(performance.now()), 20);
});
