"""A film that was stopped keeps its finished frames only where the others come out like them."""

import dataclasses
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.films import PROGRAM, FakeColorizer, film_frames, write_film

from residual_encoder.inference import video, video_progress, video_resume
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.engines import settling
from residual_encoder.inference.temporal_smoothing import SmoothingState
from residual_encoder.inference.video import VideoConfig, colorize_video
from residual_encoder.inference.video_progress import SegmentStore
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.recipes import RECIPES

needs_ffmpeg = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """24 frames, a cut in the middle."""
    return write_film(tmp_path_factory.mktemp("clip") / "clip.mp4", film_frames(24, parts=2))


class OtherEngine:
    """Stands in for an engine that nothing may be colored in."""

    name, precision, has_distribution = "tensorflow", "bfloat16", False

    def __getattr__(self, name):
        pytest.fail(f"{name} of the other engine was used")


def stopped_after(colorizer, frames, config):
    """Colors a film up to a frame, as Ctrl-C would stop it."""
    done, merge = [], colorizer.merge

    def dying(*arguments, **settings):
        done.append(1)
        if len(done) > frames:
            raise KeyboardInterrupt
        return merge(*arguments, **settings)

    colorizer.merge = dying
    with pytest.raises(KeyboardInterrupt):
        colorize_video(colorizer, config)


@needs_ffmpeg
@pytest.mark.parametrize("engine", [("other", "float32"), ("fake", "bfloat16")])
def test_another_engine_begins_anew_and_tells_why(engine, clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video, "SEGMENT", 10)
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"))
    stopped_after(FakeColorizer(), 15, config)
    assert not capsys.readouterr().err
    colorizer = FakeColorizer()
    colorizer.engine = SimpleNamespace(name=engine[0], precision=engine[1])
    colorize_video(colorizer, config)
    assert colorizer.predicted == 24
    assert capsys.readouterr().err.splitlines() == [
        f"{clip}: 10 finished frames are colored anew: they were made by the engine fake in "
        f"float32, and the others would be by {engine[0]} in {engine[1]}"
    ]


@needs_ffmpeg
def test_a_free_choice_stays_with_the_engine_that_began(
    clip, soft_weights, tmp_path, monkeypatch, capsys
):
    """Whatever is measured to be faster on the day of the second run."""
    monkeypatch.setattr(video, "SEGMENT", 10)
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"))
    colorize_video(
        Colorizer(soft_weights, size=32), VideoConfig(str(clip), str(tmp_path / "a.mp4"))
    )
    stopped_after(Colorizer(soft_weights, size=32), 15, config)
    settled = Colorizer(soft_weights, size=32)
    settled.engine = OtherEngine()
    monkeypatch.setattr(settling, "settle", lambda *_: pytest.fail("measured though it is known"))
    colorize_video(settled, config)
    assert (tmp_path / "colored.mp4").read_bytes() == (tmp_path / "a.mp4").read_bytes()
    assert settled.engine.name == "tensorflow"  # of the films after this one
    assert not capsys.readouterr().err


def test_an_engine_that_was_asked_for_is_kept(soft_weights):
    asked = Colorizer(soft_weights, engine="onnx")
    assert asked.in_engine("tensorflow", "float32") is asked
    free = Colorizer(soft_weights)
    assert free.in_engine("onnx", "float32") is free
    with pytest.raises(ValueError, match="engine litert runs LiteRT files"):
        free.in_engine("litert", "float32")


def test_an_engine_that_is_gone_is_chosen_anew(tmp_path):
    """As bfloat16 is on another machine."""

    class Lacking(FakeColorizer):
        settled = None

        def in_engine(self, *engine):
            raise ValueError(f"no {engine}")

        def settle(self, pictures):
            self.settled = pictures

    colorizer, store = Lacking(), SegmentStore(tmp_path / "colored.mp4")
    store.signature = {"version": 1, "engine": ["tensorflow", "bfloat16"]}
    found = video_resume.in_its_engine(colorizer, store, {"version": 1}, 77)
    assert found is colorizer and colorizer.settled == 77


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("version", "another version of this program"),
        ("source", "from another film, or this one has changed"),
        ("model", "another model"),
        ("colors", "other settings of color"),
        ("film", "other settings"),
    ],
)
def test_what_changed_is_told(changed, told, clip, tmp_path):
    one = FakeColorizer()
    one.recipe = RECIPES["modern_distribution"]
    store = SegmentStore(tmp_path / "colored.mp4")
    job = video_resume.signature(one, clip, 3, [True])
    assert video_resume.begin(one, store, job) is None
    store.progress.frames = 7
    assert video_resume.begin(one, store, job) is None
    assert store.progress.frames == 7  # kept
    other, source, version = FakeColorizer(), clip, 3
    network = ColorChoice(0.5).applied(one.recipe.network) if changed == "colors" else None
    other.recipe = dataclasses.replace(one.recipe, network=network or one.recipe.network)
    other.sha256 = "changed" if changed == "model" else one.sha256
    if changed == "source":
        source = shutil.copy(clip, tmp_path)
        source = tmp_path / clip.name
    job = video_resume.signature(
        other, source, version + (changed == "version"), [changed != "film"]
    )
    line = video_resume.begin(other, store, job)
    assert line == f"7 finished frames are colored anew: they were made {line.split('made ')[1]}"
    assert line.endswith(told) and store.progress.frames == 0


