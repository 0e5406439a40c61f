// The stage: panes of equal size that all show the same part of the frame, and their drawing.

import { deviceRatio, make, sizeCanvas } from "./dom.js";
import { arrangePanes, clamp, constrainView, nextZoom, originOf, zoomToFit, zoomView } from "./geometry.js";
import { drawPane } from "./layers.js";
import { buildPane } from "./panes.js";

const PANE_GAP = 6; // CSS pixels, like all sizes here
const CAPTION_HEIGHTS = [28, 22]; // on phones, for fingers, and elsewhere
const NARROW = 640; // a stage on a phone
const NARROW_PANE = 110; // too narrow for a full caption
const STAGE_LABEL =
  "Pictures, linked. Arrow keys move, plus and minus zoom, 0 fits, digits show one sample, A shows all, " +
  "question mark lists the keys.";

/** @typedef {import("./panes.js").Pane} Pane */
/** @typedef {import("./geometry.js").View} View */
/** @typedef {import("./geometry.js").Size} Size */
/** @typedef {import("./tools.js").Spot} Spot */

export class Viewport {
  constructor() {
    this.stage = make("div", { class: "lv-stage", tabindex: "0", role: "application", "aria-label": STAGE_LABEL });
    /** @type {Pane[]} */
    this.panes = [];
    /** @type {Size} */
    this.frame = { width: 1, height: 1 };
    /** @type {Size | null} of each pane's canvas, in device pixels */
    this.paneSize = null;
    this.caption = 0; // height in device pixels
    /** @type {View} */
    this.view = { zoom: 1, x: 0, y: 0, fitted: true };
    this.split = 0.5; // of a wipe
    this.isFrameRequested = false;
  }

  /** Draw what lies beside the panes; the viewer overrides it. */
  drawRest() {}

  /** Follow the stage's size, and the screen's device pixel ratio, which may change separately. */
  watchSize() {
    new ResizeObserver(() => this.layout()).observe(this.stage);
    const watchRatio = () => {
      const query = matchMedia(`(resolution: ${deviceRatio()}dppx)`);
      const onChange = () => {
        this.layout();
        watchRatio();
      };
      query.addEventListener("change", onChange, { once: true });
    };
    watchRatio();
  }

  isNarrow() {
    return this.stage.clientWidth < NARROW;
  }

  /**
   * Create as many panes as there are contents; existing ones keep their canvas.
   * @param {{kind: Pane["kind"], ids: string[]}[]} contents
   * @param {(pane: Pane) => void} onCaption
   */
  setContents(contents, onCaption) {
    while (this.panes.length > contents.length) this.panes.pop().node.remove();
    while (this.panes.length < contents.length) {
      const pane = buildPane(onCaption);
      const last = this.panes[this.panes.length - 1];
      if (last) last.node.after(pane.node);
      else this.stage.prepend(pane.node);
      this.panes.push(pane);
    }
    contents.forEach((content, index) => Object.assign(this.panes[index], content));
  }

  /** Place the panes on whole device pixels, and draw at once: a resized canvas is empty until it is drawn. */
  layout() {
    const ratio = deviceRatio();
    const width = Math.floor(this.stage.clientWidth * ratio);
    const height = Math.floor(this.stage.clientHeight * ratio);
    if (!this.panes.length || !width || !height) return;
    const captionHeight = CAPTION_HEIGHTS[this.isNarrow() ? 0 : 1];
    const [gap, caption] = [PANE_GAP, captionHeight].map((size) => Math.round(size * ratio));
    const { pane: size, places } = arrangePanes(this.panes.length, { width, height }, this.frame, gap, caption);
    this.paneSize = size;
    this.caption = caption;
    this.stage.style.setProperty("--lv-caption", `${caption / ratio}px`);
    this.stage.classList.toggle("lv-narrow", size.width / ratio < NARROW_PANE);
    this.panes.forEach((pane, index) => {
      [pane.left, pane.top] = [places[index].x, places[index].y];
      pane.node.style.width = `${size.width / ratio}px`;
      pane.node.style.transform = `translate(${pane.left / ratio}px, ${pane.top / ratio}px)`;
      sizeCanvas(pane.canvas, size.width, size.height);
    });
    this.setView(this.view);
    this.onLayout();
    this.draw();
  }

