// The viewer: what is shown, and what changes it. Gradio's template for this component is one empty <div>, and never
// changes: a template that depended on the value would be rendered again with each update, and lose the visitor's
// position.

import { VisitorActions } from "./actions.js";
import { Chooser } from "./chooser.js";
import { CropPanel } from "./crops.js";
import { describeViewer } from "./describe.js";
import { Differences } from "./differences.js";
import { make, setText } from "./dom.js";
import { Exploring } from "./exploring.js";
import { Help } from "./help.js";
import { HistoryStrip } from "./history.js";
import { Keyboard } from "./keyboard.js";
import { SharedLens } from "./lens.js";
import { LineTool } from "./measure.js";
import { refreshPane } from "./panes.js";
import { Readout } from "./readout.js";
import { PointerRouter, TOOLS } from "./tools.js";
import { Toolbar } from "./toolbar.js";
import { Divider } from "./wipe.js";

const REPORT_DELAY_MS = 250; // milliseconds: a double click, or quickly stepping through samples, reports only once

/** @typedef {import("./messages.js").SceneMessage} SceneMessage */

export class LinkedViewer extends VisitorActions {
  /**
   * @param {HTMLElement} element
   * @param {(event: string, data: object) => void} trigger tells Python
   */
  constructor(element, trigger) {
    super();
    this.trigger = trigger;
    /** @type {Record<string, number>} */
    this.timers = {};
    this.revision = 0; // the highest revision seen
    this.tools = Object.fromEntries(Object.entries(TOOLS).map(([name, build]) => [name, build(this)]));
    this.line = new LineTool(this);
    this.differences = new Differences(this);
    this.exploring = new Exploring(this);
    this.history = new HistoryStrip(this);
    this.build(element);
    this.refresh();
  }

  /** @param {HTMLElement} element */
  build(element) {
    this.toolbar = new Toolbar(this);
    this.chooser = new Chooser(this);
    this.divider = new Divider(this);
    this.lens = new SharedLens(this);
    this.readout = new Readout(this);
    this.cropPanel = new CropPanel(this);
    this.help = new Help(this);
    this.empty = make("p", { class: "lv-empty" }, "Samples will appear here.");
    this.note = make("p", { class: "lv-hint", hidden: true });
    this.live = make("div", { class: "lv-hidden", "aria-live": "polite" });
    this.stage.append(this.empty, this.divider.node, this.lens.canvas, this.note);
    this.root = make(
      "section",
      { class: "lv", "aria-label": "Linked viewer" },
      make("h2", { class: "lv-hidden" }, "Pictures"),
      this.toolbar.node,
      this.chooser.node,
      this.exploring.node,
      make("div", { class: "lv-body" }, this.stage, this.help.node),
      this.exploring.parents.node,
      this.exploring.walk.node,
      this.history.node,
      this.readout.node,
      this.cropPanel.node,
      this.live,
    );
    element.replaceChildren(this.root);
    this.root.addEventListener("lv-show", (event) => this.onShow(/** @type {CustomEvent} */ (event)));
    new PointerRouter(this, this.stage);
    new Keyboard(this);
    this.watchSize();
  }

  get crops() {
    return this.cropPanel.entries;
  }

  /** The tool that has the pointer. @returns {import("./tools.js").Tool} */
  get tool() {
    if (this.exploring.source.isOn) return this.exploring.source;
    if (this.exploring.scribble.isOn) return this.exploring.scribble;
    if (this.exploring.editor.tool) return this.exploring.editor.tool;
    return this.line.isOn ? this.line : this.loupe ? this.tools.loupe : this.tools.move;
  }

  isFingerBusy() {
    return this.loupe || this.line.isOn || this.exploring.scribble.isOn || Boolean(this.exploring.editor.tool);
  }

  hasFocus() {
    return this.root.contains(document.activeElement) || document.fullscreenElement === this.root;
  }

  // ------------------------------------------------------------ after a change

  /**
   * Show another scene, unless a newer one has already arrived: Gradio's replies and its stream of answers may overtake
   * each other.
   * @param {SceneMessage | null} scene
   */
  setScene(scene) {
    if (scene && scene.revision < this.revision) return;
    this.revision = scene?.revision ?? this.revision;
    this.takeScene(scene);
    this.exploring.takeScene();
    this.differences.trim();
    this.chooser.rebuild();
    this.cropPanel.rebuild();
    this.history.takeScene();
    this.refresh();
  }

