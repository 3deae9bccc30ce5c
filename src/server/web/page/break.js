// The teacher's box: dials for the emulated network of the server's own UDP datagrams.

import { $, make, clean, say } from "./dom.js";
import { DIALS, PRESETS, RATES, parse, preset, rateText, write } from "./dials.js";
import { keep, recall } from "./kept.js";
import { number, t } from "./words.js";

/// A dial that moves is sent when it has rested for so long: a script has a step, not a sweep.
const REST = 200;
const EVERYBODY = "";

export class Break {
  /// `send` sends a message and is false without a connection.
  constructor({ token, send }) {
    Object.assign(this, { token, send });
    this.impair = { everybody: null, peers: {} };
    this.peers = [];
    this.numbers = 0;
    this.timer = null;
    this.root = $("dials");
    this.root.addEventListener("submit", (event) => event.preventDefault());
    this.order = $("order-text");
    $("order").addEventListener("submit", (event) => {
      event.preventDefault();
      const order = this.order.value.trim();
      if (order) this.ask({ type: "moderate", order });
    });
    $("break").hidden = false;
    this.make();
  }

  make() {
    const who = this.peer?.value ?? EVERYBODY;
    const way = this.way?.() ?? "both";
    this.peer = make("select", { id: "whom" });
    this.peer.addEventListener("change", () => this.show());
    const ways = [["both", t("break.both")], ["up", t("break.up")], ["down", t("break.down")]];
    const radios = ways.map(([value, label]) => {
      const radio = make("input", { type: "radio", name: "way", value });
      radio.checked = value === way;
      radio.addEventListener("change", () => this.show());
      return make("label", {}, radio, " ", label);
    });
    this.way = () => this.root.elements.way?.value ?? way;
    const titles = [t("break.loss"), t("break.burst"), t("break.delay"), t("break.jitter"),
      t("break.duplicate"), t("break.rate")];
    this.dials = DIALS.map((dial, at) => {
      const output = make("output", { for: `dial-${dial.name}` });
      const input = make("input", { type: "range", id: `dial-${dial.name}`, min: 0,
        max: dial.most, step: dial.step, value: 0 });
      input.addEventListener("input", () => this.moved());
      const label = make("label", { for: input.id }, titles[at], " ", output);
      return { dial, input, output, item: make("div", { class: "dial" }, label, input) };
    });
    const button = (label, act, attributes = {}) => {
      const made = make("button", { type: "button", ...attributes }, label);
      made.addEventListener("click", act);
      return made;
    };
    this.result = make("p", { class: "note", role: "status", id: "broken" });
    const words = { "wifi": t("break.wifi"), "cellular": t("break.cellular"),
      "satellite": t("break.satellite"), "congested": t("break.congested"),
      "lossy-lab": t("break.lab") };
    this.root.replaceChildren(
      make("div", { class: "whom" }, make("label", { for: "whom" }, t("break.whom")), this.peer,
        make("fieldset", {}, make("legend", {}, t("break.way")), ...radios)),
      make("div", { class: "all" }, ...this.dials.map((it) => it.item)),
      make("div", { class: "buttons" },
        button(t("break.off"), () => this.set("", ""), { id: "off", class: "strong" }),
        ...PRESETS.map(([id, text]) => button(words[id], () => {
          const { up, down } = preset(text);
          this.set(up, down);
        }, { title: text })),
        button(t("break.save"), () => this.ask({ type: "script" }), { id: "script" })),
      this.result);
    this.people();
    this.peer.value = who;
    this.show();
  }

  update({ impair, peers }) {
    const names = (list) => list.map((it) => `${it.peer} ${it.name}`).join("\n");
    const isSame = names(peers) === names(this.peers);
    this.peers = peers;
    const next = { everybody: impair?.everybody ?? null, peers: impair?.peers ?? {} };
    const isChanged = JSON.stringify(next) !== JSON.stringify(this.impair);
    this.impair = next;
    if (!isSame) this.people();
    if (isChanged && this.timer === null) this.show();
  }

