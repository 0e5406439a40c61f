// The line below the pictures: values under the pointer, and the legend of the colours shown.

import { deviceRatio, make, makeButton, setText } from "./dom.js";
import { pixelAt } from "./geometry.js";
import { spreadText } from "./spread.js";
import { DIFFERENCE_COLORS, shortNumber, signedNumber, valueAt } from "./values.js";

const MEAN = "mean"; // id of the picture to which bars refer

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./geometry.js").Point} Point */

export class Readout {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.status = make("output", { class: "lv-position" });
    this.legend = make("div", { class: "lv-legend", hidden: true });
    this.why = makeButton("", "", () => this.toggleDetails(), { class: "lv-why", "aria-expanded": "false", hidden: true });
    this.details = make("p", { class: "lv-details", hidden: true });
    this.promise = make("div", { class: "lv-promise", hidden: true }, this.why, this.details);
    this.node = make("div", { class: "lv-footer" }, this.status, this.legend, this.promise);
    /** @type {CanvasRenderingContext2D | null} */
    this.probe = null;
  }

  refresh() {
    const { viewer } = this;
    const { hover, frame } = viewer;
    for (const pane of viewer.panes) this.placeCursor(pane, hover);
    viewer.toolbar.showZoom(viewer.view.zoom);
    const pixel = hover && pixelAt(hover, frame);
    const size = viewer.panes.length ? `${frame.width} × ${frame.height} pixels` : "";
    setText(this.status, pixel ? this.pixelText(hover, pixel) : size);
  }

  /**
   * Mark the pointer's position in every other pane. @param {import("./panes.js").Pane} pane @param
   * {import("./tools.js").Spot | null} hover
   */
  placeCursor(pane, hover) {
    pane.cursor.hidden = !hover || pane === hover.pane || this.viewer.loupe;
    if (pane.cursor.hidden) return;
    pane.cursor.style.transform = `translate(${hover.px / deviceRatio()}px, ${hover.py / deviceRatio()}px)`;
  }

  /** @param {import("./tools.js").Spot} hover @param {Point} pixel */
  pixelText(hover, pixel) {
    const { viewer } = this;
    const { kind, ids } = hover.pane;
    const parts = [`x ${pixel.x}, y ${pixel.y}`];
    if (kind === "difference") {
      const [a, b] = ids.map((id) => this.colorAt(viewer.pictures.get(id), pixel));
      if (a && b) parts.push(`ΔRGB ${a.map((value, i) => signedNumber(value - b[i])).join(" ")}`);
    } else {
      const color = this.colorAt(viewer.pictures.get(viewer.idUnder(hover)), pixel);
      if (color) parts.push(`RGB ${color.join(" ")}`);
    }
    const deviation = this.deviationText(pixel);
    return [...parts, ...(deviation ? [deviation] : [])].join(" · ");
  }

  /** @param {Point} place */
  placeText(place) {
    const deviation = this.deviationText(place);
    return `x ${place.x}, y ${place.y}${deviation ? ` · ${deviation}` : ""}`;
  }

  /** The map's value at an SR pixel; empty if Python sent none. @param {Point} pixel */
  deviationText(pixel) {
    const { overlay, frame, pictures } = this.viewer;
    if (!overlay?.grey || !overlay.reading) return "";
    const { minimum, top } = overlay.reading;
    const value = valueAt(overlay.grey, pixel, frame, minimum, top);
    return spreadText(overlay.reading, value, this.colorAt(pictures.get(MEAN), pixel));
  }

  /**
   * The values as stored in the file, or null while only a reduced copy is loaded. @param {Picture | undefined} picture
   * @param {Point} place
   */
  colorAt(picture, place) {
    if (!picture?.levels.length || picture.state !== "ready") return null;
    const { frame } = this.viewer;
    const x = Math.floor(((place.x + 0.5) * picture.width) / frame.width);
    const y = Math.floor(((place.y + 0.5) * picture.height) / frame.height);
    if (!picture.base) return this.read(picture.levels[0], x, y);
    for (const { halvings, box, bitmap } of picture.patches.values()) {
      const [left, top] = [x - box.x, y - box.y];
      const isInside = left >= 0 && top >= 0 && left < box.width && top < box.height;
      if (!halvings && isInside) return this.read(bitmap, left, top);
    }
    return null;
  }

  /** @param {ImageBitmap} bitmap @param {number} x @param {number} y */
  read(bitmap, x, y) {
    if (!this.probe) {
      this.probe = make("canvas", { width: "1", height: "1" }).getContext("2d", { willReadFrequently: true });
      this.probe.globalCompositeOperation = "copy";
    }
    this.probe.drawImage(bitmap, x, y, 1, 1, 0, 0, 1, 1);
    return [...this.probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  }

  /** Show the legend only for what is visible: a difference, or the map as a tile or overlay. */
  refreshLegend() {
    const { viewer } = this;
    const isDifference = viewer.mode === "difference";
    const { overlay } = viewer;
    const isMap = Boolean(overlay) && (viewer.overlayOn || viewer.panes.some(({ kind }) => kind === "map"));
    this.legend.hidden = !viewer.panes.length || !(isDifference || isMap);
    // Its line is reserved, so that nothing below moves when the map comes or goes; the viewer of the sweep never has
    // one.
    this.promise.hidden = !viewer.scene?.grid;
    this.promise.classList.toggle("lv-absent", this.legend.hidden || isDifference || !overlay?.remark);
    if (isDifference) this.fillDifferenceLegend();
    else if (isMap) {
      const title = overlay.unit ? `${overlay.title} (${overlay.unit})` : overlay.title;
      // Bars have been checked against the truth; without bars, the values describe only the samples.
      const [low, high] = overlay.bars ? ["certain", "guessed"] : ["alike", "differ"];
      const { minimum, maximum, colors } = overlay;
      this.fillLegend(title, `${low} ${shortNumber(minimum)}`, colors, `${shortNumber(maximum)} ${high}`);
      this.fillWhy(overlay);
    }
  }

  /** What the map promises, or why it promises nothing. @param {import("./pictures.js").Overlay} overlay */
  fillWhy({ remark, details }) {
    setText(this.details, details);
    setText(this.why, remark);
    this.why.hidden = !remark;
    this.why.title = details;
  }

  toggleDetails() {
    this.details.hidden = !this.details.hidden;
    this.why.setAttribute("aria-expanded", String(!this.details.hidden));
    this.viewer.invalidate();
  }

  fillDifferenceLegend() {
    const { scale } = this.viewer.differences;
    this.fillLegend("Difference (8-bit levels)", `darker −${scale}`, DIFFERENCE_COLORS, `+${scale} brighter`);
  }

  /** @param {string} title @param {string} low @param {string[]} colors @param {string} high */
  fillLegend(title, low, colors, high) {
    const bar = make("span", { class: "lv-legend-bar", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
    this.legend.replaceChildren(make("span", {}, title), make("span", {}, low), bar, make("span", {}, high));
  }
}
