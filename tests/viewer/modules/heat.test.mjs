import assert from "node:assert/strict";
import test from "node:test";

import { heatWords, strengthOf, temperatureOf, wildness } from "../../../app/viewer/src/heatgrid.js";
import { HeatState } from "../../../app/viewer/src/heatstate.js";
import { decodeMask } from "../../../app/viewer/src/maskruns.js";

const size = { width: 16, height: 12 };
const box = (x, y, width, height) => ({ x, y, width, height });
const put = (state, temperature, ...edges) => {
  state.setTemperature(temperature);
  state.settle();
  state.putBox("chosen", box(...edges));
};
/** What is sent, as temperature → number of pixels, in its order. */
const sums = (state) =>
  state.heat().map(({ temperature, mask }) => [temperature, decodeMask(mask).data.filter((value) => value > 0).length]);

test("strengths are steps of 0.05, exact both ways", () => {
  for (let strength = 0; strength <= 24; strength += 1) assert.equal(strengthOf(temperatureOf(strength)), strength);
  assert.deepEqual([strengthOf(0.3), strengthOf(1.2), temperatureOf(24)], [6, 24, 1.2]);
});

test("each temperature has its mask, and what is painted over has the new one alone", () => {
  const state = new HeatState(size);
  put(state, 0, 0, 0, 8, 4);
  put(state, 1.2, 4, 0, 8, 4);
  assert.deepEqual(sums(state), [[0, 16], [1.2, 32]]);
  put(state, 0, 0, 4, 2, 2);
  assert.deepEqual(sums(state), [[1.2, 32], [0, 20]], "what was painted last is sent last");
});

test("strokes are undone and done again, those that change the temperature alone, too", () => {
  const state = new HeatState(size);
  put(state, 0.3, 0, 0, 8, 4);
  put(state, 1, 8, 0, 4, 4);
  const before = state.heat();
  put(state, 0.3, 12, 8, 2, 2);
  assert.deepEqual(sums(state), [[1, 16], [0.3, 36]]);
  assert.ok(state.undo());
  assert.deepEqual(state.heat(), before, "in the same order");
  put(state, 0.9, 0, 0, 8, 4);
  assert.deepEqual(sums(state), [[1, 16], [0.9, 32]]);
  assert.ok(state.undo());
  assert.deepEqual(state.heat(), before);
  assert.ok(state.redo());
  assert.deepEqual(sums(state), [[1, 16], [0.9, 32]]);
  assert.ok(state.undo() && state.undo() && state.undo());
  assert.deepEqual([state.heat(), state.isEmpty], [[], true]);
});

test("the same stroke again is none", () => {
  const state = new HeatState(size);
  put(state, 0.3, 0, 0, 8, 4);
  put(state, 0.3, 0, 0, 8, 4);
  assert.equal(state.past.length, 1);
});

test("a soft brush takes over from half its force on, and leaves no pixel with two temperatures", () => {
  const state = new HeatState(size);
  put(state, 0, 0, 0, 16, 12);
  state.setTemperature(1.2);
  state.begin();
  state.paint({ x: 8, y: 6 }, { x: 8, y: 6 }, 4, false);
  assert.ok(state.end());
  const [[, cold], [, warm]] = sums(state);
  assert.equal(cold + warm, 16 * 12);
  assert.ok(warm > 20 && warm < 50);
  assert.ok(state.chosen.data.every((amount) => amount === 255));
});

test("the eraser takes away whatever is painted, and a stroke that two fingers interrupt leaves nothing", () => {
  const state = new HeatState(size);
  put(state, 0, 0, 0, 8, 12);
  put(state, 1, 8, 0, 8, 12);
  const before = state.heat();
  state.setTemperature(0.5);
  state.begin();
  state.paint({ x: 2, y: 2 }, { x: 14, y: 8 }, 3, false);
  state.cancel();
  assert.deepEqual(state.heat(), before);
  state.begin();
  state.outline([{ x: 0, y: 0 }, { x: 16, y: 0 }, { x: 16, y: 6 }, { x: 0, y: 6 }], 0);
  assert.ok(state.end());
  assert.deepEqual(sums(state), [[0, 48], [1, 48]]);
});

test("a mask is one stroke, by its own degrees", () => {
  const state = new HeatState(size);
  const mask = { ...size, data: new Uint8Array(16 * 12) };
  mask.data.set([100, 255, 30]);
  state.setTemperature(0);
  assert.ok(state.stamp(mask));
  assert.deepEqual([...decodeMask(state.heat()[0].mask).data.slice(0, 4)], [100, 255, 30, 0]);
  assert.equal(state.past.length, 1);
});

test("a box that is moved leaves what lay under it", () => {
  const state = new HeatState(size);
  put(state, 0, 0, 0, 6, 6);
  state.settle();
  state.setTemperature(1);
  state.putBox("chosen", box(4, 0, 4, 4));
  state.putBox("chosen", box(10, 0, 4, 4));
  assert.deepEqual(sums(state), [[0, 36], [1, 16]]);
});

test("reset leaves nothing to see, to send or to undo", () => {
  const state = new HeatState(size);
  put(state, 0, 0, 0, 6, 6);
  state.reset();
  assert.deepEqual([state.heat(), state.isEmpty, state.canUndo, state.floating], [[], true, false, null]);
});

test("calm and wild lie on both sides of the temperature that a picture was drawn with", () => {
  assert.deepEqual([wildness(0, 0.9), wildness(0.9, 0.9), wildness(1.2, 0.9), wildness(0.45, 0.9)], [-1, 0, 1, -0.5]);
  assert.deepEqual([wildness(0, 0), wildness(1.2, 0)], [0, 1]);
  assert.deepEqual(
    [0, 0.2, 0.9, 1.2].map((value) => heatWords(value, 0.9)),
    ["0.00, no noise", "0.20", "0.90, as drawn", "1.20"],
  );
});
