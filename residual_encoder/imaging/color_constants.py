"""Numbers of the color spaces, for `colorspace` (tensors) and `array_colors` (arrays) alike."""

# JPEG File Interchange Format 1.02 (and ITU-R BT.601 luma), as in the author's script, which calls
# it YUV. Neutral chroma is 128/255, not 0.5: the script divides 8-bit values by 255.
LUMA = (0.299, 0.587, 0.114)
YUV_FROM_RGB = (
    LUMA,
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
YUV_NEUTRAL = 128 / 255

# sRGB to CIE XYZ, D65, IEC 61966-2-1; divided by the white point these are OpenCV's Lab constants.
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_FROM_XYZ = (
    (3.240479, -1.537150, -0.498535),
    (-0.969256, 1.875991, 0.041556),
    (0.055648, -0.204043, 1.057311),
)
WHITE = (0.950456, 1.0, 1.088754)
# CIE 15:2004, as OpenCV rounds them.
LAB_EPSILON, LAB_SLOPE, LAB_OFFSET = 0.008856, 7.787, 16 / 116

# Chroma of Lab is ab / 256 + 0.5, so that tanh networks, whose output is ab / 128, span [0, 1].
AB_SCALE = 256.0
