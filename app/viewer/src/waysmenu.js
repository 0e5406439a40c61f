// "More ways": less common tools than rolls and neighbours, behind one button, with explanations.

import { make, makeButton, recall, remember, setPressed, setText } from "./dom.js";
import { EditMenu } from "./editmenu.js";
import { PieceMenu } from "./piecemenu.js";
import { TextMenu } from "./textmenu.js";
import { WishMenu } from "./wishmenu.js";

/** @typedef {"different" | "typical"} Choice */

const SLIDERS_TEXT =
  "The main ways in which the selected region can differ, each on a slider. For a region of 12 to 48 pixels a side.";

const WISHES_TEXT = "A slider towards what you wish for in the selected region, and how likely the model finds the result.";
const TEXTS_TEXT =
  "Finds out which of several texts the input rules out in the selected region. Box one character or one word; characters are more reliable.";
const PIECES_TEXT = "The same for two to ten pictures: pieces as large as the selected region, and files, which are scaled to it.";
const EDITS_TEXT = "Change the selected region by hand: see how much of the change matches the input and looks natural.";

const GRAIN_TEXT =
  "Give the selected region the texture of another, from any picture here. To use your own photo, see below the pictures.";

const FAMILIES_TEXT = "Groups of similar versions, as a tree, from 160 rolls of a small region (up to 12 pixels a side).";

