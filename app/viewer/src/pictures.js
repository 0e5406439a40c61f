// The pictures of a scene and its map, as far as they are loaded. A visible picture stays until its successor can be
// drawn.

import { closeSource, emptySource, readGrey } from "./images.js";
import { addressOf } from "./messages.js";

/**
 * @typedef {import("./images.js").Source & {
 *   id: string, label: string, kind: string, badge: string, key: string, fileName: string, number: number,
 *   url: string | null, loadedUrl: string | null, loadingUrl: string | null, problem: string,
 *   state: "waiting" | "loading" | "ready" | "failed", parts: Map<string, PictureRows>}} Picture
 */
/** @typedef {import("./images.js").Source & {top: number, rows: number}} PictureRows finished rows of a picture */
/**
 * @typedef {import("./images.js").Source & {
 *   url: string, valuesUrl: string | null, title: string, minimum: number, maximum: number, unit: string, colors: string[],
 *   remark: string, details: string, bars: number | null, loadedUrl: string, grey: import("./values.js").Grey | null,
 *   reading: import("./spread.js").Reading | null, state: "loading" | "ready" | "failed"}} Overlay
 */
/** @typedef {import("./messages.js").SceneMessage} SceneMessage */

export class PictureSet {
  /**
   * @param {import("./loader.js").ImageLoader} loader
   * @param {() => void} onChange a picture, some rows or the map arrived or failed
   */
  constructor(loader, onChange) {
    this.loader = loader;
    this.onChange = onChange;
    /** @type {Map<string, Picture>} */
    this.pictures = new Map();
    /** @type {Overlay | null} */
    this.overlay = null;
  }

  /** @param {string} kind "sample" or "reference" */
  ofKind(kind) {
    return [...this.pictures.values()].filter((picture) => picture.kind === kind);
  }

  /** All decoded pictures, for the budget. @returns {import("./images.js").Source[]} */
  sources() {
    return [...this.pictures.values(), ...(this.overlay ? [this.overlay] : [])];
  }

  forget() {
    for (const picture of this.pictures.values()) this.close(picture);
    this.pictures.clear();
    this.setOverlay(null);
  }

  /** @param {SceneMessage | null} scene */
  update(scene) {
    const specs = scene ? scene.pictures : [];
    const wanted = new Set(specs.map((spec) => spec.id));
    for (const [id, picture] of this.pictures) {
      if (wanted.has(id)) continue;
      this.pictures.delete(id);
      this.close(picture);
    }
    // The order is the scene's; existing objects are kept.
    this.pictures = new Map(specs.map((spec) => [spec.id, this.updatePicture(spec)]));
    this.ofKind("sample").forEach((picture, index) => (picture.number = index));
    this.setOverlay(scene ? scene.overlay : null);
  }

  /** @param {import("./messages.js").PictureMessage} spec @returns {Picture} */
  updatePicture(spec) {
    const picture = this.pictures.get(spec.id) || this.newPicture(spec.id);
    this.pictures.set(spec.id, picture);
    const url = spec.image ? addressOf(spec.image) : null;
    const { label, kind, badge, key, file_name: fileName, problem } = spec;
    Object.assign(picture, { label, kind, badge, key, fileName, url, problem });
    if (problem) this.giveUp(picture);
    else if (url === null) picture.state = "waiting";
    else if (url === picture.loadedUrl) picture.state = "ready";
    else if (picture.loadingUrl !== url) this.load(picture, url);
    else picture.state = "loading";
    if (picture.state === "waiting") this.updateParts(picture, spec.parts || []);
    return picture;
  }

  /** There is no file: the previous picture must not be mistaken for it. @param {Picture} picture */
  giveUp(picture) {
    this.close(picture);
    picture.state = "failed";
  }

  /** @param {string} id @returns {Picture} */
  newPicture(id) {
    return {
      ...emptySource(),
      ...{ id, label: id, kind: "sample", badge: "", key: "", fileName: "", number: 0 },
      ...{ url: null, loadedUrl: null, loadingUrl: null, problem: "", state: "waiting", parts: new Map() },
    };
  }

  /** @param {Picture} picture */
  close(picture) {
    closeSource(picture);
    picture.loadedUrl = null;
    this.updateParts(picture, []);
  }

