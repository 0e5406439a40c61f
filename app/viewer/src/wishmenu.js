// The menu of wishes for a region: the kind of wish, and the settings of that kind.

import { make, makeButton } from "./dom.js";
import { wishMessage } from "./walking.js";

/** @type {Record<string, string>} */
const WISHES = {
  roughness: "smoother ↔ rougher",
  "two-tone": "softer ↔ sharper",
  stripes: "stripes",
  brightness: "darker ↔ brighter",
  colour: "a colour",
  like: "like another region",
};

export class WishMenu {
  /**
   * @param {import("./viewer.js").LinkedViewer} viewer
   * @param {() => void} onWish
   */
  constructor(viewer, onWish) {
    this.viewer = viewer;
    this.kind = make(
      "select",
      { class: "lv-select", "aria-label": "Kind of wish", onchange: () => this.refresh() },
      ...Object.entries(WISHES).map(([value, text]) => make("option", { value }, text)),
    );
    /** @type {(label: string, settings: Record<string, string>) => {node: HTMLElement, input: HTMLInputElement}} */
    const makeField = (label, settings) => {
      const input = make("input", { class: "lv-wish-field", ...settings });
      return { node: make("label", { class: "lv-wish-label" }, `${label} `, input), input };
    };
    const period = { "aria-label": "Period of the stripes in pixels", min: "2", max: "64", step: "0.5", value: "8" };
    this.period = makeField("Every", { type: "number", ...period });
    this.period.node.append(" px");
    const direction = { "aria-label": "Direction of the stripes in degrees", min: "0", max: "180", step: "5", value: "0" };
    this.direction = makeField("at", { type: "number", ...direction });
    this.direction.node.append("°");
    this.direction.node.title = "Direction in which the stripes follow each other: 0° to the right, 90° downwards";
    this.colour = makeField("", { type: "color", value: "#808080", "aria-label": "The colour" });
    this.button = makeButton("Wish", "", onWish);
    this.node = make("div", { class: "lv-ways-row" });
    this.node.append(this.kind, this.period.node, this.direction.node, this.colour.node, this.button);
    this.refresh();
  }

  /** Whether another region has to be clicked first. */
  get needsSource() {
    return this.kind.value === "like";
  }

  /** The wish as a message. */
  message() {
    const { kind, period, direction, colour } = this;
    return wishMessage(kind.value, { period: period.input.value, direction: direction.input.value, colour: colour.input.value });
  }

  refresh() {
    this.period.node.hidden = this.direction.node.hidden = this.kind.value !== "stripes";
    this.colour.node.hidden = this.kind.value !== "colour";
  }
}
