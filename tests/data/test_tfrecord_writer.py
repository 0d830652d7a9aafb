"""Pictures to shards: classic format, originals kept, pictures left out are named."""

import dataclasses
import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image

from residual_encoder.apps.archive import beam_shards, dask_cluster, dask_shards
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import eval_batches
from residual_encoder.data.tfrecord_writer import ShardsConfig, make_shards


def encoded(rgb, kind="JPEG", mode=None):
    buffer = io.BytesIO()
    image = Image.fromarray(rgb)
    (image.convert(mode) if mode else image).save(buffer, kind, quality=90)
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path, rng):
    """Three color JPEGs, a PNG, a gray JPEG, a CMYK one, and two that are broken."""
    root = tmp_path / "images"
    for name in ("cat", "dog/small"):
        (root / name).mkdir(parents=True)
    color = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    (root / "top.jpg").write_bytes(encoded(color))
    (root / "cat/a.JPEG").write_bytes(encoded(color[:, ::-1].copy()))
    (root / "dog/small/b.jpg").write_bytes(encoded(color[:10, :12].copy()))
    (root / "dog/c.png").write_bytes(encoded(color, "PNG"))
    (root / "dog/gray.jpg").write_bytes(encoded(color, mode="L"))
    (root / "dog/ink.jpg").write_bytes(encoded(color, mode="CMYK"))
    (root / "cat/cut.jpg").write_bytes(encoded(color)[:300])
    (root / "cat/text.png").write_bytes(b"no picture")
    (root / "cat/.hidden.jpg").write_bytes(b"no picture")
    (root / "cat/notes.txt").write_bytes(b"notes")
    return root


def config(images, tmp_path, **rest):
    standard = ShardsConfig(images=str(images), output=str(tmp_path / "out"), name="val")
    return dataclasses.replace(standard, **rest)


def records(folder, name="val"):
    found = {}
    for path in sorted(folder.glob(f"{name}-*-of-*")):
        for data in tf.data.TFRecordDataset(str(path)):
            features = tf.train.Example.FromString(data.numpy()).features.feature
            values = {
                key: (value.bytes_list.value or value.int64_list.value)[0]
                for key, value in features.items()
            }
            found[values["image/filename"].decode()] = values
    return found


def test_classic_features_and_what_is_left_out(images, tmp_path):
    done = make_shards(config(images, tmp_path, shards=2))
    found = records(tmp_path / "out")
    assert set(found) == {
        "top.jpg", "cat/a.JPEG", "dog/small/b.jpg", "dog/c.png", "dog/gray.jpg", "dog/ink.jpg"
    }  # fmt: skip
    assert (done.found, done.written, done.gray) == (8, 6, 1)
    assert done.skipped.keys() == {"cat/cut.jpg", "cat/text.png"}
    small = found["dog/small/b.jpg"]
    assert (small["image/height"], small["image/width"]) == (10, 12)
    assert small["image/class/text"] == b"dog"
    assert small["image/format"] == b"JPEG"
    assert small["image/colorspace"] == b"RGB"
    assert found["dog/gray.jpg"]["image/colorspace"] == b"Grayscale"
    assert found["top.jpg"]["image/class/text"] == b""
    for values in found.values():
        shape = tf.io.decode_jpeg(values["image/encoded"]).shape
        assert shape[:2] == (values["image/height"], values["image/width"])


def test_bytes_of_a_jpeg_are_kept_unless_it_must_change(images, tmp_path):
    make_shards(config(images, tmp_path))
    found = records(tmp_path / "out")
    for name in ("top.jpg", "cat/a.JPEG", "dog/gray.jpg"):
        assert found[name]["image/encoded"] == (images / name).read_bytes()
    # CMYK and PNG become RGB JPEG close to the original.
    for name in ("dog/ink.jpg", "dog/c.png"):
        rgb = np.asarray(Image.open(io.BytesIO(found[name]["image/encoded"])).convert("RGB"), int)
        original = np.asarray(Image.open(images / name).convert("RGB"), int)
        assert np.abs(rgb - original).mean() < 6


def test_resize_bounds_the_short_side_and_spares_small_pictures(images, tmp_path):
    make_shards(config(images, tmp_path, resize=15))
    found = records(tmp_path / "out")
    sizes = {name: (v["image/height"], v["image/width"]) for name, v in found.items()}
    assert sizes["top.jpg"] == (15, 20)
    assert sizes["dog/small/b.jpg"] == (10, 12)
    small = (images / "dog/small/b.jpg").read_bytes()
    assert found["dog/small/b.jpg"]["image/encoded"] == small


