// The divider between gray and color. It lies over the frame of the picture, which may scroll in it.

import { $ } from "./shared.js";

const HANDLE = 24; // pixels that the handle's center keeps from the window's edges
const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
const clamp = (value, low, high) => Math.min(Math.max(high, low), Math.max(low, value));

export class Divider {
  at = 50; // percent of the picture that is gray

  constructor() {
    this.#drag();
    this.#keys();
    this.to(this.at);
    const seen = new ResizeObserver(() => this.place());
    seen.observe($("stage"));
    seen.observe($("frame"));
    $("frame").addEventListener("scroll", () => this.place());
    addEventListener("resize", () => this.place());
  }

  to(percent) {
    this.at = clamp(percent, 0, 100);
    $("divider").setAttribute("aria-valuenow", String(Math.round(this.at)));
    $("divider").setAttribute("aria-valuetext", `${Math.round(this.at)} % gray`);
    $("color").style.clipPath = `inset(0 0 0 ${this.at}%)`;
    this.place();
  }

  // Puts the line where it is seen; the handle stays within the window.
  place() {
    const [stage, frame, box] = ["stage", "frame", "box"].map((id) => $(id).getBoundingClientRect());
    const x = clamp(stage.left + (this.at / 100) * stage.width, frame.left, frame.right);
    $("divider").style.left = `${x - box.left}px`;
    const handle = clamp(x, HANDLE, document.documentElement.clientWidth - HANDLE);
    $("divider").firstElementChild.style.left = `calc(50% + ${handle - x}px)`;
  }

  #drag() {
    const handle = $("divider");
    const follow = (event) => {
      const stage = $("stage").getBoundingClientRect();
      this.to((100 * (event.clientX - stage.left)) / stage.width);
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
  }

  #keys() {
    $("divider").addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in STEPS) this.to(this.at + STEPS[event.key]);
      else if (event.key === "Home") this.to(0);
      else if (event.key === "End") this.to(100);
      else return;
      event.preventDefault();
    });
  }
}
