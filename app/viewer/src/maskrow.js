// The row of selection tools: the tools, the size of the brush, undo and redo, and a box as numbers.

import { make, makeButton, makeGroup, setPressed, setText } from "./dom.js";
import { DIAMETERS } from "./maskgrid.js";

/** @typedef {import("./maskeditor.js").MaskToolName} MaskToolName */

const HINTS = {
  brush: "Paint over the region that you want to explore, for example an eye or a word.",
  box: "Drag a box, or press Enter for one: arrow keys move it, Shift + arrow changes its size, Delete erases it.",
  lasso: "Draw around the region in one stroke. With Alt, the outlined area is removed.",
  eraser: "Erase parts of the selection.",
};
// The style sheet shows the hint that applies.
const KEYS_HINT = "With the focus here, Ctrl+Z undoes a stroke; elsewhere, it goes back to the previous pictures.";
const TOUCH_HINT = "One finger paints, two move and zoom the pictures.";
const PAINTED_HINT = "Now press Roll (R) for eight other versions of this region, or paint more.";
const USED_HINT = "The version that you kept stays. Select another region, or roll this one again.";
const LOCK_HINT = "Locked areas stay as they are, even if you select them.";

export class MaskRow {
  /** @param {import("./maskeditor.js").MaskEditor} editor */
  constructor(editor) {
    this.editor = editor;
    /** @type {(name: MaskToolName, text: string, title: string) => HTMLButtonElement} */
    const tool = (name, text, title) => makeButton(text, title, () => editor.setTool(name));
    /** @type {Record<MaskToolName, HTMLButtonElement>} */
    this.tools = {
      brush: tool("brush", "Brush", "Paint with a round, soft brush; [ and ] change its size"),
      box: tool("box", "Box", "Drag a box; with Alt, remove it from the selection"),
      lasso: tool("lasso", "Lasso", "Draw around a region; with Alt, remove it from the selection"),
      eraser: tool("eraser", "Eraser", "Erase with a round, soft brush; [ and ] change its size"),
    };
    this.targets = {
      chosen: makeButton("Choose", "Paint what should change", () => editor.setTarget("chosen")),
      locked: makeButton("Lock", "Paint what must stay as it is", () => editor.setTarget("locked")),
    };
    const [least, most] = DIAMETERS.map((diameter) => String(Math.log2(diameter)));
    this.size = make("input", {
      ...{ type: "range", class: "lv-range", min: least, max: most, step: "0.05" },
      ...{ "aria-label": "Size of the brush", title: "Size of the brush ([ and ])" },
      oninput: () => editor.setDiameter(Math.round(2 ** Number(this.size.value))),
    });
    this.sizeText = make("output", { class: "lv-brush-size" });
    this.brush = makeGroup("Brush", this.size, this.sizeText);
    this.undo = makeButton("Undo stroke", "Undo the last stroke (Ctrl+Z)", () => editor.undo());
    this.redo = makeButton("Redo", "Redo the stroke (Ctrl+Shift+Z)", () => editor.redo());
    this.clear = makeButton("Clear", "Remove everything painted", () => editor.clear());
    this.invert = makeButton("Invert", "Invert the selection", () => editor.invert());
    this.numbers = ["Left", "Top", "Width", "Height"].map((name) => this.buildNumber(name));
    this.box = makeGroup("Box in pixels of the input", ...this.numbers.map(({ label }) => label));
    this.box.classList.add("lv-numbers");
    this.said = make("span");
    this.targetGroup = makeGroup("What is painted", make("div", { class: "lv-segments" }, ...Object.values(this.targets)));
    const ways = [make("span", { class: "lv-for-keys" }, KEYS_HINT), make("span", { class: "lv-for-touch" }, TOUCH_HINT)];
    this.hint = make("p", { class: "lv-strokes-hint lv-mask-hint" }, this.said, " ", ...ways);
    this.bar = make(
      "div",
      { class: "lv-strokes-bar" }, // one row on a phone, which scrolls sideways
      makeGroup("Tool", make("div", { class: "lv-segments" }, ...Object.values(this.tools))),
      ...[this.targetGroup, this.brush, this.box],
      makeGroup("Strokes", this.undo, this.redo, this.clear, this.invert),
      makeButton("Done", "Go back to moving the pictures; the region stays selected (Esc)", () => editor.toggle(false)),
    );
    const properties = { class: "lv-strokes lv-mask", role: "group", "aria-label": "Select a region", hidden: true };
    this.node = make("div", properties, this.bar, this.hint);
  }

  /** @param {string} name */
  buildNumber(name) {
    const onchange = () => this.readNumbers();
    const properties = { type: "number", min: "0", step: "1", "aria-label": `${name} of the box` };
    const input = make("input", { ...properties, class: "lv-number", onchange });
    return { input, label: make("label", {}, name, input) };
  }

  /** Add a box from the four numbers, once all of them are filled in. */
  readNumbers() {
    const { editor } = this;
    const values = this.numbers.map(({ input }) => (input.value === "" ? Number.NaN : Math.round(Number(input.value))));
    if (!values.every(Number.isFinite)) return;
    const [x, y, width, height] = values;
    editor.putBox({ x, y, width, height });
  }

  refresh() {
    const { editor } = this;
    this.node.hidden = !editor.tool;
    if (this.node.hidden) return;
    for (const [name, node] of Object.entries(this.tools)) setPressed(node, name === editor.toolName);
    for (const [name, node] of Object.entries(this.targets)) setPressed(node, name === editor.target);
    const { painted } = editor;
    this.brush.hidden = !editor.hasBrush;
    this.box.hidden = editor.toolName !== "box";
    this.size.value = String(Math.log2(editor.diameter));
    this.size.setAttribute("aria-valuetext", `${editor.diameter} pixels of the input`);
    setText(this.sizeText, `${editor.diameter} px`);
    this.undo.disabled = !painted?.canUndo;
    this.redo.disabled = !painted?.canRedo;
    this.clear.disabled = !painted;
    this.fillNumbers(painted?.floating ?? null);
    setText(this.said, this.words());
  }

  /** The hint for what to do now. */
  words() {
    const { editor } = this;
    if (editor.target === "locked") return LOCK_HINT;
    if (editor.isEmpty) return HINTS[editor.toolName];
    if (editor.painted?.isUsed) return USED_HINT;
    return editor.toolName === "brush" || editor.toolName === "lasso" ? PAINTED_HINT : HINTS[editor.toolName];
  }

  /** @param {import("./geometry.js").Box | null} box */
  fillNumbers(box) {
    const values = box ? [box.x, box.y, box.width, box.height] : null;
    this.numbers.forEach(({ input }, index) => {
      if (values) input.value = String(values[index]);
      else if (document.activeElement !== input && !this.isTyping()) input.value = "";
    });
  }

  isTyping() {
    return this.numbers.some(({ input }) => input === document.activeElement);
  }
}
