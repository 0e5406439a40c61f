// Small helpers around the DOM.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  fullscreen: "M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8", // four corners
  download: "M6 1v6.5M3 5l3 3 3-3M1.5 10.5h9",
};

/**
 * Create a DOM element; `properties` are set as attributes, "on…" as listeners, and children are nodes or plain text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children); // strings become text nodes: a label can never be interpreted as markup
  return node;
}

/**
 * Create a button whose visible text is its name; `title` describes what it does.
 * @param {string} text
 * @param {string} title
 * @param {() => void} action
 * @param {Record<string, any>} [extra]
 */
export function makeButton(text, title, action, extra = {}) {
  return make("button", { type: "button", class: "lv-button", title, onclick: action, ...extra }, text);
}

/**
 * Create a button with a drawing or a sign instead of text; `name` is its name and, with its key, the title.
 * @param {Node | string} sign
 * @param {string} name
 * @param {string} key
 * @param {() => void} action
 * @param {Record<string, any>} [extra]
 */
export function makeIconButton(sign, name, key, action, extra = {}) {
  const title = key ? `${name} (${key})` : name;
  const child = make("span", { class: "lv-sign", "aria-hidden": "true" }, sign);
  const properties = { type: "button", class: "lv-button", title, "aria-label": name, onclick: action, ...extra };
  return make("button", properties, child);
}

/**
 * Draw an icon; many fonts lack characters for these.
 * @param {keyof typeof ICONS} name
 */
export function makeIcon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { viewBox: "0 0 12 12", width: "12", height: "12", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  const strokes = { d: ICONS[name], fill: "none", stroke: "currentColor", "stroke-width": "1.5" };
  for (const [key, value] of Object.entries(strokes)) path.setAttribute(key, value);
  svg.append(path);
  return svg;
}

/**
 * @param {string} label
 * @param {...Node} children
 */
export function makeGroup(label, ...children) {
  return make("div", { class: "lv-group", role: "group", "aria-label": label }, ...children);
}

/**
 * @param {Element} node
 * @param {boolean} isOn
 */
export function setPressed(node, isOn) {
  node.setAttribute("aria-pressed", String(isOn));
}

export function deviceRatio() {
  return window.devicePixelRatio || 1;
}

/**
 * Change a text only if it differs, because each change makes the browser lay out the page.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Give a canvas an exact number of device pixels; scaled by CSS, it would not show the picture's own pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sizeCanvas(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.style.width = `${width / deviceRatio()}px`;
  canvas.style.height = `${height / deviceRatio()}px`;
}

/**
 * Replace the children only if they differ: replacing them takes the keyboard focus away with each streamed picture.
 * @param {Element} parent
 * @param {HTMLElement[]} children
 */
export function replaceIfChanged(parent, children) {
  /** @type {(a: any, b: any) => boolean} */
  const looksLike = (a, b) =>
    ["textContent", "title", "value"].every((name) => a[name] === b[name]) && a.dataset.id === b.dataset.id;
  const isEqual =
    parent.children.length === children.length && children.every((child, i) => looksLike(parent.children[i], child));
  if (!isEqual) parent.replaceChildren(...children);
}

/**
 * Load a choice of this visit, kept until the tab is closed; only in memory if the browser forbids storage.
 * @param {string} name
 * @returns {any} undefined if there is none
 */
export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`linked-viewer-${name}`) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} name
 * @param {any} value
 */
export function remember(name, value) {
  try {
    sessionStorage.setItem(`linked-viewer-${name}`, JSON.stringify(value));
  } catch {
    // A private window may refuse; the choice then lasts until the page is reloaded.
  }
}
