// Where the panel stands: next to the picture, else off the place that it is about.

import { $ } from "./shared.js";

const GAP = 16; // pixels
const isPhone = () => matchMedia("(max-width: 36rem)").matches;

// Puts the panel for a place, given in shares of the stage.
export function place(left, top) {
  $("stage").style.marginBottom = "";
  if (isPhone()) return bringIntoView(top); // there it is at the window's lower end
  const stage = $("stage").getBoundingClientRect();
  const box = $("palette").getBoundingClientRect();
  const x = across(left, stage, box);
  if (x === null) return below(stage, box);
  const end = Math.min(Math.max(stage.bottom, stage.top + box.height), innerHeight - 8) - stage.top;
  const y = Math.min(top * stage.height - 40, end - box.height);
  put(x, Math.max(y, Math.min(0, 8 - stage.top)));
}

const put = (x, y) => {
  $("palette").style.left = `${x}px`;
  $("palette").style.top = `${y}px`;
};

// Pixels from the left of the stage, or null where there is no room at either side.
function across(left, stage, box) {
  const wide = GAP + box.width + 8;
  if (innerWidth - stage.right >= wide) return stage.width + GAP;
  if (stage.left >= wide) return -GAP - box.width;
  if (stage.width < 2 * (box.width + 3 * GAP)) return null;
  return left < 0.5 ? stage.width - box.width - 8 : 8;
}

// Below the picture, and what comes after it makes room.
function below(stage, box) {
  put(Math.max(8 - stage.left, (stage.width - box.width) / 2), stage.height + 3.5 * GAP);
  $("stage").style.marginBottom = `${box.height + 4.5 * GAP}px`;
  const hidden = stage.bottom + 4.5 * GAP + box.height - innerHeight;
  if (hidden > 0) scrollBy(0, hidden);
}

// On a phone the panel covers the lower half of the window.
function bringIntoView(top) {
  const stage = $("stage").getBoundingClientRect();
  const above = innerHeight - $("palette").getBoundingClientRect().height;
  const y = stage.top + top * stage.height;
  if (y > 0.8 * above || y < 0) scrollBy(0, y - above / 2);
}
