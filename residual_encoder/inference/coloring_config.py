"""Holds the settings of coloring that folders and archives share; importing it loads no TensorFlow.

`apps.shared_flags.coloring` has a flag of the same name for each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from residual_encoder.inference import output_paths

COLOR_INPUTS = ("skip", "recolor")
# A hundredth of a full color becomes a full one; far above, float32 overflows.
MOST_SATURATION = 100.0
MOST_MEGAPIXELS = 1e6


def checked_saturation(saturation: Any) -> float:
    """Returns a factor on the colors as a float.

    Raises:
      ValueError: it is no number from 0 to `MOST_SATURATION`.
    """
    is_number = isinstance(saturation, Real) and not isinstance(saturation, bool)
    # NaN is not in the range; a whole number may be larger than any float.
    if not (is_number and 0 <= saturation <= MOST_SATURATION):
        raise ValueError(
            f"saturation must be 0 or more, and at most {MOST_SATURATION:g}. "
            f"Received {saturation!r}."
        )
    return float(saturation)


@dataclass(frozen=True, kw_only=True)
class ColoringConfig:
    """Configures how pictures and films are colored.

    Attributes:
      model: See `Colorizer`.
      size: See `Colorizer`.
      saturation: See `Colorizer`.
      upsampling: See `Colorizer`.
      vividness: See `Colorizer`.
      temperature: See `Colorizer`.
      prior_correction: See `Colorizer`.
      levels: See `Colorizer`; for pictures.
      faces: See `Colorizer`; for pictures of at most 200 megapixels.
      format: "keep" or a key of `output_paths.FORMATS`, for pictures. What a format that is asked
        for cannot hold is left out, with a note; see `output_fit`.
      max_megapixels: The largest picture that is taken; None is 200. Larger ones are colored in
        rows, in bounded memory.
      color_inputs: One of `COLOR_INPUTS`: whether pictures and shots of films that are in color
        already, by `color_detection.in_color`, are left as they are or colored anew.
    """

    model: str | None = None
    size: int | str = "auto"
    saturation: float = 1.0
    upsampling: str = "guided"
    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None
    levels: bool = False
    faces: bool = False
    format: str = "keep"
    max_megapixels: float | None = None
    color_inputs: str = "recolor"

    def __post_init__(self) -> None:
        checked_saturation(self.saturation)
        output_paths.check_format(self.format)
        if self.color_inputs not in COLOR_INPUTS:
            known = ", ".join(COLOR_INPUTS)
            raise ValueError(f"color_inputs is one of {known}. Received {self.color_inputs!r}.")
        if self.max_megapixels is not None and not 0 < self.max_megapixels <= MOST_MEGAPIXELS:
            raise ValueError(
                f"max_megapixels must be above 0, and at most {MOST_MEGAPIXELS:,.0f}. "
                f"Received {self.max_megapixels!r}."
            )

    @property
    def max_pixels(self) -> int | None:
        """Returns `max_megapixels` in pixels."""
        return None if self.max_megapixels is None else int(self.max_megapixels * 1e6)
