// The movable border between the two pictures of a wipe.

import { deviceRatio, make } from "./dom.js";

export class Divider {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make(
      "div",
      {
        class: "lv-divider",
        hidden: true,
        tabindex: "0",
        role: "slider",
        "aria-label": "Border between the two pictures",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-valuenow": "50",
        "aria-orientation": "horizontal",
        onpointerdown: (/** @type {PointerEvent} */ event) => this.onDown(event),
        onpointermove: (/** @type {PointerEvent} */ event) => this.onMove(event),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event),
      },
      make("span", { class: "lv-grip", "aria-hidden": "true" }),
    );
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    event.preventDefault();
    this.node.focus({ preventScroll: true });
    this.node.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (!this.node.hasPointerCapture(event.pointerId)) return;
    event.stopPropagation();
    const { viewer } = this;
    viewer.setSplit(viewer.locate(event, viewer.panes[0]).px / viewer.paneSize.width);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation(); // otherwise the arrow keys would move the picture as well
    this.viewer.setSplit(this.viewer.split + step);
  }

  place() {
    const { mode, paneSize, caption, split } = this.viewer;
    if (mode !== "wipe" || !paneSize) return;
    const ratio = deviceRatio();
    this.node.style.transform = `translate(${Math.round(paneSize.width * split) / ratio}px, ${caption / ratio}px)`;
    this.node.setAttribute("aria-valuenow", String(Math.round(100 * split)));
  }
}
