import assert from "node:assert/strict";
import test from "node:test";

import { describeStep, headline, placeSteps, stepOfKey } from "../../../app/viewer/src/steps.js";

const step = (number, parent, changes = {}) => ({
  number, parent, image: null, caption: `caption ${number}`, words: `words ${number}`, kind: "explored", name: "",
  is_pinned: false, is_current: false, difference: null, ...changes,
});

// 2 and 3 follow 1; 5 is a branch from 2, 6 one from 1. Numbers have gaps: steps are trimmed, or not finished.
const tree = (current) => [step(1, null), step(2, 1), step(3, 2), step(5, 2), step(6, 1)].map((one) => ({ ...one, is_current: one.number === current }));

test("a branch begins where a step does not follow its neighbour, and names the step that it begins at", () => {
  assert.deepEqual(placeSteps(tree(6)).map(({ place, from }) => [place, from]), [[1, null], [2, null], [3, null], [4, 2], [5, 1]]);
  assert.equal(placeSteps([step(4, 1), step(5, 4)])[0].from, null, "a parent that is gone begins no branch");
});

test("on the way lie the steps before the one shown, and what came of it", () => {
  const onWay = (current) => placeSteps(tree(current)).map(({ isOnWay }) => isOnWay);
  assert.deepEqual(onWay(5), [true, true, false, true, false]);
  assert.deepEqual(onWay(2), [true, true, true, true, false]);
  assert.deepEqual(onWay(99), [false, false, false, false, false]);
});

test("the description has place, name, words, branch and pin", () => {
  const places = placeSteps(tree(6));
  assert.equal(describeStep(step(5, 2, { name: "eye", is_pinned: true }), places[3]), "4: eye, words 5; branch from 2; pinned");
  assert.equal(describeStep(step(1, null), places[0]), "1: words 1");
});

test("the headline says what is shown, or what two that are compared have between them", () => {
  assert.equal(headline(tree(2), undefined), "words 2");
  assert.equal(headline([step(1, null, { is_current: true, name: "calm" })], undefined), "calm: words 1");
  assert.equal(headline(tree(2), step(3, 2, { difference: "kept", name: "eye" })), "From “eye” to the current step: kept");
  assert.equal(headline(tree(2), step(3, 2)), "words 2", "what cannot be compared is not");
  assert.equal(headline([], undefined), "");
});

test("arrows, Home and End move along the strip and stop at its ends", () => {
  assert.deepEqual(["ArrowLeft", "ArrowRight", "Home", "End"].map((key) => stepOfKey(key, 1, 4)), [0, 2, 0, 3]);
  assert.deepEqual([stepOfKey("ArrowLeft", 0, 4), stepOfKey("ArrowRight", 3, 4)], [0, 3]);
  assert.equal(stepOfKey("Enter", 1, 4), null);
  assert.equal(stepOfKey("constructor", 1, 4), null);
});
