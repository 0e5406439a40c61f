// Painted temperatures, and the strokes that can be undone. No DOM.

import { eraseHeat, heatMessages, paintHeat, strengthOf } from "./heatgrid.js";
import { copyPart, emptyMask, fillBox, fillOutline, FULL, paintStroke, swapPart, unionBox } from "./maskgrid.js";
import { MaskState } from "./maskstate.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./maskgrid.js").MaskGrid} MaskGrid */
/** @typedef {import("./maskstate.js").Change & {strengths: Uint8Array, order: number[]}} HeatChange */

/** `chosen` has the amount to which each pixel takes its strength; nothing is locked. */
export class HeatState extends MaskState {
  /** @param {import("./geometry.js").Size} size of the LR picture */
  constructor(size) {
    super(size);
    this.strengths = new Uint8Array(size.width * size.height);
    this.strength = 0; // the current one
    /** @type {number[]} the strengths, the one painted last at the end: what precedes it need not be drawn again */
    this.order = [];
    this.brush = emptyMask(size); // the current stroke
    this.before = { strengths: this.strengths, order: this.order }; // that stroke
  }

  /** @param {number} temperature */
  setTemperature(temperature) {
    this.strength = strengthOf(temperature);
  }

  begin() {
    super.begin("chosen");
    this.before = { strengths: this.strengths.slice(), order: [...this.order] };
    this.brush.data.fill(0);
  }

  /** @param {Point} from @param {Point} to @param {number} radius @param {boolean} isErasing */
  paint(from, to, radius, isErasing) {
    this.lay(paintStroke(this.brush, from, to, radius, false), isErasing);
  }

  /** @param {Point[]} points @param {number} value */
  outline(points, value) {
    this.lay(fillOutline(this.brush, points, FULL), !value);
  }

  /** @param {import("./maskstate.js").Target} _target @param {Box} box @param {number} value */
  fill(_target, box, value) {
    this.lay(fillBox(this.brush, box, FULL), !value);
  }

  /** Paint a whole mask as one stroke. @param {MaskGrid} mask @returns {boolean} whether it has changed anything */
  stamp(mask) {
    this.begin();
    this.brush.data.set(mask.data);
    this.lay({ x: 0, y: 0, ...this.size }, false);
    return this.end();
  }

  /** Apply the stroke to what is painted. @param {Box | null} box @param {boolean} isErasing */
  lay(box, isErasing) {
    if (!box) return;
    if (isErasing) eraseHeat(this.chosen, this.brush, box);
    else paintHeat(this.chosen, this.strengths, this.brush, this.strength, box);
    if (!isErasing) this.order = [...this.order.filter((one) => one !== this.strength), this.strength];
    this.touch("chosen", box);
  }

  cancel() {
    if (this.stroke) Object.assign(this, this.before);
    super.cancel();
  }

  /**
   * @param {import("./maskstate.js").Stroke} stroke
   * @returns {HeatChange | null}
   */
  changeOf(stroke) {
    const box = stroke.touched;
    const kept = copyPart(this.size, stroke.before, box);
    const strengths = copyPart(this.size, this.before.strengths, box);
    const now = [this.chosen.data, this.strengths].map((data) => copyPart(this.size, data, box));
    // Where nothing is painted before and after, the strength has no meaning.
    const isSame = kept.every((amount, at) => amount === now[0][at] && (!amount || strengths[at] === now[1][at]));
    return isSame ? null : { target: "chosen", box, kept, strengths, order: this.before.order };
  }

  /** @param {HeatChange} change */
  swap(change) {
    swapPart({ ...this.size, data: this.strengths }, change.box, change.strengths);
    [this.order, change.order] = [change.order, this.order];
    super.swap(change);
  }

  /** The message for Python: a mask for each temperature. */
  heat() {
    return heatMessages(this.chosen, this.strengths, this.order);
  }

  /** Remove everything painted, and the strokes to undo. */
  reset() {
    this.cancel();
    this.chosen.data.fill(0);
    this.open.data.fill(0);
    [this.past, this.future, this.order, this.floating] = [[], [], [], null];
    this.stale = unionBox(this.stale, { x: 0, y: 0, ...this.size });
  }
}
