"""Reads one input of a batch: a picture file, a pipe or standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from residual_encoder.imaging import image_headers, image_io
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference.file_discovery import STANDARD


class PictureSource:
    """One picture file, or standard input; its bytes are read once and held until decoded."""

    def __init__(self, path: Path, max_pixels: int | None = None) -> None:
        self.path, self.max_pixels = path, max_pixels
        self.is_standard = path == STANDARD
        self._data: bytes | None = None

    def suffix(self) -> str:
        """Returns the suffix of the format that the bytes are in."""
        with self._named():
            return image_headers.suffix_of(self._read())

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Yields a file with the bytes: the input, or for pipes a temporary one."""
        if self.path.is_file() and not self.is_standard:
            yield self.path
            return
        with tempfile.TemporaryDirectory() as folder, self._named():
            path = Path(folder) / "input"
            path.write_bytes(self._read())
            try:
                yield path
            except ValueError as error:
                raise ValueError(str(error).removeprefix(f"{path} ")) from error

    def picture(self) -> Picture:
        """Decodes the bytes."""
        if self._data is None and not self.is_standard:
            return image_io.read(self.path, self.max_pixels)
        with self._named():
            data, self._data = self._read(), None
            return image_io.decode(data, self.max_pixels)

    def _read(self) -> bytes:
        if self._data is None:
            self._data = (
                image_io.read_stream(sys.stdin.buffer)
                if self.is_standard
                else image_io.read_bytes(self.path)
            )
        return self._data

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Puts the input's name before the message of an error."""
        try:
            yield
        except ValueError as error:
            name = "standard input" if self.is_standard else self.path
            raise ValueError(f"{name} {error}") from error
