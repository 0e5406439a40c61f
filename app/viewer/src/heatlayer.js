// Painted temperatures over the pictures: blue (calm) and orange (wild), stronger for larger differences.

import { temperatureOf, wildness } from "./heatgrid.js";
import { MaskLayer } from "./masklayer.js";

const CALM = [64, 140, 255];
const WILD = [255, 120, 20]; // distinguishable from the blue without colour vision
const OPACITY = [0.12, 0.3]; // for almost unchanged areas, and for the calmest and wildest

export class HeatLayer extends MaskLayer {
  /** @param {import("./heatstate.js").HeatState} state */
  constructor(state) {
    super(state);
    this.heat = state;
    this.drawn = 1; // temperature of the pictures
  }

  /** @param {number} temperature */
  setDrawn(temperature) {
    if (temperature === this.drawn) return;
    this.drawn = temperature;
    this.state.stale = { x: 0, y: 0, ...this.state.size };
  }

  /** @param {import("./geometry.js").Box} box */
  fillTint({ x, y, width, height }) {
    const { heat } = this;
    const pixels = new ImageData(width, height);
    for (let row = 0, to = 0; row < height; row += 1) {
      const start = (y + row) * heat.size.width + x;
      for (let at = start; at < start + width; at += 1, to += 4) {
        const amount = heat.open.data[at];
        if (!amount) continue;
        const wild = wildness(temperatureOf(heat.strengths[at]), this.drawn);
        [pixels.data[to], pixels.data[to + 1], pixels.data[to + 2]] = wild > 0 ? WILD : CALM;
        pixels.data[to + 3] = (OPACITY[0] + Math.abs(wild) * (OPACITY[1] - OPACITY[0])) * amount;
      }
    }
    this.context.putImageData(pixels, x, y);
  }
}