export class WaysMenu {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {Choice} */
    this.choice = recall("five") === "typical" ? "typical" : "different";
    this.opener = makeButton("More ways", "Sliders, wishes, edits, five that differ, families, mixtures", () => this.toggle(), {
      "aria-expanded": "false",
      "aria-haspopup": "true",
    });
    this.five = makeButton("", "", () => this.ask(this.choice));
    /** @type {Record<Choice, HTMLButtonElement>} */
    this.choices = {
      different: makeButton("different", "The five that differ most from each other", () => this.choose("different")),
      typical: makeButton("typical", "Each central to a group of similar versions", () => this.choose("typical")),
    };
    this.extremes = makeButton("Extremes", "", () => this.ask("extremes"));
    this.mix = makeButton("Mix pictures", "", () => {
      this.toggle(false);
      viewer.exploring.parents.toggleChoosing();
    });
    this.sliders = makeButton("Sliders of this region", "", () => this.askSliders());
    this.wishes = new WishMenu(viewer, () => this.askWish(), () => this.drawStrokes());
    this.edits = new EditMenu(viewer, () => this.askEdit());
    this.grain = makeButton("Grain from another region", "", () => this.askSource("grain"));
    this.texts = new TextMenu(() => this.askTexts());
    this.pieces = new PieceMenu(viewer, () => this.addPiece(), () => this.ask("pieces", { sources: this.pieces.sources }));
    this.fiveText = make("p");
    this.extremesText = make("p");
    this.families = makeButton("Families", "", () => this.askFamilies());
    const familiesText = make("p", {}, FAMILIES_TEXT);
    const segments = make("div", { class: "lv-segments", role: "group", "aria-label": "Which five" });
    segments.append(...Object.values(this.choices));
    const mixText = make("p", {}, "Tick two or more pictures for eight mixtures of them, or a slider between two.");
    this.panel = make(
      "div",
      { class: "lv-ways", role: "group", "aria-label": "More ways", hidden: true },
      ...[this.sliders, make("p", {}, SLIDERS_TEXT), this.wishes.node, make("p", {}, WISHES_TEXT)],
      ...[this.edits.node, make("p", {}, EDITS_TEXT), this.grain, make("p", {}, GRAIN_TEXT), this.texts.node, make("p", {}, TEXTS_TEXT)],
      ...[this.pieces.node, make("p", {}, PIECES_TEXT)],
      make("div", { class: "lv-ways-row" }, this.five, segments),
      ...[this.fiveText, this.extremes, this.extremesText, this.families, familiesText, this.mix, mixText],
    );
    this.node = make("div", { class: "lv-ways-menu" }, this.opener, this.panel);
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.node.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.node.contains(/** @type {Node} */ (relatedTarget))) this.toggle(false);
    });
    document.addEventListener("pointerdown", ({ target }) => {
      if (!this.node.contains(/** @type {Node} */ (target))) this.toggle(false);
    });
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  toggle(isOpen = !this.isOpen) {
    if (isOpen === this.isOpen) return;
    this.panel.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", String(isOpen));
    this.refresh();
    this.keepInside();
  }

  /** The panel opens below its button, unless it would then reach beyond the viewer. */
  keepInside() {
    this.panel.style.left = "";
    const over = this.panel.getBoundingClientRect().right - this.viewer.root.getBoundingClientRect().right;
    if (over > 0) this.panel.style.left = `${-over}px`;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key !== "Escape" || !this.isOpen) return;
    event.stopPropagation(); // Escape would leave the variants, too
    this.toggle(false);
    this.opener.focus();
  }

  /** @param {Choice} choice */
  choose(choice) {
    this.choice = choice;
    remember("five", choice);
    this.refresh();
  }

  /** Requests about the selected region; without one, the visitor must select it first. */
  askSliders() {
    if (this.hasPlace()) this.ask("sliders");
  }

  askFamilies() {
    if (this.hasPlace()) this.ask("families");
  }

  askWish() {
    if (this.wishes.needsSource) this.askSource("like");
    else if (this.wishes.isScribble && !this.viewer.exploring.scribble.strokes.length) this.drawStrokes();
    else if (this.hasPlace()) this.ask("wish", { wish: this.wishes.message() });
  }

  /** Lets the visitor draw into the selected region; Enter then asks for the wish. */
  drawStrokes() {
    if (!this.hasPlace()) return;
    this.wishes.refresh();
    this.toggle(false);
    this.viewer.exploring.scribble.begin(() => this.askWish());
    this.viewer.stage.focus({ preventScroll: true });
  }

  /** Requests about a region that is clicked; then the menu opens again. */
  addPiece() {
    if (!this.hasPlace()) return;
    this.toggle(false);
    this.viewer.exploring.source.begin((source) => {
      this.pieces.add(source);
      this.toggle(true);
    });
    this.viewer.stage.focus({ preventScroll: true });
  }

  /** Requests about the selected region and one that is clicked. @param {"grain" | "like"} action */
  askSource(action) {
    if (!this.hasPlace()) return;
    this.toggle(false);
    this.viewer.exploring.source.begin((source) => this.ask(action, { source }));
    this.viewer.stage.focus({ preventScroll: true });
  }

  askEdit() {
    if (this.hasPlace()) this.ask("edit", { edit: this.edits.message() });
  }

  askTexts() {
    const texts = this.texts.texts();
    if (texts.length < 2) this.viewer.announce("Write two or more texts, separated by commas");
    else if (this.hasPlace()) this.ask("texts", { texts });
  }

  hasPlace() {
    const { viewer } = this;
    if (!viewer.exploring.mask.isEmpty) return true;
    this.toggle(false);
    viewer.exploring.mask.toggle(true);
    viewer.exploring.bar.askForPlace();
    return false;
  }

  /**
   * @param {Choice | "extremes" | "families" | "sliders" | "wish" | "like" | "edit" | "grain" | "texts" | "pieces"} action
   * @param {{wish?: import("./messages.js").WishMessage, edit?: import("./messages.js").EditMessage, texts?: string[],
   *   source?: import("./messages.js").SourceMessage, sources?: import("./messages.js").PieceMessage[]}} [settings]
   */
  ask(action, settings) {
    const { exploring } = this.viewer;
    this.toggle(false);
    exploring.bar.ask(action, exploring.walk.message?.start ?? exploring.bar.base(), settings);
    this.viewer.stage.focus({ preventScroll: true });
  }

  refresh() {
    const { exploring } = this.viewer;
    const hasBase = exploring.bar.base() !== undefined;
    this.opener.disabled = !hasBase;
    setPressed(this.mix, exploring.parents.isOpen);
    this.edits.refresh();
    this.wishes.refresh();
    this.pieces.refresh();
    for (const [name, node] of Object.entries(this.choices)) setPressed(node, name === this.choice);
    const many = exploring.mask.isEmpty ? "24 other pictures" : "64 rolls of the selected region";
    const isDifferent = this.choice === "different";
    setText(this.five, isDifferent ? "Five that differ" : "Five typical ones");
    const kind = isDifferent ? "that differ most" : "that are most typical";
    setText(this.fiveText, `Of ${many}, the five ${kind}, and how many versions each of them represents.`);
    setText(this.extremesText, `Of ${many}: the smoothest, sharpest, darkest, brightest, and so on.`);
  }
}
