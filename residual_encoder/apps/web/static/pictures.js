// Pictures at the server: given, colored, and given again when they were deleted there.

import * as api from "./api.js";
import { Newest } from "./newest.js";
import { keyOf, look, state } from "./shared.js";

// Whether a file can still be read: Firefox and WebKit send one that was moved or cut without an end.
async function isThere(file) {
  const end = file.size ? file.slice(-1) : file; // in Chromium, one that is gone has a size of 0
  const last = await end.arrayBuffer().catch(() => null);
  return last?.byteLength === Math.min(1, file.size);
}

export class Pictures {
  // `on` has: coloring(item), whose `coloring` or `trying` has changed, colored(item), settled(item), refused(item, error)
  constructor(on) {
    this.on = on;
  }

  // Gives a picture or a film to the server.
  async give(item) {
    if (item.sample) return api.send(`api/samples/${item.sample}`);
    // After a reload only the name and size of a file are known.
    if (!(item.file instanceof Blob)) throw new api.Failure(`${item.name} is no longer at the server. Give it again.`);
    const most = item.film ? state.about.film_megabytes : state.about.megabytes;
    if (item.file.size > most * 2 ** 20) {
      const more = item.film ? "; the command colorize takes films of any size" : "";
      throw new api.Failure(`${item.name} is larger than ${most} MB${more}.`);
    }
    if (!await isThere(item.file)) throw new api.Failure(`${item.name} cannot be read any more: was it moved or changed? Give it again.`);
    return item.film ? api.giveFilm(item.file) : api.give(item.file);
  }

  // Colors a picture for the first time.
  async develop(item) {
    item.vividness ??= state.about.vividness;
    item.grayUrl = await this.ask(item, (url) => api.picture(`${url}/gray`));
    const wanted = look(item);
    this.#took(item, await this.ask(item, (url) => api.picture(`${url}/color`, wanted)), wanted);
  }

  // Asks something of a picture. One that the server has deleted is given again first.
  async ask(item, request) {
    const { id } = item;
    try {
      return await request(`api/pictures/${id}`);
    } catch (error) {
      if (error.status !== 410 || item.removed) throw error;
      if (item.id === id) await this.#revived(item);
      return request(`api/pictures/${item.id}`);
    }
  }

  async #revived(item) {
    item.reviving ??= this.give(item);
    try {
      Object.assign(item, await item.reviving, { lost: false });
    } catch (error) {
      item.lost = true; // its file was moved or changed: the same file may be given again
      const kept = item.hints.length ? ": its corrections are kept" : "";
      throw new api.Failure(`${item.name} is no longer at the server. Give it again${kept}.`, error.status);
    } finally {
      item.reviving = null;
    }
  }

  // Colors a picture as it is wanted now. While one coloring is made, changes wait, and of them the newest is
  // made next: each answer is shown, and the server has one request of a picture at a time.
  async color(item) {
    item.line ??= new Newest();
    item.coloring = true;
    this.on.coloring(item);
    if (!await item.line.run(() => this.#newest(item))) return;
    item.coloring = false;
    this.on.settled(item);
  }

  async #newest(item) {
    const wanted = look(item);
    const key = keyOf(wanted);
    if (item.removed || key === item.shown) return;
    item.asking = new AbortController();
    try {
      this.#took(item, await this.ask(item, (url) => api.picture(`${url}/color`, wanted, item.asking.signal)), wanted);
      this.on.colored(item);
    } catch (error) {
      // A newer wish may be taken: it decides.
      if (!item.removed && key === keyOf(item)) this.on.refused(item, error);
    }
  }

  // `shown` is the look that a picture is shown in, `good` the corrections that the server took last.
  #took(item, url, wanted) {
    if (item.replaced) URL.revokeObjectURL(item.replaced);
    Object.assign(item, { replaced: item.colorUrl, colorUrl: url, good: wanted.hints, shown: keyOf(wanted) });
  }

  // Colors with corrections of a file; a refusal changes nothing.
  async withPart(item, part) {
    const wanted = { ...look(item), ...part };
    item.trying = true;
    this.on.coloring(item);
    try {
      this.#took(item, await this.ask(item, (base) => api.picture(`${base}/color`, wanted)), wanted);
    } finally {
      item.trying = false;
      this.on.coloring(item);
    }
  }
}
