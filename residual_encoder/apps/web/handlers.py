"""Handles the events of the web page; a failure becomes a message on it."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from residual_encoder.apps.web import preview
from residual_encoder.apps.web.preview import Preview
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import vividness as curve

KEPT = 3600  # seconds that files of a visitor are kept


class Handlers:
    """Answers the page's requests. Every answer begins with the line of status, as HTML."""

    def __init__(self, colorizer: Colorizer, folder: Path) -> None:
        self.colorizer, self.folder = colorizer, folder
        self.start = start_vividness(colorizer)

    def open_picture(
        self, source: str | Path, saturation: float, vividness: float | None = None
    ) -> tuple[Any, ...]:
        """Runs the network on a new picture. -> status, preview, the pair to compare."""
        shown = preview.make_preview(self.colorizer, source)
        pair = self._write(shown, 0.0, None), self._write(shown, saturation, vividness)
        return _caption(shown), (shown, pair[0]), pair

    def change_colors(
        self, kept: tuple[Preview, Path], saturation: float, vividness: float | None = None
    ) -> tuple[Any, ...]:
        """Colors the preview in another way. -> status, the pair to compare."""
        shown, before = kept
        return _caption(shown), (before, self._write(shown, saturation, vividness))

    def make_download(
        self, kept: tuple[Preview, Path], saturation: float, vividness: float | None = None
    ) -> tuple[Any, ...]:
        """Writes the file to download. -> status, its path."""
        shown, _ = kept
        vividness = self._moved(vividness)
        path = preview.render_full_size(
            self.colorizer, shown, saturation, self.folder, vividness=vividness
        )
        return _caption(shown), path

    def _moved(self, vividness: float | None) -> float | None:
        """Returns None for a control that was not moved: the model's may lie off the curve."""
        return None if vividness == self.start else vividness

    def _write(self, shown: Preview, saturation: float, vividness: float | None) -> Path:
        """Writes a picture file for the browser; Gradio deletes it after `KEPT`."""
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "preview.jpg"
        vividness = self._moved(vividness)
        pixels = preview.render_preview(self.colorizer, shown, saturation, vividness)
        image_io.write(path, pixels)
        return path


def start_vividness(colorizer: Colorizer) -> float | None:
    """Returns where the control stands at first; None for a model without a distribution."""
    numbers = curve.settings(colorizer.recipe.network)
    return curve.nearest(**numbers) if colorizer.has_distribution else None


def guarded(handler: Callable[..., tuple[Any, ...]], outputs: int) -> Callable[..., Any]:
    """Makes a handler show its errors in the line of status and leave the rest as it is.

    Args:
      handler: A method of `Handlers`.
      outputs: How many components it changes; the first is the line of status.
    """
    import gradio as gr

    def answer(*arguments: Any) -> tuple[Any, ...]:
        try:
            return handler(*arguments)
        except FileNotFoundError:
            reason = f"The picture was kept for {KEPT // 60} minutes and is gone; give it again."
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
        except (MemoryError, tf.errors.ResourceExhaustedError):
            reason = "The picture is too large for the memory of this computer."
        except Exception:
            logging.exception("A handler of the page failed; the page stays up.")
            reason = (
                "That went wrong, and not because of the picture; the server's log has the error."
            )
        message = f'<span class="error" role="alert">{html.escape(reason)}</span>'
        return (message, *[gr.skip()] * (outputs - 1))

    return answer


def _caption(shown: Preview) -> str:
    """Returns name and size, as HTML in which a file's name stays a name."""
    return f"<b>{html.escape(shown.source.name)}</b>, {shown.width} × {shown.height} pixels"
