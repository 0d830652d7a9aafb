"""Image data sets of TensorFlow Datasets: made offline, read in order, resumed, trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.training_runs import TINY, config

from residual_encoder.data import tfds as source
from residual_encoder.data.configs import DataConfig, is_kind, tfds_name_and_split
from residual_encoder.data.input_pipeline import Cursor, eval_batches, train_batches
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.imaging.augment_config import Augment
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.training.trainer import train


def builder_of(name: str, counts: dict[str, int], features: dict[str, Any]) -> Any:
    """A data set of noise that TFDS prepares as its own."""

    def info(self: Any) -> Any:
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def examples(_: Any, split: str) -> Iterator[Any]:
        random = np.random.default_rng(len(split))
        for number in range(counts[split]):
            photo = random.integers(0, 256, (random.integers(20, 40), 33, 3), np.uint8)
            yield number, {key: photo if key != "label" else number for key in features}

    def generators(self: Any, _: Any) -> dict[str, Any]:
        return {split: examples(self, split) for split in counts}

    methods = {"_info": info, "_split_generators": generators, "_generate_examples": examples}
    return type(name, (tfds.core.GeneratorBasedBuilder,), {"VERSION": "1.0.0", **methods})


PHOTO = {"photo": tfds.features.Image(), "label": tfds.features.Scalar(np.int64)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("tfds"))
    for name, counts, features in (
        ("TwoSplits", {"train": 12, "test": 5}, PHOTO),
        ("OneSplit", {"train": 40}, PHOTO),
        ("OnePicture", {"train": 1}, PHOTO),
        ("NoPhotographs", {"train": 2}, {"label": PHOTO["label"]}),
    ):
        builder_of(name, counts, features)(data_dir=folder).download_and_prepare()
    return folder


def names(data: DataConfig, split: str = "val") -> list[bytes]:
    batches = eval_batches(data, batch_size=4, image_size=16, split=split)
    return [name for batch in batches for name in batch.name.numpy()]


def test_kinds_and_their_parts() -> None:
    assert tfds_name_and_split("tfds:cifar10") == ("cifar10", None)
    assert tfds_name_and_split("tfds:cifar10:test") == ("cifar10", "test")
    assert tfds_name_and_split("tfds:cifar10:train[:80%]") == ("cifar10", "train[:80%]")
    assert tfds_name_and_split("tfds:imagenette/320px-v2:1.0.0:train[5%:]+validation") == (
        "imagenette/320px-v2:1.0.0",
        "train[5%:]+validation",
    )
    assert tfds_name_and_split("tfds:mnist:3.*.*") == ("mnist:3.*.*", None)
    assert is_kind("tfds:a") and is_kind("folder") and not is_kind("tfds:") and not is_kind("tfds")
    with pytest.raises(ValueError, match=r"choose from imagenet, .*, or tfds:NAME\[:SPLIT\]"):
        DataConfig("cifar10")


def test_splits(prepared: str) -> None:
    two, one = (DataConfig(f"tfds:{name}", prepared) for name in ("two_splits", "one_split"))
    assert len(names(two, "train")) == 12 and len(names(two)) == 5
    training, validation = names(one, "train"), names(one)
    assert len(training) == 38 and len(validation) == 2  # of 40
    assert not set(training) & set(validation)
    half = DataConfig("tfds:one_split:train[:50%]", prepared)
    assert names(half) == names(half, "train") == training[:20]
    assert all(b"one_split-train.tfrecord" in name for name in training)


@pytest.mark.parametrize(
    ("trained", "evaluated", "shared"),
    [
        ("", "", 0),  # train[:95%] and train[95%:]
        (":train[:80%]", ":train[70%:]", 4),
        (":train[:80%]", ":train[80%:]", 0),
        (":train", ":train[:10%]", 4),
        ("", ":train[90%:]", 2),  # the end of train[:95%]
        (":train[:50%]", "", 0),
        (":train[30:]", ":train[:35]", 5),
        (":train[:5]+train[20:30]", ":train[4:21]", 2),
        (":1.0.0:train[:80%]", ":train[70%:]", 4),
    ],
)
def test_pictures_that_are_trained_and_evaluated_on(
    prepared: str, trained: str, evaluated: str, shared: int
) -> None:
    both = [DataConfig(f"tfds:one_split{split}", prepared) for split in (trained, evaluated)]
    of_both = set(names(both[0], "train")) & set(names(both[1]))
    assert len(of_both) == shared
    if not shared:
        source.check_disjoint(*both)
        return
    with pytest.raises(ValueError, match=rf"^{shared} pictures of one_split.*to evaluate on; name"):
        source.check_disjoint(*both)


def test_other_data_and_pictures_that_are_not_used_are_no_matter(
    prepared: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataConfig("tfds:one_split:train", prepared)
    first = dataclasses.replace(data, train_limit=30)
    source.check_disjoint(first, DataConfig("tfds:one_split:train[75%:]", prepared))
    with pytest.raises(ValueError, match="1 pictures of one_split"):
        source.check_disjoint(first, DataConfig("tfds:one_split:train[29:]", prepared))
    source.check_disjoint(data, DataConfig("tfds:two_splits:train", prepared))
    source.check_disjoint(data, DataConfig("synthetic"))
    assert not caplog.records
    with tfds.core.registered.skip_registration():
        one = builder_of("OneSplit", {"train": 40}, PHOTO)
    one(data_dir=str(tmp_path / "copy")).download_and_prepare()
    one.VERSION = "0.9.0"
    one(data_dir=prepared).download_and_prepare()
    source.check_disjoint(data, DataConfig("tfds:one_split:0.9.0:train", prepared))
    told = "one_split/1.0.0 is trained on and one_split/0.9.0 evaluated on: whether they share"
    assert told in caplog.text
    elsewhere = dataclasses.replace(data, data_dir=str(tmp_path / "copy"))
    with pytest.raises(ValueError, match="40 pictures of one_split"):  # a copy has the same ones
        source.check_disjoint(data, elsewhere)


def test_training_refuses_them_before_the_first_step(prepared: str, tmp_path: Path) -> None:
    data, other = (DataConfig(f"tfds:one_split:{s}", prepared) for s in ("train", "train[90%:]"))
    settings = config(tmp_path / "run", TINY)
    both = dataclasses.replace(settings, data=data, eval_data=other, eval_every=1)
    with pytest.raises(ValueError, match="4 pictures of one_split are in 'train', to train on"):
        train(both)
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_the_same_batches_after_a_break(prepared: str) -> None:
    data = DataConfig("tfds:two_splits", prepared)
    settings: Any = {"batch_size": 4, "image_size": 16, "augment": Augment(flip=True), "seed": 3}
    whole = [batch.rgb.numpy() for batch in train_batches(data, **settings).take(6)]
    rest = train_batches(data, start=Cursor(0, 8), **settings).take(4)
    np.testing.assert_array_equal(whole[2:], [batch.rgb.numpy() for batch in rest])
    epochs = [np.sort(np.concatenate(part).mean((1, 2, 3))) for part in (whole[:3], whole[3:])]
    np.testing.assert_allclose(*epochs, atol=1)  # the same photographs, some of them mirrored
    assert not np.array_equal(whole[:3], whole[3:])  # in another order


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("tfds:two_splits:other", "'other': Unknown split 'other'.*its splits are train, test"),
        ("tfds:one_picture", r"one_picture, 'train\[95%:\]': .* no data; its splits are train$"),
        ("tfds:no_photographs", r"holds no pictures of 8 bits; its features are \['label'\]"),
        ("tfds:no_such_data", r"cannot prepare 'no_such_data': .*not found\. Names"),
    ],
)
def test_what_is_not_there(prepared: str, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names(DataConfig(kind, prepared))


def test_data_that_cannot_be_prepared(prepared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("Manual directory does not exist.\nLong text")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(ValueError, match="cannot prepare 'cifar10': Manual directory does not"):
        source.tfds_source(DataConfig("tfds:cifar10", prepared), "train")


@pytest.mark.parametrize(
    ("trained", "evaluated"),
    [
        pytest.param("cifar10:train", "oxford_flowers102:test", marks=pytest.mark.slow),
        pytest.param("oxford_flowers102:train", "cifar10:test", marks=pytest.mark.slow),
    ],
)
def test_two_steps_and_an_evaluation(tmp_path: Path, trained: str, evaluated: str) -> None:
    """On data sets of TFDS's own, which its tools for tests fill with noise."""
    data, others = (DataConfig(f"tfds:{kind}", str(tmp_path)) for kind in (trained, evaluated))
    recipe = dataclasses.replace(TINY, steps=2)
    settings = config(tmp_path / "run", recipe, eval_every=2, eval_limit=3, samples=2)
    with tfds.testing.mock_data(num_examples=6):
        outcome = train(dataclasses.replace(settings, data=data, eval_data=others))
        assert outcome.step == 2 and outcome.evaluation and outcome.evaluation["n"] == 3
        report = evaluate_model(
            EvaluateConfig(others, image_size=32, limit=4), Colorizer(tmp_path / "run")
        )
    assert report["n"] == 4 and report["data"]["kind"] == f"tfds:{evaluated}"
