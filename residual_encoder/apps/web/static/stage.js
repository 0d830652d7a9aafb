// The picture: gray and color with a divider, hints as marks that can be set, moved and removed.

import { $ } from "./shared.js";

const ROUND = 0.012; // of the picture's shorter side: radius of the circle whose color is copied
const LIKE = 10; // gray levels: so near to that of the place, a pixel counts
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const css = (hint) => (hint.gray ? "rgb(128 128 128)" : `rgb(${hint.rgb.join(" ")})`);

export class Stage {
  // `on` has: place(x, y), choose(index), move(index, x, y), drop(index)
  constructor(on) {
    this.on = on;
    this.size = { width: 1, height: 1 };
    this.at = { x: 0.5, y: 0.5 }; // of the cross, in shares of the picture
    this.dividerAt = 50;
    this.#divider();
    this.#surface();
  }

  show(picture) {
    if (picture !== this.picture) this.divide(50);
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

  // --- the divider ---

  divide(percent) {
    this.dividerAt = clamp(percent, 0, 100);
    $("divider").style.left = `${this.dividerAt}%`;
    $("divider").setAttribute("aria-valuenow", String(Math.round(this.dividerAt)));
    $("divider").setAttribute("aria-valuetext", `${Math.round(this.dividerAt)} % gray`);
    $("color").style.clipPath = `inset(0 0 0 ${this.dividerAt}%)`;
  }

  #divider() {
    const handle = $("divider");
    const follow = (event) => {
      const box = $("stage").getBoundingClientRect();
      this.divide((100 * (event.clientX - box.left)) / box.width);
    };
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      handle.focus({ focusVisible: false });
      handle.onpointermove = follow;
    });
    for (const end of ["pointerup", "pointercancel"]) {
      handle.addEventListener(end, () => { handle.onpointermove = null; });
    }
    const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
    handle.addEventListener("keydown", (event) => {
      if (event.key in steps) this.divide(this.dividerAt + steps[event.key]);
      else if (event.key === "Home") this.divide(0);
      else if (event.key === "End") this.divide(100);
      else return;
      event.preventDefault();
    });
  }

  // Moves the divider off a place whose color is to be seen.
  reveal(x) {
    if ((100 * (x + 0.5)) / this.size.width < this.dividerAt + 4) this.divide(0);
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
      if (event.detail) this.on.place(...this.#pixel(event));
    });
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    surface.addEventListener("keydown", (event) => {
      if (event.key in ways) {
        const step = event.shiftKey ? 0.002 : 0.02;
        const [right, down] = ways[event.key];
        this.at.x = clamp(this.at.x + step * right, 0, 1);
        this.at.y = clamp(this.at.y + step * down, 0, 1);
        this.#cross(true);
      } else if (event.key === "Enter" || event.key === " ") {
        const { width, height } = this.size;
        this.on.place(
          Math.min(width - 1, Math.floor(this.at.x * width)),
          Math.min(height - 1, Math.floor(this.at.y * height)));
      } else return;
      event.preventDefault();
    });
    surface.addEventListener("focus", () => this.#cross(surface.matches(":focus-visible")));
    surface.addEventListener("blur", () => this.#cross(false));
  }

  #cross(shown) {
    $("cross").hidden = !shown;
    $("cross").style.left = `${100 * this.at.x}%`;
    $("cross").style.top = `${100 * this.at.y}%`;
  }

  // --- marks ---

  // Draws the hints; `chosen` is the index of the one whose palette is open, or -1.
  marks(hints, chosen) {
    const had = document.activeElement?.dataset?.index;
    $("marks").replaceChildren(...hints.map((hint, index) => this.#mark(hint, index, chosen)));
    if (had !== undefined) $("marks").children[Math.min(had, hints.length - 1)]?.focus();
  }

  #mark(hint, index, chosen) {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.className = index === chosen ? "mark chosen" : "mark";
    mark.classList.toggle("keeps", Boolean(hint.keep));
    mark.dataset.index = index;
    mark.style.left = `${(100 * (hint.x + 0.5)) / this.size.width}%`;
    mark.style.top = `${(100 * (hint.y + 0.5)) / this.size.height}%`;
    mark.style.background = hint.rgb || hint.gray ? css(hint) : "transparent";
    mark.setAttribute("aria-label",
      `Correction ${index + 1}: Enter changes its color, arrow keys move it, Delete removes it`);
    this.#draggable(mark, index);
    mark.addEventListener("keydown", (event) => this.#markKey(event, hint, index));
    return mark;
  }

  #draggable(mark, index) {
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
      if (!moved) return;
      const [x, y] = this.#pixel(event);
      mark.style.left = `${(100 * (x + 0.5)) / this.size.width}%`;
      mark.style.top = `${(100 * (y + 0.5)) / this.size.height}%`;
    });
    mark.addEventListener("pointerup", (event) => {
      if (start && moved) this.on.move(index, ...this.#pixel(event));
      start = null;
    });
    mark.addEventListener("click", () => { if (!moved) this.on.choose(index); });
  }

  #markKey(event, hint, index) {
    const step = Math.max(1, Math.round(0.01 * this.size.width));
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in ways) {
      const [right, down] = ways[event.key];
      this.on.move(index,
        clamp(hint.x + right, 0, this.size.width - 1), clamp(hint.y + down, 0, this.size.height - 1));
    } else if (event.key === "Delete" || event.key === "Backspace") this.on.drop(index);
    else return;
    event.preventDefault();
  }

  // The mean color that is shown around a place, of pixels as gray as it; null before there is one.
  shownAt(x, y) {
    const image = $("color");
    if (!image.naturalWidth) return null;
    const { naturalWidth: width, naturalHeight: height } = image;
    const reach = Math.max(1, Math.round(ROUND * Math.min(width, height)));
    const side = 2 * reach + 1;
    const pen = new OffscreenCanvas(side, side).getContext("2d");
    const left = Math.floor(((x + 0.5) * width) / this.size.width);
    const top = Math.floor(((y + 0.5) * height) / this.size.height);
    pen.drawImage(image, reach - left, reach - top);
    return meanOf(pen.getImageData(0, 0, side, side).data, side);
  }
}

const luma = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

// The mean of a circle in a square of pixels, RGBA; those off the picture are clear.
function meanOf(data, side) {
  const reach = (side - 1) / 2;
  const at = (index) => [...data.subarray(4 * index, 4 * index + 3)];
  const gray = luma(at((side * side - 1) / 2));
  const sum = [0, 0, 0];
  let count = 0;
  for (let index = 0; index < side * side; index += 1) {
    const far = Math.hypot((index % side) - reach, Math.floor(index / side) - reach) > reach;
    const rgb = at(index);
    if (far || !data[4 * index + 3] || Math.abs(luma(rgb) - gray) > LIKE) continue;
    rgb.forEach((value, channel) => { sum[channel] += value; });
    count += 1;
  }
  return sum.map((value) => Math.round(value / count));
}
