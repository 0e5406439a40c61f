// Stepping through variants: keys, order, and the part that a thumbnail shows. Pure functions.

import { clamp } from "./geometry.js";

const MARGIN = 0.2; // margin on each side, relative to the region's longer side
const LEAST = 24; // SR pixels: minimum side of the part that a thumbnail shows

/** @type {Record<string, string>} */
const KEYS = {
  ...{ ArrowRight: "next", ArrowLeft: "previous", Enter: "accept", Escape: "leave" },
  ...{ ArrowDown: "family", ArrowUp: "back" },
};

/** Names of variants that have only a number. @type {Record<string, string>} */
const NUMBERED = { roll: "Roll", more: "Neighbour", children: "Mixture", family: "Member" };

/**
 * Whether variants of that kind represent others. @param {string} kind @returns {kind is "different" | "typical" |
 * "families"}
 */
export function haveFamilies(kind) {
  return kind === "different" || kind === "typical" || kind === "families";
}

const LOOK_ONLY = "to look at"; // as Python calls it

/** Whether a variant is only for viewing, and cannot be kept. @param {{badge: string} | undefined} picture */
export function isLookOnly(picture) {
  return picture?.badge === LOOK_ONLY;
}

/**
 * The text below a thumbnail: a number if all variants are of one kind, otherwise the picture's own label.
 * @param {string} kind
 * @param {string} label of the picture
 * @param {number} index among the variants; 0 is the picture before the change
 */
export function wayCaption(kind, label, index) {
  if (index === 0) return "Before";
  if (kind === "families") return label.replace("Family ", ""); // "1: 38 %": there is little room
  return label === `${NUMBERED[kind]} ${index}` ? String(index) : label;
}

/**
 * The title of what is shown.
 * @param {string} kind
 * @param {string} label of the picture
 * @param {number} index among the variants; 0 is the picture before the change, -1 is none of them
 * @param {number} there number of finished variants
 * @param {number} count how many there will be
 */
export function walkTitle(kind, label, index, there, count) {
  if (index === 0) return "Before the change";
  if (index < 0) return `${there} of ${count}`;
  return label === `${NUMBERED[kind]} ${index}` ? `${label} of ${count}` : label;
}

/** @typedef {import("./messages.js").SlidersMessage} SlidersMessage */

/**
 * The title of variants from sliders.
 * @param {SlidersMessage | null} sliders null: they are being searched
 * @param {string} kind of the variants
 */
export function slidersTitle(sliders, kind = "sliders") {
  const count = sliders?.strips.length ?? 0;
  if (kind === "wish") return count ? `From ${sliders.strips[0].low} to ${sliders.strips[0].high}` : "A wish";
  if (!count) return "Sliders of this region";
  const share = Math.round(100 * sliders.strips.reduce((sum, strip) => sum + strip.share, 0));
  const sum = `${share} % of the variance here`;
  return count === 1 ? `One slider explains ${sum}` : `${count} sliders explain ${sum}`;
}

/**
 * The text in place of the sliders, if there are none.
 * @param {SlidersMessage | null} sliders
 * @param {string} kind of the variants
 */
export function slidersWords(sliders, kind = "sliders") {
  if (!sliders && kind === "wish") return "Comparing 48 versions of this region to find the slider …";
  if (!sliders) return "Comparing 48 versions of this region to find the main differences …";
  if (kind === "wish") return sliders.strips[0].remark;
  const none = "Only texture differs here: no single change explains 3 % or more of the variance. Roll the region instead.";
  return sliders.strips.length ? "" : none;
}

const LIKELY = 2; // standard deviations
const ANGLE_STEP = 30; // degrees, between the pictures of a strip
const ANGLE_END = 90;

/**
 * How far a wish goes at an angle, in standard deviations, interpolated between the measured pictures.
 * @param {number} angle in degrees
 * @param {number[]} deviations at the pictures
 */
export function deviationAt(angle, deviations) {
  const at = clamp((angle + ANGLE_END) / ANGLE_STEP, 0, deviations.length - 1);
  const low = Math.min(Math.floor(at), deviations.length - 2);
  return deviations[low] + (at - low) * (deviations[low + 1] - deviations[low]);
}

/** @param {number} deviation */
export function isLikely(deviation) {
  return Math.abs(deviation) <= LIKELY;
}

/** @param {number} deviation */
export function deviationWords(deviation) {
  const sign = deviation < 0 ? "\u2212" : "+";
  return `${sign}${Math.abs(deviation).toFixed(1)} sd${isLikely(deviation) ? "" : ", beyond what is likely"}`;
}

/**
 * A wish in the form that Python reads.
 * @param {string} type
 * @param {{period: string, direction: string, colour: string}} fields as filled in; a colour is "#rrggbb"
 * @returns {import("./messages.js").WishMessage}
 */
