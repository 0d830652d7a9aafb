// What is chosen, dropped or pasted becomes a list of files; folders are looked through.

import * as api from "./api.js";
import { state } from "./shared.js";

const MOST = 200; // files of one folder

const knownSuffixes = () => [...state.about.pictures, ...state.about.films, ".json"];
const isKnown = (name) => knownSuffixes().some((suffix) => name.toLowerCase().endsWith(suffix));

// Files of what was dropped. Entries must be taken before the first `await`: they are gone then.
export async function dropped(transfer) {
  const parts = [...transfer.items].filter((one) => one.kind === "file");
  const entries = parts.map((one) => one.webkitGetAsEntry?.());
  const files = parts.map((one) => one.getAsFile());
  const found = [];
  for (const [index, entry] of entries.entries()) {
    if (entry?.isDirectory) await walk(entry, found);
    else if (files[index]) found.push(files[index]);
  }
  if (!found.length) throw new api.Failure(reason(entries.some((one) => one?.isDirectory)));
  return found;
}

function reason(isFolder) {
  if (isFolder) return "There are no pictures or films in the folder that this page can read.";
  return "This cannot be taken: drop files or folders from this computer. A picture of another page must be saved first: the page loads nothing from elsewhere.";
}

async function walk(folder, found) {
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((take, fail) => reader.readEntries(take, fail));
    if (!some.length) return;
    for (const entry of some.sort((one, other) => (one.name < other.name ? -1 : 1))) {
      if (found.length >= MOST) return;
      if (entry.isDirectory) await walk(entry, found);
      else if (isKnown(entry.name) && !entry.name.startsWith(".")) {
        found.push(await new Promise((take, fail) => entry.file(take, fail)));
      }
    }
  }
}

const mark = (on) => document.body.classList.toggle("dragging", on);

// Calls `take(files)`, or `complain(error)` where there is nothing to take.
export function listen(take, complain) {
  addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    dropped(event.dataTransfer).then(take).catch(complain);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take([...event.clipboardData.files]).catch(complain);
  });
  const input = document.getElementById("files");
  input.onchange = () => {
    take([...input.files]).catch(complain);
    input.value = "";
  };
}
