// The first row: modes, zoom, tools, the map, full screen and help.

import { make, makeButton, makeGroup, makeIcon, makeIconButton, setPressed, setText } from "./dom.js";

export class Toolbar {
  /** @param {import("./viewer.js").LinkedViewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.modes = {
      grid: makeButton("Grid", "All samples side by side (A)", () => viewer.setMode("grid")),
      single: makeButton("Single", "One picture; digits switch between samples", () => viewer.setMode("single")),
      wipe: makeButton("Wipe", "Two pictures with a movable border (W)", () => viewer.setMode("wipe")),
      difference: makeButton("Difference", "The difference between two pictures (D)", () =>
        viewer.setMode("difference"),
      ),
    };
    this.zoomText = make("output", { class: "lv-zoom", title: "Screen pixels per picture pixel" }, "–");
    this.loupe = makeButton("Loupe", "Magnifier at the pointer (L)", () => viewer.toggleLoupe());
    this.line = makeButton("Line", "Draw a line to see the brightness along it under Measure", () =>
      viewer.line.toggle(),
    );
    this.references = makeButton("References", "Show input, bicubic, mean … in the grid too (U)", () =>
      viewer.toggleReferences(),
    );
    this.map = makeButton("Map", "Where samples differ, as a tile in the grid (V)", () => viewer.toggleMap());
    this.overlay = makeButton("Overlay", "The map over all pictures (O)", () => viewer.toggleOverlay());
    this.opacity = make("input", {
      type: "range",
      class: "lv-range",
      min: "0",
      max: "100",
      value: String(100 * viewer.opacity),
      "aria-label": "Opacity of the overlay",
      title: "Opacity of the overlay",
      oninput: () => viewer.setOpacity(Number(this.opacity.value) / 100),
    });
    this.disclosure = makeButton("Tools", "Zoom, loupe, references and the map", () => this.toggleTools(), {
      "aria-expanded": "false",
    });
    this.disclosure.classList.add("lv-disclosure"); // on a phone only: elsewhere there is room for everything
    this.help = makeIconButton("?", "Help", "?", () => viewer.help.toggle(), { "aria-expanded": "false" });
    this.node = make(
      "div",
      { class: "lv-toolbar", role: "group", "aria-label": "View" },
      makeGroup("Mode", make("div", { class: "lv-segments" }, ...Object.values(this.modes))),
      make(
        "div",
        { class: "lv-more" }, // one row on a phone, which scrolls sideways
        makeGroup(
          "Zoom",
          makeIconButton("−", "Zoom out", "−", () => viewer.zoomStep(-1)),
          this.zoomText,
          makeIconButton("+", "Zoom in", "+", () => viewer.zoomStep(1)),
          makeButton("Fit", "Fit the whole picture (0)", () => viewer.fit()),
          makeButton("100 %", "Actual pixels (Z)", () => viewer.zoomTo(1)),
        ),
        makeGroup("Tools", this.loupe, this.line, this.references),
        makeGroup("Map", this.map, this.overlay, this.opacity),
      ),
      make(
        "div",
        { class: "lv-group lv-end" },
        this.disclosure,
        makeIconButton(makeIcon("fullscreen"), "Full screen", "F", () => this.toggleFullscreen()),
        this.help,
      ),
    );
  }

  /** Pressed buttons follow the state. */
  refresh() {
    const { viewer } = this;
    for (const [mode, node] of Object.entries(this.modes)) setPressed(node, mode === viewer.mode);
    setPressed(this.loupe, viewer.loupe);
    setPressed(this.line, viewer.line.isOn);
    this.line.disabled = !(viewer.scene?.grid && viewer.samples().length); // only in the main viewer
    setPressed(this.references, viewer.showReferences);
    setPressed(this.map, viewer.showMap);
    setPressed(this.overlay, viewer.overlayOn);
    const isGrid = viewer.mode === "grid";
    this.references.disabled = !(isGrid && viewer.samples().length && viewer.references().length);
    this.modes.difference.disabled = viewer.pictures.size < 2;
    // Disabled rather than hidden while there is no map: the toolbar must not change its size when the map arrives.
    this.map.disabled = !viewer.canShowMap();
    this.overlay.disabled = !viewer.canShowOverlay();
    this.opacity.disabled = this.overlay.disabled || !viewer.overlayOn;
  }

  toggleTools() {
    const isOpen = this.node.classList.toggle("lv-open");
    this.disclosure.setAttribute("aria-expanded", String(isOpen));
    this.viewer.layout(); // the stage has moved
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.viewer.root.requestFullscreen?.();
  }

  /** @param {number} zoom */
  showZoom(zoom) {
    setText(this.zoomText, `${Math.round(zoom * 100)} %`);
  }
}
