// Files of corrections come in: each belongs to the picture that its name tells.

import * as api from "./api.js";
import { firstSettings, state, stemOf } from "./shared.js";

// Settings that a file may have beside its corrections, and what is one; the server checks their ranges.
const SETTINGS = {
  saturation: Number.isFinite,
  vividness: Number.isFinite,
  faces: (value) => typeof value === "boolean",
};

// The text of a picture's file: a list of its corrections, or an object where its settings are not those of the command
// without flags.
export function notesOf({ hints, saturation, vividness, faces }) {
  const { vividness: first, given_vividness: given } = state.about;
  const settings = {
    ...saturation === 1 ? {} : { saturation },
    ...vividness === first ? (given === null ? {} : { vividness: given }) : { vividness },
    ...faces ? { faces } : {},
  };
  return JSON.stringify(Object.keys(settings).length ? { ...settings, hints } : hints, null, 1);
}

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

// What a file tells of how its picture is wanted: a list of corrections, or an object that has them and settings.
// Those that it does not have are the page's own at first, as they are the command's without a flag.
export async function readNotes(file) {
  let told;
  try {
    told = JSON.parse(await file.text());
  } catch {
    throw new api.Failure(`${file.name} is no file of corrections: it is no JSON.`);
  }
  if (!told?.hints) return { ...firstSettings(), hints: told }; // if it is no list, the server tells what is wanted
  const { hints, ...settings } = told;
  const wrong = Object.keys(settings).find((name) => !SETTINGS[name]?.(settings[name]));
  if (wrong) throw new api.Failure(`${file.name}: ${wrong} ${JSON.stringify(settings[wrong])} is no setting of a picture.`);
  return { ...firstSettings(), ...told };
}
