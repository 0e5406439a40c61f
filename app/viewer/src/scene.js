// What there is to show and what of it is selected: the scene from Python, its pictures, and the visitor's choices.

import { paneContents, repairChoices, startingChoices } from "./choices.js";
import { recall } from "./dom.js";
import { clamp } from "./geometry.js";
import { ImageLoader } from "./loader.js";
import { PictureSet } from "./pictures.js";
import { busiestPlace } from "./values.js";
import { Viewport } from "./viewport.js";

const BUSY_SIDE = 28; // SR pixels: side of the area where samples differ most, as large as a close-up

/** @typedef {import("./messages.js").SceneMessage} SceneMessage */
/** @typedef {import("./geometry.js").Point} Point */

export class SceneState extends Viewport {
  constructor() {
    super();
    /** @type {SceneMessage | null} the last scene from Python */
    this.scene = null;
    this.loader = new ImageLoader(() => this.onPictures());
    this.set = new PictureSet(this.loader, () => this.onPictures());
    this.choices = startingChoices();
    this.loupe = false;
    this.overlayOn = false;
    this.showMap = recall("map") ?? true;
    this.opacity = 0.6;
    /** @type {Point | null} chosen by the visitor; see `shownPlace` */
    this.place = null;
    /** @type {Point | null} where samples differ most; found once, so that the close-ups do not move */
    this.busiest = null;
    /** @type {import("./tools.js").Spot | null} under the pointer */
    this.hover = null;
  }

  /** A picture, some rows or the map arrived or failed; the viewer overrides it. */
  onPictures() {}

  get pictures() {
    return this.set.pictures;
  }

  get overlay() {
    return this.set.overlay;
  }

  get mode() {
    return this.choices.mode;
  }

  get current() {
    return this.choices.current;
  }

  get compare() {
    return this.choices.compare;
  }

  get difference() {
    return this.choices.difference;
  }

  get showReferences() {
    return this.choices.showReferences;
  }

  samples() {
    return this.set.ofKind("sample");
  }

  references() {
    return this.set.ofKind("reference");
  }

  /** @param {string | undefined} key @returns {string | undefined} */
  referenceByKey(key) {
    return this.references().find((picture) => picture.key && picture.key === key)?.id;
  }

  /** The placeholder for pictures of which nothing is loaded yet. */
  standIn() {
    const picture = this.pictures.get(this.scene.placeholder ?? "");
    return picture?.levels.length ? picture : null;
  }

  /** The tile belongs to a grid of several samples; its position may be reserved before the map arrives. */
  canShowMap() {
    return this.mode === "grid" && this.samples().length > 1 && Boolean(this.overlay || this.scene.overlay_expected);
  }

  canShowOverlay() {
    return this.mode !== "difference" && Boolean(this.overlay);
  }

  /** The position of the close-ups: what the visitor chose, otherwise where samples differ most, once that is known. */
  shownPlace() {
    const [x, y] = this.scene?.suggested_place || [];
    return this.place || (x === undefined ? this.busiest : { x, y });
  }

  /** @param {import("./tools.js").Spot} hover @returns {string | undefined} the picture there; none on the map */
  idUnder({ pane, px }) {
    return pane.kind === "wipe" && px >= this.split * this.paneSize.width ? pane.ids[1] : pane.ids[0];
  }

  /** @param {number} opacity */
  setOpacity(opacity) {
    this.opacity = clamp(opacity, 0, 1);
    this.invalidate();
  }

  contents() {
    return paneContents(this.choices, [...this.pictures.values()], this.showMap && this.canShowMap());
  }

  /**
   * Take over another scene; the view and the choices stay while the subject (the input picture) is the same. @param
   * {SceneMessage | null} scene
   */
  takeScene(scene) {
    const former = this.scene;
    this.scene = scene && scene.pictures ? scene : null;
    /** @type {(keyof SceneMessage)[]} */
    const names = ["subject", "width", "height"];
    const isSameSubject = former && this.scene && names.every((name) => former[name] === this.scene[name]);
    if (!isSameSubject) this.forgetSubject();
    this.frame = this.scene ?? { width: 1, height: 1 };
    this.set.update(this.scene);
    this.applySettings(former);
    this.choose({});
  }

  forgetSubject() {
    this.set.forget();
    this.view = { ...this.view, fitted: true };
    this.place = null;
    this.busiest = null;
    this.hover = null;
  }

  /**
   * Apply settings from Python only when they are new: a repeated one must not undo what the visitor did since. @param
   * {SceneMessage | null} former
   */
  applySettings(former) {
    const { scene } = this;
    if (!scene) return;
    /** @type {(name: keyof SceneMessage) => boolean} */
    const isNew = (name) => scene[name] != null && JSON.stringify(scene[name]) !== JSON.stringify(former?.[name]);
    if (isNew("selected")) this.choices.current = scene.selected;
    if (isNew("compare")) this.choices.compare = [...scene.compare];
    if (isNew("mode")) this.choices.mode = scene.mode;
    if (isNew("place")) this.place = { x: scene.place[0], y: scene.place[1] };
  }

  /** @param {Partial<import("./choices.js").Choices>} changes */
  choose(changes) {
    this.choices = repairChoices({ ...this.choices, ...changes }, [...this.pictures.values()]);
  }

  /** To be called once the map's values are loaded. */
  findBusiest() {
    const grey = this.overlay?.grey;
    if (grey && !this.busiest) this.busiest = busiestPlace(grey, this.frame, BUSY_SIDE);
  }
}
