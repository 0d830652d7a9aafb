// Corrections of a picture, and the way back: one gesture is one step.

const PAUSE = 1000; // milliseconds between two keys of one control that are one step

// Tells apart the gestures of controls: a drag, or keys of one control without a pause.
export class Gestures {
  #token = null;
  #name = null;
  #last = 0;
  #held = false;

  constructor() {
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => this.#end(), true);
  }

  // A pointer went down on a control.
  begin(name) {
    this.#token = {};
    this.#name = name;
    this.#held = true;
  }

  #end() {
    if (this.#held) this.#name = null;
    this.#held = false;
  }

  // The gesture that a change of a control belongs to.
  of(name) {
    const now = performance.now();
    if (name !== this.#name || !(this.#held || now - this.#last < PAUSE)) this.#token = {};
    this.#name = name;
    this.#last = now;
    return this.#token;
  }
}

export function change(item, hints, gesture = null) {
  if (!gesture || gesture !== item.gesture) item.past.push(item.hints);
  item.gesture = gesture;
  item.future = [];
  item.hints = hints;
}

// Goes a step back, or one forward again. -> whether there was one
export function step(item, back) {
  const [from, to] = back ? [item.past, item.future] : [item.future, item.past];
  if (!from.length) return false;
  to.push(item.hints);
  item.hints = from.pop();
  item.gesture = null;
  return true;
}

// Takes back a change that the server refused.
export function reject(item) {
  item.hints = item.good;
  item.gesture = null;
  while (item.past.at(-1) === item.good) item.past.pop();
  item.future = item.future.filter((hints) => hints !== item.good);
}

// Corrections that were downloaded or came from a file need not be asked about.
export const keep = (item) => { item.saved = JSON.stringify(item.hints); };
export const isUnsaved = (item) => item.hints.length > 0 && item.saved !== JSON.stringify(item.hints);
