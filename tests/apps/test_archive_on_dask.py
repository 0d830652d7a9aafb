"""Archives on Dask in one process: the files of tools/colorize.py, rows that outlive workers."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.archives import check_records, contents, crop, rows, state, write_photographs

from residual_encoder.apps.archive import (
    beam_pipeline,
    dask_cluster,
    dask_engine,
    dask_stream,
    dask_worker,
    listing,
    manifests,
)
from residual_encoder.apps.archive.dask_cluster import ClusterConfig
from residual_encoder.apps.archive.journal import FOLDER, Journal
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.imaging import image_io
from residual_encoder.inference import batch
from residual_encoder.inference.batch import BatchConfig

# --- the journal ----------------------------------------------------------------------------------


def line(source: str, **facts: object) -> str:
    return json.dumps({"file": source, **facts})


def done(output: Path, name: str) -> str:
    """The row of a picture that was colored, and its output."""
    output.mkdir(exist_ok=True)
    (output / name).write_bytes(b"picture")
    return line(name, output=str(output / name), model="m")


@pytest.mark.parametrize("shards", [1, 4])
def test_rows_are_merged_with_those_of_earlier_runs(tmp_path: Path, shards: int) -> None:
    output = tmp_path / "out"
    names = [f"{number}.png" for number in range(20)]
    first = Journal(str(output), shards, "one")
    for name in names:
        first.note(name, line(name, error="broken") if name > "5" else done(output, name))
    counts = [first.merge(part) for part in range(shards)]
    assert sum(count["colored"] for count in counts) == sum(name <= "5" for name in names)
    first.close(stopped=False)
    second = Journal(str(output), shards, "two")
    second.note("9.png", done(output, "9.png"))
    second.note("9.png", line("9.png", output=str(output / "9.png")))  # its task was repeated
    second.note("3.png", line("3.png", output=str(output / "3.png")))
    counts = [second.merge(part) for part in range(shards)]
    total = {name: sum(count[name] for count in counts) for name in ("colored", "skipped")}
    assert total == {"colored": 1, "skipped": 1}
    second.close(stopped=False)
    assert not (output / FOLDER).exists() and manifests.shards_there(output) == shards
    good = [row for part in output.glob("manifest*") for row in rows(part)]
    bad = [row for part in output.glob("errors*") for row in rows(part)]
    assert sorted(str(row["file"]) for row in (*good, *bad)) == sorted(names)
    assert all("model" in row for row in good)  # also of 3.png, which was skipped
    assert len(list(output.glob("*.jsonl"))) == 2 * shards


def test_one_manifest_becomes_many(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(f"{line('a', model='m')}\n{line('b', output='x')}\n")
    (tmp_path / ERRORS).write_text(f"{line('c', error='e')}\n")
    journal = Journal(str(tmp_path), 3, "run")
    journal.split_earlier()
    assert not list(tmp_path.glob("*.jsonl"))
    assert not any(sum((journal.merge(part) for part in range(3)), start=type(journal.merge(0))()))
    found = [row["file"] for part in tmp_path.glob("*.jsonl") for row in rows(part)]
    assert sorted(found) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="manifest in 3 parts.*--engine=dask"):
        config = CollectionConfig((str(tmp_path),), str(tmp_path))
        beam_pipeline.load(beam_pipeline.Prepared(config, None, _Loaded(), []))  # type: ignore[arg-type]


class _Loaded:
    def colorizer(self) -> None:
        """Nothing to load."""


def test_cut_rows_and_rows_without_an_output_are_dropped(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), 1, "run")
    journal.note("a", line("a", output=str(tmp_path / "gone.png"), model="m"))
    journal.note("b", line("b", error="e"))
    (part,) = (tmp_path / FOLDER / "rows" / "00000").iterdir()
    part.write_text(part.read_text() + '{"file": "c", "err')
    assert journal.merge(0) == {"failed": 1}
    assert [row["file"] for row in rows(tmp_path / ERRORS)] == ["b"]
    assert rows(tmp_path / MANIFEST) == []


def test_what_died_in_company_is_tried_alone() -> None:
    company, seen = dask_worker.Company(), []
    with company.member(alone=False):
        waiting = [threading.Thread(target=_visit, args=(company, alone, seen)) for alone in (1, 0)]
        for thread in waiting:
            thread.start()
            time.sleep(0.05)
        assert seen == []  # one waits for the company to go, the other for the one
    for thread in waiting:
        thread.join(5)
    assert seen == [(1, 1), (0, 1)]


def _visit(company: dask_worker.Company, alone: int, seen: list[tuple[int, int]]) -> None:
    with company.member(alone=bool(alone)):
        seen.append((alone, company.inside))


def test_starts_are_counted_until_the_end(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), 1, "run")
    for name in "aab":
        journal.begin(name)
    assert [journal.begun(name) for name in "abc"] == [2, 1, 0]
    journal.end("a")
    assert journal.begun("a") == 0
    assert Journal(str(tmp_path), 1, "other").begun("b") == 0


# --- a run ----------------------------------------------------------------------------------------


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that are threads of this process, without the network."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")

    def local(config: ClusterConfig) -> Any:
        return distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        )

    monkeypatch.setattr(dask_cluster, "_local", local)
    yield
    dask_worker._COLORIZERS.clear()


@pytest.mark.dask
def test_a_small_archive(
    cluster: None, tmp_path: Path, soft_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tools/colorize.py does it; then again; then in parts."""
    photographs = write_photographs(tmp_path / "in", 40, 1)
    model, plain, output = str(soft_weights), tmp_path / "plain", tmp_path / "out"
    config = CollectionConfig((str(photographs),), str(output), model=model)
    assert dask_engine.colorize_archive(config) == (39, 0, 1)
    summary = batch.colorize_files(BatchConfig((str(photographs),), str(plain), model=model))
    assert summary.colored == 39 and contents(output) == contents(plain)
    (broken,) = rows(output / ERRORS)
    assert list(summary.failed.values()) == [broken["error"]]
    assert len({row["output"] for row in rows(output / MANIFEST)}) == 39
    assert all({"width", "height", "model"} <= row.keys() for row in rows(output / MANIFEST))
    before = state(output)
    assert dask_engine.colorize_archive(config) == (0, 39, 1)
    assert state(output) == before
    monkeypatch.setattr(manifests, "MOST_IN_ONE", 39)
    monkeypatch.setattr(manifests, "SHARDS", 3)
    assert dask_engine.colorize_archive(config) == (0, 39, 1)
    names = [manifests.part_name(name, 2, 3) for name in (MANIFEST, ERRORS)]
    assert names == ["manifest-00002-of-00003.jsonl", "errors-00002-of-00003.jsonl"]
    good = [row for part in output.glob("manifest-*-of-00003.jsonl") for row in rows(part)]
    assert len(good) == 39 and all("model" in row for row in good)
    assert not (output / MANIFEST).exists() and not list(output.glob(".*"))


