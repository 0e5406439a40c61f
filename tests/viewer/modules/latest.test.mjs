import assert from "node:assert/strict";
import test from "node:test";

import { Latest } from "../../../app/viewer/src/latest.js";

const watch = () => {
  const sent = [];
  const clock = { now: 0 };
  return { sent, clock, latest: new Latest((value) => sent.push(value), () => clock.now) };
};

test("while one picture is drawn, only the newest position waits", () => {
  const { sent, latest } = watch();
  for (const value of [10, 20, 30]) latest.move(value);
  assert.deepEqual(sent, [10]);
  latest.answer(10);
  assert.deepEqual(sent, [10, 30]);
  latest.answer(30);
  latest.move(40);
  assert.deepEqual(sent, [10, 30, 40]);
});

test("what comes late, or was not asked for, is no answer", () => {
  const { sent, latest } = watch();
  latest.move(10);
  latest.move(20);
  latest.answer(90);
  assert.deepEqual(sent, [10]);
  latest.answer(10);
  latest.move(50);
  latest.answer(10);
  assert.deepEqual(sent, [10, 20]);
});

test("an answer that never comes is not waited for without end", () => {
  const { sent, latest, clock } = watch();
  latest.move(10);
  clock.now += 9_000;
  latest.move(20);
  assert.deepEqual(sent, [10]);
  clock.now += 2_000;
  latest.move(30);
  assert.deepEqual(sent, [10, 30]);
  latest.answer(10);
  latest.answer(30);
  assert.deepEqual(sent, [10, 30], "nothing older comes after it");
});

test("back at the position that is drawn, nothing waits", () => {
  const { sent, latest } = watch();
  latest.move(10);
  latest.move(20);
  latest.move(10);
  latest.answer(10);
  assert.deepEqual(sent, [10]);
  latest.forget();
  latest.move(10);
  assert.deepEqual(sent, [10, 10], "for another pair");
});
