"""Reports: strips, sheets, tables, curves and the page."""

import base64
import html.parser
import re

import numpy as np
import pytest

from residual_encoder.evaluation import html_report, image_grids, plots, tables
from residual_encoder.imaging import image_io

GRAY = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4, 1)
RED = np.broadcast_to(np.array([255, 0, 0], np.uint8), (3, 4, 3))


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gray", [GRAY, GRAY[..., 0], np.round(GRAY * 255).astype(np.uint8)])
def test_strip_is_gray_output_truth(gray):
    strip = image_grids.strip(gray, RED / 255.0, RED)
    assert strip.shape == (3, 12, 3)
    assert strip.dtype == np.uint8
    expected = np.round(np.repeat(GRAY, 3, axis=-1) * 255).astype(np.uint8)
    assert np.array_equal(strip[:, :4], expected)
    assert np.array_equal(strip[:, 4:8], RED)
    assert np.array_equal(strip[:, 8:], RED)


def test_strip_clips_and_rounds():
    strip = image_grids.strip(
        np.full((1, 1), 1.7), np.full((1, 1, 3), -3.0), np.full((1, 1, 3), 0.501)
    )
    assert strip[0, :, 0].tolist() == [255, 0, 128]


def test_strip_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="of one size"):
        image_grids.strip(GRAY, RED[:2], RED)
    with pytest.raises(ValueError, match=r"Received \(3, 4, 2\)"):
        image_grids.strip(GRAY, RED[..., :2], RED)


def test_contact_sheet_places_strips_in_reading_order():
    strips = [np.full((2, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = image_grids.contact_sheet(strips, columns=2)
    gap = image_grids.GAP
    assert sheet.shape == (2 + gap + 2, 6 + gap + 6, 3)
    assert np.all(sheet[:2, :6] == 10)
    assert np.all(sheet[:2, 6 + gap :] == 20)
    assert np.all(sheet[2 + gap :, :6] == 30)
    assert np.all(sheet[2 + gap :, 6:] == 255)
    assert np.all(sheet[2 : 2 + gap] == 255)


def test_contact_sheet_of_two_sizes_and_of_none():
    sheet = image_grids.contact_sheet(
        [np.zeros((2, 3, 3), np.uint8), np.zeros((4, 9, 3), np.uint8)]
    )
    assert sheet.shape == (2 + image_grids.GAP + 4, 9, 3)
    assert np.all(sheet[:2, 3:] == 255)
    with pytest.raises(ValueError, match="Received 0 strips"):
        image_grids.contact_sheet([])
    with pytest.raises(ValueError, match="columns=0"):
        image_grids.contact_sheet([RED], columns=0)


# --- tables ---------------------------------------------------------------------------------------

OURS = {
    "n": 3,
    "auc": {"mean": 0.90123, "ci95": [0.89, 0.91]},
    "ssim": {"mean": 0.94321, "ci95": [0.94, 0.95]},
}
BASELINE = {"n": 3, "auc": {"mean": 0.89, "ci95": [0.88, 0.9]}}


def test_metrics_table_holds_what_all_have():
    table = tables.metrics_table({"model": OURS, "gray": BASELINE})
    assert table == [
        ["", "model", "gray"],
        ["AuC, %", "90.12 [89.00, 91.00]", "89.00 [88.00, 90.00]"],
    ]


def test_text_table_is_aligned():
    text = tables.text_table([["", "model", "gray"], ["AuC", "90.12 [1, 2]", "3"]])
    assert text == "     model         gray\nAuC  90.12 [1, 2]  3"


# --- curves ---------------------------------------------------------------------------------------


def rows(count=50):
    losses = [
        {"step": 10 * i, "seconds": 0.5 * i, "loss": 1 / (i + 1), "eval": None}
        for i in range(count)
    ]
    return [*losses, {"step": 500, "eval": {"auc": {"mean": 0.9, "ci95": [0.8, 1.0]}}}]


@pytest.mark.parametrize(("x", "y"), [("step", "loss"), ("seconds", "loss"), ("step", "eval/auc")])
def test_curve_is_a_png(x, y):
    picture = image_io.decode(plots.curve({"ours": rows()}, x=x, y=y))
    assert picture.pixels.shape == (480, 840, 3)
    assert len(np.unique(picture.pixels)) > 10


def test_curve_reads_the_numbers_and_leaves_gaps():
    steps, losses = plots._points(rows(3), "seconds", "loss")
    assert steps.tolist() == [0.0, 0.5, 1.0]
    assert losses == pytest.approx([1, 1 / 2, 1 / 3])
    broken = [{"step": 1, "loss": float("nan")}, {"step": 2}]
    with pytest.raises(ValueError, match="no row has both 'step' and 'loss'; runs: a"):
        plots.curve({"a": broken})


def test_smoothing_is_centered():
    assert plots._smoothed(np.full(50, 3.0)) == pytest.approx(np.full(50, 3.0))
    line = np.arange(60.0)  # windows of 3: a straight line has no lag, its ends average two
    assert plots._smoothed(line)[1:-1] == pytest.approx(line[1:-1])
    assert plots._smoothed(line)[[0, -1]] == pytest.approx([0.5, 58.5])
    assert plots._smoothed(np.array([4.0])) == pytest.approx([4.0])


# --- page -----------------------------------------------------------------------------------------


class Balance(html.parser.HTMLParser):
    """Fails on a tag closed that was not open."""

    VOID = {"meta", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.images, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page():
    figures = [
        html_report.Figure(np.full((16, 24, 3), 200, np.uint8), 'a "strip" <b>'),
        html_report.Figure(plots.curve({"a": rows()}), "a curve"),
        html_report.Figure('<svg xmlns="http://www.w3.org/2000/svg"/>', "a drawing"),
    ]
    table = tables.metrics_table({"<model>": OURS, "gray": BASELINE})
    section = html_report.Section("Numbers & <i>pictures</i>", ["One & two."], table, figures)
    return html_report.html("Colors <script>alert(1)</script>", [section])


def test_page_is_well_formed_and_escaped():
    parser = Balance()
    parser.feed(page())
    assert parser.open == []
    assert "<script" not in page()
    assert "<i>" not in page()
    assert "Colors <script>alert(1)</script>" in parser.text
    assert "<model>" in parser.text
    assert "One & two." in parser.text


def test_page_needs_no_other_file():
    parser = Balance()
    parser.feed(page())
    assert not re.search(r'(src|href)="(?!data:)', page())
    assert "@import" not in page()
    assert [image["alt"] for image in parser.images] == ['a "strip" <b>', "a curve", "a drawing"]
    sources = [image["src"].split(";base64,") for image in parser.images]
    assert [kind for kind, _ in sources] == [
        "data:image/jpeg",
        "data:image/png",
        "data:image/svg+xml",
    ]
    jpeg = image_io.decode(base64.b64decode(sources[0][1]))
    assert jpeg.pixels.shape[:2] == (16, 24)
