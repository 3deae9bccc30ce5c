// Everybody in the room: transport, round trip, losses, what waits, and the last minute.

import { $, make, name, clean, say, svg } from "./dom.js";
import { Minute, ceiling } from "./minute.js";
import { ms, number, percent, t } from "./words.js";

const WIDTH = 120;
const HEIGHT = 22;
const MINUTE = 60_000;
/// A table narrower than this, in widths of the page's letter, is a list of cards (page.css). In a
/// crowd the letters are smaller.
const COLUMN = 34;
const CROWDED = 30;
const FEW = 9;
/// A share of losses that is pointed out.
const NOTABLE = 0.2;
/// As many lines on their way to one reader are pointed out.
const MANY = 10;
/// A peer that was silent for this many heartbeats is pointed out.
const HEARTBEATS = 2.5;

/// The colour and shape of a peer's transport and delivery: those of the lab's report.
export function kind({ transport, delivery }) {
  if (transport === "tcp" || transport === "web") return transport;
  return delivery;
}

/// The protocol that carries a peer's lines.
export const carrier = ({ transport }) =>
  ({ udp: "UDP", tcp: "TCP", web: "TCP", quic: "QUIC" }[transport] ?? clean(String(transport)));

/// In words.
export function mode({ transport, delivery, congestion }) {
  const over = carrier({ transport });
  if (transport === "web") return t("mode.web");
  if (transport === "tcp") return congestion ? `TCP ${clean(congestion)}` : "TCP";
  const how = {
    "unreliable": () => t("mode.unreliable"),
    "reliable-unordered": () => t("mode.unordered"),
    "reliable-ordered": () => t("mode.ordered"),
  }[delivery];
  return `${over} ${how ? how() : clean(String(delivery))}`;
}

export class Board {
  /// `isWatched` tells whether the ladder has a strip for a peer, `watch` changes that.
  constructor({ isWatched, watch }) {
    Object.assign(this, { isWatched, watch });
    this.rows = new Map();
    this.peers = new Map();
    this.heartbeat = 2000;
    /// Time of the last figures.
    this.at = null;
    this.root = $("tables");
    this.columns = 0;
    new ResizeObserver(() => this.arrange()).observe(this.root);
  }

  update({ at_us: at, peers, drops }) {
    const seen = new Set();
    for (const peer of peers) {
      seen.add(peer.peer);
      let known = this.peers.get(peer.peer);
      // A number that has another name is another peer.
      if (known?.name !== peer.name) known = { minute: new Minute() };
      known = { ...peer, minute: known.minute };
      known.minute.add(at / 1000, peer, this.at);
      this.peers.set(peer.peer, known);
    }
    for (const gone of [...this.peers.keys()].filter((it) => !seen.has(it))) {
      this.peers.delete(gone);
      this.rows.get(gone)?.row.remove();
      this.rows.delete(gone);
    }
    this.at = at / 1000;
    this.drops = drops;
    this.render();
  }

  sorted() {
    return [...this.peers.values()].sort((a, b) => a.peer - b.peer);
  }

  /// Spreads the rows over as many tables as stand side by side.
  arrange() {
    const peers = this.sorted();
    const isCrowd = peers.length > 2 * FEW;
    this.root.classList.toggle("crowd", isCrowd);
    const letter = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const least = (isCrowd ? CROWDED : COLUMN) * letter;
    const fitting = Math.max(1, Math.floor(this.root.clientWidth / least));
    this.root.classList.toggle("narrow", this.root.clientWidth < least);
    const columns = Math.max(1, Math.min(fitting, Math.ceil(peers.length / FEW)));
    if (columns !== this.columns) {
      this.columns = columns;
      this.head();
    }
    const length = Math.ceil(peers.length / columns);
    const bodies = this.root.querySelectorAll("tbody");
    peers.forEach((peer, at) => {
      const body = bodies[Math.floor(at / length)];
      const place = body.children[at % length] ?? null;
      const { row } = this.rows.get(peer.peer) ?? this.make(peer.peer);
      if (place !== row) body.insertBefore(row, place);
    });
  }

