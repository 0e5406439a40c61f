// Painting calm and wild: the selection tools paint a temperature instead, and the picture follows each stroke.

import { HeatLayer } from "./heatlayer.js";
import { HeatRow } from "./heatrow.js";
import { HeatState } from "./heatstate.js";
import { MaskEditor } from "./maskeditor.js";
import { decodeMask } from "./maskruns.js";
import { maskEvent } from "./messages.js";

/** @typedef {import("./messages.js").FoundName} FoundName */

const FIRST_TEMPERATURE = 0.3;
const USUAL_TEMPERATURE = 0.9; // of pictures, if the scene does not say
const REST_MS = 250; // milliseconds: a box moved by keys is drawn when it has stopped

export class HeatEditor extends MaskEditor {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    super(viewer);
    this.temperature = FIRST_TEMPERATURE;
    this.hasTint = true;
    this.hasSent = false; // since nothing was painted
    this.wasOpen = false;
    /** @type {FoundName | null} the region that was requested */
    this.awaited = null;
    this.timer = 0;
  }

  buildState() {
    return new HeatState(this.size);
  }

  buildLayer() {
    return new HeatLayer(this.map);
  }

  buildRow() {
    return new HeatRow(this);
  }

  /** @returns {HeatState | null} what is painted */
  get map() {
    return /** @type {HeatState | null} */ (this.painted);
  }

  /** Temperature of the pictures. */
  get drawn() {
    return this.viewer.scene?.temperature ?? USUAL_TEMPERATURE;
  }

  /** Whether a picture with painted temperatures is shown. */
  get isOpen() {
    return this.viewer.exploring.walk.message?.kind === "heat";
  }

  /** The picture that is painted on. */
  base() {
    const { walk, bar } = this.viewer.exploring;
    return this.isOpen ? walk.message.start : bar.base();
  }

  /** Update after a new scene. */
  takeScene() {
    super.takeScene();
    const walk = this.viewer.scene?.walk;
    const isOpen = walk?.kind === "heat";
    if (this.wasOpen && !isOpen) this.close();
    this.wasOpen = isOpen;
    if (isOpen && walk.found && walk.found.name === this.awaited) {
      this.awaited = null;
      queueMicrotask(() => this.takeFound(walk.found)); // after the whole viewer has taken over the scene
    }
  }

  /** After keeping or leaving, what was painted is part of the picture or discarded. */
  close() {
    this.hasSent = false;
    this.awaited = null;
    if (!this.isEmpty) this.map.reset(); // empty after undo, but strokes can still be redone
  }

  forget() {
    super.forget();
    this.hasSent = false;
    this.awaited = null;
  }

  // ------------------------------------------------------------ the visitor's actions

  /** Set the temperature of the strokes that follow. @param {number} temperature */
  setTemperature(temperature) {
    this.temperature = temperature;
    this.map?.setTemperature(temperature);
    this.painted?.settle();
    this.viewer.refresh();
  }

  toggleTint() {
    this.hasTint = !this.hasTint;
    this.viewer.refresh();
  }

  /** Paint the region that was selected for rolls, as one stroke. */
  paintChosen() {
    const { painted } = this.viewer.exploring.mask;
    if (painted && this.prepared().stamp(painted.open)) this.onStroke();
    this.focusStage();
  }

  /** Request a region that is found by a rule; it is painted calm when it arrives. @param {FoundName} name */
  askPlace(name) {
    const id = this.base();
    if (id === undefined) return;
    this.awaited = name;
    this.viewer.exploring.ask(name, id);
    this.focusStage();
  }

  /** Move the focus, so that Enter keeps the picture and does not press the button again. */
  focusStage() {
    this.viewer.stage.focus({ preventScroll: true });
  }

  /** @param {import("./messages.js").FoundMessage} found */
  takeFound({ mask }) {
    const map = this.prepared();
    map.setTemperature(0);
    if (map.stamp(decodeMask(mask))) this.onStroke();
    map.setTemperature(this.temperature);
  }

  prepared() {
    this.state.setTemperature(this.temperature);
    return this.map;
  }

  get state() {
    return /** @type {HeatState} */ (super.state);
  }

  /** @param {boolean} isAdding */
  begin(isAdding) {
    this.prepared();
    super.begin(isAdding);
    if (!this.isOpen) this.announceStroke();
  }

  /**
   * At the beginning of a stroke, let Python draw the picture that is painted on, so that the end need not wait for it.
   */
  announceStroke() {
    const { viewer } = this;
    const id = this.base();
    const chosen = viewer.exploring.mask.painted?.message() ?? null;
    if (id !== undefined) viewer.report("mask", maskEvent(viewer.scene, chosen, id), 0);
  }

  /** @param {import("./geometry.js").Box} box @param {{isNew?: boolean, isErasing?: boolean}} [options] */
  putBox(box, options) {
    this.prepared();
    super.putBox(box, options);
  }

  /** Enter adds a box only while nothing is painted; afterwards it keeps the picture, with every tool. */
  enterBox() {
    if (this.isOpen) this.viewer.exploring.walk.accept();
    else super.enterBox();
  }

  // ------------------------------------------------------------ after a change

  /** @param {string} [word] */
  onStroke(word = "") {
    const temperatures = this.map.heat().map(({ temperature }) => temperature.toFixed(2));
    const words = temperatures.length ? `Painted: temperature ${temperatures.join(", ")}` : "Nothing is painted";
    this.viewer.announce([word, words].filter(Boolean).join(". "));
    this.awaited = null;
    this.viewer.refresh();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.send(), this.map.floating ? REST_MS : 0);
  }

  /**
   * Have the picture drawn with the painted temperatures; if nothing is painted, show the picture before the change.
   */
  send() {
    const { walk } = this.viewer.exploring;
    const id = this.base();
    const heat = this.map?.heat() ?? [];
    if (id === undefined || (!heat.length && !this.hasSent)) return;
    this.hasSent = heat.length > 0;
    if (this.isOpen && walk.message.ids.length) walk.show(walk.message.ids[0]);
    this.viewer.exploring.ask(heat.length ? "heat" : "leave", id, { heat });
  }

  /** @param {import("./panes.js").Pane} pane @param {import("./geometry.js").Point} origin @param {import("./geometry.js").Box} whole */
  draw({ context }, origin, whole) {
    const { frame, view } = this.viewer;
    const layer = /** @type {HeatLayer | null} */ (this.layer);
    layer?.setDrawn(this.drawn);
    layer?.draw(context, frame, view.zoom, origin, whole, Boolean(this.tool) && this.hasTint);
  }

  /** @param {boolean} isChoosing */
  toggleWords(isChoosing) {
    return isChoosing ? `Paint calm and wild: ${this.toolName}` : "Finished painting";
  }
}
