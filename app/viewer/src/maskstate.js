// What is painted: the selected region, its locked parts, and the strokes that can be undone. No DOM.

import { boxInside } from "./maskboxes.js";
import { copyPart, emptyMask, fillBox, fillOutline, FULL, invertMask } from "./maskgrid.js";
import { maskBounds, paintStroke, subtractMask, swapPart, unionBox } from "./maskgrid.js";
import { encodeMask } from "./maskruns.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {"chosen" | "locked"} Target the mask that is painted */
/** @typedef {{target: Target, box: Box, kept: Uint8Array}} Change */
/** @typedef {{target: Target, before: Uint8Array, touched: Box | null}} Stroke */

const MAX_CHANGES = 100;
const MAX_BYTES = 48 * 2 ** 20; // of the data kept for undo

export class MaskState {
  /** @param {import("./geometry.js").Size} size of the LR picture */
  constructor({ width, height }) {
    this.size = { width, height };
    this.chosen = emptyMask(this.size);
    this.locked = emptyMask(this.size);
    this.open = emptyMask(this.size); // selected and not locked: what is shown and sent
    /** @type {Change[]} */
    this.past = [];
    /** @type {Change[]} */
    this.future = [];
    /** @type {Stroke | null} */
    this.stroke = null;
    /** @type {Box | null} the last box, as long as it can still be moved */
    this.floating = null;
    /**
     * @type {{target: Target, isStep: boolean} | null} isStep: whether the box is a step to undo; otherwise it was
     * selected before
     */
    this.floatingIn = null;
    this.isUsed = false; // the selection has been used: the next stroke that adds begins a new region
    /** @type {Box | null} the area that has changed since the last drawing */
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
   * @param {boolean} [isAdding] whether it selects something; a region that has been used is then removed in the same
   * step
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

  /** Mark the selection as used. It stays until something else is selected. */
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
   * The change that undoes a stroke; null if it has changed nothing.
   * @param {Stroke} stroke
   * @returns {Change | null}
   */
  changeOf({ target, before, touched }) {
    const kept = copyPart(this.size, before, touched);
    const now = copyPart(this.size, this[target].data, touched);
    return kept.every((value, at) => value === now[at]) ? null : { target, box: touched, kept };
  }

  /** Cancel the current stroke. */
  cancel() {
    if (!this.stroke) return;
    const { target, before, touched } = this.stroke;
    this.stroke = null;
    this[target].data.set(before);
    this.touch(target, touched);
  }

  // ------------------------------------------------------------ single steps

  /**
   * Add a box. It can still be moved: it then replaces its previous position, and remains one step to undo.
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
    this.floating = value ? inside : null; // after erasing, nothing is left to move
  }

  /** Fill a box in the current stroke. @param {Target} target @param {Box} box @param {number} value */
  fill(target, box, value) {
    this.touch(target, fillBox(this[target], box, value));
  }

  /** Fix the box; the next one is separate. */
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

  // ------------------------------------------------------------ undo and redo

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

  /** The message for Python. */
  message() {
    return encodeMask(this.open);
  }
}
