// Fetching and decoding: reduced copies, patches, retries, and one queue for all.

import { bytesOf, hasSmallerCopy, patchBox, patchesToDrop, residentHalvings, serves } from "./budget.js";
import { make } from "./dom.js";

/**
 * A decoded picture. `levels` are copies of 1, 1/2, 1/4, … of the size of the first, which is the whole picture halved
 * `base` times. `patches` hold finer parts, by what they are for.
 * @typedef {object} Source
 * @property {number} width
 * @property {number} height
 * @property {number} base
 * @property {ImageBitmap[]} levels
 * @property {Map<string, import("./budget.js").Patch>} patches
 */
/** @typedef {{halvings: number, part: import("./geometry.js").Box, turn: number}} Want */

/** @type {ImageBitmapOptions} */
const UNTOUCHED = { colorSpaceConversion: "none" }; // the numbers in the file
const DECODERS = 2; // whole pictures in memory at once, while they are cut and reduced
const RETRY_DELAYS_MS = [300, 1500];
const SHARPEN_DELAY_MS = 120; // no decoding while the view still moves

/** @returns {Source} */
export function emptySource() {
  return { width: 0, height: 0, base: 0, levels: [], patches: new Map() };
}

/**
 * @param {Source} source
 */
export function closeSource(source) {
  for (const bitmap of source.levels) bitmap.close();
  source.levels = [];
  closePatches(source);
}

/**
 * @param {Source} source
 */
export function closePatches(source) {
  for (const { bitmap } of source.patches.values()) bitmap.close();
  source.patches = new Map();
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} factor
 */
function reduce(bitmap, factor) {
  return createImageBitmap(bitmap, {
    resizeWidth: Math.ceil(bitmap.width / factor),
    resizeHeight: Math.ceil(bitmap.height / factor),
    resizeQuality: "high",
  });
}

/**
 * The bitmap and smaller and smaller copies of it, which keep large pictures smooth while zoomed out.
 * @param {ImageBitmap} bitmap
 */
export async function withSmallerCopies(bitmap) {
  const levels = [bitmap];
  while (hasSmallerCopy(levels[levels.length - 1])) levels.push(await reduce(levels[levels.length - 1], 2));
  return levels;
}

/**
 * Cut what is wanted out of a whole picture.
 * @param {ImageBitmap} whole
 * @param {Want} want
 * @returns {Promise<import("./budget.js").Patch>}
 */
async function cutPatch(whole, { halvings, part, turn }) {
  const box = patchBox(part, whole);
  const factor = 2 ** halvings;
  /** @type {ImageBitmapOptions} */
  const size = {
    resizeWidth: Math.ceil(box.width / factor),
    resizeHeight: Math.ceil(box.height / factor),
    resizeQuality: "high",
  };
  const bitmap = await createImageBitmap(whole, box.x, box.y, box.width, box.height, factor > 1 ? size : {});
  return { halvings, box, bitmap, used: turn };
}

/**
 * All red values of a grey picture, row by row.
 * @param {ImageBitmap} bitmap
 * @returns {import("./values.js").Grey}
 */
export function readGrey(bitmap) {
  const factor = 2 ** residentHalvings(bitmap); // values of a large map are read off a reduced copy
  const [width, height] = [Math.ceil(bitmap.width / factor), Math.ceil(bitmap.height / factor)];
  const { data: rgba } = readPixels([bitmap], width, height)[0];
  return { width, height, data: Uint8Array.from({ length: width * height }, (_, i) => rgba[4 * i]) };
}

/**
 * The pixels of bitmaps, each scaled to the same size; enlarged ones pixel by pixel.
 * @param {ImageBitmap[]} bitmaps
 * @param {number} width
 * @param {number} height
 */
export function readPixels(bitmaps, width, height) {
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  return bitmaps.map((bitmap) => {
    context.imageSmoothingEnabled = bitmap.width > width;
    context.globalCompositeOperation = "copy";
    context.drawImage(bitmap, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  });
}

export class ImageLoader {
  /** @param {() => void} onSharper called when a patch has arrived */
  constructor(onSharper) {
    this.onSharper = onSharper;
    this.active = 0;
    /** @type {(() => void)[]} */
    this.waiting = [];
    this.turn = 0; // counts drawings; what the latest one used is on the screen
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
   * Fetch and decode a picture; again after a while if that fails.
   * @template T
   * @param {string} url
   * @param {() => boolean} isWanted asked before each step; null is the result when it says no
   * @param {(whole: ImageBitmap) => Promise<T>} use what is kept of the whole picture
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
   * A picture as it is kept, with patches where they are wanted at once.
   * @param {string} url
   * @param {() => boolean} [isWanted]
   * @param {() => Map<string, Want>} [wants]
   * @returns {Promise<Source>} an empty one if it is no longer wanted
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

  /** A drawing begins: what it asks for is what is on the screen. */
  beginTurn() {
    this.turn += 1;
  }

  /**
   * A drawing needs a part of a picture finer than its reduced copy.
   * @param {Source} source
   * @param {string} url
   * @param {string} slot what for: "view", "place" or "lens"
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

  /** Decode what the latest drawing asked for, and forget what only earlier ones did. */
  sharpen() {
    for (const [source, { url, wants }] of this.wanted) {
      // Close-ups are drawn only when they change: what they asked for stays until they ask for something else.
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

  /** Keep within the budget what is not on the screen. @param {Source[]} sources */
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

/**
 * Bytes that a decoded picture holds.
 * @param {Source} source
 */
export function bytesOfSource(source) {
  const bitmaps = [...source.levels, ...[...source.patches.values()].map(({ bitmap }) => bitmap)];
  return bitmaps.reduce((sum, bitmap) => sum + bytesOf(bitmap), 0);
}
