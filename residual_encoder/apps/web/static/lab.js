// CIE Lab and sRGB, D65, with the numbers of imaging/colorspace.py.

const WHITE = [0.950456, 1.0, 1.088754];

export function labToRgb(l, a, b) {
  const y = (l + 16) / 116;
  const [X, Y, Z] = [y + a / 500, y, y - b / 200].map(
    (f, k) => (f ** 3 > 0.008856 ? f ** 3 : (f - 16 / 116) / 7.787) * WHITE[k]);
  return [
    3.240479 * X - 1.53715 * Y - 0.498535 * Z,
    -0.969256 * X + 1.875991 * Y + 0.041556 * Z,
    0.055648 * X - 0.204043 * Y + 1.057311 * Z,
  ].map((light) => {
    const clipped = Math.min(1, Math.max(0, light));
    const code = clipped > 0.0031308 ? 1.055 * clipped ** (1 / 2.4) - 0.055 : 12.92 * clipped;
    return Math.round(code * 255);
  });
}

export function rgbToLab(rgb) {
  const [r, g, b] = rgb.map((value) => {
    const code = value / 255;
    return code > 0.04045 ? ((code + 0.055) / 1.055) ** 2.4 : code / 12.92;
  });
  const [x, y, z] = [
    0.412453 * r + 0.35758 * g + 0.180423 * b,
    0.212671 * r + 0.71516 * g + 0.072169 * b,
    0.019334 * r + 0.119193 * g + 0.950227 * b,
  ].map((part, k) => {
    const ratio = part / WHITE[k];
    return ratio > 0.008856 ? Math.cbrt(ratio) : 7.787 * ratio + 16 / 116;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

// A color at the lightness of another, as a place of that lightness shows it.
export function atLightnessOf(place, rgb) {
  const [, a, b] = rgbToLab(rgb);
  return labToRgb(rgbToLab(place)[0], a, b);
}

const NAMES = ["red", "orange", "yellow", "green", "teal", "cyan", "blue", "violet", "pink"];
const HUES = [25, 60, 95, 140, 185, 215, 270, 310, 350];

// A name for screen readers.
export function nameOf(rgb) {
  const [l, a, b] = rgbToLab(rgb);
  const strength = Math.hypot(a, b);
  const level = l < 35 ? "dark " : l > 75 ? "light " : "";
  if (strength < 7) return `${level}gray`;
  const hue = ((Math.atan2(b, a) * 180) / Math.PI + 360) % 360;
  const apart = (one) => Math.min(Math.abs(one - hue), 360 - Math.abs(one - hue));
  const nearest = HUES.reduce((best, one, k) => (apart(one) < apart(HUES[best]) ? k : best), 0);
  const name = NAMES[nearest];
  if (l < 55 && strength < 45 && (name === "orange" || name === "red")) return `${level}brown`;
  return `${level}${strength < 20 ? "pale " : ""}${name}`;
}
