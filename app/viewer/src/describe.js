// The viewer's state as plain values. For tests, which compare it with what the canvases show.

import { bytesOfSource } from "./images.js";

/** @param {import("./viewer.js").LinkedViewer} viewer */
export function describeViewer(viewer) {
  const { choices, split, loupe, overlayOn, opacity, showMap, place, view, panes, set, exploring } = viewer;
  const pictures = [...set.pictures.values()].map(({ id, state, loadedUrl, parts }) => {
    return { id, state, loadedUrl, parts: [...parts.values()].map(({ top, rows }) => [top, rows]) };
  });
  return {
    ...{ ...choices, split, loupe, overlayOn, opacity, showMap, place, view, pictures },
    mask: exploring.mask.describe(),
    panes: panes.map(({ kind, ids, drawn }) => ({ kind, ids, drawn })),
    bytes: set.sources().reduce((sum, source) => sum + bytesOfSource(source), 0),
  };
}
