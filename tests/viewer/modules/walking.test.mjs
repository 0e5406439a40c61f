import assert from "node:assert/strict";
import test from "node:test";

import { fitBox, haveFamilies, mixWords, stepAlong, walkKey, walkTitle, wayCaption } from "../../../app/viewer/src/walking.js";
import { deviationAt, deviationWords, isLookOnly, pieceWords, slidersTitle, slidersWords, sliderValue, splitTexts, strokeMessage, wishMessage } from "../../../app/viewer/src/walking.js";

test("arrows walk, Enter keeps, Escape leaves; with Shift or Ctrl they mean what they always do", () => {
  const press = (key, held = {}) =>
    walkKey({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held });
  assert.deepEqual(["ArrowRight", "ArrowLeft", "Enter", "Escape"].map((key) => press(key)), ["next", "previous", "accept", "leave"]);
  for (const key of ["Home", "r", "constructor"]) assert.equal(press(key), null, key);
  assert.deepEqual(["ArrowDown", "ArrowUp"].map((key) => press(key)), ["family", "back"]);
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

test("ways of one kind have numbers, others their own words", () => {
  assert.equal(wayCaption("roll", "Roll 3", 3), "3");
  assert.equal(wayCaption("roll", "40 % of the way", 9), "40 % of the way");
  assert.equal(wayCaption("different", "Stands for 21 of 64", 2), "Stands for 21 of 64");
  assert.equal(wayCaption("extremes", "Smoothest, darkest", 1), "Smoothest, darkest");
  assert.equal(wayCaption("children", "Before", 0), "Before");
});

test("a title says which of how many it is, where that is not in the words", () => {
  assert.equal(walkTitle("roll", "Roll 3", 3, 8, 8), "Roll 3 of 8");
  assert.equal(walkTitle("typical", "Stands for 6 of 2", 2, 5, 5), "Stands for 6 of 2");
  assert.equal(walkTitle("roll", "Sample 1", 0, 8, 8), "Before the change");
  assert.equal(walkTitle("roll", "", -1, 3, 8), "3 of 8");
});

test("what is ticked is told in words", () => {
  assert.match(mixWords([]), /Choose two or more/);
  assert.match(mixWords(["Roll 1"]), /^Roll 1 is ticked/);
  assert.equal(mixWords(["Roll 1", "Roll 4", "Sample 2"]), "Roll 1, Roll 4 and Sample 2");
});

test("sliders say what they explain, or that there are none", () => {
  const strips = [0.304, 0.12].map((share) => ({ image: null, low: "no edge", high: "edge left", share, deviations: null, remark: "" }));
  const two = { strips, angles: [0, 0] };
  const one = { strips: strips.slice(0, 1), angles: [0] };
  const none = { strips: [], angles: [] };
  assert.equal(slidersTitle(null), "Sliders of this region");
  assert.equal(slidersTitle(none), "Sliders of this region");
  assert.equal(slidersTitle(one), "One slider explains 30 % of the variance here");
  assert.equal(slidersTitle(two), "2 sliders explain 42 % of the variance here");
  assert.match(slidersWords(null), /Comparing/);
  assert.match(slidersWords(none), /Only texture differs here/);
  assert.equal(slidersWords(two), "");
});

test("a slider's position is said as what it goes towards", () => {
  const ends = { low: "softer", high: "sharper" };
  assert.equal(sliderValue(0, ends), "unchanged");
  assert.equal(sliderValue(-35, ends), "35 degrees towards softer");
  assert.equal(sliderValue(90, ends), "90 degrees towards sharper");
});

test("a wish is told in standard deviations, between the pictures that were measured", () => {
  const deviations = [-4, -3, -1.5, 0.5, 1.5, 3, 5];
  assert.equal(deviationAt(0, deviations), 0.5);
  assert.equal(deviationAt(-90, deviations), -4);
  assert.equal(deviationAt(90, deviations), 5);
  assert.equal(deviationAt(45, deviations), 2.25);
  assert.equal(deviationWords(1.25), "+1.3 sd");
  assert.equal(deviationWords(-2.5), "\u22122.5 sd, beyond what is likely");
  const strip = { image: null, low: "smoother", high: "rougher", share: 0, deviations, remark: "Nearly fixed." };
  assert.equal(sliderValue(45, strip), "+2.3 sd, beyond what is likely, from smoother to rougher");
  const bank = { strips: [strip], angles: [0] };
  assert.equal(slidersTitle(bank, "wish"), "From smoother to rougher");
  assert.equal(slidersWords(bank, "wish"), "Nearly fixed.");
  assert.match(slidersWords(null, "wish"), /48 versions/);
});

test("a wish is sent as Python reads it", () => {
  const fields = { period: "6.5", direction: "45", colour: "#ff8001" };
  assert.deepEqual(wishMessage("roughness", fields), { type: "roughness" });
  assert.deepEqual(wishMessage("stripes", fields), { type: "stripes", period: 6.5, direction: 45 });
  assert.deepEqual(wishMessage("stripes", { ...fields, period: "", direction: "400" }), { type: "stripes", period: 8, direction: 180 });
  assert.deepEqual(wishMessage("colour", fields), { type: "colour", red: 255, green: 128, blue: 1 });
});

test("those that stand for others have families", () => {
  assert.equal(wayCaption("families", "Family 1: 38 %", 1), "1: 38 %");
  assert.equal(wayCaption("families", "1.2: 14 %", 3), "1.2: 14 %");
  assert.deepEqual(["different", "typical", "families"].map(haveFamilies), [true, true, true]);
  assert.deepEqual(["extremes", "family", "roll", undefined].map(haveFamilies), [false, false, false, false]);
});

test("texts are told apart by commas", () => {
  assert.deepEqual(splitTexts(" 3, 8,B ,, 3"), ["3", "8", "B"]);
  assert.deepEqual(splitTexts(" "), []);
  assert.equal(splitTexts("abcdefghijkl".split("").join()).length, 10);
});

test("strokes are told from the corner of the place, in quarters of a pixel, and end at its edges", () => {
  const points = [{ x: 12.3, y: 9.9 }, { x: 99, y: 5 }];
  const stroke = { want: "darker", width: 2, colour: "#ff8001", points };
  assert.deepEqual(strokeMessage(stroke, [8, 8, 40, 32]), { want: "darker", width: 2, points: [4.25, 2, 32, 0] });
  const coloured = strokeMessage({ ...stroke, want: "colour" }, [8, 8, 40, 32]);
  assert.deepEqual(coloured, { want: "colour", width: 2, points: [4.25, 2, 32, 0], colour: [255, 128, 1] });
});

test("pieces are counted, and files named", () => {
  const [piece, file] = [{ id: "s1", box: [0, 0, 8, 8] }, { name: "eye.png", file: "aGk=" }];
  assert.equal(pieceWords([]), "0 pieces");
  assert.equal(pieceWords([piece]), "1 piece");
  assert.equal(pieceWords([file]), "eye.png");
  assert.equal(pieceWords([file, piece, piece]), "2 pieces, eye.png");
});

test("what is cannot be explored further is told by its badge", () => {
  assert.equal(isLookOnly({ badge: "to look at" }), true);
  assert.equal(isLookOnly({ badge: "" }), false);
  assert.equal(isLookOnly(undefined), false);
});
