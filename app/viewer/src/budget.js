// How much of a picture is kept decoded. Pure functions.  A picture is kept whole only up to RESIDENT_PIXELS. For a
// larger one, the viewer keeps a reduced copy. Where the picture is shown larger than that copy, it also keeps a patch:
// the visible part, at the resolution of the screen. The decoded amount then depends on the screen and the number of
// pictures, not on their size.

import { contains } from "./geometry.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {{halvings: number, box: Box, bitmap: ImageBitmap, used: number}} Patch */

export const RESIDENT_PIXELS = 1_310_720; // 1280 x 1024: 5 MB, with its smaller copies 7 MB
export const PATCH_BYTES = 128 * 2 ** 20; // of patches, including hidden ones; visible ones are always kept
const SMALLEST_SIDE = 128; // the longer side of the smallest copy, in pixels
const PATCH_MARGIN = 0.25; // relative margin on each side of the visible part, so that small moves need no decoding
const PATCH_GRID = 32; // patches begin and end at multiples of this, in the picture's pixels

/**
 * How often a picture must be halved so that it can be kept whole.
 * @param {import("./geometry.js").Size} picture
 */
export function residentHalvings({ width, height }) {
  let halvings = 0;
  while (Math.ceil(width / 2 ** halvings) * Math.ceil(height / 2 ** halvings) > RESIDENT_PIXELS) halvings += 1;
  return halvings;
}

/**
 * Whether a copy is large enough to get a smaller one.
 * @param {import("./geometry.js").Size} copy
 */
export function hasSmallerCopy({ width, height }) {
  return Math.max(width, height) >= 2 * SMALLEST_SIDE;
}

/**
 * The area to decode for a visible part: the part with a margin.
 * @param {Box} part
 * @param {import("./geometry.js").Size} picture
 * @returns {Box}
 */
export function patchBox(part, picture) {
  /** @type {(start: number, size: number, limit: number) => [number, number]} */
  const extend = (start, size, limit) => {
    const low = Math.floor((start - PATCH_MARGIN * size) / PATCH_GRID) * PATCH_GRID;
    const high = Math.ceil((start + (1 + PATCH_MARGIN) * size) / PATCH_GRID) * PATCH_GRID;
    return [Math.max(0, low), Math.min(limit, high)];
  };
  const [left, right] = extend(part.x, part.width, picture.width);
  const [top, bottom] = extend(part.y, part.height, picture.height);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * Whether a patch can show a part at this resolution: fine enough, and at most twice as fine.
 * @param {Patch | undefined} patch
 * @param {{halvings: number, part: Box}} want
 */
export function serves(patch, want) {
  return Boolean(
    patch &&
      patch.halvings <= want.halvings &&
      patch.halvings >= want.halvings - 1 &&
      contains(patch.box, want.part),
  );
}

/**
 * @param {{width: number, height: number}} bitmap
 */
export function bytesOf(bitmap) {
  return 4 * bitmap.width * bitmap.height;
}

/**
 * Which patches to drop so that the rest is within the budget: the least recently used ones, never those in use.
 * @param {Patch[]} patches
 * @param {number} now the value of `used` of those in use
 * @param {number} [budget]
 * @returns {Patch[]}
 */
export function patchesToDrop(patches, now, budget = PATCH_BYTES) {
  let total = patches.reduce((sum, patch) => sum + bytesOf(patch.bitmap), 0);
  const dropped = [];
  for (const patch of patches.filter(({ used }) => used < now).sort((a, b) => a.used - b.used)) {
    if (total <= budget) break;
    total -= bytesOf(patch.bitmap);
    dropped.push(patch);
  }
  return dropped;
}
