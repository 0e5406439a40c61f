import assert from "node:assert/strict";
import test from "node:test";

import { fitBox, stepAlong, walkKey } from "../../../app/viewer/src/walking.js";

test("arrows walk, Enter keeps, Escape leaves; with Shift or Ctrl they mean what they always do", () => {
  const press = (key, held = {}) =>
    walkKey({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held });
  assert.deepEqual(["ArrowRight", "ArrowLeft", "Enter", "Escape"].map((key) => press(key)), ["next", "previous", "accept", "leave"]);
  for (const key of ["ArrowUp", "r", "constructor"]) assert.equal(press(key), null, key);
  for (const held of ["shiftKey", "ctrlKey", "metaKey", "altKey"]) assert.equal(press("ArrowRight", { [held]: true }), null);
});

test("the walk goes round through the picture before; from elsewhere it begins with the first way", () => {
  const ids = ["before", "a", "b"];
  assert.deepEqual(["before", "a", "b"].map((id) => stepAlong(ids, id, 1)), ["a", "b", "before"]);
  assert.equal(stepAlong(ids, "before", -1), "b");
  assert.equal(stepAlong(ids, "mean", 1), "a");
  assert.equal(stepAlong(["before"], null, 1), undefined);
});

test("a thumbnail shows the place with a margin, inside the picture", () => {
  const frame = { width: 400, height: 200 };
  assert.deepEqual(fitBox([100, 80, 200, 120], frame, 70), { zoom: 0.5, origin: { x: -40, y: -15 } });
  assert.deepEqual(fitBox([0, 160, 100, 200], frame, 70), { zoom: 0.5, origin: { x: -0, y: -30 } });
  assert.equal(fitBox([10, 10, 12, 12], frame, 48).zoom, 2, "never less than 24 pixels");
  assert.deepEqual(fitBox([0, 0, 400, 200], frame, 100), { zoom: 0.25, origin: { x: -0, y: 25 } });
});
