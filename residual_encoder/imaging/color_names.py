"""Names of the color spaces and grays of `colorspace`, for modules that do without TensorFlow."""

COLOR_SPACES = ("yuv", "lab", "lab_luma", "hsv")
GRAYS = ("mean", "luma", "lightness", "value")
