// Keys: their effect in the viewer. Single letters work only while the focus is inside it.

import { readKey } from "./keys.js";

export class Keyboard {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    viewer.root.addEventListener("keydown", (event) => this.onKey(event));
    /** @type {Record<string, () => void>} */
    this.actions = {
      zoomIn: () => viewer.zoomStep(1),
      zoomOut: () => viewer.zoomStep(-1),
      fit: () => viewer.fit(),
      actualPixels: () => viewer.zoomTo(1),
      grid: () => viewer.setMode("grid"),
      wipe: () => viewer.setMode("wipe"),
      difference: () => viewer.setMode("difference"),
      swap: () => viewer.swap(),
      next: () => viewer.step(1),
      previous: () => viewer.step(-1),
      flipBack: () => viewer.flipBack(),
      roll: () => viewer.exploring.bar.askRoll(),
      tick: () => viewer.exploring.parents.toggle(viewer.mode === "single" ? viewer.current : null),
      choosePlace: () => viewer.exploring.mask.toggle(),
      chooseCentre: () => viewer.cropPanel.chooseCentre(),
      loupe: () => viewer.toggleLoupe(),
      overlay: () => viewer.toggleOverlay(),
      map: () => viewer.toggleMap(),
      references: () => viewer.toggleReferences(),
      fullscreen: () => viewer.toolbar.toggleFullscreen(),
      help: () => viewer.help.toggle(),
      escape: () => viewer.escape(),
    };
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("select, input[type=number]")) return; // letters and arrows operate the menu, digits are typed into fields
    if (target.closest("input") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (target.closest("button, a") && (event.key === " " || event.key === "Enter")) return; // the key presses the button
    if (this.viewer.exploring.onKey(event)) {
      event.preventDefault();
      event.stopPropagation(); // the page would also undo
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (this.handle(event)) event.preventDefault();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key had a meaning here */
  handle(event) {
    const { viewer } = this;
    const meaning = readKey(event);
    if (!meaning) return false;
    const { action, sample, move, letter } = meaning;
    if (!viewer.pictures.size && action !== "help" && action !== "escape") return false;
    if (move) return viewer.panBySteps(move[0], move[1], event.shiftKey);
    if (action) this.actions[action]();
    else viewer.show(sample === undefined ? viewer.referenceByKey(letter) : viewer.samples()[sample]?.id);
    return true;
  }
}
