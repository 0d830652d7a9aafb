// Signs that a picture is being colored: at the picture and at its controls.

import { $ } from "./shared.js";

const LONG = 2000; // milliseconds after which work is told to those who hear the page, too

let waiting = null;
let told = false;

// Shows or hides the signs; quick work is not told, so that a drag of a control says nothing.
export function working(on) {
  document.body.classList.toggle("coloring", on);
  $("busy").hidden = !on;
  if (on) waiting ??= setTimeout(() => tell("Coloring …", true), LONG);
  else finished();
}

function finished() {
  clearTimeout(waiting);
  waiting = null;
  if (told) tell("Colored.", false);
}

function tell(text, begun) {
  $("work-told").textContent = text;
  told = begun;
}
