// Everything that exploring adds to the viewer: the selected region, the variants, and the row of buttons for both.

import { make } from "./dom.js";
import { ExploreBar } from "./explorebar.js";
import { HeatEditor } from "./heateditor.js";
import { MaskEditor } from "./maskeditor.js";
import { BrushRing } from "./maskring.js";
import { exploreEvent } from "./messages.js";
import { Parents } from "./parents.js";
import { ScribbleTool } from "./scribble.js";
import { Sliders } from "./sliders.js";
import { SourceTool } from "./sourcetool.js";
import { Walk } from "./walk.js";

export class Exploring {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.mask = new MaskEditor(viewer);
    this.heat = new HeatEditor(viewer);
    this.walk = new Walk(viewer);
    this.parents = new Parents(viewer);
    this.sliders = new Sliders(viewer);
    this.source = new SourceTool(viewer);
    this.scribble = new ScribbleTool(viewer);
    this.walk.node.append(this.sliders.node);
    this.bar = new ExploreBar(viewer);
    this.node = make("div", { class: "lv-exploring" }, this.bar.node, this.mask.row.node, this.heat.row.node);
    this.ring = new BrushRing(viewer);
    viewer.stage.append(this.ring.node);
  }

  /** The tool that has the pointer, if it is one of these. */
  get editor() {
    return this.heat.isChoosing ? this.heat : this.mask;
  }

  /** Only one editor paints at a time. @param {MaskEditor} editor */
  endOthers(editor) {
    this.source.end();
    this.scribble.end();
    for (const other of [this.mask, this.heat]) if (other !== editor) other.toggle(false);
  }

  /** Update after a new scene. */
  takeScene() {
    this.mask.takeScene();
    this.heat.takeScene();
    this.parents.takeScene();
    this.walk.takeScene();
    this.sliders.takeScene();
    this.scribble.takeScene();
    if (!this.viewer.scene?.grid) this.source.end();
  }

  /** Update after any change except that of the view. */
  refresh() {
    this.node.classList.toggle("lv-painting", Boolean(this.editor.tool));
    this.mask.row.refresh();
    this.heat.row.refresh();
    this.walk.refresh();
    this.sliders.refresh();
    this.parents.refresh();
    this.bar.refresh();
  }

  /** Draw what lies beside the panes. */
  draw() {
    this.ring.place();
    this.walk.draw();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key had a meaning here */
  onKey(event) {
    return this.source.onKey(event) || this.scribble.onKey(event) || this.editor.onKey(event) || this.walk.onKey(event);
  }

  /**
   * Ask Python for variants, or keep one.
   * @param {import("./messages.js").ExploreEvent["action"]} action
   * @param {string} id
   * @param {{others?: string[], dial?: number, heat?: import("./messages.js").HeatMessage[], angles?: number[],
   *   wish?: import("./messages.js").WishMessage, edit?: import("./messages.js").EditMessage, texts?: string[],
   *   source?: import("./messages.js").SourceMessage, sources?: import("./messages.js").PieceMessage[]}} [settings]
   */
  ask(action, id, settings = {}) {
    const mask = this.mask.painted?.message() ?? null;
    const { dial, detail } = this.bar.settings();
    this.viewer.trigger("explore", exploreEvent(this.viewer.scene, action, id, mask, { dial, detail, ...settings }));
  }
}
