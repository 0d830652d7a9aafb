"""Pictures with all the metadata that their formats hold, and what exiftool reads of a file."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY = np.random.default_rng(0).integers(60, 200, (48, 61), np.uint8)
SUFFIXES = (".jpg", ".png", ".webp", ".tif")
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
needs_exiftool = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="exiftool is not installed"
)

WRITTEN = {
    "IFD0:Artist": "Zoë",
    "IFD0:ImageDescription": "Großmutter",
    "IFD0:Copyright": "(c) 1923",
    "IFD0:DocumentName": "Album 3",
    "IFD0:HostComputer": "scanner",
    "IFD0:Rating": 3,
    "IFD0:XPTitle": "Titel",
    "IFD0:XResolution": 600,
    "IFD0:YResolution": 600,
    "IFD0:ResolutionUnit": "inches",
    "ExifIFD:DateTimeOriginal": "1923:05:01 12:00:00",
    "ExifIFD:UserComment": "hello there",
    "ExifIFD:LensModel": "L",
    "GPS:GPSLatitude": 48.1,
    "GPS:GPSLatitudeRef": "North",
    "XMP-dc:Title": "Titel",
    "XMP-dc:Creator": "Zoë",
    "XMP-photoshop:City": "Köln",
}
IPTC = {"IPTC:Keywords": ["a", "b"], "IPTC:Caption-Abstract": "Caption", "IPTC:City": "Köln"}


def exiftool(*arguments: object) -> str:
    command = ["exiftool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def told(path: Path) -> dict:
    found = json.loads(exiftool("-j", "-G1", "-a", "-c", "%.4f", "-charset", "iptc=utf8", path))[0]
    assert not [key for key in found if key.endswith(("Warning", "Error"))], found
    return found


def scan(folder: Path, suffix: str, order: str = "MM") -> Path:
    """A file with all that the format holds, written by Pillow and exiftool."""
    path = folder / f"scan{suffix}"
    Image.fromarray(np.stack([GRAY] * 3, -1)).save(path, icc_profile=SRGB)
    tags = WRITTEN | (IPTC if suffix != ".webp" else {"IPTC:Keywords": []})
    given = [
        f"-{tag}={value}"
        for tag, some in tags.items()
        for value in (some if isinstance(some, list) else [some])
    ]
    options = ["-overwrite_original", f"-exifbyteorder={order}", "-codedcharacterset=utf8"]
    if suffix == ".webp":
        options.pop()
    if suffix == ".jpg":
        given += ["-Comment=by hand", "-JFIF:XResolution=600", "-JFIF:YResolution=600"]
    if suffix == ".png":
        given += ["-PNG:Title=Größe", "-PNG:PixelsPerUnitX=23622", "-PNG:PixelsPerUnitY=23622"]
    exiftool(*options, *given, path)
    return path


def kept(source: str) -> list[str]:
    """The tags of `scan` that a copy of such a file has, too."""
    return [*WRITTEN, *(IPTC if source != ".webp" else ())]


def check_kept(before: dict, after: dict, source: str, target: str) -> None:
    """What was told before is told of the copy."""
    assert {tag: before.get(tag) for tag in kept(source)} == {
        tag: after.get(tag) for tag in kept(source)
    }
    groups = ("ICC", "XMP-dc", "XMP-photoshop", "GPS", "IPTC")
    wanted = {key: value for key, value in before.items() if key.startswith(groups)}
    assert wanted == {key: value for key, value in after.items() if key in wanted}
    own = {"JFIF:XResolution", "File:Comment", "PNG:Title", "PNG-pHYs:PixelsPerUnitX"}
    same = {key: before[key] for key in own & before.keys()} if source == target else {}
    assert same == {key: after[key] for key in same}
