// The lines of the last seconds, for some readers: each from said (top) to shown (bottom).

import { $, clean, make, name, svg, say, reducedMotion } from "./dom.js";
import { carrier, kind, mode } from "./board.js";
import { FORGOTTEN, median } from "./fates.js";
import { ms, number, t } from "./words.js";

/// The picture ends this long before now: by then the server has told what became of a line.
const LAG = 400;
/// The picture moves this often, and takes in what is new that often, in milliseconds.
const FRAME = 33;
const NEWS = 100;

/// One reader of each of these is in the picture while nobody chooses.
const KINDS = ["unreliable", "reliable-unordered", "reliable-ordered", "tcp", "web"];

export class Ladder {
  constructor(fates, now) {
    Object.assign(this, { fates, now });
    this.root = $("strips");
    this.strips = new Map();
    this.chosen = new Set();
    this.peers = [];
    this.span = 5000;
    this.frozen = null;
    this.drawn = 0;
    this.told = -Infinity;
    new ResizeObserver(() => this.resize()).observe(this.root);
    const frame = (time) => {
      if (time - this.drawn >= (reducedMotion.matches ? 1000 : FRAME)) {
        this.drawn = time;
        this.draw();
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /// The end of the picture.
  end() {
    return this.frozen ?? this.now() - LAG;
  }

  freeze(isFrozen) {
    this.frozen = isFrozen ? this.now() - LAG : null;
  }

  isWatched(peer) {
    return this.strips.has(peer);
  }

  toggle(peer) {
    this.chosen = new Set(this.strips.keys());
    if (!this.chosen.delete(peer)) this.chosen.add(peer);
    this.arrange();
  }

  update(peers) {
    this.peers = peers;
    const here = new Set(peers.map((it) => it.peer));
    this.chosen.forEach((it) => here.has(it) || this.chosen.delete(it));
    this.arrange();
  }

  /// The chosen readers, or one of each kind while there is room.
  readers() {
    const most = matchMedia("(min-width: 820px)").matches ? 5 : 3;
    if (this.chosen.size) return this.peers.filter((it) => this.chosen.has(it.peer));
    const kept = this.peers.filter((it) => this.isWatched(it.peer));
    const picked = [];
    const pick = (peer) => {
      if (peer && picked.length < most && !picked.includes(peer)) picked.push(peer);
    };
    for (const which of KINDS) {
      // One that gets no line, because it alone speaks, shows nothing.
      const of = [...kept, ...this.peers].filter((it) => kind(it) === which);
      pick(of.find((it) => this.fates.readers.get(it.peer)?.fates.size) ?? of[0]);
    }
    [...kept, ...this.peers].forEach(pick);
    const order = (it) => KINDS.indexOf(kind(it));
    return picked.sort((a, b) => order(a) - order(b) || a.peer - b.peer);
  }

  arrange() {
    const readers = this.readers();
    const wanted = new Set(readers.map((it) => it.peer));
    for (const [peer, strip] of this.strips) {
      if (!wanted.has(peer)) {
        strip.item.remove();
        this.strips.delete(peer);
      }
    }
    this.told = -Infinity;
    readers.forEach((reader, at) => {
      const strip = this.strips.get(reader.peer) ?? new Strip();
      this.strips.set(reader.peer, strip);
      strip.describe(reader);
      const place = this.root.children[at] ?? null;
      if (place !== strip.item) this.root.insertBefore(strip.item, place);
    });
    this.resize();
  }

  resize() {
    this.told = -Infinity;
    for (const strip of this.strips.values()) strip.resize(this.span);
    const axis = $("axis");
    const seconds = this.span / 1000;
    const labels = [5, 4, 3, 2, 1, 0].map((it) => make("span", {},
      it === 0 ? t("ladder.now") : t("ladder.ago", { s: number((it * seconds) / 5, 1) })));
    axis.replaceChildren(...labels);
  }

  draw() {
    const end = this.end();
    if (document.visibilityState !== "visible") return;
    if (Math.abs(end - this.told) < NEWS) {
      for (const strip of this.strips.values()) strip.move(end);
      return;
    }
    this.told = end;
    this.fates.forget(Math.min(end, this.now()) - this.span - FORGOTTEN);
    for (const [peer, strip] of this.strips) {
      const marks = this.fates.of(peer, end - this.span - FORGOTTEN, end);
      const least = end - this.span;
      const seen = marks.filter((it) => it.waits || it.at >= least || it.came >= least);
      strip.draw(seen, end, this.fates.bunches(peer, seen));
    }
  }
}

/// One reader's part of the picture.
class Strip {
  constructor() {
    this.picture = svg("svg", { role: "img" });
    this.moving = svg("g");
    this.rails = svg("path", { class: "rail" });
    this.picture.append(this.rails, this.moving);
    this.title = make("div", { class: "who" });
    this.facts = make("span", { class: "facts" });
    this.item = make("li", {}, make("div", { class: "head" }, this.title, this.facts),
      this.picture);
    this.drawn = new Map();
    this.fans = new Map();
  }

  describe(reader) {
    this.item.className = `m-${kind(reader)}`;
    const words = mode(reader);
    if (this.called === `${reader.name} ${words}`) return;
    this.called = `${reader.name} ${words}`;
    this.title.replaceChildren(name(reader.name), " ", make("span", { class: "over" }, words));
    this.reader = clean(reader.name);
    this.over = carrier(reader);
    this.isLate = reader.transport === "udp" && reader.delivery === "unreliable";
    this.label();
  }

  /// Names the picture for whoever cannot see it.
  label() {
    const said = { name: this.reader, facts: this.facts.textContent };
    this.picture.setAttribute("aria-label", t("ladder.strip", said));
  }

  resize(span) {
    const { clientWidth: width, clientHeight: height } = this.picture;
    if (!width || (this.width === width && this.height === height && this.span === span)) return;
    Object.assign(this, { width, height, span, scale: width / span, origin: null });
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.rails.setAttribute("d", `M0 1.5H${width}M0 ${height - 1.5}H${width}`);
  }

  x(time) {
    return (time - this.origin) * this.scale;
  }

  draw(marks, end, bunches) {
    if (!this.width) this.resize(5000);
    if (!this.width) return;
    // Far from the origin, coordinates would lose their decimals.
    if (this.origin === null || end - this.origin > 600_000) {
      this.origin = end;
      this.moving.replaceChildren();
      this.drawn.clear();
      this.fans.clear();
    }
    const typical = median(marks.filter((it) => it.came !== null).map((it) => it.came - it.at));
    this.typical = typical ?? 50;
    const seen = new Set();
    for (const mark of marks) {
      seen.add(mark.position);
      this.line(mark);
    }
    this.move(end);
    remove(this.drawn, (position) => !seen.has(position));
    this.bunches(bunches);
    this.tell(marks, typical, bunches);
  }

  /// The line of a mark.
  line(mark) {
    const is = mark.lost ? "lost" : mark.taken ? "taken" : mark.waits ? "waits"
      : mark.again ? "again" : "came";
    let known = this.drawn.get(mark.position);
    if (known?.is === is && known.came === mark.came) return;
    if (!known) {
      known = { line: svg("path") };
      this.drawn.set(mark.position, known);
      this.moving.append(known.line);
    }
    Object.assign(known, { is, at: mark.at, came: mark.came });
    const [left, bottom] = [this.x(mark.at), this.height - 2];
    known.line.setAttribute("class", is);
    if (is === "lost") {
      const [x, y] = [left + (this.typical * this.scale) / 2, this.height / 2];
      known.line.setAttribute("d", `M${left} 2L${x} ${y}m-4 -4l8 8m0 -8l-8 8`);
    } else if (is === "taken") known.line.setAttribute("d", `M${left} 2v${this.height / 3}`);
    else if (is !== "waits") {
      known.line.setAttribute("d", `M${left} 2L${this.x(mark.came)} ${bottom}`);
    }
  }

  /// Moves the picture on. A line that has not come yet ends at the end of the picture.
  move(end) {
    if (!this.width || this.origin === null) return;
    this.moving.setAttribute("transform", `translate(${(this.width - this.x(end)).toFixed(1)} 0)`);
    for (const { is, at, line } of this.drawn.values()) {
      if (is !== "waits") continue;
      // Like a line that comes in its time; one that does not waits above the lower edge.
      const y = 2 + Math.min(0.9, (end - at) / this.typical) * (this.height - 4);
      line.setAttribute("d", `M${this.x(at)} 2L${this.x(end)} ${y}`);
    }
  }

  /// Areas behind the lines that came at once.
  bunches(bunches) {
    const seen = new Set();
    for (const bunch of bunches) {
      const [first, last] = [bunch[0], bunch.at(-1)];
      seen.add(first.position);
      let fan = this.fans.get(first.position);
      if (!fan) {
        fan = { line: svg("path", { class: "fan" }) };
        this.fans.set(first.position, fan);
        this.moving.prepend(fan.line);
      }
      const [left, right, foot] = [first.at, last.at, last.came].map((it) => this.x(it));
      const bottom = this.height - 2;
      fan.line.setAttribute("d", `M${left} 2H${right}L${foot} ${bottom}Z`);
    }
    remove(this.fans, (position) => !seen.has(position));
  }

  tell(marks, typical, bunches) {
    const lost = marks.filter((it) => it.lost).length;
    const again = marks.filter((it) => it.again).length;
    const facts = [];
    const key = this.isLate ? "ladder.median.late" : "ladder.median";
    if (typical !== null) facts.push(t(key, { ms: ms(typical) }));
    if (marks.length === 0) facts.push(t("ladder.none"));
    if (lost) facts.push(t("ladder.lost", { n: lost }));
    const taken = marks.filter((it) => it.taken).length;
    if (taken) facts.push(t("ladder.taken", { n: taken, over: this.over }));
    if (again) facts.push(t("ladder.again", { n: again }));
    const most = Math.max(0, ...bunches.map((it) => it.length));
    if (most) facts.push(t("ladder.bunch", { n: most }));
    const words = facts.join(" · ");
    if (this.facts.textContent === words) return;
    say(this.facts, words);
    this.label();
  }
}

function remove(drawn, isGone) {
  for (const [position, { line }] of drawn) {
    if (isGone(position)) {
      line.remove();
      drawn.delete(position);
    }
  }
}
