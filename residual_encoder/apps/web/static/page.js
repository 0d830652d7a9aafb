// The page: files come in, one is shown and corrected, colored files go out.

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { pause, showFilm, watch } from "./films.js";
import { Gallery } from "./gallery.js";
import * as history from "./history.js";
import * as intake from "./intake.js";
import { complain, confirmed, describe, quiet, say } from "./messages.js";
import * as notes from "./notes.js";
import { Pictures } from "./pictures.js";
import { Saving } from "./saving.js";
import { $, state } from "./shared.js";

const gallery = new Gallery({ choose, away, remove: removed });
const pictures = new Pictures({ coloring, colored, refused });
const editor = new Editor(pictures);
new Saving(gallery, pictures);

// --- files come in ---

const isFilm = (file) => state.about.films.some((suffix) => file.name.toLowerCase().endsWith(suffix));
const isNotes = (file) => /\.json$/i.test(file.name);

async function take(files) {
  quiet();
  const fresh = [];
  for (const file of files.filter((one) => !isNotes(one))) {
    if (!revived(file)) fresh.push(gallery.add(file.name, isFilm(file), file));
  }
  if (fresh.length) document.body.classList.add("working");
  for (const item of fresh) await open(item);
  for (const file of files.filter(isNotes)) await takeNotes(file).catch(complain);
}

// The card of a picture whose own file could not be given again by itself takes the same file.
function revived(file) {
  const lost = gallery.items.find((one) => one.lost && one.file?.name === file.name && one.file.size === file.size);
  if (!lost) return false;
  Object.assign(lost, { file, lost: false });
  pictures.color(lost);
  return true;
}

async function open(item) {
  if (!gallery.items.includes(item)) return; // removed while it waited
  gallery.note(item, item.film ? "Sending …" : "Coloring …");
  if (!state.current) say("Coloring …");
  try {
    Object.assign(item, await pictures.give(item));
    if (!item.film) await pictures.develop(item);
  } catch (error) {
    return failed(item, error);
  }
  if (!gallery.items.includes(item)) return forget(item);
  if (item.film) watch(item, gallery);
  else gallery.picture(item);
  if (!state.current) show(item);
}

const forget = (item) => { if (item.id) api.remove(`api/pictures/${item.id}`); };

function failed(item, error) {
  item.failed = true;
  if (!gallery.items.includes(item)) return;
  item.parts.frame.textContent = "!";
  gallery.note(item, error.message, true);
  describe();
  complain(error);
}

async function takeNotes(file) {
  const item = notes.pictureOf(file.name, gallery.items, state.current);
  const hints = await notes.readNotes(file);
  try {
    await pictures.withHints(item, hints);
  } catch (error) {
    throw new api.Failure(`${file.name}: ${error.message}`);
  }
  history.change(item, hints);
  history.keep(item);
  gallery.picture(item);
  show(item);
  if (!notes.isNamedFor(file.name, item)) say(`The corrections of ${file.name} are those of ${item.name} now.`);
}

// --- one is shown ---

// What an earlier step was told is done with when the visitor goes on to another.
function choose(item) {
  quiet();
  show(item);
}

function show(item) {
  editor.close();
  if (item.failed || !(item.film || item.colorUrl)) return;
  pause();
  state.current = item;
  gallery.current(item);
  $("editor").hidden = item.film;
  $("film").hidden = !item.film;
  if (item.film) showFilm();
  else editor.show();
}

function coloring(item) {
  if (item === state.current) editor.busy();
}

function colored(item) {
  item.made = null;
  if (!gallery.items.includes(item)) return;
  gallery.picture(item);
  if (item === state.current) editor.colored();
}

// What the server refuses is not kept; where it does not answer, the picture is colored again later.
function refused(item, error) {
  if (!item.stale) history.reject(item);
  if (item === state.current && !item.stale) editor.close();
  complain(error);
}

// --- one goes away ---

async function away(item) {
  const count = item.hints.length;
  const what = `${item.name} with its ${count} correction${count > 1 ? "s" : ""}`;
  if (count && !await confirmed(`Remove ${what}?`, "Remove", "Keep")) return;
  gallery.remove(item);
}

function removed(item) {
  item.removed = true;
  item.coloring?.abort();
  forget(item);
  if (item !== state.current) return;
  editor.close();
  pause();
  state.current = null;
  const next = gallery.items.find((one) => !one.failed && (one.film || one.colorUrl));
  if (next) return show(next);
  $("editor").hidden = $("film").hidden = true;
  if (!gallery.items.length) document.body.classList.remove("working");
}

addEventListener("beforeunload", (event) => {
  if (gallery.items.some(history.isUnsaved)) event.preventDefault();
});

// --- at first ---

function sample(name) {
  const [entry, button, image] = ["li", "button", "img"].map((tag) => document.createElement(tag));
  image.src = `samples/${name}`;
  image.alt = "";
  button.type = "button";
  button.append(image, name.replaceAll("_", " "));
  button.onclick = () => {
    document.body.classList.add("working");
    open(gallery.add(`${name}.jpg`, false, null, name));
  };
  entry.append(button);
  return entry;
}

intake.listen(take, complain);
try {
  const about = (state.about = await api.read("api/about"));
  $("limits").textContent = `(pictures up to ${about.megabytes} MB, films up to ${about.film_megabytes} MB)`;
  $("kept").textContent = `The server deletes files ${about.minutes} minutes after their last use.`;
  $("vividness-box").hidden = about.vividness === null;
  $("samples").querySelector("ul").replaceChildren(...about.samples.map(sample));
  document.body.dataset.ready = "yes";
} catch (error) {
  complain(error);
}
