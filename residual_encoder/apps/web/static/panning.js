// A picture that is larger than its frame is drawn along with the mouse. Fingers scroll by themselves.

import { $ } from "./shared.js";

const STILL = 4; // pixels that a hand moves at a click

export class Panning {
  #last = null; // where the mouse was, while a button is down on the picture
  moved = false; // whether the press that ends now was a drag, and no click

  constructor(zoom) {
    this.zoom = zoom;
    const surface = $("surface");
    surface.addEventListener("pointerdown", (event) => this.#begin(event));
    surface.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      surface.addEventListener(end, () => { this.#last = null; });
    }
  }

  #begin(event) {
    this.moved = false;
    if (event.pointerType !== "mouse" || event.button || this.zoom.factor === 1) return;
    this.#last = [event.clientX, event.clientY];
    $("surface").setPointerCapture(event.pointerId);
  }

  #move({ clientX, clientY }) {
    if (!this.#last) return;
    const [right, down] = [clientX - this.#last[0], clientY - this.#last[1]];
    this.moved ||= Math.hypot(right, down) > STILL;
    if (!this.moved) return;
    $("frame").scrollBy(-right, -down);
    this.#last = [clientX, clientY];
  }
}
