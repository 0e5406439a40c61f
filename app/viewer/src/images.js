// Decoded pictures: their reduced copies and patches, and their pixel values.

import { bytesOf, hasSmallerCopy, patchBox, residentHalvings } from "./budget.js";
import { make } from "./dom.js";

/**
 * A decoded picture. `levels` are copies of 1, 1/2, 1/4, … of the size of the first, which is the whole picture halved
 * `base` times. `patches` hold finer parts, by what they are for.
 * @typedef {object} Source
 * @property {number} width
 * @property {number} height
 * @property {number} base
 * @property {ImageBitmap[]} levels
 * @property {Map<string, import("./budget.js").Patch>} patches
 */
/** @typedef {{halvings: number, part: import("./geometry.js").Box, turn: number}} Want */

/** @returns {Source} */
export function emptySource() {
  return { width: 0, height: 0, base: 0, levels: [], patches: new Map() };
}

/**
 * @param {Source} source
 */
export function closeSource(source) {
  for (const bitmap of source.levels) bitmap.close();
  source.levels = [];
  closePatches(source);
}

/**
 * @param {Source} source
 */
export function closePatches(source) {
  for (const { bitmap } of source.patches.values()) bitmap.close();
  source.patches = new Map();
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} factor
 */
export function reduce(bitmap, factor) {
  return createImageBitmap(bitmap, {
    resizeWidth: Math.ceil(bitmap.width / factor),
    resizeHeight: Math.ceil(bitmap.height / factor),
    resizeQuality: "high",
  });
}

/**
 * The bitmap and successively smaller copies of it, which keep large pictures smooth while zoomed out.
 * @param {ImageBitmap} bitmap
 */
export async function withSmallerCopies(bitmap) {
  const levels = [bitmap];
  while (hasSmallerCopy(levels[levels.length - 1])) levels.push(await reduce(levels[levels.length - 1], 2));
  return levels;
}

/**
 * Cut the requested part out of a whole picture.
 * @param {ImageBitmap} whole
 * @param {Want} want
 * @returns {Promise<import("./budget.js").Patch>}
 */
export async function cutPatch(whole, { halvings, part, turn }) {
  const box = patchBox(part, whole);
  const factor = 2 ** halvings;
  /** @type {ImageBitmapOptions} */
  const size = {
    resizeWidth: Math.ceil(box.width / factor),
    resizeHeight: Math.ceil(box.height / factor),
    resizeQuality: "high",
  };
  const bitmap = await createImageBitmap(whole, box.x, box.y, box.width, box.height, factor > 1 ? size : {});
  return { halvings, box, bitmap, used: turn };
}

/**
 * All red values of a grey picture, row by row.
 * @param {ImageBitmap} bitmap
 * @returns {import("./values.js").Grey}
 */
export function readGrey(bitmap) {
  const factor = 2 ** residentHalvings(bitmap); // values of a large map are read from a reduced copy
  const [width, height] = [Math.ceil(bitmap.width / factor), Math.ceil(bitmap.height / factor)];
  const { data: rgba } = readPixels([bitmap], width, height)[0];
  return { width, height, data: Uint8Array.from({ length: width * height }, (_, i) => rgba[4 * i]) };
}

/**
 * The pixels of bitmaps, each scaled to the same size; enlarged ones pixel by pixel.
 * @param {ImageBitmap[]} bitmaps
 * @param {number} width
 * @param {number} height
 */
export function readPixels(bitmaps, width, height) {
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  return bitmaps.map((bitmap) => {
    context.imageSmoothingEnabled = bitmap.width > width;
    context.globalCompositeOperation = "copy";
    context.drawImage(bitmap, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  });
}

/**
 * Bytes that a decoded picture takes.
 * @param {Source} source
 */
export function bytesOfSource(source) {
  const bitmaps = [...source.levels, ...[...source.patches.values()].map(({ bitmap }) => bitmap)];
  return bitmaps.reduce((sum, bitmap) => sum + bytesOf(bitmap), 0);
}