@pytest.mark.dask
def test_records_on_dask(cluster: None, tmp_path: Path, soft_weights: Path) -> None:
    config = check_records(tmp_path, soft_weights, dask_engine.colorize_archive)
    assert dask_engine.colorize_archive(config) == (0, 3, 1)


@pytest.mark.dask
def test_an_object_store(cluster: None, tmp_path: Path, soft_weights: Path) -> None:
    """One of fsspec's own, in memory."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    photographs = write_photographs(tmp_path / "in", 6, 1)
    plain, output = tmp_path / "plain", tmp_path / "out"
    store.put(str(photographs), "/archive", recursive=True)
    store.pipe("/archive/.hidden/1.png", b"hidden")
    config = CollectionConfig(("memory://archive",), str(output), model=str(soft_weights))
    try:
        assert dask_engine.colorize_archive(config) == (5, 0, 1)
        assert dask_engine.colorize_archive(config) == (0, 5, 1)
    finally:
        store.rm("/archive", recursive=True)
    settings = BatchConfig((str(photographs),), str(plain), model=str(soft_weights))
    batch.colorize_files(settings)
    assert contents(output) == contents(plain)
    (broken,) = rows(output / ERRORS)
    assert broken["file"] == "memory:///archive/broken 0.png" in str(broken["error"])
    assert {Path(str(row["output"])).exists() for row in rows(output / MANIFEST)} == {True}
    with pytest.raises(FileNotFoundError, match="There is no memory://nowhere"):
        listing.check(dataclasses.replace(config, inputs=("memory://nowhere",)))
    with pytest.raises(ValueError, match=r"s3://bucket cannot be read here.*s3fs"):
        listing.check(dataclasses.replace(config, inputs=("s3://bucket",)))


@pytest.mark.dask
def test_a_stop_keeps_the_rest(
    cluster: None, tmp_path: Path, soft_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = write_photographs(tmp_path / "in", 60, 0)
    config = CollectionConfig((str(photographs),), str(tmp_path / "out"), model=str(soft_weights))
    colored, runs, keep = [], [], Journal.keep

    def keep_one(self: Journal, *arguments: Any) -> None:
        keep(self, *arguments)
        colored.append(arguments)
        if len(colored) == 5:
            runs[0]()

    made = dask_engine._Run.stop_by
    monkeypatch.setattr(Journal, "keep", keep_one)
    monkeypatch.setattr(
        dask_engine._Run, "stop_by", lambda *given: runs.append(made(*given)) or runs[0]
    )
    done = dask_engine.colorize_archive(config)
    assert done.colored == len(colored) < 10 and done.waiting == 60 - done.colored
    assert len(rows(tmp_path / "out" / MANIFEST)) == done.colored
    monkeypatch.undo()


def test_a_deadly_input_is_an_error(tmp_path: Path) -> None:
    """Whose starts, but no ends, are in the journal."""
    source = tmp_path / "deadly.png"
    image_io.write(source, crop(0))
    journal = Journal(str(tmp_path / "out"), 1, "run")
    job = dask_worker.Job(CollectionConfig((str(source),), str(tmp_path / "out")), journal)
    task = Task(str(source), str(tmp_path / "out" / "deadly.png"), name=str(source))
    for _ in range(dask_worker.KILLS):
        journal.begin(task.source)
    dask_worker._COLORIZERS[job.config] = object()  # it must not be asked
    try:
        assert dask_worker.color_tasks([task], job) == {"failed": 1}
    finally:
        dask_worker._COLORIZERS.clear()
    journal.merge(0)
    (row,) = rows(tmp_path / "out" / ERRORS)
    assert row["file"] == str(source) and "3 workers were killed" in row["error"]
    assert journal.begun(task.source) == 0  # the next run tries it again


TRIED: list[int] = []


def deadly(item: int) -> int:
    from distributed import KilledWorker

    TRIED.append(item)
    if item == 1:
        raise KilledWorker("task", SimpleNamespace(address="here"), 3)
    return item


@pytest.mark.dask
def test_a_task_whose_workers_are_lost_is_sent_again(
    cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_stream, "RESENT", 2)
    with dask_cluster.client(ClusterConfig()) as client:
        stream = dask_stream.Stream(client)
        found = dict(stream.results(deadly, range(3), lost=lambda item, attempts: -attempts))
        assert found == {0: 0, 1: -3, 2: 2} and TRIED.count(1) == 2
        with pytest.raises(OSError, match="3 times workers were lost that ran deadly"):
            list(stream.results(deadly, [1]))


@pytest.mark.dask
def test_a_result_that_is_lost_with_its_worker_is_waited_for(
    cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies between the end of a task and the question for its result."""
    import distributed

    lost = list[str]()

    class Unlucky(distributed.as_completed):
        def __next__(self) -> Any:
            future = super().__next__()
            if not lost:
                lost.append(future.key)
                client._handle_lost_data(future.key)
                client.loop.call_later(0.3, client._handle_key_in_memory, future.key)
            return future

    monkeypatch.setattr(distributed, "as_completed", Unlucky)
    with dask_cluster.client(ClusterConfig()) as client:
        found = dict(dask_stream.Stream(client).results(abs, [-1, -2, -3]))
    assert found == {-1: 1, -2: 2, -3: 3} and len(lost) == 1


