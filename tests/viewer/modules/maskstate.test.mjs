import assert from "node:assert/strict";
import test from "node:test";

import { MaskState } from "../../../app/viewer/src/maskstate.js";

const size = { width: 16, height: 12 };
const dot = (state, x, y, { target = "chosen", isErasing = false } = {}) => {
  state.begin(target);
  state.paint({ x, y }, { x, y }, 2, isErasing);
  return state.end();
};
const box = (x, y, width, height) => ({ x, y, width, height });
const count = ({ data }) => data.filter((value) => value === 255).length;

test("strokes are undone and done again one by one, to the last byte", () => {
  const state = new MaskState(size);
  const seen = [state.chosen.data.slice()];
  for (const [x, y] of [[3, 3], [4, 4], [12, 8]]) {
    assert.ok(dot(state, x, y));
    seen.push(state.chosen.data.slice());
  }
  for (const expected of [seen[2], seen[1], seen[0]]) {
    assert.ok(state.undo());
    assert.deepEqual(state.chosen.data, expected);
  }
  assert.equal(state.undo(), false);
  assert.ok(state.isEmpty && state.message() === null && state.canRedo);
  for (const expected of seen.slice(1)) {
    assert.ok(state.redo());
    assert.deepEqual(state.chosen.data, expected);
  }
  assert.equal(state.redo(), false);
});

test("a stroke after undo ends what could be done again, and one that changes nothing is none", () => {
  const state = new MaskState(size);
  dot(state, 3, 3);
  dot(state, 9, 9);
  state.undo();
  assert.equal(dot(state, 3, 3), false);
  assert.ok(state.canRedo);
  assert.ok(dot(state, 12, 2));
  assert.equal(state.canRedo, false);
  assert.equal(state.past.length, 2);
});

test("a stroke that two fingers interrupt leaves nothing", () => {
  const state = new MaskState(size);
  dot(state, 3, 3);
  const before = state.chosen.data.slice();
  state.begin("chosen");
  state.paint({ x: 2, y: 2 }, { x: 14, y: 10 }, 3, false);
  assert.notDeepEqual(state.chosen.data, before);
  state.cancel();
  assert.deepEqual([state.chosen.data, state.open.data, state.past.length], [before, before, 1]);
  assert.equal(state.end(), false);
});

test("what is sent is what is chosen and not locked, whichever was painted first", () => {
  const state = new MaskState(size);
  state.putBox("locked", box(4, 0, 4, 12));
  state.putBox("chosen", box(2, 2, 10, 4));
  assert.deepEqual(state.message(), { ...size, box: [2, 2, 12, 6], runs: [255, 2, 0, 4, 255, 6, 0, 4, 255, 6, 0, 4, 255, 6, 0, 4, 255, 4] });
  state.invert("locked");
  assert.deepEqual(state.message().box, [4, 2, 8, 6]);
  state.clear("locked");
  assert.equal(count(state.open), 40);
  for (const expected of [16, 24, 0]) {
    state.undo();
    assert.equal(count(state.open), expected);
  }
});

test("a floating box is one step to undo, however often it is moved", () => {
  const state = new MaskState(size);
  dot(state, 3, 3);
  const before = state.chosen.data.slice();
  for (let x = 4; x < 9; x += 1) state.putBox("chosen", box(x, 5, 3, 2));
  assert.deepEqual(state.floating, box(8, 5, 3, 2));
  assert.equal(state.past.length, 2);
  state.undo();
  assert.deepEqual(state.chosen.data, before);
  assert.equal(state.floating, null);
});

test("a box over a place that is chosen already can be moved away, and leaves that place", () => {
  const state = new MaskState(size);
  state.putBox("chosen", box(0, 0, 8, 8));
  state.settle();
  state.putBox("chosen", box(2, 2, 3, 3));
  assert.deepEqual([state.past.length, state.floating], [1, box(2, 2, 3, 3)]);
  state.putBox("chosen", box(10, 2, 3, 3));
  assert.deepEqual([count(state.chosen), state.past.length], [64 + 9, 2]);
  state.putBox("chosen", box(2, 2, 3, 3), 0);
  assert.deepEqual([count(state.chosen), state.floating], [64 - 9, null]);
});

test("a settled box stays when the next one moves, and boxes are cut to the picture", () => {
  const state = new MaskState(size);
  state.putBox("chosen", box(0, 0, 2, 2));
  state.settle();
  state.putBox("chosen", box(100, 100, 4, 4));
  assert.deepEqual(state.floating, box(12, 8, 4, 4));
  assert.equal(count(state.chosen), 4 + 16);
});

test("clearing and inverting are steps, clearing nothing is none", () => {
  const state = new MaskState(size);
  assert.equal(state.clear("chosen"), false);
  assert.ok(state.invert("chosen"));
  assert.equal(count(state.open), 16 * 12);
  assert.ok(state.clear("chosen"));
  assert.ok(state.isEmpty);
  state.undo();
  assert.equal(count(state.open), 16 * 12);
});

test("what is kept for undo is bounded, by number and by bytes", () => {
  const small = new MaskState(size);
  for (let i = 0; i < 130; i += 1) small.invert("chosen");
  assert.equal(small.past.length, 100);
  const large = new MaskState({ width: 4000, height: 3000 });
  for (let i = 0; i < 6; i += 1) large.invert("chosen");
  assert.equal(large.past.length, 4);
  assert.ok(large.undo());
});

test("what is to be drawn anew covers all that changed", () => {
  const state = new MaskState(size);
  state.putBox("chosen", box(1, 1, 2, 2));
  state.putBox("chosen", box(9, 6, 2, 2));
  assert.deepEqual(state.stale, box(1, 1, 10, 7));
});

test("after a place has served, the next stroke chooses another one; undone, the former is back", () => {
  const state = new MaskState(size);
  state.putBox("chosen", box(0, 0, 4, 4));
  state.markUsed();
  const before = state.chosen.data.slice();
  state.begin("chosen", true);
  state.paint({ x: 12, y: 8 }, { x: 12, y: 8 }, 2, false);
  state.cancel();
  assert.deepEqual(state.chosen.data, before, "a stroke that is cancelled has chosen nothing");
  state.begin("chosen", true);
  state.paint({ x: 12, y: 8 }, { x: 12, y: 8 }, 2, false);
  assert.ok(state.end());
  assert.deepEqual(state.message().box, [10, 6, 14, 10]);
  state.undo();
  assert.deepEqual(state.chosen.data, before);
  state.redo();
  state.putBox("chosen", box(0, 0, 2, 2));
  assert.deepEqual(state.message().box, [0, 0, 14, 10], "only once");
});

test("erasing and locking in a place that has served leave the rest of it", () => {
  const state = new MaskState(size);
  state.putBox("chosen", box(0, 0, 8, 8));
  state.markUsed();
  state.putBox("locked", box(0, 0, 2, 8));
  assert.equal(count(state.open), 48);
  assert.ok(dot(state, 6, 6, { isErasing: true }));
  assert.ok(count(state.open) > 30);
});
