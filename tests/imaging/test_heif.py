"""HEIC: the right pixels with the optional package, and what to install without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residual_encoder.imaging import heif, image_io


def gray(height: int = 48, width: int = 64) -> np.ndarray:
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


@pytest.fixture
def package() -> object:
    return pytest.importorskip("pillow_heif")


def encoded(mode: str, pixels: np.ndarray, **options: object) -> bytes:
    import pillow_heif

    sides = pixels.shape[1], pixels.shape[0]
    picture = pillow_heif.from_bytes(mode, sides, np.ascontiguousarray(pixels).tobytes())
    path = Path(options.pop("path"))  # type: ignore[arg-type]
    picture.save(path, quality=-1, **options)  # without loss
    return path.read_bytes()


def test_gray_and_color(package: object, tmp_path: Path) -> None:
    picture = image_io.decode(encoded("L", gray(), path=tmp_path / "a.heic"))
    np.testing.assert_array_equal(picture.pixels, gray())
    colors = np.dstack([gray(), gray()[:, ::-1], gray()])
    picture = image_io.decode(encoded("RGB", colors, path=tmp_path / "b.heic", chroma=444))
    assert np.abs(picture.pixels.astype(int) - colors).max() <= 3  # through YCbCr of 8 bits


def test_alpha(package: object, tmp_path: Path) -> None:
    pixels = np.dstack([gray()] * 3 + [gray()[:, ::-1]])
    picture = image_io.decode(encoded("RGBA", pixels, path=tmp_path / "a.heic"))
    np.testing.assert_array_equal(picture.alpha, pixels[..., 3])


def test_10_bits_reach_from_black_to_white(package: object, tmp_path: Path) -> None:
    """The decoder leaves the samples in the upper bits of 16: its white is 65,472."""
    steps = np.tile(np.linspace(0, 1023, 64).astype(np.uint16), (48, 1))
    deep = np.stack([steps << 6] * 3, axis=-1)
    picture = image_io.decode(encoded("RGB;16", deep, path=tmp_path / "a.heic"))
    assert picture.depth == 16 and not picture.has_color
    wanted = np.rint(steps / 1023 * 65_535)
    assert np.abs(picture.pixels - wanted).max() <= 65  # one step of 10 bits
    assert picture.pixels[0, -1] == 65_535 and picture.pixels[0, 0] == 0


@pytest.mark.parametrize(("transfer", "told"), [(16, "HDR"), (18, "HDR"), (1, ""), (13, "")])
def test_hdr_is_refused(package: object, tmp_path: Path, transfer: int, told: str) -> None:
    """As PQ of cameras (.hif): taken for sRGB the picture would be pale and gray."""
    deep = np.stack([gray().astype(np.uint16) << 8] * 3, axis=-1)
    settings = {"transfer_characteristics": transfer, "matrix_coefficients": 1}
    settings |= {"color_primaries": 9, "full_range_flag": 1, "save_nclx_profile": True}
    data = encoded("RGB;16", deep, path=tmp_path / "a.heic", **settings)
    if told:
        with pytest.raises(ValueError, match=rf"an HDR picture \(transfer function {transfer} "):
            image_io.decode(data)
    else:
        assert np.abs(image_io.decode(data).rgb[..., 1] / 257 - gray()).max() <= 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_is_turned_once(package: object, tmp_path: Path, orientation: int) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[274], exif[315] = orientation, "the photographer"
    Image.fromarray(gray()).save(tmp_path / "a.heic", exif=exif.tobytes(), quality=-1)
    picture = image_io.read(tmp_path / "a.heic")
    quarters = {1: 0, 3: 2, 6: -1, 8: 1}[orientation]  # counterclockwise
    np.testing.assert_array_equal(picture.pixels, np.rot90(gray(), quarters))
    data = image_io.encode(picture.pixels, ".png", picture.metadata)
    (tmp_path / "b.png").write_bytes(data)
    with Image.open(tmp_path / "b.png") as written:
        assert written.getexif()[315] == "the photographer"
        assert written.getexif().get(274, 1) == 1


def test_a_size_beyond_the_limit(
    package: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded("L", gray(), path=tmp_path / "a.heic")
    monkeypatch.setattr(image_io, "MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match="has 64 x 48 pixels"):
        image_io.decode(data)


def test_damage_is_a_reason(package: object, tmp_path: Path) -> None:
    data = encoded("L", gray(), path=tmp_path / "a.heic")
    with pytest.raises(ValueError, match="is a damaged HEIC file"):
        image_io.decode(data[:200])


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "available", lambda: False)
    with pytest.raises(ValueError, match=r"is a HEIC file, .*: pip install pillow-heif"):
        image_io.decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypheix\0\0\0\0mif1heix", True),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", False),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", False),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", False),
        (b"\xff\xd8\xff", False),
    ],
)
def test_which_files_are_heic(head: bytes, wanted: bool) -> None:
    assert heif.is_heif(head) == wanted
