"use strict";
// The linked viewer. Gradio runs this file as the body of a function of (element, trigger, props, server, upload, watch).
//
// Gradio's template for this component is one empty <div>, and stays so: everything inside is built and changed here.
// A template that depended on the value would be rendered again at each update, and the visitor's place would be lost.
//
// Words: the frame is the rectangle of width x height SR pixels that all pictures share; a picture of another size is
// scaled to it. A place is an SR pixel (x, y), counted from the top left. Zoom is in device pixels per SR pixel, so that
// 100 % shows each SR pixel as exactly one pixel of the screen. A pane is one canvas; all panes have the same size and
// show the same part of the frame.

const MAX_ZOOM = 64;
const ZOOM_STEPS = [0.125, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MAX_ZOOM];
const NEAREST_FROM = 3; // magnification from which pixels are shown as squares, as they are at 100 % and 200 %
const SMALLEST_LEVEL = 128; // no smaller copies than this, in pixels of the longer side
const PANE_GAP = 6; // CSS pixels, like all sizes below
const CAPTION_HEIGHT = 22;
const CROP_SIZES = [76, 112]; // smallest and largest side of a crop
const CROP_GAP = 6;
const LENS_SIZE = 120;
const CELL_SIZES = [64, 88]; // in the loupe that shows several pictures, on phones and elsewhere
const NARROW = 640; // a stage on a phone
const NARROW_PANE = 100; // too little for a full caption
const FADED = 0.3; // opacity of an older picture while the new one is being made
const CLICK_DISTANCE = 5; // further is a drag
const DOUBLE_CLICK_MS = 320;
const REPORT_DELAY_MS = 250; // lets a double click, or a quick run through the samples, report once
const SAMPLE_KEYS = 16;

const CROP_HINT = "click a place to see it in all pictures";

const HELP = [
  ["1 – 9", "show sample 1 – 9 alone (in wipe: on the right)"],
  ["Shift + 1 – 7", "show sample 10 – 16"],
  ["N, P", "next, previous picture"],
  ["Space", "back to the picture shown before, and again"],
  ["A or Esc", "all samples side by side"],
  ["W, X", "wipe between two pictures; swap the two"],
  ["wheel, pinch, +, −", "zoom"],
  ["drag, arrow keys", "move; Shift + arrow by one pixel"],
  ["0, double click", "fit"],
  ["Z", "one pixel of the picture on one of the screen"],
  ["click, Enter", "crops of all pictures around this place (Enter: the centre)"],
  ["L", "loupe"],
  ["O", "overlay on or off"],
  ["R", "references in the grid"],
  ["F, ?", "full screen; this help"],
];

// ---------------------------------------------------------------- helpers without state

/** A DOM element; `properties` are set as attributes, "on…" as listeners, and children are nodes or plain text. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children); // strings become text nodes: labels can never be markup
  return node;
}

/** Four corners; drawn, because the character for it is missing in many fonts. */
function fullscreenIcon() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const attributes = { viewBox: "0 0 12 12", width: "12", height: "12", "aria-hidden": "true" };
  for (const [name, value] of Object.entries(attributes)) {
    svg.setAttribute(name, value);
  }
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", "M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8");
  for (const [name, value] of Object.entries({ fill: "none", stroke: "currentColor", "stroke-width": "1.5" })) {
    path.setAttribute(name, value);
  }
  svg.append(path);
  return svg;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function deviceRatio() {
  return window.devicePixelRatio || 1;
}

/** Change a text only if it differs, to spare the browser a layout in every frame. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Give a canvas an exact number of device pixels; a canvas scaled by CSS would not show the picture's own pixels. */
function sizeCanvas(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.style.width = `${width / deviceRatio()}px`;
  canvas.style.height = `${height / deviceRatio()}px`;
}

/** The number of columns that shows `count` pictures of this aspect (width / height) largest in the stage. */
function bestColumns(count, stageWidth, stageHeight, aspect, gap, caption) {
  let best = 1;
  let bestWidth = -1;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const width = (stageWidth - gap * (columns - 1)) / columns;
    const height = (stageHeight - gap * (rows - 1)) / rows - caption;
    const shown = Math.min(width, height * aspect);
    if (shown > bestWidth) [best, bestWidth] = [columns, shown];
  }
  return best;
}

/**
 * Decode a PNG and make copies of half, a quarter, … of its size: [full, half, …].
 * Small copies keep 16 large pictures smooth while zoomed out (less to read), and free of aliasing.
 */
