// dom: elements from words. Text is only ever set as text: what comes from a server cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

// h("p.muted", { id: "x", onclick }, "words", h("b", {}, "more")); null and false children are left out.
export function h(what, props, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = id => document.getElementById(id);

// Icons of one line each, 18 px; the words beside them say the same, so they are hidden from screen readers.
const PATHS = {
  passed: ["M4 9.5l3.5 3.5L14 5.5"],
  failed: ["M5 5l8 8", "M13 5l-8 8"],
  waiting: ["M9 3.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11"],
  skipped: ["M5.5 9h7"],
  running: ["M9 3.5a5.5 5.5 0 0 1 5.5 5.5"],
  file: ["M9 3v8", "M5.5 8L9 11.5L12.5 8", "M4 15h10"],
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true", class: `icon ${name}` })) {
    svg.setAttribute(key, String(value));
  }
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

// A long machine fact: the whole of it for copying, broken wherever a line ends.
export const fact = text => h("code.fact", {}, String(text));

export function facts(pairs) {
  return h("dl.facts", {}, pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value instanceof Node ? value : fact(value)))));
}

// Offers a text as a file of that name.
export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
