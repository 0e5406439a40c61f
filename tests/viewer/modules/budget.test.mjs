import assert from "node:assert/strict";
import test from "node:test";

import * as budget from "../../../app/viewer/src/budget.js";

const patch = (used, megabytes, box = { x: 0, y: 0, width: 100, height: 100 }, halvings = 0) => ({
  used,
  box,
  halvings,
  bitmap: { width: 1024, height: 256 * megabytes },
});

test("pictures are kept whole up to a limit, larger ones as a copy below it", () => {
  assert.equal(budget.residentHalvings({ width: 1280, height: 1024 }), 0);
  assert.equal(budget.residentHalvings({ width: 1281, height: 1024 }), 1);
  for (const [width, height] of [[4000, 3000], [40_000, 10], [12_345, 9_876]]) {
    const scale = 2 ** budget.residentHalvings({ width, height });
    assert.ok(Math.ceil(width / scale) * Math.ceil(height / scale) <= budget.RESIDENT_PIXELS);
    assert.ok(Math.ceil((2 * width) / scale) * Math.ceil((2 * height) / scale) > budget.RESIDENT_PIXELS);
  }
});

test("a patch has a margin and stays inside the picture", () => {
  const picture = { width: 1000, height: 800 };
  const box = budget.patchBox({ x: 400, y: 0, width: 200, height: 100 }, picture);
  assert.deepEqual(box, { x: 320, y: 0, width: 352, height: 128 });
  assert.deepEqual(budget.patchBox({ x: 0, y: 0, ...picture }, picture), { x: 0, y: 0, ...picture });
});

test("a patch serves what it covers, as fine as asked for and not much finer", () => {
  const want = { halvings: 1, part: { x: 10, y: 10, width: 50, height: 90 } };
  assert.equal(budget.serves(patch(1, 1, undefined, 1), want), true);
  assert.equal(budget.serves(patch(1, 1, undefined, 0), want), true);
  assert.equal(budget.serves(patch(1, 1, undefined, 2), want), false);
  assert.equal(budget.serves(patch(1, 1), { ...want, halvings: 2 }), false);
  assert.equal(budget.serves(patch(1, 1), { ...want, part: { x: 10, y: 10, width: 91, height: 9 } }), false);
  assert.equal(budget.serves(undefined, want), false);
});

test("the longest unused patches go first, and none that is in use", () => {
  const [old, older, shown] = [patch(3, 10), patch(2, 10), patch(9, 10)];
  const megabytes = 2 ** 20;
  assert.deepEqual(budget.patchesToDrop([old, older, shown], 9, 30 * megabytes), []);
  assert.deepEqual(budget.patchesToDrop([old, older, shown], 9, 25 * megabytes), [older]);
  assert.deepEqual(budget.patchesToDrop([old, older, shown], 9, 1), [older, old]);
});
