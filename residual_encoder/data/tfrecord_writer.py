"""Writes a folder of pictures as TFRecord shards in the classic ImageNet format."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from residual_encoder.data import image_folder, preprocessing
from residual_encoder.imaging import tensor_resizing
from residual_encoder.utils import errors, files
from residual_encoder.utils.typing import Tensor

JPEG_QUALITY = 95
READ_AHEAD = 256  # pictures in memory at most
RECORDS_A_SHARD = 1024  # where the number of shards is not given; ImageNet's has 1,251


@dataclass(frozen=True)
class ShardsConfig:
    """Settings of the shards to write.

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
        """Checks name and ranges.

        Raises:
          ValueError: `name` is not one word, or a number is below 1.
        """
        if not re.fullmatch(r"\w+", self.name):
            raise ValueError(f"name is {self.name!r}; use one word such as train or val")
        for setting in ("shards", "resize"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise ValueError(f"{setting} is {value}; at least 1 is needed")


@dataclass
class Summary:
    """Counts of the pictures written and left out.

    Attributes:
      found: Pictures in the folder.
      written: Records in all shards.
      gray: How many pictures have no color, whether written or not.
      skipped: Relative path -> why the picture was left out.
      shards: File name -> records and SHA-256.
      manifest: The JSON file with the same contents.
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
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return tensor_resizing.resize_u8(rgb, *size)


def _read(root: Path, relative: str, resize: int | None) -> _Picture:
    """Reads a picture; a JPEG that is used at its own size keeps its bytes.

    Other pictures become JPEG without chroma subsampling: color is what they are for.
    """
    contents = (root / relative).read_bytes()
    rgb = preprocessing.decode(contents, _whole)
    small = _smaller(rgb, resize)
    planes = int(tf.image.extract_jpeg_shape(contents)[2]) if tf.io.is_jpeg(contents) else 0
    keep = small is rgb and planes in (1, 3)
    jpeg = contents
    if not keep:
        jpeg = tf.io.encode_jpeg(small, quality=JPEG_QUALITY, chroma_downsampling=False).numpy()
    height, width = small.shape[:2]
    space = "Grayscale" if keep and planes == 1 else "RGB"
    return _Picture(relative, jpeg, height, width, bool(preprocessing.is_gray(small)), space)


def _try_read(root: Path, relative: str, resize: int | None) -> _Picture | str:
    """Reads a picture, or returns why it cannot be read."""
    try:
        return _read(root, relative, resize)
    except (OSError, ValueError, tf.errors.OpError) as error:
        return errors.first_line(error)


def _example(picture: _Picture) -> bytes:
    def text(value: str | bytes) -> tf.train.Feature:
        data = os.fsencode(value)  # as it is in the folder, UTF-8 or not
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
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)  # else in any order of the features


# --- all of them ----------------------------------------------------------------------------------


def _mixed(names: list[str]) -> list[str]:
    """Sorts by hash of the path: mixed, but the same on every run."""
    return sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())


def existing(config: ShardsConfig) -> list[Path]:
    """Lists the shards of an earlier run.

    Raises:
      ValueError: there are some, and they are not to be replaced.
    """
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
    """Yields pictures, or why they cannot be read, in the order of the names, some read ahead."""
    root = Path(config.images)
    for first in range(0, len(names), READ_AHEAD):
        part = names[first : first + READ_AHEAD]
        read = pool.map(lambda name: _try_read(root, name, config.resize), part)
        yield from zip(part, read, strict=True)


def write_shard(config: ShardsConfig, path: Path, names: list[str]) -> Summary:
    """Writes one shard, whole or not at all.

    Args:
      config: The pictures and the shards.
      path: The shard.
      names: The pictures in it, relative to `config.images`.

    Returns:
      What became of these pictures.
    """
    done, count = Summary(len(names), manifest_of(config)), 0
    with (
        ThreadPoolExecutor() as pool,
        files.replacing(path) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for relative, picture in _read_all(pool, config, names):
            if isinstance(picture, str):
                done.skipped[relative] = picture
                continue
            done.gray += picture.gray
            if picture.gray and config.skip_gray:
                done.skipped[relative] = "no color"
                continue
            writer.write(_example(picture))
            count += 1
    done.written = count
    done.shards[path.name] = {"records": count, "sha256": files.sha256(path)}
    return done


def manifest_of(config: ShardsConfig) -> Path:
    """Returns the path of a split's manifest."""
    return Path(config.output) / f"{config.name}-manifest.json"


def to_json(config: ShardsConfig, done: Summary) -> str:
    """Writes the manifest, of all shards or of some, as JSON."""
    manifest = {
        "name": config.name,
        "resize": config.resize,
        "found": done.found,
        "written": done.written,
        "gray": done.gray,
        "skipped": dict(sorted(done.skipped.items())),
        "shards": done.shards,
    }
    return json.dumps(manifest, indent=2) + "\n"


def from_json(config: ShardsConfig, text: str) -> Summary:
    """Reads the output of `to_json`."""
    facts = json.loads(text)
    counts = {key: facts[key] for key in ("found", "written", "gray", "skipped", "shards")}
    return Summary(manifest=manifest_of(config), **counts)


def _found(config: ShardsConfig) -> list[str]:
    root = Path(config.images)
    if not root.is_dir():
        raise ValueError(f"images is {config.images}, which is no folder")
    names = image_folder.pictures_below(root)
    if not names:
        kinds = ", ".join(sorted(image_folder.PICTURE_SUFFIXES))
        raise ValueError(f"{root} holds no pictures ({kinds})")
    return _mixed(names)


def plan(config: ShardsConfig) -> dict[Path, list[str]]:
    """Distributes the pictures over shards, in mixed order, the same one on every run.

    Raises:
      ValueError: no such folder, or no pictures in it.
    """
    names, output = _found(config), Path(config.output)
    count = min(config.shards or math.ceil(len(names) / RECORDS_A_SHARD), len(names))
    numbered = {k: output / f"{config.name}-{k:05d}-of-{count:05d}" for k in range(count)}
    return {path: names[k::count] for k, path in numbered.items()}


def make_shards(config: ShardsConfig) -> Summary:
    """Writes shards and `<name>-manifest.json`, each file whole or not at all.

    Every picture is decoded once, so that nothing broken gets in; those left out are named in the
    manifest.

    Raises:
      ValueError: no such folder, no pictures in it, none that can be used, or shards of this name
        are there already.
      OSError: the output cannot be written.
    """
    from tqdm import tqdm

    planned, old = plan(config), existing(config)
    Path(config.output).mkdir(parents=True, exist_ok=True)
    parts = []
    with tqdm(total=sum(map(len, planned.values())), unit="picture") as bar:
        for path, names in planned.items():
            parts.append(write_shard(config, path, names))
            bar.update(len(names))
    done = merged(config, parts)
    finish(config, done, old)
    return done


def merged(config: ShardsConfig, parts: list[Summary]) -> Summary:
    """Adds up the outcomes of all shards."""
    done = Summary(sum(part.found for part in parts), manifest_of(config))
    for part in sorted(parts, key=lambda part: list(part.shards)):
        done.written += part.written
        done.gray += part.gray
        done.skipped |= part.skipped
        done.shards |= part.shards
    return done


def finish(config: ShardsConfig, done: Summary, old: list[Path]) -> None:
    """Writes the manifest and removes earlier shards that are not part of it.

    Raises:
      ValueError: no picture could be used; the empty shards are removed.
    """
    paths = {Path(config.output) / name for name in done.shards}
    if not done.written:
        for path in (*paths, done.manifest):
            path.unlink(missing_ok=True)
        name, why = next(iter(done.skipped.items()))
        raise ValueError(f"none of the {done.found} pictures could be used; {name}: {why}")
    for path in set(old) - paths:  # of an earlier run with another number of shards
        path.unlink()
    files.write_text(done.manifest, to_json(config, done))
