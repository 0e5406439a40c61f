// The menu of wishes for a region: the kind of wish, and the settings of that kind.

import { make, makeButton, setText } from "./dom.js";
import { wishMessage } from "./walking.js";

/** @type {Record<string, string>} */
const WISHES = {
  roughness: "smoother ↔ rougher",
  "two-tone": "softer ↔ sharper",
  stripes: "stripes",
  brightness: "darker ↔ brighter",
  colour: "a colour",
  scribble: "strokes that I draw",
  like: "like another region",
};

/** @param {string} label @param {Record<string, string>} texts by value @param {() => void} onchange */
function makeSelect(label, texts, onchange) {
  const options = Object.entries(texts).map(([value, text]) => make("option", { value }, text));
  return make("select", { class: "lv-select", "aria-label": label, onchange }, ...options);
}

export class WishMenu {
  /**
   * @param {import("./viewer.js").LinkedViewer} viewer
   * @param {() => void} onWish
   * @param {() => void} onDraw
   */
  constructor(viewer, onWish, onDraw) {
    this.viewer = viewer;
    this.kind = makeSelect("Kind of wish", WISHES, () => this.refresh());
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
    const wants = { brighter: "brighter", darker: "darker", colour: "in a colour" };
    this.want = makeSelect("What the strokes are", wants, () => this.refresh());
    this.width = makeSelect("How wide the strokes are", { 1: "1 px", 2: "2 px", 3: "3 px", 4: "4 px" }, () => this.refresh());
    this.width.value = "2";
    const clear = makeButton("Clear strokes", "Remove all strokes", () => {
      viewer.exploring.scribble.clear();
      this.refresh();
    });
    this.count = make("span", { class: "lv-dial-text" });
    this.scribble = make("span", { class: "lv-ways-row" }, this.want, this.width, makeButton("Draw strokes", "", onDraw), clear, this.count);
    this.button = makeButton("Wish", "", onWish);
    this.node = make("div", { class: "lv-ways-row" });
    this.node.append(this.kind, this.period.node, this.direction.node, this.scribble, this.colour.node, this.button);
    this.refresh();
  }

  /** Whether another region has to be clicked first. */
  get needsSource() {
    return this.kind.value === "like";
  }

  /** Whether strokes have to be drawn first. */
  get isScribble() {
    return this.kind.value === "scribble";
  }

  /** The wish as a message. @returns {import("./messages.js").WishMessage} */
  message() {
    const { kind, period, direction, colour } = this;
    if (this.isScribble) return { type: "scribble", strokes: this.viewer.exploring.scribble.message() };
    return wishMessage(kind.value, { period: period.input.value, direction: direction.input.value, colour: colour.input.value });
  }

  refresh() {
    this.period.node.hidden = this.direction.node.hidden = this.kind.value !== "stripes";
    const hasColour = this.kind.value === "colour" || (this.isScribble && this.want.value === "colour");
    this.colour.node.hidden = !hasColour;
    this.scribble.hidden = !this.isScribble;
    const tool = this.viewer.exploring?.scribble; // which is made after this menu
    if (!tool) return;
    const { colour, want, width } = this;
    tool.look = { want: want.value, width: Number(width.value), colour: colour.input.value };
    const count = tool.strokes.length;
    setText(this.count, count === 1 ? "1 stroke" : `${count} strokes`);
  }
}
