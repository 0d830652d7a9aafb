"""Results to look at: strips, contact sheets, curves, tables and one self-contained page."""

from __future__ import annotations

import base64
import html as markup
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from residual_encoder.imaging import image_io

GAP = 4  # pixels of white between the strips of a contact sheet
LONG = 28  # characters from which on a table's cell may take several lines
SMOOTHING = 20  # part of a curve's points that the line over a noisy loss averages

# The lines of the table: key in the evaluation, what to call it, factor, digits.
METRICS: tuple[tuple[str, str, float, int], ...] = (
    ("auc", "AuC, %", 100, 2),
    ("auc_rebalanced", "AuC rebalanced, %", 100, 2),
    ("auc_gain", "AuC over gray, points", 100, 2),
    ("psnr_pooled", "PSNR pooled, dB", 1, 2),
    ("psnr_pooled_gain", "PSNR pooled over gray, dB", 1, 2),
    ("psnr", "PSNR mean, dB", 1, 2),
    ("ssim", "SSIM", 1, 4),
    ("rmse_ab", "RMSE of ab", 1, 2),
    ("delta_e00", "Delta E 2000", 1, 2),
    ("colorfulness", "Colorfulness", 1, 1),
    ("colorfulness_truth", "Colorfulness of truth", 1, 1),
)

Table = list[list[str]]  # the first line is the heading


# --- pictures -------------------------------------------------------------------------------------


def _panel(picture: Any) -> np.ndarray:
    """[H, W], [H, W, 1] or [H, W, 3]; float in [0, 1] or uint8 -> [H, W, 3] uint8."""
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"a panel is [H, W], [H, W, 1] or [H, W, 3]. Received {pixels.shape}.")
    if pixels.dtype != np.uint8:
        pixels = np.round(np.clip(pixels.astype(np.float64), 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def strip(gray: Any, output: Any, truth: Any) -> np.ndarray:
    """The article's gray | output | truth strip.

    Args:
      gray: [H, W] or [H, W, 1], float in [0, 1] or uint8.
      output: [H, W, 3] RGB, float in [0, 1] or uint8.
      truth: As `output`.

    Returns:
      [H, 3 W, 3] uint8.

    Raises:
      ValueError: the three are not pictures of one size.
    """
    panels = [_panel(picture) for picture in (gray, output, truth)]
    sizes = {panel.shape for panel in panels}
    if len(sizes) > 1:
        raise ValueError(f"a strip takes three pictures of one size. Received {sorted(sizes)}.")
    return np.concatenate(panels, axis=1)


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    missing = (height - picture.shape[0], width - picture.shape[1])
    return np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)], constant_values=255)


def contact_sheet(strips: Sequence[np.ndarray], columns: int = 1) -> np.ndarray:
    """Strips below and beside each other, in reading order, on white.

    Args:
      strips: [H, W, 3] uint8 each; sizes may differ.
      columns: Strips a row.

    Returns:
      [H, W, 3] uint8.

    Raises:
      ValueError: there is no strip, or `columns` is below 1.
    """
    if not strips or columns < 1:
        raise ValueError(
            f"a contact sheet takes at least one strip and one column. "
            f"Received {len(strips)} strips, columns={columns}."
        )
    width = max(picture.shape[1] for picture in strips)
    rows = []
    for start in range(0, len(strips), columns):
        row = list(strips[start : start + columns])
        height = max(picture.shape[0] for picture in row)
        row += [np.full((height, width, 3), 255, np.uint8)] * (columns - len(row))
        padded = [_padded(picture, height + GAP, width + GAP) for picture in row]
        rows.append(np.concatenate(padded, axis=1))
    return np.concatenate(rows, axis=0)[:-GAP, :-GAP]