@pytest.mark.parametrize("name", ["a.tflite", "saved"])
def test_exports_are_known_by_their_contents(name, tmp_path, clip):
    """An int8 file's ranges come from photographs, which its weights' hash does not hold."""
    path = tmp_path / name
    if name == "saved":  # a SavedModel
        (path / "variables").mkdir(parents=True)
        (path / "saved_model.pb").write_bytes(b"graph")
        path = path / "variables" / "variables.data-00000-of-00001"
    colorizer = FakeColorizer()
    colorizer.source = str(tmp_path / name)
    models = []
    for content, time in ((b"one", 100), (b"two", 100), (b"one", 200)):  # of one size
        path.write_bytes(content)
        for place in (path, path.parent, tmp_path):
            os.utime(place, (time, time))
        models.append(video_resume.signature(colorizer, clip, 3, [])["model"])
    assert models[0] == models[2] != models[1]
    assert json.loads(json.dumps(models[0])) == models[0]


def test_two_runs_do_not_make_the_same_film(tmp_path, clip):
    """They would put their segments into one folder, and join those of the other."""
    target = tmp_path / "colored.mp4"
    with video_progress.locked(target):
        with pytest.raises(OSError, match=f"{target} is being made by another run. Wait"):
            colorize_video(FakeColorizer(), VideoConfig(str(clip), str(target)))
        with video_progress.locked(tmp_path / "other.mp4"):
            pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no frame between"):
        colorize_video(FakeColorizer(), VideoConfig(str(clip), str(target), start=9.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\3\4 half a file", b"nothing"])
def test_a_damaged_state_is_none(content, tmp_path):
    folder = tmp_path / ".colored.mp4.parts"
    folder.mkdir()
    (folder / "state.npz").write_bytes(content)
    (folder / "000000.nut").write_bytes(b"")
    store = SegmentStore(tmp_path / "colored.mp4")
    assert (store.signature, store.state, store.progress.frames) == ({}, None, 0)
    store.begin({"version": 1})
    assert not list(folder.iterdir())


def test_weights_that_were_replaced_are_not_settled_with(soft_weights, tmp_path):
    """Training writes its best weights over those that a page has loaded."""
    path = tmp_path / soft_weights.name
    shutil.copy(soft_weights, path)
    colorizer = Colorizer(path)
    engine = colorizer.engine
    colorizer.sha256 = "0" * 64  # of what was there
    assert colorizer.settle(10**9) is None and colorizer.engine is engine
    with pytest.raises(ValueError, match="has changed since it was loaded"):
        colorizer.in_engine("tensorflow", "float32")
    path.unlink()
    assert colorizer.settle(10**9) is None and colorizer.engine is engine


@pytest.mark.parametrize("gone", ["000000.nut", "000001.compare.nut"])
def test_work_with_a_segment_missing_is_none(gone, tmp_path):
    """As where somebody tidied up: the join could not find it, at every further run."""
    target, job = tmp_path / "colored.mp4", {"version": 1}
    store = SegmentStore(target)
    store.begin(job)
    state = SmoothingState(*np.zeros((4, 2, 2), np.float32))
    for number in range(2):
        for ending in (".nut", ".compare.nut"):
            store.segment(number, ending).write_bytes(b"film")
        store.save(state)
    assert SegmentStore(target).progress.segments == 2
    (store.folder / gone).unlink()
    assert (SegmentStore(target).progress.segments, SegmentStore(target).signature) == (0, {})
