// Fetching and decoding pictures: retries, one queue for all, and finer parts of large pictures where they are visible.

import { patchesToDrop, residentHalvings, serves } from "./budget.js";
import { cutPatch, emptySource, reduce, withSmallerCopies } from "./images.js";

/** @typedef {import("./images.js").Source} Source */
/** @typedef {import("./images.js").Want} Want */

/** @type {ImageBitmapOptions} */
const UNTOUCHED = { colorSpaceConversion: "none" }; // the values as stored in the file
const DECODERS = 2; // whole pictures in memory at once, while they are cut and reduced
const RETRY_DELAYS_MS = [300, 1500];
const SHARPEN_DELAY_MS = 120; // no decoding while the view is moving

export class ImageLoader {
  /** @param {() => void} onSharper called when a patch has arrived */
  constructor(onSharper) {
    this.onSharper = onSharper;
    this.active = 0;
    /** @type {(() => void)[]} */
    this.waiting = [];
    this.turn = 0; // counts drawings; patches used in the latest one are visible
    /** @type {Map<Source, {url: string, wants: Map<string, Want>}>} */
    this.wanted = new Map();
    /** @type {Set<Source>} */
    this.cutting = new Set();
    this.timer = 0;
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  async inTurn(work) {
    if (this.active >= DECODERS) await new Promise((resolve) => this.waiting.push(() => resolve(undefined)));
    this.active += 1;
    try {
      return await work();
    } finally {
      this.active -= 1;
      this.waiting.shift()?.();
    }
  }

  /**
   * Fetch and decode a picture; retry later if that fails.
   * @template T
   * @param {string} url
   * @param {() => boolean} isWanted checked before each step; if it returns false, the result is null
   * @param {(whole: ImageBitmap) => Promise<T>} use returns what is kept of the whole picture
   * @returns {Promise<T | null>}
   */
  async withWhole(url, isWanted, use) {
    for (let attempt = 0; isWanted(); attempt += 1) {
      try {
        const response = await fetch(url, { cache: attempt ? "reload" : "force-cache" });
        if (!response.ok) throw new Error(`${response.status} for ${url}`);
        const blob = await response.blob();
        return await this.inTurn(async () => (isWanted() ? use(await createImageBitmap(blob, UNTOUCHED)) : null));
      } catch (error) {
        if (attempt >= RETRY_DELAYS_MS.length) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAYS_MS[attempt]));
      }
    }
    return null;
  }

  /**
   * Load a picture as it is kept, with patches if they are needed at once.
   * @param {string} url
   * @param {() => boolean} [isWanted]
   * @param {() => Map<string, Want>} [wants]
   * @returns {Promise<Source>} empty if it is no longer wanted
   */
  async load(url, isWanted = () => true, wants = () => new Map()) {
    const source = await this.withWhole(url, isWanted, async (whole) => {
      const { width, height } = whole;
      const base = residentHalvings(whole);
      const patches = new Map();
      if (base) for (const [slot, want] of wants()) patches.set(slot, await cutPatch(whole, want));
      let first = whole;
      for (let i = 0; i < base; i += 1) {
        const smaller = await reduce(first, 2);
        first.close();
        first = smaller;
      }
      return { width, height, base, levels: await withSmallerCopies(first), patches };
    });
    return source ?? emptySource();
  }

  /** Begin a drawing: the parts that it requests are visible. */
  beginTurn() {
    this.turn += 1;
  }

  /**
   * Request a part of a picture that is finer than its reduced copy, for a drawing.
   * @param {Source} source
   * @param {string} url
   * @param {string} slot purpose: "view", "place" or "lens"
   * @param {number} halvings
   * @param {import("./geometry.js").Box} part
   */
  want(source, url, slot, halvings, part) {
    const patch = source.patches.get(slot);
    const want = { halvings, part, turn: this.turn };
    if (serves(patch, want)) {
      patch.used = this.turn;
      this.wanted.get(source)?.wants.delete(slot);
      return;
    }
    const entry = this.wanted.get(source) ?? { url, wants: new Map() };
    entry.wants.set(slot, want);
    this.wanted.set(source, entry);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.sharpen(), SHARPEN_DELAY_MS);
  }

  /** Decode the parts that the latest drawing requested, and drop older requests. */
  sharpen() {
    for (const [source, { url, wants }] of this.wanted) {
      // Close-ups are drawn only when they change: their requests stay valid until they make new ones.
      for (const [slot, { turn }] of wants) if (slot !== "place" && turn < this.turn) wants.delete(slot);
      if (!wants.size) this.wanted.delete(source);
      else if (!this.cutting.has(source)) this.cut(source, url);
    }
  }

  /** @param {Source} source @param {string} url */
  async cut(source, url) {
    this.cutting.add(source);
    try {
      await this.withWhole(url, () => source.levels.length > 0, async (whole) => {
        const wants = new Map(this.wanted.get(source)?.wants);
        for (const [slot, want] of wants) {
          const patch = await cutPatch(whole, want);
          source.patches.get(slot)?.bitmap.close();
          if (source.levels.length) source.patches.set(slot, patch);
          else patch.bitmap.close(); // the picture was replaced meanwhile
          const entry = this.wanted.get(source);
          if (entry?.wants.get(slot) === want) entry.wants.delete(slot);
        }
        whole.close();
      });
    } catch (error) {
      console.warn("Linked viewer: cannot show a picture in full.", error);
      this.wanted.delete(source);
    }
    this.cutting.delete(source);
    this.onSharper();
  }

  /** Keep invisible patches within the budget. @param {Source[]} sources */
  trim(sources) {
    const dropped = new Set(patchesToDrop(sources.flatMap(({ patches }) => [...patches.values()]), this.turn));
    for (const { patches } of dropped.size ? sources : []) {
      for (const [slot, patch] of patches) {
        if (!dropped.has(patch)) continue;
        patch.bitmap.close();
        patches.delete(slot);
      }
    }
  }
}
