// Variants of a picture: the visitor steps through them in place, with a strip of them below the pictures.

import { deviceRatio, make, makeButton, setPressed, setText, sizeCanvas } from "./dom.js";
import { drawSoFar, withClip } from "./draw.js";
import { fitBox, haveFamilies, isLookOnly, stepAlong, walkKey, walkTitle, wayCaption } from "./walking.js";

/** @typedef {import("./messages.js").WalkMessage} WalkMessage */
/**
 * @typedef {object} Thumb
 * @property {HTMLElement} cell
 * @property {HTMLButtonElement} button
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLElement} caption
 * @property {HTMLButtonElement} tick
 */

const SIDES = [84, 60]; // of a thumbnail, in CSS pixels; the second inside a branch of a tree

export class Walk {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {WalkMessage | null} */
    this.message = null;
    /** @type {import("./choices.js").Choices | null} the choices before the variants */
    this.before = null;
    /** @type {string | null} id of the explored picture */
    this.explored = null;
    this.isExploredShown = false;
    /** @type {string | null} id of the variant to show as soon as it can be drawn */
    this.arriving = null;
    /** @type {"different" | "typical" | "families"} the kind of variants from which a family was opened */
    this.five = "different";
    this.isStale = true;
    this.ratio = 0; // device pixels per CSS pixel of the last drawing
    /** @type {Thumb[]} */
    this.thumbs = [];
    this.title = make("output", { class: "lv-walk-title" });
    this.row = make("div", { class: "lv-walk-row", role: "group", "aria-label": "Variants" });
    this.keep = makeButton("Keep this one", "Continue from this picture (Enter)", () => this.accept());
    this.family = makeButton("Its family", "All versions that this one represents (↓)", () => this.showFamily());
    this.back = makeButton("Back", "Back to the versions shown before (↑)", () => this.goBack());
    const leave = makeButton("Leave", "Leave without keeping anything (Esc)", () => this.leave());
    this.node = make(
      "div",
      { class: "lv-walk", role: "group", "aria-label": "Rolls and neighbours", hidden: true },
      make("div", { class: "lv-walk-head" }, this.title, this.family, this.back, this.keep, leave),
      this.row,
    );
  }

  get isOpen() {
    return Boolean(this.message);
  }

  /** The picture before the change, then the finished variants. */
  ids() {
    return this.message ? [this.message.start, ...this.message.ids] : [];
  }

  /** Update after a new scene. */
  takeScene() {
    const former = this.message;
    this.message = this.viewer.scene?.walk ?? null;
    const isNew = this.message && (!former || former.ids[0] !== this.message.ids[0]);
    if (isNew && !former) this.before = { ...this.viewer.choices };
    if (isNew && this.message.ids.length) this.arriving = this.message.ids[0];
    const blend = this.message?.blend;
    if (blend && blend.id !== former?.blend?.id) this.arriving = blend.id;
    if (haveFamilies(this.message?.kind)) this.five = this.message.kind;
    if (former && !this.message) this.close();
    this.followExplored();
    this.rebuild();
    this.onPictures();
  }

  /** After going back or forward in the history, show the explored picture; if there is none, show all samples. */
  followExplored() {
    const { viewer } = this;
    const explored = viewer.scene?.explored ?? null;
    const isGone = this.isExploredShown && !viewer.pictures.has(this.explored);
    if (explored !== this.explored && explored !== null && !this.isOpen) viewer.choose({ mode: "single", current: explored });
    else if (isGone && !this.isOpen) viewer.choose({ mode: "grid" });
    this.explored = explored;
  }

  /** A variant that was kept stays visible; otherwise restore what was shown before. */
  close() {
    const { viewer, before } = this;
    this.arriving = null;
    this.before = null;
    if (viewer.scene?.explored !== viewer.current && before) viewer.choose(before);
  }

  onPictures() {
    this.isStale = true;
    const id = this.arriving;
    if (id === null || !this.viewer.pictures.get(id)?.levels.length) return;
    this.arriving = null;
    this.show(id);
    const hasSlider = id === this.message?.blend?.id || this.viewer.exploring.sliders.isOpen; // which keeps the focus
    if (!hasSlider) this.viewer.stage.focus({ preventScroll: true });
  }

  /** The position of the variant between two pictures changed. */
  showBlend() {
    const id = this.message?.blend?.id;
    if (id !== undefined && id !== this.viewer.current) this.show(id);
  }

  /** @param {string} id */
  show(id) {
    if (this.viewer.mode !== "single") this.viewer.choose({ mode: "single" });
    this.viewer.show(id);
  }

  // ------------------------------------------------------------ the visitor's actions

  /** @param {KeyboardEvent} event @returns {boolean} whether the key had a meaning here */
  onKey(event) {
    const action = this.isOpen ? walkKey(event) : null;
    if (action === "next") this.step(1);
    else if (action === "previous") this.step(-1);
    else if (action === "accept") this.accept();
    else if (action === "leave") this.leave();
    else if (action === "family") return this.showFamily();
    else if (action === "back") return this.goBack();
    return action !== null;
  }

  /** @param {number} direction */
  step(direction) {
    const id = stepAlong(this.ids(), this.viewer.current, direction);
    if (id !== undefined) this.show(id);
  }

  accept() {
    const { current } = this.viewer;
    const { sliders } = this.viewer.exploring;
    if (sliders.isAboutToKeep()) return;
    // The picture before the change: nothing is kept.
    if (!this.message?.ids.includes(current) || sliders.isUnmoved) return this.leave();
    this.viewer.exploring.mask.painted?.markUsed();
    this.viewer.exploring.ask("accept", current);
  }

  get hasFamily() {
    return haveFamilies(this.message?.kind) && this.message.ids.includes(this.viewer.current);
  }

  /** @returns {boolean} whether the variant shown has one */
  showFamily() {
    if (this.hasFamily) this.viewer.exploring.ask("family", this.viewer.current);
    return this.hasFamily;
  }

  /** Go back from a family. @returns {boolean} whether one is shown */
  goBack() {
    if (this.message?.kind !== "family") return false;
    this.viewer.exploring.ask(this.five, this.message.start);
    return true;
  }

  leave() {
    if (this.message) this.viewer.exploring.ask("leave", this.message.start);
  }

  // ------------------------------------------------------------ the strip

  rebuild() {
    this.isStale = true;
    this.node.hidden = !this.isOpen;
    if (!this.isOpen) return;
    this.node.dataset.kind = this.message.kind;
    const wanted = this.message.count + 1;
    while (this.thumbs.length > wanted) this.thumbs.pop().cell.remove();
    while (this.thumbs.length < wanted) this.thumbs.push(this.buildThumb(this.thumbs.length));
    this.refresh();
  }

  /** @param {number} index @returns {Thumb} */
  buildThumb(index) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const caption = make("span", { class: "lv-walk-label" });
    const { parents } = this.viewer.exploring;
    const onclick = (/** @type {MouseEvent} */ { shiftKey }) => {
      const id = this.ids()[index];
      if (id !== undefined && shiftKey) parents.toggle(id);
      else if (id !== undefined) this.show(id);
    };
    const button = make("button", { type: "button", class: "lv-walk-thumb", onclick }, canvas, caption);
    const tick = makeButton("✓", "Tick two or more to mix them (Shift + click, J)", () => parents.toggle(this.ids()[index]));
    tick.className = "lv-walk-tick";
    const cell = make("div", { class: "lv-walk-cell" }, button, tick);
    this.row.append(cell);
    return { cell, button, canvas, caption, tick };
  }

  /** Update after any change except that of the view. */
  refresh() {
    this.isExploredShown = this.viewer.mode === "single" && this.viewer.current === this.explored;
    if (!this.isOpen) return;
    const ids = this.ids();
    const { kind, count, levels } = this.message;
    const at = ids.indexOf(this.viewer.current);
    const { parents } = this.viewer.exploring;
    const labels = ids.map((id) => this.viewer.pictures.get(id)?.label ?? "");
    this.thumbs.forEach(({ cell, button, caption, tick }, index) => {
      cell.dataset.level = index ? String(levels[index - 1] ?? "") : "";
      const name = index ? (labels[index] ?? String(index)) : "Before";
      setText(caption, wayCaption(kind, name, index));
      button.title = index ? `Show ${name} in place` : "Show the picture before the change";
      button.setAttribute("aria-label", name);
      button.disabled = index >= ids.length;
      setPressed(button, index === at);
      tick.setAttribute("aria-label", `Tick ${name}`);
      tick.hidden = !parents.canBe(ids[index]);
      setPressed(tick, parents.has(ids[index]));
    });
    const { sliders } = this.viewer.exploring;
    this.row.hidden = sliders.isOpen;
    setText(this.title, sliders.title() ?? walkTitle(kind, labels[at] ?? "", at, ids.length - 1, count));
    this.keep.disabled = at < 1 || sliders.isUnmoved || isLookOnly(this.viewer.pictures.get(ids[at]));
    this.family.hidden = !haveFamilies(kind);
    this.family.disabled = !this.hasFamily;
    this.back.hidden = kind !== "family";
  }

  draw() {
    const ratio = deviceRatio();
    if (!this.isOpen || (!this.isStale && this.ratio === ratio)) return;
    this.isStale = false;
    this.ratio = ratio;
    const { viewer } = this;
    const { box: place, levels } = this.message;
    const ids = this.ids();
    this.thumbs.forEach(({ canvas }, index) => {
      const size = Math.round(SIDES[levels[index - 1] ?? 0] * ratio);
      const box = { x: 0, y: 0, width: size, height: size };
      const { zoom, origin } = fitBox(place, viewer.frame, size);
      sizeCanvas(canvas, size, size);
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, size, size);
      const picture = viewer.pictures.get(ids[index]);
      if (!picture?.levels.length) return;
      withClip(context, box, () => drawSoFar(viewer, context, picture, zoom, origin, box, "walk"));
    });
  }
}
