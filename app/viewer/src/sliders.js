// Sliders of a region: each has pictures of the region from one end to the other, over which its handle moves.

import { make, makeButton, setText } from "./dom.js";
import { Latest } from "./latest.js";
import { addressOf } from "./messages.js";
import { deviationAt, deviationWords, isLikely, slidersTitle, slidersWords, sliderValue } from "./walking.js";

/** @typedef {import("./messages.js").SliderMessage} SliderMessage */
/**
 * @typedef {object} Row
 * @property {HTMLElement} node
 * @property {HTMLInputElement} input
 * @property {HTMLButtonElement} reset
 * @property {HTMLElement} words above it
 * @property {SliderMessage} strip
 */

const SLIDER_STEP = "5"; // degrees
const SLIDER_END = "90";

export class Sliders {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {import("./messages.js").SlidersMessage | null} */
    this.message = null;
    this.key = ""; // of the strips that are shown
    this.isKeeping = false; // keep the picture of the last move as soon as it arrives
    /** @type {Row[]} */
    this.rows = [];
    this.latest = new Latest((/** @type {string} */ positions) => this.drawAt(positions));
    this.words = make("p", { class: "lv-sliders-words" });
    this.list = make("div", { class: "lv-sliders-list" });
    this.node = make("div", { class: "lv-sliders", hidden: true }, this.words, this.list);
  }

  /** Whether there are sliders, or will be. */
  get isOpen() {
    const kind = this.viewer.scene?.walk?.kind;
    return kind === "sliders" || kind === "wish";
  }

  get isUnmoved() {
    return this.isOpen && this.angles().every((angle) => angle === 0);
  }

  angles() {
    return this.rows.map(({ input }) => Number(input.value));
  }

  /** The title of the variants; null: they do not come from sliders. */
  title() {
    return this.isOpen ? slidersTitle(this.message, this.viewer.scene.walk.kind) : null;
  }

  /** Update after a new scene. */
  takeScene() {
    this.message = (this.isOpen && this.viewer.scene.walk.sliders) || null;
    const strips = this.message?.strips ?? [];
    const key = JSON.stringify(strips);
    if (key !== this.key) this.rebuild(strips);
    this.key = key;
    if (!strips.length) return;
    this.latest.answer(this.message.angles.join());
    if (!this.isKeeping || this.latest.isBusy) return;
    this.isKeeping = false;
    this.viewer.exploring.walk.accept();
  }

  /** @param {SliderMessage[]} strips */
  rebuild(strips) {
    this.latest.forget();
    this.isKeeping = false;
    this.rows = strips.map((strip, index) => this.buildRow(strip, index));
    this.list.replaceChildren(...this.rows.map(({ node }) => node));
    this.rows.forEach(({ input }, index) => (input.value = String(this.message.angles[index])));
    this.rows[0]?.input.focus({ preventScroll: true });
  }

  /** @param {SliderMessage} strip @param {number} index @returns {Row} */
  buildRow(strip, index) {
    const input = make("input", {
      ...{ type: "range", class: "lv-slider-handle", min: `-${SLIDER_END}`, max: SLIDER_END, step: SLIDER_STEP, value: "0" },
      ...{ "aria-label": `Slider ${index + 1}: ${strip.low} to ${strip.high}`, oninput: () => this.onSlide() },
    });
    const resetTitle = `Reset slider ${index + 1} to the middle`;
    const reset = makeButton("↺", resetTitle, () => this.move(input, "0"), { "aria-label": resetTitle });
    const picture = strip.image ? make("img", { src: addressOf(strip.image), alt: "", draggable: "false" }) : "";
    const share = `${index + 1}: explains ${Math.round(100 * strip.share)} %`;
    const words = make("span", { class: "lv-slider-share" }, strip.deviations ? "" : share);
    const head = make("div", { class: "lv-slider-head" }, words, reset);
    const ends = make("div", { class: "lv-slider-ends" }, make("span", {}, strip.low), make("span", {}, strip.high));
    const node = make("div", { class: "lv-slider" }, head, ends, make("div", { class: "lv-slider-strip" }, picture, input));
    if (strip.deviations) node.append(this.buildZones(strip.deviations));
    return { node, input, reset, words, strip };
  }

  /** Show which positions are likely, below the pictures. @param {number[]} deviations */
  buildZones(deviations) {
    const zones = deviations.map((deviation) => make("i", { class: isLikely(deviation) ? "lv-likely" : "lv-unlikely" }));
    return make("div", { class: "lv-slider-zones", "aria-hidden": "true" }, ...zones);
  }

  /** @param {HTMLInputElement} input @param {string} value */
  move(input, value) {
    input.value = value;
    input.focus({ preventScroll: true });
    this.onSlide();
  }

  onSlide() {
    const { walk } = this.viewer.exploring;
    const [id] = walk.message.ids;
    this.isKeeping = false;
    if (id !== undefined && id !== this.viewer.current) walk.show(id);
    this.latest.move(this.angles().join());
    this.viewer.exploring.refresh();
  }

  /** @param {string} positions */
  drawAt(positions) {
    this.viewer.exploring.ask("slide", this.viewer.scene.walk.start, { angles: positions.split(",").map(Number) });
  }

  /** Wait for the picture of the last move, then keep it. @returns {boolean} whether there is anything to wait for */
  isAboutToKeep() {
    this.isKeeping = this.isOpen && this.latest.isBusy;
    return this.isKeeping;
  }

  /** Update after any change except that of the view. */
  refresh() {
    this.node.hidden = !this.isOpen;
    if (!this.isOpen) return;
    setText(this.words, slidersWords(this.message, this.viewer.scene.walk.kind));
    this.words.hidden = !this.words.textContent;
    this.node.classList.toggle("lv-waiting", !this.message);
    for (const { input, reset, words, strip } of this.rows) {
      const angle = Number(input.value);
      input.setAttribute("aria-valuetext", sliderValue(angle, strip));
      reset.disabled = angle === 0;
      if (!strip.deviations) continue;
      const deviation = deviationAt(angle, strip.deviations);
      setText(words, deviationWords(deviation));
      words.classList.toggle("lv-unlikely", !isLikely(deviation));
    }
  }
}
