// Colors of pictures that the page shows.

const ROUND = 0.012; // of the picture's shorter side: radius of the circle whose color is copied
const LIKE = 10; // gray levels: so near to that of the place, a pixel counts

// The mean color of an <img> around a place, in pixels of `size`, of pixels as gray as it there.
// -> [red, green, blue], or null before there is a picture; WebKit has none while the next one is loaded
export function meanAround(image, size, x, y) {
  if (!image.naturalWidth) return null;
  const { naturalWidth: width, naturalHeight: height } = image;
  const reach = Math.max(1, Math.round(ROUND * Math.min(width, height)));
  const side = 2 * reach + 1;
  const pen = new OffscreenCanvas(side, side).getContext("2d");
  const left = Math.floor(((x + 0.5) * width) / size.width);
  const top = Math.floor(((y + 0.5) * height) / size.height);
  pen.drawImage(image, reach - left, reach - top);
  return meanOf(pen.getImageData(0, 0, side, side).data, side);
}

const luma = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

// The mean of a circle in a square of pixels, RGBA; those off the picture are clear.
function meanOf(data, side) {
  const reach = (side - 1) / 2;
  const at = (index) => [...data.subarray(4 * index, 4 * index + 3)];
  const gray = luma(at((side * side - 1) / 2));
  const sum = [0, 0, 0];
  let count = 0;
  for (let index = 0; index < side * side; index += 1) {
    const far = Math.hypot((index % side) - reach, Math.floor(index / side) - reach) > reach;
    const rgb = at(index);
    if (far || !data[4 * index + 3] || Math.abs(luma(rgb) - gray) > LIKE) continue;
    rgb.forEach((value, channel) => { sum[channel] += value; });
    count += 1;
  }
  return count ? sum.map((value) => Math.round(value / count)) : null;
}
