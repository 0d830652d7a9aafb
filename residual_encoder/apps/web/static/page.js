// The page: files come in, one is shown and corrected, colored files go out.

import * as api from "./api.js";
import { Gallery } from "./gallery.js";
import { Palette } from "./palette.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const POLL = 700; // milliseconds between two looks at a film

const gallery = new Gallery({ choose: show, remove: removed });
let about = { films: [], samples: [], megabytes: 0, film_megabytes: 0, vividness: null };
let current = null; // the item that is shown
let chosen = -1; // index of the hint whose palette is open
let pending = null; // a place without a color yet
let picking = false;
let waiting = null; // AbortController of the coloring under way

// --- messages ---

function complain(error) {
  if (error.name === "AbortError") return;
  $("alert").firstElementChild.textContent = error.message || String(error);
  $("alert").hidden = false;
}
$("alert").querySelector("button").onclick = () => { $("alert").hidden = true; };
const say = (text) => { $("status").textContent = text; };
const describe = () => say(current?.width ? `${current.name}, ${current.width} × ${current.height} pixels` : "");

// --- files come in ---

async function take(files) {
  $("alert").hidden = true;
  const list = [...files];
  const notes = list.filter((file) => /\.json$/i.test(file.name));
  const rest = list.filter((file) => !notes.includes(file));
  const items = rest.map((file) => gallery.add(file.name, isFilm(file), file));
  if (items.length) document.body.classList.add("working");
  for (const item of items) await open(item);
  for (const file of notes) await takeHints(file).catch(complain);
}

const isFilm = (file) => about.films.some((suffix) => file.name.toLowerCase().endsWith(suffix));

async function open(item) {
  const most = item.film ? about.film_megabytes : about.megabytes;
  try {
    if (item.file && item.file.size > most * 2 ** 20) {
      const more = item.film ? "; the command colorize takes films of any size" : "";
      throw new api.Failure(`${item.name} is larger than ${most} MB${more}.`);
    }
    gallery.note(item, item.film ? "Sending …" : "Coloring …");
    if (!current) say("Coloring …");
    const answer = item.sample
      ? await api.send(`api/samples/${item.sample}`)
      : await api.give(item.film ? "api/films" : "api/pictures", item.file);
    item.file = null;
    Object.assign(item, answer);
    if (item.film) watch(item);
    else await develop(item);
    if (!current || current.failed) show(item);
  } catch (error) {
    item.failed = true;
    item.parts.frame.textContent = "!";
    gallery.note(item, error.message, true);
    say("");
    complain(error);
  }
}

async function develop(item) {
  const url = `api/pictures/${item.id}`;
  item.vividness = about.vividness;
  item.grayUrl = await api.picture(`${url}/gray`);
  item.colorUrl = await api.picture(`${url}/color`, look(item));
  gallery.picture(item);
}

const look = (item) => ({ saturation: item.saturation, vividness: item.vividness, hints: item.hints,
  faces: item.faces });

async function takeHints(file) {
  const stem = file.name.replace(/(\.hints)?( \(\d+\))?\.json$/i, "");
  const item = gallery.items.find((one) => !one.film && one.grayUrl && one.name.replace(/\.[^.]*$/, "") === stem)
    || (current && !current.film ? current : null);
  if (!item) throw new api.Failure(`${file.name}: open the picture first, then its corrections.`);
  let hints;
  try {
    hints = JSON.parse(await file.text());
  } catch {
    throw new api.Failure(`${file.name} is no file of corrections: it is no JSON.`);
  }
  const before = item.hints;
  item.hints = hints;
  try {
    item.colorUrl = await api.picture(`api/pictures/${item.id}/color`, look(item));
  } catch (error) {
    item.hints = before;
    throw new api.Failure(`${file.name}: ${error.message}`);
  }
  item.past.push(before);
  item.future = [];
  gallery.picture(item);
  show(item);
}

function removed(item) {
  if (item.id) api.remove(`api/pictures/${item.id}`);
  if (item !== current) return;
  current = null;
  closePalette();
  const next = gallery.items.find((one) => !one.failed && (one.film || one.grayUrl));
  if (next) show(next);
  else {
    $("editor").hidden = $("film").hidden = true;
    if (!gallery.items.length) document.body.classList.remove("working");
  }
}

// --- one is shown ---

