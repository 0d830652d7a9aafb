"""Films that are stopped, killed or out of disk space: resumed to the same file."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction

import numpy as np
import pytest
from conftest import ROOT
from helpers.film_fixtures import PATHS, clip, color, mixed, plain  # noqa: F401
from helpers.films import PROGRAM, RATE, FakeColorizer, film_frames, probe, run_ffmpeg, write_film

from residual_encoder.apps.archive import worker
from residual_encoder.apps.archive.journal import Journal
from residual_encoder.apps.archive.tasks import Task
from residual_encoder.inference import batch, temporal_smoothing, video, video_progress
from residual_encoder.inference.batch_config import BatchConfig
from residual_encoder.inference.video import VideoConfig, colorize_video
from residual_encoder.models import vividness
from residual_encoder.recipes import RECIPES

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to check films with")


def test_a_stopped_run_resumes_to_the_same_file(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 10)
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"), batch_size=4)
    whole = VideoConfig(str(clip), str(tmp_path / "whole.mp4"), batch_size=4)
    wanted = colorize_video(FakeColorizer(), whole)
    for _ in range(2):  # a second stop before anything new is finished costs nothing
        with pytest.raises(KeyboardInterrupt):
            colorize_video(FakeColorizer(dies_at=7), config)
    with pytest.raises(KeyboardInterrupt):
        colorize_video(FakeColorizer(dies_at=13), config)
    assert not (tmp_path / "colored.mp4").exists()
    colorizer = FakeColorizer()
    made = colorize_video(colorizer, config)
    assert dataclasses.replace(made, output=wanted.output) == wanted
    assert (colorizer.predicted, len(colorizer.merged)) == (
        26,
        26,
    )  # the first segment was not redone
    assert (tmp_path / "colored.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"colored.mp4", "whole.mp4"}


@pytest.mark.parametrize("changed", ["source", "size", "smoothing", "vividness", "damage"])
def test_what_is_finished_counts_for_the_same_job_only(changed, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 10)
    source = tmp_path / "clip.mp4"
    source.write_bytes(clip.read_bytes())
    config = VideoConfig(str(source), str(tmp_path / "colored.mp4"))
    monkeypatch.setattr(FakeColorizer, "recipe", RECIPES["modern_distribution"])
    with pytest.raises(KeyboardInterrupt):
        colorize_video(FakeColorizer(dies_at=25), config)
    colorizer = FakeColorizer(size=56 if changed == "size" else 48)
    if changed == "vividness":
        network = vividness.ColorChoice(0.5).applied(colorizer.recipe.network)
        colorizer.recipe = dataclasses.replace(colorizer.recipe, network=network)
    if changed == "source":
        os.utime(source, (1, 1))
    if changed == "damage":
        (tmp_path / ".colored.mp4.parts" / video_progress.STATE).write_bytes(b"PK\3\4 half a file")
    if changed == "smoothing":
        config = VideoConfig(str(source), str(tmp_path / "colored.mp4"), smoothing=False)
    colorize_video(colorizer, config)
    assert colorizer.predicted == 36


def test_what_is_counted_is_small():
    ledger = video_progress.VideoProgress()
    for number in range(1000):
        change = temporal_smoothing.FrameChange(False, 0.2, 0.1)
        ledger.add(number, change if number else None)
    assert (ledger.frames, ledger.pairs, ledger.cuts) == (1000, 999, [])
    assert ledger.flicker == pytest.approx(99.9)
    assert (ledger.begins, ledger.ends) == (0, 999)


@pytest.mark.slow
def test_ten_seconds_killed_and_resumed(soft_weights, tmp_path):
    source = write_film(tmp_path / "film.mp4", film_frames(240))
    sounding = tmp_path / "sounding.mp4"
    tone = ("-f", "lavfi", "-t", "10", "-i", "sine=440")
    run_ffmpeg("-i", source, *tone, "-c:v", "copy", "-c:a", "aac", sounding)
    code = textwrap.dedent(
        """
        import sys
        from residual_encoder.inference import video
        from residual_encoder.inference.colorizer import Colorizer
        video.SEGMENT = 24
        model, source, target = sys.argv[1:]
        print(video.colorize_video(Colorizer(model, size=32), video.VideoConfig(source, target)))
        """
    )
    start = [sys.executable, "-c", code, str(soft_weights), str(sounding)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    whole = subprocess.check_output([*start, str(tmp_path / "whole.mp4")], env=environment)
    target = tmp_path / "colored.mp4"
    process = subprocess.Popen([*start, str(target)], env=environment)
    finished = tmp_path / ".colored.mp4.parts" / "000002.nut"
    deadline = time.monotonic() + 120
    while not finished.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not target.exists()
    again = subprocess.check_output([*start, str(target)], env=environment)
    assert again.replace(b"colored.mp4", b"whole.mp4") == whole
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    streams, _ = probe(target)
    assert streams["video"]["nb_read_frames"] == "240"
    assert Fraction(streams["video"]["avg_frame_rate"]) == RATE
    assert streams["audio"]["codec_name"] == "aac"
    said = re.search(r"flicker=([\d.e-]+), flicker_without=([\d.e-]+)", again.decode())
    assert float(said[1]) < float(said[2]) / 2
    assert "scene_cuts=(80, 160)" in again.decode()


@pytest.mark.slow
def test_stopped_at_ten_moments_the_file_is_the_same(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 9)
    settings = {"color_inputs": "skip", "compare": True, "batch_size": 4}
    color(mixed, tmp_path / "whole.mp4", **settings)
    target = tmp_path / "b.mp4"
    for moment in np.random.default_rng(0).integers(1, 16, 10):
        stopped = FakeColorizer(dies_at=moment)
        try:
            colorize_video(
                stopped, VideoConfig(str(mixed), str(target), overwrite=True, **settings)
            )
            target.unlink()  # the work of the stops before was enough
        except KeyboardInterrupt:
            assert not target.exists()
    color(mixed, target, **settings, overwrite=True)  # the other film may be there
    for name in ("{}.mp4", "{}_compare.mp4"):
        made, whole = (tmp_path / name.format(stem) for stem in ("b", "whole"))
        assert made.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_at_ten_moments_the_file_is_the_same(mixed, tmp_path):
    code = textwrap.dedent(
        """
        import os, signal, sys, time
        sys.path[:0] = sys.argv[3:]
        import numpy
        from helpers.films import FakeColorizer
        from residual_encoder.inference import video
        class Slow(FakeColorizer):
            def merge(self, *inputs):
                time.sleep(0.05)
                return super().merge(*inputs)
        video.SEGMENT = 7
        def begin(target):  # in a process of its own, which has no threads yet
            if not (child := os.fork()):
                config = video.VideoConfig(sys.argv[1], target, compare=True, color_inputs="skip")
                video.colorize_video(Slow(), config)
                os._exit(0)
            return child
        assert os.waitpid(begin(os.path.join(sys.argv[2], "whole.mp4")), 0)[1] == 0
        target = os.path.join(sys.argv[2], "b.mp4")
        for delay in numpy.random.default_rng(1).uniform(0, 2, 10):
            if not os.path.exists(target):
                child = begin(target)
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if not os.path.exists(target):
            assert os.waitpid(begin(target), 0)[1] == 0
        """
    )
    command = [sys.executable, "-c", code, str(mixed), str(tmp_path), *map(str, PATHS)]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("{}.mp4", "{}_compare.mp4"):
        made, whole = (tmp_path / name.format(stem) for stem in ("b", "whole"))
        assert made.read_bytes() == whole.read_bytes()


def test_on_a_full_disk_what_was_there_stays(plain, tmp_path):
    target = tmp_path / "b.mp4"
    target.write_bytes(b"mine")
    code = textwrap.dedent(
        """
        import resource, sys
        sys.path[:0] = sys.argv[4:]
        from helpers.films import FakeColorizer
        from residual_encoder.inference.video import VideoConfig, colorize_video
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        colorize_video(FakeColorizer(), VideoConfig(sys.argv[1], sys.argv[2], overwrite=True))
        """
    )
    for limit in (3000, 30000):  # while encoding, while joining
        command = [
            sys.executable,
            "-c",
            code,
            str(plain),
            str(target),
            str(limit),
            *map(str, PATHS),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 1
        assert f"Cannot write {target}" in done.stderr or "Cannot write" in done.stderr
        assert "File too large" in done.stderr.splitlines()[-1]
        assert target.read_bytes() == b"mine"


# --- killed at the end ----------------------------------------------------------------------------


def test_killed_at_each_step_of_the_end_the_next_run_ends_it(plain, tmp_path):
    """Before each rename and removal from the last segment on, in folders of their own."""
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        sys.path[:0] = sys.argv[3:]
        from helpers.films import FakeColorizer
        from residual_encoder.inference import video
        video.SEGMENT = 20
        count, moment = 0, 0
        def dying(function):
            def called(*arguments, **named):
                global count
                count += 1
                if count == moment:
                    os._exit(9)
                return function(*arguments, **named)
            return called
        def run(name, kill):  # in a process of its own, which has no threads yet
            if child := os.fork():
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            global moment
            moment = kill
            for function in ("replace", "unlink", "rmdir"):
                setattr(os, function, dying(getattr(os, function)))
            folder = Path(sys.argv[2], name)
            folder.mkdir(exist_ok=True)
            config = video.VideoConfig(sys.argv[1], str(folder / "b.mp4"), compare=True)
            try:
                video.colorize_video(FakeColorizer(), config)
            except FileExistsError as error:
                assert str(error).startswith(f"{folder / 'b.mp4'} exists")
                os._exit(3)
            os._exit(0 if kill else min(count, 255) * (name == "count"))
        total = run("count", 0)
        assert run("whole", 0) == 0
        for kill in range(total - 15, total + 1):
            assert run(f"killed{kill}", kill) == 9
            there = Path(sys.argv[2], f"killed{kill}", "b.mp4").exists()
            assert run(f"killed{kill}", 0) == (3 if there else 0), kill
        """
    )
    command = [sys.executable, "-c", code, str(plain), str(tmp_path), *map(str, PATHS)]
    subprocess.run(command, check=True)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert sorted(whole) == ["b.mp4", "b_compare.mp4"]
    for folder in tmp_path.glob("killed*"):
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert made == whole, folder.name
    ends = [(folder / "b_compare.mp4").exists() for folder in tmp_path.glob("killed*")]
    assert len(ends) == 16 and all(ends)


