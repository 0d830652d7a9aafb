// Where the color of a place is chosen: likely ones, gray, from the picture, or any on a wheel.

import { labToRgb, nameOf, rgbToLab } from "./lab.js";

const $ = (id) => document.getElementById(id);
const MOST = 100; // chroma at the rim of the wheel

export class Palette {
  // `on` has: color(hint part), keep(), pick(on), close(), drop()
  constructor(on) {
    this.on = on;
    this.level = 50; // L of the place
    this.likely = [];
    $("close").onclick = $("done").onclick = () => on.close();
    $("neutral").onclick = () => on.color({ gray: true });
    $("keep").onclick = () => on.keep();
    $("pick").onclick = () => this.picking($("pick").getAttribute("aria-pressed") !== "true");
    $("drop-mark").onclick = () => on.drop();
    for (const id of ["hue", "strength"]) $(id).oninput = () => this.#mixed();
    this.#wheel();
    $("palette").addEventListener("keydown", (event) => {
      if (event.key === "Escape") on.close();
    });
  }

  get open() { return !$("palette").hidden; }

  // Opens at a place, given in shares of the stage; `withFocus` for the keyboard.
  show(left, top, withFocus) {
    $("likely").replaceChildren();
    $("keep").disabled = true; // until its color is known
    $("palette").hidden = false;
    document.body.classList.add("choosing");
    this.#bringIntoView(top);
    const stage = $("stage").getBoundingClientRect();
    const box = $("palette").getBoundingClientRect();
    const x = left * stage.width;
    const toRight = x + 24 + box.width + stage.left < innerWidth - 8;
    const nextToPlace = toRight ? x + 24 : x - 24 - box.width;
    // Where there is room, next to the picture, so that all of it can be seen.
    const outside = stage.right + 16 + box.width < innerWidth - 8;
    const beside = outside ? stage.width + 16 : nextToPlace;
    $("palette").style.left = `${Math.max(8 - stage.left, beside)}px`;
    const end = outside ? Math.min(stage.bottom, innerHeight - 8) : Math.max(8, innerHeight - 8);
    const low = end - stage.top - box.height;
    $("palette").style.top = `${Math.min(Math.max(top * stage.height - 40, 0), Math.max(low, -stage.top + 8))}px`;
    this.focusFirst = withFocus;
    if (withFocus) $("neutral").focus();
  }

  hide() {
    $("palette").hidden = true;
    document.body.classList.remove("choosing");
    this.picking(false);
  }

  // On a phone the palette covers the lower half of the window.
  #bringIntoView(top) {
    if (!matchMedia("(max-width: 36rem)").matches) return;
    const stage = $("stage").getBoundingClientRect();
    const above = innerHeight - $("palette").getBoundingClientRect().height;
    const place = stage.top + top * stage.height;
    if (place > 0.8 * above || place < 0) scrollBy(0, place - above / 2);
  }

  // Marks the color that a correction has; without one there is nothing to remove.
  mark(hint) {
    $("drop-mark").hidden = !hint;
    $("neutral").setAttribute("aria-pressed", String(Boolean(hint?.gray)));
    for (const button of $("likely").children) {
      button.setAttribute("aria-pressed", String(button.dataset.rgb === String(hint?.rgb)));
    }
  }

  // What the server answers of a place, and the correction that is there already.
  offer({ colors, gray, own }, hint) {
    // As on the server: near black and white colors cannot be told apart.
    this.level = Math.min(80, Math.max(45, rgbToLab([255 * gray, 255 * gray, 255 * gray])[0]));
    $("likely").replaceChildren(...colors.map((rgb, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.style.background = `rgb(${rgb.join(" ")})`;
      button.dataset.rgb = String(rgb);
      button.setAttribute("aria-label", `Likely color ${index + 1}: ${nameOf(rgb)}`);
      button.onclick = () => {
        this.#mixer(rgb);
        this.on.color({ rgb });
      };
      return button;
    }));
    if (this.focusFirst && document.activeElement === $("neutral")) $("likely").firstChild?.focus();
    $("keep").disabled = false;
    this.mark(hint);
    this.#mixer(hint?.gray ? [128, 128, 128] : hint?.rgb || own);
    this.#draw();
  }

  // Sets the controls of the mixer to a color.
  #mixer(rgb) {
    const [, a, b] = rgbToLab(rgb);
    $("hue").value = Math.round(((Math.atan2(b, a) * 180) / Math.PI + 360) % 360);
    $("strength").value = Math.round(Math.min(100, (100 * Math.hypot(a, b)) / MOST));
  }

  picking(on) {
    $("pick").setAttribute("aria-pressed", String(on));
    this.on.pick(on);
  }

  #mixed() {
    const angle = ($("hue").value * Math.PI) / 180;
    const strength = ($("strength").value * MOST) / 100;
    this.on.color({ rgb: labToRgb(this.level, strength * Math.cos(angle), strength * Math.sin(angle)) });
  }

  #wheel() {
    const follow = (event) => {
      const box = $("wheel").getBoundingClientRect();
      const x = (2 * (event.clientX - box.left)) / box.width - 1;
      const y = 1 - (2 * (event.clientY - box.top)) / box.height;
      $("hue").value = Math.round(((Math.atan2(y, x) * 180) / Math.PI + 360) % 360);
      $("strength").value = Math.round(100 * Math.min(1, Math.hypot(x, y)));
      this.#mixed();
    };
    $("wheel").addEventListener("pointerdown", (event) => {
      $("wheel").setPointerCapture(event.pointerId);
      $("wheel").onpointermove = follow;
      follow(event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      $("wheel").addEventListener(end, () => { $("wheel").onpointermove = null; });
    }
  }

  #draw() {
    const wheel = $("wheel");
    const pen = wheel.getContext("2d");
    const image = pen.createImageData(wheel.width, wheel.height);
    const half = wheel.width / 2;
    for (let row = 0; row < wheel.height; row += 1) {
      for (let column = 0; column < wheel.width; column += 1) {
        const x = (column + 0.5 - half) / half;
        const y = (half - row - 0.5) / half;
        if (Math.hypot(x, y) > 1) continue;
        image.data.set([...labToRgb(this.level, MOST * x, MOST * y), 255],
          4 * (row * wheel.width + column));
      }
    }
    pen.putImageData(image, 0, 0);
  }
}
