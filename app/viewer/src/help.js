// The list of keys and gestures.

import { make, makeIconButton } from "./dom.js";
import { HELP } from "./keys.js";

export class Help {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {HTMLElement | null} */
    this.opener = null; // where the focus returns
    this.close = makeIconButton("×", "Close", "Esc", () => this.toggle(false));
    const rows = HELP.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)]);
    this.node = make(
      "div",
      { class: "lv-help", role: "dialog", "aria-label": "Keys and gestures", hidden: true },
      make("div", { class: "lv-help-head" }, make("h3", {}, "Keys and gestures"), this.close),
      make("dl", { class: "lv-keys" }, ...rows),
    );
  }

  get isOpen() {
    return !this.node.hidden;
  }

  toggle(isOpen = !this.isOpen) {
    const { root, toolbar } = this.viewer;
    if (isOpen) {
      const active = /** @type {HTMLElement} */ (document.activeElement);
      this.opener = root.contains(active) && !this.node.contains(active) ? active : toolbar.help;
    }
    this.node.hidden = !isOpen;
    toolbar.help.setAttribute("aria-expanded", String(isOpen));
    (isOpen ? this.close : (this.opener ?? toolbar.help)).focus({ preventScroll: true });
  }
}
