"""The page and prints: the network does not see a border, which stays gray, as in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import prints

from residual_encoder.apps.web import preview
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer


@pytest.mark.parametrize(("color", "scale"), [(255, 1), (5, 1), (250, 4)])
def test_a_border_stays_gray_on_the_page(
    tmp_path: Path, soft_weights: Path, color: int, scale: int
) -> None:
    """Also where the preview is smaller than the picture."""
    colorizer = Colorizer(soft_weights)
    inner = np.kron(prints.u8(prints.gray("coffee")), np.ones((scale, scale), np.uint8))
    width = 30 * scale
    image_io.write(tmp_path / "print.png", prints.framed(inner, color, (width,) * 4))
    shown = preview.make_preview(colorizer, tmp_path / "print.png")
    pixels = preview.render_preview(colorizer, shown, 1.0).astype(int)
    top, bottom, left, right = shown.area
    factor = shown.height / len(pixels)
    assert abs(top - width / factor) <= 2 and abs(left - width / factor) <= 2
    outside = np.ones(pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.ptp(pixels[outside], axis=-1).max() == 0
    assert np.ptp(pixels[top:bottom, left:right], axis=-1).mean() > 3
    written = preview.render_full_size(colorizer, shown, 1.0, tmp_path)
    wanted = colorizer.colorize(tmp_path / "print.png")
    np.testing.assert_array_equal(image_io.read(written).pixels, wanted)
    np.testing.assert_array_equal(
        wanted[width:-width, width:-width], colorizer.colorize(np.ascontiguousarray(inner))
    )
