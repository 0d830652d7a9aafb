"""Writes a still of a film, for the page."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from residual_encoder.imaging import image_io, video_io

WIDEST = 960  # pixels; the page shows it no wider


def write(film: Path) -> Path | None:
    """Writes a frame from the middle of a film as a JPEG in the film's folder.

    Args:
      film: A film as `colorize_video` writes it: upright.

    Returns:
      The file; None where the film gives no frame.
    """
    with contextlib.suppress(ValueError, OSError, FFmpegError), video_io.opened(film) as container:
        stream = video_io.picture_stream(container)
        image = None if stream is None else _middle(container, stream)
        if image is not None:
            path = film.with_name(f"{film.stem}.jpg")
            path.write_bytes(image_io.encode(_square(image, stream.sample_aspect_ratio), ".jpg"))
            return path
    return None


def _middle(container: Any, stream: Any) -> Any:
    """Returns the frame at which decoding begins for the middle of a film, or None."""
    with contextlib.suppress(FFmpegError):  # where it cannot be found, the first one
        container.seek((container.duration or 0) // 2)
    return next(container.decode(stream), None)


def _square(image: Any, aspect: Any) -> Any:
    """Returns a frame as uint8 [h, w, 3] of square pixels, at most `WIDEST` wide."""
    whole = image.width * float(aspect or 1)
    width = max(1, min(WIDEST, round(whole)))
    height = max(1, round(image.height * width / whole))
    return image.reformat(width, height, "rgb24").to_ndarray()
