// What the map says at a pixel, in words. Pure.

/**
 * The meaning of a map's values.
 * @typedef {object} Reading
 * @property {number} minimum
 * @property {number} top
 * @property {number | null} bars the share of the truth that lies within "mean ± value"; null: values are deviations
 * @property {boolean} ofLuma whether they are of the brightness; otherwise of all three channels
 */

/**
 * @param {Reading} reading
 * @param {number} value
 * @param {number[] | null} mean red, green and blue of the samples' mean, if it is there
 */
export function spreadText({ bars, ofLuma }, value, mean) {
  if (bars === null) return `σ ${value.toFixed(1)}`;
  const width = `± ${value < 9.95 ? value.toFixed(1) : value.toFixed(0)}`;
  const share = `${Number((100 * bars).toFixed(1))} %`;
  if (!mean) return `${width} (${share})`;
  const [red, green, blue] = mean;
  const luma = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  return ofLuma ? `brightness ${luma} ${width} (${share})` : `mean ${mean.join(" ")} ${width} each (${share})`;
}
