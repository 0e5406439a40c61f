// Values behind the pictures: the map's values, differences of two pictures, scales and their colours. Pure functions.

import { clamp } from "./geometry.js";

/** @typedef {{width: number, height: number, data: Uint8Array}} Grey */
/** @typedef {[number, number, number]} Rgb */

export const DELTA_UNIT = 16; // differences are whole numbers of 1/16 of an 8-bit level
export const DIFFERENCE_SCALES = [4, 8, 16, 32, 64, 128, 255];
// Dark where two pictures agree, on light and dark pages alike, as on the map.
export const DIFFERENCE_COLORS = ["#a5d4ff", "#2f6fb3", "#14141a", "#b3502f", "#ffcfa5"];

/**
 * @param {string} color "#rrggbb"
 * @returns {Rgb}
 */
export function parseColor(color) {
  const number = Number.parseInt(color.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/**
 * A colour for each of `count` steps along evenly spaced colours: packed r, g, b, 255.
 * @param {string[]} colors
 * @param {number} count
 */
export function colorTable(colors, count) {
  const stops = colors.map(parseColor);
  const table = new Uint8ClampedArray(4 * count);
  for (let i = 0; i < count; i += 1) {
    const at = (i / (count - 1)) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c += 1) table[4 * i + c] = stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]);
    table[4 * i + 3] = 255;
  }
  return table;
}

/**
 * A number with three significant digits, for legends.
 * @param {number} value
 */
export function shortNumber(value) {
  return Number(value.toPrecision(3)).toString();
}

/**
 * @param {number} value
 */
export function signedNumber(value) {
  return value < 0 ? `−${shortNumber(-value)}` : `+${shortNumber(value)}`;
}

/**
 * Luma of `a` minus luma of `b`, in 1/16 of an 8-bit level. Both are RGBA of the same length.
 * @param {Uint8ClampedArray} a
 * @param {Uint8ClampedArray} b
 */
export function lumaDifference(a, b) {
  const deltas = new Int16Array(a.length / 4);
  for (let i = 0, at = 0; i < deltas.length; i += 1, at += 4) {
    const luma = 0.299 * (a[at] - b[at]) + 0.587 * (a[at + 1] - b[at + 1]) + 0.114 * (a[at + 2] - b[at + 2]);
    deltas[i] = Math.round(DELTA_UNIT * luma);
  }
  return deltas;
}

/**
 * The level below which all but a small share of the absolute differences stay, in 8-bit levels.
 * @param {Int16Array} deltas
 * @param {number} share
 */
export function spreadOf(deltas, share = 0.01) {
  const counts = new Uint32Array(256);
  for (const delta of deltas) counts[Math.min(255, Math.ceil(Math.abs(delta) / DELTA_UNIT))] += 1;
  let above = 0;
  for (let level = 255; level > 0; level -= 1) {
    above += counts[level];
    if (above > share * deltas.length) return level;
  }
  return 0;
}

/**
 * The smallest scale that covers a spread.
 * @param {number} spread
 */
export function scaleFor(spread) {
  return DIFFERENCE_SCALES.find((scale) => scale >= spread) ?? 255;
}

/**
 * Differences as colours: RGBA.
 * @param {Int16Array} deltas
 * @param {number} scale the 8-bit levels at both ends of the colours
 */
export function colorDifferences(deltas, scale) {
  const table = colorTable(DIFFERENCE_COLORS, 511); // entry 255 is "equal"
  const pixels = new Uint8ClampedArray(4 * deltas.length);
  for (let i = 0; i < deltas.length; i += 1) {
    const entry = 255 + clamp(Math.round((255 * deltas[i]) / (DELTA_UNIT * scale)), -255, 255);
    for (let c = 0; c < 4; c += 1) pixels[4 * i + c] = table[4 * entry + c];
  }
  return pixels;
}

/**
 * The map's value at an SR pixel.
 * @param {Grey} grey 0 for `minimum`, 255 for `maximum`
 * @param {import("./geometry.js").Point} pixel
 * @param {import("./geometry.js").Size} frame
 * @param {number} minimum
 * @param {number} maximum
 */
export function valueAt(grey, pixel, frame, minimum, maximum) {
  const column = Math.floor(((pixel.x + 0.5) * grey.width) / frame.width);
  const row = Math.floor(((pixel.y + 0.5) * grey.height) / frame.height);
  return minimum + (grey.data[row * grey.width + column] / 255) * (maximum - minimum);
}

/**
 * The centre of the square with the largest sum on the map, as an SR pixel; null for a map that is the same everywhere.
 * @param {Grey} grey
 * @param {import("./geometry.js").Size} frame
 * @param {number} side of the square, in SR pixels
 * @returns {import("./geometry.js").Point | null}
 */
export function busiestPlace(grey, frame, side) {
  const { width, height, data } = grey;
  if (data.every((value) => value === data[0])) return null;
  const across = clamp(Math.round((side * width) / frame.width), 1, width);
  const down = clamp(Math.round((side * height) / frame.height), 1, height);
  const columns = width + 1;
  const sums = new Float64Array(columns * (height + 1)); // summed over everything above and to the left
  for (let y = 0; y < height; y += 1) {
    for (let x = 0, row = 0; x < width; x += 1) {
      row += data[y * width + x];
      sums[(y + 1) * columns + x + 1] = sums[y * columns + x + 1] + row;
    }
  }
  let best = { sum: -1, x: 0, y: 0 };
  for (let y = 0; y + down <= height; y += 1) {
    for (let x = 0; x + across <= width; x += 1) {
      const [above, below] = [y * columns, (y + down) * columns];
      const sum = sums[below + x + across] - sums[below + x] - sums[above + x + across] + sums[above + x];
      if (sum > best.sum) best = { sum, x, y };
    }
  }
  return {
    x: Math.floor(((best.x + across / 2) * frame.width) / width),
    y: Math.floor(((best.y + down / 2) * frame.height) / height),
  };
}
