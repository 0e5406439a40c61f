// Differences of two pictures, computed from their decoded data: luma of one minus luma of the other, in colours.

import { bytesOf } from "./budget.js";
import { drawPicture, finerPart } from "./draw.js";
import { closePatches, closeSource, emptySource, readPixels, withSmallerCopies } from "./images.js";
import { colorDifferences, lumaDifference, scaleFor, spreadOf } from "./values.js";

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./budget.js").Patch} Patch */
/**
 * @typedef {object} Difference
 * @property {import("./images.js").Source} source as drawn
 * @property {string} urls of the pictures that it was computed from
 * @property {Int16Array} deltas
 * @property {import("./geometry.js").Size} size of the deltas
 * @property {number} spread
 * @property {number} scale of the colours drawn
 * @property {Map<string, Patch[]>} cut the patches from which its own were computed
 */

const KEPT_BYTES = 64 * 2 ** 20; // of differences that are not visible

export class Differences {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {Map<string, Difference>} */
    this.known = new Map();
    /** @type {Map<string, () => Promise<void>>} */
    this.queue = new Map();
    this.isWorking = false;
    /** @type {number | null} */
    this.chosenScale = null; // null: fitted to the visible values
    this.scale = scaleFor(0);
  }

  /** @param {Picture} a @param {Picture} b */
  key(a, b) {
    return `${a.id}\n${b.id}`;
  }

  /** @param {Picture} a @param {Picture} b */
  of(a, b) {
    return this.known.get(this.key(a, b));
  }

  /** @param {number | null} scale */
  setScale(scale) {
    this.chosenScale = scale;
    this.fitScale();
  }

  forget() {
    for (const { source } of this.known.values()) closeSource(source);
    this.known.clear();
    this.queue.clear();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Picture} a
   * @param {Picture} b
   * @param {number} zoom
   * @param {import("./geometry.js").Point} origin
   * @param {import("./geometry.js").Box} box
   * @param {string} slot
   */
  draw(context, a, b, zoom, origin, box, slot) {
    const { frame, loader } = this.viewer;
    const difference = this.of(a, b);
    const isThere = a.levels.length && b.levels.length;
    if (isThere && difference?.urls !== `${a.loadedUrl}\n${b.loadedUrl}`) this.plan(a, b, () => this.compute(a, b));
    if (!difference) return;
    if (isThere && a.width === b.width && a.height === b.height) {
      for (const picture of [a, b]) {
        const want = finerPart(picture, frame, zoom, origin, box);
        if (want) loader.want(picture, picture.loadedUrl, slot, want.halvings, want.part);
      }
      if (this.patchesToCut(difference, a, b).length) this.plan(a, b, () => this.cutPatches(difference, a, b));
    }
    drawPicture(context, difference.source, frame, zoom, origin, box);
  }

  /**
   * Run jobs one after the other, and let the page work in between. @param {Picture} a @param {Picture} b @param {() =>
   * Promise<void>} work
   */
  async plan(a, b, work) {
    const key = this.key(a, b);
    if (!this.queue.has(key)) this.queue.set(key, work);
    if (this.isWorking) return;
    this.isWorking = true;
    while (this.queue.size) {
      const [next, run] = this.queue.entries().next().value;
      await new Promise((resolve) => setTimeout(resolve));
      await run().catch((error) => console.warn("Linked viewer: cannot compare two pictures.", error));
      this.queue.delete(next);
    }
    this.isWorking = false;
    this.fitScale();
  }

  /** @param {Picture} a @param {Picture} b */
  async compute(a, b) {
    if (!a.levels.length || !b.levels.length) return; // another scene has arrived meanwhile
    const urls = `${a.loadedUrl}\n${b.loadedUrl}`;
    const { width, height, base, levels } = a.width >= b.width ? a : b;
    const size = { width: levels[0].width, height: levels[0].height };
    const [first, second] = readPixels([a.levels[0], b.levels[0]], size.width, size.height);
    const deltas = lumaDifference(first.data, second.data);
    const spread = spreadOf(deltas);
    const scale = this.chosenScale ?? Math.max(this.scale, scaleFor(spread));
    const former = this.of(a, b);
    const source = { ...emptySource(), width, height, base, levels: await this.paint(deltas, size, scale) };
    if (former) closeSource(former.source);
    this.known.set(this.key(a, b), { source, urls, deltas, size, spread, scale, cut: new Map() });
    this.viewer.invalidate();
  }

  /** @param {Int16Array} deltas @param {import("./geometry.js").Size} size @param {number} scale */
  async paint(deltas, { width, height }, scale) {
    const pixels = new ImageData(colorDifferences(deltas, scale), width, height);
    return withSmallerCopies(await createImageBitmap(pixels));
  }

  /** @param {Difference} difference @param {Picture} a @param {Picture} b */
  patchesToCut(difference, a, b) {
    return [...a.patches].filter(([slot, one]) => {
      const other = b.patches.get(slot);
      const isSame = other && one.halvings === other.halvings && JSON.stringify(one.box) === JSON.stringify(other.box);
      const done = difference.cut.get(slot);
      return isSame && !(done && done[0] === one && done[1] === other);
    });
  }

  /** @param {Difference} difference @param {Picture} a @param {Picture} b */
  async cutPatches(difference, a, b) {
    for (const [slot, one] of this.patchesToCut(difference, a, b)) {
      const other = b.patches.get(slot);
      const { width, height } = one.bitmap;
      const [first, second] = readPixels([one.bitmap, other.bitmap], width, height);
      const colors = colorDifferences(lumaDifference(first.data, second.data), difference.scale);
      const bitmap = await createImageBitmap(new ImageData(colors, width, height));
      if (this.of(a, b) !== difference) return bitmap.close();
      difference.source.patches.get(slot)?.bitmap.close();
      difference.source.patches.set(slot, { ...one, bitmap });
      difference.cut.set(slot, [one, other]);
    }
    this.viewer.invalidate();
  }

  /** Use one scale for everything shown, and adapt the colours. */
  async fitScale() {
    const shown = this.shown();
    this.scale = this.chosenScale ?? scaleFor(Math.max(0, ...shown.map(({ spread }) => spread)));
    this.viewer.readout.refreshLegend();
    const { scale } = this;
    for (const difference of shown.filter((one) => one.scale !== scale)) {
      difference.scale = scale;
      const levels = await this.paint(difference.deltas, difference.size, scale);
      if (difference.scale !== scale || !difference.source.levels.length) {
        levels.forEach((bitmap) => bitmap.close()); // overtaken by another choice, or removed
        continue;
      }
      closeSource(difference.source);
      difference.source.levels = levels;
      difference.cut.clear();
    }
    this.viewer.invalidate();
  }

  shown() {
    const panes = this.viewer.panes.filter(({ kind }) => kind === "difference");
    return panes.map(({ ids: [a, b] }) => this.known.get(`${a}\n${b}`)).filter(Boolean);
  }

  /** Drop invisible differences beyond a budget, and all of those whose pictures are gone. */
  trim() {
    const shown = new Set(this.shown());
    let bytes = 0;
    for (const [key, difference] of [...this.known].reverse()) {
      const isGone = key.split("\n").some((id) => !this.viewer.pictures.has(id));
      if (!shown.has(difference)) {
        bytes += bytesOf(difference.size) * 2;
        closePatches(difference.source);
        difference.cut.clear();
      }
      if (isGone || (bytes > KEPT_BYTES && !shown.has(difference))) {
        closeSource(difference.source);
        this.known.delete(key);
      }
    }
  }
}
