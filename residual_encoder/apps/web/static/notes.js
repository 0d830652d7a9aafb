// Files of corrections come in: each belongs to the picture that its name tells.

import * as api from "./api.js";
import { stemOf } from "./shared.js";

// The name of the picture that a file is for: of NAME.hints.json, also as browsers number it.
function stemOfNotes(name) {
  const found = /^(.*)\.hints( ?\(\d+\))?\.json$/i.exec(name);
  return found ? found[1] : null;
}

// The picture that a file of corrections is for.
export function pictureOf(name, items, current) {
  const open = items.filter((one) => !one.film && one.grayUrl);
  const stem = stemOfNotes(name) ?? stemOf(name);
  const same = open.filter((one) => stemOf(one.name) === stem);
  if (same.length) return same.includes(current) ? current : same[0];
  const numbered = /^(.*) \((\d+)\)$/.exec(stem); // as the ZIP numbers pictures of one name
  const nth = numbered && open.filter((one) => stemOf(one.name) === numbered[1])[numbered[2] - 1];
  if (nth) return nth;
  if (stemOfNotes(name) === null && open.length === 1) return open[0];
  throw new api.Failure(whyNot(name, stemOfNotes(name)));
}

function whyNot(name, stem) {
  if (stem === null) return `${name} does not tell its picture: open the picture NAME, and name this file NAME.hints.json.`;
  return `${name} has the corrections of ${stem}, which is not open here. Open the picture ${stem} first, then drop its corrections again.`;
}

// Whether the name of a file of corrections tells the picture that takes them.
export const isNamedFor = (name, item) => (stemOfNotes(name) ?? stemOf(name)).startsWith(stemOf(item.name));

export async function readNotes(file) {
  let hints;
  try {
    hints = JSON.parse(await file.text());
  } catch {
    throw new api.Failure(`${file.name} is no file of corrections: it is no JSON.`);
  }
  return hints;
}
