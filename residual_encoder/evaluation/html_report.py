"""One self-contained HTML page of text, tables and figures."""

from __future__ import annotations

import base64
import html as markup
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from residual_encoder.evaluation.tables import Table
from residual_encoder.imaging import image_io

LONG = 28  # characters from which on a table's cell may take several lines


@dataclass(frozen=True)
class Figure:
    """Shows a picture on a page.

    Attributes:
      picture: [H, W, 3] or [H, W] uint8 pixels, a PNG file's bytes, or trusted SVG text.
      caption: Plain text below it, also what stands in for it where it cannot be seen.
    """

    picture: np.ndarray | bytes | str
    caption: str


@dataclass(frozen=True)
class Section:
    """Holds a part of a page, top to bottom: heading, paragraphs, table, figures; plain text."""

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
    """Returns the picture as markup that needs no other file."""
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
    """Makes one page that needs no other file and no network: styles and pictures are inside.

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
