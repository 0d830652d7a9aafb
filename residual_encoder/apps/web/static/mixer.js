// Any color at the lightness of a place: a wheel, and the same as two sliders.

import { Gestures } from "./history.js";
import { labToRgb, rgbToLab } from "./lab.js";
import { $ } from "./shared.js";

const MOST = 100; // chroma at the rim of the wheel

export class Mixer {
  // `color(rgb, gesture)` is called when a control moves; see `Gestures`.
  constructor(color) {
    this.color = color;
    this.level = 50; // L of the place
    this.gestures = new Gestures();
    for (const id of ["hue", "strength"]) {
      $(id).addEventListener("pointerdown", () => this.gestures.begin(id));
      $(id).oninput = () => this.#mixed(id);
    }
    this.#wheel();
  }

  // Takes the gray of a place, in [0, 1]; as on the server, near black and white colors cannot be told apart.
  place(gray) {
    this.level = Math.min(80, Math.max(45, rgbToLab([255 * gray, 255 * gray, 255 * gray])[0]));
    this.#draw();
  }

  // Sets the controls to a color.
  set(rgb) {
    const [, a, b] = rgbToLab(rgb);
    $("hue").value = Math.round(((Math.atan2(b, a) * 180) / Math.PI + 360) % 360);
    $("strength").value = Math.round(Math.min(100, (100 * Math.hypot(a, b)) / MOST));
    this.#point();
  }

  #polar() {
    const angle = ($("hue").value * Math.PI) / 180;
    const strength = $("strength").value / 100;
    return [strength * Math.cos(angle), strength * Math.sin(angle)];
  }

  // Puts the ring on the wheel to the color of the sliders.
  #point() {
    const [x, y] = this.#polar();
    $("wheel-at").style.left = `${50 + 50 * x}%`;
    $("wheel-at").style.top = `${50 - 50 * y}%`;
  }

  #mixed(control) {
    this.#point();
    const [x, y] = this.#polar();
    this.color(labToRgb(this.level, MOST * x, MOST * y), this.gestures.of(control));
  }

  #follow(event) {
    const box = $("wheel").getBoundingClientRect();
    const x = (2 * (event.clientX - box.left)) / box.width - 1;
    const y = 1 - (2 * (event.clientY - box.top)) / box.height;
    $("hue").value = Math.round(((Math.atan2(y, x) * 180) / Math.PI + 360) % 360);
    $("strength").value = Math.round(100 * Math.min(1, Math.hypot(x, y)));
    this.#mixed("wheel");
  }

  #wheel() {
    $("wheel").addEventListener("pointerdown", (event) => {
      $("wheel").setPointerCapture(event.pointerId);
      this.gestures.begin("wheel");
      $("wheel").onpointermove = (moved) => this.#follow(moved);
      this.#follow(event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      $("wheel").addEventListener(end, () => { $("wheel").onpointermove = null; });
    }
  }

  #draw() {
    const { width, height } = $("wheel");
    const pen = $("wheel").getContext("2d");
    const image = pen.createImageData(width, height);
    const half = width / 2;
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const x = (column + 0.5 - half) / half;
        const y = (half - row - 0.5) / half;
        if (Math.hypot(x, y) > 1) continue;
        image.data.set([...labToRgb(this.level, MOST * x, MOST * y), 255], 4 * (row * width + column));
      }
    }
    pen.putImageData(image, 0, 0);
  }
}