  /// Makes the tables anew, with their titles.
  head() {
    const titles = ["name", "over", "trip", "up", "down", "waits", "minute"];
    const words = [t("people.name"), t("people.over"), t("people.trip"), t("people.up"),
      t("people.down"), t("people.waits"), t("people.minute")];
    this.words = words;
    const rows = [...this.root.querySelectorAll("tbody tr")];
    this.root.replaceChildren(...Array.from({ length: this.columns }, () => {
      const cells = words.map((it, at) =>
        make("th", { scope: "col", role: "columnheader", class: titles[at] }, it));
      return make("table", { role: "table", "aria-labelledby": "people-title" },
        make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...cells)),
        make("tbody", { role: "rowgroup" }));
    }));
    this.root.querySelector("tbody").append(...rows);
    for (const { cells } of this.rows.values()) this.label(cells);
  }

  /// Titles of the cells, for the list of cards.
  label(cells) {
    ["trip", "up", "down", "waits"].forEach((it, at) => {
      cells[it].dataset.label = this.words[at + 2];
    });
  }

  make(peer) {
    const button = make("button", { type: "button", "aria-pressed": "false" });
    button.addEventListener("click", () => this.watch(peer));
    const cell = (it, ...children) => make("td", { class: it, role: "cell" }, ...children);
    const spark = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      preserveAspectRatio: "none" });
    const trace = svg("path", { class: "trace" });
    const losses = svg("path", { class: "losses" });
    spark.append(trace, losses);
    const silent = make("span", { class: "silent" });
    const cells = { name: make("th", { class: "name", scope: "row", role: "rowheader" }, button,
      silent), over: cell("over"), trip: cell("trip"), up: cell("up"), down: cell("down"),
      waits: cell("waits"), minute: cell("minute", spark) };
    const row = make("tr", { role: "row" }, ...Object.values(cells));
    const made = { row, cells, button, silent, spark, trace, losses };
    this.rows.set(peer, made);
    this.label(cells);
    return made;
  }

  render() {
    this.arrange();
    const trips = this.sorted().flatMap(({ minute }) => minute.samples.map((it) => it.rtt ?? 0));
    const top = ceiling(Math.max(...trips, 1));
    for (const peer of this.peers.values()) this.row(peer, top);
    const { peers } = this;
    say($("scale"), peers.size === 0 ? t("people.nobody")
      : t("people.scale", { top: ms(top) }));
    this.dropped();
  }

  row(peer, top) {
    const { row, cells, button, silent, spark, trace, losses } = this.rows.get(peer.peer);
    row.className = `m-${kind(peer)}`;
    if (button.textContent !== clean(peer.name)) button.replaceChildren(name(peer.name));
    button.title = t("people.watch");
    button.setAttribute("aria-pressed", this.isWatched(peer.peer));
    const quiet = peer.silent_ms > HEARTBEATS * this.heartbeat;
    say(silent, quiet ? t("people.silent", { n: Math.round(peer.silent_ms / 1000) }) : "");
    say(cells.over, mode(peer));
    say(cells.trip, peer.rtt_ms === null ? "–" : ms(peer.rtt_ms));
    this.lost(cells.up, peer.minute.lostUp(), peer.minute, t("people.up.why"));
    this.lost(cells.down, peer.minute.lostDown(), peer.minute, peer.transport === "tcp" ||
      peer.transport === "web" ? t("people.down.tcp") : t("people.down.why"));
    say(cells.waits, peer.queued === null || peer.queued === undefined ? "–"
      : number(peer.queued, 0));
    cells.waits.classList.toggle("bad", peer.queued >= MANY);
    const points = peer.minute.points();
    trace.setAttribute("d", path(points, top));
    losses.setAttribute("d", ticks(points));
    const known = points.map((it) => it.rtt).filter((it) => it !== null && it !== undefined);
    spark.setAttribute("aria-label", known.length === 0 ? t("people.unknown")
      : t("people.range", { low: ms(Math.min(...known)), high: ms(Math.max(...known)) }));
  }

  lost(cell, lost, minute, why) {
    say(cell, lost ? percent(lost.count / lost.whole) : "–");
    cell.classList.toggle("bad", lost !== null && lost.count / lost.whole >= NOTABLE);
    const seconds = Math.round(minute.span() / 1000);
    cell.title = lost ? t("people.counts", { why, ...lost, seconds }) : t("people.unknown");
    cell.dataset.count = lost?.count ?? "";
    cell.dataset.whole = lost?.whole ?? "";
  }

  /// What the server dropped, by reason.
  dropped() {
    const known = {
      alien: t("drops.alien"), version: t("drops.version"), other_version: t("drops.version"),
      corrupt: t("drops.corrupt"), malformed: t("drops.malformed"),
      unknown_session: t("drops.session"), receive_buffer: t("drops.buffer"),
      unread: t("drops.buffer"), refused: t("drops.refused"), left_out: t("drops.left"),
    };
    const drops = Object.entries(this.drops ?? {}).filter(([, count]) => count > 0);
    const words = drops.map(([reason, count]) =>
      `${number(count, 0)} ${known[reason] ?? clean(reason)}`);
    say($("drops"), words.length ? words.join(" · ") : t("drops.none"));
  }
}

const across = (age) => (WIDTH * (1 - Math.min(age, MINUTE) / MINUTE)).toFixed(1);

/// The round trips. An unknown one is a gap.
function path(points, top) {
  let pen = "M";
  return points.map(({ age, rtt }) => {
    if (rtt === null || rtt === undefined) {
      pen = "M";
      return "";
    }
    const y = (HEIGHT - 5) * (1 - Math.min(rtt, top) / top) + 1;
    const step = `${pen}${across(age)} ${y.toFixed(1)}`;
    // A lone point is seen too.
    const dot = pen === "M" ? "h.1" : "";
    pen = "L";
    return step + dot;
  }).join("");
}

/// Seconds with losses, as ticks on the lower edge.
function ticks(points) {
  const lossy = points.filter((it) => it.lost > 0);
  return lossy.map(({ age }) => `M${across(age)} ${HEIGHT}v-4`).join("");
}
