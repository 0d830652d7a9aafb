"""Stages of films that run at once: order, errors, the end, and what the network need not see."""

import threading

import numpy as np
import pytest
from helpers.films import FakeColorizer

from residual_encoder.imaging.video_io import Frame
from residual_encoder.inference import video_chroma
from residual_encoder.inference.video_chroma import Look
from residual_encoder.inference.video_progress import Shot
from residual_encoder.utils.ahead import ahead


def test_items_come_in_order_a_few_ahead():
    made = []

    def source():
        for number in range(20):
            made.append(number)
            yield number

    with ahead(source(), 3) as items:
        for wanted, number in enumerate(items):
            assert number == wanted and len(made) <= wanted + 5
    assert made == list(range(20))


def test_an_error_comes_where_the_item_would():
    def source():
        yield 1
        raise KeyboardInterrupt

    with ahead(source(), 3) as items:
        assert next(items) == 1
        with pytest.raises(KeyboardInterrupt):
            next(items)


def test_what_is_left_early_is_closed_with_all_before_it():
    closed, threads = [], threading.active_count()

    def endless(name, source):
        try:
            yield from source
        finally:
            closed.append(name)

    with pytest.raises(ValueError, match="mine"):  # noqa: SIM117
        with ahead(endless("a", iter(int, 1)), 2) as a, ahead(endless("b", a), 2) as b:
            assert next(b) == 0
            raise ValueError("mine")
    assert closed == ["b", "a"] and threading.active_count() == threads


def looks(values, colored=()):
    for number, value in enumerate(values):
        gray = np.full((8, 8, 1), value, np.float32)
        shot = Shot(in_color=number in colored)
        yield Look(Frame(number, None, None), None, gray, None, shot)


def chromas(values, count=3, segment=6, first=0, colored=()):
    colorizer = FakeColorizer()
    found = video_chroma._chromas(colorizer, looks(values, colored), first, count, segment)
    return colorizer, list(found)


def test_still_frames_have_the_chroma_of_the_first():
    near = video_chroma.SAME / 2
    colorizer, found = chromas([0.2, 0.2, 0.2 + near, 0.2 - near, 0.5, 0.2])
    assert colorizer.predicted == 3
    assert [look.frame.time for look, _ in found] == list(range(6))
    for number in (1, 2, 3):
        np.testing.assert_array_equal(found[number][1], found[0][1])
    wanted = FakeColorizer().predict(np.full((1, 8, 8, 1), 0.5, np.float32))[0]
    np.testing.assert_array_equal(found[4][1], wanted)


def test_what_drifts_is_seen_anew():
    steps = 0.2 + video_chroma.SAME * np.arange(12) / 2.2
    assert chromas(steps, segment=12)[0].predicted == 4


def test_a_segment_does_not_depend_on_the_one_before():
    assert chromas([0.2] * 12)[0].predicted == 2  # one of each segment
    assert chromas([0.2] * 6, first=6)[0].predicted == 1


def test_frames_in_color_have_none():
    colorizer, found = chromas([0.2] * 6, colored=(0, 1, 2, 4))
    assert [chroma is None for _, chroma in found] == [True, True, True, False, True, False]
    assert colorizer.predicted == 1
