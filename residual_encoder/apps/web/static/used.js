// Colors that were chosen last, for other places and pictures. The tab keeps them until it is closed.

const KEY = "colors";
const MOST = 5;

// -> [[red, green, blue], ...], the newest first
export function usedColors() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

export function remember(rgb) {
  const others = usedColors().filter((one) => String(one) !== String(rgb));
  try {
    sessionStorage.setItem(KEY, JSON.stringify([rgb, ...others].slice(0, MOST)));
  } catch {
    // A browser that keeps nothing offers none.
  }
}
