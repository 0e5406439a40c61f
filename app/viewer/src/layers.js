// The layers of a pane from bottom to top, drawn only where they have changed. To add a layer, add an entry to LAYERS.

import { drawContent, drawPicture, lookOfPicture, outline, withClip } from "./draw.js";
import { deviceRatio } from "./dom.js";

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./panes.js").Pane} Pane */
/** @typedef {import("./viewer.js").LinkedViewer} Viewer */
/**
 * A layer, and the plain values that determine how it looks, apart from the view: while they stay the same, a pane is
 * not drawn again. undefined: unknown, so the pane is drawn each time.
 * @typedef {object} Layer
 * @property {(viewer: Viewer, pane: Pane, origin: Point, whole: Box) => void} draw
 * @property {(viewer: Viewer, pane: Pane) => unknown} look
 */

/**
 * How a pane looks, or undefined: see `Layer`.
 * @param {Viewer} viewer
 * @param {Pane} pane
 * @param {Point} origin
 */
function lookOf(viewer, pane, origin) {
  const looks = LAYERS.map(({ look }) => look(viewer, pane));
  if (looks.includes(undefined)) return undefined;
  return JSON.stringify([viewer.view.zoom, origin, viewer.paneSize, viewer.frame, deviceRatio(), looks]);
}

/** Whether there is anything to show in a pane. @param {Viewer} viewer @param {Pane} pane */
function isDrawable({ overlay, pictures, differences }, { kind, ids }) {
  if (kind === "map") return Boolean(overlay?.levels.length);
  const shown = ids.map((id) => pictures.get(id));
  if (kind === "difference") return Boolean(differences.of(shown[0], shown[1]));
  return shown.every((picture) => picture.levels.length > 0);
}

/** @type {Layer["draw"]} */
function drawPictures(viewer, pane, origin, whole) {
  const { context } = pane;
  const { zoom } = viewer.view;
  const { width, height } = viewer.frame;
  if (!isDrawable(viewer, pane)) {
    // Reserve the picture's position discreetly; grey at this opacity suits light and dark pages.
    context.fillStyle = "rgba(128, 128, 128, 0.13)";
    context.fillRect(origin.x, origin.y, width * zoom, height * zoom);
  }
  if (pane.kind !== "wipe") return drawContent(viewer, pane, context, zoom, origin, whole, "view");
  const border = Math.round(whole.width * viewer.split);
  const boxes = [{ ...whole, width: border }, { ...whole, x: border, width: whole.width - border }];
  boxes.forEach((box, side) => {
    withClip(context, box, () => drawContent(viewer, pane, context, zoom, origin, box, "view", side));
  });
}

/** @type {Layer["look"]} */
function lookOfPictures(viewer, { kind, ids }) {
  if (kind === "difference") return undefined;
  if (kind === "map") return lookOfMap(viewer);
  const looks = ids.map((id) => lookOfPicture(viewer, viewer.pictures.get(id)));
  return looks.includes(undefined) ? undefined : [kind, viewer.split, ...looks];
}

/** @param {Viewer} viewer */
function lookOfMap({ overlay }) {
  return overlay?.base ? undefined : [overlay?.levels.length ? overlay.loadedUrl : ""];
}

/** @type {Layer["draw"]} */
function drawOverlay(viewer, pane, origin, whole) {
  const { overlay, overlayOn, opacity, view, frame } = viewer;
  if (!overlayOn || !overlay?.levels.length || pane.kind === "map" || pane.kind === "difference") return;
  pane.context.globalAlpha = opacity;
  drawPicture(pane.context, overlay, frame, view.zoom, origin, whole);
  pane.context.globalAlpha = 1;
}

/** @type {Layer["look"]} */
function lookOfOverlay(viewer) {
  return viewer.overlayOn ? lookOfMap(viewer)?.concat(String(viewer.opacity)) : null;
}

/** @type {Layer["draw"]} */
function drawMask(viewer, pane, origin, whole) {
  viewer.exploring.mask.draw(pane, origin, whole);
  viewer.exploring.heat.draw(pane, origin, whole);
}

/** @type {Layer["look"]} */
function lookOfMask({ exploring: { mask, heat } }) {
  return [mask, heat].every(({ layer }) => layer?.isBlank ?? true) ? null : undefined;
}

/** Outline what the close-ups show. @type {Layer["draw"]} */
function drawPlace(viewer, pane, origin) {
  const place = viewer.shownPlace();
  if (!place) return;
  const { zoom } = viewer.view;
  const shown = viewer.cropPanel.shownSide(); // SR pixels
  const side = Math.round(shown * zoom);
  const left = Math.round(origin.x + (place.x + 0.5 - shown / 2) * zoom);
  const top = Math.round(origin.y + (place.y + 0.5 - shown / 2) * zoom);
  outline(pane.context, { x: left, y: top, width: side, height: side });
}

/** @type {Layer["look"]} */
function lookOfPlace(viewer) {
  return [viewer.shownPlace(), viewer.cropPanel.shownSide()];
}

/** @type {Layer["draw"]} */
function drawTool(viewer, pane, origin) {
  viewer.tool.draw?.(pane, origin);
}

/** @type {Layer["look"]} */
function lookOfTool(viewer) {
  return viewer.tool.draw ? undefined : null;
}

/** @type {Layer[]} */
const LAYERS = [
  { draw: drawPictures, look: lookOfPictures },
  { draw: drawOverlay, look: lookOfOverlay },
  { draw: drawMask, look: lookOfMask },
  { draw: drawPlace, look: lookOfPlace },
  { draw: drawTool, look: lookOfTool },
];

/**
 * Draw a pane, unless that would change nothing.
 * @param {Viewer} viewer
 * @param {Pane} pane
 * @param {Point} origin
 * @param {Box} whole
 */
export function drawPane(viewer, pane, origin, whole) {
  const look = lookOf(viewer, pane, origin);
  if (look !== undefined && look === pane.look) return;
  pane.look = look;
  pane.context.clearRect(0, 0, whole.width, whole.height);
  for (const { draw } of LAYERS) draw(viewer, pane, origin, whole);
}
