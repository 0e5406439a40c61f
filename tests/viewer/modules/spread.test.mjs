import assert from "node:assert/strict";
import test from "node:test";

import { spreadText } from "../../../app/viewer/src/spread.js";

const luma = { minimum: 0, top: 80, bars: 0.9, ofLuma: true };

test("a bar is the mean's brightness and the grey levels about it, with what is promised", () => {
  assert.equal(spreadText(luma, 11.2, [100, 160, 180]), "brightness 144 ± 11 (90 %)");
  assert.equal(spreadText({ ...luma, bars: 0.975 }, 2.04, [9, 9, 9]), "brightness 9 ± 2.0 (97.5 %)");
  assert.equal(spreadText(luma, 11.2, null), "± 11 (90 %)", "the mean is not loaded");
});

test("of three channels each has its own mean", () => {
  assert.equal(spreadText({ ...luma, ofLuma: false }, 9.96, [1, 2, 3]), "mean 1 2 3 ± 10 each (90 %)");
});

test("what is not calibrated is called σ, and nothing is promised", () => {
  assert.equal(spreadText({ ...luma, bars: null }, 11.26, [1, 2, 3]), "σ 11.3");
});
