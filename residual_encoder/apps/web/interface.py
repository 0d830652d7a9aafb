"""Lays out the web page and connects its parts to the handlers."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from residual_encoder.apps.web.handlers import KEPT, Handlers, guarded
from residual_encoder.data import sample_images
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models.vividness import STEPS

MAX_MEGABYTES = 50  # a JPEG of 100 megapixels
SAMPLES = 6
WAITING = 16  # requests in the queue; they are served one at a time, which bounds the memory
SWEPT = 300  # seconds between two looks for files that are older than `KEPT`

VIVIDNESSES = (0, 1)
SATURATIONS = (0, 2)
STEP = 1 / STEPS  # of both controls
TITLE = "Colorizer"
INTRODUCTION = f"# {TITLE}\nColor for gray photographs, at their own size."
INVITATION = "Drop a picture here, paste it, or choose a file"
LEGEND = "Gray on the left, colored on the right. Drag the line."
HINT = "0 is gray, 1 is the network's prediction."
VIVIDNESS_HINT = "0 takes safe colors, 1 vivid ones; it also changes which colors are chosen."
# Shown by the browser itself, while the server works.
COLORING = "() => 'Coloring …'"
WRITING = "() => 'Making the file …'"
SAVE = "(file) => window.saveFile(file)"  # which the page's script defines

STATIC = Path(__file__).parent / "static"
CSS = (STATIC / "page.css").read_text()
SCRIPT = (STATIC / "page.js").read_text()  # a function that runs when the page has loaded


def theme() -> Any:
    """Returns a gray theme in fonts that every computer has: all color is the picture's."""
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


class Parts(NamedTuple):
    """Holds the Gradio components that take input or change."""

    picture: Any
    status: Any
    result: Any
    comparison: Any
    vividness: Any  # None for a model without a distribution
    saturation: Any
    save: Any
    file: Any
    samples: list[Any]
    kept: Any  # (preview, its gray picture file), of one browser tab


def build(colorizer: Colorizer, folder: Path, max_megabytes: int = MAX_MEGABYTES) -> Any:
    """Builds the page, a `gradio.Blocks`; arguments as for `server.application`."""
    import gradio as gr

    samples = _write_samples(folder / "samples")
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEPT, KEPT)) as blocks:
        handlers = Handlers(colorizer, folder)
        parts = _lay_out(samples, max_megabytes, handlers.start)
        _wire(parts, handlers, samples)
    blocks.queue(max_size=WAITING)
    return blocks


def _lay_out(samples: list[Path], max_megabytes: int, vividness: float | None) -> Parts:
    """Places the components, top to bottom; a vividness of None has no control."""
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
        vivid = None if vividness is None else _vividness(vividness)
        saturation = gr.Slider(
            *SATURATIONS, 1, step=STEP, label="Saturation", info=HINT, elem_id="saturation"
        )
        save = gr.Button("Download at full size", variant="primary", elem_id="save")
    gr.Markdown("Or try one of these:")
    with gr.Row(elem_id="samples"):
        buttons = [
            gr.Button(path.stem.replace("-", " "), icon=str(path), size="sm", elem_classes="sample")
            for path in samples
        ]
    file, kept = gr.DownloadButton(visible=False), gr.State(time_to_live=KEPT)
    return Parts(picture, status, result, comparison, vivid, saturation, save, file, buttons, kept)


def _vividness(start: float) -> Any:
    """Places the control of a model with a distribution."""
    import gradio as gr

    return gr.Slider(
        *VIVIDNESSES,
        start,
        step=STEP,
        label="Vividness",
        info=VIVIDNESS_HINT,
        elem_id="vividness",
    )


def _wire(parts: Parts, handlers: Handlers, samples: list[Path]) -> None:
    """Connects the events of the parts to the handlers."""
    import gradio as gr

    # One of all these at a time, so that the memory is that of one picture.
    alone = {
        "concurrency_limit": 1,
        "concurrency_id": "colorizer",
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    taken = [parts.status, parts.kept, parts.comparison, parts.result]
    open_picture = guarded(
        lambda *arguments: (*handlers.open_picture(*arguments), gr.Column(visible=True)), len(taken)
    )
    controls = [control for control in (parts.saturation, parts.vividness) if control]
    waiting = parts.picture.upload(None, None, parts.status, js=COLORING)
    waiting.then(open_picture, [parts.picture, *controls], taken, **alone)
    for button, path in zip(parts.samples, samples, strict=True):
        waiting = button.click(None, None, parts.status, js=COLORING)
        waiting.then(functools.partial(open_picture, path), controls, taken, **alone)
    for control in controls:
        control.input(
            guarded(handlers.change_colors, 2),
            [parts.kept, *controls],
            [parts.status, parts.comparison],
            trigger_mode="always_last",  # while a hand drags the slider
            **alone,
        )
    waiting = parts.save.click(None, None, parts.status, js=WRITING)
    made = waiting.then(
        guarded(handlers.make_download, 2),
        [parts.kept, *controls],
        [parts.status, parts.file],
        **alone,
    )
    made.success(None, parts.file, js=SAVE)


def _write_samples(folder: Path) -> list[Path]:
    """Writes gray pictures that may be shown anywhere."""
    folder.mkdir()
    pictures = itertools.chain(sample_images.photographs(), sample_images.rendered())
    paths = []
    for name, rgb in itertools.islice(pictures, SAMPLES):
        paths.append(folder / f"{name}.png")
        image_io.write(paths[-1], sample_images.luma_u8(rgb))
    return paths