def headed_sheet(headings: Sequence[str], columns: Sequence[np.ndarray]) -> bytes:
    """Columns of pictures side by side, each below its heading.

    Args:
      headings: One a column.
      columns: [H, W, 3] uint8 each, of one height.

    Returns:
      A PNG file; the pictures are shown pixel by pixel.

    Raises:
      ValueError: there is no column, or not one heading for each, or their heights differ.
    """
    heights = {column.shape[0] for column in columns}
    if len(heights) != 1 or len(headings) != len(columns):
        raise ValueError(
            f"a sheet takes columns of one height and a heading for each. "
            f"Received {len(headings)} headings and columns of heights {sorted(heights)}."
        )
    from matplotlib.figure import Figure

    gaps = [np.pad(column, [(0, 0), (0, GAP), (0, 0)], constant_values=255) for column in columns]
    grid, dpi = np.concatenate(gaps, axis=1), 100
    height, width = grid.shape[:2]
    longest = max(len(heading) for heading in headings)
    head, margin = 7 * longest + 20, 5 * longest  # pixels that slanted headings may take
    size = (width + margin, height + head)
    figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, width / size[0], height / size[1]))
    axes.imshow(grid, interpolation="nearest", extent=(0, width, height, 0))
    axes.set_axis_off()
    left = 0
    for heading, gap in zip(headings, gaps, strict=True):
        axes.text(left + gap.shape[1] / 3, -8, heading, rotation=55, fontsize=8, va="bottom")
        left += gap.shape[1]
    return png(figure)


# --- numbers --------------------------------------------------------------------------------------


def interval(metric: Mapping[str, Any], factor: float, digits: int) -> str:
    """A metric of an evaluation with its 95 % interval, times a factor: 0.31 [0.12, 0.50]."""
    low, high = (f"{factor * bound:.{digits}f}" for bound in metric["ci95"])
    return f"{factor * metric['mean']:.{digits}f} [{low}, {high}]"


