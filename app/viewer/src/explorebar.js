// The row of buttons for exploring: select a region, roll it, draw neighbours at a dial; and a hint for newcomers.

import { make, makeButton, makeGroup, recall, remember, setPressed, setText } from "./dom.js";
import { SCRIBBLE_HINT } from "./scribble.js";
import { SOURCE_HINT } from "./sourcetool.js";
import { WaysMenu } from "./waysmenu.js";

const FIRST_DIAL = 35; // percent
const DETAILS = { all: "all", coarse: "coarse", fine: "fine" };
const INVITATION = "Does anything look odd? Select a region, such as an eye or a word, then roll it: only that region is drawn again.";
const PLACE_FIRST = "Paint, box or outline the region first, then open More ways again.";
const NOW_MORE = "You can open More ways again now.";
const NEXT_HINT = "Now press Roll (R) for eight other versions of this region.";

export class ExploreBar {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.hasExplored = Boolean(recall("explored"));
    this.isWaitingForPlace = false; // for a request in the menu
    this.choose = makeButton("Select a region", "Paint, box or outline a region to explore (C)", () => viewer.exploring.mask.toggle());
    this.roll = makeButton("Roll", "Eight other versions of the selected region; the rest stays the same (R)", () => this.askRoll());
    const moreTitle = "Eight neighbours of this picture, or of its selected region; the dial sets how different they are";
    this.more = makeButton("More like this", moreTitle, () => this.askMore());
    this.dial = make("input", {
      ...{ type: "range", class: "lv-range", min: "0", max: "100", step: "5", value: String(FIRST_DIAL) },
      ...{ "aria-label": "How different neighbours are, in percent", title: "0 %: identical; 100 %: independent samples" },
      oninput: () => this.showDial(),
      onchange: () => this.onDial(),
    });
    this.dialText = make("output", { class: "lv-dial-text" });
    this.detail = make(
      "select",
      {
        ...{ class: "lv-select lv-detail", "aria-label": "In what neighbours differ" },
        ...{ title: "Let neighbours differ in everything, only in coarse shapes, or only in fine texture" },
        onchange: () => this.onDial(),
      },
      ...Object.entries(DETAILS).map(([value, text]) => make("option", { value }, text)),
    );
    const heatTitle = "Paint where the picture should be calm or wild: the same noise, weaker or stronger";
    this.heat = makeButton("Calm / wild", heatTitle, () => viewer.exploring.heat.toggle());
    this.menu = new WaysMenu(viewer);
    const neighbours = makeGroup("Neighbours", this.more, this.dial, this.dialText, this.detail);
    neighbours.classList.add("lv-neighbours");
    this.hint = make("p", { class: "lv-explore-hint" });
    this.node = make(
      "div",
      { class: "lv-explore", role: "group", "aria-label": "Explore", hidden: true },
      makeGroup("Region", this.choose, this.roll),
      neighbours,
      makeGroup("Temperature", this.heat),
      this.menu.node,
      this.hint,
    );
    this.showDial();
  }

  /**
   * The picture that a request refers to: the one shown, otherwise the one painted on, otherwise any that can be
   * explored.
   */
  base() {
    const { viewer } = this;
    const { mode, current, scene } = viewer;
    const { walk, editor } = viewer.exploring;
    const isDrawn = (/** @type {string | null} */ id) => {
      const picture = viewer.pictures.get(id ?? "");
      return Boolean(picture && picture.kind !== "reference" && picture.state !== "waiting");
    };
    const shown = mode === "single" ? current : mode === "wipe" ? viewer.compare[1] : null;
    return [shown, walk.message?.start, editor.paintedOn, scene?.explored, ...viewer.samples().map(({ id }) => id)].find(isDrawn);
  }

  askRoll() {
    const { viewer } = this;
    if (!viewer.exploring.mask.isAvailable) return;
    if (viewer.exploring.mask.isEmpty) {
      viewer.exploring.mask.toggle(true);
      viewer.announce("Select a region first");
      return;
    }
    this.ask("roll", viewer.exploring.walk.message?.start ?? this.base());
  }

  /** A request needs a region: say so where the visitor is looking. */
  askForPlace() {
    this.isWaitingForPlace = true;
    this.viewer.announce(PLACE_FIRST);
    this.refresh();
  }

  /** What to do next, in words; "" for visitors who know it. */
  hintText() {
    if (this.viewer.exploring.source.isOn) return SOURCE_HINT;
    if (this.viewer.exploring.scribble.isOn) return SCRIBBLE_HINT;
    const { isEmpty } = this.viewer.exploring.mask;
    if (this.isWaitingForPlace) return isEmpty ? PLACE_FIRST : NOW_MORE;
    if (this.hasExplored) return "";
    return isEmpty ? INVITATION : NEXT_HINT;
  }

  askMore() {
    this.ask("more", this.base());
  }

  /**
   * @param {import("./messages.js").WayKind | "like"} action
   * @param {string | undefined} id
   * @param {{wish?: import("./messages.js").WishMessage, edit?: import("./messages.js").EditMessage, texts?: string[],
   *   source?: import("./messages.js").SourceMessage, sources?: import("./messages.js").PieceMessage[]}} [settings]
   */
  ask(action, id, settings) {
    if (id === undefined) return;
    this.hasExplored = true;
    this.isWaitingForPlace = false;
    remember("explored", true);
    this.viewer.exploring.editor.toggle(false);
    this.viewer.exploring.scribble.end();
    this.viewer.exploring.ask(action, id, settings);
    this.refresh();
  }

  /** Settings of neighbours. @returns {{dial: number, detail: import("./messages.js").Detail}} */
  settings() {
    return { dial: Number(this.dial.value), detail: /** @type {any} */ (this.detail.value) };
  }

  showDial() {
    setText(this.dialText, `${this.dial.value} %`);
  }

  /** The same neighbours, more or less different. */
  onDial() {
    const { message } = this.viewer.exploring.walk;
    if (message?.kind === "more") this.viewer.exploring.ask("more", message.start);
  }

  refresh() {
    const { viewer } = this;
    this.node.hidden = Boolean(viewer.scene) && !viewer.scene.grid; // its space is reserved before there is a picture
    this.choose.disabled = !viewer.exploring.mask.isAvailable;
    setPressed(this.choose, Boolean(viewer.exploring.mask.tool));
    setPressed(this.heat, Boolean(viewer.exploring.heat.tool));
    const hasBase = this.base() !== undefined;
    this.roll.disabled = this.more.disabled = this.heat.disabled = !hasBase;
    this.roll.classList.toggle("lv-inviting", hasBase && !viewer.exploring.mask.isEmpty && !viewer.exploring.walk.isOpen);
    this.menu.refresh();
    setText(this.hint, this.hintText());
    const { walk, editor, heat, source, scribble } = viewer.exploring;
    // While the visitor paints, the hint is below the tools: another line here would move the pictures.
    const isSaidBelow = heat.isChoosing || Boolean(editor.tool);
    this.hint.hidden = !this.hint.textContent || (!source.isOn && !scribble.isOn && (walk.isOpen || isSaidBelow));
  }
}
