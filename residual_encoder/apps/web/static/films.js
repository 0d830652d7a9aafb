// Films: how far they are, and the colored ones to be played.

import * as api from "./api.js";
import { complain } from "./messages.js";
import { $, state } from "./shared.js";

const POLL = 700; // milliseconds between two looks at a film

// Follows a film until it is done, failed or removed from the gallery.
export async function watch(item, gallery) {
  try {
    while (gallery.items.includes(item)) {
      Object.assign(item, await api.read(`api/films/${item.id}`));
      gallery.note(item, textOf(item), item.state === "failed");
      if (item === state.current) showFilm();
      if (item.state === "done" || item.state === "failed") break;
      await new Promise((wake) => setTimeout(wake, POLL));
    }
    if (item.still) gallery.picture(item);
    if (item.state === "failed") complain(new api.Failure(item.error));
  } catch (error) {
    gallery.note(item, error.message, true);
    complain(error);
  }
}

function textOf(item) {
  if (item.state === "failed") return item.error;
  if (item.state === "done") return "Colored";
  if (item.state === "waiting") return "Waits for its turn";
  return item.total ? `${Math.min(item.frames, item.total)} of ${item.total} frames` : `${item.frames} frames`;
}

// With what could not be kept or read of the film, and whether this browser plays it.
function toldOf(item) {
  const told = [textOf(item), ...item.notes ?? []].join("; ");
  return item.unplayable ? `${told}. This browser does not play this kind of film; players of films do.` : told;
}

const isAtWork = (item) => item.state === "waiting" || item.state === "working";

export function showFilm() {
  const { current } = state;
  $("film-name").textContent = current.name;
  $("film-status").setAttribute("aria-busy", String(isAtWork(current))); // counts are not read aloud
  $("film-status").textContent = toldOf(current);
  const share = current.state === "done" ? 1 : current.frames / (current.total || Infinity);
  $("film-progress").value = Math.min(1, share);
  $("film-save").disabled = current.state !== "done";
  if (playing !== current.url) load(current);
}

let playing = null; // the address of the film in the player

// Puts a colored film into the player; one that is not colored yet leaves it empty.
function load({ state: stage, url, still }) {
  const player = $("film-player");
  playing = url;
  player.hidden = stage !== "done";
  $("film-still").hidden = true;
  $("film-progress").hidden = stage === "done";
  if (still) player.poster = still;
  if (stage === "done") player.src = url;
  else player.removeAttribute("src");
}

export const pause = () => $("film-player").pause();

// A kind of film that this browser does not play: one frame is seen.
$("film-player").onerror = () => {
  const { current } = state;
  if (!current?.film || !current.url || $("film-player").hidden) return;
  $("film-player").hidden = true;
  $("film-still").hidden = !current.still;
  if (current.still) $("film-still").src = current.still;
  current.unplayable = true; // told when it is shown again, too
  $("film-status").textContent = toldOf(current);
};

$("film-save").onclick = async () => {
  const { name, url } = state.current;
  if (await api.exists(url)) api.download(url, "");
  else complain(new api.Failure(`The colored film is no longer at the server. Give ${name} again.`));
};
