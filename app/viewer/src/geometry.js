// Where pictures lie on the screen. Pure functions: no DOM, no state.
//
// The frame is the rectangle of width x height SR pixels that all pictures share. Zoom is in device pixels per SR pixel,
// so that 100 % shows each SR pixel as exactly one pixel of the screen. A view says which part of the frame all panes
// show; x and y are the SR position at the centre of a pane.

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {{x: number, y: number, width: number, height: number}} Box */
/** @typedef {{zoom: number, x: number, y: number, fitted: boolean}} View */
/** @typedef {{columns: number, pane: Size, caption: number, places: Point[]}} Layout */

export const MAX_ZOOM = 64;
const ZOOM_STEPS = [0.125, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MAX_ZOOM];

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/**
 * The number of columns that shows `count` pictures of this aspect (width / height) largest in the stage.
 * @param {number} count
 * @param {Size} stage
 * @param {number} aspect
 * @param {number} gap
 * @param {number} caption
 */
export function bestColumns(count, stage, aspect, gap, caption) {
  let best = 1;
  let bestWidth = -1;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const width = (stage.width - gap * (columns - 1)) / columns;
    const height = (stage.height - gap * (rows - 1)) / rows - caption;
    const shown = Math.min(width, height * aspect);
    if (shown > bestWidth) [best, bestWidth] = [columns, shown];
  }
  return best;
}

/**
 * Place panes on whole device pixels; all sizes in device pixels.
 * @param {number} count
 * @param {Size} stage
 * @param {Size} frame
 * @param {number} gap
 * @param {number} caption
 * @returns {Layout}
 */
export function arrangePanes(count, stage, frame, gap, caption) {
  const columns = bestColumns(count, stage, frame.width / frame.height, gap, caption);
  const rows = Math.ceil(count / columns);
  const width = Math.floor((stage.width - gap * (columns - 1)) / columns);
  const height = Math.floor((stage.height - gap * (rows - 1)) / rows);
  const places = Array.from({ length: count }, (_, index) => ({
    x: (index % columns) * (width + gap),
    y: Math.floor(index / columns) * (height + gap),
  }));
  return { columns, pane: { width, height: Math.max(1, height - caption) }, caption, places };
}

/**
 * @param {Size} frame
 * @param {Size} pane
 */
export function zoomToFit(frame, pane) {
  return Math.min(pane.width / frame.width, pane.height / frame.height);
}

/**
 * The nearest allowed view: at least as large as the whole picture (or 100 %, if that is smaller), without empty
 * borders.
 * @param {View} view
 * @param {Size} frame
 * @param {Size} pane
 * @returns {View}
 */
export function constrainView(view, frame, pane) {
  const fit = zoomToFit(frame, pane);
  const zoom = view.fitted ? fit : clamp(view.zoom, Math.min(fit, 1), MAX_ZOOM);
  /** @type {(centre: number, size: number, shown: number) => number} */
  const inside = (centre, size, shown) => (shown >= size ? size / 2 : clamp(centre, shown / 2, size - shown / 2));
  return {
    zoom,
    x: inside(view.x, frame.width, pane.width / zoom),
    y: inside(view.y, frame.height, pane.height / zoom),
    fitted: view.fitted,
  };
}

/**
 * Zoom such that the point under `point` (device pixels in the pane) stays there. A step across "fit" stops at "fit".
 * @param {View} view
 * @param {Size} frame
 * @param {Size} pane
 * @param {number} zoom
 * @param {Point} [point] the centre of the pane, if not given
 * @returns {View}
 */
export function zoomView(view, frame, pane, zoom, point = { x: pane.width / 2, y: pane.height / 2 }) {
  const fit = zoomToFit(frame, pane);
  const isCrossing = (view.zoom > fit && zoom <= fit) || (view.zoom < fit && zoom >= fit);
  const target = isCrossing ? fit : clamp(zoom, Math.min(fit, 1), MAX_ZOOM);
  const offset = { x: point.x - pane.width / 2, y: point.y - pane.height / 2 };
  return {
    zoom: target,
    x: view.x + offset.x / view.zoom - offset.x / target,
    y: view.y + offset.y / view.zoom - offset.y / target,
    fitted: target === fit,
  };
}

/**
 * The next of the zoom steps in a direction (1 or -1), or undefined at the end.
 * @param {number} zoom
 * @param {number} direction
 */
export function nextZoom(zoom, direction) {
  return direction > 0
    ? ZOOM_STEPS.find((step) => step > zoom * 1.001)
    : ZOOM_STEPS.findLast((step) => step < zoom * 0.999);
}

/**
 * Device pixel of the pane at which SR pixel (0, 0) begins; whole, so that 100 % is exact.
 * @param {View} view
 * @param {Size} pane
 * @returns {Point}
 */
export function originOf(view, pane) {
  return {
    x: Math.round(pane.width / 2 - view.x * view.zoom),
    y: Math.round(pane.height / 2 - view.y * view.zoom),
  };
}

/**
 * The SR pixel at a position, as whole numbers, or null outside the frame.
 * @param {Point} position
 * @param {Size} frame
 * @returns {Point | null}
 */
export function pixelAt({ x, y }, frame) {
  const pixel = { x: Math.floor(x), y: Math.floor(y) };
  return pixel.x >= 0 && pixel.y >= 0 && pixel.x < frame.width && pixel.y < frame.height ? pixel : null;
}

/**
 * The part of a picture, in its own pixels, that falls into `box` (device pixels); null if none does.
 * @param {Size} picture
 * @param {Size} frame
 * @param {number} zoom
 * @param {Point} origin
 * @param {Box} box
 * @returns {Box | null}
 */
export function visiblePart(picture, frame, zoom, origin, box) {
  const stepX = (zoom * frame.width) / picture.width; // device pixels per pixel of the picture
  const stepY = (zoom * frame.height) / picture.height;
  const left = Math.max(0, Math.floor((box.x - origin.x) / stepX) - 1);
  const top = Math.max(0, Math.floor((box.y - origin.y) / stepY) - 1);
  const right = Math.min(picture.width, Math.ceil((box.x + box.width - origin.x) / stepX) + 1);
  const bottom = Math.min(picture.height, Math.ceil((box.y + box.height - origin.y) / stepY) + 1);
  if (right <= left || bottom <= top) return null;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * How often a picture may be halved and still be at least as large as it is shown.
 * @param {number} magnification device pixels per pixel of the picture
 */
export function halvingsFor(magnification) {
  return magnification < 1 ? Math.floor(Math.log2(1 / magnification)) : 0;
}

/**
 * @param {Box} outer
 * @param {Box} inner
 */
export function contains(outer, inner) {
  return (
    outer.x <= inner.x &&
    outer.y <= inner.y &&
    outer.x + outer.width >= inner.x + inner.width &&
    outer.y + outer.height >= inner.y + inner.height
  );
}