  people() {
    const chosen = this.peer.value;
    const option = (value, label) => make("option", { value }, label);
    // The emulated network carries QUIC too, and no TCP.
    const reached = this.peers.filter((it) => it.transport === "udp" || it.transport === "quic");
    this.peer.replaceChildren(option(EVERYBODY, t("break.everybody")),
      ...reached.map((it) => option(it.peer, clean(it.name))));
    this.peer.value = chosen;
    if (this.peer.selectedIndex < 0) this.peer.selectedIndex = 0;
  }

  whom() {
    return this.peer.value === EVERYBODY ? null : Number(this.peer.value);
  }

  /// The network of the chosen peers, as the server has it.
  present() {
    const whom = this.whom();
    const of = whom === null ? this.impair.everybody
      : this.impair.peers[whom] ?? this.impair.everybody;
    return { up: of?.up ?? "", down: of?.down ?? "" };
  }

  /// Moves the dials to what the server has.
  show() {
    const { up, down } = this.present();
    const values = parse(this.way() === "up" ? up : down);
    this.other = values.other;
    for (const { dial, input } of this.dials) {
      input.value = dial.name === "rate" ? nearest(values.rate) : values[dial.name];
    }
    this.label();
  }

  values() {
    const values = { other: this.other };
    for (const { dial, input } of this.dials) {
      values[dial.name] = dial.name === "rate" ? RATES[input.value] : Number(input.value);
    }
    return values;
  }

  label() {
    const values = this.values();
    for (const { dial, input, output } of this.dials) {
      const value = values[dial.name];
      let text = dial.unit ? `${number(value, 1)} ${dial.unit}` : number(value, 1);
      if (dial.name === "rate") text = value ? rateText(value) : t("break.unlimited");
      if (dial.name === "burst" && value === 0) text = t("break.random");
      say(output, text);
      input.setAttribute("aria-valuetext", text);
    }
  }

  moved() {
    this.label();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = null;
      const text = write(this.values());
      const { up, down } = this.present();
      this.set(this.way() === "down" ? up : text, this.way() === "up" ? down : text);
    }, REST);
  }

  set(up, down) {
    clearTimeout(this.timer);
    this.timer = null;
    this.ask({ type: "impair", peer: this.whom(), up, down });
    const whom = this.whom();
    if (whom === null) this.impair = { ...this.impair, everybody: { up, down } };
    else this.impair = { ...this.impair, peers: { ...this.impair.peers, [whom]: { up, down } } };
    this.show();
  }

  ask(question) {
    this.numbers += 1;
    const isSent = this.send({ ...question, id: this.numbers, token: this.token });
    this.result.classList.toggle("bad", !isSent);
    say(this.result, isSent ? "" : t("break.unsent"));
  }

  answered(message) {
    this.result.classList.toggle("bad", message.type === "error");
    if (message.type === "error") say(this.result, clean(String(message.text)));
    else if (message.type === "ok") say(this.result, t("break.done"));
    else if (message.type === "done") {
      this.order.value = "";
      say(this.result, clean(String(message.text)));
    }
    else if (message.type === "script") this.save(message.text);
  }

  /// Saves the recorded script, as --impair-script reads it.
  save(text) {
    const link = make("a", { download: "impair.script",
      href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(this.result, t("break.saved"));
  }
}

/// The position of the dial that is closest to a rate.
function nearest(rate) {
  if (!rate) return 0;
  const apart = RATES.map((it) => (it ? Math.abs(Math.log(it / rate)) : Infinity));
  return apart.indexOf(Math.min(...apart));
}

/// Takes the teacher's token out of the address bar, and keeps it for this tab.
export function takeToken() {
  const KEPT = "chatagram-token";
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    keep(true, KEPT, given);
  }
  return given ?? recall(true, KEPT);
}