  forgetSubject() {
    super.forgetSubject();
    this.line.forget();
    this.differences.forget();
  }

  /** A picture, some rows or the map arrived or failed. */
  onPictures() {
    this.findBusiest();
    for (const pane of this.panes) refreshPane(pane, this);
    this.exploring.walk.onPictures();
    this.cropPanel.isStale = true;
    this.invalidate();
  }

  /** Update after any change except that of the view. */
  refresh() {
    if (this.exploring.editor.tool) this.line.isOn = false; // only one tool has the pointer
    const contents = this.contents();
    const hadFocus = this.root.contains(document.activeElement);
    this.setContents(contents, (pane) => this.onCaption(pane));
    for (const pane of this.panes) refreshPane(pane, this);
    this.empty.hidden = contents.length > 0;
    this.divider.node.hidden = this.mode !== "wipe" || !contents.length;
    this.root.classList.toggle("lv-bare", !contents.length);
    setText(this.note, this.scene?.note || "");
    this.note.hidden = !this.note.textContent;
    this.stage.style.cursor = this.tool.cursor;
    this.toolbar.refresh();
    this.chooser.refresh();
    this.exploring.refresh();
    this.history.refresh();
    this.cropPanel.refreshControls();
    this.readout.refreshLegend();
    this.differences.trim();
    if (hadFocus) this.keepFocus();
    this.layout();
    if (!contents.length) this.drawRest(); // with nothing to draw, nothing else clears the read-out
  }

  /** If a focused control is disabled or hidden, move the focus: otherwise keys would have no effect. */
  keepFocus() {
    const active = document.activeElement;
    const isUsable = this.root.contains(active) && !active.matches(":disabled") && active.checkVisibility();
    if (!isUsable) this.stage.focus({ preventScroll: true });
  }

  onLayout() {
    this.cropPanel.isStale = true;
  }

  drawRest() {
    this.divider.place();
    this.lens.draw();
    if (this.cropPanel.isStale) this.cropPanel.draw();
    this.readout.refresh();
    this.exploring.draw();
    this.loader.trim(this.set.sources());
    this.tellShown();
  }

  /** Write into the page which scene is drawn completely: tests and scripts can wait for it. */
  tellShown() {
    const states = [...this.pictures.values(), ...(this.overlay ? [this.overlay] : [])].map(({ state }) => state);
    if (!states.includes("loading")) this.root.dataset.shown = this.scene?.serial ?? "";
  }

  // ------------------------------------------------------------ events from outside

  /**
   * The page requests a picture by its id; it calls preventDefault if the picture is shown. @param {CustomEvent} event
   */
  onShow(event) {
    if (!this.pictures.has(event.detail)) return;
    event.preventDefault();
    this.show(event.detail);
  }

  escape() {
    if (this.help.isOpen) this.help.toggle(false);
    else if (this.exploring.source.isOn) this.exploring.source.end();
    else if (this.exploring.scribble.isOn) this.exploring.scribble.end();
    else if (this.exploring.editor.tool) this.exploring.editor.toggle(false);
    else if (this.line.isOn) this.line.toggle(false);
    else if (this.exploring.parents.isOpen) this.exploring.parents.close();
    else super.escape();
  }

  toggleLoupe() {
    super.toggleLoupe();
    if (!this.loupe) return;
    this.exploring.source.end();
    this.exploring.scribble.end();
    this.exploring.editor.toggle(false);
    this.line.toggle(false);
  }

  /** @param {import("./tools.js").Spot | null} hover */
  setHover(hover) {
    if (!hover && !this.hover) return;
    this.hover = hover;
    if (this.loupe || this.exploring.source.isOn) return this.invalidate();
    this.exploring.ring.place();
    this.readout.refresh(); // moving the pointer alone changes no picture
  }

  // ------------------------------------------------------------ announcements and events for Python

  /** @param {string} text */
  announce(text) {
    this.live.textContent = text;
  }

  /**
   * Send an event to Python after a short delay; only the last of several counts. @param {"pick" | "place" | "mask"}
   * name @param {object} data
   */
  report(name, data, delay = REPORT_DELAY_MS) {
    clearTimeout(this.timers[name]);
    this.timers[name] = window.setTimeout(() => this.trigger(name, data), delay);
  }

  /** The state as plain values, for tests. */
  describe() {
    return describeViewer(this);
  }
}
