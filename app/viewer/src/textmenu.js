// "Could it be …?": texts that the input may rule out in the selected region.

import { make, makeButton } from "./dom.js";
import { splitTexts } from "./walking.js";

export class TextMenu {
  /** @param {() => void} onAsk */
  constructor(onAsk) {
    this.input = make("input", {
      ...{ type: "text", class: "lv-wish-field lv-text-field", placeholder: "e.g. 3, 8, B", "aria-label": "Texts, separated by commas" },
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && onAsk(),
    });
    this.node = make("div", { class: "lv-ways-row" }, makeButton("Could the text be …?", "", onAsk), this.input);
  }

  /** The texts, two or more. @returns {string[]} */
  texts() {
    return splitTexts(this.input.value);
  }
}
