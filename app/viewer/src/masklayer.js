// The mask over the pictures: a light tint, through which they can still be judged, and a thin outline. Both are
// updated only where the mask has changed; all panes share them.

import { deviceRatio, make } from "./dom.js";
import { visiblePart } from "./geometry.js";
import { contourRow } from "./maskcontour.js";
import { maskBounds, unionBox } from "./maskgrid.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./maskgrid.js").MaskGrid} MaskGrid */
/** @typedef {"open" | "locked"} Kind */

const BAND = 32; // rows of the mask whose outline is computed and drawn together
/** @type {Record<Kind, {color: number[], opacity: number, line: string}>} */
const STYLES = {
  open: { color: [64, 140, 255], opacity: 0.15, line: "rgba(255, 255, 255, 0.95)" },
  locked: { color: [255, 150, 30], opacity: 0.4, line: "rgb(255, 176, 80)" },
};
const KINDS = /** @type {Kind[]} */ (Object.keys(STYLES));

export class MaskLayer {
  /** @param {import("./maskstate.js").MaskState} state */
  constructor(state) {
    this.state = state;
    const { width, height } = state.size;
    this.tint = make("canvas", { width, height });
    this.context = this.tint.getContext("2d");
    /** @type {Box | null} nothing is drawn outside of it; it only grows until the mask is empty */
    this.bounds = null;
    /** @type {Record<Kind, (Path2D | null)[]>} by band */
    this.outlines = { open: [], locked: [] };
  }

  /** Whether nothing is drawn, now and next time. */
  get isBlank() {
    return !this.bounds && !this.state.stale;
  }

  /** Apply the changes since the last time. */
  update() {
    const { stale } = this.state;
    if (!stale) return;
    this.state.stale = null;
    this.fillTint(stale);
    const { height } = this.state.size;
    const first = Math.floor(Math.max(0, stale.y - 1) / BAND);
    const last = Math.floor(Math.min(height, stale.y + stale.height) / BAND);
    for (const kind of KINDS) {
      for (let band = first; band <= last; band += 1) this.outlines[kind][band] = outlineBand(this.state[kind], band);
    }
    const isEmpty = KINDS.every((kind) => this.outlines[kind].every((path) => !path) && !maskBounds(this.state[kind]));
    this.bounds = isEmpty ? null : unionBox(this.bounds, stale);
  }

  /** @param {Box} box */
  fillTint({ x, y, width, height }) {
    const { locked, size } = this.state;
    const pixels = new ImageData(width, height);
    for (let row = 0, to = 0; row < height; row += 1) {
      const start = (y + row) * size.width + x;
      for (let at = start; at < start + width; at += 1, to += 4) {
        const kind = locked.data[at] ? "locked" : "open";
        const value = this.state[kind].data[at];
        const isGap = kind === "locked" && (x + y + row + at - start) % 4 > 1; // stripes: distinguishable without colours
        if (!value || isGap) continue;
        const { color, opacity } = STYLES[kind];
        [pixels.data[to], pixels.data[to + 1], pixels.data[to + 2]] = color;
        pixels.data[to + 3] = opacity * value;
      }
    }
    this.context.putImageData(pixels, x, y);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./geometry.js").Size} frame
   * @param {number} zoom
   * @param {Point} origin
   * @param {Box} whole of the pane
   * @param {boolean} isTinted
   */
  draw(context, frame, zoom, origin, whole, isTinted) {
    this.update();
    const { bounds, state } = this;
    const part = bounds && visiblePart(state.size, frame, zoom, origin, whole);
    if (!part) return;
    const step = (zoom * frame.width) / state.size.width; // device pixels per LR pixel
    context.save();
    context.transform(step, 0, 0, step, origin.x, origin.y);
    context.imageSmoothingEnabled = true;
    const { x, y, width, height } = part;
    if (isTinted) context.drawImage(this.tint, x, y, width, height, x, y, width, height);
    for (const kind of KINDS) this.strokeOutline(context, kind, part, step);
    context.restore();
  }

  /**
   * Draw a light line on a dark one, which is visible on any picture. @param {CanvasRenderingContext2D} context @param
   * {Kind} kind @param {Box} part @param {number} step
   */
  strokeOutline(context, kind, part, step) {
    const bands = this.outlines[kind].slice(Math.floor(part.y / BAND), Math.floor((part.y + part.height) / BAND) + 1);
    const pixel = Math.max(1, Math.round(deviceRatio())) / step;
    context.lineCap = "round";
    for (const [width, color] of /** @type {[number, string][]} */ ([[3, "rgba(0, 0, 0, 0.55)"], [1, STYLES[kind].line]])) {
      context.lineWidth = width * pixel;
      context.strokeStyle = color;
      for (const path of bands) if (path) context.stroke(path);
    }
  }
}

/**
 * The outline between the rows of one band, including the row above the first one; null if there is none.
 * @param {MaskGrid} mask
 * @param {number} band
 */
function outlineBand(mask, band) {
  let path = null;
  const first = band * BAND;
  for (let y = first ? first : -1; y < Math.min(first + BAND, mask.height); y += 1) {
    const ends = contourRow(mask, y);
    for (let at = 0; at < ends.length; at += 4) {
      path ??= new Path2D();
      path.moveTo(ends[at], ends[at + 1]);
      path.lineTo(ends[at + 2], ends[at + 3]);
    }
  }
  return path;
}
