// The meaning of keys while a region is being selected. Pure.

/** @type {Record<string, number[]>} */
const BOX_MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * {action}, {move: [dx, dy]} of the box, or null: then the key has its usual meaning.
 * Brackets are checked before modifiers: many keyboards need AltGr for them, which counts as Ctrl + Alt.
 * @param {{key: string, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} press
 * @param {boolean} isBox whether the tool is the box
 * @returns {{action?: string, move?: number[]} | null}
 */
export function maskKey({ key, shiftKey, ctrlKey, metaKey, altKey }, isBox) {
  if (key === "[") return { action: "smaller" };
  if (key === "]") return { action: "larger" };
  if (ctrlKey || metaKey) {
    if (altKey) return null;
    if (key.toLowerCase() === "z") return { action: shiftKey ? "redo" : "undo" };
    return key.toLowerCase() === "y" ? { action: "redo" } : null;
  }
  if (!isBox || altKey) return null;
  if (Object.hasOwn(BOX_MOVES, key)) return { move: BOX_MOVES[key] };
  if (key === "Enter") return { action: "enter" };
  return key === "Delete" || key === "Backspace" ? { action: "erase" } : null;
}
