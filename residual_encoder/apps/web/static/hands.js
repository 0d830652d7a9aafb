// Whether keys or a pointer are used: the class `keys` of the body, for hints and the picture's cross.

export const keyed = (on) => document.body.classList.toggle("keys", on);
export const isKeyed = () => document.body.classList.contains("keys");

addEventListener("keydown", (event) => { if (event.key === "Tab") keyed(true); }, true);
addEventListener("pointerdown", () => keyed(false), true);
