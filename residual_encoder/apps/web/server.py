"""A page in the browser: a picture in, before and after with a divider, the colored file out.

Gradio makes the page. Nothing is loaded from elsewhere, and nothing is told to anybody.
"""

from __future__ import annotations

import contextlib
import functools
import html
import itertools
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from residual_encoder.apps.web import preview
from residual_encoder.apps.web.preview import Proof
from residual_encoder.data import sample_images
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 7860, 100  # where Gradio looks, too
MAX_MEGABYTES = 50  # ours: a JPEG of 100 megapixels
SAMPLES = 6
SESSIONS = 32  # browser tabs that are remembered; a proof takes up to 10 MB
WAITING = 16  # requests in the queue; they are served one at a time, which bounds the memory
KEPT = 3600  # seconds that files of a visitor are kept
SWEPT = 300  # seconds between two looks for files that are older

SATURATIONS = (0, 2)
TITLE = "Colorizer"
INTRODUCTION = f"# {TITLE}\nColor for gray photographs, at their own size."
INVITATION = "Drop a picture here, paste it, or choose a file"
LEGEND = "Gray on the left, colored on the right. Drag the line."
HINT = "0 is gray, 1 is what the network says."
COLORING = "() => 'Coloring …'"  # said by the browser itself, while the server works
WRITING = "() => 'Making the file …'"

# Drop and paste anywhere on the page, by way of the button's own file input.
GIVE = """
() => {
  const give = (event, files) => {
    const input = document.querySelector("#picture").parentElement
      .querySelector("input[type=file]");
    if (!files || !files.length || !input) return;
    event.preventDefault();
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };
  const mark = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("paste", (event) => give(event, event.clipboardData.files));
  addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  addEventListener("dragleave", () => mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    give(event, event.dataTransfer.files);
  });
  document.querySelector("#status").setAttribute("aria-live", "polite");
}
"""

# A link that is clicked at once: the file is made only when it is asked for.
SAVE = """
(file) => {
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}
"""

CSS = """
main { width: 100% !important; max-width: 860px !important; margin: 0 auto !important; }
#picture {
  min-height: 7rem; white-space: normal; font-weight: 400; background: transparent !important;
  border: 2px dashed var(--neutral-400) !important;
}
#picture:hover, .dragging #picture { border-color: var(--color-accent) !important; }
#status { min-height: 1.5rem; }
#status * { padding: 0; }
#comparison .icon-wrap { background: white; color: black; }
#status .error { color: var(--error-text-color); }
#samples { flex-wrap: wrap; gap: 0.5rem; }
.sample {
  flex: 0 1 6rem !important; min-width: 5rem !important; padding: 0.3rem !important;
  flex-direction: column; font-weight: 400; background: transparent !important;
}
.sample img { width: 100%; height: auto; aspect-ratio: 1; object-fit: cover; margin: 0; }
"""


@dataclass(frozen=True)
class PageConfig:
    """What to serve and where.

    Attributes:
      model: See `Colorizer`.
      host: Address to listen at; the default is this computer alone.
      port: None is the first free one from `FIRST_PORT` on, 0 any free one.
      max_megabytes: Largest file that is taken, in units of 2^20 bytes.
    """

    model: str | None = None
    host: str = HOST
    port: int | None = None
    max_megabytes: int = MAX_MEGABYTES

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535. Received {self.port}.")
        if self.max_megabytes < 1:
            raise ValueError(f"max_megabytes must be 1 or more. Received {self.max_megabytes}.")


