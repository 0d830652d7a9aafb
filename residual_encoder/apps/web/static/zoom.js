// Zoom: the picture becomes larger than its frame, which then scrolls. Marks keep their size.

import { $ } from "./shared.js";

const STEP = 2; // of a button or a key
const MOST = 8; // of pictures that are no strips
const NOTCH = 200; // pixels of a wheel that double the size

const rect = (id) => $(id).getBoundingClientRect();
const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];
const spanOf = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
const centerOf = ([one, other]) => [(one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2];

export class Zoom {
  factor = 1; // of the size at which the whole picture is seen

  constructor() {
    $("larger").onclick = () => this.to(this.factor * STEP);
    $("smaller").onclick = () => this.to(this.factor / STEP);
    $("fit").onclick = () => this.to(1);
    for (const id of ["view", "zoom"]) $(id).addEventListener("keydown", (event) => this.#key(event));
    $("frame").addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#pinch();
    addEventListener("resize", () => this.to(this.factor));
  }

  // Sets the factor; the point of the window `at` keeps its place of the picture.
  to(factor, at = this.#anchor()) {
    const before = rect("stage");
    const [x, y] = [(at[0] - before.left) / before.width, (at[1] - before.top) / before.height];
    this.#size(factor);
    const after = rect("stage");
    $("frame").scrollLeft += after.left + x * after.width - at[0];
    $("frame").scrollTop += after.top + y * after.height - at[1];
  }

  // What a zoom without a pointer is about: the chosen mark, the cross, or what is in the middle.
  #anchor() {
    const about = $("marks").querySelector(".chosen") ?? ($("cross").hidden ? $("frame") : $("cross"));
    return middle(about.getBoundingClientRect());
  }

  #size(factor) {
    const style = $("stage").style;
    style.width = "";
    $("frame").classList.remove("zoomed");
    const { width, height } = rect("stage");
    const most = this.#most(Math.min(width, height));
    this.factor = factor < 1.01 ? 1 : Math.min(factor, most);
    $("frame").classList.toggle("zoomed", this.factor > 1);
    if (this.factor > 1) style.width = `${this.factor * width}px`;
    $("smaller").disabled = $("fit").disabled = this.factor === 1;
    $("larger").disabled = this.factor >= most;
  }

  // A strip may grow until its shorter side fills the window.
  #most(shorter) {
    return Math.max(MOST, Math.min(innerWidth, innerHeight) / Math.max(1, shorter));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") this.to(this.factor * STEP);
    else if (event.key === "-") this.to(this.factor / STEP);
    else if (event.key === "0") this.to(1);
    else return;
    event.preventDefault();
  }

  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const turned = Math.max(-NOTCH, Math.min(NOTCH, event.deltaY));
    this.to(this.factor * 2 ** (-turned / NOTCH), [event.clientX, event.clientY]);
  }

  #pinch() {
    let start = null; // span and factor when the second finger came
    const pinched = (event) => {
      const { touches } = event;
      if (touches.length !== 2) { start = null; return; }
      event.preventDefault();
      start ??= { span: spanOf(touches), factor: this.factor };
      this.to((start.factor * spanOf(touches)) / start.span, centerOf(touches));
    };
    for (const kind of ["touchstart", "touchmove", "touchend", "touchcancel"]) {
      $("frame").addEventListener(kind, pinched, { passive: false });
    }
  }
}
