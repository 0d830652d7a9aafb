// Pictures at the server: given, colored, and given again when they were deleted there.

import * as api from "./api.js";
import { look, state } from "./shared.js";

export class Pictures {
  // `on` has: coloring(item), colored(item), refused(item, error)
  constructor(on) {
    this.on = on;
  }

  // Gives a picture or a film to the server.
  async give(item) {
    if (item.sample) return api.send(`api/samples/${item.sample}`);
    const most = item.film ? state.about.film_megabytes : state.about.megabytes;
    if (item.file.size > most * 2 ** 20) {
      const more = item.film ? "; the command colorize takes films of any size" : "";
      throw new api.Failure(`${item.name} is larger than ${most} MB${more}.`);
    }
    return api.give(item.film ? "api/films" : "api/pictures", item.file);
  }

  // Colors a picture for the first time.
  async develop(item) {
    item.vividness = state.about.vividness;
    item.grayUrl = await this.ask(item, (url) => api.picture(`${url}/gray`));
    item.good = item.hints;
    item.colorUrl = await this.ask(item, (url) => api.picture(`${url}/color`, look(item)));
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
      throw new api.Failure(`${item.name} is no longer at the server. Give it again: its corrections are kept.`, error.status);
    } finally {
      item.reviving = null;
    }
  }

  // Colors again; of each picture only the newest wish is answered.
  async color(item) {
    item.coloring?.abort();
    const mine = (item.coloring = new AbortController());
    const { hints } = item;
    this.on.coloring(item);
    try {
      const url = await this.ask(item, (base) => api.picture(`${base}/color`, look(item), mine.signal));
      if (mine === item.coloring) this.#took(item, url, hints);
    } catch (error) {
      if (mine === item.coloring) this.#failed(item, error);
    }
    if (mine !== item.coloring) return;
    item.coloring = null;
    this.on.colored(item);
  }

  #took(item, url, hints) {
    Object.assign(item, { colorUrl: url, good: hints, stale: false });
  }

  #failed(item, error) {
    item.stale = error.status !== 422; // colored again when it is shown
    this.on.refused(item, error);
  }

  // Colors with corrections of a file; a refusal changes nothing.
  async withHints(item, hints) {
    const wanted = { ...look(item), hints };
    const url = await this.ask(item, (base) => api.picture(`${base}/color`, wanted));
    item.coloring?.abort();
    item.coloring = null;
    this.#took(item, url, hints);
  }
}
