// What is painted: the chosen place, what is locked in it, and the strokes that can be undone. No DOM.

import { boxInside } from "./maskboxes.js";
import { copyPart, emptyMask, fillBox, fillOutline, FULL, invertMask } from "./maskgrid.js";
import { maskBounds, paintStroke, subtractMask, swapPart, unionBox } from "./maskgrid.js";
import { encodeMask } from "./maskruns.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {"chosen" | "locked"} Target what is painted in */
/** @typedef {{target: Target, box: Box, kept: Uint8Array}} Change */
/** @typedef {{target: Target, before: Uint8Array, touched: Box | null}} Stroke */

const MAX_CHANGES = 100;
const MAX_BYTES = 48 * 2 ** 20; // of what is kept to undo strokes

export class MaskState {
  /** @param {import("./geometry.js").Size} size of the LR picture */
  constructor({ width, height }) {
    this.size = { width, height };
    this.chosen = emptyMask(this.size);
    this.locked = emptyMask(this.size);
    this.open = emptyMask(this.size); // chosen and not locked: what is shown and sent
    /** @type {Change[]} */
    this.past = [];
    /** @type {Change[]} */
    this.future = [];
    /** @type {Stroke | null} */
    this.stroke = null;
    /** @type {Box | null} the last box, as long as it can still be moved */
    this.floating = null;
    /** @type {{target: Target, isStep: boolean} | null} isStep: else it was chosen before, and there is nothing to undo */
    this.floatingIn = null;
    this.isUsed = false; // what was chosen is done with: the next stroke that adds begins another place
    /** @type {Box | null} what has changed since it was drawn last */
    this.stale = null;
  }

  get canUndo() {
    return this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  get isEmpty() {
    return !maskBounds(this.open);
  }

  // ------------------------------------------------------------ strokes

  /**
   * Begin a stroke. Until its end it can be cancelled; afterwards it is one step to undo.
   * @param {Target} target
   * @param {boolean} [isAdding] whether it chooses something; then, a place that is done with goes in the same step
   */
  begin(target, isAdding = false) {
    this.cancel();
    this.floating = null;
    this.stroke = { target, before: this[target].data.slice(), touched: null };
    if (target === "chosen" && isAdding && this.isUsed) this.wipe(target);
  }

  /** @param {Target} target */
  wipe(target) {
    const bounds = maskBounds(this[target]);
    if (bounds) this.touch(target, fillBox(this[target], bounds, 0));
  }

  /** What is chosen has served its purpose. It stays until something else is chosen. */
  markUsed() {
    this.floating = null;
    this.isUsed = true;
  }

  /** @param {Point} from @param {Point} to @param {number} radius @param {boolean} isErasing */
  paint(from, to, radius, isErasing) {
    this.touch(this.stroke.target, paintStroke(this[this.stroke.target], from, to, radius, isErasing));
  }

  /** @param {Point[]} points @param {number} value */
  outline(points, value) {
    this.touch(this.stroke.target, fillOutline(this[this.stroke.target], points, value));
  }

  /** @returns {boolean} whether the stroke has changed anything */
  end() {
    if (!this.stroke) return false;
    const { stroke } = this;
    this.stroke = null;
    if (!stroke.touched) return false;
    if (stroke.target === "chosen") this.isUsed = false;
    const change = this.changeOf(stroke);
    if (change) this.push(change);
    return Boolean(change);
  }

  /**
   * What undoes a stroke; null if it has changed nothing.
   * @param {Stroke} stroke
   * @returns {Change | null}
   */
  changeOf({ target, before, touched }) {
    const kept = copyPart(this.size, before, touched);
    const now = copyPart(this.size, this[target].data, touched);
    return kept.every((value, at) => value === now[at]) ? null : { target, box: touched, kept };
  }

  /** Take back the stroke under way. */
  cancel() {
    if (!this.stroke) return;
    const { target, before, touched } = this.stroke;
    this.stroke = null;
    this[target].data.set(before);
    this.touch(target, touched);
  }

  // ------------------------------------------------------------ steps at once

  /**
   * Put a box in. It floats: moved, it takes the place of the former one, and it all stays one step to undo.
   * @param {Target} target
   * @param {Box} box
   * @param {number} [value]
   */
  putBox(target, box, value = FULL) {
    if (this.floating && this.floatingIn.target === target) this.takeOutFloating();
    const inside = boxInside(box, this.size);
    this.begin(target, value > 0);
    this.fill(target, inside, value);
    this.floatingIn = { target, isStep: this.end() };
    this.floating = value ? inside : null; // erased, there is nothing left to be moved
  }

  /** In the stroke under way. @param {Target} target @param {Box} box @param {number} value */
  fill(target, box, value) {
    this.touch(target, fillBox(this[target], box, value));
  }

  /** The box stays as it is; the next one is another. */
  settle() {
    this.floating = null;
  }

  takeOutFloating() {
    this.floating = null;
    if (this.floatingIn.isStep) this.swap(this.past.pop());
  }

  /** @param {Target} target */
  clear(target) {
    this.begin(target);
    this.wipe(target);
    return this.end();
  }

  /** @param {Target} target */
  invert(target) {
    this.begin(target);
    this.touch(target, invertMask(this[target]));
    return this.end();
  }

  // ------------------------------------------------------------ back and forth

  undo() {
    return this.shift(this.past, this.future);
  }

  redo() {
    return this.shift(this.future, this.past);
  }

  /** @param {Change[]} from @param {Change[]} to */
  shift(from, to) {
    this.cancel();
    this.floating = null;
    const change = from.pop();
    if (!change) return false;
    this.swap(change);
    to.push(change);
    return true;
  }

  /** @param {Change} change */
  push(change) {
    this.future = [];
    this.past.push(change);
    let bytes = this.past.reduce((sum, { kept }) => sum + kept.length, 0);
    while (this.past.length > 1 && (this.past.length > MAX_CHANGES || bytes > MAX_BYTES)) {
      bytes -= this.past.shift().kept.length;
    }
  }

  /** @param {Change} change */
  swap({ target, box, kept }) {
    swapPart(this[target], box, kept);
    this.touch(target, box);
  }

  /** @param {Target} target @param {Box | null} box */
  touch(target, box) {
    if (!box) return;
    subtractMask(this.chosen, this.locked, this.open, box);
    if (this.stroke?.target === target) this.stroke.touched = unionBox(this.stroke.touched, box);
    this.stale = unionBox(this.stale, box);
  }

  /** What is sent to Python. */
  message() {
    return encodeMask(this.open);
  }
}