def test_manifest_records_the_outcome(images, tmp_path):
    make_shards(config(images, tmp_path, shards=3))
    manifest = json.loads((tmp_path / "out/val-manifest.json").read_text())
    assert (manifest["found"], manifest["written"], manifest["gray"]) == (8, 6, 1)
    assert manifest["skipped"].keys() == {"cat/cut.jpg", "cat/text.png"}
    assert len(manifest["shards"]) == 3
    assert sum(entry["records"] for entry in manifest["shards"].values()) == 6
    for name, entry in manifest["shards"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == entry["sha256"]


def test_gray_can_be_left_out(images, tmp_path):
    done = make_shards(config(images, tmp_path, skip_gray=True))
    assert done.skipped["dog/gray.jpg"] == "no color"
    assert (done.written, done.gray) == (5, 1)


def test_two_runs_write_the_same_bytes(images, tmp_path):
    make_shards(config(images, tmp_path))
    make_shards(config(images, tmp_path, output=str(tmp_path / "again")))
    name = "val-00000-of-00001"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_features_lie_in_a_fixed_order(images, tmp_path):
    """Without it protobuf takes another order in every process, and no two shards are the same."""
    make_shards(config(images, tmp_path))
    for data in tf.data.TFRecordDataset(str(tmp_path / "out/val-00000-of-00001")):
        keys = sorted(tf.train.Example.FromString(data.numpy()).features.feature)
        places = [data.numpy().index(b"\x0a%c%s" % (len(key), key.encode())) for key in keys]
        assert places == sorted(places)


@pytest.mark.beam
def test_beam_writes_the_same_bytes(images, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    settings = {"shards": 3, "resize": 15, "skip_gray": True}
    plain = make_shards(config(images, tmp_path, **settings))
    chosen = config(images, tmp_path, output=str(tmp_path / "beam"), **settings)
    done = beam_shards.make_shards(chosen)
    assert contents(tmp_path / "beam") == contents(tmp_path / "out")
    assert done == dataclasses.replace(plain, manifest=done.manifest)
    with pytest.raises(ValueError, match="3 shards of val already.*overwrite"):
        beam_shards.make_shards(chosen)
    beam_shards.make_shards(dataclasses.replace(chosen, shards=2, overwrite=True))
    assert len(list((tmp_path / "beam").glob("val-*-of-*"))) == 2


@pytest.mark.dask
def test_dask_writes_the_same_bytes(images, tmp_path, monkeypatch):
    """On workers that are threads of this process."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    threads = {"n_workers": 1, "processes": False, "dashboard_address": None}
    monkeypatch.setattr(dask_cluster, "_local", lambda _: distributed.LocalCluster(**threads))
    settings = {"shards": 3, "resize": 20, "skip_gray": True}
    plain = make_shards(config(images, tmp_path, **settings))
    chosen = config(images, tmp_path, output=str(tmp_path / "dask"), **settings)
    done = dask_shards.make_shards(chosen)
    assert contents(tmp_path / "dask") == contents(tmp_path / "out")
    assert done == dataclasses.replace(plain, manifest=done.manifest)
    with pytest.raises(ValueError, match="already"):
        dask_shards.make_shards(chosen)


@pytest.mark.beam
def test_beam_with_nothing_usable_leaves_nothing(tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="none of the 1 pictures.*a.jpg"):
        beam_shards.make_shards(config(tmp_path / "images", tmp_path))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.beam
@pytest.mark.slow
def test_the_tool_on_beam(images, tmp_path):
    """In processes of their own."""
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    flags = [f"--images={images}", "--name=val", "--shards=4"]
    workers = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert tool(*flags, f"--output={tmp_path / 'plain'}").returncode == 0
    done = tool(*flags, f"--output={tmp_path / 'beam'}", "--beam", *workers)
    assert "6 of 8 pictures in 4 shards" in done.stdout, done.stderr
    assert contents(tmp_path / "beam") == contents(tmp_path / "plain")
    wrong = tool(*flags, f"--output={tmp_path}", *workers)
    assert wrong.returncode == 1 and "Beam's with --engine=beam" in wrong.stderr


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_existing_shards_are_spared_until_asked(images, tmp_path):
    make_shards(config(images, tmp_path, shards=3))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(ValueError, match="3 shards of val already.*overwrite"):
        make_shards(config(images, tmp_path, shards=2))
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    make_shards(config(images, tmp_path, name="train"))  # another name is no conflict
    make_shards(config(images, tmp_path, shards=2, overwrite=True))
    assert len(list((tmp_path / "out").glob("val-*-of-*"))) == 2
    assert len(records(tmp_path / "out")) == 6


def test_the_reader_reads_what_was_written(images, tmp_path):
    make_shards(config(images, tmp_path, shards=2))
    (batch,) = eval_batches(
        DataConfig("tfrecord", str(tmp_path / "out")), batch_size=9, image_size=8
    )
    assert {name.decode() for name in batch.name.numpy()} == set(records(tmp_path / "out"))


def test_nothing_usable_leaves_nothing(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="none of the 1 pictures.*a.jpg"):
        make_shards(config(tmp_path / "images", tmp_path))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": "/nowhere"}, "no folder"),
        ({"name": "a/b"}, "one word"),
        ({"shards": 0}, "at least 1"),
        ({"resize": -3}, "at least 1"),
    ],
)
def test_wrong_settings(images, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        make_shards(dataclasses.replace(config(images, tmp_path), **change))


def test_an_empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        make_shards(config(tmp_path / "images", tmp_path))


def tool(*arguments):
    command = [sys.executable, str(ROOT / "tools/make_shards.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_tool(images, tmp_path):
    flags = [f"--images={images}", f"--output={tmp_path / 'out'}", "--name=val", "--resize=16"]
    done = tool(*flags)
    assert done.returncode == 0, done.stderr
    assert "6 of 8 pictures in 1 shards" in done.stdout
    assert "2 left out, named in" in done.stdout
    again = tool(*flags)
    assert again.returncode == 1
    assert "make_shards.py: error:" in again.stderr and "overwrite" in again.stderr
    assert "Traceback" not in again.stderr
