"""A LiteRT file of this project: a graph, and behind it a ZIP archive that describes the model.

LiteRT's own metadata keep files in the same place: interpreters pass over it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

SUFFIX = ".tflite"
_MAGIC = b"TFL3"  # from byte 4 on
CARD = "recipe.json"  # {"recipe": ..., "weights_sha256": ..., "graph_sha256": ...}
LARGEST_CARD = 2**20  # bytes


def is_litert(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is a file that is a LiteRT file by its name or content."""
    path = Path(path)
    if not path.is_file() or path.suffix.lower() == SUFFIX:
        return path.is_file()
    with path.open("rb") as file:
        return file.read(8)[4:] == _MAGIC


def with_card(graph: bytes, card: dict[str, Any]) -> bytes:
    """Appends the description of a model, JSON-able, and the graph's SHA-256 to its graph."""
    file = io.BytesIO(graph)
    card = {**card, "graph_sha256": hashlib.sha256(graph).hexdigest()}
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(CARD, json.dumps(card))
    return file.getvalue()


def read_card(path: str | os.PathLike[str]) -> Any:
    """Returns the description in a LiteRT file, as JSON.

    Raises:
      OSError: the file cannot be read.
      ValueError: it has no description, as those of other programs and of earlier versions; or its
        graph is not the one that was written.
    """
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(CARD) as file:
            card = json.loads(file.read(LARGEST_CARD))
            end = archive.getinfo(CARD).header_offset
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError) as error:
        raise ValueError(f"it holds no {CARD}, or not all of it") from error
    if card["graph_sha256"] != hashlib.sha256(memoryview(content)[:end]).hexdigest():
        raise ValueError("its graph is not the one that was written")
    return card
