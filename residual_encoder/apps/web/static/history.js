// What was done to a picture, corrections and settings, and the way back: one gesture is one step.

import { keyOf, look } from "./shared.js";

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

// Changes how a picture is wanted, by parts of its look. What one gesture changes is one step.
export function change(item, part, gesture = null) {
  if (!gesture || gesture !== item.gesture) item.past.push(look(item));
  item.gesture = gesture;
  item.future = [];
  Object.assign(item, part);
}

// Goes a step back, or one forward again. -> whether there was one
export function step(item, back) {
  const [from, to] = back ? [item.past, item.future] : [item.future, item.past];
  if (!from.length) return false;
  to.push(look(item));
  Object.assign(item, from.pop());
  item.gesture = null;
  return true;
}

// Takes back corrections that the server refused, and the steps that lead to them. -> whether there were any
export function reject(item) {
  const refused = item.hints;
  item.hints = item.good;
  item.gesture = null;
  if (refused === item.good) return false;
  for (const steps of ["past", "future"]) {
    item[steps] = item[steps].filter((one) => one.hints !== refused);
    while (item[steps].length && keyOf(item[steps].at(-1)) === keyOf(item)) item[steps].pop();
  }
  return true;
}

// Corrections that were downloaded or came from a file need not be asked about.
export const keep = (item) => { item.saved = JSON.stringify(item.hints); };
export const isUnsaved = (item) => item.hints.length > 0 && item.saved !== JSON.stringify(item.hints);
