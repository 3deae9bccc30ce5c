// Elements. Text from the network is only ever text: nothing here parses HTML.

import { clean } from "./typed.js";

export { clean };

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/// Sets the text if it differs, so that nothing is laid out again for nothing.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/// A name of a peer: its direction does not change that of the text around it.
export const name = (text) => make("bdi", { class: "name" }, clean(text));

export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
