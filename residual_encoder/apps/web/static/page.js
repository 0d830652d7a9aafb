// The page: files come in, one is shown and corrected, colored files go out.

import * as api from "./api.js";
import { Arrivals } from "./arrivals.js";
import { Editor } from "./editor.js";
import { pause, showFilm, watch } from "./films.js";
import { Gallery } from "./gallery.js";
import * as history from "./history.js";
import * as intake from "./intake.js";
import { complain, confirmed, describe, quiet, say } from "./messages.js";
import * as notes from "./notes.js";
import { Pictures } from "./pictures.js";
import { Saving } from "./saving.js";
import * as session from "./session.js";
import { $, state } from "./shared.js";

const gallery = new Gallery({ choose, away, remove: removed, changed: () => saving.tellReady() });
const pictures = new Pictures({ coloring, colored, settled, refused });
const editor = new Editor(pictures);
const saving = new Saving(gallery, pictures);
const arrivals = new Arrivals({ show, isBusy: () => editor.palette.open || document.querySelector("dialog[open]") });

// --- files come in ---

const isFilm = (file) => state.about.films.some((suffix) => file.name.toLowerCase().endsWith(suffix));
const isNotes = (file) => /\.json$/i.test(file.name);

const told = api.read("api/about"); // what the server takes: files wait for it

async function take(files) {
  await told;
  quiet();
  const fresh = [];
  for (const file of files.filter((one) => !isNotes(one))) {
    const lost = found(file);
    if (lost?.grayUrl) pictures.color(lost);
    else fresh.push(lost ?? gallery.add(file.name, isFilm(file), file));
  }
  if (fresh.length) document.body.classList.add("working");
  const batch = arrivals.begin(fresh);
  for (const item of fresh) {
    await open(item);
    arrivals.added(batch, item);
  }
  arrivals.end(batch);
  for (const file of files.filter(isNotes)) await takeNotes(file).catch(complain);
}

// The card of a file that was refused, or could not be given again by itself, takes the same file.
function found(file) {
  const lost = gallery.items.find(
    (one) => (one.lost || one.failed) && one.file?.name === file.name && one.file.size === file.size);
  if (lost) Object.assign(lost, { file, lost: false, failed: false, shown: null });
  return lost;
}

// `sent` where the server has the file since before the page was loaded again.
async function open(item, sent = false) {
  if (!gallery.items.includes(item)) return; // removed while it waited
  gallery.begin(item);
  gallery.note(item, item.film && !sent ? "Sending …" : "Coloring …");
  if (!state.current) say("Coloring …");
  try {
    if (!sent) Object.assign(item, await pictures.give(item));
    else if (item.film) Object.assign(item, await api.read(`api/films/${item.id}`));
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
  const part = await notes.readNotes(file);
  try {
    await pictures.withPart(item, part);
  } catch (error) {
    throw new api.Failure(`${file.name}: ${error.message}`);
  }
  history.change(item, part);
  history.keep(item);
  pictures.color(item); // what was changed meanwhile
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
  if (item === state.current) editor.colored();
}

function settled(item) {
  if (gallery.items.includes(item)) gallery.picture(item);
  editor.busy();
}

// What the server refuses is not kept; where it does not answer, the picture is colored when it is shown again.
function refused(item, error) {
  complain(error);
  if (error.status === 422 && history.reject(item) && item === state.current) editor.refused();
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
  item.asking?.abort();
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

const keep = () => session.keep(gallery.items, state.current);
addEventListener("pagehide", keep);
addEventListener("visibilitychange", keep); // phones end hidden tabs
addEventListener("beforeunload", (event) => {
  if (!keep() || gallery.items.some(history.isUnsaved)) event.preventDefault();
});

async function restore() {
  const items = session.restored(gallery, state.about.vividness !== null);
  if (items.length) document.body.classList.add("working");
  for (const item of items) await open(item, true);
}

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
  const about = (state.about = await told);
  $("limits").textContent = `(pictures up to ${about.megabytes} MB, films up to ${about.film_megabytes} MB)`;
  $("kept").textContent = `The server deletes files ${about.minutes} minutes after their last use.`;
  $("vividness-box").hidden = about.vividness === null;
  $("samples").querySelector("ul").replaceChildren(...about.samples.map(sample));
  document.body.dataset.ready = "yes";
  restore();
} catch (error) {
  complain(error);
}