  /** To be called after sizes have changed; the viewer overrides it. */
  onLayout() {}

  fitZoom() {
    return zoomToFit(this.frame, this.paneSize);
  }

  /**
   * Show another part of the frame, or the nearest allowed one.
   * @param {View} view
   * @returns {boolean} whether anything changed
   */
  setView(view) {
    if (!this.panes.length || !this.paneSize) return false;
    const before = JSON.stringify(this.view);
    this.view = constrainView(view, this.frame, this.paneSize);
    // With a finger: scroll the page over fitted pictures, but move pictures that are zoomed in.
    this.stage.style.touchAction = this.view.fitted && !this.isFingerBusy() ? "pan-y" : "none";
    const isChanged = JSON.stringify(this.view) !== before;
    if (isChanged) this.invalidate();
    return isChanged;
  }

  /** Whether one finger has a function in a picture that cannot be moved. */
  isFingerBusy() {
    return false;
  }

  /** @param {number} zoom @param {import("./geometry.js").Point} [point] device pixels in the pane that stay in place */
  zoomTo(zoom, point) {
    if (!this.paneSize) return false;
    return this.setView(zoomView(this.view, this.frame, this.paneSize, zoom, point));
  }

  /** @param {number} direction */
  zoomStep(direction) {
    const zoom = nextZoom(this.view.zoom, direction);
    if (zoom) this.zoomTo(zoom);
  }

  fit() {
    this.setView({ ...this.view, fitted: true });
  }

  /** Move the picture by a number of device pixels. @param {number} dx @param {number} dy */
  pan(dx, dy) {
    const { x, y, zoom } = this.view;
    return this.setView({ ...this.view, x: x - dx / zoom, y: y - dy / zoom });
  }

  /** @param {number} dx @param {number} dy @param {boolean} isFine by one pixel */
  panBySteps(dx, dy, isFine) {
    const step = isFine ? this.view.zoom : Math.min(this.paneSize.width, this.paneSize.height) / 8;
    return this.pan(dx * step, dy * step);
  }

  /** @param {number} split */
  setSplit(split) {
    this.split = clamp(split, 0, 1);
    this.invalidate();
  }

  /**
   * The position under a pointer event: the pane, device pixels in it, and the (fractional) SR pixel.
   * @param {MouseEvent} event
   * @param {Pane} [pane] measure from this pane, wherever the pointer is
   * @returns {Spot | null}
   */
  locate(event, pane) {
    if (!this.paneSize) return null;
    const ratio = deviceRatio();
    const bounds = this.stage.getBoundingClientRect();
    const x = (event.clientX - bounds.left - this.stage.clientLeft) * ratio;
    const y = (event.clientY - bounds.top - this.stage.clientTop) * ratio;
    const { width, height } = this.paneSize;
    const { caption } = this;
    /** @type {(one: Pane) => boolean} */
    const isInside = (one) =>
      x >= one.left && x < one.left + width && y >= one.top + caption && y < one.top + caption + height;
    const found = pane || this.panes.find(isInside);
    if (!found) return null;
    const [px, py] = [x - found.left, y - found.top - caption];
    const origin = originOf(this.view, this.paneSize);
    return { pane: found, px, py, x: (px - origin.x) / this.view.zoom, y: (py - origin.y) / this.view.zoom };
  }

  /** Draw soon: once per frame, regardless of the number of changes. */
  invalidate() {
    if (this.isFrameRequested) return;
    this.isFrameRequested = true;
    requestAnimationFrame(() => {
      this.isFrameRequested = false;
      this.draw();
    });
  }

  draw() {
    if (!this.panes.length || !this.paneSize) return;
    const origin = originOf(this.view, this.paneSize);
    const whole = { x: 0, y: 0, ...this.paneSize };
    const viewer = /** @type {import("./viewer.js").LinkedViewer} */ (/** @type {unknown} */ (this));
    viewer.loader.beginTurn();
    for (const pane of this.panes) {
      drawPane(viewer, pane, origin, whole);
      pane.drawn = { zoom: this.view.zoom, ...origin };
    }
    this.drawRest();
  }
}
