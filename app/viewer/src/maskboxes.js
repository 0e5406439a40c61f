// Boxes of whole LR pixels, as drawn with a pointer and moved with keys. Pure functions.

import { clamp } from "./geometry.js";
import { pixelBox } from "./maskgrid.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Size} Size */

const FIRST_SHARE = 0.25; // of the shorter side: the size of a box that is added without a pointer

/**
 * The pixels between two corners, including those of the corners; null if everything lies outside.
 * @param {Point} a
 * @param {Point} b
 * @param {Size} size of the mask
 */
export function boxBetween(a, b, size) {
  /** @type {(one: number, other: number) => [number, number]} */
  const span = (one, other) => [Math.floor(Math.min(one, other)), Math.floor(Math.max(one, other)) + 1];
  const [[left, right], [top, bottom]] = [span(a.x, b.x), span(a.y, b.y)];
  return pixelBox(size, left, top, right, bottom);
}

/**
 * A square around a point, inside the mask.
 * @param {Point} centre
 * @param {Size} size
 * @returns {Box}
 */
export function boxAbout(centre, size) {
  const side = Math.max(1, Math.round(FIRST_SHARE * Math.min(size.width, size.height)));
  const [x, y] = [Math.round(centre.x - side / 2), Math.round(centre.y - side / 2)];
  return boxInside({ x, y, width: side, height: side }, size);
}

/**
 * The nearest box of whole pixels inside the mask, reduced and moved as needed.
 * @param {Box} box
 * @param {Size} size
 * @returns {Box}
 */
export function boxInside(box, size) {
  const width = clamp(Math.round(box.width), 1, size.width);
  const height = clamp(Math.round(box.height), 1, size.height);
  const x = clamp(Math.round(box.x), 0, size.width - width);
  return { x, y: clamp(Math.round(box.y), 0, size.height - height), width, height };
}

/**
 * @param {Box} box
 * @param {number} dx
 * @param {number} dy
 * @param {Size} size
 */
export function boxMoved(box, dx, dy, size) {
  return boxInside({ ...box, x: box.x + dx, y: box.y + dy }, size);
}

/**
 * Move the lower right corner; the upper left one stays.
 * @param {Box} box
 * @param {number} dx
 * @param {number} dy
 * @param {Size} size
 */
export function boxResized(box, dx, dy, size) {
  const width = clamp(box.width + dx, 1, size.width - box.x);
  return { ...box, width, height: clamp(box.height + dy, 1, size.height - box.y) };
}