@pytest.mark.dask
def test_workers_have_none_of_dasks_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its MALLOC_TRIM_THRESHOLD_ alone doubles the time of a picture."""
    import dask
    from distributed.nanny import _get_env_variables

    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    name = "distributed.nanny.pre-spawn-environ"
    assert "MALLOC_TRIM_THRESHOLD_" in _get_env_variables(name)
    with dask.config.set(dask_cluster._SETTINGS):
        assert _get_env_variables(name) == {}


@pytest.mark.dask
def test_what_is_wrong_is_told_in_a_line(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = tmp_path / "in"
    box.mkdir()
    image_io.write(box / "a.png", np.zeros((8, 8), np.uint8))
    config = CollectionConfig((str(box),), str(tmp_path / "out"), model="nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        dask_engine.colorize_archive(config)
    (tmp_path / "out" / MANIFEST).write_text("Dear reader")
    with pytest.raises(ValueError, match="is no manifest of this tool"):
        dask_engine.colorize_archive(config)
    with dask_engine._locked(tmp_path / "out"), pytest.raises(ValueError, match="Another run"):
        dask_engine.colorize_archive(config)
    monkeypatch.setattr(dask_cluster, "CONNECTING", 1)
    with pytest.raises(OSError, match="No Dask scheduler with a worker answers at tcp://127.0.0.1"):
        dask_engine.colorize_archive(config, ClusterConfig("tcp://127.0.0.1:9"))
    with pytest.raises(ValueError, match="--scheduler has its own"):
        ClusterConfig("tcp://host:1", workers=2)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        ClusterConfig(workers=0)


def test_without_dask_a_line_tells_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ValueError, match=r"pip install .\.\[dask\]"),
        dask_cluster.client(ClusterConfig()),
    ):
        pass
