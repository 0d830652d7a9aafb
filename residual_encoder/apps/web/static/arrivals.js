// Tells of files that come in while another one is open: their cards may be out of sight.

import { $, keyOf, state } from "./shared.js";

const named = (items) => (items.length === 1 ? items[0].name : `${items.length} files`);

export class Arrivals {
  #newest = null;

  // `on` has: show(item), and isBusy() where a person is in the middle of something
  constructor(on) {
    this.on = on;
    $("arrived-close").onclick = () => this.#hide();
    $("arrived-show").onclick = () => this.#show(this.#newest.added.find((item) => !item.removed));
  }

  // Files begin to come in. -> what `added` and `end` take
  begin(items) {
    const open = state.current;
    const batch = { items, open, key: open && !open.film ? keyOf(open) : null, added: [], shown: !open };
    if (open && items.length) this.#tell(batch, `Adding ${named(items)} …`, false);
    return batch;
  }

  // A file of them has come in; the first is shown, but not to somebody who works at another one.
  added(batch, item) {
    if (item.failed || item.removed) return;
    batch.added.push(item);
    batch.shown ||= item === state.current;
    if (batch.shown || !this.#isIdle(batch)) return;
    batch.shown = true;
    this.#show(item);
  }

  end(batch) {
    if (batch !== this.#newest) return;
    const { added, shown } = batch;
    if (shown || !added.length) return this.#hide();
    this.#tell(batch, `${named(added)} ${added.length === 1 ? "is" : "are"} added.`, true);
  }

  #isIdle({ open, key }) {
    const unchanged = open === state.current && (open.film || key === keyOf(open));
    return unchanged && !this.on.isBusy();
  }

  #show(item) {
    this.#hide();
    if (!item) return;
    this.on.show(item);
    $(item.film ? "film" : "stage").scrollIntoView({ block: "nearest" });
  }

  #tell(batch, text, ready) {
    this.#newest = batch;
    $("arrived").firstElementChild.textContent = $("arrived-told").textContent = text;
    $("arrived-show").hidden = $("arrived-close").hidden = !ready;
    $("arrived").hidden = false;
  }

  #hide() { $("arrived").hidden = true; }
}
