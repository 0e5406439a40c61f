// The meaning of keys. Pure: the viewer connects each action with its function.

export const SAMPLE_KEYS = 16;

/**
 * Letters here are reserved: `VIEWER_KEYS` in scene.py. A test compares the two.
 * @type {Record<string, string>}
 */
const ACTIONS = {
  "+": "zoomIn",
  "=": "zoomIn", // the key with + on many keyboards, without Shift
  "-": "zoomOut",
  "−": "zoomOut",
  "0": "fit",
  "?": "help",
  a: "grid",
  c: "choosePlace",
  d: "difference",
  f: "fullscreen",
  h: "help",
  j: "tick",
  l: "loupe",
  n: "next",
  o: "overlay",
  p: "previous",
  r: "roll",
  u: "references",
  v: "map",
  w: "wipe",
  x: "swap",
  z: "actualPixels",
  " ": "flipBack",
  enter: "chooseCentre",
  escape: "escape",
};

/** @type {Record<string, number[]>} */
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export const HELP = [
  ["1 – 9", "show sample 1 – 9 alone (in a wipe: on the right; in a difference: by itself)"],
  ["Shift + 1 – 7", "show sample 10 – 16"],
  ["letter on a button", "show that reference"],
  ["N, P", "next or previous picture"],
  ["Space", "switch between the last two pictures"],
  ["A or Esc", "all samples side by side"],
  ["W, X", "wipe between two pictures; swap the two"],
  ["D", "difference of two pictures, or of all samples and one picture"],
  ["V, O", "map of where samples differ: as a tile, or over all pictures"],
  ["+, −, pinch, wheel", "zoom (the wheel zooms once the viewer has the focus, or with Ctrl)"],
  ["drag, arrow keys", "move; Shift + arrow moves by one pixel"],
  ["0, double click", "fit the whole picture"],
  ["Z", "actual pixels (100 %)"],
  ["click, Enter", "show close-ups of this position (Enter: the centre) in all pictures"],
  ["L", "loupe"],
  ["Line", "draw a line: its profile is shown under Measure; Esc removes it"],
  ["C; [ and ]", "select a region with a brush, a box or a lasso; smaller or larger brush"],
  ["Calm / wild", "the same tools paint a temperature; Ctrl + Z undoes a stroke, Enter keeps the picture, Esc leaves"],
  ["R", "roll the selected region: eight other versions; ← → step through them, Enter keeps one, Esc leaves"],
  ["in the history", "click or Enter goes to a step; Shift compares it with the current one (K); F2 names it; ← → move along"],
  ["↓, ↑", "while stepping through five: the family of one, and back to the five"],
  ["Shift + click, J", "tick pictures to mix: eight mixtures of them, or a slider between two"],
  ["U", "references in the grid"],
  ["F, ?", "full screen; this help"],
];

/** @typedef {{key: string, code: string, shiftKey: boolean}} KeyPress */

/**
 * The meaning of a key: {action}, {sample: 0 … 15}, {move: [dx, dy]}, {letter}, or null.
 * Characters are checked before digit keys: on some keyboards − or + share a key with a digit.
 * @param {KeyPress} press
 * @returns {{action?: string, sample?: number, move?: number[], letter?: string} | null}
 */
export function readKey(press) {
  if (Object.hasOwn(MOVES, press.key)) return { move: MOVES[press.key] };
  const key = press.key.toLowerCase();
  if (Object.hasOwn(ACTIONS, key)) return { action: ACTIONS[key] };
  const sample = sampleIndex(press);
  if (sample >= 0) return { sample };
  return /^[a-z]$/.test(key) ? { letter: key } : null;
}

/**
 * The number of a sample key, 0 … 15, or -1. A typed digit counts; otherwise the physical key, for keyboards that need
 * Shift for digits.
 * @param {KeyPress} press
 */
function sampleIndex({ key, code, shiftKey }) {
  if (/^[1-9]$/.test(key)) return Number(key) - 1;
  const match = /^(?:Digit|Numpad)([1-9])$/.exec(code);
  if (!match) return -1;
  const index = Number(match[1]) - 1 + (shiftKey ? 9 : 0);
  return index < SAMPLE_KEYS ? index : -1;
}

/**
 * @param {number} index
 */
export function sampleKeyName(index) {
  if (index >= SAMPLE_KEYS) return "";
  return index < 9 ? String(index + 1) : `Shift+${index - 8}`;
}
