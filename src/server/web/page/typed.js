// What people type: commands as in the terminal, and texts as the protocol carries them.

const MAX_TEXT = 1000;
const FAREWELLS = ["exit", "quit", "/quit", "выход"];
const utf8 = new TextEncoder();

/// A control character, or one that changes the direction of text (proto.md, section 4.2).
const STEERS = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/// The text without characters that steer.
export const clean = (text) => text.replace(STEERS, (it) => (it === "\t" ? " " : "\uFFFD"));

/// A typed name without the marks around it.
const bare = (typed) => typed.replace(/^@/, "").replace(/[,:;\u060C\u3001]+$/u, "");

function whisper(rest) {
  const [, to, text] = /^(\S+)\s+(\S[^]*)$/.exec(rest) ?? [];
  return to && bare(to) ? { is: "whisper", to: bare(to), text } : { is: "wrong", why: "whisper" };
}

/// A line of input as a command. What looks like a command or a whisper is never said aloud; only
/// `//` escapes.
export function parse(line) {
  // White space and invisible characters before a command do not make it a text.
  const seen = line.replace(/^[\s\p{Cc}\p{Cf}]+/u, "").trimEnd();
  if (seen === "") return { is: "nothing" };
  if (FAREWELLS.includes(seen.toLowerCase())) return { is: "quit" };
  if (seen[0] === "@" || seen[0] === "\uFF20") return whisper(seen.slice(1));
  if (seen[0] !== "/" && seen[0] !== "\uFF0F") return { is: "say", text: line };
  if (seen[1] === "/") return { is: "say", text: seen.slice(seen[2] === "@" ? 2 : 1) };
  const [, word, rest] = /^(\S*)\s*([^]*)$/.exec(seen.slice(1));
  switch (word.toLowerCase()) {
    case "msg": return whisper(rest);
    case "me": return rest ? { is: "say", text: `*${rest}*` } : { is: "wrong", why: "me" };
    case "who": return { is: "who" };
    case "ping": return rest ? { is: "ping", to: bare(rest.trim()) } : { is: "wrong", why: "ping" };
    case "nick": return rest ? { is: "nick", name: rest.trim() } : { is: "wrong", why: "nick" };
    case "clear": return { is: "clear" };
    case "help": return { is: "help" };
    default: return { is: "wrong", why: "command", word: clean(word).slice(0, 32) };
  }
}

/// A text in pieces that fit, without characters that steer. No grapheme cluster is cut.
export function pieces(text) {
  const whole = clean(text).trimEnd();
  const clusters = typeof Intl.Segmenter === "function"
    ? Array.from(new Intl.Segmenter().segment(whole), (it) => it.segment) : Array.from(whole);
  const made = [""];
  let length = 0;
  // A cluster that is longer than a text is cut between its characters.
  for (const it of clusters.flatMap((it) => (bytes(it) > MAX_TEXT ? Array.from(it) : [it]))) {
    if (length + bytes(it) > MAX_TEXT) {
      made.push("");
      length = 0;
    }
    made[made.length - 1] += it;
    length += bytes(it);
  }
  return made.filter((it) => it.trim() !== "");
}

const bytes = (text) => utf8.encode(text).length;

/// Whether a text addresses this name: the name as a word of it.
export function addresses(text, name) {
  if (!name) return false;
  const literal = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}_])${literal}(?![\\p{L}\\p{N}_])`, "iu").test(text);
}
