import assert from "node:assert/strict";
import test from "node:test";

import { readKey, sampleKeyName } from "../../../app/viewer/src/keys.js";

const press = (key, code = "", shiftKey = false) => readKey({ key, code, shiftKey });

test("digits show samples, with Shift those from the tenth on", () => {
  assert.deepEqual(press("3", "Digit3"), { sample: 2 });
  assert.deepEqual(press("4", "Numpad4"), { sample: 3 });
  assert.deepEqual(press("@", "Digit2", true), { sample: 10 });
  assert.deepEqual(press("&", "Digit7", true), { sample: 15 });
  assert.equal(press("*", "Digit8", true), null);
});

test("signs on digit keys are signs: French −, Swiss +, German =", () => {
  assert.deepEqual(press("-", "Digit6"), { action: "zoomOut" });
  assert.deepEqual(press("+", "Digit1", true), { action: "zoomIn" });
  assert.deepEqual(press("=", "Digit0", true), { action: "zoomIn" });
  assert.deepEqual(press("?", "Comma", true), { action: "help" });
});

test("French digits need Shift and mean what they say; the keys without it show the same samples", () => {
  assert.deepEqual(press("6", "Digit6", true), { sample: 5 });
  assert.deepEqual(press("&", "Digit1"), { sample: 0 });
  assert.deepEqual(press("0", "Digit0", true), { action: "fit" });
});

test("letters are actions or references, whatever their case", () => {
  assert.deepEqual(press("W", "KeyW", true), { action: "wipe" });
  assert.deepEqual(press("g", "KeyG"), { letter: "g" });
  assert.deepEqual(press("ArrowUp"), { move: [0, 1] });
  for (const key of ["Tab", "F5", "é", "constructor", "toString"]) assert.equal(press(key), null, key);
});

test("keys have names", () => {
  assert.deepEqual([0, 8, 9, 15, 16].map(sampleKeyName), ["1", "9", "Shift+1", "Shift+7", ""]);
});
