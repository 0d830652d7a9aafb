// The strip of all files that were given.

import { $, firstSettings } from "./shared.js";

function noteOf(item) {
  const count = item.hints.length;
  return count ? `Colored, ${count} correction${count > 1 ? "s" : ""}` : "Colored";
}

function playable() {
  const sign = document.createElement("span");
  sign.textContent = "▶";
  return sign;
}

export class Gallery {
  // `on` has: choose(item), away(item), remove(item), changed()
  constructor(on) {
    this.on = on;
    this.items = [];
    this.list = $("gallery").querySelector("ul");
  }

  add(name, film, file, sample) {
    const item = {
      name, film, file, sample, ...firstSettings(),
      hints: [], past: [], future: [], good: [], gesture: null, // see history.js
    };
    const [entry, button, away] = ["li", "button", "button"].map((tag) => document.createElement(tag));
    item.parts = { entry, button };
    for (const part of ["frame", "name", "note"]) {
      item.parts[part] = document.createElement("span");
      item.parts[part].className = part;
      button.append(item.parts[part]);
    }
    item.parts.frame.classList.toggle("film", film);
    this.begin(item);
    item.parts.frame.setAttribute("aria-hidden", "true");
    item.parts.name.textContent = name;
    item.parts.name.title = name;
    button.type = away.type = "button";
    button.onclick = () => this.on.choose(item);
    away.className = "away";
    away.textContent = "×";
    away.setAttribute("aria-label", `Remove ${name}`);
    away.onclick = () => this.on.away(item);
    entry.append(button, away);
    this.list.append(entry);
    this.items.push(item);
    this.#update();
    return item;
  }

  // What is seen of a file before there is a picture of it.
  begin({ film, parts: { frame } }) { frame.textContent = film ? "▶" : "…"; }

  remove(item) {
    this.items = this.items.filter((one) => one !== item);
    item.parts.entry.remove();
    this.#update();
    this.on.remove(item);
  }

  note(item, text, bad = false) {
    item.parts.note.textContent = text;
    item.parts.note.classList.toggle("bad", bad);
    this.on.changed();
  }

  picture(item) {
    let image = item.parts.frame.querySelector("img");
    if (!image) {
      image = document.createElement("img");
      image.alt = "";
      item.parts.frame.replaceChildren(image, ...item.film ? [playable()] : []);
    }
    image.src = item.film ? item.still : item.colorUrl;
    this.note(item, noteOf(item));
  }

  current(item) {
    for (const one of this.items) one.parts.button.setAttribute("aria-current", String(one === item));
  }

  #update() {
    $("gallery").hidden = !this.items.length;
    this.on.changed();
  }
}
