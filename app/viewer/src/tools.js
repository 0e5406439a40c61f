// What pointers do. The router tracks fingers and mouse; a tool decides what they mean.  A tool is an object with any
// of {down, move, up, cancel, draw, cursor}: those here, and the selection tools in masktools.js. Two fingers, the
// middle button and the wheel move and zoom with every tool.

import { drawContent, outline, withClip } from "./draw.js";
import { deviceRatio, make } from "./dom.js";
import { clamp, MAX_ZOOM } from "./geometry.js";

/** @typedef {import("./viewer.js").LinkedViewer} Viewer */
/** @typedef {{pane: import("./panes.js").Pane, px: number, py: number, x: number, y: number}} Spot */
/** @typedef {{middle: import("./geometry.js").Point, distance: number}} Fingers */
/** @typedef {{from: Fingers, to: Fingers, fingers: number, event: PointerEvent}} Step */
/**
 * @typedef {object} Tool
 * @property {string} cursor
 * @property {(spot: Spot, event: PointerEvent) => void} [down]
 * @property {(step: Step) => void} move
 * @property {(spot: Spot, event: PointerEvent, isMoved: boolean) => void} up
 * @property {() => void} [cancel] two fingers or the browser took over
 * @property {(pane: import("./panes.js").Pane, origin: import("./geometry.js").Point) => void} [draw]
 */

const CLICK_DISTANCE = 5; // CSS pixels; a longer movement is a drag
const DOUBLE_CLICK_MS = 320;
const LENS_SIZE = 120; // CSS pixels
const TIP_MS = 2200;
const WHEEL_TIP = "Click a picture first to zoom with the wheel, or hold Ctrl.";

/** Drag to move, click for close-ups of a position, double-click to fit. @implements {Tool} */
export class MoveTool {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.cursor = "crosshair";
    this.lastClick = { time: 0, x: 0, y: 0 };
  }

  /** @param {Step} step */
  move({ from, to, fingers }) {
    const { viewer } = this;
    viewer.pan(to.middle.x - from.middle.x, to.middle.y - from.middle.y);
    if (fingers > 1 && from.distance > 0) viewer.zoomTo((viewer.view.zoom * to.distance) / from.distance, to.middle);
  }

  /** @param {Spot} spot @param {PointerEvent} event @param {boolean} isMoved */
  up(spot, event, isMoved) {
    if (isMoved || this.viewer.exploring.parents.takeClick(spot, event)) return;
    const { time, x, y } = this.lastClick;
    const isNear = Math.hypot(event.clientX - x, event.clientY - y) < 4 * CLICK_DISTANCE;
    const isDouble = event.timeStamp - time < DOUBLE_CLICK_MS && isNear;
    this.lastClick = { time: isDouble ? 0 : event.timeStamp, x: event.clientX, y: event.clientY };
    if (isDouble) this.viewer.fit();
    else this.viewer.cropPanel.chooseAt(spot);
  }
}

/** A lens under the pointer; one finger moves the lens instead of the picture. */
export class LoupeTool extends MoveTool {
  /** @param {Step} step */
  move(step) {
    if (step.event.pointerType !== "touch" || step.fingers > 1) super.move(step);
  }

  /**
   * In a grid, each pane has its own lens at the same position. It is part of the pane's canvas, because further layers
   * would cost frames.
   * @param {import("./panes.js").Pane} pane
   */
  draw(pane) {
    const { viewer } = this;
    if (viewer.panes.length < 2) return; // one picture is large already: lens.js shows the position in all
    const { width, height } = viewer.paneSize;
    const target = loupeTarget(viewer);
    const size = Math.round(Math.min(LENS_SIZE * deviceRatio(), 0.5 * width, 0.5 * height));
    const box = {
      x: Math.round(clamp(target.px - size / 2, 0, width - size)),
      y: Math.round(clamp(target.py - size / 2, 0, height - size)),
      width: size,
      height: size,
    };
    const zoom = loupeZoom(viewer);
    const origin = { x: box.x + size / 2 - target.x * zoom, y: box.y + size / 2 - target.y * zoom };
    pane.context.clearRect(box.x, box.y, size, size);
    withClip(pane.context, box, () => drawContent(viewer, pane, pane.context, zoom, origin, box, "lens"));
    outline(pane.context, box);
  }
}

/** @type {Record<string, (viewer: Viewer) => Tool>} */
export const TOOLS = {
  move: (viewer) => new MoveTool(viewer),
  loupe: (viewer) => new LoupeTool(viewer),
};

/**
 * Where the loupe looks: under the pointer, or at the centre for keyboard users.
 * @param {Viewer} viewer
 */
export function loupeTarget({ hover, view, paneSize }) {
  return hover || { x: view.x, y: view.y, px: paneSize.width / 2, py: paneSize.height / 2 };
}

