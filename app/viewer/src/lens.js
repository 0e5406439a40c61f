// The loupe beside the pointer while one picture fills the stage: the same position in all pictures, or in those
// compared.

import { drawSoFar, withClip } from "./draw.js";
import { deviceRatio, make, sizeCanvas } from "./dom.js";
import { clamp } from "./geometry.js";
import { loupeTarget, loupeZoom } from "./tools.js";

const CELL_SIZES = [64, 88]; // on phones and elsewhere; CSS pixels, like all sizes here
const LABEL_HEIGHT = 16;
const POINTER_GAP = 20;

export class SharedLens {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = make("canvas", { class: "lv-lens", hidden: true, "aria-hidden": "true" });
  }

  draw() {
    const { viewer, canvas } = this;
    canvas.hidden = !viewer.loupe || viewer.panes.length !== 1;
    if (canvas.hidden) return;
    const ratio = deviceRatio();
    const [pane] = viewer.panes;
    const ids = pane.ids.length > 1 ? pane.ids : [...viewer.pictures.keys()];
    const cell = Math.round(CELL_SIZES[viewer.isNarrow() ? 0 : 1] * ratio);
    const label = Math.round(LABEL_HEIGHT * ratio);
    const fitting = Math.max(1, Math.floor(viewer.paneSize.width / cell));
    const columns = Math.min(fitting, viewer.isNarrow() ? ids.length : Math.ceil(Math.sqrt(1.6 * ids.length)));
    sizeCanvas(canvas, columns * cell, Math.ceil(ids.length / columns) * (cell + label));
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    const target = loupeTarget(viewer);
    const zoom = loupeZoom(viewer);
    ids.forEach((id, index) => {
      const picture = viewer.pictures.get(id);
      const box = {
        x: (index % columns) * cell,
        y: Math.floor(index / columns) * (cell + label) + label,
        width: cell,
        height: cell,
      };
      this.drawLabel(context, picture.label, { ...box, y: box.y - label, height: label });
      const origin = { x: box.x + cell / 2 - target.x * zoom, y: box.y + cell / 2 - target.y * zoom };
      withClip(context, box, () => drawSoFar(viewer, context, picture, zoom, origin, box, "lens"));
    });
    this.place(target);
  }

  /** @param {CanvasRenderingContext2D} context @param {string} text @param {import("./geometry.js").Box} box */
  drawLabel(context, text, box) {
    const ratio = deviceRatio();
    context.fillStyle = "rgba(20, 20, 24, 0.9)";
    context.fillRect(box.x, box.y, box.width, box.height);
    context.fillStyle = "#fff";
    context.font = `${11 * ratio}px ${getComputedStyle(this.viewer.root).fontFamily}`;
    context.textBaseline = "middle";
    context.fillText(text, box.x + 4 * ratio, box.y + box.height / 2, box.width - 6 * ratio);
  }

  /**
   * Place it beside the pointer, or below or above it, where there is room, so that the position itself stays visible.
   */
  place(/** @type {{px: number, py: number}} */ { px, py }) {
    const { paneSize, caption } = this.viewer;
    const lens = this.canvas;
    const ratio = deviceRatio();
    const gap = POINTER_GAP * ratio;
    /** @type {(at: number, size: number, room: number) => number | null} */
    const beside = (at, size, room) => {
      if (at + gap + size <= room) return at + gap;
      return at - gap - size >= 0 ? at - gap - size : null;
    };
    /** @type {(at: number, size: number, room: number) => number} */
    const centred = (at, size, room) => clamp(at - size / 2, 0, Math.max(0, room - size));
    const side = beside(px, lens.width, paneSize.width);
    const x = side ?? centred(px, lens.width, paneSize.width);
    const y =
      side === null ? (beside(py, lens.height, paneSize.height) ?? 0) : centred(py, lens.height, paneSize.height);
    lens.style.transform = `translate(${Math.round(x) / ratio}px, ${Math.round(y + caption) / ratio}px)`;
  }
}