@pytest.fixture
def killed_at_the_end(plain, tmp_path, monkeypatch):
    """A film and its comparison, whole, of a run that was killed before it removed its parts."""
    target = tmp_path / "out" / "plain.mp4"
    target.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(video_progress.SegmentStore, "remove", lambda self, but="": None)
        color(plain, target, compare=True)
    assert len(list((tmp_path / "out" / ".plain.mp4.parts").iterdir())) > 2
    return target


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("film_is_there", [False, True])
def test_the_command_goes_on_after_a_kill_at_the_end(plain, killed_at_the_end, skip, film_is_there):
    """Without --overwrite, and with --skip_existing; what is whole is not replaced."""
    target, compare = killed_at_the_end, killed_at_the_end.with_name("plain_compare.mp4")
    wanted = target.read_bytes(), compare.read_bytes()
    if not film_is_there:
        target.unlink()
    before = target.exists() and target.stat().st_mtime_ns
    config = BatchConfig((str(plain),), str(target.parent), compare=True, skip_existing=skip)
    summary = batch.colorize_files(config, colorizer=FakeColorizer())
    counts = len(summary.failed), summary.skipped, summary.colored
    assert counts == ((0, 0, 1) if not film_is_there else (0, 1, 0) if skip else (1, 0, 0))
    assert (target.read_bytes(), compare.read_bytes()) == wanted
    assert not before or target.stat().st_mtime_ns == before
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name, compare.name]


