// A mask: one byte for each pixel of the low-resolution (LR) picture, 0 (not selected) to 255. Pure functions that
// paint in it. Positions are in LR pixels: pixel (x, y) covers x … x + 1, and its centre lies at x + 0.5.

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Size} Size */
/** @typedef {{width: number, height: number, data: Uint8Array}} MaskGrid */

export const FULL = 255;
export const DIAMETERS = [1, 128]; // smallest and largest brush, in LR pixels
const HARD_SHARE = 0.5; // of a brush's radius: fully selected; from there it falls smoothly to 0 at the rim

/** @param {Size} size @returns {MaskGrid} */
export function emptyMask({ width, height }) {
  return { width, height, data: new Uint8Array(width * height) };
}

/**
 * The whole pixels of the grid that an area touches; null if it touches none.
 * @param {Size} size
 * @param {number} left
 * @param {number} top
 * @param {number} right
 * @param {number} bottom
 * @returns {Box | null}
 */
export function pixelBox(size, left, top, right, bottom) {
  const [x, y] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
  const width = Math.min(size.width, Math.ceil(right)) - x;
  const height = Math.min(size.height, Math.ceil(bottom)) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

/**
 * @param {Box | null} a
 * @param {Box | null} b
 * @returns {Box | null} the smallest box that holds both
 */
export function unionBox(a, b) {
  if (!a || !b) return a ?? b;
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  const width = Math.max(a.x + a.width, b.x + b.width) - x;
  return { x, y, width, height: Math.max(a.y + a.height, b.y + b.height) - y };
}

/**
 * How strongly a round, soft brush selects at a distance from its centre: 0 … 255.
 * @param {number} distance
 * @param {number} radius
 */
export function brushStrength(distance, radius) {
  const t = Math.min(1, Math.max(0, (distance / radius - HARD_SHARE) / (1 - HARD_SHARE)));
  return Math.round(FULL * (1 - t * t * (3 - 2 * t)));
}

/**
 * Paint a stroke of the brush between two points. A pixel keeps the largest value it gets, so that a stroke that
 * crosses itself leaves no mark there; the pixels in which the stroke begins and ends are always fully selected.
 * @param {MaskGrid} mask
 * @param {Point} from
 * @param {Point} to
 * @param {number} radius
 * @param {boolean} isErasing
 * @returns {Box | null} the area that may have changed
 */
export function paintStroke(mask, from, to, radius, isErasing) {
  const reach = Math.max(radius, 1);
  const [left, right] = [Math.min(from.x, to.x) - reach, Math.max(from.x, to.x) + reach];
  const [top, bottom] = [Math.min(from.y, to.y) - reach, Math.max(from.y, to.y) + reach];
  const box = pixelBox(mask, left, top, right, bottom);
  if (!box) return null;
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const squared = dx * dx + dy * dy;
  for (let y = box.y; y < box.y + box.height; y += 1) {
    for (let x = box.x; x < box.x + box.width; x += 1) {
      const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
      const along = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const distance = Math.hypot(px - along * dx, py - along * dy);
      if (distance < radius) putStrength(mask, y * mask.width + x, brushStrength(distance, radius), isErasing);
    }
  }
  for (const point of [from, to]) {
    const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
    const isInside = x >= 0 && y >= 0 && x < mask.width && y < mask.height;
    if (isInside) putStrength(mask, y * mask.width + x, FULL, isErasing);
  }
  return box;
}

/** @param {MaskGrid} mask @param {number} at @param {number} strength @param {boolean} isErasing */
function putStrength({ data }, at, strength, isErasing) {
  data[at] = isErasing ? Math.min(data[at], FULL - strength) : Math.max(data[at], strength);
}

/**
 * @param {MaskGrid} mask
 * @param {Box} box inside the mask
 * @param {number} value
 */
export function fillBox(mask, box, value) {
  for (let y = box.y; y < box.y + box.height; y += 1) {
    const start = y * mask.width + box.x;
    mask.data.fill(value, start, start + box.width);
  }
  return box;
}

/**
 * Fill all pixels whose centre lies inside an outline, which is closed from its last point to its first. Areas that it
 * encloses twice are inside, too.
 * @param {MaskGrid} mask
 * @param {Point[]} points
 * @param {number} value
 * @returns {Box | null} the area that may have changed
 */
export function fillOutline(mask, points, value) {
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  /** @type {(values: number[]) => [number, number]} */
  const range = (values) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const [[left, right], [top, bottom]] = [range(xs), range(ys)];
  const box = pixelBox(mask, left, top, right, bottom);
  if (!box) return null;
  for (let y = box.y; y < box.y + box.height; y += 1) {
    let winding = 0;
    let start = 0;
    for (const { x, turn } of crossings(points, y + 0.5)) {
      if (!winding) start = x;
      winding += turn;
      if (winding) continue;
      const [first, end] = [Math.max(0, Math.ceil(start - 0.5)), Math.min(mask.width, Math.ceil(x - 0.5))];
      if (end > first) mask.data.fill(value, y * mask.width + first, y * mask.width + end);
    }
  }
  return box;
}

/**
 * Where an outline crosses a height, from left to right, and whether it goes down (1) or up (-1) there.
 * @param {Point[]} points
 * @param {number} y
 */
function crossings(points, y) {
  const found = [];
  for (const [index, a] of points.entries()) {
    const b = points[(index + 1) % points.length];
    if (a.y <= y === b.y <= y) continue;
    found.push({ x: a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x), turn: a.y <= y ? 1 : -1 });
  }
  return found.sort((a, b) => a.x - b.x);
}

