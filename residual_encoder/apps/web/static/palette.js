// Where the color of a place is chosen: likely ones, those used last, gray, from the picture, or any on a wheel.

import { atLightnessOf, nameOf } from "./lab.js";
import { Mixer } from "./mixer.js";
import { leave, place } from "./placing.js";
import { $ } from "./shared.js";
import { remember, usedColors } from "./used.js";

const ASKING = $("asking").textContent;

export class Palette {
  #taken = null; // the color that was chosen since the panel was opened

  // `on` has: color(hint part, gesture), pick(on), close(), drop()
  constructor(on) {
    this.on = on;
    this.mixer = new Mixer((rgb, gesture) => on.color({ rgb }, gesture));
    $("close").onclick = $("done").onclick = () => on.close();
    $("neutral").onclick = () => this.#chosen({ gray: true });
    $("keep").onclick = () => this.#chosen({ keep: true });
    $("pick").onclick = () => this.picking($("pick").getAttribute("aria-pressed") !== "true");
    $("drop-mark").onclick = () => on.drop();
  }

  get open() { return !$("palette").hidden; }

  // Opens for the chosen mark; `withFocus` for the keyboard.
  show(withFocus) {
    $("likely").replaceChildren();
    $("used").replaceChildren();
    $("used-box").hidden = !usedColors().length;
    $("palette").hidden = false;
    document.body.classList.add("choosing");
    place();
    this.focusFirst = withFocus;
    if (withFocus) $("neutral").focus();
  }

  hide() {
    if (this.#taken) remember(this.#taken);
    this.#taken = null;
    $("palette").hidden = true;
    document.body.classList.remove("choosing");
    leave();
    this.picking(false);
  }

  // Marks the color that a correction has; without one there is nothing to remove.
  mark(hint) {
    $("drop-mark").hidden = !hint;
    $("neutral").setAttribute("aria-pressed", String(Boolean(hint?.gray)));
    $("keep").setAttribute("aria-pressed", String(Boolean(hint?.keep)));
    for (const button of [...$("likely").children, ...$("used").children]) {
      button.setAttribute("aria-pressed", String(button.dataset.rgb === String(hint?.rgb)));
    }
  }

  // What the server answers of a place, the correction that is there already, and what is seen there.
  offer({ colors, gray }, hint, seen) {
    const there = [gray, gray, gray].map((value) => 255 * value);
    const swatches = (some, name) => some.map((rgb, index) => this.#swatch(rgb, there, `${name} ${index + 1}`));
    $("likely").replaceChildren(...swatches(colors, "Likely color"));
    $("used").replaceChildren(...swatches(usedColors(), "Color used last"));
    if (this.focusFirst && document.activeElement === $("neutral")) $("likely").firstChild?.focus();
    this.mark(hint);
    this.mixer.place(gray);
    this.follow(hint || { rgb: seen });
  }

  // A color, and in its lower half what a place as dark or light as this one shows of it.
  #swatch(rgb, there, name) {
    const button = document.createElement("button");
    button.type = "button";
    const [bright, here] = [rgb, atLightnessOf(there, rgb)].map((one) => `rgb(${one.join(" ")})`);
    button.style.background = `linear-gradient(${bright} 50%, ${here} 50%)`;
    if (bright !== here) button.title = "Lower half: as this place shows it";
    button.dataset.rgb = String(rgb);
    button.setAttribute("aria-label", `${name}: ${nameOf(rgb)}`);
    button.onclick = () => this.#chosen({ rgb });
    return button;
  }

  // Sets the wheel and the sliders to the color of a correction.
  follow(part) {
    if (part.gray) this.mixer.set([128, 128, 128]);
    else if (part.rgb) this.mixer.set(part.rgb);
  }

  // Notes what was chosen; of a drag what it ends with is offered for other places.
  took(part) { this.#taken = part.rgb ?? null; }

  #chosen(part) {
    this.follow(part);
    this.on.color(part);
  }

  picking(on) {
    $("pick").setAttribute("aria-pressed", String(on));
    $("asking").textContent = on ? "Choose the place, or mark, that has it." : ASKING;
    this.on.pick(on);
  }
}
