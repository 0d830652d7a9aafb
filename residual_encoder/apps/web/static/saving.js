// Colored files and corrections go out.

import * as api from "./api.js";
import { keep } from "./history.js";
import { complain, quiet } from "./messages.js";
import { $, look, state, stemOf } from "./shared.js";

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

export class Saving {
  constructor(gallery, pictures) {
    this.gallery = gallery;
    this.pictures = pictures;
    $("save").onclick = () => busyButton($("save"), (tell) => this.#one(tell));
    $("save-hints").onclick = () => this.#corrections(state.current).catch(complain);
    $("zip").onclick = () => busyButton($("zip"), (tell) => this.#all(tell));
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
    const text = JSON.stringify(item.hints, null, 1);
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    api.download(url, `${stemOf(item.name)}.hints.json`);
    keep(item);
    const { flags, command } = await this.#flags(item);
    if (flags.length) tellAgain("The file holds the corrections alone. Color the picture the same from the command line: ", command);
  }

  async #all(tell) {
    const items = this.gallery.items.filter((one) => !one.failed && (one.film ? one.url : one.grayUrl));
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
    for (const [item, hints] of hinted) if (item.hints === hints) keep(item);
    if (zip.commands) tellAgain("In the ZIP, commands.txt has the command that colors each picture the same.");
  }
}
