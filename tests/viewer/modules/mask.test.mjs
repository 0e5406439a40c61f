import assert from "node:assert/strict";
import test from "node:test";

import { boxAbout, boxBetween, boxInside, boxMoved, boxResized } from "../../../app/viewer/src/maskboxes.js";
import { contourRow } from "../../../app/viewer/src/maskcontour.js";
import * as grid from "../../../app/viewer/src/maskgrid.js";
import { maskKey } from "../../../app/viewer/src/maskkeys.js";
import { decodeMask, encodeMask } from "../../../app/viewer/src/maskruns.js";

const rowsOf = ({ width, height, data }) =>
  Array.from({ length: height }, (_, y) => [...data.subarray(y * width, (y + 1) * width)]);
const maskOf = (rows) => ({ width: rows[0].length, height: rows.length, data: new Uint8Array(rows.flat()) });

test("a brush is full to half its radius, half chosen in the middle of its rim, and nothing beyond", () => {
  assert.deepEqual([0, 2, 4, 6, 8, 20].map((distance) => grid.brushStrength(distance, 8)), [255, 255, 255, 128, 0, 0]);
  assert.equal(grid.brushStrength(5, 8), Math.round(255 * (1 - 0.25 ** 2 * 2.5)));
});

test("a stroke is round: each pixel has the strength of its centre's distance from the line", () => {
  const mask = grid.emptyMask({ width: 40, height: 30 });
  const box = grid.paintStroke(mask, { x: 10.5, y: 15.5 }, { x: 28.5, y: 15.5 }, 6, false);
  assert.deepEqual(box, { x: 4, y: 9, width: 31, height: 13 });
  const at = (x, y) => mask.data[y * 40 + x];
  for (const x of [10, 19, 28]) {
    assert.deepEqual([0, 3, 4, 5, 6].map((dy) => at(x, 15 + dy)), [0, 3, 4, 5, 6].map((d) => grid.brushStrength(d, 6)));
  }
  assert.equal(at(6, 12), grid.brushStrength(5, 6), "3-4-5 from the end");
  assert.equal(at(32, 18), grid.brushStrength(5, 6));
  assert.equal(at(4, 15), 0);
});

test("a stroke over a stroke leaves no mark, and erasing takes away what painting chose", () => {
  const mask = grid.emptyMask({ width: 20, height: 20 });
  const paint = (isErasing) => grid.paintStroke(mask, { x: 10, y: 10 }, { x: 10, y: 10 }, 6, isErasing);
  paint(false);
  const once = mask.data.slice();
  paint(false);
  assert.deepEqual(mask.data, once);
  mask.data.fill(255);
  paint(true);
  assert.deepEqual([...mask.data], [...once].map((value) => 255 - value));
});

test("the thinnest brush paints the pixel under the pointer, and strokes beside the picture paint nothing", () => {
  const mask = grid.emptyMask({ width: 4, height: 3 });
  grid.paintStroke(mask, { x: 1.99, y: 1.99 }, { x: 1.99, y: 1.99 }, 0.5, false);
  assert.deepEqual(rowsOf(mask), [[0, 0, 0, 0], [0, 255, 0, 0], [0, 0, 0, 0]]);
  assert.equal(grid.paintStroke(mask, { x: -30, y: 1 }, { x: -9, y: 1 }, 3, false), null);
  grid.paintStroke(mask, { x: -1, y: 1 }, { x: -1, y: 1 }, 1, false);
  assert.deepEqual(rowsOf(mask), [[0, 0, 0, 0], [0, 255, 0, 0], [0, 0, 0, 0]]);
});

test("an outline fills the pixels whose centres it goes around", () => {
  const mask = grid.emptyMask({ width: 6, height: 5 });
  const box = grid.fillOutline(mask, [{ x: 0.6, y: 0.4 }, { x: 5, y: 0.4 }, { x: 0.6, y: 4.8 }], 255);
  assert.deepEqual(box, { x: 0, y: 0, width: 5, height: 5 });
  assert.deepEqual(
    rowsOf(mask).map((row) => row.map((value) => (value ? 1 : 0)).join("")),
    ["011110", "011100", "011000", "010000", "000000"],
  );
});

test("what an outline goes around twice is filled, and what lies outside the picture is cut off", () => {
  const mask = grid.emptyMask({ width: 8, height: 8 });
  const square = (from, to) => [{ x: from, y: from }, { x: to, y: from }, { x: to, y: to }, { x: from, y: to }];
  grid.fillOutline(mask, [...square(1, 7), { x: 1, y: 1 }, ...square(3, 5), { x: 3, y: 3 }], 200);
  assert.equal(mask.data[4 * 8 + 4], 200);
  assert.equal(mask.data.filter((value) => value === 200).length, 36);
  grid.fillOutline(mask, square(-5, 20), 0);
  assert.deepEqual(grid.maskBounds(mask), null);
  assert.equal(grid.fillOutline(mask, square(20, 30), 255), null);
});

