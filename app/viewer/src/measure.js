// The line along which brightness is measured: drawn with the pointer, shown in every picture, sent to Python.

import { deviceRatio } from "./dom.js";
import { clamp } from "./geometry.js";
import { lineEvent } from "./messages.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./tools.js").Spot} Spot */
/** @typedef {import("./tools.js").Tool} Tool */

const END_RADIUS = 4; // CSS pixels

/** Drag from end to end. @implements {Tool} */
export class LineTool {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.cursor = "crosshair";
    this.isOn = false;
    /** @type {Point[]} both ends, in whole SR pixels; none while there is no line */
    this.ends = [];
    /** @type {Point[]} the previous line, while another one is drawn */
    this.former = [];
    /** @type {import("./panes.js").Pane | null} in which a gesture began */
    this.pane = null;
  }

  /** @param {boolean} [isOn] */
  toggle(isOn = !this.isOn) {
    if (isOn === this.isOn) return;
    this.isOn = isOn;
    const { viewer } = this;
    if (isOn) {
      viewer.loupe = false;
      viewer.exploring.endOthers(null);
    }
    viewer.announce(isOn ? "Draw a line to measure along it" : "The line was removed");
    viewer.refresh();
  }

  forget() {
    this.ends = this.former = [];
    this.pane = null;
  }

  /** The pixel under the pointer; outside, the nearest one. @param {{x: number, y: number}} spot @returns {Point} */
  at({ x, y }) {
    const { width, height } = this.viewer.frame;
    return { x: clamp(Math.floor(x), 0, width - 1), y: clamp(Math.floor(y), 0, height - 1) };
  }

  /** @param {Spot} spot */
  down(spot) {
    this.pane = spot.pane;
    this.former = this.ends;
    this.ends = [this.at(spot)];
  }

  /** @param {import("./tools.js").Step} step */
  move({ event }) {
    if (!this.pane) return;
    this.ends = [this.ends[0], this.at(this.viewer.locate(event, this.pane))];
    this.viewer.invalidate();
  }

  /** @param {Spot} spot @param {PointerEvent} _event @param {boolean} isMoved */
  up(spot, _event, isMoved) {
    if (!this.pane) return;
    if (isMoved) this.ends = [this.ends[0], this.at(spot)];
    else this.ends = this.former; // a click draws no line
    this.pane = null;
    if (isMoved) this.tell();
    this.viewer.invalidate();
  }

  cancel() {
    if (this.pane) this.ends = this.former;
    this.pane = null;
    this.viewer.invalidate();
  }

  tell() {
    const { viewer } = this;
    const [a, b] = this.ends;
    viewer.announce(`Line from ${a.x}, ${a.y} to ${b.x}, ${b.y}: see Measure`);
    viewer.trigger("line", lineEvent(viewer.scene, a, b));
  }

  /** @param {import("./panes.js").Pane} pane @param {Point} origin */
  draw({ context }, origin) {
    if (this.ends.length < 2) return;
    const { zoom } = this.viewer.view;
    const [a, b] = this.ends.map(({ x, y }) => ({ x: origin.x + (x + 0.5) * zoom, y: origin.y + (y + 0.5) * zoom }));
    const ratio = deviceRatio();
    for (const [width, colour] of /** @type {[number, string][]} */ ([[3, "rgba(0, 0, 0, 0.65)"], [1, "#fff"]])) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      context.stroke();
      context.beginPath();
      context.arc(a.x, a.y, END_RADIUS * ratio, 0, 2 * Math.PI); // where the profile begins
      context.stroke();
    }
  }
}