/** @param {Viewer} viewer */
export function loupeZoom({ view }) {
  return clamp(view.zoom * 3, 4 * deviceRatio(), MAX_ZOOM);
}

export class PointerRouter {
  /** @param {Viewer} viewer @param {HTMLElement} stage */
  constructor(viewer, stage) {
    this.viewer = viewer;
    this.stage = stage;
    /** @type {Map<number, {pane: import("./panes.js").Pane, spot: Spot, start: PointerEvent}>} */
    this.pointers = new Map();
    /** @type {(Fingers & {pane: import("./panes.js").Pane, isMoved: boolean, tool: Tool}) | null} */
    this.gesture = null;
    this.tip = make("p", { class: "lv-tip", "aria-hidden": "true" }, WHEEL_TIP);
    this.tipTimer = 0;
    stage.append(this.tip);
    stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.onDown(event));
    stage.addEventListener("pointermove", (event) => this.onMove(event));
    stage.addEventListener("pointerup", (event) => this.onUp(event));
    stage.addEventListener("pointercancel", (event) => this.onCancel(event));
    stage.addEventListener("pointerleave", () => viewer.setHover(null));
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    const spot = this.viewer.locate(event);
    if (!spot) return;
    if (!event.ctrlKey && !this.viewer.hasFocus()) return this.showTip(); // let the page scroll
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    const speed = event.ctrlKey ? 0.01 : 0.002; // a pinch on a touch pad arrives as ctrl + wheel, in small steps
    const zoom = this.viewer.view.zoom * Math.exp(-pixels * speed);
    const isChanged = this.viewer.zoomTo(zoom, { x: spot.px, y: spot.py });
    // If fully zoomed out, let the page scroll, unless the browser would zoom the page instead.
    if (isChanged || event.ctrlKey || pixels < 0) event.preventDefault();
  }

  /** The wheel does not zoom yet: show for a moment how to enable it. */
  showTip() {
    this.tip.classList.add("lv-shown");
    clearTimeout(this.tipTimer);
    this.tipTimer = window.setTimeout(() => this.tip.classList.remove("lv-shown"), TIP_MS);
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("button, a, .lv-divider") || (event.pointerType === "mouse" && event.button > 1)) return;
    const spot = this.viewer.locate(event);
    if (!spot) return;
    if (event.pointerType === "mouse") event.preventDefault(); // prevents text selection and middle-click scrolling
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const pane = this.gesture?.pane || spot.pane;
    this.pointers.set(event.pointerId, { pane, spot, start: event });
    const isMoving = this.pointers.size > 1 || event.button === 1;
    if (isMoving && this.gesture) this.gesture.tool.cancel?.();
    const tool = isMoving ? this.viewer.tools.move : (this.gesture?.tool ?? this.viewer.tool);
    this.gesture = { pane, isMoved: isMoving || Boolean(this.gesture?.isMoved), tool, ...this.fingers() };
    if (!isMoving) tool.down?.(spot, event);
    this.viewer.setHover(spot);
  }

  /** Middle of the fingers (device pixels in the gesture's pane) and how far apart they are. @returns {Fingers} */
  fingers() {
    const spots = [...this.pointers.values()].map((pointer) => pointer.spot);
    const [a, b = a] = spots;
    return { middle: { x: (a.px + b.px) / 2, y: (a.py + b.py) / 2 }, distance: Math.hypot(a.px - b.px, a.py - b.py) };
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    const pointer = this.pointers.get(event.pointerId);
    const spot = this.viewer.locate(event, pointer?.pane);
    this.viewer.setHover(spot);
    if (!pointer) return;
    pointer.spot = spot;
    const travelled = Math.hypot(event.clientX - pointer.start.clientX, event.clientY - pointer.start.clientY);
    if (travelled > CLICK_DISTANCE) this.gesture.isMoved = true;
    if (!this.gesture.isMoved) return;
    const { middle, distance, tool } = this.gesture;
    const to = this.fingers();
    tool.move({ from: { middle, distance }, to, fingers: this.pointers.size, event });
    Object.assign(this.gesture, to);
    this.stage.classList.add("lv-dragging");
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const { isMoved, tool } = this.gesture;
    this.release(event.pointerId);
    if (!this.pointers.size) tool.up(this.viewer.locate(event, pointer.pane), event, isMoved);
    if (event.pointerType === "touch" && !this.viewer.loupe) this.viewer.setHover(null);
  }

  /** @param {PointerEvent} event */
  onCancel(event) {
    if (!this.pointers.has(event.pointerId)) return;
    this.gesture.tool.cancel?.();
    this.release(event.pointerId);
  }

  /** @param {number} pointerId */
  release(pointerId) {
    this.pointers.delete(pointerId);
    this.stage.classList.remove("lv-dragging");
    if (this.pointers.size) Object.assign(this.gesture, this.fingers());
    else this.gesture = null;
  }
}
