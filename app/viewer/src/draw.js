// Drawing on canvases: pictures, as far as they are loaded, at any zoom.

import { halvingsFor, visiblePart } from "./geometry.js";
import { deviceRatio } from "./dom.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./images.js").Source} Source */
/** @typedef {CanvasRenderingContext2D} Context */
/** @typedef {import("./panes.js").Pane} Pane */
/** @typedef {import("./viewer.js").LinkedViewer} Viewer */
/** @typedef {{source: Source, url: string | null, slot: string}} Subject what is drawn, and in which slot */

const NEAREST_FROM = 3; // pixels are shown as squares from this magnification on, and at 100 % and 200 %
const FADED = 0.3; // opacity of an older picture while the new one is being made

/**
 * Draw the part of a bitmap that falls into `box` (device pixels).
 * The bitmap fills `area` of the frame (SR pixels), whose pixel (0, 0) lies at `origin`.
 * @param {Context} context
 * @param {ImageBitmap} bitmap
 * @param {Box} area
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 */
function drawBitmap(context, bitmap, area, zoom, origin, box) {
  const corner = { x: origin.x + area.x * zoom, y: origin.y + area.y * zoom };
  const part = visiblePart(bitmap, area, zoom, corner, box);
  if (!part) return;
  const stepX = (zoom * area.width) / bitmap.width;
  const stepY = (zoom * area.height) / bitmap.height;
  context.drawImage(
    bitmap,
    ...[part.x, part.y, part.width, part.height],
    ...[corner.x + part.x * stepX, corner.y + part.y * stepY, part.width * stepX, part.height * stepY],
  );
}

/**
 * Draw the part of a picture that falls into `box`. The picture fills the frame.
 * @param {Context} context
 * @param {Source} source
 * @param {import("./geometry.js").Size} frame
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 */
export function drawPicture(context, source, frame, zoom, origin, box) {
  const magnification = (zoom * frame.width) / source.width;
  const halvings = halvingsFor(magnification);
  // A smaller picture (the low-resolution input) shows its pixels as squares at any magnification.
  const isSmaller = source.width < frame.width;
  const isExact = magnification >= NEAREST_FROM || Number.isInteger(magnification);
  const hasSquares = isExact || (isSmaller && magnification >= 1);
  context.imageSmoothingQuality = "low"; // bilinear; the levels leave at most a factor of two
  context.imageSmoothingEnabled = !hasSquares || halvings < source.base;
  const level = Math.min(Math.max(halvings - source.base, 0), source.levels.length - 1);
  drawBitmap(context, source.levels[level], { x: 0, y: 0, ...frame }, zoom, origin, box);
  if (halvings >= source.base) return;
  context.imageSmoothingEnabled = !hasSquares;
  const [scaleX, scaleY] = [frame.width / source.width, frame.height / source.height];
  const coarseFirst = [...source.patches.values()].sort((a, b) => b.halvings - a.halvings);
  for (const { bitmap, box: cut } of coarseFirst) {
    const area = { x: cut.x * scaleX, y: cut.y * scaleY, width: cut.width * scaleX, height: cut.height * scaleY };
    drawBitmap(context, bitmap, area, zoom, origin, box);
  }
}

/**
 * The finer part that drawing at this zoom could use, or null if the kept data are fine enough.
 * @param {Source} source
 * @param {import("./geometry.js").Size} frame
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 */
export function finerPart(source, frame, zoom, origin, box) {
  const halvings = halvingsFor((zoom * frame.width) / source.width);
  const part = halvings < source.base ? visiblePart(source, frame, zoom, origin, box) : null;
  return part && { halvings, part };
}

/**
 * Draw finished rows of a picture, aligned to whole device pixels, so that no seam shows between two parts.
 * @param {Context} context
 * @param {import("./pictures.js").PictureRows} part
 * @param {import("./geometry.js").Size} frame
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 */
function drawRows(context, part, frame, zoom, origin, box) {
  if (!part.levels.length) return;
  const top = Math.round(origin.y + part.top * zoom);
  const bottom = Math.round(origin.y + (part.top + part.rows) * zoom);
  if (bottom <= top) return;
  drawPicture(context, part, { width: frame.width, height: (bottom - top) / zoom }, zoom, { x: origin.x, y: top }, box);
}

/**
 * Call `draw` with everything outside `box` clipped.
 * @param {Context} context
 * @param {Box} box
 * @param {() => void} draw
 */
export function withClip(context, box, draw) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  draw();
  context.restore();
}

/**
 * Draw a thin outline that is visible on any picture: dark, with a light one inside.
 * @param {Context} context
 * @param {Box} box
 */
export function outline(context, { x, y, width, height }) {
  const line = Math.max(1, Math.round(deviceRatio()));
  context.lineWidth = line;
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
  context.strokeStyle = "rgba(255, 255, 255, 0.95)";
  context.strokeRect(x + line / 2, y + line / 2, width - line, height - line);
}

/**
 * Draw one picture as far as it is loaded: finished rows over the previous picture or the placeholder, dimmed.
 * @param {Viewer} viewer
 * @param {Context} context
 * @param {import("./pictures.js").Picture} picture
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 * @param {string} slot purpose: "view", "place" or "lens"
 */
export function drawSoFar(viewer, context, picture, zoom, origin, box, slot) {
  const { frame } = viewer;
  const shown = picture.levels.length ? picture : viewer.standIn();
  if (shown) {
    const want = finerPart(shown, frame, zoom, origin, box);
    if (want) viewer.loader.want(shown, shown.loadedUrl, slot, want.halvings, want.part);
    context.globalAlpha = shown === picture && picture.state !== "waiting" ? 1 : FADED;
    drawPicture(context, shown, frame, zoom, origin, box);
    context.globalAlpha = 1;
  }
  for (const part of picture.parts.values()) drawRows(context, part, frame, zoom, origin, box);
}

/**
 * Describe how a picture looks as far as it is loaded; undefined for a large one, whose finer parts come and go.
 * @param {Viewer} viewer
 * @param {import("./pictures.js").Picture} picture
 */
export function lookOfPicture(viewer, picture) {
  const shown = picture.levels.length ? picture : viewer.standIn();
  if (shown?.base) return undefined;
  const parts = [...picture.parts].filter(([, { levels }]) => levels.length).map(([url]) => url);
  return [shown?.loadedUrl ?? "", picture.state, ...parts];
}

/**
 * The content of a pane, or of one of its halves.
 * @param {Viewer} viewer
 * @param {Pane} pane
 * @param {Context} context
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 * @param {string} slot
 * @param {number} [side]
 */
export function drawContent(viewer, pane, context, zoom, origin, box, slot, side = 0) {
  const [first, second] = pane.ids.map((id) => viewer.pictures.get(id));
  if (pane.kind === "map") drawMap(viewer, context, zoom, origin, box);
  else if (pane.kind === "difference") viewer.differences.draw(context, first, second, zoom, origin, box, slot);
  else drawSoFar(viewer, context, side ? second : first, zoom, origin, box, slot);
}

/**
 * @param {Viewer} viewer
 * @param {Context} context
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 */
function drawMap({ overlay, frame }, context, zoom, origin, box) {
  if (overlay?.levels.length) drawPicture(context, overlay, frame, zoom, origin, box);
}
