// "Could it be …?" for pictures: pieces that are clicked one by one, and files; then they are compared.

import { CandidateFiles } from "./candidatefiles.js";
import { make, makeButton, setText } from "./dom.js";
import { pieceWords } from "./walking.js";

const MOST_PIECES = 10;

export class PieceMenu {
  /**
   * @param {import("./viewer.js").LinkedViewer} viewer
   * @param {() => void} onAdd
   * @param {() => void} onAsk
   */
  constructor(viewer, onAdd, onAsk) {
    this.viewer = viewer;
    /** @type {import("./messages.js").PieceMessage[]} */
    this.sources = [];
    this.asker = makeButton("Could it be one of these?", "", onAsk);
    this.adder = makeButton("Add a piece", "Click a region in any picture", onAdd);
    this.clearer = makeButton("Clear", "Remove all pieces", () => {
      this.sources = [];
      this.refresh();
      this.adder.focus();
    });
    this.count = make("span", { class: "lv-dial-text" });
    this.node = make("div", { class: "lv-ways-row" });
    this.files = new CandidateFiles(this.node, (file) => this.add(file), (text) => this.refuse(text));
    this.node.append(this.adder, this.files.button, this.files.input, this.count, this.clearer, this.asker);
    this.refresh();
  }

  /** @param {import("./messages.js").PieceMessage} source */
  add(source) {
    if (this.sources.length >= MOST_PIECES) return this.refuse(`${MOST_PIECES} pieces and files are the most.`);
    this.sources.push(source);
    this.refresh();
    this.viewer.announce(this.count.textContent);
  }

  /** @param {string} text */
  refuse(text) {
    setText(this.count, text);
    this.viewer.announce(text);
  }

  refresh() {
    // Pieces of removed pictures are removed, too.
    this.sources = this.sources.filter((source) => "file" in source || this.viewer.pictures.get(source.id));
    setText(this.count, pieceWords(this.sources));
    this.adder.disabled = this.files.button.disabled = this.sources.length >= MOST_PIECES;
    this.clearer.disabled = !this.sources.length;
    this.asker.disabled = this.sources.length < 2;
  }
}
