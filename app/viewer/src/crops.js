// The row of close-ups: one position, enlarged, in all pictures.

import { deviceRatio, make, makeButton, setPressed, setText, sizeCanvas } from "./dom.js";
import { drawSoFar, lookOfPicture, withClip } from "./draw.js";
import { clamp, pixelAt } from "./geometry.js";
import { placeEvent } from "./messages.js";

/**
 * @typedef {object} Crop
 * @property {HTMLButtonElement} button
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLElement} caption
 * @property {string | undefined} look how the canvas looks; undefined: unknown
 */

const SIZES = [76, 112]; // smallest and largest side, in CSS pixels
const GAP = 6;
const ZOOMS = [2, 4, 8, 16];
const OPENING_ZOOM = 4; // minimum zoom when a close-up opens a picture
const HINT = "Click a picture to compare that position here, close up.";

export class CropPanel {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {Map<string, Crop>} */
    this.entries = new Map();
    this.zoom = 4; // CSS pixels per SR pixel
    this.isStale = true;
    /** @type {{turn: number, columns: number, size: number} | null} */
    this.measured = null;
    this.title = make("output", { class: "lv-crop-title" });
    this.zoomButtons = ZOOMS.map((zoom) =>
      makeButton(`${zoom}×`, `Enlarge the close-ups ${zoom} times`, () => this.setZoom(zoom), { "data-zoom": zoom }),
    );
    this.row = make("div", { class: "lv-crop-row", role: "group", "aria-label": "Close-ups" });
    this.hint = make("p", { class: "lv-crop-hint" }, HINT);
    const zooms = make("div", { class: "lv-segments", role: "group", "aria-label": "Enlargement" }, ...this.zoomButtons);
    const heading = make("h3", { class: "lv-crop-heading" }, "Close-ups");
    this.node = make(
      "div",
      { class: "lv-crops" },
      make("div", { class: "lv-crop-head" }, heading, this.title, zooms),
      make("div", { class: "lv-crop-body" }, this.row, this.hint),
    );
  }

  /** @param {number} zoom */
  setZoom(zoom) {
    this.zoom = zoom;
    this.isStale = true;
    this.refreshControls();
    this.viewer.invalidate();
  }

  refreshControls() {
    for (const node of this.zoomButtons) setPressed(node, Number(node.dataset.zoom) === this.zoom);
  }

  /** Update after a new scene. */
  rebuild() {
    this.isStale = true;
    const { pictures } = this.viewer;
    const ids = [...pictures.values()].filter(({ kind }) => kind !== "way").map(({ id }) => id); // variants have a strip of their own
    const isSame = ids.length === this.entries.size && [...this.entries.keys()].every((id, index) => id === ids[index]);
    if (!isSame) {
      this.entries = new Map(ids.map((id) => [id, this.buildCrop(id)]));
      this.row.replaceChildren(...[...this.entries.values()].map((crop) => crop.button));
    }
    for (const [id, crop] of this.entries) {
      const { label } = pictures.get(id);
      setText(crop.caption, label);
      crop.button.title = `Show ${label} alone, at this position`;
    }
  }

  /** @param {string} id @returns {Crop} */
  buildCrop(id) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const caption = make("span", { class: "lv-crop-label" });
    const onclick = () => this.open(id);
    const button = make("button", { type: "button", class: "lv-crop", onclick }, canvas, caption);
    return { button, canvas, caption, look: undefined };
  }

  /**
   * Number of columns, and the side in CSS pixels. Measured once per drawing: reading a size forces the browser to lay
   * out.
   */
  grid() {
    const { turn } = this.viewer.loader;
    if (this.measured?.turn !== turn) this.measured = { turn, ...this.measureGrid() };
    return this.measured;
  }

  /** Fill the rows equally; on phones the single row can be scrolled. */
  measureGrid() {
    const width = this.row.clientWidth;
    const count = this.entries.size;
    const [smallest, largest] = SIZES;
    if (this.viewer.isNarrow() || !count || !width) return { columns: Math.max(1, count), size: smallest };
    const rows = Math.ceil((count * (smallest + GAP)) / width);
    const columns = Math.ceil(count / rows);
    return { columns, size: clamp(Math.floor((width - GAP * (columns - 1)) / columns), smallest, largest) };
  }

  /** How much of the pictures a close-up shows: its side in SR pixels. */
  shownSide() {
    return this.grid().size / this.zoom;
  }

  chooseCentre() {
    const { view, frame, panes, current } = this.viewer;
    const pixel = pixelAt(view, frame);
    if (pixel) this.choose(pixel, panes[0].ids[0] ?? current);
  }

  /** @param {import("./tools.js").Spot} spot */
  chooseAt(spot) {
    const { viewer } = this;
    const pixel = pixelAt(spot, viewer.frame);
    if (pixel) this.choose(pixel, viewer.idUnder(spot) ?? viewer.current); // the map is not a picture of the scene
  }

  /** @param {import("./geometry.js").Point} pixel @param {string} id the picture that was clicked */
  choose(pixel, id) {
    const { viewer } = this;
    viewer.place = pixel;
    this.isStale = true;
    viewer.announce(`Close-ups of ${viewer.readout.placeText(pixel)}`);
    viewer.invalidate();
    viewer.report("place", placeEvent(viewer.scene, pixel, id));
  }

  /** Show this picture alone, with the position in the middle, enlarged. @param {string} id */
  open(id) {
    const { viewer } = this;
    const { x, y } = viewer.shownPlace();
    viewer.choose({ mode: "single" });
    viewer.show(id);
    viewer.setView({ x: x + 0.5, y: y + 0.5, zoom: Math.max(viewer.view.zoom, OPENING_ZOOM), fitted: false });
  }

  draw() {
    this.isStale = false;
    const { viewer } = this;
    const place = viewer.shownPlace();
    const ratio = deviceRatio();
    const grid = this.grid();
    const size = Math.round(grid.size * ratio);
    this.row.style.gridTemplateColumns = `repeat(${grid.columns}, ${grid.size}px)`;
    this.row.classList.toggle("lv-blank", !place); // their space is reserved
    this.hint.hidden = Boolean(place) || !this.entries.size;
    for (const node of this.zoomButtons) node.disabled = !place;
    const zoom = this.zoom * ratio;
    const box = { x: 0, y: 0, width: size, height: size };
    for (const [id, crop] of this.entries) {
      const { canvas } = crop;
      const picture = viewer.pictures.get(id);
      const pixels = lookOfPicture(viewer, picture);
      const look = pixels && JSON.stringify([size, zoom, place, viewer.frame, pixels]);
      if (look && look === crop.look) continue;
      crop.look = look;
      sizeCanvas(canvas, size, size);
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, size, size);
      if (!place) continue;
      const origin = { x: size / 2 - (place.x + 0.5) * zoom, y: size / 2 - (place.y + 0.5) * zoom };
      withClip(context, box, () => drawSoFar(viewer, context, picture, zoom, origin, box, "place"));
    }
    setText(this.title, place ? this.describe(place) : "");
  }

  /** @param {import("./geometry.js").Point} place */
  describe(place) {
    const text = this.viewer.readout.placeText(place);
    return this.viewer.place ? text : `${text} · where samples differ most; click to choose another position`;
  }
}