function show(item) {
  closePalette();
  if (item.failed || !(item.film || item.grayUrl)) return;
  current = item;
  gallery.current(item);
  $("editor").hidden = item.film;
  $("film").hidden = !item.film;
  if (item.film) return showFilm();
  stage.show(item);
  $("saturation").value = item.saturation;
  $("faces").checked = item.faces;
  if (item.vividness !== null) $("vividness").value = item.vividness;
  describe();
  refresh();
}

function refresh() {
  const drawn = pending ? [...current.hints, pending] : current.hints;
  stage.marks(drawn, pending ? drawn.length - 1 : chosen);
  $("undo").disabled = !current.past.length;
  $("redo").disabled = !current.future.length;
  $("clear").disabled = $("save-hints").disabled = !current.hints.length;
  $("tip").hidden = current.hints.length > 0;
  $("tip-after").hidden = !current.hints.length;
  palette.mark(current.hints[chosen]);
}

// Colors again; only the newest wish is answered.
async function recolor() {
  const item = current;
  waiting?.abort();
  waiting = new AbortController();
  const mine = waiting;
  $("busy").hidden = false;
  try {
    const url = await api.picture(`api/pictures/${item.id}/color`, look(item), mine.signal);
    if (mine !== waiting) return;
    item.colorUrl = url;
    item.made = null;
    if (item === current) stage.color(url);
    gallery.picture(item);
  } catch (error) {
    complain(error);
  } finally {
    if (mine === waiting) $("busy").hidden = true;
  }
}

function change(hints) {
  current.past.push(current.hints);
  current.future = [];
  current.hints = hints;
  refresh();
  return recolor();
}

function step(from, to) {
  if (!current || current.film || !from.length) return;
  closePalette();
  to.push(current.hints);
  current.hints = from.pop();
  refresh();
  recolor();
}

// --- hints ---

const stage = new Stage({
  place(x, y) {
    if (picking) {
      const rgb = stage.shownAt(x, y);
      palette.picking(false);
      if (rgb) setColor({ rgb });
      return;
    }
    closePalette();
    pending = { x, y };
    stage.reveal(x);
    refresh();
    offer(pending, document.activeElement === $("surface") && $("surface").matches(":focus-visible"));
  },
  choose(index) {
    closePalette();
    chosen = index;
    refresh();
    offer(current.hints[index], true);
  },
  move(index, x, y) {
    if (pending && index === current.hints.length) {
      pending = { x, y };
      refresh();
      offer(pending, false);
      return;
    }
    change(current.hints.map((hint, at) => (at === index ? { ...hint, x, y } : hint)));
  },
  drop: (index) => dropMark(index),
});

let asked = null; // the newest place
let own = null; // its color without corrections

async function offer(place, withFocus) {
  const mine = (asked = {});
  own = null;
  palette.show((place.x + 0.5) / current.width, (place.y + 0.5) / current.height, withFocus);
  try {
    const body = { x: place.x, y: place.y, vividness: current.vividness };
    const found = await api.send(`api/pictures/${current.id}/likely`, body);
    if (mine !== asked || !palette.open) return;
    own = found.own;
    palette.offer(found, current.hints[chosen]);
  } catch (error) {
    if (mine !== asked) return;
    closePalette();
    complain(error);
  }
}

const palette = new Palette({
  color: (part) => setColor(part),
  keep() {
    if (own) setColor({ rgb: own });
  },
  pick(on) {
    picking = on;
    if (on) say("Click the color in the picture.");
    else describe();
  },
  close: () => closePalette(true),
  drop: () => dropMark(chosen),
});

function setColor(part) {
  if (pending) {
    const hint = { ...pending, ...part };
    chosen = current.hints.length;
    pending = null;
    change([...current.hints, hint]);
  } else if (chosen >= 0) {
    const { x, y } = current.hints[chosen];
    change(current.hints.map((hint, at) => (at === chosen ? { x, y, ...part } : hint)));
  }
}

function dropMark(index) {
  if (pending || index < 0) return closePalette(true);
  closePalette();
  change(current.hints.filter((_, at) => at !== index));
}

function closePalette(withFocus) {
  const focused = $("palette").contains(document.activeElement);
  palette.hide();
  pending = null;
  chosen = -1;
  if (current && !current.film) refresh();
  if (withFocus && focused) $("surface").focus();
}

