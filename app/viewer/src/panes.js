// One pane: a canvas with its caption, the cursor that mirrors the pointer, and links to the files.

import { make, makeIcon } from "./dom.js";

/**
 * @typedef {object} Pane
 * @property {"picture" | "wipe" | "difference" | "map"} kind
 * @property {string[]} ids of the pictures it shows: one, or two; none on the map
 * @property {number} left device pixels in the stage
 * @property {number} top
 * @property {HTMLElement} node
 * @property {HTMLCanvasElement} canvas
 * @property {CanvasRenderingContext2D} context
 * @property {HTMLElement[]} captions
 * @property {HTMLAnchorElement[]} links
 * @property {HTMLElement} cursor
 * @property {{zoom: number, x: number, y: number} | null} drawn what the canvas shows, for tests
 * @property {string | undefined} look how the canvas looks, see layers.js
 */
/** @typedef {{label: string, short: string, badge: string, state: string, url: string | null, file: string}} Words */
/** @typedef {import("./pictures.js").Picture} Picture */

const MAP_TITLE = "Where samples differ";
const KEEP_FILE_MS = 60_000; // milliseconds until the browser has read a large file

/**
 * @param {(pane: Pane) => void} onCaption the caption was clicked
 * @returns {Pane}
 */
export function buildPane(onCaption) {
  const canvas = make("canvas", { class: "lv-canvas", role: "img" });
  const captions = [
    make("button", { type: "button", class: "lv-caption", tabindex: "-1" }), // the row of buttons above does the same
    make("span", { class: "lv-caption" }),
  ];
  const links = captions.map(() => make("a", { class: "lv-download", onclick: save }, makeIcon("download")));
  const cursor = make("div", { class: "lv-cursor", hidden: true });
  const head = make("figcaption", { class: "lv-head" }, captions[0], links[0], captions[1], links[1]);
  const node = make("figure", { class: "lv-pane" }, head, make("div", { class: "lv-view" }, canvas, cursor));
  const context = canvas.getContext("2d");
  /** @type {Pane} */
  const pane = {
    ...{ kind: "picture", ids: [], left: 0, top: 0, node, canvas, context, captions, links, cursor },
    ...{ drawn: null, look: undefined },
  };
  captions[0].addEventListener("click", () => onCaption(pane));
  return pane;
}

/**
 * Save the file unchanged, without encoding it again. The server's own file name would override the link's, so the
 * bytes are fetched (from the cache) and saved from here.
 * @param {MouseEvent} event
 */
async function save(event) {
  const { href, download } = /** @type {HTMLAnchorElement} */ (event.currentTarget);
  event.preventDefault();
  try {
    const response = await fetch(href, { cache: "force-cache" });
    if (!response.ok) throw new Error(`${response.status} for ${href}`);
    const address = URL.createObjectURL(await response.blob());
    make("a", { href: address, download }).click();
    setTimeout(() => URL.revokeObjectURL(address), KEEP_FILE_MS);
  } catch (error) {
    console.warn("Linked viewer: cannot save a picture under its name.", error);
    location.assign(href);
  }
}

/**
 * Update captions, links and names to the content of the pane.
 * @param {Pane} pane
 * @param {import("./viewer.js").LinkedViewer} viewer
 */
export function refreshPane(pane, viewer) {
  const words = describePane(pane, viewer);
  const sides = pane.kind === "map" ? [undefined, ...words] : words; // the map's caption is not a button
  pane.captions.forEach((node, side) => fillCaption(node, sides[side]));
  pane.links.forEach((link, side) => fillLink(link, sides[side]));
  pane.captions[1].classList.toggle("lv-right", pane.kind === "wipe");
  const isAlone = viewer.mode !== "grid" && !(viewer.mode === "difference" && viewer.panes.length > 1);
  pane.captions[0].title = isAlone ? "All samples side by side (A)" : `Show ${words[0].label} alone`;
  const spoken = words.map(({ label, badge, state }) => [label, badge, state].filter(Boolean).join(", "));
  pane.canvas.setAttribute("aria-label", spoken.join(" and "));
  const pictures = pane.ids.map((id) => viewer.pictures.get(id));
  const { parents } = viewer.exploring;
  pane.node.classList.toggle("lv-tickable", pane.kind === "picture" && parents.canBe(pane.ids[0]));
  pane.node.classList.toggle("lv-ticked", pane.kind === "picture" && parents.has(pane.ids[0]));
  pane.node.classList.toggle("lv-waiting", pictures.some((picture) => picture.state !== "ready"));
}

/**
 * @param {Pane} pane
 * @param {import("./viewer.js").LinkedViewer} viewer
 * @returns {Words[]}
 */
function describePane(pane, viewer) {
  if (pane.kind === "map") {
    const { overlay } = viewer;
    const state = overlay?.state === "failed" ? "cannot be loaded" : overlay || viewer.scene.note ? "" : "waiting";
    const url = overlay?.levels.length ? overlay.url : null;
    return [{ label: MAP_TITLE, short: "Map", badge: "", state, url, file: "where-samples-differ.png" }];
  }
  const pictures = pane.ids.map((id) => viewer.pictures.get(id));
  const words = pictures.map((picture) => describePicture(picture, viewer));
  if (pane.kind !== "difference") return words;
  const [a, b] = words;
  const state = a.state || b.state;
  return [{ ...a, label: `${a.label} − ${b.label}`, short: `${a.short} − ${b.short}`, state, url: null }];
}

/**
 * @param {Picture} picture
 * @param {import("./viewer.js").LinkedViewer} viewer
 * @returns {Words}
 */
function describePicture(picture, viewer) {
  const { label, badge } = picture;
  const short = picture.kind === "sample" ? String(picture.number + 1) : label;
  const slug = label.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "picture";
  const url = picture.state === "ready" ? picture.loadedUrl : null;
  return { label, short, badge, state: stateWord(picture, viewer), url, file: picture.fileName || `${slug}.png` };
}

/**
 * @param {Picture} picture
 * @param {import("./viewer.js").LinkedViewer} viewer
 */
function stateWord(picture, viewer) {
  if (picture.state === "failed") return picture.problem || "cannot be loaded";
  if (picture.state !== "waiting") return "";
  const rows = [...picture.parts.values()].reduce((sum, part) => sum + part.rows, 0);
  if (rows) return `${Math.floor((100 * rows) / viewer.frame.height)} %`;
  return viewer.scene.note ? "" : "waiting";
}

/** @param {HTMLElement} node @param {Words | undefined} words */
function fillCaption(node, words) {
  node.hidden = !words;
  if (!words) return;
  // In a narrow pane the style sheet shows only a sample's number, so that there is room for the badge.
  const parts = [
    make("span", { class: "lv-label" }, words.label),
    make("span", { class: "lv-label lv-short" }, words.short),
  ];
  if (words.badge) parts.push(make("span", { class: "lv-badge" }, words.badge));
  if (words.state) parts.push(make("span", { class: "lv-state" }, words.state));
  node.replaceChildren(...parts);
}

/** @param {HTMLAnchorElement} link @param {Words | undefined} words */
function fillLink(link, words) {
  link.hidden = !words;
  link.classList.toggle("lv-absent", !words?.url); // its space is reserved, so that the caption does not move
  if (!words?.url) return link.removeAttribute("href");
  if (link.href !== words.url) link.href = words.url;
  link.download = words.file;
  link.title = `Download ${words.label} (PNG)`;
  link.setAttribute("aria-label", link.title);
}
