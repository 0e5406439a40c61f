import assert from "node:assert/strict";
import test from "node:test";

import * as choicesModule from "../../../app/viewer/src/choices.js";

const { ALL_SAMPLES, paneContents, repairChoices, startingChoices } = choicesModule;
const entries = (...ids) => ids.map((id) => ({ id, kind: /^s\d/.test(id) ? "sample" : "reference" }));
const ids = (contents) => contents.map((content) => content.ids.join("-"));

test("at first, all samples are shown, compared with the mean, else with the truth", () => {
  const choices = repairChoices(startingChoices(), entries("s0", "s1", "input", "truth", "mean"));
  assert.equal(choices.current, "s0");
  assert.deepEqual(choices.compare, ["s1", "s0"]);
  assert.deepEqual(choices.difference, [ALL_SAMPLES, "mean"]);
  const withoutMean = repairChoices(startingChoices(), entries("s0", "s1", "input", "truth"));
  assert.deepEqual(withoutMean.difference, [ALL_SAMPLES, "truth"]);
});

test("what is gone is replaced, what is there stays", () => {
  const before = {
    ...startingChoices(),
    ...{ mode: "difference", current: "s4", previous: "s3", compare: ["s4", "s1"], difference: ["s4", "s1"] },
  };
  const after = repairChoices(before, entries("s0", "s1", "mean"));
  assert.deepEqual(after, { ...before, current: "s0", previous: null, compare: ["s0", "s1"], difference: ["*", "s1"] });
  assert.deepEqual(repairChoices(before, entries("s3", "s4", "s1")), before);
  const single = repairChoices({ ...before, difference: [ALL_SAMPLES, "mean"] }, entries("s0", "mean"));
  assert.deepEqual(single.difference, ["s0", "mean"]);
  assert.equal(repairChoices(before, entries("s0")).mode, "grid");
  assert.equal(repairChoices(before, []).current, null);
});

test("the grid has the samples, then the map, then references", () => {
  const pictures = entries("s0", "s1", "input", "mean");
  const choices = repairChoices(startingChoices(), pictures);
  assert.deepEqual(ids(paneContents(choices, pictures, false)), ["s0", "s1"]);
  const contents = paneContents({ ...choices, showReferences: true }, pictures, true);
  assert.deepEqual(contents.map(({ kind }) => kind), ["picture", "picture", "map", "picture", "picture"]);
  assert.deepEqual(ids(paneContents(choices, entries("input", "mean"), false)), ["input", "mean"]);
  assert.deepEqual(paneContents(choices, [], true), []);
});

test("differences leave out the sample that is subtracted", () => {
  const pictures = entries("s0", "s1", "s2", "mean");
  const choices = { ...repairChoices(startingChoices(), pictures), mode: "difference" };
  assert.deepEqual(ids(paneContents(choices, pictures, true)), ["s0-mean", "s1-mean", "s2-mean"]);
  const other = { ...choices, difference: [ALL_SAMPLES, "s1"] };
  assert.deepEqual(ids(paneContents(other, pictures, true)), ["s0-s1", "s2-s1"]);
  const alone = { ...choices, difference: ["s2", "s1"] };
  assert.deepEqual(paneContents(alone, pictures, true), [{ kind: "difference", ids: ["s2", "s1"] }]);
});

test("a picture asked for goes where the mode has room for it", () => {
  const choices = repairChoices(startingChoices(), entries("s0", "s1", "mean"));
  const alone = choicesModule.withPicture(choices, "s1");
  assert.deepEqual([alone.mode, alone.current, alone.previous], ["single", "s1", "s0"]);
  assert.equal(choicesModule.withPicture(alone, "s1").previous, "s0");
  assert.deepEqual(choicesModule.withPicture({ ...choices, mode: "wipe" }, "mean").compare, ["s1", "mean"]);
  assert.deepEqual(choicesModule.withPicture({ ...choices, mode: "difference" }, "s1").difference, ["s1", "mean"]);
});

test("sides are swapped, and next and previous go round", () => {
  const choices = { ...repairChoices(startingChoices(), entries("s0", "s1", "mean")), mode: "difference" };
  assert.deepEqual(choicesModule.withSidesSwapped(choices), choices, "all samples cannot be subtracted");
  const one = { ...choices, difference: ["s0", "mean"] };
  assert.deepEqual(choicesModule.withSidesSwapped(one).difference, ["mean", "s0"]);
  assert.deepEqual(choicesModule.withSidesSwapped({ ...one, mode: "grid" }).compare, ["s0", "s1"]);
  const ids = ["s0", "s1", "mean"];
  assert.equal(choicesModule.pictureBeside(choices, ids, 1), "s0");
  assert.equal(choicesModule.pictureBeside(choices, ids, -1), "mean");
  assert.equal(choicesModule.pictureBeside({ ...choices, mode: "single" }, ids, -1), "mean");
  assert.equal(choicesModule.pictureBeside({ ...choices, mode: "wipe" }, ids, 1), "s1");
});
