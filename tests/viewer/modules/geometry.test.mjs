import assert from "node:assert/strict";
import test from "node:test";

import * as geometry from "../../../app/viewer/src/geometry.js";

const frame = { width: 120, height: 80 };
const pane = { width: 240, height: 160 };

test("nine pictures of 4:3 make three rows in a wide stage, eight make two", () => {
  assert.equal(geometry.bestColumns(9, { width: 1200, height: 660 }, 4 / 3, 6, 22), 3);
  assert.equal(geometry.bestColumns(8, { width: 1200, height: 620 }, 4 / 3, 6, 22), 4);
  assert.equal(geometry.bestColumns(1, { width: 100, height: 900 }, 1, 6, 22), 1);
});

test("panes lie on whole device pixels, inside the stage, and do not overlap", () => {
  const stage = { width: 1001, height: 703 };
  const { pane: size, places, caption } = geometry.arrangePanes(7, stage, frame, 9, 33);
  assert.ok([size.width, size.height, ...places.flatMap(({ x, y }) => [x, y])].every(Number.isInteger));
  for (const [i, a] of places.entries()) {
    assert.ok(a.x + size.width <= stage.width && a.y + size.height + caption <= stage.height);
    for (const b of places.slice(i + 1)) {
      assert.ok(Math.abs(a.x - b.x) >= size.width + 9 || Math.abs(a.y - b.y) >= size.height + caption + 9);
    }
  }
});

test("zooming at a point leaves what lies there in place", () => {
  const view = { zoom: 4, x: 50, y: 40, fitted: false };
  const point = { x: 200, y: 30 };
  const under = ({ x, y, zoom }) => [x + (point.x - 120) / zoom, y + (point.y - 80) / zoom];
  const after = geometry.zoomView(view, frame, pane, 9, point);
  assert.equal(after.zoom, 9);
  under(view).forEach((value, i) => assert.ok(Math.abs(under(after)[i] - value) < 1e-9));
});

test("zooming stops at fit, at 100 % or fit below, and at the end of the scale", () => {
  const view = { zoom: 2.5, x: 60, y: 40, fitted: false };
  assert.deepEqual(geometry.zoomView(view, frame, pane, 1.2), { zoom: 2, x: 60, y: 40, fitted: true });
  assert.equal(geometry.zoomView({ ...view, zoom: 2, fitted: true }, frame, pane, 0.1).zoom, 1);
  assert.equal(geometry.zoomView({ ...view, zoom: 60 }, frame, pane, 999).zoom, geometry.MAX_ZOOM);
  assert.equal(geometry.nextZoom(4, 1), 6);
  assert.equal(geometry.nextZoom(4, -1), 3);
  assert.equal(geometry.nextZoom(64, 1), undefined);
});

test("a view has no empty borders, and a fitted one follows the pane", () => {
  const far = geometry.constrainView({ zoom: 8, x: -50, y: 999, fitted: false }, frame, pane);
  assert.deepEqual(far, { zoom: 8, x: 15, y: 70, fitted: false });
  const fitted = geometry.constrainView({ zoom: 8, x: 0, y: 0, fitted: true }, frame, { width: 60, height: 160 });
  assert.deepEqual(fitted, { zoom: 0.5, x: 60, y: 40, fitted: true });
});

test("the visible part covers the box, with a border of at most two pixels", () => {
  const box = { x: 0, y: 0, ...pane };
  assert.deepEqual(geometry.visiblePart(frame, frame, 1, { x: 60, y: 40 }, box), { x: 0, y: 0, ...frame });
  const part = geometry.visiblePart({ width: 240, height: 160 }, frame, 16, { x: -800, y: -480 }, box);
  assert.deepEqual(part, { x: 99, y: 59, width: 32, height: 22 });
  assert.equal(geometry.visiblePart(frame, frame, 1, { x: 500, y: 0 }, box), null);
});

test("copies are halved no further than the screen needs", () => {
  assert.deepEqual([3, 1, 0.9, 0.5, 0.49, 0.25, 0.1].map(geometry.halvingsFor), [0, 0, 0, 1, 1, 2, 3]);
});

test("pixels outside the frame are none", () => {
  assert.deepEqual(geometry.pixelAt({ x: 119.9, y: 0 }, frame), { x: 119, y: 0 });
  for (const [x, y] of [[-0.1, 0], [120, 0], [0, 80]]) assert.equal(geometry.pixelAt({ x, y }, frame), null);
});
