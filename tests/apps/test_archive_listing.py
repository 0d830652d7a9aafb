"""What an archive's inputs are, in tasks, for Dask: listed, checked and counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from residual_encoder.apps.archive import dask_progress, listing, tasks
from residual_encoder.apps.archive.tasks import CollectionConfig, Task


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def resolved(config: CollectionConfig) -> dict[str, Task]:
    found = listing.Claims(config).resolved(listing.file_tasks(config))
    return {task.source: task for task in found}


def test_each_output_is_the_first_inputs(tmp_path: Path) -> None:
    """In one folder, in several inputs, onto an input, by a list; as Beam's grouping has it."""
    box = touched(tmp_path / "a", "1.png", "1.tif", "sub/1.tif", "notes.txt", "raw.nef")
    config = CollectionConfig((str(box),), str(tmp_path / "out"), format="jpeg")
    found = resolved(config)
    outcomes = {Path(name).name: (task.error, task.left_out) for name, task in found.items()}
    assert "the output of another" in found[f"{box}/1.tif"].error
    assert not found[f"{box}/1.png"].closed and not found[f"{box}/sub/1.tif"].closed
    assert "camera raw file" in outcomes["raw.nef"][1] and len(found) == 4

    other = touched(tmp_path / "b", "1.png", "2.png")
    config = CollectionConfig((str(box), str(other), str(other)), str(tmp_path / "out"))
    found = resolved(config)
    assert "the output of another" in found[f"{other}/1.png"].error
    assert not found[f"{other}/2.png"].closed

    config = CollectionConfig((str(box), f"{other}/*.png"), str(other))
    found = resolved(config)
    assert found[f"{box}/1.png"].error and found[f"{other}/2.png"].error
    assert not found[f"{box}/1.tif"].closed

    config = CollectionConfig((str(box),), str(box))
    assert all(task.closed for task in resolved(config).values())


def test_an_output_folder_among_the_inputs_is_left_out(tmp_path: Path) -> None:
    box = touched(tmp_path / "a", "1.png", "out/1.png")
    (task,) = resolved(CollectionConfig((str(box),), str(box / "out"))).values()
    assert task.source == f"{box}/1.png" and not task.closed  # it is there: to be skipped


def test_a_list_of_an_editor_of_windows_is_read(tmp_path: Path) -> None:
    """It begins with a mark of bytes in order, and its lines end in two characters."""
    box = touched(tmp_path / "a", "1.png", "2.png")
    names = tmp_path / "list.txt"
    names.write_text(f"{box}/1.png\r\n{box}/2.png\r\n", encoding="utf-8-sig", newline="")
    config = CollectionConfig((), str(tmp_path / "out"), files_from=str(names))
    assert [task.source for task in listing.file_tasks(config)] == [f"{box}/1.png", f"{box}/2.png"]


def test_files_are_listed_by_a_file(tmp_path: Path) -> None:
    box = touched(tmp_path / "a", "x/1.png", "y/1.png")
    names = tmp_path / "list.txt"
    names.write_text(f"{box}/x/1.png\n\n{box}/y/1.png\n../up.png\n{box}/z.nef\n{box}/x/1.png\n")
    config = CollectionConfig((), str(tmp_path / "out"), files_from=str(names))
    listing.check(config)
    found = list(listing.Claims(config).resolved(listing.file_tasks(config)))
    inside = str(box).lstrip("/")
    places = [os.path.relpath(task.target, tmp_path / "out") for task in found[:2]]
    assert places == [f"{inside}/x/1.png", f"{inside}/y/1.png"]
    assert len(found) == 4 and ".." in found[2].error and "camera raw" in found[3].error


def test_inputs_are_checked_at_once(tmp_path: Path) -> None:
    box = touched(tmp_path / "a", "notes.txt", "raw.nef")
    with pytest.raises(FileNotFoundError, match="There is no nowhere"):
        listing.check(CollectionConfig((str(box), "nowhere"), "out"))
    with pytest.raises(ValueError, match="No picture found.*camera raw"):
        listing.check(CollectionConfig((str(box),), "out"))
    with pytest.raises(ValueError, match="files_from lists pictures"):
        CollectionConfig((), "out", True, files_from="list.txt")


def test_tasks_are_a_few_files_and_one_film() -> None:
    names = [f"{number}.png" for number in range(40)]
    found = [Task(name) for name in (*names[:20], "a.mp4", *names[20:])]
    found += [Task(f"s@{number}", shard="s", number=number) for number in range(70)]
    sizes = [len(chunk) for chunk in listing.chunks(found)]
    assert sorted(sizes) == sorted([16, 16, 8, 1, tasks.GROUP, 6])


def test_files_are_counted(tmp_path: Path) -> None:
    box = touched(tmp_path / "a", *(f"{number}.png" for number in range(30)))
    counter = listing.Counter(CollectionConfig((str(box),), "out"))
    assert not counter.more_than(30) and counter.more_than(29)
    assert counter.done and counter.total == 30
    counter.close()


def test_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 40.0, 40.0, 40.0])
    monkeypatch.setattr(dask_progress.time, "monotonic", lambda: next(clock))
    progress = dask_progress.Progress(lambda: 8000)
    progress.add(80, 1)
    assert capsys.readouterr().err == "80 of 8000 files, 2 a second, 1 h 6 min left, 1 failed\n"