export function wishMessage(type, { period, direction, colour }) {
  if (type === "stripes") return { type, period: clamp(Number(period) || 8, 2, 64), direction: clamp(Number(direction), 0, 180) };
  return type === "colour" ? { type, ...colourParts(colour) } : { type };
}

/** @typedef {{want: string, width: number, colour: string, points: import("./geometry.js").Point[]}} Stroke a colour is "#rrggbb" */

/**
 * A stroke as Python reads it: x, y, x, y … from the place's corner, in quarters of a pixel.
 * @param {Stroke} stroke in pixels of the large picture
 * @param {number[]} box of the place, likewise; what lies outside is moved to its edge
 */
export function strokeMessage({ want, width, colour, points }, [left, top, right, bottom]) {
  const quarter = (/** @type {number} */ value) => Math.round(4 * value) / 4;
  const flat = points.flatMap(({ x, y }) => [quarter(clamp(x, left, right) - left), quarter(clamp(y, top, bottom) - top)]);
  const { red, green, blue } = colourParts(colour);
  return { want, width, points: flat, ...(want === "colour" ? { colour: [red, green, blue] } : {}) };
}

/**
 * An edit in the form that Python reads.
 * @param {string} kind
 * @param {{colour: string, from: string}} fields a colour is "#rrggbb"; from: id of a picture
 * @returns {import("./messages.js").EditMessage}
 */
export function editMessage(kind, { colour, from }) {
  if (kind === "paste") return { type: "paste", id: from };
  if (kind !== "paint") return { type: "contrast", factor: kind === "more" ? 2 : 0.5 };
  return { type: "paint", ...colourParts(colour) };
}

/** Split texts at commas; duplicates are removed. @param {string} value @returns {string[]} */
export function splitTexts(value) {
  const texts = value.split(",").map((text) => text.trim());
  return [...new Set(texts)].filter(Boolean).slice(0, 10);
}

/** How many pieces and files there are, and what the files are called. @param {import("./messages.js").PieceMessage[]} sources */
export function pieceWords(sources) {
  const names = sources.flatMap((source) => ("file" in source ? [source.name] : []));
  const count = sources.length - names.length;
  const pieces = count || !names.length ? [`${count} ${count === 1 ? "piece" : "pieces"}`] : [];
  return [...pieces, ...names].join(", ");
}

/** @param {string} colour "#rrggbb" */
function colourParts(colour) {
  const [red, green, blue] = [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
  return { red, green, blue };
}

/**
 * The position of a slider, for screen readers.
 * @param {number} angle in degrees
 * @param {{low: string, high: string, deviations?: number[] | null}} strip
 */
export function sliderValue(angle, { low, high, deviations }) {
  if (deviations) return `${deviationWords(deviationAt(angle, deviations))}, from ${low} to ${high}`;
  return angle === 0 ? "unchanged" : `${Math.abs(angle)} degrees towards ${angle < 0 ? low : high}`;
}

/**
 * The hint for ticked pictures.
 * @param {string[]} labels
 */
export function mixWords(labels) {
  if (!labels.length) return "Choose two or more pictures to mix them.";
  if (labels.length === 1) return `${labels[0]} is ticked. Choose another one.`;
  return `${labels.slice(0, -1).join(", ")} and ${labels.at(-1)}`;
}

/**
 * "next", "previous", "accept", "leave", "family", "back", or null: then the key has its usual meaning.
 * @param {{key: string, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} press
 */
export function walkKey({ key, shiftKey, ctrlKey, metaKey, altKey }) {
  if (shiftKey || ctrlKey || metaKey || altKey) return null;
  return Object.hasOwn(KEYS, key) ? KEYS[key] : null;
}

/**
 * The next (1) or the previous (-1) id; after the last comes the first. If the current one is not listed, the first
 * variant.
 * @param {string[]} ids the picture before the change, then the variants
 * @param {string | null} current
 * @param {number} direction
 */
export function stepAlong(ids, current, direction) {
  const at = ids.indexOf(current);
  return at < 0 ? ids[1] : ids[(at + direction + ids.length) % ids.length];
}

/**
 * How to draw a region with a margin into a square.
 * @param {number[]} box left, top, right, bottom in SR pixels
 * @param {import("./geometry.js").Size} frame
 * @param {number} size device pixels a side
 * @returns {{zoom: number, origin: import("./geometry.js").Point}}
 */
export function fitBox([left, top, right, bottom], frame, size) {
  const longer = Math.max(right - left, bottom - top);
  const side = clamp(Math.max(LEAST, longer * (1 + 2 * MARGIN)), 1, Math.max(frame.width, frame.height));
  const zoom = size / side;
  /** @type {(low: number, high: number, limit: number) => number} where the square begins: inside the frame if it fits */
  const start = (low, high, limit) =>
    side >= limit ? (limit - side) / 2 : clamp((low + high - side) / 2, 0, limit - side);
  return { zoom, origin: { x: -start(left, right, frame.width) * zoom, y: -start(top, bottom, frame.height) * zoom } };
}
