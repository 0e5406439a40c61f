// The selection tools: what a pointer does with each of them.

import { deviceRatio } from "./dom.js";
import { outline } from "./draw.js";
import { boxBetween } from "./maskboxes.js";
import { FULL } from "./maskgrid.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./maskeditor.js").MaskEditor} Editor */
/** @typedef {import("./tools.js").Spot} Spot */
/** @typedef {import("./tools.js").Step} Step */
/** @typedef {import("./tools.js").Tool} Tool */
/** @typedef {import("./panes.js").Pane} Pane */
/** @typedef {import("./maskeditor.js").MaskToolName} MaskToolName */

/** The common part of the tools: they know the pane in which a gesture began, and positions in LR pixels. */
class MaskTool {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.cursor = "crosshair";
    /** @type {Pane | null} in which the gesture began; null: there is none */
    this.pane = null;
  }

  /** @param {Spot} spot @returns {Point} in LR pixels */
  at(spot) {
    const { viewer, size } = this.editor;
    return { x: (spot.x * size.width) / viewer.frame.width, y: (spot.y * size.height) / viewer.frame.height };
  }

  /** Begin a gesture. @param {Spot} spot */
  start(spot) {
    this.pane = spot.pane;
    this.editor.paintedOn = this.editor.viewer.idUnder(spot) ?? null;
    return this.at(spot);
  }

  /** The pointer's movement since the last step, in LR pixels. @param {Step} step */
  way({ event }) {
    const { viewer } = this.editor;
    const events = event.getCoalescedEvents?.() ?? [];
    return (events.length ? events : [event]).map((one) => this.at(viewer.locate(one, this.pane)));
  }
}

/** Round and soft. When erasing, it removes what it would select. @implements {Tool} */
export class BrushTool extends MaskTool {
  /** @param {Editor} editor @param {boolean} isErasing */
  constructor(editor, isErasing) {
    super(editor);
    this.isErasing = isErasing;
    /** @type {Point | null} */
    this.last = null;
  }

  /** @param {Spot} spot */
  down(spot) {
    const point = this.start(spot);
    this.editor.begin(!this.isErasing);
    this.paintTo([point]);
  }

  /** @param {Step} step */
  move(step) {
    if (this.last) this.paintTo(this.way(step));
  }

  /** @param {Point[]} points */
  paintTo(points) {
    for (const point of points) {
      this.editor.state.paint(this.last ?? point, point, this.editor.diameter / 2, this.isErasing);
      this.last = point;
    }
    this.editor.viewer.invalidate();
  }

  up() {
    if (this.last) this.editor.end();
    this.last = null;
  }

  cancel() {
    this.last = null;
    this.editor.cancel();
  }
}

/** A box from corner to corner; with Alt it is removed. @implements {Tool} */
export class BoxTool extends MaskTool {
  constructor(/** @type {Editor} */ editor) {
    super(editor);
    /** @type {Point[]} the corners, while one is dragged */
    this.corners = [];
  }

  /** @param {Spot} spot */
  down(spot) {
    this.corners = [this.start(spot)];
  }

  /** @param {Step} step */
  move(step) {
    if (!this.corners.length) return;
    this.corners[1] = this.way(step).at(-1);
    this.editor.viewer.invalidate();
  }

  /** @param {Spot} spot @param {PointerEvent} event @param {boolean} isMoved */
  up(spot, event, isMoved) {
    const [corner] = this.corners;
    this.corners = [];
    if (!corner) return;
    const box = isMoved && boxBetween(corner, this.at(spot), this.editor.size);
    if (box) this.editor.putBox(box, { isNew: true, isErasing: event.altKey });
    else this.editor.viewer.invalidate();
  }

  cancel() {
    this.corners = [];
    this.editor.viewer.invalidate();
  }

  /** @param {Pane} pane @param {Point} origin */
  draw(pane, origin) {
    const { painted, size } = this.editor;
    const [a, b] = this.corners;
    const box = b ? boxBetween(a, b, size) : painted?.floating;
    if (!box) return;
    const step = this.editor.step();
    const [left, top] = [Math.round(origin.x + box.x * step), Math.round(origin.y + box.y * step)];
    const [width, height] = [Math.round(box.width * step), Math.round(box.height * step)];
    if (b) outline(pane.context, { x: left, y: top, width, height });
    else drawHandles(pane.context, left, top, width, height);
  }
}

/**
 * Draw the corners of a box that can still be moved. @param {CanvasRenderingContext2D} context @param {number} left
 * @param {number} top @param {number} width @param {number} height
 */
function drawHandles(context, left, top, width, height) {
  const side = Math.round(6 * deviceRatio());
  context.fillStyle = "#fff";
  for (const [x, y] of [[left, top], [left + width, top], [left, top + height], [left + width, top + height]]) {
    context.fillRect(x - side / 2, y - side / 2, side, side);
    outline(context, { x: x - side / 2, y: y - side / 2, width: side, height: side });
  }
}

/** The area that the pointer outlines; with Alt it is removed. @implements {Tool} */
export class LassoTool extends MaskTool {
  constructor(/** @type {Editor} */ editor) {
    super(editor);
    /** @type {Point[]} */
    this.points = [];
  }

  /** @param {Spot} spot */
  down(spot) {
    this.points = [this.start(spot)];
  }

  /** @param {Step} step */
  move(step) {
    if (!this.points.length) return;
    this.points.push(...this.way(step));
    this.editor.viewer.invalidate();
  }

  /** @param {Spot} _spot @param {PointerEvent} event */
  up(_spot, event) {
    const { points, editor } = this;
    this.points = [];
    if (points.length < 3) return editor.viewer.invalidate();
    editor.begin(!event.altKey);
    editor.state.outline(points, event.altKey ? 0 : FULL);
    editor.end();
  }

  cancel() {
    this.points = [];
    this.editor.viewer.invalidate();
  }

  /** @param {Pane} pane @param {Point} origin */
  draw({ context }, origin) {
    if (this.points.length < 2) return;
    const step = this.editor.step();
    context.beginPath();
    for (const { x, y } of this.points) context.lineTo(origin.x + x * step, origin.y + y * step);
    context.closePath();
    const line = Math.max(1, Math.round(deviceRatio()));
    context.lineWidth = 3 * line;
    context.strokeStyle = "rgba(0, 0, 0, 0.55)";
    context.stroke();
    context.lineWidth = line;
    context.strokeStyle = "rgba(255, 255, 255, 0.95)";
    context.stroke();
  }
}

/** @type {Record<MaskToolName, (editor: Editor) => Tool>} */
export const MASK_TOOLS = {
  brush: (editor) => new BrushTool(editor, false),
  box: (editor) => new BoxTool(editor),
  lasso: (editor) => new LassoTool(editor),
  eraser: (editor) => new BrushTool(editor, true),
};
