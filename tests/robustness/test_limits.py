"""Input from outside is checked before it is used: calls in the code, sizes of pictures."""

from __future__ import annotations

import ast
import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from helpers.pictures import saved, tiff

from residual_encoder.imaging import image_headers, image_io

# --- our own habits -------------------------------------------------------------------------------


# A use of one of these needs a comment on why it runs no foreign code.
NO_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
NO_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "Lambda",
    "load_model",
    "enable_unsafe_deserialization",
    "deserialize_keras_object",
    "model_from_json",
    "mktemp",
    "system",
    "popen",
}


def sources() -> list[Path]:
    return sorted([*(ROOT / "residual_encoder").rglob("*.py"), *(ROOT / "tools").glob("*.py")])


def called(node: ast.Call) -> tuple[str, str]:
    """(owner, name) of each call: ("np", "load"), ("", "eval")."""
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        return getattr(owner, "id", getattr(owner, "attr", "")), node.func.attr
    return "", getattr(node.func, "id", "")


def faults(tree: ast.AST) -> list[str]:
    """What a source file does that could run code of others."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in NO_MODULES]
        if isinstance(node, ast.Call):
            owner, name = called(node)
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            plain = owner in ("", "builtins", "os", "keras", "layers", "models", "tempfile")
            if name in NO_CALLS and (plain or name not in ("compile", "system")):
                found.append(name)
            if owner in ("np", "numpy") and name == "load":
                safe = keywords.get("allow_pickle")
                if not (isinstance(safe, ast.Constant) and safe.value is False):
                    found.append(f"{owner}.{name} without allow_pickle=False")
            for risky in ("shell", "allow_pickle"):
                if getattr(keywords.get(risky), "value", False):
                    found.append(f"{risky}=True")
            if getattr(keywords.get("safe_mode"), "value", True) is False:
                found.append("safe_mode=False")
    return found


# A .keras file is read back to check it, from the bytes that were made of the network just before.
OWN_BYTES = {"keras_model": ["load_model"]}


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_nothing_runs_what_it_reads(path: Path) -> None:
    assert faults(ast.parse(path.read_text())) == OWN_BYTES.get(path.stem, [])


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from yaml import load",
        "eval('1')",
        "keras.layers.Lambda(len)",
        "np.load('a.npy')",
        "np.load('a.npy', allow_pickle=True)",
        "subprocess.run('ls', shell=True)",
        "keras.models.load_model('a', safe_mode=False)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert faults(ast.parse(code))


def test_no_network_has_a_layer_of_code() -> None:
    from residual_encoder import models
    from residual_encoder.recipes import RECIPES

    for name in ("cnn1", "cnn6"):
        config = models.build(RECIPES[name].network).to_json()
        assert "Lambda" not in config and "lambda" not in config


# --- headers --------------------------------------------------------------------------------------


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def by_opencv(suffix: str, picture: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, picture)
    if not done:
        pytest.skip(f"this OpenCV writes no {suffix}")
    return data.tobytes()


HEIGHT, WIDTH = 72, 90


KINDS: dict[str, Callable[[np.ndarray], bytes]] = {
    "jpeg": lambda p: saved(p, "JPEG"),
    "progressive": lambda p: saved(p, "JPEG", progressive=True),
    "png": lambda p: saved(p, "PNG"),
    "bmp": lambda p: saved(p, "BMP"),
    "gif": lambda p: saved(p, "GIF"),
    "tiff": lambda p: saved(p, "TIFF"),
    "tiff of others": lambda p: tiff(p, byteorder=">", photometric="rgb"),
    "bigtiff": lambda p: tiff(p, bigtiff=True, photometric="rgb"),
    "webp": lambda p: saved(p, "WEBP"),
    "webp lossless": lambda p: saved(p, "WEBP", lossless=True),
    "webp with exif": lambda p: saved(p, "WEBP", exif=b"II*\0\x08\0\0\0\0\0"),
    "jpeg 2000": lambda p: by_opencv(".jp2", p),
    "avif": lambda p: by_opencv(".avif", p),
    "ppm": lambda p: by_opencv(".ppm", p),
    "pam": lambda p: by_opencv(".pam", p),
    "pgm with a comment": lambda p: b"P5\n# by hand\n90 #!\n72\n255\n" + p[..., 0].tobytes(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_known_from_the_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = KINDS[kind](pixels(HEIGHT, WIDTH, 3))
    assert image_io.Opened(data).size == (HEIGHT, WIDTH)
    assert image_io.decode(data).pixels.shape[:2] == (HEIGHT, WIDTH)
    monkeypatch.setattr(image_io, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    monkeypatch.setattr(image_io.image_decoding, "pixels", None)  # nothing may be decoded
    with pytest.raises(ValueError, match="has 90 x 72 pixels"):
        image_io.decode(data)


def test_os2_bitmaps_have_short_sides() -> None:
    head = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    assert image_io.Opened(b"BM" + bytes(12) + head).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_sizes_in_a_tiff_the_one_that_is_decoded_counts(order: int) -> None:
    """Readers take the first or the last, of any whole type: what is decoded is what is checked."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, 1, value)

    def tiff(*sides: bytes) -> bytes:
        rest = [entry(258, 3, 8), entry(259, 3, 1), entry(262, 3, 1), entry(273, 4, 8)]
        entries = [*sides, *rest, entry(277, 3, 1), entry(278, 4, 50_000), entry(279, 4, 100)]
        return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)

    widths = [entry(256, 4, 60_000), entry(256, 3, 10)][::order]
    heights = [entry(257, 3, 10), entry(257, 4, 50_000)][::order]
    tiles = [entry(322, 4, 40_000), entry(323, 4, 30_000), entry(324, 4, 8), entry(325, 4, 100)]
    for data in (tiff(*widths, *heights), tiff(entry(256, 3, 10), entry(257, 3, 10), *tiles)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match="megapixels|damaged"):
            image_io.decode(data)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_a_size_hidden_behind_rubbish_in_a_jpeg_is_found() -> None:
    """libjpeg passes over bytes between segments."""
    jpeg = saved(pixels(HEIGHT, WIDTH, 3), "JPEG")
    rubbish = b"\0\xc0\0\x11\x08\0\x01\0\x01" + b"\xff\0" + b"\xff\xd0" + b"\xff\xff"
    at = jpeg.index(b"\xff\xdb")
    assert image_io.Opened(jpeg[:at] + rubbish + jpeg[at:]).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "start", [b"\x76\x2f\x31\x01", b"#?RADIANCE\n", b"\x59\xa6\x6a\x95", b"PF\n"]
)
def test_kinds_that_are_not_taken_reach_no_decoder(
    start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_io.image_decoding.libvips, "load", None)
    monkeypatch.setattr(image_io.image_decoding.rare_formats, "decode", None)
    with pytest.raises(ValueError, match="is no picture"):
        image_io.decode(start + bytes(100))


