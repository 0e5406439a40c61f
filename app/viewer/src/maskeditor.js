// Selecting a region: the current tool, what it paints, and the effects of a stroke: a drawing, an announcement, a
// message.

import { boxAbout, boxMoved, boxResized } from "./maskboxes.js";
import { DIAMETERS } from "./maskgrid.js";
import { MaskLayer } from "./masklayer.js";
import { MaskRow } from "./maskrow.js";
import { MaskState } from "./maskstate.js";
import { MASK_TOOLS } from "./masktools.js";
import { maskKey } from "./maskkeys.js";
import { maskEvent } from "./messages.js";
import { clamp } from "./geometry.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {"brush" | "box" | "lasso" | "eraser"} MaskToolName */

const FIRST_SHARE_OF_SIDE = 0.12; // initial diameter of the brush, relative to the shorter side of the LR picture
const SIZE_STEP = 1.2;

export class MaskEditor {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.isChoosing = false;
    /** @type {MaskToolName} */
    this.toolName = "brush";
    /** @type {import("./maskstate.js").Target} */
    this.target = "chosen";
    this.diameter = 0; // in LR pixels; 0: not known yet
    this.picture = ""; // identifies the LR picture
    /** @type {MaskState | null} created when a tool is used for the first time */
    this.painted = null;
    /** @type {MaskLayer | null} */
    this.layer = null;
    /** @type {string | null} id of the picture that was painted on last */
    this.paintedOn = null;
    this.tools = Object.fromEntries(Object.entries(MASK_TOOLS).map(([name, build]) => [name, build(this)]));
    this.row = this.buildRow();
  }

  // The painting of temperatures overrides the following.

  buildState() {
    return new MaskState(this.size);
  }

  buildLayer() {
    return new MaskLayer(this.painted);
  }

  buildRow() {
    return new MaskRow(this);
  }

  /** Whether a region can be selected in this scene. */
  get isAvailable() {
    return Boolean(this.viewer.scene?.grid && this.viewer.pictures.size);
  }

  /** The tool that has the pointer, or null. @returns {import("./tools.js").Tool | null} */
  get tool() {
    return this.isChoosing && this.isAvailable ? this.tools[this.toolName] : null;
  }

  get isEmpty() {
    return !this.painted || this.painted.isEmpty;
  }

  get hasBrush() {
    return this.toolName === "brush" || this.toolName === "eraser";
  }

  get state() {
    if (!this.painted) {
      this.painted = this.buildState();
      this.layer = this.buildLayer();
    }
    return this.painted;
  }

  /** The size of the LR picture. */
  get size() {
    const [width, height] = this.viewer.scene.grid;
    return { width, height };
  }

  /** Device pixels per LR pixel. */
  step() {
    const { view, frame } = this.viewer;
    return (view.zoom * frame.width) / this.size.width;
  }

  /** Update after a new scene: what was painted belongs to its LR picture. */
  takeScene() {
    const grid = this.viewer.scene?.grid;
    const picture = grid ? JSON.stringify([this.viewer.scene.subject, grid]) : "";
    if (picture !== this.picture) this.forget();
    this.picture = picture;
    if (!grid) this.isChoosing = false;
    this.diameter ||= grid ? clamp(Math.round(FIRST_SHARE_OF_SIDE * Math.min(...grid)), 3, 32) : 0;
  }

  forget() {
    if (this.painted) this.tool?.cancel?.();
    this.painted = null;
    this.layer = null;
    this.paintedOn = null;
    this.diameter = 0;
  }

  // ------------------------------------------------------------ the visitor's actions

  /** @param {boolean} [isChoosing] */
  toggle(isChoosing = !this.isChoosing) {
    if (!this.isAvailable || isChoosing === this.isChoosing) return;
    this.tool?.cancel?.();
    this.isChoosing = isChoosing;
    if (isChoosing) this.viewer.loupe = false;
    if (isChoosing) this.viewer.exploring.endOthers(this);
    this.painted?.settle();
    this.viewer.announce(this.toggleWords(isChoosing));
    this.viewer.refresh();
  }

  /** @param {boolean} isChoosing */
  toggleWords(isChoosing) {
    return isChoosing ? `Select a region: ${this.toolName}` : "Finished choosing";
  }

  /** @param {MaskToolName} name */
  setTool(name) {
    this.tool?.cancel?.();
    this.painted?.settle();
    this.toolName = name;
    this.viewer.refresh();
  }

  /** @param {import("./maskstate.js").Target} target */
  setTarget(target) {
    this.painted?.settle();
    this.target = target;
    this.viewer.refresh();
  }

  /** @param {number} diameter */
  setDiameter(diameter) {
    this.diameter = clamp(diameter, DIAMETERS[0], DIAMETERS[1]);
    this.row.refresh();
    this.viewer.exploring.ring.place();
  }

  /** @param {number} direction */
  stepDiameter(direction) {
    const next = Math.round(this.diameter * SIZE_STEP ** direction);
    this.setDiameter(next === this.diameter ? next + direction : next);
  }

  /** @param {boolean} isAdding */
  begin(isAdding) {
    this.state.begin(this.target, isAdding);
  }

  end() {
    if (this.state.end()) this.onStroke();
    this.viewer.invalidate();
  }

  cancel() {
    this.painted?.cancel();
    this.viewer.invalidate();
  }

  /**
   * @param {Box} box
   * @param {{isNew?: boolean, isErasing?: boolean}} [options] isNew: the previous box stays where it is
   */
  putBox(box, { isNew = false, isErasing = false } = {}) {
    if (isNew) this.state.settle();
    this.state.putBox(this.target, box, isErasing ? 0 : undefined);
    this.onStroke();
  }

  undo() {
    if (this.painted?.undo()) this.onStroke("Stroke undone");
    else this.viewer.announce("No stroke to undo");
  }

  redo() {
    if (this.painted?.redo()) this.onStroke("Stroke redone");
    else this.viewer.announce("No stroke to redo");
  }

  clear() {
    if (this.painted?.clear(this.target)) this.onStroke("Cleared");
  }

  invert() {
    if (this.state.invert(this.target)) this.onStroke("Inverted");
  }

  /** @param {string} [word] */
  onStroke(word = "") {
    const { viewer } = this;
    const message = this.state.message();
    const [left, top, right, bottom] = message?.box ?? [];
    const place = message ? `Selected: within ${left}, ${top} to ${right}, ${bottom}` : "Nothing is selected";
    viewer.announce([word, place].filter(Boolean).join(". "));
    this.row.refresh();
    viewer.exploring.bar.refresh();
    viewer.invalidate();
    // A box moved by keys is sent when it has stopped, a stroke at once.
    viewer.report("mask", maskEvent(viewer.scene, message, viewer.exploring.bar.base() ?? ""), this.state.floating ? undefined : 0);
  }

  // ------------------------------------------------------------ keys

  /** @param {KeyboardEvent} event @returns {boolean} whether the key had a meaning here */
  onKey(event) {
    if (!this.tool) return false;
    const meaning = maskKey(event, this.toolName === "box");
    if (!meaning) return false;
    const { action, move } = meaning;
    if (move) return this.moveBox(move, event.shiftKey);
    /** @type {Record<string, () => void>} */
    const actions = {
      undo: () => this.undo(),
      redo: () => this.redo(),
      larger: () => this.stepDiameter(1),
      smaller: () => this.stepDiameter(-1),
      enter: () => this.enterBox(),
      erase: () => this.eraseBox(),
    };
    actions[action]();
    return true;
  }

  /** @param {number[]} move @param {boolean} isResizing */
  moveBox([dx, dy], isResizing) {
    const floating = this.painted?.floating;
    if (!floating) return false;
    this.putBox((isResizing ? boxResized : boxMoved)(floating, dx, dy, this.size));
    return true;
  }

  /** Add a box in the middle of what is shown; if one can still be moved, leave it there. */
  enterBox() {
    const { painted, viewer, size } = this;
    if (!painted?.floating) {
      const { view, frame } = viewer;
      const centre = { x: (view.x * size.width) / frame.width, y: (view.y * size.height) / frame.height };
      return this.putBox(boxAbout(centre, size));
    }
    painted.settle();
    viewer.announce("The box is added. Press Enter for another one.");
    this.row.refresh();
    viewer.invalidate();
  }

  eraseBox() {
    if (this.painted?.floating) this.putBox(this.painted.floating, { isErasing: true });
  }

  // ------------------------------------------------------------ drawing

  /** @param {import("./panes.js").Pane} pane @param {import("./geometry.js").Point} origin @param {Box} whole */
  draw({ context }, origin, whole) {
    const { frame, view } = this.viewer;
    // Only the outline while nobody paints: no tint may affect the judgement of the picture.
    this.layer?.draw(context, frame, view.zoom, origin, whole, Boolean(this.tool));
  }

  /** The state as plain values, for tests. */
  describe() {
    const { isChoosing, toolName, target, diameter, painted } = this;
    return { isChoosing, toolName, target, diameter, floating: painted?.floating ?? null, message: painted?.message() ?? null };
  }
}
