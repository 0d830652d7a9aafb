"""Writes a folder of pictures as TFRecord shards in the classic ImageNet format."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from residual_encoder import decoding, files, sources
from residual_encoder.colorspace import Tensor

JPEG_QUALITY = 95
READ_AHEAD = 256  # pictures in memory at most
RECORDS_A_SHARD = 1024  # where the number of shards is not given; ImageNet's has 1,251


@dataclass(frozen=True)
class ShardsConfig:
    """What to write where.

    Attributes:
      images: The folder of pictures; all below it are taken but hidden ones.
      output: The folder to write to; made if it does not exist.
      name: The split, "train" or "val": files are `<name>-00000-of-00016` and so on.
      shards: How many files, or None for one for every 1,024 pictures.
      resize: Longest short side in pixels; larger pictures are made smaller. None keeps all sizes.
      skip_gray: Leave out pictures without color.
      overwrite: Replace shards of this name.
    """

    images: str
    output: str
    name: str
    shards: int | None = None
    resize: int | None = None
    skip_gray: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w+", self.name):
            raise ValueError(f"name is {self.name!r}; use one word such as train or val")
        for setting in ("shards", "resize"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise ValueError(f"{setting} is {value}; at least 1 is needed")


@dataclass
class Summary:
    """What was written, and what was not.

    Attributes:
      found: Pictures in the folder.
      written: Records in all shards.
      gray: How many pictures have no color, whether written or not.
      skipped: Relative path -> why the picture was left out.
      shards: File name -> records and SHA-256.
      manifest: The JSON file that says the same.
    """

    found: int
    manifest: Path
    written: int = 0
    gray: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    shards: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Picture:
    relative: str
    jpeg: bytes
    height: int
    width: int
    gray: bool
    colorspace: str


# --- one picture ----------------------------------------------------------------------------------


def _whole(height: Tensor, width: Tensor) -> Tensor:
    return tf.stack([0, 0, height, width])


def _smaller(rgb: Tensor, resize: int | None) -> Tensor:
    height, width = rgb.shape[:2]
    if resize is None or min(height, width) <= resize:
        return rgb
    scale = resize / min(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    smooth = tf.image.resize(rgb, size, "bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(smooth), 0, 255), tf.uint8)


def _read(root: Path, relative: str, resize: int | None) -> _Picture:
    """Reads a picture; a JPEG that is used at its own size keeps its bytes.

    Other pictures become JPEG without chroma subsampling: color is what they are for.
    """
    contents = (root / relative).read_bytes()
    rgb = decoding.decode(contents, _whole)
    small = _smaller(rgb, resize)
    planes = int(tf.image.extract_jpeg_shape(contents)[2]) if tf.io.is_jpeg(contents) else 0
    keep = small is rgb and planes in (1, 3)
    jpeg = contents
    if not keep:
        jpeg = tf.io.encode_jpeg(small, quality=JPEG_QUALITY, chroma_downsampling=False).numpy()
    height, width = small.shape[:2]
    space = "Grayscale" if keep and planes == 1 else "RGB"
    return _Picture(relative, jpeg, height, width, bool(decoding.is_gray(small)), space)


def _try_read(root: Path, relative: str, resize: int | None) -> _Picture | str:
    """The picture, or why there is none."""
    try:
        return _read(root, relative, resize)
    except (OSError, ValueError, tf.errors.OpError) as error:
        return decoding.reason(error)


def _example(picture: _Picture) -> bytes:
    def text(value: str | bytes) -> tf.train.Feature:
        data = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    folders = picture.relative.split("/")[:-1]
    features = {
        "image/encoded": text(picture.jpeg),
        "image/format": text("JPEG"),
        "image/colorspace": text(picture.colorspace),
        "image/channels": number(1 if picture.colorspace == "Grayscale" else 3),
        "image/height": number(picture.height),
        "image/width": number(picture.width),
        "image/filename": text(picture.relative),
        "image/class/text": text(folders[0] if folders else ""),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


# --- all of them ----------------------------------------------------------------------------------


def _mixed(names: list[str]) -> list[str]:
    """An order without meaning that is the same on every run: by hash of the path."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def _existing(config: ShardsConfig) -> list[Path]:
    output = Path(config.output)
    shards = sorted(output.glob(f"{config.name}-?????-of-?????"))
    if shards and not config.overwrite:
        raise ValueError(
            f"{output} has {len(shards)} shards of {config.name} already; choose another output or"
            " name, or pass overwrite to replace them"
        )
    return shards


