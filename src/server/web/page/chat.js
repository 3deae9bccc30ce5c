// The chat of the page: a session over a WebSocket, and the form for it.

import { $, clean, say } from "./dom.js";
import { keep, recall } from "./kept.js";
import { Session } from "./session.js";
import { address } from "./socket.js";
import { Transcript } from "./transcript.js";
import { addresses, parse, pieces } from "./typed.js";
import { ms, onChange, t } from "./words.js";

const KEPT = "chatagram-chat";
const NAME = "chatagram-name";
const TICK = 250;
const SAVE = 1000;
const ANSWER_TIMEOUT = 5000;
const KEPT_ITEMS = 200;

const now = () => performance.now();

function nonce() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  // Zero is no nonce.
  return (BigInt(high) << 32n) | BigInt(low) || 1n;
}

export class Chat {
  constructor({ unread }) {
    Object.assign(this, { session: null, socket: null, timer: null, asked: new Map(), ids: 0 });
    const saved = recall(true, KEPT);
    this.ids = saved?.ids ?? 0;
    this.transcript = new Transcript({ saved: saved?.items, unread,
      again: (item) => this.sayAgain(item) });
    $("nickname").value = saved?.session.nickname ?? recall(false, NAME) ?? "";
    this.listen();
    onChange(() => this.words());
    if (saved?.session.token.length) this.begin(saved.session.nickname, saved.session);
  }

