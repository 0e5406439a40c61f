import assert from "node:assert/strict";
import test from "node:test";

import * as values from "../../../app/viewer/src/values.js";

const rgba = (...pixels) => Uint8ClampedArray.from(pixels.flatMap((pixel) => [...pixel, 255]));

test("a difference is that of the luma, with its sign", () => {
  const deltas = values.lumaDifference(rgba([10, 20, 30], [0, 0, 0], [9, 9, 9]), rgba([9, 19, 29], [255, 255, 255], [9, 9, 9]));
  assert.deepEqual([...deltas], [16, -255 * 16, 0]);
  const red = values.lumaDifference(rgba([100, 0, 0]), rgba([0, 0, 0]));
  assert.equal(red[0], Math.round(16 * 29.9));
});

test("equal pixels have the middle colour, the ends of the scale the outer ones", () => {
  const colors = values.colorDifferences(Int16Array.from([0, 16 * 8, -16 * 8, 16 * 200]), 8);
  const [low, , middle, , high] = values.DIFFERENCE_COLORS.map(values.parseColor);
  assert.deepEqual([...colors], [...middle, 255, ...high, 255, ...low, 255, ...high, 255]);
});

test("the range holds all but a hundredth of the pixels", () => {
  const deltas = new Int16Array(1000).fill(16 * 3);
  deltas.fill(-16 * 200, 0, 10);
  assert.equal(values.spreadOf(deltas), 3);
  deltas.fill(-16 * 200, 0, 11);
  assert.equal(values.spreadOf(deltas), 200);
  assert.equal(values.spreadOf(new Int16Array(10)), 0);
  assert.deepEqual([0, 3, 5, 64, 129].map(values.scaleFor), [4, 4, 8, 64, 255]);
});

test("values are read where they lie, also off a map of another size", () => {
  const grey = { width: 4, height: 2, data: Uint8Array.from([0, 51, 102, 153, 204, 255, 0, 0]) };
  assert.equal(values.valueAt(grey, { x: 1, y: 0 }, { width: 4, height: 2 }, 0, 10), 2);
  assert.equal(values.valueAt(grey, { x: 3, y: 3 }, { width: 8, height: 4 }, 5, 10), 10);
});

test("the busiest place is the middle of the brightest square", () => {
  const width = 60;
  const data = new Uint8Array(width * 40).fill(3);
  for (let y = 20; y < 30; y += 1) for (let x = 40; x < 50; x += 1) data[y * width + x] = 200;
  data[0] = 255; // a single bright pixel is no place
  const grey = { width, height: 40, data };
  assert.deepEqual(values.busiestPlace(grey, { width: 60, height: 40 }, 10), { x: 45, y: 25 });
  assert.deepEqual(values.busiestPlace(grey, { width: 120, height: 80 }, 20), { x: 90, y: 50 });
  assert.equal(values.busiestPlace({ ...grey, data: data.fill(7) }, { width: 60, height: 40 }, 10), null);
});

test("numbers are short and have signs", () => {
  assert.deepEqual([0, 25.5, 3.14159].map(values.shortNumber), ["0", "25.5", "3.14"]);
  assert.deepEqual([-3, 0, 4].map(values.signedNumber), ["−3", "+0", "+4"]);
});
