// Where the panel stands is for page.css: beside the picture, below it, or at the window's lower end.
// Here the place that it is about is kept in sight.

import { $ } from "./shared.js";

const ABOVE = 40; // pixels of the panel that are above its place

// Shows the panel and the place that is chosen in one window.
export function place() {
  const panel = $("palette");
  const mark = $("marks").querySelector(".chosen");
  const kind = getComputedStyle(panel).position;
  panel.style.marginTop = kind === "sticky" ? `${offset(panel, mark)}px` : "";
  document.documentElement.style.scrollPaddingBottom = kind === "fixed" ? `${panel.offsetHeight}px` : "";
  if (kind !== "fixed") panel.scrollIntoView({ block: "nearest" });
  mark?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function leave() {
  $("palette").style.marginTop = document.documentElement.style.scrollPaddingBottom = "";
}

// Pixels from the picture's top to the panel's, which does not reach below the picture.
function offset(panel, mark) {
  const frame = $("frame").getBoundingClientRect();
  const wanted = (mark?.getBoundingClientRect().top ?? frame.top) - frame.top - ABOVE;
  return Math.max(0, Math.min(wanted, frame.height - panel.offsetHeight));
}

let width = innerWidth; // a phone's height changes while one scrolls

addEventListener("resize", () => {
  if (innerWidth !== width && !$("palette").hidden) place();
  width = innerWidth;
});
