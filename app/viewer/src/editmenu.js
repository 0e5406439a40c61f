// The menu of edits by hand on a selected region, which are then made consistent with the input.

import { make, makeButton } from "./dom.js";
import { editMessage } from "./walking.js";

/** @type {Record<string, string>} */
const EDITS = {
  paint: "paint it in a colour",
  more: "more contrast",
  less: "less contrast",
  paste: "paste from another picture",
};

export class EditMenu {
  /**
   * @param {import("./viewer.js").LinkedViewer} viewer
   * @param {() => void} onEdit
   */
  constructor(viewer, onEdit) {
    this.viewer = viewer;
    this.kind = make(
      "select",
      { class: "lv-select", "aria-label": "Kind of edit", onchange: () => this.refresh() },
      ...Object.entries(EDITS).map(([value, text]) => make("option", { value }, text)),
    );
    this.colour = make("input", { type: "color", class: "lv-wish-field", value: "#ffffff", "aria-label": "Colour to paint" });
    this.from = make("select", { class: "lv-select", "aria-label": "Picture to paste from" });
    this.button = makeButton("Edit", "", onEdit);
    this.node = make("div", { class: "lv-ways-row" }, this.kind, this.colour, this.from, this.button);
    this.refresh();
  }

  /** The edit as a message. */
  message() {
    return editMessage(this.kind.value, { colour: this.colour.value, from: this.from.value });
  }

  refresh() {
    this.colour.hidden = this.kind.value !== "paint";
    this.from.hidden = this.kind.value !== "paste";
    const samples = this.viewer.samples();
    const key = samples.map(({ id, label }) => `${id} ${label}`).join();
    if (key === this.from.dataset.key) return;
    this.from.dataset.key = key;
    this.from.replaceChildren(...samples.map(({ id, label }) => make("option", { value: id }, label)));
  }
}