def test_a_comparison_that_somebody_else_made_stays(plain, killed_at_the_end):
    target, compare = killed_at_the_end, killed_at_the_end.with_name("plain_compare.mp4")
    target.unlink()
    compare.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="plain_compare.mp4 exists"):
        color(plain, target, compare=True)
    assert compare.read_bytes() == b"mine"


@pytest.mark.parametrize("damage", ["null", "[]", "[1]", '{"": 1}', '{"a/b": 1}', "{", "1e999"])
def test_a_damaged_note_of_what_was_made_is_none(damage, plain, tmp_path):
    (tmp_path / ".b.mp4.parts").mkdir()
    (tmp_path / ".b.mp4.parts" / video_progress.MADE).write_text(damage)
    assert video_progress.made(tmp_path / "b.mp4") == set()


def test_disks_that_change_the_time_of_a_renamed_file(plain, tmp_path, monkeypatch):
    """As some do over a network: the comparison that was just made is no reason to stop."""
    times = iter(range(100))
    monkeypatch.setattr(video_progress, "_mark", lambda path: [next(times)])
    color(plain, tmp_path / "b.mp4", compare=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.mp4", "b_compare.mp4"]


def test_other_settings_replace_what_a_killed_run_left(plain, killed_at_the_end):
    target = killed_at_the_end
    with pytest.raises(FileExistsError, match="plain.mp4 exists"):  # it is whole
        color(plain, target, compare=True, smoothing=False)
    target.unlink()
    color(plain, target, compare=True, smoothing=False, overwrite=True)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "plain.mp4",
        "plain_compare.mp4",
    ]


def test_a_film_whose_worker_was_lost_before_its_row_is_made_again(plain, tmp_path):
    """Of archives on Dask: whole, but still where it was written first."""
    target = tmp_path / "out" / "plain.mp4"
    journal = Journal(str(target.parent), 1, "run")
    staged = journal.place(target)
    color(plain, staged)
    wanted = staged.read_bytes()
    task = Task(str(plain), str(target), name=str(plain))
    row = json.loads(worker.color(FakeColorizer(), task, staging=journal))
    assert row["output"] == str(target) and row["frames"] == 30
    assert target.read_bytes() == wanted
