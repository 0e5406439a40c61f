// A mask as a message: a box, and the values inside it as runs, row by row: [value, length, value, length, …].

import { copyPart, emptyMask, maskBounds } from "./maskgrid.js";

/** @typedef {import("./maskgrid.js").MaskGrid} MaskGrid */
/** @typedef {import("./messages.js").MaskMessage} MaskMessage */

/**
 * @param {MaskGrid} mask
 * @returns {MaskMessage | null} null if nothing is selected
 */
export function encodeMask(mask) {
  const box = maskBounds(mask);
  if (!box) return null;
  const values = copyPart(mask, mask.data, box);
  const runs = [];
  for (let start = 0, end = 0; start < values.length; start = end) {
    while (end < values.length && values[end] === values[start]) end += 1;
    runs.push(values[start], end - start);
  }
  const { width, height } = mask;
  return { width, height, box: [box.x, box.y, box.x + box.width, box.y + box.height], runs };
}

/**
 * @param {MaskMessage} message
 * @returns {MaskGrid}
 * @throws {RangeError} if the box does not lie in the mask, or the runs do not fill it
 */
export function decodeMask({ width, height, box, runs }) {
  const [left, top, right, bottom] = box;
  if (!(left >= 0 && top >= 0 && left < right && top < bottom && right <= width && bottom <= height)) {
    throw new RangeError(`The box ${box} does not lie in a mask of ${width} × ${height} pixels.`);
  }
  const mask = emptyMask({ width, height });
  const values = new Uint8Array((right - left) * (bottom - top));
  let end = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const [value, length] = [runs[i], runs[i + 1]];
    const isSound = Number.isInteger(value) && value >= 0 && value <= 255 && Number.isInteger(length) && length > 0;
    if (!isSound) throw new RangeError(`A run of a mask is a value of 0 to 255 and a length; got ${value}, ${length}.`);
    if (end + length > values.length) break;
    values.fill(value, end, end + length);
    end += length;
    if (i + 2 === runs.length && end === values.length) return withPart(mask, left, top, right - left, values);
  }
  throw new RangeError(`The runs of a mask do not fill its box ${box}.`);
}

/** @param {MaskGrid} mask @param {number} left @param {number} top @param {number} width @param {Uint8Array} values */
function withPart(mask, left, top, width, values) {
  for (let y = 0; y * width < values.length; y += 1) {
    mask.data.set(values.subarray(y * width, (y + 1) * width), (top + y) * mask.width + left);
  }
  return mask;
}
