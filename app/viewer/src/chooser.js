// The second row: a small button for each picture or, for a wipe or a difference, menus.

import { ALL_SAMPLES } from "./choices.js";
import { make, makeButton, makeIconButton, replaceIfChanged, setPressed } from "./dom.js";
import { sampleKeyName } from "./keys.js";
import { DIFFERENCE_SCALES } from "./values.js";

/** @typedef {import("./pictures.js").Picture} Picture */

/**
 * @param {string} label
 * @param {(value: string) => void} action
 */
function makeMenu(label, action) {
  const onchange = (/** @type {Event} */ event) => action(/** @type {HTMLSelectElement} */ (event.target).value);
  return make("select", { class: "lv-select", "aria-label": label, title: label, onchange });
}

/** @param {string} value @param {string} text */
function makeOption(value, text) {
  return make("option", { value }, text);
}

export class Chooser {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.chips = make("div", { class: "lv-chips", role: "group", "aria-label": "Show one picture" });
    this.sides = [
      makeMenu("Picture on the left", (id) => viewer.setCompare(0, id)),
      makeMenu("Picture on the right", (id) => viewer.setCompare(1, id)),
    ];
    const swap = makeIconButton("⇄", "Swap the two pictures", "X", () => viewer.swap());
    this.wipeRow = make("div", { class: "lv-choice-row", hidden: true }, this.sides[0], swap, this.sides[1]);
    this.terms = [
      makeMenu("Subtract from", (id) => viewer.setDifference(0, id)),
      makeMenu("Picture to subtract", (id) => viewer.setDifference(1, id)),
    ];
    this.scale = makeMenu("Range of the colours", (value) => viewer.differences.setScale(Number(value) || null));
    this.scale.classList.add("lv-scale");
    this.scale.append(
      makeOption("0", "auto ±"),
      ...DIFFERENCE_SCALES.map((scale) => makeOption(String(scale), `±${scale}`)),
    );
    const minus = make("span", { "aria-hidden": "true" }, "−");
    this.differenceRow = make(
      "div",
      { class: "lv-choice-row", hidden: true },
      ...[this.terms[0], minus, this.terms[1], this.scale],
    );
    this.node = make("div", { class: "lv-chooser" }, this.chips, this.wipeRow, this.differenceRow);
  }

  /** Update after a new scene. */
  rebuild() {
    const pictures = [...this.viewer.pictures.values()];
    const chips = pictures.filter(({ kind }) => kind !== "way");
    replaceIfChanged(this.chips, chips.map((picture) => this.buildChip(picture)));
    const options = () => pictures.map(({ id, label }) => makeOption(id, label));
    for (const menu of [...this.sides, this.terms[1]]) replaceIfChanged(menu, options());
    const all = this.viewer.samples().length > 1 ? [makeOption(ALL_SAMPLES, "All samples")] : [];
    replaceIfChanged(this.terms[0], [...all, ...options()]);
  }

  /** @param {Picture} picture */
  buildChip(picture) {
    const isSample = picture.kind === "sample";
    const key = isSample ? sampleKeyName(picture.number) : (picture.key || "").toUpperCase();
    const isExplored = picture.id === this.viewer.scene.explored;
    const text = isExplored ? "Explored" : isSample ? String(picture.number + 1) : picture.label;
    const title = `Show ${picture.label} alone${key ? ` (${key})` : ""}`;
    const chip = makeButton(text, title, () => this.viewer.show(picture.id), { "data-id": picture.id });
    if (!isSample) chip.classList.add("lv-reference");
    if (!isSample && key) chip.append(make("kbd", { "aria-hidden": "true" }, key));
    return chip;
  }

  refresh() {
    const { viewer } = this;
    const { mode, current } = viewer;
    for (const chip of /** @type {HTMLElement[]} */ ([...this.chips.children])) {
      setPressed(chip, mode === "single" && chip.dataset.id === current);
    }
    this.chips.hidden = mode === "wipe" || mode === "difference";
    this.wipeRow.hidden = mode !== "wipe";
    this.differenceRow.hidden = mode !== "difference";
    this.sides.forEach((menu, side) => (menu.value = viewer.compare[side] ?? ""));
    this.terms.forEach((menu, side) => (menu.value = viewer.difference[side] ?? ""));
    this.scale.value = String(viewer.differences.chosenScale ?? 0);
  }
}
