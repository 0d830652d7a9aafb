"""Miniature ILSVRC archives, prepared and read as the real ones are."""

import io
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from residual_encoder.data import imagenet
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import RecordStats, eval_batches, train_batches
from residual_encoder.imaging.augment_config import Augment

CMYK, PNG = "n01739381_1309.JPEG", "n02105855_2933.JPEG"  # names that TFDS knows as such


def picture(kind, color):
    """A 40 x 48 picture of one color, as the bytes of a file."""
    image = Image.fromarray(np.full((40, 48, 3), color, np.uint8))
    if kind == "CMYK":
        image = Image.fromarray(
            255 - np.dstack([np.asarray(image), np.full((40, 48), 255)]).astype(np.uint8), "CMYK"
        )
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if kind == "PNG" else "JPEG", quality=95)
    return buffer.getvalue()


def tar_of(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


RED, GREEN, BLUE = (200, 40, 30), (40, 180, 50), (30, 60, 190)
TRAIN = {
    "n01440764": {f"n01440764_{n}.JPEG": picture("JPEG", RED) for n in range(3)},
    "n01739381": {CMYK: picture("CMYK", GREEN), "n01739381_1.JPEG": picture("CMYK", GREEN)},
    "n02105855": {PNG: picture("PNG", BLUE), "n02105855_1.JPEG": picture("PNG", BLUE)},
}
VALIDATION = {f"ILSVRC2012_val_{n:08d}.JPEG": picture("JPEG", RED) for n in range(1, 6)}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ilsvrc")
    classes = {f"{synset}.tar": tar_of(members) for synset, members in TRAIN.items()}
    (folder / imagenet.IMAGENET_TARS[0]).write_bytes(tar_of(classes))
    (folder / imagenet.IMAGENET_TARS[1]).write_bytes(tar_of(VALIDATION))
    return folder


@pytest.fixture(scope="module")
def prepared(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    imagenet.imagenet_source(str(folder), str(archives), "train")
    return folder


def test_training_prepares_and_reads_every_photograph_once(prepared):
    stats = RecordStats()
    config = DataConfig("imagenet", str(prepared))
    batches = train_batches(
        config, batch_size=7, image_size=16, augment=Augment(), seed=0, stats=stats
    )
    batch = next(iter(batches.take(1)))
    assert batch.rgb.shape == (7, 16, 16, 3)
    assert set(batch.epoch.numpy()) == {0}
    centers = sorted(map(tuple, batch.rgb.numpy()[:, 8, 8].astype(int)))
    wanted = sorted([RED] * 3 + [GREEN] * 2 + [BLUE] * 2)
    np.testing.assert_allclose(centers, wanted, atol=6)  # JPEG and the way through CMYK
    assert (stats.bad, stats.gray) == (0, 0)


def test_training_file_names_reach_evaluation(prepared):
    batches = eval_batches(
        DataConfig("imagenet", str(prepared)), batch_size=4, image_size=8, split="train"
    )
    names = {name.decode() for batch in batches for name in batch.name.numpy()}
    assert names == {name for members in TRAIN.values() for name in members}


def test_validation_split(prepared):
    batches = list(eval_batches(DataConfig("imagenet", str(prepared)), batch_size=3, image_size=8))
    assert [len(batch.name) for batch in batches] == [3, 2]
    assert {name.decode() for batch in batches for name in batch.name.numpy()} == set(VALIDATION)


def test_prepared_data_needs_no_archives(prepared, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(prepared, moved)
    config = DataConfig("imagenet", str(moved), manual_dir=str(tmp_path / "gone"))
    assert len(list(eval_batches(config, batch_size=1, image_size=8))) == 5


def test_one_call_prepares_and_reads(archives, tmp_path):
    config = DataConfig("imagenet", str(tmp_path / "new"), manual_dir=str(archives))
    assert len(list(eval_batches(config, batch_size=5, image_size=8))) == 1


@pytest.mark.parametrize("there", [(), (0,), (1,)])
def test_missing_archives_are_named(archives, tmp_path, there):
    for number in there:
        shutil.copy(archives / imagenet.IMAGENET_TARS[number], tmp_path)
    with pytest.raises(ValueError, match="not found in .*data/README.md") as caught:
        imagenet.imagenet_source(str(tmp_path / "data"), str(tmp_path), "train")
    for number, name in enumerate(imagenet.IMAGENET_TARS):
        assert (name in str(caught.value)) == (number not in there)


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="data_dir is missing"):
        imagenet.imagenet_source(None, None, "train")
    with pytest.raises(ValueError, match="manual_dir is missing.*ILSVRC2012_img_train.tar"):
        imagenet.imagenet_source(str(tmp_path), None, "train")
    with pytest.raises(ValueError, match="not found in .*nowhere"):
        imagenet.imagenet_source(str(tmp_path), str(tmp_path / "nowhere"), "train")


def test_the_newest_version_is_read(tmp_path):
    for version in ("5.1.0", "10.0.0", "9.2.1"):
        (tmp_path / "imagenet2012" / version).mkdir(parents=True)
        (tmp_path / "imagenet2012" / version / "dataset_info.json").touch()
    (tmp_path / "imagenet2012" / "11.0.0.incomplete").mkdir()
    assert imagenet._prepared_imagenet(tmp_path).name == "10.0.0"
    assert imagenet._prepared_imagenet(tmp_path / "elsewhere") is None
