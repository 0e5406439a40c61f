// Painted temperatures on the pixels of the low-resolution (LR) picture: each pixel has at most one strength, and an
// amount from 0 (not painted) to 255 (fully). Pure functions.

import { encodeMask } from "./maskruns.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./maskgrid.js").MaskGrid} MaskGrid */
/** @typedef {import("./messages.js").HeatMessage} HeatMessage */

const STRENGTHS_PER_UNIT = 20; // of temperature: strengths are whole multiples of 0.05
export const MOST_HEAT = 1.2;
const HALF = 128; // of a stroke: from this amount on, it replaces another strength

/** The strength nearest to a temperature. @param {number} temperature */
export function strengthOf(temperature) {
  return Math.round(temperature * STRENGTHS_PER_UNIT);
}

/** @param {number} strength */
export function temperatureOf(strength) {
  return strength / STRENGTHS_PER_UNIT;
}

/**
 * Paint a strength. Where a pixel already has that strength, the larger amount counts. Where it has another one, the
 * stroke replaces it from half its amount on, so that no pixel mixes two strengths.
 * @param {MaskGrid} amounts
 * @param {Uint8Array} strengths
 * @param {MaskGrid} stroke
 * @param {number} strength
 * @param {Box} box that contains the stroke
 */
export function paintHeat({ width, data }, strengths, stroke, strength, box) {
  for (let y = box.y; y < box.y + box.height; y += 1) {
    for (let at = y * width + box.x; at < y * width + box.x + box.width; at += 1) {
      const force = stroke.data[at];
      if (!force || (data[at] && strengths[at] !== strength && force < HALF)) continue;
      strengths[at] = strength;
      data[at] = Math.max(data[at], force);
    }
  }
}

/**
 * Erase what a stroke covers.
 * @param {MaskGrid} amounts
 * @param {MaskGrid} stroke
 * @param {Box} box that contains the stroke
 */
export function eraseHeat({ width, data }, stroke, box) {
  for (let y = box.y; y < box.y + box.height; y += 1) {
    for (let at = y * width + box.x; at < y * width + box.x + box.width; at += 1) {
      data[at] = Math.min(data[at], 255 - stroke.data[at]);
    }
  }
}

/**
 * Convert to messages: a mask for each strength, in the order given; strengths that are not in the order come last.
 * @param {MaskGrid} amounts
 * @param {Uint8Array} strengths
 * @param {number[]} order
 * @returns {HeatMessage[]}
 */
export function heatMessages({ width, height, data }, strengths, order) {
  const present = new Set(strengths.filter((_, at) => data[at] > 0));
  const wanted = [...order.filter((strength) => present.has(strength)), ...present];
  return [...new Set(wanted)].map((strength) => {
    const own = data.map((amount, at) => (strengths[at] === strength ? amount : 0));
    return { temperature: temperatureOf(strength), mask: encodeMask({ width, height, data: own }) };
  });
}

/**
 * A temperature relative to the one with which the picture was drawn: -1 (calm) to 1 (wild).
 * @param {number} temperature
 * @param {number} drawn
 */
export function wildness(temperature, drawn) {
  if (temperature <= drawn) return drawn ? temperature / drawn - 1 : 0;
  return Math.min(1, (temperature - drawn) / Math.max(MOST_HEAT - drawn, 0.1));
}

/**
 * In words, for a slider.
 * @param {number} temperature
 * @param {number} drawn
 */
export function heatWords(temperature, drawn) {
  const number = temperature.toFixed(2);
  if (temperature === 0) return `${number}, no noise`;
  return Math.abs(wildness(temperature, drawn)) < 0.04 ? `${number}, as drawn` : number;
}
