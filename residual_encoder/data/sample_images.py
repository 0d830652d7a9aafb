"""Pictures that may be shown anywhere: free photographs, and rendered scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from residual_encoder.data import scenes
from residual_encoder.imaging import array_colors, image_io

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # in color, bundled with scikit-image
SCENES = 6
SCENE_SEED = 2  # training and validation scenes have other seeds
SCENE_SIZE = 192  # pixels a side


def rendered() -> Iterator[tuple[str, np.ndarray]]:
    """Yields names and scenes that are in no split, uint8 [H, W, 3]."""
    for index in range(SCENES):
        yield f"scene-{index}", scenes.render(SCENE_SEED, index, SCENE_SIZE)


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Yields names and photographs, uint8 [H, W, 3]."""
    from skimage import data

    for name in PHOTOGRAPHS:
        yield name, getattr(data, name)()


def gallery_photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Yields the README's names and photographs, uint8 [H, W, 3]; `camera` is gray, [H, W].

    They come with scikit-image (no copyright), matplotlib (public domain) and scikit-learn
    (CC BY 2.0, Daniel Buechele and vultilion).

    Raises:
      ValueError: scikit-learn, which only this needs, is not installed.
    """
    try:
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise ValueError(
            "two of the gallery's photographs come with scikit-learn, which is not installed. "
            'Run: pip install ".[dev]"'
        ) from error
    from matplotlib import cbook
    from skimage import data

    yield from photographs()
    yield "china", load_sample_image("china.jpg")
    yield "flower", load_sample_image("flower.jpg")
    yield (
        "grace_hopper",
        image_io.read(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).pixels,
    )
    yield "camera", data.camera()


def page_photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Yields the names and photographs of the page, uint8 [H, W, 3] or [H, W].

    They come with packages that every installation has, scikit-image and matplotlib.
    """
    from matplotlib import cbook
    from skimage import data

    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    yield "grace_hopper", image_io.read(path).pixels
    yield from photographs()
    yield "camera", data.camera()


def luma_u8(rgb_u8: np.ndarray) -> np.ndarray:
    """Returns a photograph's luma: uint8 [H, W, 3], or [H, W] as it is -> uint8 [H, W]."""
    if rgb_u8.ndim == 2:
        return rgb_u8
    luma = array_colors.luma_gray(rgb_u8 / np.float32(255))[..., 0]
    return np.rint(luma * 255).astype(np.uint8)
