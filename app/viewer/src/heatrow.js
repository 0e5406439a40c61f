// The row of tools that paint calm and wild: the selection tools, the temperature, and areas that are found by a rule.

import { make, makeButton, makeGroup, setPressed, setText } from "./dom.js";
import { heatWords, MOST_HEAT } from "./heatgrid.js";
import { MaskRow } from "./maskrow.js";

const HEAT_HINT = "Paint regions calm or wild: their noise pattern stays the same; only its strength changes.";
const LETTERING_HINT = "Lettering is not detected automatically: draw a box around it, at 0.";

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
    const flatTitle = "Calm areas without detail, such as sky or walls";
    const uncertainTitle = "Calm where the samples differ most: the more they differ, the calmer";
    this.flat = makeButton("Flat areas", flatTitle, () => editor.askPlace("flat"));
    this.uncertain = makeButton("Uncertain areas", uncertainTitle, () => editor.askPlace("uncertain"));
    const chosenTitle = "Paint the region that was selected for rolls with the temperature of the slider";
    this.chosen = makeButton("Selected region", chosenTitle, () => editor.paintChosen());
    this.tint = makeButton("Tint", "Show the painted temperatures as colours; their outline always stays visible", () => editor.toggleTint());
    this.node.setAttribute("aria-label", "Paint calm and wild");
    this.node.classList.replace("lv-mask", "lv-heat");
    this.hint.classList.replace("lv-mask-hint", "lv-heat-hint");
    this.bar.prepend(strength);
    this.box.after(makeGroup("Areas to calm", this.flat, this.uncertain, this.chosen), this.tint);
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
