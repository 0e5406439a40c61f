// The row of what paints calm and wild: the tools of choosing a place, how strongly, and places that are found by a rule.

import { make, makeButton, makeGroup, setPressed, setText } from "./dom.js";
import { heatWords, MOST_HEAT } from "./heatgrid.js";
import { MaskRow } from "./maskrow.js";

const HEAT_HINT = "Paint places calm or wild: their noise stays the same, only its strength changes.";
const LETTERING_HINT = "Lettering is not found by itself: box it, at 0.";

export class HeatRow extends MaskRow {
  /** @param {import("./heateditor.js").HeatEditor} editor */
  constructor(editor) {
    super(editor);
    this.heat = editor;
    this.targetGroup.hidden = this.invert.hidden = true;
    this.strength = make("input", {
      ...{ type: "range", class: "lv-range lv-heat-range", min: "0", max: String(MOST_HEAT), step: "0.05" },
      ...{ "aria-label": "Temperature to paint with", title: "Left: calm; right: wild" },
      oninput: () => editor.setTemperature(Number(this.strength.value)),
    });
    this.strengthText = make("output", { class: "lv-heat-text" });
    const ends = ["Calm", "Wild"].map((word) => make("span", { class: "lv-heat-end", "aria-hidden": "true" }, word));
    const strength = makeGroup("Strength", ends[0], this.strength, ends[1], this.strengthText);
    const flatTitle = "Calm wherever the picture has no detail, such as sky or wall";
    const uncertainTitle = "Calm where the samples differ most: the more they do, the calmer";
    this.flat = makeButton("Flat areas", flatTitle, () => editor.askPlace("flat"));
    this.uncertain = makeButton("Uncertain areas", uncertainTitle, () => editor.askPlace("uncertain"));
    const chosenTitle = "The place that was chosen for rolls, at the strength of the slider";
    this.chosen = makeButton("Chosen place", chosenTitle, () => editor.paintChosen());
    this.tint = makeButton("Tint", "Show in colours what is painted; its outline stays", () => editor.toggleTint());
    this.node.setAttribute("aria-label", "Paint calm and wild");
    this.node.classList.replace("lv-mask", "lv-heat");
    this.hint.classList.replace("lv-mask-hint", "lv-heat-hint");
    this.bar.prepend(strength);
    this.box.after(makeGroup("Places to calm", this.flat, this.uncertain, this.chosen), this.tint);
  }

  refresh() {
    super.refresh();
    if (this.node.hidden) return;
    const { heat } = this;
    this.strength.value = String(heat.temperature);
    const words = heatWords(heat.temperature, heat.drawn);
    this.strength.setAttribute("aria-valuetext", words);
    setText(this.strengthText, words);
    this.flat.disabled = this.uncertain.disabled = heat.base() === undefined;
    this.chosen.disabled = heat.viewer.exploring.mask.isEmpty;
    setPressed(this.tint, heat.hasTint);
  }

  words() {
    return this.editor.isEmpty ? HEAT_HINT : LETTERING_HINT;
  }
}
