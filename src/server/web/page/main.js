// The page: connects the board's messages, the parts of the page and the language.

import { $, clean, make, say } from "./dom.js";
import { Board } from "./board.js";
import { Break, takeToken } from "./break.js";
import { Chat } from "./chat.js";
import { Fates } from "./fates.js";
import { Ladder } from "./ladder.js";
import { keepOpen } from "./socket.js";
import { tell } from "./story.js";
import * as words from "./words.js";

const { t } = words;
const STORY = 1000;
const SPANS = [2, 5, 10];
/// Latencies of this many states tell how far the server's clock is ahead.
const CLOCKS = 30;

const token = takeToken();
words.begin();

const clocks = [];
const serverNow = () => performance.now() + Math.max(...clocks, -Infinity);
const heard = (at) => {
  clocks.push(at / 1000 - performance.now());
  if (clocks.length > CLOCKS) clocks.shift();
};

const fates = new Fates();
const ladder = new Ladder(fates, serverNow);
const board = new Board({ isWatched: (peer) => ladder.isWatched(peer),
  watch: (peer) => {
    ladder.toggle(peer);
    board.render();
  } });
let hello = null;
let state = null;
let unread = 0;
let breaker = null;
let chat = null;

function title() {
  const room = hello ? clean(hello.room) : "Chatagram";
  document.title = unread ? `(${unread}) ${room}` : room;
  say($("unread"), unread ? String(unread) : "");
}

/// Room, people, and the emulated network.
function head() {
  if (hello) {
    say($("room"), clean(hello.room));
    const lines = hello.join.map((it) => make("code", {}, clean(it)));
    $("commands").replaceChildren(...lines);
    $("phone").hidden = !hello.page;
    if (hello.page) {
      $("phone").replaceChildren(...words.nodes("join.page", {
        page: make("b", {}, clean(hello.page)) }));
      $("qr").alt = t("join.qr", { page: clean(hello.page) });
    }
  }
  if (!state) return;
  say($("count"), t("people.count", { n: state.peers.length }));
  $("topic").hidden = !state.topic;
  say($("topic"), clean(state.topic ?? ""));
  const everybody = state.impair?.everybody;
  const others = Object.keys(state.impair?.peers ?? {}).length;
  const facts = [];
  // A server that does not tell may emulate one all the same.
  if (state.impair) facts.push(everybody ? both(everybody) : t("network.none"));
  if (others) facts.push(t("network.others", { n: others }));
  if (state.locked) facts.push(t("network.locked"));
  if (hello?.private) facts.push(t("network.private"));
  say($("network"), facts.join(" · "));
}

function both({ up, down }) {
  const [to, from] = [up, down].map((it) => clean(it || t("network.nothing")));
  return to === from ? t("network.both", { what: to })
    : t("network.each", { up: to, down: from });
}

function take(message) {
  if (message.type === "hello") {
    hello = message;
    heard(message.clock_us);
    board.heartbeat = message.heartbeat_ms;
    fates.step = message.tcp_step_ms ?? 0;
    $("chat").hidden = !message.chat;
    document.body.classList.toggle("silent", !message.chat);
    if (message.chat) chat ??= new Chat({ unread: (count) => {
      unread = count;
      title();
    } });
    title();
    head();
  } else if (message.type === "state") {
    state = message;
    heard(message.at_us);
    fates.present(message.peers, serverNow());
    ladder.update(message.peers);
    board.update(message);
    breaker?.update(message);
    head();
  } else if (message.type === "lines") fates.add(message);
  else breaker?.answered(message);
}

const isDown = (down) => {
  say($("down"), down ? t("down") : "");
  $("down").hidden = !down;
  document.body.classList.toggle("stale", down);
};
const send = keepOpen("/board", { message: take, up: () => isDown(false),
  down: () => isDown(true) });
if (token) breaker = new Break({ token, send });

function languages() {
  const names = { en: "English", ru: "Русский", zh: "中文" };
  $("language").replaceChildren(...Object.keys(words.LANGUAGES).map((it) =>
    make("option", { value: it, lang: it }, names[it])));
  $("language").value = words.current();
  $("language").addEventListener("change", () => words.keep($("language").value));
}

function spans() {
  $("span").replaceChildren(...SPANS.map((it) =>
    make("option", { value: it }, t("unit.s", { value: it }))));
  $("span").value = ladder.span / 1000;
  say($("ladder-title"), t("ladder.title", { n: ladder.span / 1000 }));
}

$("span").addEventListener("change", () => {
  ladder.span = Number($("span").value) * 1000;
  ladder.resize();
  spans();
});
$("freeze").addEventListener("click", () => {
  const isFrozen = ladder.frozen === null;
  ladder.freeze(isFrozen);
  $("freeze").setAttribute("aria-pressed", isFrozen);
});

/// On a narrow screen the page shows the board or the chat.
function tab(chosen) {
  document.body.dataset.tab = chosen;
  for (const button of document.querySelectorAll("#tabs button")) {
    button.setAttribute("aria-pressed", button.dataset.tab === chosen);
  }
  ladder.resize();
  if (chosen === "chat") chat?.transcript.toEnd();
}
for (const button of document.querySelectorAll("#tabs button")) {
  button.addEventListener("click", () => tab(button.dataset.tab));
}
tab("board");

/// A phone's keyboard covers the page without telling the layout.
function fit() {
  const height = visualViewport?.height ?? innerHeight;
  document.documentElement.style.setProperty("--viewport", `${height}px`);
  if (document.activeElement === $("text")) chat?.transcript.toEnd();
}
visualViewport?.addEventListener("resize", fit);
fit();

$("qr").addEventListener("load", () => { $("qr").hidden = false; });
$("qr").addEventListener("error", () => { $("qr").hidden = true; });
if ($("qr").complete && $("qr").naturalWidth) $("qr").hidden = false;

languages();
words.onChange(() => {
  spans();
  head();
  board.columns = 0;
  board.render();
  breaker?.make();
  ladder.arrange();
  $("legend").replaceChildren(...["came", "again", "lost", "taken", "fan"].map((it) =>
    make("span", { class: `key ${it}` }, legend(it))));
});

function legend(mark) {
  return { came: t("legend.came"), again: t("legend.again"), lost: t("legend.lost"),
    taken: t("legend.taken"), fan: t("legend.fan") }[mark];
}

setInterval(() => {
  if (document.visibilityState === "visible") tell(ladder, fates);
}, STORY);