def serve(config: PageConfig) -> None:
    """Serves the page until it is interrupted; then every visitor's files are gone.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: a damaged model.
      OSError: the port is taken; Gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="residual-encoder-page-") as folder:
        _prepare(folder)
        with _listen(config.host, config.port) as listener:
            colorizer = Colorizer(config.model)
            app = application(colorizer, Path(folder), config.max_megabytes)
            _run(app, listener)


def _prepare(folder: str) -> None:
    """Sets Gradio up before it is imported: a private folder, no telemetry.

    Raises:
      OSError: Gradio is not installed.
    """
    os.environ |= {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise OSError(
            f"The page needs Gradio, which is not installed ({error}). "
            "Install it: pip install -r requirements-page.txt"
        ) from error


# --- the server -----------------------------------------------------------------------------------


def _listen(host: str, port: int | None) -> socket.socket:
    """Takes the port, or the first free one.

    Raises:
      OSError: it is taken, or the address is not of this computer.
    """
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in ports:
        try:
            return socket.create_server((host, candidate), family=family)
        except OSError as error:
            cause = error
    span = f"port {port}" if port is not None else f"any port from {ports[0]} to {ports[-1]}"
    reason = str(cause.strerror).partition(" (while")[0]  # what follows repeats the address
    raise OSError(
        f"Cannot listen at {host}, {span}: {reason}. "
        "Stop what listens there, or choose another --port or --host."
    ) from cause


def _run(app: Any, listener: socket.socket) -> None:
    """Runs the server in this thread until SIGINT or SIGTERM."""
    import uvicorn

    # The server ends in order at both signals and then raises them again, for whoever is above it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    host, port = listener.getsockname()[:2]
    print(f"Open http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C ends)", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def application(colorizer: Colorizer, folder: Path, max_megabytes: int = MAX_MEGABYTES) -> Any:
    """The page as an ASGI application, here of FastAPI.

    Args:
      colorizer: What colors.
      folder: For visitors' files and the samples; private, and deleted by the caller.
      max_megabytes: As in `PageConfig`.
    """
    import fastapi
    import gradio as gr

    blocks = build(colorizer, folder, max_megabytes)
    blocks.state_session_capacity = SESSIONS
    return gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=max_megabytes * 2**20,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(),
        css=CSS,
        js=GIVE,
    )


def _theme() -> Any:
    """Gray, so that all color is the picture's, in fonts that every computer has."""
    import gradio as gr

    theme = gr.themes.Default(
        primary_hue="neutral",
        secondary_hue="neutral",
        neutral_hue="neutral",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(
        button_primary_background_fill="*neutral_800",
        button_primary_background_fill_hover="*neutral_700",
        block_info_text_color="*neutral_600",
    )


# --- the page -------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What can be touched or changes on the page; components of Gradio."""

    picture: Any
    status: Any
    result: Any
    comparison: Any
    saturation: Any
    save: Any
    file: Any
    samples: list[Any]
    kept: Any  # (proof, its gray picture file), of one browser tab


def build(colorizer: Colorizer, folder: Path, max_megabytes: int = MAX_MEGABYTES) -> Any:
    """The page, a `gradio.Blocks`; arguments as for `application`."""
    import gradio as gr

    samples = _write_samples(folder / "samples")
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEPT, KEPT)) as blocks:
        parts = _lay_out(samples, max_megabytes)
        _wire(parts, Handlers(colorizer, folder), samples)
    blocks.queue(max_size=WAITING)
    return blocks


def _lay_out(samples: list[Path], max_megabytes: int) -> Parts:
    """Places the components, top to bottom."""
    import gradio as gr

    gr.Markdown(INTRODUCTION)
    picture = gr.UploadButton(f"{INVITATION} (at most {max_megabytes} MB)", elem_id="picture")
    status = gr.HTML(elem_id="status", padding=False)
    with gr.Column(visible=False) as result:
        comparison = gr.ImageSlider(
            show_label=False,
            elem_id="comparison",
            interactive=False,
            buttons=["fullscreen"],
            max_height=640,
        )
        gr.Markdown(LEGEND)
        saturation = gr.Slider(
            *SATURATIONS, 1, step=0.05, label="Saturation", info=HINT, elem_id="saturation"
        )
        save = gr.Button("Download at full size", variant="primary", elem_id="save")
    gr.Markdown("Or try one of these:")
    with gr.Row(elem_id="samples"):
        buttons = [
            gr.Button(path.stem.replace("-", " "), icon=str(path), size="sm", elem_classes="sample")
            for path in samples
        ]
    file, kept = gr.DownloadButton(visible=False), gr.State(time_to_live=KEPT)
    return Parts(picture, status, result, comparison, saturation, save, file, buttons, kept)


