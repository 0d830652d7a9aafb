"""Configures the coloring of many pictures and films; importing it loads no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from residual_encoder.inference import output_paths
from residual_encoder.inference.file_discovery import STANDARD

COLOR_INPUTS = ("skip", "recolor")


@dataclass(frozen=True)
class BatchConfig:
    """Configures the inputs and outputs of a batch.

    Attributes:
      inputs: Files, folders, globs and "-" for standard input; see `file_discovery.find`.
      output: Folder for the colored pictures; made if need be. What lies in an input folder keeps
        its place relative to that folder. For one input it may be a file, by its suffix; see
        `output_paths.is_file_name`. "-" is standard output, for one picture.
      model: See `Colorizer`.
      size: See `Colorizer`.
      saturation: See `Colorizer`.
      upsampling: See `Colorizer`.
      format: "keep" or a key of `output_paths.FORMATS`, for pictures. What a format that is asked
        for cannot hold is left out, with a note; see `output_fit`.
      compare: Whether NAME_compare, gray next to colored, is written too; for pictures.
      overwrite: Whether outputs that exist already are replaced. Inputs never are.
      skip_existing: Whether such outputs are skipped without a message. An earlier report is
        continued.
      report: File for one JSON object a line and input, as `FileReport` has it; or none.
      max_megapixels: The largest picture that is taken; None is 200. Larger ones are colored in
        rows, in bounded memory.
      vividness: See `Colorizer`.
      temperature: See `Colorizer`.
      prior_correction: See `Colorizer`.
      levels: See `Colorizer`; for pictures.
      color_inputs: One of `COLOR_INPUTS`: whether pictures that are in color already, by
        `color_detection.in_color`, are left out or colored anew.
      hints: File of hints for one picture, or folder with NAME.hints.json for each; see `hints`.
    """

    inputs: tuple[str, ...]
    output: str
    model: str | None = None
    size: int | str = "auto"
    saturation: float = 1.0
    upsampling: str = "guided"
    format: str = "keep"
    compare: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    report: str | None = None
    max_megapixels: float | None = None
    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None
    levels: bool = False
    color_inputs: str = "recolor"
    hints: str | None = None

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise ValueError("Existing outputs are replaced or skipped: choose one of the two.")
        output_paths.check_format(self.format)
        check_color_inputs(self.color_inputs)
        if self.output == str(STANDARD) and self.compare:
            raise ValueError("Standard output takes one picture; compare needs a folder.")


def check_color_inputs(choice: str) -> None:
    """Checks what is done with pictures in color.

    Raises:
      ValueError: it is none of `COLOR_INPUTS`.
    """
    if choice not in COLOR_INPUTS:
        raise ValueError(f"color_inputs is one of {', '.join(COLOR_INPUTS)}. Received {choice!r}.")