/** @param {MaskGrid} mask @returns {Box} all of it */
export function invertMask(mask) {
  for (let at = 0; at < mask.data.length; at += 1) mask.data[at] = FULL - mask.data[at];
  return { x: 0, y: 0, width: mask.width, height: mask.height };
}

/**
 * Write selected pixels that are not locked to a third mask, inside a box.
 * @param {MaskGrid} chosen
 * @param {MaskGrid} locked
 * @param {MaskGrid} result
 * @param {Box} box
 */
export function subtractMask(chosen, locked, result, box) {
  for (let y = box.y; y < box.y + box.height; y += 1) {
    const end = y * chosen.width + box.x + box.width;
    for (let at = end - box.width; at < end; at += 1) {
      result.data[at] = Math.max(0, chosen.data[at] - locked.data[at]);
    }
  }
}

/**
 * @param {MaskGrid} mask
 * @returns {Box | null} the smallest box outside which the mask is 0; null if it is 0 everywhere
 */
export function maskBounds({ width, height, data }) {
  let [left, right, top, bottom] = [width, -1, -1, -1];
  for (let y = 0; y < height; y += 1) {
    const row = y * width;
    let x = 0;
    while (x < width && !data[row + x]) x += 1;
    if (x === width) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, x);
    x = width - 1;
    while (!data[row + x]) x -= 1;
    right = Math.max(right, x);
  }
  return top < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * Exchange a part of a mask with its stored copy: once undoes a change, twice redoes it.
 * @param {MaskGrid} mask
 * @param {Box} box
 * @param {Uint8Array} kept the part, row by row
 */
export function swapPart(mask, box, kept) {
  for (let y = 0; y < box.height; y += 1) {
    const start = (box.y + y) * mask.width + box.x;
    const row = mask.data.slice(start, start + box.width);
    mask.data.set(kept.subarray(y * box.width, (y + 1) * box.width), start);
    kept.set(row, y * box.width);
  }
}

/**
 * A copy of a part of a mask, row by row.
 * @param {Size} size of the mask
 * @param {Uint8Array} data
 * @param {Box} box
 */
export function copyPart({ width }, data, box) {
  const part = new Uint8Array(box.width * box.height);
  for (let y = 0; y < box.height; y += 1) {
    const start = (box.y + y) * width + box.x;
    part.set(data.subarray(start, start + box.width), y * box.width);
  }
  return part;
}
