"""Pictures above the limit of memory become what smaller ones do, with every option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import prints

from residual_encoder.imaging import image_io, image_rows, rows, tiff_stream
from residual_encoder.inference import pages
from residual_encoder.inference.batch import BatchConfig, colorize_files


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A faded print with borders and alpha, sepia, and a plain scan of 16 bits."""
    gray = prints.u8(0.4 * prints.gray("china")[:150, :190] + 90)
    with_border = np.pad(gray, 20, constant_values=250)
    (tmp_path / "box").mkdir()
    image_io.write(tmp_path / "box" / "faded.png", with_border)
    sepia = prints.u8(prints.TINTS["sepia"](prints.gray("flower")[:120, :160]))
    image_io.write(tmp_path / "box" / "sepia.tif", sepia)
    deep = np.dstack([np.dstack([gray] * 3), np.full_like(gray, 255)]).astype(np.uint16) * 257
    deep[:9, :, 3] = 1000
    image_io.write(tmp_path / "box" / "deep.tif", deep)
    return tmp_path / "box"


@pytest.mark.parametrize(
    "options",
    [{"levels": True, "compare": True}, {"format": "jpeg", "compare": True}, {"format": "webp"}],
    ids=["levels", "jpeg", "webp"],
)
def test_all_options(
    options: dict, box: Path, soft_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def colored(folder: str) -> dict[str, np.ndarray]:
        output = box.with_name(folder)
        config = BatchConfig((str(box),), str(output), model=str(soft_weights), **options)
        assert colorize_files(config).failed == {}
        return {path.name: image_io.read(path).rgb for path in sorted(output.iterdir())}

    whole = colored("whole")
    monkeypatch.setattr(image_io, "IN_MEMORY", 100)
    for module, name in ((image_rows, "_STRIP"), (tiff_stream, "_STRIP"), (rows, "BLOCK")):
        monkeypatch.setattr(module, name, 3000)
    joined = []
    beside = pages.beside_gray
    monkeypatch.setattr(pages, "beside_gray", lambda *a: joined.append(beside(*a)) or joined[-1])
    with monkeypatch.context() as patch:
        patch.setattr(rows.Rows, "__array__", None)  # nothing may take all rows at once
        output = box.with_name("large")
        config = BatchConfig((str(box),), str(output), model=str(soft_weights), **options)
        assert colorize_files(config).failed == {}
    monkeypatch.undo()
    assert all(isinstance(pair, rows.Rows) for pair in joined)
    assert len(joined) == (3 if "compare" in options else 0)
    large = {path.name: image_io.read(path).rgb for path in sorted(output.iterdir())}
    assert list(large) == list(whole)
    for name, pixels in large.items():
        np.testing.assert_array_equal(pixels, whole[name], err_msg=name)