  listen() {
    $("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = clean($("nickname").value).trim();
      if (name) this.begin(name);
      $("text").focus();
    });
    $("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = $("text");
      if (this.typed(input.value)) input.value = "";
      input.focus();
    });
    $("leave").addEventListener("click", () => this.leave());
    setInterval(() => this.tick(), TICK);
    setInterval(() => this.save(), SAVE);
    addEventListener("pagehide", () => this.save());
    const hurry = () => {
      if (this.timer !== null && document.visibilityState === "visible") this.connect();
    };
    addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
  }

  /// Joins under a name, or goes on with a saved session.
  begin(nickname, saved) {
    this.session = new Session({ nickname, saved: saved ?? this.known(nickname), nonce,
      random: Math.random, emit: (event) => this.event(event) });
    this.isChanged = true;
    $("refusal").hidden = true;
    this.connect();
  }

  /// What a person who joins again has seen, and under the same name the lines that wait.
  known(nickname) {
    const { past } = this;
    if (!past || past.nickname === nickname) return past;
    return { epoch: past.epoch, reached: past.reached, shown: past.shown };
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    this.status(this.session.token.length ? "chat.rejoining" : "chat.joining");
    const socket = this.socket = new WebSocket(address("/chat"));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.during(socket, () => this.session.connected(now()) ?? true);
    socket.onmessage = ({ data }) =>
      this.during(socket, () => this.session.received(new Uint8Array(data), now()));
    socket.onclose = () => this.closed(socket);
    this.form();
  }

  /// Does something with the connection. It is closed if that is false.
  during(socket, act) {
    if (socket !== this.socket) return;
    const goesOn = act();
    this.flush();
    if (!goesOn) this.closed(socket);
  }

  flush() {
    const { socket, session } = this;
    if (socket?.readyState !== WebSocket.OPEN) return;
    session.outgoing.splice(0).forEach((it) => socket.send(it));
    this.isChanged = true;
  }

  closed(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.close();
    const pause = this.session.disconnected(now());
    if (this.session.ended) return this.over();
    this.timer = setTimeout(() => this.connect(), pause);
    this.status("chat.rejoining");
    return undefined;
  }

  /// The session has ended. Lines that wait leave if the same name joins again.
  over() {
    this.past = this.session.save();
    this.session = null;
    this.status(null);
    keep(true, KEPT, null);
    this.form();
  }

  tick() {
    const { socket, session } = this;
    if (!session || socket?.readyState !== WebSocket.OPEN) return;
    this.during(socket, () => session.tick(now()));
  }

  leave() {
    if (!this.session) return;
    const isHere = this.session.leave(now());
    this.flush();
    this.note(t("chat.left"));
    if (isHere) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.socket?.close();
    this.socket = null;
    this.over();
  }

  save() {
    if (!this.session || !this.isChanged) return;
    this.isChanged = false;
    const items = this.transcript.items.slice(-KEPT_ITEMS);
    keep(true, KEPT, { session: this.session.save(), items, ids: this.ids });
  }

  note(text) {
    this.transcript.add({ is: "note", at: Date.now(), text });
    this.isChanged = true;
  }

  status(key) {
    this.key = key;
    say($("state"), key ? t(key) : "");
  }

  words() {
    this.transcript.renderAll();
    if (this.key) say($("state"), t(this.key));
    $("text").placeholder = t("chat.placeholder");
    $("text").setAttribute("aria-label", t("chat.placeholder"));
    this.form();
  }

  form() {
    const { session } = this;
    $("enter").hidden = session !== null;
    $("say").hidden = $("leave").hidden = session === null;
    const isHere = session?.state === "here";
    say($("me"), isHere ? t("chat.me", { name: session.nickname }) : "");
  }

  /// What the person typed. True if the field is to be emptied.
  typed(line) {
    if (!this.session) return false;
    const command = parse(line);
    switch (command.is) {
      case "say": this.say(null, command.text); break;
      case "whisper": this.say(command.to, command.text); break;
      case "who": this.ask("Who"); break;
      case "ping": this.ask("Ping", command.to); break;
      case "nick": this.rename(command.name); break;
      case "clear": this.transcript.clear(); break;
      case "help": this.note(t("chat.help")); break;
      case "quit": this.leave(); break;
      case "wrong":
        this.note(this.wrong(command));
        return false;
      default:
    }
    return true;
  }

  wrong({ why, word }) {
    if (why === "whisper") return t("wrong.whisper");
    if (why === "me") return t("wrong.me");
    if (why === "ping") return t("wrong.ping");
    if (why === "nick") return t("wrong.nick");
    return t("wrong.command", { word });
  }

  say(to, text) {
    for (const piece of pieces(text)) {
      this.ids += 1;
      const id = this.ids;
      const is = to === null ? "line" : "whisper";
      this.transcript.add({ is, id, at: Date.now(), from: this.session.nickname, to, text: piece,
        own: true, state: "waiting" });
      this.session.say(id, to, piece, now(), Date.now());
    }
    this.flush();
  }

  sayAgain(item) {
    if (!this.session) return;
    item.state = "repeated";
    this.transcript.render(item);
    this.say(item.to, item.text);
  }

  rename(name) {
    if (!this.session.rename(name, now())) this.note(t("chat.not.here"));
    this.flush();
  }

  ask(is, to) {
    const number = this.session.ask(is, to, now());
    this.flush();
    if (number === null) return this.note(t("chat.not.here"));
    const late = setTimeout(() => {
      this.asked.delete(number);
      this.note(t("chat.no.answer"));
    }, ANSWER_TIMEOUT);
    this.asked.set(number, { at: now(), late, found: [] });
    return undefined;
  }

  event(event) {
    this.isChanged = true;
    const { is } = event;
    if (is === "line") this.line(event);
    else if (is === "whisper") this.line({ ...event, own: false });
    else if (is === "sent") this.transcript.settle(event.id, "sent");
    else if (is === "settled") this.transcript.settle(event.id, event.as);
    else if (is === "About" || is === "Ponged") this.answer(event);
    else this.changed(event);
  }

  line({ is, at, from, text, own, past }) {
    const mention = !own && is === "line" && addresses(text, this.session.nickname);
    this.transcript.add({ is, at: Number(at / 1000n), from, text, own, past, mention });
  }

  changed(event) {
    const names = event.names?.map(clean).join(t("list.comma"));
    switch (event.is) {
      case "welcome":
        this.refusal = null;
        this.status(null);
        this.form();
        keep(false, NAME, event.nickname);
        this.note(event.again ? t("chat.back") : t("chat.welcome", {
          name: clean(event.nickname), room: clean(event.room), n: event.peers }));
        break;
      case "gap": this.note(event.other ? t("chat.gap.other") : t("chat.gap")); break;
      case "lost": this.note(t("chat.lost")); break;
      case "quiet": this.status("chat.quiet"); break;
      case "heard": this.status(null); break;
      case "invalid": this.note(t("chat.invalid")); break;
      case "joined": this.note(t("chat.joined", { names, n: event.names.length })); break;
      case "left": this.note(this.left(event.reason, { names, n: event.names.length })); break;
      case "notice": this.note(clean(event.text)); break;
      case "topic":
        this.note(event.text ? t("chat.topic", { text: clean(event.text) }) : t("chat.topic.none"));
        break;
      case "renamed":
        if (event.own) {
          keep(false, NAME, event.to);
          this.form();
        }
        this.note(t("chat.renamed", { from: clean(event.from), to: clean(event.to) }));
        break;
      case "refused": this.refused(event); break;
      case "closing": this.note(this.closing(event)); break;
      default:
    }
  }

  left(reason, parameters) {
    if (reason === "Timeout") return t("chat.left.timeout", parameters);
    if (reason === "Flood") return t("chat.left.flood", parameters);
    if (reason === "Kicked") return t("chat.left.kicked", parameters);
    return t("chat.left.quit", parameters);
  }

  closing({ reason, detail }) {
    const words = { Shutdown: t("chat.closing.shutdown"), Restart: t("chat.closing.restart"),
      Flood: t("chat.closing.flood"), Timeout: t("chat.closing.timeout"),
      Quit: t("chat.closing.quit"), Kicked: t("chat.closing.kicked") };
    // Of a shutdown the server says no more than this.
    const isMore = detail && reason !== "Shutdown" && reason !== "Restart";
    return isMore ? `${words[reason]} (${clean(detail)})` : words[reason];
  }

  refused({ detail, final }) {
    const text = t("chat.refused", { why: clean(detail) });
    if (!final) {
      // A rejoin tries again and again: once is enough.
      if (text !== this.refusal) this.note(text);
      this.refusal = text;
      return undefined;
    }
    say($("refusal"), text);
    $("refusal").hidden = false;
    return undefined;
  }

  answer(event) {
    const asked = this.asked.get(event.number);
    if (!asked) return;
    if (event.is === "About") {
      asked.found.push(event);
      if (event.left > 0) return;
    }
    clearTimeout(asked.late);
    this.asked.delete(event.number);
    if (event.is === "About") this.note(this.who(asked.found));
    else if (event.from) {
      this.note(t("chat.pong", { name: clean(event.from), ms: ms(now() - asked.at) }));
    } else this.note(t("chat.nobody"));
  }

  who(found) {
    const peers = found.map(({ nickname, transport, rtt_us: rtt }) =>
      `${clean(nickname)} (${transport.toUpperCase()}, ${rtt ? ms(rtt / 1000) : "–"})`);
    return t("chat.who", { n: found.length, peers: peers.join(t("list.comma")) });
  }
}
