// The picture: gray and color with a divider, hints as marks that can be set, moved and removed.

import { Divider } from "./divider.js";
import { isKeyed, keyed } from "./hands.js";
import { atLightnessOf } from "./lab.js";
import { Panning } from "./panning.js";
import { meanAround } from "./sampling.js";
import { $ } from "./shared.js";
import { Zoom } from "./zoom.js";

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const css = (rgb) => `rgb(${rgb.join(" ")})`;
const NEUTRAL = [128, 128, 128];
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Stage {
  // `on` has: place(x, y), choose(index), move(index, x, y), drop(index)
  constructor(on) {
    this.on = on;
    this.size = { width: 1, height: 1 };
    this.at = { x: 0.5, y: 0.5 }; // of the cross, in shares of the picture
    this.divider = new Divider();
    this.zoom = new Zoom();
    this.panning = new Panning(this.zoom);
    this.#surface();
    $("gray").addEventListener("load", () => this.#shades()); // marks have the colors of their grays
  }

  show(picture) {
    if (picture !== this.picture) this.zoom.to(1);
    this.picture = picture;
    this.size = { width: picture.width, height: picture.height };
    $("gray").alt = `${picture.name} in gray`;
    $("color").alt = `${picture.name} in color`;
    $("gray").width = Math.min(picture.width, 1600);
    $("gray").height = Math.round(($("gray").width * picture.height) / picture.width);
    $("gray").src = picture.grayUrl;
    if (picture.colorUrl) $("color").src = picture.colorUrl;
    else $("color").removeAttribute("src");
    $("color").hidden = !picture.colorUrl;
  }

  color(url) {
    $("color").src = url;
    $("color").hidden = false;
  }

  // Moves the divider off a place whose color is to be seen, and at a picture's first one off the picture.
  reveal(x, first) {
    if (first || (100 * (x + 0.5)) / this.size.width < this.divider.at + 4) this.divider.to(0);
  }

  // --- places ---

  #pixel(event) {
    const box = $("surface").getBoundingClientRect();
    const { width, height } = this.size;
    return [
      clamp(Math.floor(((event.clientX - box.left) * width) / box.width), 0, width - 1),
      clamp(Math.floor(((event.clientY - box.top) * height) / box.height), 0, height - 1),
    ];
  }

  #surface() {
    const surface = $("surface");
    surface.addEventListener("click", (event) => {
      if (!event.detail || this.panning.moved) return;
      const [x, y] = this.#pixel(event);
      this.at = { x: (x + 0.5) / this.size.width, y: (y + 0.5) / this.size.height };
      this.on.place(x, y);
    });
    surface.addEventListener("keydown", (event) => this.#key(event));
    // Escape after a click leads back to the picture, where nobody asked for a cross.
    surface.addEventListener("focus", () => this.#cross(isKeyed() && surface.matches(":focus-visible")));
    surface.addEventListener("blur", () => this.#cross(false));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in WAYS) {
      const step = (event.shiftKey ? 0.002 : 0.02) / this.zoom.factor;
      const [right, down] = WAYS[event.key];
      this.at.x = clamp(this.at.x + step * right, 0, 1);
      this.at.y = clamp(this.at.y + step * down, 0, 1);
      this.#cross(true);
    } else if (event.key === "Enter" || event.key === " ") this.#enter();
    else return;
    keyed(true);
    event.preventDefault();
  }

  // Sets a color at the cross; where it is not seen yet, shows it.
  #enter() {
    if ($("cross").hidden) return this.#cross(true);
    const { width, height } = this.size;
    this.on.place(
      Math.min(width - 1, Math.floor(this.at.x * width)),
      Math.min(height - 1, Math.floor(this.at.y * height)));
  }

  #cross(shown) {
    $("cross").hidden = !shown;
    $("cross").style.left = `${100 * this.at.x}%`;
    $("cross").style.top = `${100 * this.at.y}%`;
    if (shown) $("cross").scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // --- marks ---

  // Draws the hints; `chosen` is the index of the one whose palette is open, or -1.
  marks(hints, chosen) {
    const had = document.activeElement?.dataset?.index;
    this.hints = hints;
    $("marks").replaceChildren(...hints.map((hint, index) => this.#mark(hint, index, chosen)));
    if (had !== undefined) $("marks").children[Math.min(had, hints.length - 1)]?.focus();
  }

  #mark(hint, index, chosen) {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.className = index === chosen ? "mark chosen" : "mark";
    mark.classList.toggle("keeps", Boolean(hint.keep));
    mark.dataset.index = index;
    this.#put(mark, hint.x, hint.y);
    mark.style.background = this.#shade(hint);
    mark.setAttribute("aria-label",
      `Correction ${index + 1}: Enter changes its color, arrow keys move it, Delete removes it`);
    this.#draggable(mark, hint, index);
    mark.addEventListener("keydown", (event) => this.#markKey(event, hint, index));
    return mark;
  }

  #put(mark, x, y) {
    mark.style.left = `${(100 * (x + 0.5)) / this.size.width}%`;
    mark.style.top = `${(100 * (y + 0.5)) / this.size.height}%`;
  }

  // The color that a hint gives its place: the place keeps its lightness.
  #shade({ x, y, rgb, gray }) {
    if (!rgb && !gray) return "transparent";
    const there = meanAround($("gray"), this.size, x, y);
    return css(there ? atLightnessOf(there, rgb ?? NEUTRAL) : rgb ?? NEUTRAL);
  }

  #shades() {
    for (const [index, mark] of [...$("marks").children].entries()) {
      mark.style.background = this.#shade(this.hints[index]);
    }
  }

  #draggable(mark, hint, index) {
    let start = null;
    let moved = false;
    mark.addEventListener("pointerdown", (event) => {
      start = [event.clientX, event.clientY];
      moved = false;
      mark.setPointerCapture(event.pointerId);
    });
    mark.addEventListener("pointermove", (event) => {
      if (!start) return;
      moved ||= Math.hypot(event.clientX - start[0], event.clientY - start[1]) > 4;
      if (moved) this.#put(mark, ...this.#pixel(event));
    });
    mark.addEventListener("pointerup", (event) => {
      if (start && moved) this.on.move(index, ...this.#pixel(event));
      start = null;
    });
    const back = () => {
      if (start) this.#put(mark, hint.x, hint.y);
      start = null;
    };
    mark.addEventListener("pointercancel", back);
    mark.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !start) return;
      event.stopPropagation(); // the panel stays open
      back();
    });
    mark.addEventListener("click", () => { if (!moved) this.on.choose(index); });
  }

  #markKey(event, hint, index) {
    const step = Math.max(1, Math.round((0.01 * this.size.width) / this.zoom.factor));
    if (event.key in WAYS) {
      const [right, down] = WAYS[event.key].map((way) => step * way);
      this.on.move(index,
        clamp(hint.x + right, 0, this.size.width - 1), clamp(hint.y + down, 0, this.size.height - 1));
    } else if (event.key === "Delete" || event.key === "Backspace") this.on.drop(index);
    else return;
    event.preventDefault();
  }

  // The mean color that is shown around a place, of pixels as gray as it; null before there is one.
  shownAt(x, y) { return meanAround($("color"), this.size, x, y); }
}
