// A ring around the pointer with the brush's width. It moves by itself: no picture is drawn again for it.

import { deviceRatio, make } from "./dom.js";

export class BrushRing {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", { class: "lv-brush", hidden: true });
  }

  place() {
    const { node } = this;
    const { hover, caption, exploring } = this.viewer;
    const { editor } = exploring;
    node.hidden = !(editor.tool && editor.hasBrush && hover);
    if (node.hidden) return;
    const ratio = deviceRatio();
    const side = Math.max(4, (editor.diameter * editor.step()) / ratio);
    const [x, y] = [(hover.pane.left + hover.px) / ratio, (hover.pane.top + caption + hover.py) / ratio];
    node.style.width = node.style.height = `${side}px`;
    node.style.transform = `translate(${x - side / 2}px, ${y - side / 2}px)`;
  }
}
