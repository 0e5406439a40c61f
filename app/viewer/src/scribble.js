// Strokes drawn into the selected region, finer than LR pixels: a wish, not an edit.

import { deviceRatio } from "./dom.js";
import { clamp } from "./geometry.js";
import { strokeMessage } from "./walking.js";
import { MoveTool } from "./tools.js";

/** @typedef {import("./walking.js").Stroke} Stroke */

const MOST_STROKES = 32; // srflow/steering/strokes.py takes no more
const MOST_POINTS = 128; // of a stroke

export const SCRIBBLE_HINT = "Draw strokes inside the selected region. Enter asks for them, Backspace removes the last one, Esc leaves.";

/** One finger or the mouse draws. */
export class ScribbleTool extends MoveTool {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    super(viewer);
    this.isOn = false;
    /** @type {Stroke[]} in SR pixels of the picture */
    this.strokes = [];
    /** @type {Stroke | null} that is being drawn */
    this.current = null;
    this.subject = "";
    /** @type {import("./panes.js").Pane | null} */
    this.pane = null;
    /** What the next stroke is like. @type {{want: string, width: number, colour: string}} */
    this.look = { want: "brighter", width: 2, colour: "#808080" };
    this.onEnter = () => {};
  }

  /** @param {() => void} onEnter */
  begin(onEnter) {
    const { viewer } = this;
    viewer.exploring.endOthers(null);
    viewer.loupe = false;
    viewer.line.toggle(false);
    this.onEnter = onEnter;
    this.isOn = true;
    viewer.announce(SCRIBBLE_HINT);
    viewer.refresh();
  }

  end() {
    if (!this.isOn) return;
    this.isOn = false;
    this.current = null;
    this.viewer.refresh();
  }

  /** Strokes of another picture are forgotten. */
  takeScene() {
    const subject = this.viewer.scene?.subject ?? "";
    if (subject !== this.subject) this.strokes = [];
    this.subject = subject;
    if (!this.viewer.scene?.grid) this.end();
  }

  /** The region in SR pixels: left, top, right, bottom. */
  box() {
    const { mask } = this.viewer.exploring;
    const scale = this.viewer.frame.width / mask.size.width;
    return (mask.painted?.message()?.box ?? [0, 0, 0, 0]).map((edge) => edge * scale);
  }

  /** As Python reads it: from the corner of the region. */
  message() {
    return this.strokes.map((stroke) => strokeMessage(stroke, this.box()));
  }

  clear() {
    this.strokes = [];
    this.viewer.invalidate();
  }

  /** @param {{x: number, y: number}} spot */
  add({ x, y }) {
    const [left, top, right, bottom] = this.box();
    const point = { x: clamp(x, left, right), y: clamp(y, top, bottom) };
    const { points } = this.current;
    const last = points.at(-1);
    if (last && Math.hypot(point.x - last.x, point.y - last.y) < 1) return;
    if (points.length < MOST_POINTS) points.push(point);
    this.viewer.invalidate();
  }

  /** @param {import("./tools.js").Spot} spot */
  down(spot) {
    if (this.strokes.length >= MOST_STROKES) return this.viewer.announce(`${MOST_STROKES} strokes are the most`);
    this.pane = spot.pane;
    this.current = { ...this.look, points: [] };
    this.add(spot);
  }

  /** @param {import("./tools.js").Step} step */
  move(step) {
    if (!this.current) return super.move(step);
    this.add(this.viewer.locate(step.event, this.pane));
  }

  /** @override */
  up() {
    if (!this.current) return;
    this.strokes.push(this.current);
    this.current = null;
    this.viewer.announce(this.strokes.length === 1 ? "1 stroke" : `${this.strokes.length} strokes`);
    this.viewer.refresh();
  }

  cancel() {
    this.current = null;
    this.viewer.invalidate();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key meant something here */
  onKey(event) {
    if (!this.isOn || (event.key !== "Enter" && event.key !== "Backspace")) return false;
    if (event.key === "Enter") this.onEnter();
    else this.strokes.pop();
    this.viewer.refresh();
    return true;
  }

  /** @param {import("./panes.js").Pane} pane @param {import("./geometry.js").Point} origin */
  draw({ context }, origin) {
    const { zoom } = this.viewer.view;
    const line = deviceRatio();
    const [left, top, right, bottom] = this.box().map((edge) => edge * zoom);
    context.strokeStyle = "rgba(255, 255, 255, 0.8)";
    context.lineWidth = line;
    context.strokeRect(origin.x + left, origin.y + top, right - left, bottom - top);
    context.lineCap = context.lineJoin = "round";
    for (const { want, width, colour, points } of this.current ? [...this.strokes, this.current] : this.strokes) {
      context.strokeStyle = want === "colour" ? colour : want === "brighter" ? "#fff" : "#000";
      context.lineWidth = Math.max(line, width * zoom);
      context.beginPath();
      for (const { x, y } of [points[0], ...points]) context.lineTo(origin.x + x * zoom, origin.y + y * zoom);
      context.stroke();
    }
  }
}