test("bounds hold all that is not 0, and boxes unite", () => {
  const mask = maskOf([[0, 0, 0, 0], [0, 0, 1, 0], [0, 9, 0, 0], [0, 0, 0, 0]]);
  assert.deepEqual(grid.maskBounds(mask), { x: 1, y: 1, width: 2, height: 2 });
  const united = grid.unionBox({ x: 1, y: 1, width: 2, height: 2 }, { x: 0, y: 2, width: 1, height: 5 });
  assert.deepEqual(united, { x: 0, y: 1, width: 3, height: 6 });
  assert.deepEqual(grid.unionBox(null, united), united);
});

test("what is locked is taken from what is chosen, inside the box only", () => {
  const chosen = maskOf([[255, 255, 100, 255]]);
  const locked = maskOf([[0, 200, 200, 255]]);
  const open = maskOf([[7, 7, 7, 7]]);
  grid.subtractMask(chosen, locked, open, { x: 0, y: 0, width: 3, height: 1 });
  assert.deepEqual(rowsOf(open), [[255, 55, 0, 7]]);
});

test("a kept part goes in and what was there comes out", () => {
  const mask = maskOf([[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
  const box = { x: 1, y: 1, width: 2, height: 2 };
  const kept = new Uint8Array([50, 60, 80, 90]);
  grid.swapPart(mask, box, kept);
  assert.deepEqual(rowsOf(mask), [[1, 2, 3], [4, 50, 60], [7, 80, 90]]);
  assert.deepEqual([...kept], [5, 6, 8, 9]);
  assert.deepEqual([...grid.copyPart(mask, mask.data, { x: 0, y: 1, width: 2, height: 2 })], [4, 50, 7, 80]);
});

test("runs go row by row inside the box", () => {
  const mask = maskOf([[0, 0, 0, 0, 0], [0, 0, 255, 255, 0], [0, 0, 255, 12, 0], [0, 0, 0, 12, 0]]);
  const message = { width: 5, height: 4, box: [2, 1, 4, 4], runs: [255, 3, 12, 1, 0, 1, 12, 1] };
  assert.deepEqual(encodeMask(mask), message);
  assert.deepEqual(decodeMask(message), mask);
  assert.equal(encodeMask(grid.emptyMask({ width: 5, height: 4 })), null);
});

test("any mask comes back from its runs", () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 40; round += 1) {
    const mask = grid.emptyMask({ width: 1 + Math.floor(20 * random()), height: 1 + Math.floor(20 * random()) });
    const end = { x: 20 * random(), y: 20 * random() };
    grid.paintStroke(mask, { x: 20 * random(), y: 20 * random() }, end, 5 * random() + 0.5, false);
    const message = encodeMask(mask);
    if (message) {
      const [left, top, right, bottom] = message.box;
      const lengths = message.runs.filter((_, index) => index % 2);
      assert.equal(lengths.reduce((sum, length) => sum + length), (right - left) * (bottom - top));
      assert.deepEqual(decodeMask(message), mask);
    } else assert.ok(mask.data.every((value) => !value));
  }
});

test("runs that do not fill their box are refused, and boxes outside the mask", () => {
  const good = { width: 5, height: 4, box: [2, 1, 4, 3], runs: [255, 4] };
  decodeMask(good);
  const bad = [[255, 3], [255, 5], [255, 4, 0, 1], [255, 4, 0], [256, 4], [-1, 4], [1.5, 4], [255, 0, 255, 4], []];
  for (const runs of bad) assert.throws(() => decodeMask({ ...good, runs }), RangeError, String(runs));
  for (const box of [[2, 1, 6, 2], [2, 1, 2, 3], [-1, 1, 1, 3], [0, 3, 2, 5], [NaN, 1, 4, 3]]) {
    assert.throws(() => decodeMask({ ...good, box }), RangeError, String(box));
  }
});

test("the outline runs along the border of what is chosen, and cuts its corners", () => {
  const pixel = maskOf([[0, 0, 0], [0, 255, 0], [0, 0, 0]]);
  assert.deepEqual(contourRow(pixel, 0), [1, 1.5, 1.5, 1, 1.5, 1, 2, 1.5]);
  assert.deepEqual(contourRow(pixel, 1), [1, 1.5, 1.5, 2, 1.5, 2, 2, 1.5]);
  const diagonal = maskOf([[0, 255], [255, 0]]);
  assert.deepEqual(contourRow(diagonal, 0), [0, 1.5, 0.5, 1, 1, 0.5, 1.5, 1, 0.5, 1, 1, 1.5, 1.5, 1, 2, 0.5]);
  const wide = maskOf([[255, 255, 255]]);
  assert.deepEqual(contourRow(wide, -1), [0, 0.5, 0.5, 0, 0.5, 0, 1.5, 0, 1.5, 0, 2.5, 0, 2.5, 0, 3, 0.5]);
  const soft = maskOf([[255, 55], [255, 55]]);
  assert.deepEqual(contourRow(soft, 0).slice(-4).filter((_, at) => at % 2 === 0), [0.5 + 127.5 / 200, 0.5 + 127.5 / 200]);
});

test("an outline is closed: each of its ends is the end of exactly two pieces, at borders of the picture, too", () => {
  const mask = grid.emptyMask({ width: 30, height: 24 });
  grid.paintStroke(mask, { x: 0, y: 3 }, { x: 18, y: 20 }, 6, false);
  grid.paintStroke(mask, { x: 28, y: 23 }, { x: 29, y: 2 }, 4, false);
  grid.paintStroke(mask, { x: 9, y: 11 }, { x: 9, y: 11 }, 2, true);
  const ends = new Map();
  for (let y = -1; y < mask.height; y += 1) {
    const row = contourRow(mask, y);
    for (let at = 0; at < row.length; at += 2) {
      const key = `${row[at].toFixed(6)} ${row[at + 1].toFixed(6)}`;
      ends.set(key, (ends.get(key) ?? 0) + 1);
    }
  }
  assert.ok(ends.size > 60);
  assert.deepEqual([...ends].filter(([, count]) => count !== 2), []);
});

test("a box holds the pixels of both corners, and what is outside is cut off", () => {
  const size = { width: 10, height: 8 };
  assert.deepEqual(boxBetween({ x: 6.2, y: 5.9 }, { x: 2.7, y: 5.1 }, size), { x: 2, y: 5, width: 5, height: 1 });
  assert.deepEqual(boxBetween({ x: -3, y: -9 }, { x: 2, y: 99 }, size), { x: 0, y: 0, width: 3, height: 8 });
  assert.equal(boxBetween({ x: 12, y: 1 }, { x: 15, y: 3 }, size), null);
});

test("boxes stay inside when they are typed, moved or resized", () => {
  const size = { width: 10, height: 8 };
  assert.deepEqual(boxAbout({ x: 5, y: 4 }, size), { x: 4, y: 3, width: 2, height: 2 });
  assert.deepEqual(boxAbout({ x: 0, y: 8 }, size), { x: 0, y: 6, width: 2, height: 2 });
  assert.deepEqual(boxInside({ x: 8, y: -4, width: 50, height: 0 }, size), { x: 0, y: 0, width: 10, height: 1 });
  const box = { x: 7, y: 0, width: 2, height: 3 };
  assert.deepEqual(boxMoved(box, 1, -1, size), { x: 8, y: 0, width: 2, height: 3 });
  assert.deepEqual(boxMoved(box, 5, 1, size), { x: 8, y: 1, width: 2, height: 3 });
  assert.deepEqual(boxResized(box, 1, 1, size), { x: 7, y: 0, width: 3, height: 4 });
  assert.deepEqual(boxResized(box, 9, -9, size), { x: 7, y: 0, width: 3, height: 1 });
});

test("keys undo strokes, change the brush and move a box", () => {
  const press = (key, { isBox = false, ...held } = {}) =>
    maskKey({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held }, isBox);
  assert.deepEqual(press("z", { ctrlKey: true }), { action: "undo" });
  assert.deepEqual(press("Z", { metaKey: true, shiftKey: true }), { action: "redo" });
  assert.deepEqual(press("y", { ctrlKey: true }), { action: "redo" });
  assert.deepEqual(press("[", { ctrlKey: true, altKey: true }), { action: "smaller" }, "AltGr");
  assert.deepEqual(press("]"), { action: "larger" });
  assert.deepEqual(press("ArrowUp", { isBox: true }), { move: [0, -1] });
  assert.deepEqual(press("Delete", { isBox: true }), { action: "erase" });
  for (const key of ["ArrowUp", "Enter", "Delete", "z", "constructor"]) assert.equal(press(key), null, key);
  assert.equal(press("s", { ctrlKey: true, isBox: true }), null);
  assert.equal(press("ArrowLeft", { altKey: true, isBox: true }), null, "the browser goes back");
});
