// The outline of a mask: marching squares between the centres of neighbouring pixels; outside the mask counts as 0.
// Pure.

/** @typedef {import("./maskgrid.js").MaskGrid} MaskGrid */

const LEVEL = 127.5; // half selected; between 0 and 255 the line then runs along the pixels' border
const [TOP, RIGHT, BOTTOM, LEFT] = [0, 1, 2, 3];

/**
 * Which sides of a square the outline connects, by the corners that are inside: 8 top left, 4 top right, 2 bottom
 * right, 1 bottom left. Opposite corners are kept apart.
 */
const LINES = [
  [],
  ...[[LEFT, BOTTOM], [BOTTOM, RIGHT], [LEFT, RIGHT], [TOP, RIGHT], [TOP, RIGHT, LEFT, BOTTOM], [TOP, BOTTOM], [LEFT, TOP]],
  ...[[LEFT, TOP], [TOP, BOTTOM], [LEFT, TOP, BOTTOM, RIGHT], [TOP, RIGHT], [LEFT, RIGHT], [BOTTOM, RIGHT], [LEFT, BOTTOM]],
  [],
];

/**
 * The pieces of the outline between pixel rows `y` and `y + 1`; rows outside the mask count as 0.
 * @param {MaskGrid} mask
 * @param {number} y
 * @returns {number[]} x and y of both ends of each piece, in LR pixels
 */
export function contourRow({ width, height, data }, y) {
  /** @type {(x: number, row: number) => number} */
  const value = (x, row) => (x < 0 || x >= width || row < 0 || row >= height ? 0 : data[row * width + x]);
  const found = [];
  let [a, d] = [0, 0];
  for (let x = -1; x < width; x += 1) {
    const [b, c] = [value(x + 1, y), value(x + 1, y + 1)];
    const corners = (a > LEVEL ? 8 : 0) + (b > LEVEL ? 4 : 0) + (c > LEVEL ? 2 : 0) + (d > LEVEL ? 1 : 0);
    for (const side of LINES[corners]) {
      if (side === TOP) found.push(x + 0.5 + share(a, b), y + 0.5);
      else if (side === RIGHT) found.push(x + 1.5, y + 0.5 + share(b, c));
      else if (side === BOTTOM) found.push(x + 0.5 + share(d, c), y + 1.5);
      else found.push(x + 0.5, y + 0.5 + share(a, d));
    }
    [a, d] = [b, c];
  }
  return found;
}

/** The position of the level between two neighbours, from 0 to 1. @param {number} from @param {number} to */
function share(from, to) {
  return (LEVEL - from) / (to - from);
}
