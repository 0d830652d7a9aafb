"""A weights file is checked before it is used: changed bits, foreign data, its hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from residual_encoder.models import weights as weights_files
from residual_encoder.training import checkpoints


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    arrays = {"a/kernel": np.arange(500, dtype=np.float32), "a/bias": np.ones(3, np.float32)}
    weights_files.write_arrays(tmp_path / "w.weights.h5", arrays, {"recipe": {}})
    return tmp_path / "w.weights.h5"


def test_a_changed_bit_is_found_and_its_variable_named(weights: Path) -> None:
    data = bytearray(weights.read_bytes())
    data[data.index(np.float32(123).tobytes() + np.float32(124).tobytes())] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="damaged.*a/kernel"):
        weights_files.read_arrays(weights)


@pytest.mark.parametrize("about", ["3", '["recipe"]', "null"])
def test_a_description_that_is_no_object_is_refused(weights: Path, about: str) -> None:
    with h5py.File(weights, "r+") as file:
        file.attrs["about"] = np.bytes_(about)
    with pytest.raises(ValueError, match="no object of JSON"):
        weights_files.read_recipe(weights)


def test_every_value_is_guarded(weights: Path) -> None:
    """Any byte of the values changed is an error or the same values, never other ones."""
    whole, (wanted, _) = weights.read_bytes(), weights_files.read_arrays(weights)
    for place in np.random.default_rng(0).integers(0, len(whole), 150):
        data = bytearray(whole)
        data[place] ^= 0x10
        weights.write_bytes(data)
        try:
            arrays, _ = weights_files.read_arrays(weights)
        except ValueError:
            continue
        for name in wanted.keys() & arrays.keys():  # other names are named when it is loaded
            np.testing.assert_array_equal(arrays[name], wanted[name])


def rewritten(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        del file["a/kernel"]
        change(file)


def outside(file: h5py.File) -> None:
    file.create_dataset("a/kernel", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("a/kernel", layout)


def bomb(file: h5py.File) -> None:
    file.create_dataset("a/kernel", (10**10,), "f4", chunks=(2**20,))


def words(file: h5py.File) -> None:
    file.create_dataset("a/kernel", data=["import os"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "a/kernel lies in another file"),
        (virtual, "a/kernel lies in another file"),
        (bomb, r"a/kernel of \(10000000000,\) does not fit into the file"),
        (words, "a/kernel holds object, no numbers"),
    ],
)
def test_a_weights_file_holds_its_own_numbers_only(
    change: Callable[[h5py.File], None], message: str, weights: Path
) -> None:
    rewritten(weights, change)
    with pytest.raises(ValueError, match=message):
        weights_files.read_arrays(weights)


def test_a_link_to_another_file_is_a_missing_variable(weights: Path, tmp_path: Path) -> None:
    weights_files.write_arrays(tmp_path / "other.h5", {"a/kernel": np.zeros(500, np.float32)}, {})
    rewritten(
        weights,
        lambda file: file.__setitem__("a/kernel", h5py.ExternalLink("other.h5", "a/kernel")),
    )
    arrays, _ = weights_files.read_arrays(weights)
    assert arrays.keys() == {"a/bias"}


def test_the_error_of_a_damaged_checkpoint_tells_what_to_do(tmp_path: Path) -> None:
    for step in (2, 4):
        checkpoints.save(tmp_path, step, [], {"cursor": [0, step]})
    newest = tmp_path / "step-00000004.h5"
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(ValueError, match="00000004.h5 is damaged.*Delete it to resume from"):
        checkpoints.restore(tmp_path, [])
    newest.unlink()
    assert checkpoints.restore(tmp_path, []) == (2, {"cursor": [0, 2]})


def test_the_shipped_weights_are_shown_by_their_hash() -> None:
    from residual_encoder.inference import model_loading
    from residual_encoder.utils import files

    path = model_loading.shipped_weights()
    shown = (path.with_name(f"{path.name}.sha256")).read_text().split()[0]
    assert re.fullmatch("[0-9a-f]{64}", shown) and shown == files.sha256(path)
