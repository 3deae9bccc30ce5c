// Every text of the page, in the reader's language. The catalogue is en.js, ru.js and zh.js.

import en from "./en.js";
import ru from "./ru.js";
import zh from "./zh.js";
import * as kept from "./kept.js";

export const LANGUAGES = { en, ru, zh };
const KEPT = "chatagram-language";
const changes = [];
let language = "en";

/// The language in use: the chosen one, else the first of the browser's that the catalogue has.
export const current = () => language;

export function choose(chosen) {
  language = chosen;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = t(element.dataset.words);
  }
  changes.forEach((change) => change());
}

export function begin() {
  const wanted = [kept.recall(false, KEPT), ...navigator.languages].filter(Boolean);
  const short = wanted.map((it) => it.toLowerCase().split("-")[0]);
  choose(short.find((it) => it in LANGUAGES) ?? "en");
}

export function keep(chosen) {
  kept.keep(false, KEPT, chosen);
  choose(chosen);
}

/// Calls `change` now and after each change of the language.
export function onChange(change) {
  changes.push(change);
  change();
}

/// Makes what writes numbers and times in this language once: that is slow.
const made = new Map();
function format(Kind, options) {
  const key = `${language} ${Kind.name} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Kind(language, options));
  return made.get(key);
}

/// The text of a key, with its `{parameters}` unfilled. Plurals go by the parameter `n`.
function template(key, n) {
  const text = LANGUAGES[language][key];
  return typeof text === "string" ? text
    : text[format(Intl.PluralRules).select(n)] ?? text.other;
}

/// The text of a key. Parameters are strings, or numbers, which are written as people write them.
export function t(key, parameters = {}) {
  return template(key, parameters.n).replace(/\{(\w+)\}/g, (_, name) => shown(parameters[name]));
}

/// The same as nodes: a parameter may be an element.
export function nodes(key, parameters = {}) {
  const parts = template(key, parameters.n).split(/\{(\w+)\}/);
  return parts.map((part, at) => {
    const value = at % 2 ? parameters[part] : part;
    return value instanceof Node ? value : shown(value);
  });
}

const shown = (value) => typeof value === "number" ? number(value, 1) : String(value);

/// A number as people write it, with at most this many decimals.
export function number(value, decimals) {
  return format(Intl.NumberFormat, { maximumFractionDigits: decimals }).format(value);
}

/// A duration in milliseconds.
export function ms(value) {
  return t("unit.ms", { value: number(value, value < 10 ? 1 : 0) });
}

export function percent(share) {
  const value = share * 100;
  return t("unit.percent", { value: number(value, value < 9.95 ? 1 : 0) });
}

/// A time of day; seconds, because a class compares them.
export function clock(milliseconds) {
  return format(Intl.DateTimeFormat, { timeStyle: "medium", hour12: false })
    .format(new Date(milliseconds));
}