$("undo").onclick = () => step(current.past, current.future);
$("redo").onclick = () => step(current.future, current.past);
$("clear").onclick = () => { closePalette(); change([]); };
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || !current || current.film) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) step(current.future, current.past);
  else step(current.past, current.future);
});

$("faces").onchange = () => {
  current.faces = $("faces").checked;
  recolor();
};
for (const name of ["saturation", "vividness"]) {
  $(name).oninput = () => {
    current[name] = Number($(name).value);
    recolor();
  };
}

// --- colored files go out ---

async function made(item) {
  const key = JSON.stringify(look(item));
  if (item.made?.key !== key) {
    item.made = { key, ...await api.send(`api/pictures/${item.id}/file`, look(item)) };
  }
  return item.made;
}

async function busyButton(button, work) {
  const label = button.textContent;
  button.disabled = true;
  $("alert").hidden = true;
  try {
    await work((text) => { button.textContent = text; });
  } catch (error) {
    complain(error);
  } finally {
    button.textContent = label;
    button.disabled = false;
  }
}

$("save").onclick = () => busyButton($("save"), async (tell) => {
  tell("Making the file …");
  const file = await made(current);
  api.download(file.url, file.name);
});

$("save-hints").onclick = () => {
  const text = JSON.stringify(current.hints, null, 1);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  api.download(url, `${current.name.replace(/\.[^.]*$/, "")}.hints.json`);
};

$("zip").onclick = () => busyButton($("zip"), async (tell) => {
  const items = gallery.items.filter((one) => !one.failed && (one.film ? one.url : one.grayUrl));
  const files = [];
  for (const [index, item] of items.entries()) {
    tell(`Making file ${index + 1} of ${items.length} …`);
    files.push(item.film ? item.url : (await made(item)).url);
  }
  tell("Packing …");
  const hints = Object.fromEntries(
    items.filter((one) => one.hints.length).map((one) => [one.name, one.hints]));
  const zip = await api.send("api/zip", { files, hints });
  api.download(zip.url, zip.name);
});

// --- films ---

async function watch(item) {
  try {
    while (gallery.items.includes(item)) {
      Object.assign(item, await api.read(`api/films/${item.id}`));
      gallery.note(item, filmText(item), item.state === "failed");
      if (item === current) showFilm();
      if (item.state === "done" || item.state === "failed") break;
      await new Promise((wake) => setTimeout(wake, POLL));
    }
    if (item.state === "failed") complain(new api.Failure(item.error));
  } catch (error) {
    gallery.note(item, error.message, true);
    complain(error);
  }
}

function filmText(item) {
  if (item.state === "failed") return item.error;
  if (item.state === "done") return "Colored";
  if (item.state === "waiting") return "Waits for its turn";
  return item.total ? `${Math.min(item.frames, item.total)} of ${item.total} frames` : `${item.frames} frames`;
}

function showFilm() {
  $("film-name").textContent = current.name;
  $("film-status").textContent = filmText(current);
  const share = current.state === "done" ? 1 : current.frames / (current.total || Infinity);
  $("film-progress").value = Math.min(1, share);
  $("film-save").disabled = current.state !== "done";
}

$("film-save").onclick = () => api.download(current.url, "");

// --- drop, paste, choose ---

const mark = (on) => document.body.classList.toggle("dragging", on);
addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
addEventListener("drop", (event) => {
  event.preventDefault();
  mark(false);
  take(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});
$("files").onchange = () => {
  take($("files").files).catch(complain);
  $("files").value = "";
};

try {
  about = await api.read("api/about");
  $("limits").textContent = `(pictures up to ${about.megabytes} MB, films up to ${about.film_megabytes} MB)`;
  $("vividness-box").hidden = about.vividness === null;
  $("samples").querySelector("ul").replaceChildren(...about.samples.map((name) => {
    const [entry, button, image] = ["li", "button", "img"].map((tag) => document.createElement(tag));
    const title = name.replaceAll("_", " ");
    image.src = `samples/${name}`;
    image.alt = "";
    button.type = "button";
    button.append(image, title);
    button.onclick = () => {
      document.body.classList.add("working");
      open(gallery.add(`${name}.jpg`, false, null, name));
    };
    entry.append(button);
    return entry;
  }));
  document.body.dataset.ready = "yes";
} catch (error) {
  complain(error);
}
