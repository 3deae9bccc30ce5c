// What the chat shows: lines, whispers, notices. The page keeps them for when it is loaded again.

import { $, clean, make, name, say } from "./dom.js";
import { clock, t } from "./words.js";

const MOST = 500;
/// Pixels from the end that count as the end.
const NEAR = 40;

export class Transcript {
  /// `again` says a doubtful line once more; `unread` takes the number of unread lines.
  constructor({ saved = [], again, unread }) {
    Object.assign(this, { again, unread, items: [], rows: new Map(), missed: 0 });
    this.root = $("log");
    this.newer = $("newer");
    this.newer.addEventListener("click", () => this.toEnd());
    this.root.addEventListener("scroll", () => this.isAtEnd() && this.read());
    document.addEventListener("visibilitychange", () => this.isAtEnd() && this.read());
    saved.forEach((it) => this.add(it, true));
    this.toEnd();
  }

  isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.root;
    return scrollHeight - scrollTop - clientHeight <= NEAR;
  }

  toEnd() {
    this.root.scrollTop = this.root.scrollHeight;
    this.read();
  }

  read() {
    if (document.visibilityState !== "visible" || this.root.clientHeight === 0) return;
    this.missed = 0;
    this.tellMissed();
  }

  tellMissed() {
    this.newer.hidden = this.missed === 0 || this.isAtEnd();
    say(this.newer, t("chat.newer", { n: this.missed }));
    this.unread(this.missed);
  }

  /// Adds an item. One of before the page was loaded is no news.
  add(item, isOld = false) {
    const wasAtEnd = this.isAtEnd();
    const row = make("li", {});
    this.items.push(item);
    this.rows.set(item, row);
    this.render(item);
    this.root.append(row);
    while (this.items.length > MOST) {
      const gone = this.items.shift();
      this.rows.get(gone).remove();
      this.rows.delete(gone);
    }
    const isNews = !isOld && !item.past && !item.own && item.is !== "note";
    const isSeen = document.visibilityState === "visible" && this.root.clientHeight > 0;
    if (wasAtEnd || item.own) this.root.scrollTop = this.root.scrollHeight;
    if (isNews && !(isSeen && wasAtEnd)) {
      this.missed += 1;
      this.tellMissed();
    }
  }

  clear() {
    this.items = [];
    this.rows.clear();
    this.root.replaceChildren();
  }

  /// Renders again what the state or the language has changed.
  render(item) {
    const row = this.rows.get(item);
    const classes = [item.is, item.own && "own", item.state, item.mention && "mention",
      item.past && "past"];
    row.className = classes.filter(Boolean).join(" ");
    const text = make("span", { class: "text", dir: "auto" }, clean(item.text));
    const time = make("time", {}, clock(item.at));
    if (item.is === "note") return row.replaceChildren(time, " ", text);
    const who = make("span", { class: "from" }, name(item.from));
    if (item.is === "whisper") {
      who.append(" ", make("span", { class: "whispers" },
        item.own ? t("chat.to", { name: clean(item.to) }) : t("chat.to.you")));
    }
    if (item.mention) who.append(make("span", { class: "hidden" }, ` ${t("chat.mention")}`));
    row.replaceChildren(time, " ", who, " ", text);
    const marks = { waiting: t("chat.waiting"), sent: t("chat.sent"),
      doubtful: t("chat.doubtful"), nobody: t("chat.nobody"),
      rejected: t("chat.rejected") };
    if (marks[item.state]) row.append(" ", make("span", { class: "mark" }, marks[item.state]));
    if (item.state === "doubtful") {
      const button = make("button", { type: "button" }, t("chat.again"));
      button.addEventListener("click", () => this.again(item));
      row.append(" ", button);
    }
    return undefined;
  }

  renderAll() {
    this.items.forEach((it) => this.render(it));
    this.tellMissed();
  }

  /// Changes the state of an own line.
  settle(id, state) {
    const item = this.items.find((it) => it.id === id && it.own);
    if (!item) return;
    item.state = state;
    this.render(item);
  }
}
