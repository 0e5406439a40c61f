// A field for the name of a step: Enter stores the name, Escape discards it.

import { make } from "./dom.js";

const MAX_NAME = 40; // as in steps.py

export class NameField {
  /** @param {(name: string) => void} onName */
  constructor(onName) {
    this.onName = onName;
    /** @type {HTMLElement | null} where the focus returns */
    this.opener = null;
    this.former = "";
    this.node = make("input", {
      ...{ type: "text", class: "lv-name", maxlength: String(MAX_NAME), hidden: true, autocomplete: "off" },
      ...{ "aria-label": "Name of the step", placeholder: "Name, then Enter" },
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event),
      onblur: () => this.close(true),
    });
  }

  /** @param {string} name @param {HTMLElement} opener */
  open(name, opener) {
    this.opener = opener;
    this.former = this.node.value = name;
    this.node.hidden = false;
    this.node.focus();
    this.node.select();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    event.stopPropagation(); // letters are typed here, and are not keys of the viewer
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    this.close(event.key === "Enter");
    this.opener?.focus({ preventScroll: true });
  }

  /** @param {boolean} isTaken */
  close(isTaken) {
    if (this.node.hidden) return;
    this.node.hidden = true;
    if (isTaken && this.node.value !== this.former) this.onName(this.node.value);
  }
}