class Handlers:
    """What the page asks of the server. Every answer begins with the line of status, as HTML."""

    def __init__(self, colorizer: Colorizer, folder: Path) -> None:
        self.colorizer, self.folder = colorizer, folder

    def take(self, source: str | Path, saturation: float) -> tuple[Any, ...]:
        """A new picture: the network runs. -> status, what is kept, the pair to compare."""
        proof = preview.pull(self.colorizer, source)
        pair = self._shown(proof, 0.0), self._shown(proof, saturation)
        return _caption(proof), (proof, pair[0]), pair

    def repaint(self, kept: tuple[Proof, Path], saturation: float) -> tuple[Any, ...]:
        """Another saturation. -> status, the pair to compare."""
        proof, before = kept
        return _caption(proof), (before, self._shown(proof, saturation))

    def develop(self, kept: tuple[Proof, Path], saturation: float) -> tuple[Any, ...]:
        """The file to download. -> status, its path."""
        proof, _ = kept
        return _caption(proof), preview.develop(self.colorizer, proof, saturation, self.folder)

    def _shown(self, proof: Proof, saturation: float) -> Path:
        """A picture file for the browser; Gradio deletes it after `KEPT`."""
        path = Path(tempfile.mkdtemp(dir=self.folder)) / "proof.jpg"
        image_io.write(path, preview.paint(self.colorizer, proof, saturation))
        return path


def _wire(parts: Parts, handlers: Handlers, samples: list[Path]) -> None:
    """Says what happens when something on the page is touched."""
    import gradio as gr

    # One of all these at a time, so that the memory is that of one picture.
    alone = {
        "concurrency_limit": 1,
        "concurrency_id": "colorizer",
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    taken = [parts.status, parts.kept, parts.comparison, parts.result]
    take = _spoken(
        lambda *arguments: (*handlers.take(*arguments), gr.Column(visible=True)), len(taken)
    )
    waiting = parts.picture.upload(None, None, parts.status, js=COLORING)
    waiting.then(take, [parts.picture, parts.saturation], taken, **alone)
    for button, path in zip(parts.samples, samples, strict=True):
        waiting = button.click(None, None, parts.status, js=COLORING)
        waiting.then(functools.partial(take, path), parts.saturation, taken, **alone)
    parts.saturation.input(
        _spoken(handlers.repaint, 2),
        [parts.kept, parts.saturation],
        [parts.status, parts.comparison],
        trigger_mode="always_last",  # while a hand drags the slider
        **alone,
    )
    waiting = parts.save.click(None, None, parts.status, js=WRITING)
    made = waiting.then(
        _spoken(handlers.develop, 2),
        [parts.kept, parts.saturation],
        [parts.status, parts.file],
        **alone,
    )
    made.success(None, parts.file, js=SAVE)


def _spoken(handler: Callable[..., tuple[Any, ...]], outputs: int) -> Callable[..., Any]:
    """What goes wrong with one picture becomes the line of status; the rest stays as it is."""
    import gradio as gr

    def guarded(*arguments: Any) -> tuple[Any, ...]:
        try:
            return handler(*arguments)
        except FileNotFoundError:
            reason = f"The picture was kept for {KEPT // 60} minutes and is gone; give it again."
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
        except (MemoryError, tf.errors.ResourceExhaustedError):
            reason = "The picture is too large for the memory of this computer."
        except Exception:
            logging.exception("The page goes on after this.")
            reason = "That went wrong, and not because of the picture; the server's log says how."
        message = f'<span class="error" role="alert">{html.escape(reason)}</span>'
        return (message, *[gr.skip()] * (outputs - 1))

    return guarded


def _caption(proof: Proof) -> str:
    """Name and size, as HTML in which a file's name stays a name."""
    return f"<b>{html.escape(proof.source.name)}</b>, {proof.width} × {proof.height} pixels"


def _write_samples(folder: Path) -> list[Path]:
    """Gray pictures that may be shown anywhere."""
    folder.mkdir()
    pictures = itertools.chain(sample_images.photographs(), sample_images.rendered())
    paths = []
    for name, rgb in itertools.islice(pictures, SAMPLES):
        paths.append(folder / f"{name}.png")
        image_io.write(paths[-1], sample_images.luma_u8(rgb))
    return paths