  /**
   * Load finished rows of an unfinished picture; rows that are already shown are not fetched again.
   * @param {Picture} picture
   * @param {import("./messages.js").PartMessage[]} specs
   */
  updateParts(picture, specs) {
    const former = picture.parts;
    picture.parts = new Map();
    for (const { top, rows, image } of specs) {
      const url = addressOf(image);
      const known = former.get(url);
      picture.parts.set(url, known || { ...emptySource(), top, rows });
      if (!known) this.loadPart(picture, url);
    }
    for (const [url, part] of former) if (!picture.parts.has(url)) closeSource(part);
  }

  /** @param {Picture} picture @param {string} url */
  async loadPart(picture, url) {
    const isWanted = () => picture.parts.has(url);
    let source = emptySource();
    try {
      source = await this.loader.load(url, isWanted);
    } catch (error) {
      console.warn("Linked viewer: cannot show rows of a picture.", error); // the whole picture comes later
    }
    if (!isWanted()) return closeSource(source);
    Object.assign(picture.parts.get(url), source);
    this.onChange();
  }

  /**
   * Fetch and decode first, then swap: the old picture stays visible until the new one can be drawn.
   * @param {Picture} picture
   * @param {string} url
   */
  async load(picture, url) {
    picture.state = "loading";
    picture.loadingUrl = url;
    const isWanted = () => this.pictures.get(picture.id) === picture && picture.url === url;
    /** The new picture must be as sharp as the old one from the start. */
    const wants = () => {
      const shown = [...picture.patches].filter(([, { used }]) => used === this.loader.turn);
      return new Map(
        shown.map(([slot, { halvings, box }]) => [slot, { halvings, part: box, turn: this.loader.turn }]),
      );
    };
    let source = emptySource();
    try {
      source = await this.loader.load(url, isWanted, wants);
    } catch (error) {
      console.warn("Linked viewer: cannot show a picture.", error);
    }
    if (picture.loadingUrl === url) picture.loadingUrl = null; // an older address must not end the loading of a newer one
    if (!isWanted() || picture.loadedUrl === url) return closeSource(source);
    if (source.levels.length) {
      this.close(picture);
      Object.assign(picture, source, { loadedUrl: url, state: "ready" });
    } else {
      picture.state = "failed"; // the next scene that names it tries again
    }
    this.onChange();
  }

  /** @param {import("./messages.js").OverlayMessage | null} spec */
  setOverlay(spec) {
    const former = this.overlay;
    if (!spec) {
      this.overlay = null;
      if (former) closeSource(former);
      return;
    }
    const { title, minimum, maximum, unit, colors, remark, details, bars } = spec;
    const url = addressOf(spec.image);
    const valuesUrl = spec.values ? addressOf(spec.values) : null;
    const known = former ?? this.newOverlay();
    const isNew = known.url !== url || known.valuesUrl !== valuesUrl || known.state === "failed";
    this.overlay = { ...known, title, minimum, maximum, unit, colors, remark, details, bars, url, valuesUrl };
    const reading = { minimum, top: spec.values_top, bars, ofLuma: spec.of_luma };
    if (isNew) this.loadOverlay(url, valuesUrl, reading);
  }

  /** @returns {Overlay} */
  newOverlay() {
    const words = { title: "", minimum: 0, maximum: 0, unit: "", colors: /** @type {string[]} */ ([]) };
    const more = { remark: "", details: "", bars: /** @type {number | null} */ (null), reading: /** @type {Overlay["reading"]} */ (null) };
    return { ...emptySource(), ...words, ...more, grey: null, url: "", loadedUrl: "", valuesUrl: null, state: "loading" };
  }

  /** @param {string} url @param {string | null} valuesUrl @param {Overlay["reading"]} reading */
  async loadOverlay(url, valuesUrl, reading) {
    this.overlay.state = "loading";
    const isWanted = () => this.overlay?.url === url && this.overlay.valuesUrl === valuesUrl;
    let source = emptySource();
    let grey = null;
    try {
      const [colored, values] = await Promise.all([
        this.loader.load(url, isWanted),
        valuesUrl && this.loader.withWhole(valuesUrl, isWanted, async (whole) => {
          const read = readGrey(whole);
          whole.close();
          return read;
        }),
      ]);
      [source, grey] = [colored, values || null];
    } catch (error) {
      console.warn("Linked viewer: cannot show the map.", error);
    }
    if (!isWanted()) return closeSource(source);
    if (source.levels.length) {
      closeSource(this.overlay);
      Object.assign(this.overlay, source, { grey, reading, loadedUrl: url, state: "ready" });
    } else {
      this.overlay.state = "failed";
    }
    this.onChange();
  }
}
