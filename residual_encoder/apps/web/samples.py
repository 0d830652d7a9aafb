"""Gray photographs that visitors of the page can try."""

from __future__ import annotations

from pathlib import Path

from residual_encoder.data import sample_images
from residual_encoder.imaging import image_io


def write(folder: Path) -> dict[str, Path]:
    """Writes photographs that may be shown anywhere, gray.

    Args:
      folder: Made for them.

    Returns:
      Their names and files.
    """
    folder.mkdir()
    paths = {}
    for name, rgb in sample_images.page_photographs():
        paths[name] = folder / f"{name}.jpg"
        image_io.write(paths[name], sample_images.luma_u8(rgb))
    return paths
