"""Training checkpoints: all variables and the state of a run, so that it resumes where it ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from residual_encoder.models import weights

KEEP = 3  # newest checkpoints kept, in addition to the best weights
_PREFIX, _SUFFIX = "step-", ".h5"


def _path(folder: Path, step: int) -> Path:
    return folder / f"{_PREFIX}{step:08d}{_SUFFIX}"


def steps(folder: Path) -> list[int]:
    """Returns the steps of the checkpoints in a folder, oldest first."""
    names = (path.name for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    return sorted(int(name[len(_PREFIX) : -len(_SUFFIX)]) for name in names)


def save(folder: Path, step: int, variables: Iterable[Any], state: dict[str, Any]) -> Path:
    """Writes the checkpoint of a step and deletes all but the newest `KEEP`.

    Args:
      folder: The folder of checkpoints; made if it is missing.
      step: Number of steps done.
      variables: Everything that training changes: the model's and the optimizer's.
      state: The rest, which JSON can hold: the position in the data and so on.

    Returns:
      The file's path.

    Raises:
      OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, step)
    weights.write_arrays(path, weights.to_arrays(variables), {"step": step, "state": state})
    for old in steps(folder)[:-KEEP]:
        _path(folder, old).unlink()
    return path


def restore(folder: Path, variables: Iterable[Any]) -> tuple[int, dict[str, Any]] | None:
    """Loads the newest checkpoint, strictly.

    Returns:
      (step, state), or None where there is none.

    Raises:
      ValueError: the newest checkpoint is damaged or of another network.
    """
    found = steps(folder)
    if not found:
        return None
    path = _path(folder, found[-1])
    try:
        arrays, about = weights.read_arrays(path)
    except ValueError as error:
        raise ValueError(f"{error} Delete it to resume from the checkpoint before.") from error
    weights.assign(variables, arrays, str(path))
    return about["step"], about["state"]
