// What the page tells: errors in a bar, one line under the picture, and questions.

import { $, state } from "./shared.js";

// Files call them hints, and the command line, too; the page calls them corrections.
const inWordsOfThePage = (text) => text.replace(/(?<![.\w])hint(s?)\b(?!\.)/g, "correction$1");

export function complain(error) {
  if (error.name === "AbortError") return;
  $("alert").firstElementChild.textContent = inWordsOfThePage(error.message || String(error));
  $("alert").hidden = false;
}

export const quiet = () => { $("alert").hidden = true; };
$("alert").querySelector("button").onclick = quiet;

export const say = (text) => { $("status").textContent = text; };

export function describe() {
  const { current } = state;
  say(current?.width ? `${current.name}, ${current.width} × ${current.height} pixels${kindOf(current)}` : "");
}

function kindOf({ pictures, others, in_color: inColor }) {
  const left = others ? `; the main one of ${others + 1} pictures of its file: the others are left out` : "";
  const first = pictures > 1 ? `; the first of ${pictures} pages or frames: the download has all of them` : left;
  return inColor ? `${first}; in color already: its colors are made anew` : first;
}

// Asks a question with two answers. -> whether it is to be done
export function confirmed(question, yes, no) {
  const box = $("question");
  box.querySelector("p").textContent = question;
  $("yes").textContent = yes;
  $("no").textContent = no;
  $("yes").onclick = () => box.close("yes");
  $("no").onclick = () => box.close("no");
  box.returnValue = "no"; // what Escape leaves
  box.showModal();
  return new Promise((answer) => {
    box.addEventListener("close", () => answer(box.returnValue === "yes"), { once: true });
  });
}