async function loadLevels(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} for ${url}`);
  const options = { colorSpaceConversion: "none" }; // the numbers in the file, untouched
  const levels = [await createImageBitmap(await response.blob(), options)];
  for (;;) {
    const { width, height } = levels[levels.length - 1];
    if (Math.max(width, height) < 2 * SMALLEST_LEVEL) return levels;
    levels.push(
      await createImageBitmap(levels[levels.length - 1], {
        resizeWidth: Math.ceil(width / 2),
        resizeHeight: Math.ceil(height / 2),
        resizeQuality: "high",
      }),
    );
  }
}

function closeLevels(levels) {
  for (const bitmap of levels) bitmap.close();
}

/** All red values of a grey picture, row by row. */
function readGrey(bitmap) {
  const canvas = make("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  return Uint8Array.from({ length: bitmap.width * bitmap.height }, (_, i) => rgba[4 * i]);
}

/**
 * Draw the part of a picture that falls into `box` (device pixels: x, y, width, height).
 * The picture fills the frame, whose pixel (0, 0) lies at `origin`, at `zoom` device pixels per SR pixel.
 */
function drawPicture(context, levels, frame, zoom, origin, box) {
  const magnification = (zoom * frame.width) / levels[0].width;
  const depth = magnification < 1 ? Math.floor(Math.log2(1 / magnification)) : 0;
  const bitmap = levels[Math.min(depth, levels.length - 1)];
  const stepX = (zoom * frame.width) / bitmap.width; // device pixels per pixel of this level
  const stepY = (zoom * frame.height) / bitmap.height;
  const left = Math.max(0, Math.floor((box.x - origin.x) / stepX) - 1);
  const top = Math.max(0, Math.floor((box.y - origin.y) / stepY) - 1);
  const right = Math.min(bitmap.width, Math.ceil((box.x + box.width - origin.x) / stepX) + 1);
  const bottom = Math.min(bitmap.height, Math.ceil((box.y + box.height - origin.y) / stepY) + 1);
  if (right <= left || bottom <= top) return;
  // A smaller picture (the low-resolution input) is there to show its pixels, at any magnification.
  const isSmaller = levels[0].width < frame.width;
  const isExact = magnification >= NEAREST_FROM || Number.isInteger(magnification);
  context.imageSmoothingEnabled = !(isExact || (isSmaller && magnification >= 1));
  context.imageSmoothingQuality = "low"; // bilinear; the levels leave at most a factor of two
  context.drawImage(
    bitmap,
    left,
    top,
    right - left,
    bottom - top,
    origin.x + left * stepX,
    origin.y + top * stepY,
    (right - left) * stepX,
    (bottom - top) * stepY,
  );
}

/** Draw finished rows of a picture, from and to whole device pixels, so that no seam shows between two parts. */
function drawPart(context, part, frame, zoom, origin, box) {
  if (!part.levels.length) return;
  const top = Math.round(origin.y + part.top * zoom);
  const bottom = Math.round(origin.y + (part.top + part.rows) * zoom);
  if (bottom <= top) return;
  const partFrame = { width: frame.width, height: (bottom - top) / zoom };
  drawPicture(context, part.levels, partFrame, zoom, { x: origin.x, y: top }, box);
}

/** Do `draw` with everything outside `box` protected. */
function withClip(context, box, draw) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  draw();
  context.restore();
}

/** A thin outline that can be seen on any picture: dark, with a light one inside. */
function outline(context, x, y, width, height) {
  const line = Math.max(1, Math.round(deviceRatio()));
  context.lineWidth = line;
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
  context.strokeStyle = "rgba(255, 255, 255, 0.95)";
  context.strokeRect(x + line / 2, y + line / 2, width - line, height - line);
}

/** What a key event means for sample numbers: 0 … 15, or -1. Physical keys, so that it works on any keyboard layout. */
function sampleIndex(event) {
  const match = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  if (!match) return -1;
  const index = Number(match[1]) - 1 + (event.shiftKey ? 9 : 0);
  return index < SAMPLE_KEYS ? index : -1;
}

function sampleKeyName(index) {
  if (index >= SAMPLE_KEYS) return "";
  return index < 9 ? String(index + 1) : `Shift+${index - 8}`;
}

// ---------------------------------------------------------------- the viewer

class LinkedViewer {
  constructor(element, trigger) {
    this.trigger = trigger;
    this.scene = null; // what Python sent last
    this.pictures = new Map(); // id -> { id, label, …, levels, loadedUrl, state, parts: url -> { top, rows, levels } }
    this.overlay = null; // { title, minimum, …, levels, grey }
    this.panes = [];
    this.crops = new Map(); // id -> { button, canvas }

    this.mode = "grid";
    this.current = null; // id of the picture shown alone
    this.previous = null;
    this.compare = [null, null];
    this.split = 0.5;
    this.view = { zoom: 1, x: 0, y: 0, fitted: true }; // x, y: the place at the centre, in SR pixels
    this.loupe = false;
    this.showReferences = false;
    this.overlayOn = false;
    this.opacity = 0.6;
    this.place = null; // chosen by the visitor; see `shownPlace`
    this.cropZoom = 8;
    this.hover = null; // { pane, x, y } under the pointer, fractional SR pixels
    this.pointers = new Map();
    this.gesture = null;
    this.lastClick = { time: 0, x: 0, y: 0 };
    this.reportTimers = {};
    this.frameRequested = false;
    this.cropsChanged = true;

    this.build(element);
    this.listen();
    this.refresh();
  }

  // ------------------------------------------------------------ building the page part, once

  build(element) {
    this.root = make("section", { class: "lv", "aria-label": "Linked viewer" });
    this.stage = make("div", {
      class: "lv-stage",
      tabindex: "0",
      role: "application",
      "aria-label":
        "Pictures, linked. Arrow keys move, plus and minus zoom, 0 fits, digits show one sample, A shows all, " +
        "question mark lists the keys.",
    });
    this.empty = make("p", { class: "lv-empty" }, "Samples will appear here.");
    this.note = make("p", { class: "lv-hint", hidden: true });
    this.divider = this.buildDivider();
    this.sharedLens = make("canvas", { class: "lv-lens", hidden: true, "aria-hidden": "true" });
    this.stage.append(this.empty, this.divider, this.sharedLens, this.note);
    this.status = make("output", { class: "lv-position" });
    this.legend = make("div", { class: "lv-legend", hidden: true });
    this.live = make("div", { class: "lv-hidden", "aria-live": "polite" });
    this.help = this.buildHelp();
    this.root.append(
      this.buildToolbar(),
      this.buildChooser(),
      make("div", { class: "lv-body" }, this.stage, this.help),
      make("div", { class: "lv-footer" }, this.status, this.legend),
      this.buildCrops(),
      this.live,
    );
    element.replaceChildren(this.root);
    this.fontFamily = getComputedStyle(this.root).fontFamily;
  }

  button(text, title, action, extra = {}) {
    const properties = { type: "button", class: "lv-button", title, "aria-label": title, onclick: action };
    return make("button", { ...properties, ...extra }, text);
  }

  buildToolbar() {
    this.modeButtons = {
      grid: this.button("Grid", "All samples side by side (A)", () => this.setMode("grid")),
      single: this.button("Single", "One picture; digits flip between samples", () => this.setMode("single")),
      wipe: this.button("Wipe", "Two pictures with a movable border (W)", () => this.setMode("wipe")),
    };
    const meaning = "Screen pixels per picture pixel";
    this.zoomText = make("output", { class: "lv-zoom", title: meaning, "aria-label": "Zoom" }, "–");
    this.loupeButton = this.button("Loupe", "Loupe (L)", () => this.toggleLoupe());
    this.referenceButton = this.button("References", "References in the grid (R)", () => this.toggleReferences());
    this.overlayButton = this.button("Overlay", "Overlay on or off (O)", () => this.toggleOverlay());
    this.opacityInput = make("input", {
      type: "range",
      class: "lv-range",
      min: "0",
      max: "100",
      value: String(100 * this.opacity),
      "aria-label": "Opacity of the overlay",
      title: "Opacity of the overlay",
      oninput: () => this.setOpacity(Number(this.opacityInput.value) / 100),
    });
    this.helpButton = this.button("?", "Keys (?)", () => this.toggleHelp(), { "aria-expanded": "false" });
    const group = (label, ...children) =>
      make("div", { class: "lv-group", role: "group", "aria-label": label }, ...children);
    return make(
      "div",
      { class: "lv-toolbar", role: "group", "aria-label": "View" },
      group("Mode", make("div", { class: "lv-segments" }, ...Object.values(this.modeButtons))),
      group(
        "Zoom",
        this.button("−", "Zoom out (−)", () => this.zoomStep(-1)),
        this.zoomText,
        this.button("+", "Zoom in (+)", () => this.zoomStep(1)),
        this.button("Fit", "Fit (0)", () => this.fit()),
        this.button("1:1", "One picture pixel on one screen pixel (Z)", () => this.zoomTo(1)),
      ),
      group("Tools", this.loupeButton, this.referenceButton),
      group("Overlay", this.overlayButton, this.opacityInput),
      make(
        "div",
        { class: "lv-group lv-end" },
        this.button(fullscreenIcon(), "Full screen (F)", () => this.toggleFullscreen()),
        this.helpButton,
      ),
    );
  }

  /** The second row: one small button for each picture, or, for the wipe, two menus. */
  buildChooser() {
    this.chips = make("div", { class: "lv-chips", role: "group", "aria-label": "Show one picture" });
    const menu = (side, label) =>
      make("select", {
        class: "lv-select",
        "aria-label": label,
        title: label,
        onchange: (event) => this.setCompare(side, event.target.value),
      });
    this.menus = [menu(0, "Picture on the left"), menu(1, "Picture on the right")];
    this.wipeRow = make(
      "div",
      { class: "lv-wipe-row", hidden: true },
      this.menus[0],
      this.button("⇄", "Swap the two (X)", () => this.swap()),
      this.menus[1],
    );
    return make("div", { class: "lv-chooser" }, this.chips, this.wipeRow);
  }

  buildDivider() {
    return make(
      "div",
      {
        class: "lv-divider",
        hidden: true,
        tabindex: "0",
        role: "slider",
        "aria-label": "Border between the two pictures",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-orientation": "horizontal",
        onpointerdown: (event) => this.dividerDown(event),
        onpointermove: (event) => this.dividerMove(event),
        onkeydown: (event) => this.dividerKey(event),
      },
      make("span", { class: "lv-grip", "aria-hidden": "true" }),
    );
  }

  buildHelp() {
    const rows = HELP.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)]);
    this.closeHelp = this.button("×", "Close (Esc)", () => this.toggleHelp(false));
    return make(
      "div",
      { class: "lv-help", role: "dialog", "aria-label": "Keys of the viewer", hidden: true },
      make("div", { class: "lv-help-head" }, make("strong", {}, "Keys"), this.closeHelp),
      make("dl", { class: "lv-keys" }, ...rows),
      make("p", { class: "lv-note" }, "The letter on a reference's button shows that picture."),
    );
  }

  buildCrops() {
    this.cropTitle = make("output", { class: "lv-crop-title" }, "The same place in all pictures");
    this.cropZooms = [4, 8, 16].map((zoom) =>
      this.button(`${zoom}×`, `Crops enlarged ${zoom} times`, () => this.setCropZoom(zoom), { "data-zoom": zoom }),
    );
    this.cropRow = make("div", { class: "lv-crop-row", role: "group", "aria-label": "The same place in all pictures" });
    return make(
      "div",
      { class: "lv-crops" },
      make("div", { class: "lv-crop-head" }, this.cropTitle, make("div", { class: "lv-segments" }, ...this.cropZooms)),
      this.cropRow,
    );
  }

  listen() {
    const stage = this.stage;
    stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.onPointerDown(event));
    stage.addEventListener("pointermove", (event) => this.onPointerMove(event));
    stage.addEventListener("pointerup", (event) => this.onPointerUp(event));
    stage.addEventListener("pointercancel", (event) => this.onPointerCancel(event));
    stage.addEventListener("pointerleave", () => this.setHover(null));
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.layout()).observe(stage);
    // Keys should also work while the pointer is over the pictures and the focus is on, say, the button that made them.
    const onDocumentKey = (event) => {
      if (!this.root.isConnected) document.removeEventListener("keydown", onDocumentKey);
      else if (this.isForUs(event)) this.onKey(event);
    };
    document.addEventListener("keydown", onDocumentKey);
    this.watchRatio();
  }

  /** Another screen, another number of device pixels, though the size in CSS pixels stays. */
  watchRatio() {
    const query = matchMedia(`(resolution: ${deviceRatio()}dppx)`);
    const onChange = () => {
      this.layout();
      this.watchRatio();
    };
    query.addEventListener("change", onChange, { once: true });
  }

  /** Whether a key pressed outside may be meant for the viewer: the pointer is here, and nobody is typing. */
  isForUs({ target }) {
    const isElsewhere = !this.root.contains(target);
    return isElsewhere && this.root.matches(":hover") && !target.closest("input, textarea, select, [contenteditable]");
  }

  // ------------------------------------------------------------ what Python sends

  /** Show another scene. The view stays while the subject (the input picture) is the same. */
  setScene(scene) {
    const former = this.scene;
    this.scene = scene && scene.pictures ? scene : null;
    const isSameSubject =
      former && this.scene && ["subject", "width", "height"].every((name) => former[name] === this.scene[name]);
    if (!isSameSubject) this.forgetSubject();
    this.updatePictures();
    this.updateOverlay();
    this.applySettings(former);
    this.repairChoices();
    this.rebuildChoosers();
    this.rebuildCrops();
    this.refresh();
  }

  forgetSubject() {
    for (const picture of this.pictures.values()) this.closePicture(picture);
    this.pictures.clear();
    if (this.overlay) closeLevels(this.overlay.levels);
    this.overlay = null;
    this.view.fitted = true;
    this.place = null;
    this.hover = null;
  }

  updatePictures() {
    const specs = this.scene ? this.scene.pictures : [];
    const wanted = new Set(specs.map((spec) => spec.id));
    for (const [id, picture] of this.pictures) {
      if (wanted.has(id)) continue;
      this.closePicture(picture);
      this.pictures.delete(id);
    }
    const ordered = new Map();
    for (const spec of specs) ordered.set(spec.id, this.updatePicture(spec));
    this.pictures = ordered;
    [...this.samples()].forEach((picture, index) => (picture.number = index));
  }

  updatePicture(spec) {
    const picture = this.pictures.get(spec.id) || this.newPicture(spec.id);
    const url = spec.image ? spec.image.url : null;
    Object.assign(picture, { label: spec.label, kind: spec.kind, badge: spec.badge, key: spec.key, url });
    if (url === null) picture.state = "waiting";
    else if (url === picture.loadedUrl) picture.state = "ready";
    else if (picture.loadingUrl !== url) this.load(picture, url);
    if (picture.state === "waiting") this.updateParts(picture, spec.parts || []);
    return picture;
  }

  newPicture(id) {
    return { id, levels: [], loadedUrl: null, state: "waiting", parts: new Map() };
  }

  closePicture(picture) {
    closeLevels(picture.levels);
    this.updateParts(picture, []);
  }

  /** Rows that are finished while the whole is not; those shown already are not fetched again. */
  updateParts(picture, specs) {
    const former = picture.parts;
    picture.parts = new Map();
    for (const { top, rows, image } of specs) {
      const known = former.get(image.url);
      picture.parts.set(image.url, known || { top, rows, levels: [] });
      if (!known) this.loadPart(picture, image.url);
    }
    for (const [url, part] of former) if (!picture.parts.has(url)) closeLevels(part.levels);
  }

  async loadPart(picture, url) {
    let levels = [];
    try {
      levels = await loadLevels(url);
    } catch (error) {
      console.warn("Linked viewer: cannot show rows of a picture.", error); // the whole picture comes later
    }
    const part = picture.parts.get(url);
    if (!part) return closeLevels(levels);
    part.levels = levels;
    this.cropsChanged = true;
    this.invalidate();
  }

  /** Fetch and decode first, swap afterwards: the old picture stays on the screen until the new one can be drawn. */
  async load(picture, url) {
    picture.state = "loading";
    picture.loadingUrl = url;
    let levels = [];
    try {
      levels = await loadLevels(url);
    } catch (error) {
      console.warn("Linked viewer: cannot show a picture.", error);
    }
    picture.loadingUrl = null;
    const isWanted = this.pictures.get(picture.id) === picture && picture.url === url;
    if (!isWanted) return closeLevels(levels);
    if (levels.length) {
      this.closePicture(picture);
      Object.assign(picture, { levels, loadedUrl: url, state: "ready" });
    } else {
      picture.state = "failed";
    }
    this.refreshCaptions();
    this.cropsChanged = true;
    this.invalidate();
  }

  updateOverlay() {
    const spec = this.scene && this.scene.overlay;
    if (!spec) {
      if (this.overlay) closeLevels(this.overlay.levels);
      this.overlay = null;
      return;
    }
    const former = this.overlay || { levels: [], grey: null };
    this.overlay = { ...spec, levels: former.levels, grey: former.grey, url: former.url };
    if (former.url !== spec.image.url) this.loadOverlay(this.overlay, spec);
  }

  async loadOverlay(overlay, spec) {
    overlay.url = spec.image.url;
    try {
      const [levels, values] = await Promise.all([
        loadLevels(spec.image.url),
        spec.values ? loadLevels(spec.values.url) : Promise.resolve([]),
      ]);
      const grey = values.length ? { width: values[0].width, height: values[0].height, data: readGrey(values[0]) } : null;
      closeLevels(values);
      const latest = this.overlay; // a later update may have replaced the object, but not what it shows
      if (!latest || latest.url !== spec.image.url) return closeLevels(levels);
      closeLevels(latest.levels);
      Object.assign(latest, { levels, grey });
    } catch (error) {
      console.warn("Linked viewer: cannot show the overlay.", error);
    }
    this.cropsChanged = true; // their title names the value there
    this.invalidate();
  }

  /** Settings from Python hold when they are new; a repeated one must not undo what the visitor did since. */
  applySettings(former) {
    const fresh = (name) =>
      this.scene && this.scene[name] != null && JSON.stringify(this.scene[name]) !== JSON.stringify(former?.[name]);
    if (fresh("selected")) this.current = this.scene.selected;
    if (fresh("compare")) this.compare = [...this.scene.compare];
    if (fresh("mode")) this.mode = this.scene.mode;
    if (fresh("place")) this.place = { x: this.scene.place[0], y: this.scene.place[1] };
  }

  /** Choices may name pictures that are gone, for example after fewer samples were asked for. */
  repairChoices() {
    const ids = [...this.pictures.keys()];
    const first = this.samples()[0]?.id ?? ids[0] ?? null;
    if (!this.pictures.has(this.current)) this.current = first;
    if (!this.pictures.has(this.previous)) this.previous = null;
    if (!this.pictures.has(this.compare[1])) this.compare[1] = first;
    if (!this.pictures.has(this.compare[0])) this.compare[0] = ids.find((id) => id !== this.compare[1]) ?? first;
  }

  samples() {
    return [...this.pictures.values()].filter((picture) => picture.kind === "sample");
  }

  references() {
    return [...this.pictures.values()].filter((picture) => picture.kind !== "sample");
  }

  // ------------------------------------------------------------ choosers, captions, crops: what changes with the scene

  rebuildChoosers() {
    const chips = [...this.pictures.values()].map((picture) => {
      const key = this.keyName(picture);
      const text = picture.kind === "sample" ? String(picture.number + 1) : picture.label;
      const title = `${picture.label} alone${key ? ` (${key})` : ""}`;
      const chip = this.button(text, title, () => this.show(picture.id), { "data-id": picture.id });
      if (picture.kind !== "sample") chip.classList.add("lv-reference");
      if (picture.kind !== "sample" && key) chip.append(make("kbd", { "aria-hidden": "true" }, key));
      return chip;
    });
    this.replaceIfChanged(this.chips, chips);
    for (const menu of this.menus) {
      const options = [...this.pictures.values()].map((picture) => make("option", { value: picture.id }, picture.label));
      this.replaceIfChanged(menu, options);
    }
  }

  /** Leave equal children alone: replacing them would take the keyboard focus away at each streamed picture. */
  replaceIfChanged(parent, children) {
    const isEqual =
      parent.children.length === children.length &&
      children.every((child, i) => this.looksLike(parent.children[i], child));
    if (!isEqual) parent.replaceChildren(...children);
  }

  looksLike(old, fresh) {
    return old.textContent === fresh.textContent && old.title === fresh.title && old.value === fresh.value
      && old.dataset.id === fresh.dataset.id;
  }

  keyName(picture) {
    return picture.kind === "sample" ? sampleKeyName(picture.number) : (picture.key || "").toUpperCase();
  }

  rebuildCrops() {
    this.cropsChanged = true;
    const ids = [...this.pictures.keys()];
    const isSame = ids.length === this.crops.size && [...this.crops.keys()].every((id, index) => id === ids[index]);
    if (!isSame) {
      this.crops = new Map(ids.map((id) => [id, this.buildCrop(id)]));
      this.cropRow.replaceChildren(...[...this.crops.values()].map((crop) => crop.button));
    }
    for (const [id, crop] of this.crops) {
      const { label } = this.pictures.get(id);
      crop.caption.textContent = label;
      crop.button.title = `Show ${label} alone, here`;
      crop.button.setAttribute("aria-label", crop.button.title);
    }
  }

  buildCrop(id) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const caption = make("span", { class: "lv-crop-label" });
    const properties = { type: "button", class: "lv-crop", onclick: () => this.showPlace(id) };
    const button = make("button", properties, canvas, caption);
    return { button, canvas, caption };
  }

  // ------------------------------------------------------------ panes

  /** Lists of picture ids, one list for each pane of the present mode. */
  paneContents() {
    if (!this.pictures.size) return [];
    if (this.mode === "single") return [[this.current]];
    if (this.mode === "wipe") return [[...this.compare]];
    const shown = this.showReferences || !this.samples().length ? [...this.pictures.values()] : this.samples();
    return shown.map((picture) => [picture.id]);
  }

  /** After anything but the view has changed. */
  refresh() {
    const contents = this.paneContents();
    while (this.panes.length > contents.length) this.panes.pop().node.remove();
    while (this.panes.length < contents.length) this.panes.push(this.buildPane());
    contents.forEach((ids, index) => (this.panes[index].ids = ids));
    this.empty.hidden = contents.length > 0;
    this.root.classList.toggle("lv-bare", !contents.length);
    setText(this.note, this.scene?.note || "");
    this.note.hidden = !this.note.textContent;
    this.refreshCaptions();
    this.refreshControls();
    this.layout();
  }

  buildPane() {
    const canvas = make("canvas", { class: "lv-canvas", role: "img" });
    const captions = [
      make("button", { type: "button", class: "lv-caption", tabindex: "-1" }), // the row of buttons above does the same
      make("span", { class: "lv-caption lv-right" }),
    ];
    const cursor = make("div", { class: "lv-cursor", hidden: true });
    const head = make("figcaption", { class: "lv-head" }, ...captions);
    const node = make("figure", { class: "lv-pane" }, head, make("div", { class: "lv-view" }, canvas, cursor));
    const pane = { node, canvas, context: canvas.getContext("2d"), captions, cursor, ids: [], drawn: null };
    captions[0].addEventListener("click", () => (this.mode === "grid" ? this.show(pane.ids[0]) : this.setMode("grid")));
    this.stage.insertBefore(node, this.divider);
    return pane;
  }

  refreshCaptions() {
    for (const pane of this.panes) {
      const pictures = pane.ids.map((id) => this.pictures.get(id));
      pictures.forEach((picture, side) => this.fillCaption(pane.captions[side], picture));
      pane.captions[1].hidden = pictures.length < 2;
      pane.captions[0].title = this.mode === "grid" ? `${pictures[0].label} alone` : "All samples side by side (A)";
      const words = (picture) => [picture.label, picture.badge, this.stateWord(picture)].filter(Boolean).join(", ");
      pane.canvas.setAttribute("aria-label", pictures.map(words).join(" and "));
      pane.node.classList.toggle("lv-waiting", pictures.some((picture) => picture.state !== "ready"));
    }
  }

  fillCaption(node, picture) {
    // In a narrow pane the style sheet shows a sample's number only, so that there is room for the badge.
    const short = picture.kind === "sample" ? String(picture.number + 1) : picture.label;
    const parts = [
      make("span", { class: "lv-label" }, picture.label),
      make("span", { class: "lv-label lv-short" }, short),
    ];
    if (picture.badge) parts.push(make("span", { class: "lv-badge" }, picture.badge));
    const word = this.stateWord(picture);
    if (word) parts.push(make("span", { class: "lv-state" }, word));
    node.replaceChildren(...parts);
  }

  stateWord(picture) {
    if (picture.state === "failed") return "cannot be loaded";
    if (picture.state !== "waiting") return "";
    const rows = [...picture.parts.values()].reduce((sum, part) => sum + part.rows, 0);
    if (rows) return `${Math.floor((100 * rows) / this.frame().height)} %`;
    return this.scene.note ? "" : "waiting";
  }

  /** Pressed buttons, menus and labels follow the state. */
  refreshControls() {
    const press = (node, isOn) => node.setAttribute("aria-pressed", String(isOn));
    for (const [mode, node] of Object.entries(this.modeButtons)) press(node, mode === this.mode);
    press(this.loupeButton, this.loupe);
    press(this.referenceButton, this.showReferences);
    press(this.overlayButton, this.overlayOn);
    for (const node of this.cropZooms) press(node, Number(node.dataset.zoom) === this.cropZoom);
    for (const chip of this.chips.children) press(chip, this.mode === "single" && chip.dataset.id === this.current);
    this.referenceButton.disabled = !(this.samples().length && this.references().length);
    this.chips.hidden = this.mode === "wipe";
    this.wipeRow.hidden = this.mode !== "wipe";
    this.divider.hidden = this.mode !== "wipe" || !this.panes.length;
    this.menus.forEach((menu, side) => (menu.value = this.compare[side] ?? ""));
    this.refreshOverlayControls();
  }

  refreshOverlayControls() {
    // Switched off rather than hidden while there is none: the toolbar must not jump when it arrives.
    this.overlayButton.disabled = !this.overlay;
    this.opacityInput.disabled = !this.overlay || !this.overlayOn;
    this.legend.hidden = !this.overlay;
    if (!this.overlay) return;
    const { title, minimum, maximum, unit, colors } = this.overlay;
    this.overlayButton.textContent = title;
    const bar = make("span", { class: "lv-legend-bar", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
    const number = (value) => Number(value.toPrecision(3)).toString();
    this.legend.replaceChildren(
      make("span", {}, unit ? `${title} (${unit})` : title),
      make("span", {}, number(minimum)),
      bar,
      make("span", {}, number(maximum)),
    );
  }

  // ------------------------------------------------------------ layout and view

  frame() {
    return this.scene || { width: 1, height: 1 };
  }

  /** Place the panes on whole device pixels, and draw at once: a resized canvas is empty until it is drawn. */
  layout() {
    const ratio = deviceRatio();
    const width = Math.floor(this.stage.clientWidth * ratio);
    const height = Math.floor(this.stage.clientHeight * ratio);
    if (!this.panes.length || !width || !height) return;
    const [gap, caption] = [PANE_GAP, CAPTION_HEIGHT].map((size) => Math.round(size * ratio));
    const { width: frameWidth, height: frameHeight } = this.frame();
    const count = this.panes.length;
    const columns = bestColumns(count, width, height, frameWidth / frameHeight, gap, caption);
    const paneWidth = Math.floor((width - gap * (columns - 1)) / columns);
    const rows = Math.ceil(count / columns);
    const paneHeight = Math.floor((height - gap * (rows - 1)) / rows);
    this.root.classList.toggle("lv-narrow", paneWidth / ratio < NARROW_PANE);
    this.paneSize = { width: paneWidth, height: Math.max(1, paneHeight - caption), caption };
    this.panes.forEach((pane, index) => {
      pane.left = (index % columns) * (paneWidth + gap);
      pane.top = Math.floor(index / columns) * (paneHeight + gap);
      pane.node.style.width = `${paneWidth / ratio}px`;
      pane.node.style.transform = `translate(${pane.left / ratio}px, ${pane.top / ratio}px)`;
      sizeCanvas(pane.canvas, this.paneSize.width, this.paneSize.height);
    });
    this.cropsChanged = true;
    this.constrainView();
    this.draw();
  }

  fitZoom() {
    const { width, height } = this.frame();
    return Math.min(this.paneSize.width / width, this.paneSize.height / height);
  }

  /** No further out than the whole picture (or its own size, if that is smaller), and no empty borders. */
  constrainView() {
    const { view, paneSize } = this;
    const { width, height } = this.frame();
    const fit = this.fitZoom();
    view.zoom = view.fitted ? fit : clamp(view.zoom, Math.min(fit, 1), MAX_ZOOM);
    const inside = (centre, size, shown) =>
      shown >= size ? size / 2 : clamp(centre, shown / 2, size - shown / 2);
    view.x = inside(view.x, width, paneSize.width / view.zoom);
    view.y = inside(view.y, height, paneSize.height / view.zoom);
    // With a finger: scroll the page past fitted pictures, but move pictures that are zoomed in.
    this.stage.style.touchAction = view.fitted && !this.loupe ? "pan-y" : "none";
  }

  changeView(change) {
    if (!this.panes.length) return false;
    const before = JSON.stringify(this.view);
    change(this.view);
    this.constrainView();
    const isChanged = JSON.stringify(this.view) !== before;
    if (isChanged) this.invalidate();
    return isChanged;
  }

  /** Zoom so that what lies at `point` (device pixels in the pane; its centre if not given) stays there. */
  zoomTo(zoom, point = null) {
    return this.changeView((view) => {
      const fit = this.fitZoom();
      const isCrossing = (view.zoom > fit && zoom <= fit) || (view.zoom < fit && zoom >= fit);
      const target = isCrossing ? fit : clamp(zoom, Math.min(fit, 1), MAX_ZOOM);
      const offset = point
        ? { x: point.x - this.paneSize.width / 2, y: point.y - this.paneSize.height / 2 }
        : { x: 0, y: 0 };
      view.x += offset.x / view.zoom - offset.x / target;
      view.y += offset.y / view.zoom - offset.y / target;
      view.zoom = target;
      view.fitted = target === fit;
    });
  }

  zoomStep(direction) {
    const { zoom } = this.view;
    const further =
      direction > 0
        ? ZOOM_STEPS.find((step) => step > zoom * 1.001)
        : ZOOM_STEPS.findLast((step) => step < zoom * 0.999);
    if (further) this.zoomTo(further);
  }

  fit() {
    this.changeView((view) => (view.fitted = true));
  }

  /** Move the picture by so many device pixels. */
  pan(dx, dy) {
    return this.changeView((view) => {
      view.x -= dx / view.zoom;
      view.y -= dy / view.zoom;
    });
  }

  // ------------------------------------------------------------ drawing

  /** Draw soon: once a frame, however many changes there are. */
  invalidate() {
    if (this.frameRequested) return;
    this.frameRequested = true;
    requestAnimationFrame(() => {
      this.frameRequested = false;
      this.draw();
    });
  }

  draw() {
    if (!this.panes.length || !this.paneSize) return;
    for (const pane of this.panes) this.drawPane(pane);
    this.placeDivider();
    this.drawSharedLens();
    if (this.cropsChanged) this.drawCrops();
    this.showStatus();
  }

  /** Device pixel of the pane at which SR pixel (0, 0) begins; whole, so that 100 % is exact. */
  origin() {
    const { view, paneSize } = this;
    return {
      x: Math.round(paneSize.width / 2 - view.x * view.zoom),
      y: Math.round(paneSize.height / 2 - view.y * view.zoom),
    };
  }

  drawPane(pane) {
    const { width, height } = this.paneSize;
    const origin = this.origin();
    const whole = { x: 0, y: 0, width, height };
    pane.context.clearRect(0, 0, width, height);
    if (pane.ids.length === 1) {
      this.drawLayer(pane.context, pane.ids[0], origin, whole);
    } else {
      const border = Math.round(width * this.split);
      const boxes = [{ ...whole, width: border }, { ...whole, x: border, width: width - border }];
      boxes.forEach((box, side) => {
        withClip(pane.context, box, () => this.drawLayer(pane.context, pane.ids[side], origin, box));
      });
    }
    this.drawOverlay(pane.context, this.view.zoom, origin, whole);
    this.drawPlace(pane.context, origin);
    this.drawPaneLens(pane);
    pane.drawn = { zoom: this.view.zoom, ...origin };
  }

  drawLayer(context, id, origin, box) {
    const picture = this.pictures.get(id);
    const { zoom } = this.view;
    const frame = this.frame();
    if (!picture.levels.length) {
      // Reserve the picture's place quietly; grey at this opacity suits light and dark pages.
      context.fillStyle = "rgba(128, 128, 128, 0.13)";
      context.fillRect(origin.x, origin.y, frame.width * zoom, frame.height * zoom);
    }
    this.drawSoFar(context, picture, zoom, origin, box);
  }

  /** A picture as far as it is there: the rows that came in, over the former picture or the stand-in, dimmed. */
  drawSoFar(context, picture, zoom, origin, box) {
    const isOwn = picture.levels.length > 0;
    const { levels } = isOwn ? picture : this.standIn();
    const frame = this.frame();
    if (levels.length) {
      context.globalAlpha = isOwn && picture.state !== "waiting" ? 1 : FADED;
      drawPicture(context, levels, frame, zoom, origin, box);
      context.globalAlpha = 1;
    }
    for (const part of picture.parts.values()) drawPart(context, part, frame, zoom, origin, box);
  }

  /** What is shown for pictures of which there is nothing yet. */
  standIn() {
    return this.pictures.get(this.scene.placeholder) || { levels: [] };
  }

  drawOverlay(context, zoom, origin, box) {
    if (!this.overlayOn || !this.overlay?.levels.length) return;
    context.globalAlpha = this.opacity;
    drawPicture(context, this.overlay.levels, this.frame(), zoom, origin, box);
    context.globalAlpha = 1;
  }

  /** What the crops show: the place that the visitor chose, else the one that Python suggests, else the centre. */
  shownPlace() {
    return this.place || this.suggestedPlace() || { x: this.frame().width >> 1, y: this.frame().height >> 1 };
  }

  suggestedPlace() {
    const [x, y] = this.scene?.suggested_place || [];
    return x === undefined ? null : { x, y };
  }

  /** Outline what the crops show; not the centre, which nobody chose. */
  drawPlace(context, origin) {
    const place = this.place || this.suggestedPlace();
    if (!place) return;
    const { zoom } = this.view;
    const size = this.cropGrid().size / this.cropZoom; // SR pixels
    const left = origin.x + (place.x + 0.5 - size / 2) * zoom;
    const top = origin.y + (place.y + 0.5 - size / 2) * zoom;
    outline(context, Math.round(left), Math.round(top), Math.round(size * zoom), Math.round(size * zoom));
  }

  /** Fill `box` with a picture, magnified, the place (fractional SR pixels) in its middle. */
  drawDetail(context, picture, place, zoom, box) {
    const origin = { x: box.x + box.width / 2 - place.x * zoom, y: box.y + box.height / 2 - place.y * zoom };
    withClip(context, box, () => this.drawSoFar(context, picture, zoom, origin, box));
  }

  /** Columns and side (CSS pixels) of the crops, so that rows are equally full; on phones the one row can be scrolled. */
  cropGrid() {
    const width = this.cropRow.clientWidth;
    const [smallest, largest] = CROP_SIZES;
    if (width < NARROW || !this.crops.size) return { columns: Math.max(1, this.crops.size), size: smallest };
    const rows = Math.ceil((this.crops.size * (smallest + CROP_GAP)) / width);
    const columns = Math.ceil(this.crops.size / rows);
    return { columns, size: clamp(Math.floor((width - CROP_GAP * (columns - 1)) / columns), smallest, largest) };
  }

  drawCrops() {
    this.cropsChanged = false;
    const ratio = deviceRatio();
    const grid = this.cropGrid();
    const size = Math.round(grid.size * ratio);
    this.cropRow.style.gridTemplateColumns = `repeat(${grid.columns}, ${grid.size}px)`;
    const zoom = this.cropZoom * ratio;
    const place = this.shownPlace();
    const centre = { x: place.x + 0.5, y: place.y + 0.5 };
    for (const [id, { canvas }] of this.crops) {
      sizeCanvas(canvas, size, size);
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, size, size);
      this.drawDetail(context, this.pictures.get(id), centre, zoom, { x: 0, y: 0, width: size, height: size });
    }
    setText(this.cropTitle, this.place ? this.placeText(place) : `${this.placeText(place)} · ${CROP_HINT}`);
  }

  placeText({ x, y }) {
    const deviation = this.deviationAt(x, y);
    return `Around x ${x}, y ${y}${deviation === null ? "" : ` · σ ${deviation.toFixed(1)}`}`;
  }

  /** The overlay's value at an SR pixel, or null where Python sent none. */
  deviationAt(x, y) {
    const grey = this.overlay?.grey;
    if (!grey) return null;
    const { width, height } = this.frame();
    const column = Math.floor(((x + 0.5) * grey.width) / width);
    const row = Math.floor(((y + 0.5) * grey.height) / height);
    const { minimum, maximum } = this.overlay;
    return minimum + (grey.data[row * grey.width + column] / 255) * (maximum - minimum);
  }

  // ------------------------------------------------------------ loupe

  /** Where the loupe looks: under the pointer, or at the centre for those who use the keyboard. */
  loupeTarget() {
    const { width, height } = this.paneSize;
    return this.hover || { x: this.view.x, y: this.view.y, px: width / 2, py: height / 2 };
  }

  loupeZoom() {
    return clamp(this.view.zoom * 3, 4 * deviceRatio(), MAX_ZOOM);
  }

  /** In the grid, each pane has its own lens at the same place. Part of the pane's canvas: further layers cost frames. */
  drawPaneLens(pane) {
    if (!this.loupe || this.mode !== "grid") return;
    const { width, height } = this.paneSize;
    const target = this.loupeTarget();
    const size = Math.round(Math.min(LENS_SIZE * deviceRatio(), 0.5 * width, 0.5 * height));
    const box = {
      x: Math.round(clamp(target.px - size / 2, 0, width - size)),
      y: Math.round(clamp(target.py - size / 2, 0, height - size)),
      width: size,
      height: size,
    };
    pane.context.clearRect(box.x, box.y, size, size);
    this.drawDetail(pane.context, this.pictures.get(pane.ids[0]), target, this.loupeZoom(), box);
    outline(pane.context, box.x, box.y, size, size);
  }

  /** One picture is seen large already: show the same place in all, or in the two compared, beside the pointer. */
  drawSharedLens() {
    this.sharedLens.hidden = !this.loupe || this.mode === "grid";
    if (this.sharedLens.hidden) return;
    const ratio = deviceRatio();
    const isNarrow = this.stage.clientWidth < NARROW;
    const ids = this.mode === "wipe" ? this.compare : [...this.pictures.keys()];
    const cell = Math.round(CELL_SIZES[isNarrow ? 0 : 1] * ratio);
    const label = Math.round(16 * ratio);
    const fitting = Math.max(1, Math.floor(this.paneSize.width / cell));
    const columns = Math.min(fitting, isNarrow ? ids.length : Math.ceil(Math.sqrt(1.6 * ids.length)));
    sizeCanvas(this.sharedLens, columns * cell, Math.ceil(ids.length / columns) * (cell + label));
    const context = this.sharedLens.getContext("2d");
    context.clearRect(0, 0, this.sharedLens.width, this.sharedLens.height);
    const target = this.loupeTarget();
    ids.forEach((id, index) => {
      const x = (index % columns) * cell;
      const y = Math.floor(index / columns) * (cell + label);
      this.drawLensLabel(context, this.pictures.get(id).label, { x, y, width: cell, height: label });
      const box = { x, y: y + label, width: cell, height: cell };
      this.drawDetail(context, this.pictures.get(id), target, this.loupeZoom(), box);
    });
    this.placeSharedLens(target);
  }

  drawLensLabel(context, text, box) {
    const ratio = deviceRatio();
    context.fillStyle = "rgba(20, 20, 24, 0.9)";
    context.fillRect(box.x, box.y, box.width, box.height);
    context.fillStyle = "#fff";
    context.font = `${11 * ratio}px ${this.fontFamily}`;
    context.textBaseline = "middle";
    context.fillText(text, box.x + 4 * ratio, box.y + box.height / 2, box.width - 6 * ratio);
  }

  /** Beside the pointer, or below or above it, wherever there is room, so that the place itself stays in sight. */
  placeSharedLens({ px, py }) {
    const { width, height, caption } = this.paneSize;
    const lens = this.sharedLens;
    const ratio = deviceRatio();
    const gap = 20 * ratio;
    const beside = (at, size, room) => {
      if (at + gap + size <= room) return at + gap;
      return at - gap - size >= 0 ? at - gap - size : null;
    };
    const side = beside(px, lens.width, width);
    const centred = (at, size, room) => clamp(at - size / 2, 0, Math.max(0, room - size));
    const x = side ?? centred(px, lens.width, width);
    const y = side === null ? (beside(py, lens.height, height) ?? 0) : centred(py, lens.height, height);
    lens.style.transform = `translate(${Math.round(x) / ratio}px, ${Math.round(y + caption) / ratio}px)`;
  }

  // ------------------------------------------------------------ read-out

  showStatus() {
    for (const pane of this.panes) this.placeCursor(pane, this.hover);
    setText(this.zoomText, `${Math.round(this.view.zoom * 100)} %`);
    const place = this.hover && this.pixelAt(this.hover);
    setText(this.status, place ? this.pixelText(place) : `${this.frame().width} × ${this.frame().height}`);
  }

  pixelText(place) {
    const deviation = this.deviationAt(place.x, place.y);
    const parts = [`x ${place.x}, y ${place.y}`, this.colourText(this.hover, place)];
    if (deviation !== null) parts.push(`σ ${deviation.toFixed(1)}`);
    return parts.filter(Boolean).join(" · ");
  }

  /** The same place as under the pointer, marked in every other pane. */
  placeCursor(pane, hover) {
    pane.cursor.hidden = !hover || pane === hover.pane || this.loupe;
    if (!pane.cursor.hidden) {
      pane.cursor.style.transform = `translate(${hover.px / deviceRatio()}px, ${hover.py / deviceRatio()}px)`;
    }
  }

  colourText(hover, place) {
    const picture = this.pictures.get(this.idUnder(hover));
    if (!picture?.levels.length || picture.state !== "ready") return "";
    if (!this.probe) {
      this.probe = make("canvas", { width: "1", height: "1" }).getContext("2d", { willReadFrequently: true });
      this.probe.globalCompositeOperation = "copy";
    }
    const bitmap = picture.levels[0];
    const x = Math.floor(((place.x + 0.5) * bitmap.width) / this.frame().width);
    const y = Math.floor(((place.y + 0.5) * bitmap.height) / this.frame().height);
    this.probe.drawImage(bitmap, x, y, 1, 1, 0, 0, 1, 1);
    return `RGB ${[...this.probe.getImageData(0, 0, 1, 1).data.slice(0, 3)].join(" ")}`;
  }

  idUnder(hover) {
    const { ids } = hover.pane;
    return ids.length === 1 || hover.px < this.split * this.paneSize.width ? ids[0] : ids[1];
  }

  /** The SR pixel at a position, as whole numbers, or null outside the frame. */
  pixelAt({ x, y }) {
    const { width, height } = this.frame();
    const pixel = { x: Math.floor(x), y: Math.floor(y) };
    return pixel.x >= 0 && pixel.y >= 0 && pixel.x < width && pixel.y < height ? pixel : null;
  }

  announce(text) {
    this.live.textContent = text;
  }

  // ------------------------------------------------------------ pointer

  /** What lies under a pointer event: the pane, device pixels in it, and the (fractional) SR pixel. */
  locate(event, pane = null) {
    if (!this.paneSize) return null;
    const ratio = deviceRatio();
    const bounds = this.stage.getBoundingClientRect();
    const x = (event.clientX - bounds.left - this.stage.clientLeft) * ratio;
    const y = (event.clientY - bounds.top - this.stage.clientTop) * ratio;
    const { width, height, caption } = this.paneSize;
    const isInside = (one) =>
      x >= one.left && x < one.left + width && y >= one.top + caption && y < one.top + caption + height;
    const found = pane || this.panes.find(isInside);
    if (!found) return null;
    const [px, py] = [x - found.left, y - found.top - caption];
    const origin = this.origin();
    return { pane: found, px, py, x: (px - origin.x) / this.view.zoom, y: (py - origin.y) / this.view.zoom };
  }

  setHover(hover) {
    if (!hover && !this.hover) return;
    this.hover = hover;
    if (this.loupe) this.invalidate();
    else this.showStatus(); // moving the pointer alone changes no picture
  }

  onWheel(event) {
    const spot = this.locate(event);
    if (!spot) return;
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    const speed = event.ctrlKey ? 0.01 : 0.002; // a pinch on a touch pad comes as ctrl + wheel, in small steps
    const isChanged = this.zoomTo(this.view.zoom * Math.exp(-pixels * speed), { x: spot.px, y: spot.py });
    // Zoomed out already: let the page scroll, unless the browser would zoom the page instead.
    if (isChanged || event.ctrlKey || pixels < 0) event.preventDefault();
  }

  onPointerDown(event) {
    if (event.target.closest("button, .lv-divider") || (event.pointerType === "mouse" && event.button > 1)) return;
    const spot = this.locate(event);
    if (!spot) return;
    if (event.pointerType === "mouse") event.preventDefault(); // no text selection, no middle-click scrolling
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { pane: this.gesture?.pane || spot.pane, spot, start: event });
    this.startGesture(spot.pane, this.pointers.size > 1 || event.button === 1);
    this.setHover(spot);
  }

  startGesture(pane, isMoved) {
    const { pane: firstPane = pane, isMoved: wasMoved = false } = this.gesture || {};
    this.gesture = { pane: firstPane, isMoved: isMoved || wasMoved, ...this.spread() };
  }

  /** Middle of the fingers (device pixels in the gesture's pane) and how far apart they are. */
  spread() {
    const spots = [...this.pointers.values()].map((pointer) => pointer.spot);
    const [a, b = a] = spots;
    return { middle: { x: (a.px + b.px) / 2, y: (a.py + b.py) / 2 }, distance: Math.hypot(a.px - b.px, a.py - b.py) };
  }

  onPointerMove(event) {
    const pointer = this.pointers.get(event.pointerId);
    const spot = this.locate(event, pointer?.pane);
    this.setHover(spot);
    if (!pointer) return;
    pointer.spot = spot;
    const travelled = Math.hypot(event.clientX - pointer.start.clientX, event.clientY - pointer.start.clientY);
    if (travelled > CLICK_DISTANCE) this.gesture.isMoved = true;
    if (!this.gesture.isMoved) return;
    const before = this.gesture;
    const { middle, distance } = this.spread();
    const isLoupeDrag = this.loupe && event.pointerType === "touch" && this.pointers.size === 1;
    if (!isLoupeDrag) this.pan(middle.x - before.middle.x, middle.y - before.middle.y);
    if (this.pointers.size > 1 && before.distance > 0) this.zoomTo((this.view.zoom * distance) / before.distance, middle);
    Object.assign(before, { middle, distance });
    this.stage.classList.toggle("lv-dragging", !isLoupeDrag);
  }

  onPointerUp(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const { isMoved } = this.gesture;
    this.releasePointer(event.pointerId);
    if (!isMoved) this.click(this.locate(event, pointer.pane), event);
    if (event.pointerType === "touch") this.setHover(this.loupe ? this.hover : null);
  }

  onPointerCancel(event) {
    if (this.pointers.has(event.pointerId)) this.releasePointer(event.pointerId);
  }

  releasePointer(pointerId) {
    this.pointers.delete(pointerId);
    this.stage.classList.remove("lv-dragging");
    if (this.pointers.size) Object.assign(this.gesture, this.spread());
    else this.gesture = null;
  }

  click(spot, event) {
    const { time, x, y } = this.lastClick;
    const isNear = Math.hypot(event.clientX - x, event.clientY - y) < 4 * CLICK_DISTANCE;
    const isDouble = event.timeStamp - time < DOUBLE_CLICK_MS && isNear;
    this.lastClick = { time: isDouble ? 0 : event.timeStamp, x: event.clientX, y: event.clientY };
    if (isDouble) return this.fit();
    const pixel = this.pixelAt(spot);
    if (pixel) this.choosePlace(pixel, this.idUnder(spot));
  }

  // ------------------------------------------------------------ wipe border

  dividerDown(event) {
    event.preventDefault();
    this.divider.focus({ preventScroll: true });
    this.divider.setPointerCapture(event.pointerId);
  }

  dividerMove(event) {
    if (!this.divider.hasPointerCapture(event.pointerId)) return;
    event.stopPropagation();
    this.setSplit(this.locate(event, this.panes[0]).px / this.paneSize.width);
  }

  dividerKey(event) {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows would move the picture as well
    this.setSplit(this.split + step);
  }

  setSplit(split) {
    this.split = clamp(split, 0, 1);
    this.invalidate();
  }

  placeDivider() {
    if (this.mode !== "wipe") return;
    const { width, caption } = this.paneSize;
    const ratio = deviceRatio();
    this.divider.style.transform = `translate(${Math.round(width * this.split) / ratio}px, ${caption / ratio}px)`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(100 * this.split)));
  }

  // ------------------------------------------------------------ keyboard

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const isControl = event.target.closest("button");
    if (event.target.closest("select")) return; // letters and arrows choose in the menu
    if (event.target.closest("input") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (isControl && (event.key === " " || event.key === "Enter")) return; // presses the button
    const isHandled = this.handleKey(event);
    if (isHandled) event.preventDefault();
  }

  handleKey(event) {
    if (!this.pictures.size && event.key !== "?" && event.key !== "Escape") return false;
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (arrow) return this.panByKey(arrow, event.shiftKey);
    const index = sampleIndex(event);
    if (index >= 0) return this.showSample(index);
    const action = this.keyActions()[event.key.toLowerCase()];
    if (action) {
      action();
      return true;
    }
    const named = this.references().find((picture) => picture.key && picture.key === event.key.toLowerCase());
    if (named) this.show(named.id);
    return Boolean(named);
  }

  keyActions() {
    return {
      "+": () => this.zoomStep(1),
      "=": () => this.zoomStep(1), // the key of + without shift
      "-": () => this.zoomStep(-1),
      "0": () => this.fit(),
      z: () => this.zoomTo(1),
      a: () => this.setMode("grid"),
      escape: () => this.escape(),
      w: () => this.setMode("wipe"),
      x: () => this.swap(),
      n: () => this.step(1),
      p: () => this.step(-1),
      " ": () => this.flipBack(),
      enter: () => this.chooseCentre(),
      l: () => this.toggleLoupe(),
      o: () => this.toggleOverlay(),
      r: () => this.toggleReferences(),
      f: () => this.toggleFullscreen(),
      "?": () => this.toggleHelp(),
      h: () => this.toggleHelp(),
    };
  }

  panByKey([dx, dy], isFine) {
    const step = isFine ? this.view.zoom : Math.min(this.paneSize.width, this.paneSize.height) / 8;
    return this.pan(dx * step, dy * step);
  }

  showSample(index) {
    const sample = this.samples()[index];
    if (sample) this.show(sample.id);
    return Boolean(sample);
  }

  escape() {
    if (!this.help.hidden) this.toggleHelp(false);
    else if (this.mode !== "grid") this.setMode("grid");
  }

  // ------------------------------------------------------------ what the visitor can do

  setMode(mode) {
    this.mode = mode;
    this.hover = null;
    this.refresh();
    if (mode === "single" && this.current !== null) this.report("pick", { id: this.current });
    const label = (id) => this.pictures.get(id)?.label ?? "";
    const words = { grid: "All samples", single: label(this.current), wipe: this.compare.map(label).join(" and ") };
    this.announce(words[mode]);
  }

  /** Show one picture at the same place as now: alone, or on the right of the wipe. */
  show(id) {
    if (this.mode === "wipe") return this.setCompare(1, id);
    if (id !== this.current) [this.previous, this.current] = [this.current, id];
    const { hover } = this;
    this.setMode("single");
    if (hover && this.panes[0] === hover.pane) this.hover = hover; // flipping under a still pointer keeps the loupe
    this.invalidate();
  }

  step(direction) {
    const ids = [...this.pictures.keys()];
    const shown = this.mode === "wipe" ? this.compare[1] : this.current;
    this.show(ids[(ids.indexOf(shown) + direction + ids.length) % ids.length]);
  }

  flipBack() {
    if (this.mode === "wipe") this.swap();
    else if (this.previous !== null) this.show(this.previous);
  }

  setCompare(side, id) {
    if (!this.pictures.has(id)) return;
    this.compare[side] = id;
    this.setMode("wipe");
  }

  swap() {
    this.compare.reverse();
    this.setMode("wipe");
  }

  toggleLoupe() {
    this.loupe = !this.loupe;
    this.announce(this.loupe ? "Loupe on" : "Loupe off");
    this.refresh();
  }

  toggleReferences() {
    this.showReferences = !this.showReferences;
    this.refresh();
  }

  toggleOverlay() {
    if (!this.overlay) return;
    this.overlayOn = !this.overlayOn;
    this.announce(this.overlayOn ? `${this.overlay.title} on` : `${this.overlay.title} off`);
    this.refresh();
  }

  setOpacity(opacity) {
    this.opacity = clamp(opacity, 0, 1);
    this.invalidate();
  }

  toggleHelp(isOpen = this.help.hidden) {
    this.help.hidden = !isOpen;
    this.helpButton.setAttribute("aria-expanded", String(isOpen));
    (isOpen ? this.closeHelp : this.stage).focus({ preventScroll: true });
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }

  setCropZoom(zoom) {
    this.cropZoom = zoom;
    this.cropsChanged = true;
    this.refreshControls();
    this.invalidate();
  }

  chooseCentre() {
    const pixel = this.pixelAt(this.view);
    const id = this.mode === "grid" ? this.panes[0].ids[0] : this.mode === "wipe" ? this.compare[0] : this.current;
    if (pixel) this.choosePlace(pixel, id);
  }

  choosePlace(pixel, id) {
    this.place = pixel;
    this.cropsChanged = true;
    this.announce(this.placeText(pixel));
    this.invalidate();
    this.report("place", { ...pixel, id });
  }

  /** From a crop to the whole: this picture alone, the place in the middle, as large as in the crop at least. */
  showPlace(id) {
    if (this.mode === "wipe") this.mode = "single";
    this.show(id);
    const place = this.shownPlace();
    this.changeView((view) => {
      const zoom = Math.max(view.zoom, 4);
      Object.assign(view, { x: place.x + 0.5, y: place.y + 0.5, zoom, fitted: false });
    });
  }

  /** Tell Python, a moment later; only the last of several in a row. */
  report(name, data) {
    clearTimeout(this.reportTimers[name]);
    this.reportTimers[name] = setTimeout(() => this.trigger(name, data), REPORT_DELAY_MS);
  }

  /** The state in plain values, for tests. */
  describe() {
    const { mode, current, previous, compare, split, loupe, overlayOn, opacity, place, view, showReferences } = this;
    const pictures = [...this.pictures.values()].map((picture) => {
      const { id, state, loadedUrl, parts } = picture;
      return { id, state, loadedUrl, parts: [...parts.values()].map(({ top, rows }) => [top, rows]) };
    });
    const panes = this.panes.map(({ ids, drawn }) => ({ ids, drawn }));
    const choices = { mode, current, previous, compare, split, loupe, overlayOn, opacity, showReferences };
    return { ...choices, place, view, pictures, panes };
  }
}

// ---------------------------------------------------------------- start

const viewer = new LinkedViewer(element, trigger);
element.linkedViewer = viewer;
viewer.setScene(props.value);
watch("value", () => viewer.setScene(props.value));
