// A click on the region from which grain, or an appearance, is taken. The box is as large as the selected region.

import { deviceRatio } from "./dom.js";
import { outline } from "./draw.js";
import { clamp } from "./geometry.js";
import { boxInside } from "./maskboxes.js";
import { MoveTool } from "./tools.js";

const SOURCE_SIDES = [8, 64]; // LR pixels: a smaller region shows no grain, and a larger one takes long

export const SOURCE_HINT = "Now click the region to take it from, in any picture (Enter: the middle of this one). Esc leaves.";

/** Drags move the picture, a click selects the source region. */
export class SourceTool extends MoveTool {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    super(viewer);
    this.cursor = "cell";
    /**
     * @type {((source: import("./messages.js").SourceMessage) => void) | null} receives the region; null: none is
     * requested
     */
    this.use = null;
  }

  get isOn() {
    return Boolean(this.use);
  }

  /** @param {(source: import("./messages.js").SourceMessage) => void} use */
  begin(use) {
    const { viewer } = this;
    viewer.exploring.endOthers(null);
    viewer.loupe = false;
    viewer.line.toggle(false);
    this.use = use;
    viewer.announce(SOURCE_HINT);
    viewer.refresh();
  }

  end() {
    if (!this.isOn) return;
    this.use = null;
    this.viewer.announce("Nothing was taken");
    this.viewer.refresh();
  }

  /** The box, limited to the LR picture. @param {{x: number, y: number}} spot in SR pixels */
  boxAt({ x, y }) {
    const { frame, exploring } = this.viewer;
    const { size } = exploring.mask;
    const [left, top, right, bottom] = exploring.mask.painted?.message()?.box ?? [0, 0, ...SOURCE_SIDES];
    const [width, height] = [right - left, bottom - top].map((side) => clamp(side, SOURCE_SIDES[0], SOURCE_SIDES[1]));
    const [middleX, middleY] = [(x * size.width) / frame.width, (y * size.height) / frame.height];
    return boxInside({ x: middleX - width / 2, y: middleY - height / 2, width, height }, size);
  }

  /** @param {{x: number, y: number}} spot @param {string | null | undefined} id of the picture there */
  take(spot, id) {
    const { use, viewer } = this;
    if (!id) return viewer.announce("Click one of the pictures");
    const { x, y, width, height } = this.boxAt(spot);
    this.use = null;
    use({ id, box: [x, y, x + width, y + height] });
    viewer.refresh();
  }

  /** The middle of what is shown. */
  takeMiddle() {
    this.take(this.viewer.view, this.viewer.exploring.bar.base());
  }

  /** @param {import("./tools.js").Spot} spot @param {PointerEvent} _event @param {boolean} isMoved */
  up(spot, _event, isMoved) {
    if (!isMoved) this.take(spot, this.viewer.idUnder(spot));
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key had a meaning here */
  onKey(event) {
    if (!this.isOn || event.key !== "Enter") return false;
    this.takeMiddle();
    return true;
  }

  /** @param {import("./panes.js").Pane} pane @param {import("./geometry.js").Point} origin */
  draw(pane, origin) {
    const { hover, view, frame, exploring } = this.viewer;
    if (hover?.pane !== pane) return;
    const step = (view.zoom * frame.width) / exploring.mask.size.width;
    const { x, y, width, height } = this.boxAt(hover);
    const [left, top] = [Math.round(origin.x + x * step), Math.round(origin.y + y * step)];
    const box = { x: left, y: top, width: Math.round(width * step), height: Math.round(height * step) };
    const line = Math.round(deviceRatio());
    outline(pane.context, box);
    outline(pane.context, { x: left - line, y: top - line, width: box.width + 2 * line, height: box.height + 2 * line });
  }
}
