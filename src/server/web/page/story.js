// What the ladder shows, in words: only what the data say.

import { $, make, name } from "./dom.js";
import { carrier, kind } from "./board.js";
import { median } from "./fates.js";
import { ms, nodes, number, t } from "./words.js";

const MOST = 4;
/// A line that waits this much longer than usual is worth a word.
const NOTABLE = 100;

const called = (reader) => make("b", { class: `m-${kind(reader)}` }, name(reader.name));

/// The sentences about one reader, each with its weight.
function about(reader, marks, bunches, end) {
  const came = marks.filter((it) => it.came !== null);
  const lost = marks.filter((it) => it.lost).length;
  const again = came.filter((it) => it.again);
  const waits = marks.filter((it) => it.waits);
  const taken = marks.filter((it) => it.taken).length;
  const typical = median(came.map((it) => it.came - it.at));
  const sentences = [];
  const tell = (weight, key, parameters) =>
    sentences.push({ weight, key, parameters: { name: called(reader), ...parameters } });

  const oldest = waits[0] && end - waits[0].at;
  if (waits.length > 1 && typical !== null && oldest > typical + NOTABLE) {
    tell(5, "story.waits", { n: waits.length, ms: ms(oldest) });
  }
  const worst = [...bunches].sort((a, b) => b.length - a.length)[0];
  if (worst) {
    const wait = ms(worst[0].came - worst[0].at);
    const key = worst[0].again ? "story.bunch.again" : "story.bunch";
    tell(4, key, { n: worst.length - 1, ms: wait });
  }
  if (lost) tell(3, "story.lost", { n: lost, of: marks.length });
  if (again.length && !worst) {
    const slowest = Math.max(...again.map((it) => it.came - it.at));
    tell(2, "story.again", { n: again.length, ms: ms(slowest), median: ms(typical) });
  }
  if (taken && came.length === 0) tell(1, "story.taken", { n: taken, over: carrier(reader) });
  return { sentences, came, isCalm: sentences.length === 0 && came.length > 0 };
}

/// Tells about the readers that have a strip.
export function tell(ladder, fates) {
  const end = ladder.end();
  const all = [];
  const calm = [];
  let slowest = 0;
  for (const reader of ladder.readers()) {
    const marks = fates.of(reader.peer, end - ladder.span, end);
    const found = about(reader, marks, fates.bunches(reader.peer, marks), end);
    all.push(...found.sentences);
    if (!found.isCalm) continue;
    calm.push(called(reader));
    slowest = Math.max(slowest, ...found.came.map((it) => it.came - it.at));
  }
  all.sort((a, b) => b.weight - a.weight);
  const paragraphs = all.slice(0, MOST).map(({ key, parameters }) => nodes(key, parameters));
  if (calm.length) {
    const names = make("span", {});
    calm.forEach((it, at) => names.append(...(at ? [t("list.comma"), it] : [it])));
    paragraphs.push(nodes("story.calm", { names, ms: ms(slowest) }));
  }
  if (fates.blurred > end - ladder.span) paragraphs.push([t("story.blurred")]);
  if (paragraphs.length === 0) {
    paragraphs.push([t("story.silence", { s: number(ladder.span / 1000, 0) })]);
  }
  const story = $("story");
  const made = paragraphs.map((it) => make("p", {}, ...it));
  const text = made.map((it) => it.textContent).join("\n");
  if (story.dataset.text === text) return;
  story.dataset.text = text;
  story.replaceChildren(...made);
}
