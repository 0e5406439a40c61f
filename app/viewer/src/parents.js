// Pictures that are ticked for a mixture, and the row of actions for them.

import { make, makeButton, makeGroup, setText } from "./dom.js";
import { Latest } from "./latest.js";
import { isLookOnly, mixWords } from "./walking.js";

const MOST = 8; // pictures that can be mixed at once; the page refuses more

export class Parents {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.isChoosing = false; // a click on a picture ticks it
    /** @type {string[]} ids of the ticked ones; the slider goes from the first to the second */
    this.ids = [];
    this.latest = new Latest((/** @type {number} */ percent) => this.drawAt(percent));
    this.words = make("span", { class: "lv-mix-words" });
    this.names = [make("span", { class: "lv-mix-end" }), make("span", { class: "lv-mix-end" })];
    this.slider = make("input", {
      ...{ type: "range", class: "lv-range lv-mix-slider", min: "0", max: "100", step: "1", value: "0" },
      ...{ "aria-label": "From the first picture to the second, in percent", title: "From one picture to the other" },
      oninput: () => this.onSlide(),
    });
    this.between = makeGroup("Between two", this.names[0], this.slider, this.names[1]);
    this.between.classList.add("lv-mix-between");
    this.children = makeButton("Eight mixtures", "Eight mixtures of the ticked pictures", () => this.askChildren());
    const done = makeButton("Done", "Untick all (Esc)", () => this.close());
    this.node = make(
      "div",
      { class: "lv-mix", role: "group", "aria-label": "Mix pictures", hidden: true },
      ...[this.words, this.between, this.children, done],
    );
  }

  get isOpen() {
    return this.isChoosing || this.ids.length > 0;
  }

  get percent() {
    return Number(this.slider.value);
  }

  /** @param {string} id */
  has(id) {
    return this.ids.includes(id);
  }

  /**
   * Whether a picture can be ticked: it is finished, and is not itself a mixture between two. @param {string | null |
   * undefined} id
   */
  canBe(id) {
    const picture = this.viewer.pictures.get(id ?? "");
    const isBlend = this.viewer.scene?.walk?.blend?.id === id;
    const isDrawn = picture && picture.kind !== "reference" && picture.state !== "waiting";
    return Boolean(isDrawn && !isLookOnly(picture) && !isBlend);
  }

  /** Update after a new scene. */
  takeScene() {
    const { viewer } = this;
    const left = this.ids.filter((id) => this.canBe(id));
    if (left.length < this.ids.length) this.setIds(left);
    const blend = viewer.scene?.walk?.blend;
    if (!blend) this.latest.forget();
    else if (blend.ends.every((id, index) => id === this.ids[index])) this.latest.answer(blend.percent);
    if (!viewer.scene?.grid) this.isChoosing = false;
  }

  // ------------------------------------------------------------ the visitor's actions

  /** Begin or end the choice of pictures. */
  toggleChoosing() {
    if (this.isOpen) return this.close();
    this.viewer.exploring.editor.toggle(false);
    this.isChoosing = true;
    if (this.viewer.mode !== "single" && !this.viewer.exploring.walk.isOpen) this.viewer.choose({ mode: "grid" });
    this.viewer.announce("Choose two or more pictures to mix");
    this.viewer.refresh();
  }

  close() {
    this.isChoosing = false;
    this.setIds([]);
    this.viewer.refresh();
  }

  /** Tick a picture, or untick it. @param {string | null | undefined} id */
  toggle(id) {
    if (!this.has(id) && (!this.canBe(id) || this.ids.length >= MOST)) return;
    this.setIds(this.has(id) ? this.ids.filter((one) => one !== id) : [...this.ids, id]);
    const { label } = this.viewer.pictures.get(id);
    this.viewer.announce(`${label} ${this.has(id) ? "ticked" : "unticked"}, ${this.ids.length} in all`);
    this.viewer.refresh();
  }

  /** @param {import("./tools.js").Spot} spot @param {PointerEvent} event @returns {boolean} whether the click ticked a picture */
  takeClick(spot, event) {
    const id = spot.pane.kind === "picture" ? spot.pane.ids[0] : null;
    if (!(event.shiftKey || this.isChoosing) || !this.canBe(id)) return false;
    this.toggle(id);
    return true;
  }

  /** @param {string[]} ids */
  setIds(ids) {
    this.ids = ids;
    this.latest.forget();
    this.slider.value = "0";
  }

  askChildren() {
    const [first, ...others] = this.ids;
    this.isChoosing = false;
    this.viewer.exploring.ask("children", first, { others });
    this.viewer.refresh();
  }

  onSlide() {
    const { walk } = this.viewer.exploring;
    this.isChoosing = false;
    walk.showBlend();
    this.latest.move(this.percent);
    this.refresh();
  }

  /** @param {number} percent */
  drawAt(percent) {
    const [first, second] = this.ids;
    this.viewer.exploring.ask("between", first, { others: [second], dial: percent });
  }

  refresh() {
    const { viewer, ids } = this;
    this.node.hidden = !this.isOpen;
    viewer.root?.classList.toggle("lv-mixing", this.isChoosing);
    if (this.node.hidden) return;
    const labels = ids.map((id) => viewer.pictures.get(id)?.label ?? "");
    setText(this.words, mixWords(labels));
    this.between.hidden = ids.length !== 2;
    this.words.hidden = ids.length === 2;
    this.names.forEach((node, index) => setText(node, labels[index] ?? ""));
    this.slider.setAttribute("aria-valuetext", `${this.percent} % of the way from ${labels[0]} to ${labels[1]}`);
    this.children.disabled = ids.length < 2;
  }
}