def metrics_table(evaluations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Evaluations side by side, a metric a line; metrics that one of them lacks are left out.

    Args:
      evaluations: What `metrics.evaluate` gave, or one of its baselines, by heading.
    """
    lines = [["", *evaluations]]
    for key, name, factor, digits in METRICS:
        if all(key in block for block in evaluations.values()):
            cells = [interval(block[key], factor, digits) for block in evaluations.values()]
            lines.append([name, *cells])
    return lines


def text_table(table: Table) -> str:
    """A table for a terminal: columns aligned, no markup."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    aligned = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
    return "\n".join(aligned)


# --- curves ---------------------------------------------------------------------------------------


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Centered running mean over a `SMOOTHING`th of the points; over fewer of them at the ends."""
    window = np.ones(2 * (len(values) // (2 * SMOOTHING)) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _points(rows: Iterable[Mapping[str, Any]], x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """Where both numbers are there and finite; "eval/auc" reaches into an evaluation."""
    found = []
    for row in rows:
        value: Any = row
        for part in y.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
        value = value.get("mean") if isinstance(value, Mapping) else value
        if row.get(x) is not None and value is not None and np.isfinite(value):
            found.append((row[x], value))
    pairs = np.array(found, np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def curve(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], *, x: str = "step", y: str = "loss"
) -> bytes:
    """Training curves: pale as logged, and a smoothed line over it.

    Args:
      runs: Rows of metrics.jsonl by the name of the run.
      x: "step" or "seconds".
      y: A number of the rows; "eval/NAME" is the mean of a metric of the evaluations.

    Returns:
      A PNG file.

    Raises:
      ValueError: no row of any run has both numbers.
    """
    from matplotlib.figure import Figure

    series = {name: _points(rows, x, y) for name, rows in runs.items()}
    if not any(len(steps) for steps, _ in series.values()):
        raise ValueError(f"no row has both {x!r} and {y!r}; runs: {', '.join(runs) or 'none'}")
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for index, (name, (steps, values)) in enumerate(series.items()):
        color = f"C{index}"
        few = len(values) < 20  # nothing to smooth
        axes.plot(steps, values, color=color, alpha=1 if few else 0.25, marker="." if few else None)
        axes.plot(steps, values if few else _smoothed(values), color=color, label=name)
    axes.set(xlabel=x, ylabel=y.removeprefix("eval/"))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return png(figure)


def smooth_points(
    rows: Iterable[Mapping[str, Any]], x: str, y: str
) -> tuple[np.ndarray, np.ndarray]:
    """The smoothed line of a curve: x and y where rows have both, see `curve`."""
    places, values = _points(rows, x, y)
    return places, _smoothed(values) if len(values) else values


def png(figure: Any) -> bytes:
    """A matplotlib figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with io.BytesIO() as file:
        FigureCanvasAgg(figure).print_png(file)
        return file.getvalue()


# --- page -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A picture on a page.

    Attributes:
      picture: [H, W, 3] or [H, W] uint8 pixels, a PNG file's bytes, or SVG text of our own making.
      caption: Plain text below it, also what stands in for it where it cannot be seen.
    """

    picture: np.ndarray | bytes | str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a page, top to bottom: heading, paragraphs, table, figures. All is plain text."""

    heading: str
    paragraphs: Sequence[str] = ()
    table: Table = field(default_factory=list)
    figures: Sequence[Figure] = ()


STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d9dce1, #3a3f47);
  --ink: light-dark(#1d2129, #e4e7ec); --quiet: light-dark(#59616e, #9aa3b0);
  --paper: light-dark(#fff, #16181d); --card: light-dark(#f6f7f9, #1e2127); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 64rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 1.5rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { max-width: 42rem; margin: .5rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; }
th, td { padding: .4rem 1.25rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; vertical-align: top; font-weight: 400; }
td.text { white-space: normal; min-width: 15rem; }
th.text { white-space: normal; min-width: 12rem; }
thead th { color: var(--quiet); }
figure { margin: 1rem 0; }
figure > :first-child { display: block; max-width: 100%; height: auto; border-radius: .4rem;
  background: var(--card); }
figcaption { color: var(--quiet); font-size: .875rem; margin-top: .4rem; }
"""


def _embedded(figure: Figure) -> str:
    """The picture as markup that needs no other file."""
    picture, caption = figure.picture, markup.escape(figure.caption, quote=True)
    if isinstance(picture, str):
        data, kind = picture.encode(), "svg+xml"
    elif isinstance(picture, bytes):
        data, kind = picture, "png"
    else:
        data, kind = image_io.encode(picture, ".jpg"), "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return (
        f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'
    )


def _markup_table(table: Table) -> str:
    def long(cell: str) -> str:
        return ' class="text"' if len(cell) >= LONG else ""

    def line(cells: Sequence[str], first: str, rest: str) -> str:
        tags = [first] + [rest] * (len(cells) - 1)
        written = (
            f"<{tag}{long(cell)}>{markup.escape(cell)}</{tag.split()[0]}>"
            for tag, cell in zip(tags, cells, strict=True)
        )
        return f"<tr>{''.join(written)}</tr>"

    head = line(table[0], 'th scope="col"', 'th scope="col"')
    body = "\n".join(line(cells, 'th scope="row"', "td") for cells in table[1:])
    return f'<div class="wide"><table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>'


def _markup_section(section: Section) -> str:
    parts = [f"<h2>{markup.escape(section.heading)}</h2>"]
    parts += [f"<p>{markup.escape(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [_markup_table(section.table)] if section.table else []
    parts += [_embedded(figure) for figure in section.figures]
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def html(title: str, sections: Sequence[Section]) -> str:
    """One page that needs no other file and no network: styles and pictures are inside.

    Args:
      title: Plain text.
      sections: Top to bottom; their text is escaped.

    Returns:
      The text of an HTML file.
    """
    body = "\n".join(_markup_section(section) for section in sections)
    heading = markup.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{STYLE}</style>\n"
        f"<body>\n<main>\n<h1>{heading}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
