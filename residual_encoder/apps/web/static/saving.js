// Colored files and corrections go out.

import * as api from "./api.js";
import { keep } from "./history.js";
import { complain, quiet } from "./messages.js";
import { notesOf } from "./notes.js";
import { $, look, state, stemOf } from "./shared.js";

const MOST_NAMES = 8; // of files that a ZIP lacks

async function busyButton(button, work) {
  const label = button.textContent;
  button.disabled = true;
  quiet();
  try {
    await work((text) => { button.textContent = text; });
  } catch (error) {
    complain(error);
  } finally {
    button.textContent = label;
    button.disabled = false;
  }
}

// A command whose flags stay in one piece where lines break.
function wordsOf(command) {
  const words = command.split(/ (?=-|'-)/).map((word) => {
    const part = document.createElement("span");
    part.textContent = word;
    return [part, " "];
  });
  return words.flat().slice(0, -1);
}

// The same settings for the command line, in a line under the buttons.
function tellAgain(before, command = "") {
  $("again").firstElementChild.textContent = before;
  $("again").lastElementChild.replaceChildren(...wordsOf(command));
  $("again").hidden = false;
}

// Whether a file can go into a ZIP.
const isReady = (one) => !one.failed && Boolean(one.film ? one.url : one.colorUrl);

function labelOf(ready, failed, all) {
  const waits = ready + failed < all;
  if (!ready) return `None of the ${all} files ${waits ? "is ready" : "could be colored"}`;
  return ready === all ? "Download all (ZIP)" : `Download ${ready} of ${all} files${waits ? " so far" : ""} (ZIP)`;
}

// What a ZIP lacks, in one sentence for each reason; empty where it lacks nothing.
function lacking(items, count) {
  const late = items.filter((one) => !one.failed).map((one) => one.name);
  const failed = items.filter((one) => one.failed).map((one) => one.name);
  if (!late.length && !failed.length) return "";
  const told = [`The ZIP has ${count} of ${count + items.length} files.`];
  if (late.length) told.push(`Not ready when it was made: ${listed(late)}.`);
  if (failed.length) told.push(`Not colored: ${listed(failed)}.`);
  return told.join(" ");
}

function listed(names) {
  const more = names.length - MOST_NAMES;
  return names.slice(0, MOST_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

export class Saving {
  #packing = false;

  constructor(gallery, pictures) {
    this.gallery = gallery;
    this.pictures = pictures;
    $("save").onclick = () => busyButton($("save"), (tell) => this.#one(tell));
    $("save-hints").onclick = () => this.#corrections(state.current).catch(complain);
    $("zip").onclick = () => this.#zip();
  }

  // The button for all files tells how many it would take.
  tellReady() {
    if (this.#packing) return;
    const { items } = this.gallery;
    const [ready, failed] = [isReady, (one) => one.failed].map((is) => items.filter(is).length);
    $("zip").hidden = items.length < 2;
    $("zip").disabled = !ready;
    $("zip").textContent = labelOf(ready, failed, items.length);
  }

  async #zip() {
    this.#packing = true;
    $("zip-told").textContent = "";
    await busyButton($("zip"), (tell) => this.#all(tell));
    this.#packing = false;
    this.tellReady();
  }

  // The file of a picture at full size, made again where its look has changed or it is gone.
  async #made(item) {
    const key = JSON.stringify(look(item));
    if (item.made?.key !== key || !await api.exists(item.made.url)) {
      const file = await this.pictures.ask(item, (url) => api.send(`${url}/file`, JSON.parse(key)));
      item.made = { key, ...file };
    }
    return item.made;
  }

  async #one(tell) {
    tell("Making the file …");
    const file = await this.#made(state.current);
    api.download(file.url, file.name);
  }

  async #flags(item) {
    return this.pictures.ask(item, (url) => api.send(`${url}/command`, look(item)));
  }

  async #corrections(item) {
    const url = URL.createObjectURL(new Blob([notesOf(item)], { type: "application/json" }));
    api.download(url, `${stemOf(item.name)}.hints.json`);
    keep(item);
    const { flags, command } = await this.#flags(item);
    if (flags.length) tellAgain("The same picture from the command line: ", command);
  }

  async #all(tell) {
    const items = this.gallery.items.filter(isReady);
    const others = this.gallery.items.filter((one) => !isReady(one));
    const most = state.about.most_in_zip;
    if (items.length > most) { // told before the work is done for nothing
      throw new api.Failure(`A ZIP takes up to ${most} files, and there are ${items.length}: remove some first.`);
    }
    const files = [];
    const hinted = []; // as they are in the ZIP: work goes on while it is made
    for (const [index, item] of items.entries()) {
      if (!this.gallery.items.includes(item)) continue; // removed meanwhile
      tell(`Making file ${index + 1} of ${items.length} …`);
      const { hints } = item;
      try {
        files.push([item, item.film ? item.url : (await this.#made(item)).url]);
      } catch (error) {
        if (this.gallery.items.includes(item)) throw error;
      }
      if (!item.film) hinted.push([item, hints]);
    }
    tell("Packing …");
    const left = files.filter(([item]) => this.gallery.items.includes(item));
    const zip = await api.send("api/zip", { files: left.map(([, url]) => url) });
    api.download(zip.url, zip.name);
    $("zip-told").textContent = lacking(others.filter((one) => !one.removed), left.length);
    for (const [item, hints] of hinted) if (item.hints === hints) keep(item);
    if (zip.commands) tellAgain("In the ZIP, commands.txt has the command that colors each picture the same.");
  }
}