def _read_all(
    pool: ThreadPoolExecutor, config: ShardsConfig, names: list[str]
) -> Iterator[tuple[str, _Picture | str]]:
    """Pictures, or why there is none, in the order of the names; a few are read ahead."""
    root = Path(config.images)
    for first in range(0, len(names), READ_AHEAD):
        part = names[first : first + READ_AHEAD]
        read = pool.map(lambda name: _try_read(root, name, config.resize), part)
        yield from zip(part, read, strict=True)


def _write_shard(
    path: Path, pictures: Iterable[tuple[str, _Picture | str]], skip: bool, done: Summary
) -> None:
    count = 0
    with files.replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for relative, picture in pictures:
            if isinstance(picture, str):
                done.skipped[relative] = picture
                continue
            done.gray += picture.gray
            if picture.gray and skip:
                done.skipped[relative] = "no color"
                continue
            writer.write(_example(picture))
            count += 1
    done.written += count
    done.shards[path.name] = {"records": count, "sha256": files.sha256(path)}


def _write_manifest(config: ShardsConfig, done: Summary) -> None:
    manifest = {
        "name": config.name,
        "resize": config.resize,
        "found": done.found,
        "written": done.written,
        "gray": done.gray,
        "skipped": dict(sorted(done.skipped.items())),
        "shards": done.shards,
    }
    files.write_text(done.manifest, json.dumps(manifest, indent=2) + "\n")


def _found(config: ShardsConfig) -> list[str]:
    root = Path(config.images)
    if not root.is_dir():
        raise ValueError(f"images is {config.images}, which is no folder")
    names = sources.pictures_below(root)
    if not names:
        kinds = ", ".join(sorted(sources.PICTURE_SUFFIXES))
        raise ValueError(f"{root} holds no pictures ({kinds})")
    return _mixed(names)


def make_shards(config: ShardsConfig) -> Summary:
    """Writes shards and `<name>-manifest.json`, each file whole or not at all.

    Every picture is decoded once, so that nothing broken gets in; what is left out is named in the
    manifest. Files come in mixed order, the same one on every run.

    Raises:
      ValueError: no such folder, no pictures in it, none that can be used, or shards of this name
        are there already.
      OSError: the output cannot be written.
    """
    from tqdm import tqdm

    names = _found(config)
    old = _existing(config)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    done = Summary(len(names), output / f"{config.name}-manifest.json")
    count = min(config.shards or math.ceil(len(names) / RECORDS_A_SHARD), len(names))
    paths = [output / f"{config.name}-{k:05d}-of-{count:05d}" for k in range(count)]
    with ThreadPoolExecutor() as pool, tqdm(total=len(names), unit="picture") as bar:
        for number, path in enumerate(paths):
            pictures = _read_all(pool, config, names[number::count])
            _write_shard(path, pictures, config.skip_gray, done)
            bar.update(len(names[number::count]))
    _finish(config, done, paths, old)
    return done


def _finish(config: ShardsConfig, done: Summary, paths: list[Path], old: list[Path]) -> None:
    if not done.written:
        for path in paths:
            path.unlink()
        name, why = next(iter(done.skipped.items()))
        raise ValueError(f"none of the {done.found} pictures could be used; {name}: {why}")
    for path in set(old) - set(paths):  # of an earlier run with another number of shards
        path.unlink()
    _write_manifest(config, done)