# --- what fuzzing found ---------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    size = struct.pack(">I", len(data) if length is None else length)
    return size + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_png_chunk_that_is_not_there_takes_no_memory() -> None:
    """72 bytes made OpenCV fill 4 GB in 14 seconds: it allocates what a chunk declares.

    Behind the end, too, where it keeps looking for pixels: 83 bytes, 1.7 GB.
    """
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    for parts in (
        head + chunk(b"tEXt", b"", length=0x7FFFFFFF) + chunk(b"IEND", b""),
        head + chunk(b"IEND", b"") + chunk(b"IDAT", b"", length=0x69093C69),
        head + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""),  # which size is meant?
        head + chunk(b"IDAT", b""),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match="damaged"):
            image_io.decode(image_headers.PNG + parts)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


@pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
def test_a_bigtiff_whose_directory_is_nowhere_is_damaged(offset: int) -> None:
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", offset)
    with pytest.raises(ValueError, match="damaged or truncated"):
        image_io.decode(data)


def test_a_header_of_endless_segments_is_left() -> None:
    with pytest.raises(ValueError, match="truncated JPEG"):
        image_io.decode(b"\xff\xd8" + b"\xff\xe0\0\x02" * 200_000)


# --- bytes ----------------------------------------------------------------------------------------


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    with open(path, "wb") as file:
        os.truncate(file.fileno(), image_io.MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(ValueError, match="long.png has more than 2,048 megabytes"):
        image_io.read(path)


def test_a_stream_is_read_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_io, "MAX_BYTES", 1000)
    assert image_io.read_stream(io.BytesIO(bytes(1000))) == bytes(1000)
    endless = io.BytesIO(bytes(5000))
    with pytest.raises(ValueError, match="has more than"):
        image_io.read_stream(endless)
    assert endless.tell() == 1001


PEAK = """
import resource, sys
from residual_encoder.imaging import image_io
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    image_io.read(sys.argv[1])
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("side", [14_000, 60_000])
def test_a_bomb_takes_no_more_than_its_pixels(side: int, tmp_path: Path) -> None:
    """A PNG of 30 to 500 kB: 196 megapixels are decoded within the bound, 3,600 are not begun."""
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(side // 8 + 1)) for _ in range(side)) + rows.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        image_headers.PNG + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *words, megabytes = done.stdout.splitlines()
    if side == 60_000:
        assert "has 60000 x 60000 pixels, 3600 megapixels; at most 200" in words[0]
        assert int(megabytes) < 16
    else:
        assert not words and int(megabytes) < image_io.BYTES_PER_PIXEL * side**2 // 2**20
