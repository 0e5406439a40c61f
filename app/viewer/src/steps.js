// The history as a strip: which steps lead to the current one, where branches begin, and the texts about them. Pure
// functions.

/** @typedef {import("./messages.js").StepMessage} StepMessage */
/**
 * @typedef {object} Place
 * @property {number} place position in the strip, counted from 1
 * @property {number | null} from position of the step where the branch begins; null: it follows its neighbour, or none
 * @property {boolean} isOnWay whether it leads to the current step, or follows it on this branch
 */

/**
 * The position of each step in the strip, in which steps are in the order of their creation.
 * @param {StepMessage[]} steps
 * @returns {Place[]}
 */
export function placeSteps(steps) {
  const places = new Map(steps.map(({ number }, index) => [number, index + 1]));
  const way = wayThrough(steps);
  return steps.map(({ number, parent }, index) => {
    const parentPlace = parent === null ? null : (places.get(parent) ?? null);
    return { place: index + 1, from: parentPlace === index ? null : parentPlace, isOnWay: way.has(number) };
  });
}

/**
 * Numbers of the current step, of all its ancestors, and of all its descendants.
 * @param {StepMessage[]} steps
 * @returns {Set<number>}
 */
function wayThrough(steps) {
  const byNumber = new Map(steps.map((step) => [step.number, step]));
  const current = steps.find((step) => step.is_current);
  /** @type {Set<number>} */
  const way = new Set();
  for (let step = current; step && !way.has(step.number); step = byNumber.get(step.parent ?? -1)) way.add(step.number);
  const after = new Set(current ? [current.number] : []);
  for (const { number, parent } of steps) if (parent !== null && after.has(parent)) after.add(number);
  return new Set([...way, ...after]);
}

/** @param {StepMessage} step */
export function titleOf(step) {
  return step.name || step.caption;
}

/**
 * The text of a step for screen readers and its tooltip.
 * @param {StepMessage} step
 * @param {Place} at
 */
export function describeStep(step, { place, from }) {
  const parts = [`${place}: ${step.name ? `${step.name}, ` : ""}${step.words}`];
  if (from !== null) parts.push(`branch from ${from}`);
  if (step.is_pinned) parts.push("pinned");
  return parts.join("; ");
}

/**
 * The text of the line above the strip.
 * @param {StepMessage[]} steps
 * @param {StepMessage | undefined} compared the step with which others are compared, if it is one of these
 */
export function headline(steps, compared) {
  if (compared && compared.difference !== null) {
    return `From “${titleOf(compared)}” to the current step: ${compared.difference || "other pictures"}`;
  }
  const current = steps.find((step) => step.is_current);
  return current ? (current.name ? `${current.name}: ${current.words}` : current.words) : "";
}

/**
 * The step that an arrow key reaches in the strip.
 * @param {string} key
 * @param {number} at
 * @param {number} count
 * @returns {number | null}
 */
export function stepOfKey(key, at, count) {
  /** @type {Record<string, number>} */
  const targets = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: count - 1 };
  if (!Object.hasOwn(targets, key)) return null;
  return Math.min(Math.max(targets[key], 0), count - 1);
}
