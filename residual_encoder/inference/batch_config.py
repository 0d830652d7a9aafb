"""Configures the coloring of many pictures and films; importing it loads no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from residual_encoder.inference.coloring_config import ColoringConfig
from residual_encoder.inference.file_discovery import STANDARD


@dataclass(frozen=True)
class BatchConfig(ColoringConfig):
    """Configures the inputs and outputs of a batch; how they are colored: see `ColoringConfig`.

    Attributes:
      inputs: Files, folders, globs and "-" for standard input; see `file_discovery.find`.
      output: Folder for the colored pictures; made if need be. What lies in an input folder keeps
        its place relative to that folder. For one input it may be a file, by its suffix; see
        `output_paths.is_file_name`. "-" is standard output, for one picture.
      compare: Whether NAME_compare, gray next to colored, is written too.
      overwrite: Whether outputs that exist already are replaced. Inputs never are.
      skip_existing: Whether such outputs are skipped without a message. An earlier report is
        continued.
      report: File for one JSON object a line and input, as `FileReport` has it; or none.
      start: Seconds that are left out at the beginning of films.
      end: Second at which films end; None is their own end.
      hints: File of hints for one picture, or folder with NAME.hints.json for each; see `hints`.
      engine: See `Colorizer`.
    """

    inputs: tuple[str, ...]
    output: str
    compare: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    report: str | None = None
    start: float = 0.0
    end: float | None = None
    hints: str | None = None
    engine: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overwrite and self.skip_existing:
            raise ValueError("Existing outputs are replaced or skipped: choose one of the two.")
        if self.output == str(STANDARD) and self.compare:
            raise ValueError("Standard output takes one picture; compare needs a folder.")
