// The picture that is shown: its places, their corrections, and the controls under it.

import * as api from "./api.js";
import * as history from "./history.js";
import { complain, describe, quiet, say } from "./messages.js";
import { Newest } from "./newest.js";
import { Palette } from "./palette.js";
import { $, state } from "./shared.js";
import { Stage } from "./stage.js";
import { working } from "./working.js";

const SEVERAL = "Corrections are for files of one picture: save this page or frame as a file of its own.";
const ON_BORDER = "The border of a print stays gray: choose a place inside the photograph.";

export class Editor {
  #chosen = -1; // index of the correction whose panel is open
  #pending = null; // a place without a color yet
  #picking = false;
  #asked = null; // the newest place that the server is asked about
  #likely = new Newest();

  constructor(pictures) {
    this.pictures = pictures;
    this.moves = new history.Gestures();
    this.stage = new Stage({
      place: (x, y) => this.#place(x, y),
      choose: (index) => this.#choose(index),
      move: (index, x, y) => this.#move(index, x, y),
      drop: (index) => this.#drop(index),
    });
    this.palette = new Palette({
      color: (part, gesture) => this.#setColor(part, gesture),
      pick: (on) => this.#pick(on),
      close: () => this.close(true),
      drop: () => this.#drop(this.#chosen),
    });
    this.#controls();
    this.#keys();
  }

  // --- what is shown ---

  show() {
    const { current } = state;
    this.stage.show(current);
    $("again").hidden = true;
    describe();
    this.refresh();
    this.busy();
    this.pictures.color(current); // where an earlier wish was not answered
  }

  refresh() {
    const { hints, past, future, saturation, vividness, faces } = state.current;
    showNumber("saturation", saturation);
    if (vividness !== null) showNumber("vividness", vividness);
    $("faces").checked = faces;
    const drawn = this.#pending ? [...hints, this.#pending] : hints;
    this.stage.marks(drawn, this.#pending ? hints.length : this.#chosen);
    $("undo").disabled = !past.length;
    $("redo").disabled = !future.length;
    $("clear").disabled = $("save-hints").disabled = !hints.length;
    $("tip").hidden = hints.length > 0;
    $("tip-after").hidden = !hints.length;
    this.palette.mark(hints[this.#chosen]);
  }

  busy() { working(Boolean(state.current?.coloring || state.current?.trying)); }

  // A new coloring of the picture that is shown.
  colored() {
    this.stage.color(state.current.colorUrl);
  }

  // The picture is wanted otherwise, as the server refused the last change.
  refused() {
    this.close();
    this.pictures.color(state.current);
  }

  #changed() {
    quiet();
    $("again").hidden = true;
    this.refresh();
    this.pictures.color(state.current);
  }

  #change(hints, gesture) {
    history.change(state.current, { hints }, gesture);
    this.#changed();
  }

  #step(back) {
    if (!state.current || state.current.film) return;
    this.close();
    if (history.step(state.current, back)) this.#changed();
  }

  // --- places ---

  #place(x, y) {
    if (this.#picking) return this.#copy({ rgb: this.stage.shownAt(x, y) });
    this.close();
    quiet();
    if (!this.#takes(x, y)) return;
    this.#pending = { x, y };
    this.stage.reveal(x, !state.current.hints.length);
    this.refresh();
    this.#offer(this.#pending, document.activeElement === $("surface") && $("surface").matches(":focus-visible"));
  }

  // Whether a place can have a color; where it cannot, the line under the picture tells why.
  #takes(x, y) {
    const { pictures, area: { top, bottom, left, right } } = state.current;
    const inside = left <= x && x < right && top <= y && y < bottom;
    if (pictures > 1) say(SEVERAL);
    else if (inside) describe();
    else say(ON_BORDER);
    return inside && !(pictures > 1);
  }

