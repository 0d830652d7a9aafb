// What is open outlives a reload: the tab keeps names and looks, and the server the files.

const KEY = "files";
const PARTS = [
  "id", "name", "film", "sample", "width", "height", "area", "pictures", "others", "in_color", "saturation", "vividness", "faces", "hints", "saved",
];

// Keeps what is open in this tab until it is closed. -> whether all of it could be kept
export function keep(items, current) {
  const open = items.filter((one) => !one.failed || one.lost);
  const sent = open.filter((one) => one.id);
  try {
    sessionStorage.setItem(KEY, JSON.stringify(sent.map((one) => entryOf(one, one === current))));
  } catch {
    return !open.length;
  }
  return sent.length === open.length;
}

const entryOf = (item, current) => ({
  ...Object.fromEntries(PARTS.map((part) => [part, item[part]])), size: item.file?.size, current,
});

// Puts the cards of what was kept into the gallery. -> them, the one that was shown first
export function restored(gallery, hasVividness) {
  const items = kept().map(({ name, film, sample, size, ...parts }) => {
    const item = gallery.add(name, film, sample ? null : { name, size }, sample);
    return Object.assign(item, parts, hasVividness ? {} : { vividness: null });
  });
  return items.sort((one, other) => Number(other.current) - Number(one.current));
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}
