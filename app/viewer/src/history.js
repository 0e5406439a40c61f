// The strip of the history below the pictures: a thumbnail for each finished step. A click goes there; steps can be
// named, pinned, and compared with the current one.

import { make, makeButton, setPressed, setText } from "./dom.js";
import { addressOf, markEvent } from "./messages.js";
import { NameField } from "./namefield.js";
import { describeStep, headline, placeSteps, stepOfKey, titleOf } from "./steps.js";

/** @typedef {import("./messages.js").StepMessage} StepMessage */
/** @typedef {{node: HTMLElement, button: HTMLButtonElement, image: HTMLImageElement, branch: HTMLElement, pin: HTMLElement, caption: HTMLElement}} StepThumb */

export class HistoryStrip {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {StepMessage[]} */
    this.steps = [];
    /** @type {StepThumb[]} */
    this.entries = [];
    this.isChoosing = false; // the next click compares
    /** @type {number | null} the step to compare as soon as its picture is in the scene */
    this.wanted = null;
    this.focused = 0; // index of the thumbnail that Tab reaches
    /** @type {number | null} */
    this.scrolledTo = null;
    this.text = make("output", { class: "lv-history-text" });
    this.field = new NameField((name) => this.mark("name", { name }));
    this.rename = makeButton("Rename", "Name this step (F2, or double-click its thumbnail)", () => this.startNaming());
    this.pin = makeButton("Pin", "A pinned step is kept when older steps are removed", () => this.togglePin());
    this.compare = makeButton("Compare", "Then click a step to compare with the current one (Shift + click)", () => this.choose(!this.isChoosing));
    this.row = make("div", {
      ...{ class: "lv-history-row", role: "group", "aria-label": "Steps so far" },
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event),
    });
    const actions = make("div", { class: "lv-history-actions" }, this.field.node, this.compare, this.rename, this.pin);
    const head = make("div", { class: "lv-history-head" }, make("b", {}, "History"), this.text, actions);
    this.node = make("div", { class: "lv-history", role: "group", "aria-label": "History", hidden: true }, head, this.row);
  }

  get current() {
    return this.steps.find((step) => step.is_current);
  }

  /** The step with which the current one is compared, as long as it is in the scene. */
  compared() {
    return this.steps.find(({ number }) => this.viewer.pictures.has(pictureOf(number)));
  }

  /** Update after a new scene. */
  takeScene() {
    this.steps = this.viewer.scene?.steps ?? [];
    this.node.hidden = this.steps.length < 2;
    if (!this.steps.some(({ difference }) => difference !== null)) this.isChoosing = false;
    while (this.entries.length > this.steps.length) this.entries.pop().node.remove();
    while (this.entries.length < this.steps.length) this.entries.push(this.buildEntry(this.entries.length));
    if (this.wanted !== null) this.showCompared(this.wanted);
    this.refresh();
    this.followCurrent();
  }

  /** @param {number} index @returns {StepThumb} */
  buildEntry(index) {
    const image = make("img", { alt: "", width: "48", height: "48", draggable: "false" });
    const caption = make("span", { class: "lv-step-label" });
    const pin = make("span", { class: "lv-step-pin", "aria-hidden": "true", hidden: true }, "●");
    const branch = make("span", { class: "lv-step-branch", "aria-hidden": "true" });
    const button = make(
      "button",
      {
        ...{ type: "button", class: "lv-step" },
        onclick: (/** @type {MouseEvent} */ event) => this.onClick(index, event),
        ondblclick: () => this.startNaming(index),
      },
      image,
      pin,
      caption,
    );
    const node = make("div", { class: "lv-step-place" }, branch, button);
    this.row.append(node);
    return { node, button, image, branch, pin, caption };
  }

  /** Update after any change except that of the view. */
  refresh() {
    if (this.node.hidden) return;
    const places = placeSteps(this.steps);
    const { compared, current } = { compared: this.compared(), current: this.current };
    this.focused = Math.min(this.focused, this.steps.length - 1);
    this.steps.forEach((step, index) => this.refreshEntry(this.entries[index], step, places[index], index));
    const isUsed = this.viewer.mode === "wipe" || this.viewer.mode === "difference";
    setText(this.text, this.isChoosing ? "Choose the step to compare with" : headline(this.steps, isUsed ? compared : undefined));
    this.text.title = this.text.textContent;
    this.compare.disabled = !this.steps.some(({ difference }) => difference !== null);
    setPressed(this.compare, this.isChoosing);
    this.rename.disabled = this.pin.disabled = !current;
    setPressed(this.pin, Boolean(current?.is_pinned));
  }

  /** @param {StepThumb} entry @param {StepMessage} step @param {import("./steps.js").Place} at @param {number} index */
  refreshEntry({ node, button, image, branch, pin, caption }, step, at, index) {
    const url = step.image ? addressOf(step.image) : "";
    if (image.getAttribute("src") !== url) image.setAttribute("src", url);
    setText(caption, titleOf(step));
    setText(branch, at.from === null ? "" : `↳${at.from}`);
    pin.hidden = !step.is_pinned;
    node.classList.toggle("lv-off-way", !at.isOnWay);
    node.classList.toggle("lv-branch", at.from !== null);
    button.classList.toggle("lv-several", step.kind === "samples" || step.kind === "sweep");
    button.classList.toggle("lv-compared", this.compared() === step);
    button.title = describeStep(step, at);
    button.setAttribute("aria-label", `${this.isChoosing ? "Compare with" : "Step"} ${describeStep(step, at)}`);
    button.setAttribute("aria-current", step.is_current ? "step" : "false");
    button.disabled = this.isChoosing && step.difference === null;
    button.tabIndex = index === this.focused ? 0 : -1;
  }

  /** Scroll to the thumbnail of the current step, sideways only. */
  followCurrent() {
    const number = this.current?.number ?? null;
    if (number === null || number === this.scrolledTo || this.node.hidden) return;
    this.scrolledTo = number;
    this.focused = this.steps.findIndex((step) => step.is_current);
    this.refresh();
    this.scrollTo(this.entries[this.focused].node);
  }

  /** @param {HTMLElement} node */
  scrollTo(node) {
    const row = this.row.scrollWidth > this.row.clientWidth ? this.row : this.node; // on a phone everything is in one row
    const [outer, inner] = [row.getBoundingClientRect(), node.getBoundingClientRect()];
    if (inner.left < outer.left) row.scrollLeft -= outer.left - inner.left;
    else if (inner.right > outer.right) row.scrollLeft += inner.right - outer.right;
  }

  // ------------------------------------------------------------ the visitor's actions

  /** @param {number} index @param {MouseEvent} event */
  onClick(index, event) {
    const step = this.steps[index];
    this.focused = index;
    if (event.shiftKey || this.isChoosing) this.compareWith(step);
    else if (!step.is_current && event.detail < 2) this.viewer.trigger("travel", { number: step.number });
    this.refresh();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key === "F2") this.startNaming(this.focused);
    else if (event.key === "Escape" && this.isChoosing) this.choose(false);
    else {
      const next = stepOfKey(event.key, this.focused, this.steps.length);
      if (next === null) return;
      this.focused = next;
      this.refresh();
      this.entries[next].button.focus({ preventScroll: true });
      this.scrollTo(this.entries[next].node);
    }
    event.preventDefault();
    event.stopPropagation(); // otherwise the arrow keys would move the picture as well
  }

  /** @param {boolean} isChoosing */
  choose(isChoosing) {
    this.isChoosing = isChoosing;
    this.refresh();
  }

  /** @param {StepMessage} step */
  compareWith(step) {
    this.isChoosing = false;
    if (step.difference === null) return;
    if (this.viewer.pictures.has(pictureOf(step.number))) this.showCompared(step.number);
    else {
      this.wanted = step.number;
      this.viewer.trigger("mark", markEvent(step, "compare"));
    }
  }

  /** Wipe between that step and the current one, once its picture is known. @param {number} number */
  showCompared(number) {
    const { viewer } = this;
    const id = pictureOf(number);
    if (!viewer.pictures.has(id)) return;
    this.wanted = null;
    const base = viewer.exploring.bar.base();
    const shown = base === undefined || base === id ? viewer.samples()[0]?.id : base;
    // The difference and flipping use the same two pictures.
    viewer.setMode("wipe", { compare: [id, shown], difference: [shown, id], current: shown, previous: id });
  }

  togglePin() {
    this.mark("pin", { is_pinned: !this.current?.is_pinned });
  }

  /** @param {number} [index] of the step; default: the one shown */
  startNaming(index = this.steps.findIndex((step) => step.is_current)) {
    const step = this.steps[index];
    if (!step) return;
    this.naming = step.number;
    this.field.open(step.name, this.entries[index].button);
  }

  /** @param {"name" | "pin"} action @param {{name?: string, is_pinned?: boolean}} changes */
  mark(action, changes) {
    const number = action === "name" ? this.naming : this.current?.number;
    const step = this.steps.find((one) => one.number === number);
    if (step) this.viewer.trigger("mark", markEvent(step, action, changes));
  }
}

/** The id of a step's picture in the scene. @param {number} number */
function pictureOf(number) {
  return `step-${number}`;
}
