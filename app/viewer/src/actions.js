// The visitor's actions on what is shown.

import { ALL_SAMPLES, pictureBeside, withPicture, withSidesSwapped } from "./choices.js";
import { remember } from "./dom.js";
import { pickEvent } from "./messages.js";
import { SceneState } from "./scene.js";

export class VisitorActions extends SceneState {
  /** To be called after any change except that of the view; the viewer overrides it. */
  refresh() {}

  /** Announce a text to screen readers. @param {string} _text */
  announce(_text) {}

  /** Send an event to Python. @param {"pick" | "place"} _name @param {object} _data */
  report(_name, _data) {}

  /** @param {import("./choices.js").Mode} mode @param {Partial<import("./choices.js").Choices>} [changes] */
  setMode(mode, changes = {}) {
    this.choose({ ...changes, mode });
    this.hover = null;
    this.refresh();
    if (mode === "single" && this.current !== null) this.report("pick", pickEvent(this.scene, this.current));
    this.announce(this.panes.length === 1 ? this.panes[0].canvas.getAttribute("aria-label") : "All samples");
  }

  /** Show one picture at the current position, in the way of the current mode. @param {string | undefined} id */
  show(id) {
    if (id === undefined || !this.pictures.has(id)) return;
    const { hover } = this;
    const choices = withPicture(this.choices, id);
    this.setMode(choices.mode, choices);
    if (hover && this.panes[0] === hover.pane) this.hover = hover; // flipping pictures under a still pointer keeps the loupe
    this.invalidate();
  }

  /** @param {number} direction */
  step(direction) {
    this.show(pictureBeside(this.choices, [...this.pictures.keys()], direction));
  }

  flipBack() {
    if (this.mode === "wipe" || this.mode === "difference") this.swap();
    else if (this.choices.previous !== null) this.show(this.choices.previous);
  }

  /** @param {number} side @param {string} id */
  setCompare(side, id) {
    if (this.pictures.has(id)) this.setMode("wipe", { compare: this.compare.with(side, id) });
  }

  /** @param {number} side @param {string} id */
  setDifference(side, id) {
    this.setMode("difference", { difference: this.difference.with(side, id) });
  }

  swap() {
    const choices = withSidesSwapped(this.choices);
    this.setMode(choices.mode, choices);
  }

  /** @param {import("./panes.js").Pane} pane */
  onCaption({ kind, ids }) {
    if (this.mode === "difference" && this.panes.length > 1) this.setDifference(0, ids[0]);
    else if (this.mode !== "grid") this.escape();
    else if (kind !== "map") this.show(ids[0]);
  }

  /** Go back from one picture to several. */
  escape() {
    if (this.mode === "difference" && this.panes.length === 1 && this.samples().length > 1) {
      this.setDifference(0, ALL_SAMPLES);
    } else if (this.mode !== "grid") this.setMode("grid");
  }

  toggleLoupe() {
    this.loupe = !this.loupe;
    this.announce(this.loupe ? "Loupe on" : "Loupe off");
    this.refresh();
  }

  toggleReferences() {
    this.choose({ showReferences: !this.showReferences });
    this.refresh();
  }

  toggleMap() {
    if (!this.canShowMap()) return;
    this.showMap = !this.showMap;
    remember("map", this.showMap);
    this.announce(this.showMap ? "Map on" : "Map off");
    this.refresh();
  }

  toggleOverlay() {
    if (!this.canShowOverlay()) return;
    this.overlayOn = !this.overlayOn;
    this.announce(this.overlayOn ? "Overlay on" : "Overlay off");
    this.refresh();
  }
}