  #choose(index) {
    const hint = state.current.hints[index];
    if (this.#picking && hint) {
      return this.#copy(hint.keep ? { rgb: this.stage.shownAt(hint.x, hint.y) } : colorOf(hint));
    }
    if (!hint) return; // the place that the panel is open for
    this.close();
    this.#chosen = index;
    this.refresh();
    this.#offer(hint, true);
  }

  #move(index, x, y) {
    const { hints } = state.current;
    if (!this.#takes(x, y)) return this.refresh();
    if (this.#pending && index === hints.length) {
      this.#pending = { x, y };
      this.refresh();
      return this.#offer(this.#pending, false);
    }
    this.stage.reveal(x, false);
    const moved = hints.map((hint, at) => (at === index ? { ...hint, x, y } : hint));
    this.#change(moved, this.moves.of(`mark ${index}`));
  }

  #offer(place, withFocus) {
    const mine = (this.#asked = {});
    this.palette.show(withFocus);
    this.#likely.run(() => this.#found(place, mine));
  }

  async #found(place, mine) {
    const item = state.current;
    if (mine !== this.#asked || !this.palette.open) return;
    const body = { x: place.x, y: place.y, vividness: item.vividness };
    try {
      const found = await this.pictures.ask(item, (url) => api.send(`${url}/likely`, body));
      if (mine !== this.#asked || !this.palette.open) return;
      this.palette.offer(found, item.hints[this.#chosen], this.stage.shownAt(place.x, place.y));
    } catch (error) {
      if (mine !== this.#asked) return;
      this.close();
      complain(error);
    }
  }

  // --- colors ---

  #pick(on) {
    this.#picking = on;
    if (on) say("Choose the place of the picture, or the mark, that has the color.");
    else if (state.current) describe();
  }

  #copy(part) {
    this.palette.picking(false);
    if (!part.gray && !part.rgb) return;
    this.palette.follow(part);
    this.#setColor(part);
  }

  #setColor(part, gesture) {
    const { hints } = state.current;
    this.palette.took(part);
    if (this.#pending) {
      const hint = { ...this.#pending, ...part };
      this.#chosen = hints.length;
      this.#pending = null;
      this.#change([...hints, hint], gesture);
    } else if (this.#chosen >= 0) {
      const { x, y } = hints[this.#chosen];
      this.#change(hints.map((hint, at) => (at === this.#chosen ? { x, y, ...part } : hint)), gesture);
    }
  }

  #drop(index) {
    if (this.#pending || index < 0) return this.close(true);
    this.close();
    this.#change(state.current.hints.filter((_, at) => at !== index));
  }

  close(withFocus) {
    const focused = $("palette").contains(document.activeElement);
    this.palette.hide();
    this.#pending = null;
    this.#chosen = -1;
    if (state.current && !state.current.film) this.refresh();
    if (withFocus && focused) $("surface").focus({ preventScroll: true });
  }

  // --- controls ---

  #controls() {
    $("undo").onclick = () => this.#step(true);
    $("redo").onclick = () => this.#step(false);
    $("clear").onclick = () => {
      this.close();
      this.#change([]);
    };
    $("faces").onchange = () => this.#set({ faces: $("faces").checked });
    for (const name of ["saturation", "vividness"]) {
      $(name).addEventListener("pointerdown", () => this.moves.begin(name));
      $(name).oninput = () => this.#set({ [name]: Number($(name).value) }, this.moves.of(name));
    }
  }

  #set(part, gesture) {
    history.change(state.current, part, gesture);
    this.#changed();
  }

  #keys() {
    addEventListener("keydown", (event) => {
      if (document.querySelector("dialog[open]")) return; // a question is to be answered first
      if (event.key === "Escape" && this.palette.open) return this.close(true);
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !state.current || state.current.film) return;
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      this.#step(key === "z" && !event.shiftKey);
    });
  }
}

// Sets a slider, and the number beside it: one of a file may lie between the slider's steps, or beyond its end.
function showNumber(name, value) {
  $(name).value = value;
  $(name).setAttribute("aria-valuetext", value);
  $(`${name}-is`).textContent = value;
}

const colorOf = ({ gray, rgb }) => (gray ? { gray } : { rgb });
