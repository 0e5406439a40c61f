// "Could it be …?" for pieces of pictures: they are clicked one by one, and then compared.

import { make, makeButton, setText } from "./dom.js";

const MOST_PIECES = 10;

export class PieceMenu {
  /**
   * @param {import("./viewer.js").LinkedViewer} viewer
   * @param {() => void} onAdd
   * @param {() => void} onAsk
   */
  constructor(viewer, onAdd, onAsk) {
    this.viewer = viewer;
    /** @type {import("./messages.js").SourceMessage[]} */
    this.sources = [];
    this.asker = makeButton("Could it be one of these?", "", onAsk);
    this.adder = makeButton("Add a piece", "Click a region in any picture", onAdd);
    this.clearer = makeButton("Clear", "Remove all pieces", () => {
      this.sources = [];
      this.refresh();
      this.adder.focus();
    });
    this.count = make("span", { class: "lv-dial-text" });
    this.node = make("div", { class: "lv-ways-row" }, this.adder, this.count, this.clearer, this.asker);
    this.refresh();
  }

  /** @param {import("./messages.js").SourceMessage} source */
  add(source) {
    this.sources.push(source);
    this.viewer.announce(this.words());
    this.refresh();
  }

  words() {
    return this.sources.length === 1 ? "1 piece" : `${this.sources.length} pieces`;
  }

  refresh() {
    // Pieces of removed pictures are removed, too.
    this.sources = this.sources.filter(({ id }) => this.viewer.pictures.get(id));
    setText(this.count, this.words());
    this.adder.disabled = this.sources.length >= MOST_PIECES;
    this.clearer.disabled = !this.sources.length;
    this.asker.disabled = this.sources.length < 2;
  }
}
