// What the visitor has chosen to see, as plain values. Pure functions.

export const ALL_SAMPLES = "*"; // in a difference: each of the samples in its own pane

/** @typedef {"grid" | "single" | "wipe" | "difference"} Mode */
/**
 * @typedef {object} Choices
 * @property {Mode} mode
 * @property {string | null} current the picture shown alone
 * @property {string | null} previous
 * @property {(string | null)[]} compare left and right of the wipe
 * @property {(string | null)[]} difference what is subtracted from what; the first may be all samples
 * @property {boolean} showReferences in the grid
 */
/** @typedef {{id: string, kind: string}} Entry */
/** @typedef {{kind: import("./panes.js").Pane["kind"], ids: string[]}} Content */

const SUBTRACTED_FIRST = ["mean", "truth"]; // forms of picture ids that the engine uses

/** @returns {Choices} */
export function startingChoices() {
  return {
    mode: "grid",
    current: null,
    previous: null,
    compare: [null, null],
    difference: [null, null],
    showReferences: false,
  };
}

/**
 * Replace choices of pictures that no longer exist, for example after a smaller number of samples.
 * @param {Choices} choices
 * @param {Entry[]} pictures
 * @returns {Choices}
 */
export function repairChoices(choices, pictures) {
  const ids = pictures.map(({ id }) => id);
  const samples = pictures.filter(({ kind }) => kind === "sample").map(({ id }) => id);
  const first = samples[0] ?? ids[0] ?? null;
  /** @type {(id: string | null, otherwise: string | null) => string | null} */
  const keep = (id, otherwise) => (id !== null && ids.includes(id) ? id : otherwise);
  /** @type {(id: string | null) => string | null} */
  const otherThan = (id) => ids.find((one) => one !== id) ?? first;
  const right = keep(choices.compare[1], first);
  const subtracted = keep(choices.difference[1], SUBTRACTED_FIRST.find((id) => ids.includes(id)) ?? otherThan(first));
  const several = samples.length > 1 ? ALL_SAMPLES : first === subtracted ? otherThan(subtracted) : first;
  const isAll = choices.difference[0] === ALL_SAMPLES && samples.length > 1;
  return {
    ...choices,
    mode: choices.mode === "difference" && ids.length < 2 ? "grid" : choices.mode,
    current: keep(choices.current, first),
    previous: keep(choices.previous, null),
    compare: [keep(choices.compare[0], otherThan(right)), right],
    difference: [isAll ? ALL_SAMPLES : keep(choices.difference[0], several), subtracted],
  };
}

/**
 * Select a picture: to be shown alone, on the right of the wipe, or as what is subtracted.
 * @param {Choices} choices
 * @param {string} id
 * @returns {Choices}
 */
export function withPicture(choices, id) {
  const { mode, current, previous, compare, difference } = choices;
  if (mode === "wipe") return { ...choices, compare: [compare[0], id] };
  if (mode === "difference") return { ...choices, difference: [id, difference[1]] };
  return { ...choices, mode: "single", current: id, previous: id === current ? previous : current };
}

/**
 * Swap the two pictures of a wipe or a difference; in other modes, switch to the wipe.
 * @param {Choices} choices
 * @returns {Choices}
 */
export function withSidesSwapped(choices) {
  const [from, subtracted] = choices.difference;
  if (choices.mode !== "difference") return { ...choices, mode: "wipe", compare: [choices.compare[1], choices.compare[0]] };
  return from === ALL_SAMPLES ? choices : { ...choices, difference: [subtracted, from] };
}

/**
 * The picture after (1) or before (-1) the one shown; after the last comes the first.
 * @param {Choices} choices
 * @param {string[]} ids
 * @param {number} direction
 */
export function pictureBeside({ mode, current, compare, difference }, ids, direction) {
  const shown = mode === "wipe" ? compare[1] : mode === "difference" ? difference[0] : current;
  const from = shown === ALL_SAMPLES ? (direction > 0 ? -1 : 0) : ids.indexOf(shown);
  return ids[(from + direction + ids.length) % ids.length];
}

/**
 * The content of each pane.
 * @param {Choices} choices
 * @param {Entry[]} pictures
 * @param {boolean} hasMap the map has a tile after the samples of the grid
 * @returns {Content[]}
 */
export function paneContents(choices, pictures, hasMap) {
  const { mode, current, compare, difference, showReferences } = choices;
  if (!pictures.length) return [];
  const samples = pictures.filter(({ kind }) => kind === "sample");
  if (mode === "single") return [{ kind: "picture", ids: [current] }];
  if (mode === "wipe") return [{ kind: "wipe", ids: [...compare] }];
  if (mode === "difference") {
    const [from, subtracted] = difference;
    const terms = from === ALL_SAMPLES ? samples.map(({ id }) => id).filter((id) => id !== subtracted) : [from];
    return terms.map((id) => ({ kind: "difference", ids: [id, subtracted] }));
  }
  /** @type {(entries: Entry[]) => Content[]} */
  const tiles = (entries) => entries.map(({ id }) => ({ kind: "picture", ids: [id] }));
  const others = pictures.filter(({ kind }) => kind === "reference");
  /** @type {Content[]} */
  const map = hasMap ? [{ kind: "map", ids: [] }] : [];
  return [...tiles(samples), ...map, ...(showReferences || !samples.length ? tiles(others) : [])];
}
