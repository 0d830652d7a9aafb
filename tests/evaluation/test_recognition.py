"""recognition: crops, ranks and distances by hand, tiny LiteRT models, and what is refused."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.data import image_folder
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import eval_batches
from residual_encoder.evaluation import metrics, recognition, tables
from residual_encoder.evaluation.recognition import RecognitionConfig, Recognizer
from residual_encoder.imaging import image_io
from residual_encoder.imaging.colorspace import YUV
from residual_encoder.utils import files

ROOT = Path(__file__).resolve().parents[2]
SIDE = 8
CLASSES = ("red", "green", "blue")


def litert(path, function, shape=(1, SIDE, SIDE, 3), dtype=tf.uint8):
    """Writes a LiteRT file of a function of one picture."""
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, dtype))
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    return str(path)


def quantized(path):
    """Writes a LiteRT file with 8 bits in and out: the mean of each channel."""

    def pictures():
        for value in (0.0, 255.0):
            yield [np.full((1, SIDE, SIDE, 3), value, np.float32)]

    spec = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32)
    concrete = tf.function(channel_means).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())
    return str(path)


def channel_means(rgb):
    return tf.reduce_mean(tf.cast(rgb, tf.float32), axis=[1, 2])


def with_background(rgb):
    """Scores of CLASSES after one of a background, which is always the highest."""
    return tf.concat([[[1000.0]], channel_means(rgb)], axis=-1)


def moments(rgb):
    pixels = tf.cast(rgb, tf.float32)
    return tf.concat([channel_means(rgb), tf.reduce_mean(pixels**2, axis=[1, 2]) / 255], axis=-1)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return RecognitionConfig(
        litert(folder / "classifier.tflite", with_background),
        litert(folder / "features.tflite", moments),
        str(folder / "classes.txt"),
    )


def plain(color, size=32):
    return np.broadcast_to(np.array(color, np.uint8), (size, size, 3))


# --- by hand --------------------------------------------------------------------------------------


def test_shares_and_distance_by_hand(config):
    recognizer = Recognizer(config)
    truth = np.stack([plain((200, 0, 0)), plain((0, 200, 0)), plain((0, 0, 200))])
    output = np.stack([plain((90, 20, 10)), plain((90, 60, 10)), plain((90, 60, 100))])
    names = [b"red.jpg", b"shards/green.png", b"blue"]
    recognizer.add("truth", truth, names)
    recognizer.add("model", output, names)
    model, best = recognizer.summary("model"), recognizer.summary("truth")
    assert best["top1"] == {"mean": 1.0, "ci95": [1.0, 1.0]}
    assert best["frechet"] == {"mean": pytest.approx(0, abs=1e-3)}
    assert model["top1"]["mean"] == pytest.approx(2 / 3)  # green is second
    assert model["top1"]["ci95"] == [0.0, 1.0]
    assert model["top5"]["mean"] == 1.0
    expected = recognition.frechet(
        *(np.stack([moments(p[None])[0] for p in pictures]) for pictures in (output, truth))
    )
    assert model["frechet"]["mean"] == pytest.approx(expected, rel=1e-4)


def test_only_the_middle_is_seen(config):
    """Of 32 pixels, 2 are cut off each side; a border of another color changes nothing."""
    assert recognition.central(plain((0, 0, 0), 224)).shape == (196, 196, 3)
    framed = np.zeros((32, 32, 3), np.uint8)
    framed[..., 2] = 255
    framed[2:-2, 2:-2] = (9, 0, 0)
    recognizer = Recognizer(config)
    recognizer.add("truth", framed[None], [b"red"])
    assert recognizer.summary("truth")["top1"]["mean"] == 1.0
    assert recognizer.features("truth")[0, 2] == 0


def test_ranks_are_of_the_last_scores_and_ties_keep_the_order():
    scores = np.array([9.0, 0.1, 0.5, 0.5, 0.2])
    assert [recognition.rank(scores, truth, 4) for truth in range(4)] == [3, 0, 1, 2]
    assert recognition.rank(scores, 0, 5) == 0


def test_frechet_of_known_gaussians():
    """On one axis: (m1 - m2)^2 + (s1 - s2)^2, variances with n - 1."""
    first, second = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    assert recognition.frechet(first, second) == pytest.approx((2.0 - 1.0) ** 2)
    assert recognition.frechet(first, second + 10) == pytest.approx(1 + 100)


@pytest.mark.parametrize("n", [5, 40])
def test_frechet_by_its_definition(n):
    from scipy.linalg import sqrtm

    random = np.random.default_rng(0)
    first, second = (
        random.normal(size=(n, 7)),
        random.normal(size=(n, 7)) @ random.normal(size=(7, 7)),
    )
    a, b = np.cov(first.T), np.cov(second.T)
    root = np.linalg.eigvals(a @ b).astype(complex)  # tr sqrt(AB)
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a + b)
    expected -= 2 * np.sqrt(root).real.sum()
    assert recognition.frechet(first, second) == pytest.approx(expected, rel=1e-5)
    if n > 7:
        definition = ((first.mean(0) - second.mean(0)) ** 2).sum()
        definition += np.trace(a + b - 2 * sqrtm(a @ b).real)
        assert recognition.frechet(first, second) == pytest.approx(definition, rel=1e-6)


def test_frechet_of_one_picture_is_the_distance_of_the_means():
    assert recognition.frechet(np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]])) == pytest.approx(25)


def test_interval_of_a_share_is_the_textbook_one():
    hits = np.arange(400) < 100
    found = recognition.with_interval(hits)
    error = np.sqrt(0.25 * 0.75 / 400)
    assert found["mean"] == 0.25
    assert found["ci95"] == pytest.approx(
        [0.25 - 1.96 * error, 0.25 + 1.96 * error], abs=0.1 * error
    )


def test_scores_of_8_bits_are_scaled_back(tmp_path):
    model = recognition.LitertModel(quantized(tmp_path / "means.tflite"))
    found = model.run(plain((0, 100, 200), SIDE))
    assert found == pytest.approx([0, 100, 200], abs=1)


# --- in the evaluation ----------------------------------------------------------------------------


class Batch:
    def __init__(self, rgb, names):
        self.rgb, self.name = rgb, np.array(names)


def test_report_has_the_metrics_of_model_gray_oracle_and_truth(config):
    random = np.random.default_rng(0)
    rgb = random.integers(0, 60, (4, 32, 32, 3), np.uint8)
    rgb[[0, 2], ..., 0] += 100
    rgb[[1, 3], ..., 2] += 100
    batches = [Batch(rgb[:3], [b"red", b"blue", b"red"]), Batch(rgb[3:], [b"blue"])]

    def neutral(gray):
        return np.full((*gray.shape[:3], 2), YUV.neutral, np.float32)

    recognizer = Recognizer(config)
    report = metrics.evaluate(neutral, batches, space=YUV, gray="luma", further=recognizer)
    blocks = report["baselines"]
    assert set(blocks) == {"gray", "oracle", "truth"}
    assert blocks["truth"]["top1"]["mean"] == 1.0
    assert blocks["truth"]["auc"]["mean"] == 1.0 and blocks["truth"]["psnr"]["mean"] == 100
    assert report["top1"] == blocks["gray"]["top1"]
    assert report["top1"]["mean"] == 0.5  # of equal channels the first is ranked first: red
    assert report["frechet"] == blocks["gray"]["frechet"]
    assert report["frechet"]["mean"] > 10 * blocks["oracle"]["frechet"]["mean"]
    table = tables.metrics_table({"model": report} | blocks)
    top1 = next(line for line in table if line[0] == "Recognized, top 1, %")
    assert top1[1].startswith("50.0 [") and top1[4] == "100.0 [100.0, 100.0]"
    distance = next(line for line in table if line[0].startswith("Frechet"))
    assert distance[4] == "0.0"


def test_tool_reports_recognition(config, soft_weights, tmp_path):
    photos = photos_folder(tmp_path / "photos")
    numbered = (f"class{n}" for n in itertools.count())
    validated = (stem for stem in numbered if image_folder.in_validation(f"{stem}.png"))
    stems = list(itertools.islice(validated, 3))
    for stem, color in zip(stems, ((200, 30, 20), (20, 200, 30), (10, 30, 200)), strict=True):
        image_io.write(photos / f"{stem}.png", noisy(color))
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(stems))
    done = evaluate_tool(
        soft_weights, photos, tmp_path / "r.json",
        f"--classifier={config.classifier}", f"--features={config.features}",
        f"--classes={classes}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == ["model", "gray", "oracle", "truth"]
    assert "Recognized, top 1, %" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    truth = report["baselines"]["truth"]
    assert truth["top1"]["mean"] == 1 and truth["frechet"]["mean"] == pytest.approx(0, abs=1e-6)
    assert report["recognition"]["classifier"] == {
        "name": "classifier.tflite",
        "sha256": files.sha256(config.classifier),
    }
    assert "ci95" in report["top5"] and "ci95" not in report["frechet"]
    assert "top1" in report["protocol"]


def photos_folder(path):
    path.mkdir(exist_ok=True)
    return path


def noisy(color):
    noise = np.random.default_rng(sum(color)).integers(0, 50, (40, 40, 3))
    return (np.array(color) + noise).astype(np.uint8)


def evaluate_tool(model, photos, output, *flags):
    command = [sys.executable, ROOT / "tools/evaluate.py", f"--model={model}", "--data=folder"]
    command += [f"--data_dir={photos}", f"--output={output}", "--image_size=32", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


# --- what is refused ------------------------------------------------------------------------------


def test_a_photograph_of_no_class(config):
    with pytest.raises(ValueError, match=r"photograph a/violet.jpg is of no known class: 'violet'"):
        Recognizer(config).add("truth", plain((0, 0, 0))[None], [b"a/violet.jpg"])


def test_models_of_another_shape(config, tmp_path):
    def changed(**files):
        return Recognizer(RecognitionConfig(**(vars(config) | files)))

    two = litert(tmp_path / "two.tflite", lambda rgb: channel_means(rgb)[:, :2])
    with pytest.raises(ValueError, match="two.tflite gives 2 scores for the 3 classes"):
        changed(classifier=two)
    floats = litert(tmp_path / "floats.tflite", channel_means, dtype=tf.float32)
    with pytest.raises(ValueError, match=r"floats.tflite takes float32 \[1, 8, 8, 3\]"):
        changed(features=floats)
    gray = litert(tmp_path / "gray.tflite", channel_means, (1, 8, 8, 1))
    with pytest.raises(
        ValueError, match=r"takes uint8 \[1, 8, 8, 1\].*wanted uint8 \[1, S, S, 3\]"
    ):
        changed(features=gray)
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ValueError, match="text.tflite is no LiteRT file"):
        changed(features=str(tmp_path / "text.tflite"))
    with pytest.raises(FileNotFoundError, match="There is no nowhere.tflite"):
        changed(classifier="nowhere.tflite")
    with pytest.raises(FileNotFoundError, match="There is no nowhere.txt"):
        changed(classes="nowhere.txt")
    (tmp_path / "twice.txt").write_text("a\na\nb\n")
    with pytest.raises(ValueError, match="names a class twice"):
        changed(classes=str(tmp_path / "twice.txt"))


def test_without_litert_the_message_names_the_extra(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match=r'pip install "\.\[litert\]"'):
        Recognizer(config)


def test_the_three_flags_are_given_together(tmp_path):
    done = evaluate_tool("nowhere", tmp_path, tmp_path / "r.json", "--features=a.tflite")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "are given together; missing: --classifier, --classes" in line


# --- the reference --------------------------------------------------------------------------------


@pytest.mark.slow
def test_figures_are_those_of_the_reference_script(shared, tmp_path):
    """Top 1, top 5 and distance on PNG files, truth and gray, by an independent script."""
    data = DataConfig("tfrecord", data_dir=str(shared / "data"))
    recognizer = Recognizer(
        RecognitionConfig(
            str(shared / "classifier/mobilenet_v2_1.0_224_quant.tflite"),
            str(shared / "classifier/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"),
            str(shared / "classifier/classes.txt"),
        )
    )
    for batch in eval_batches(data, batch_size=10, image_size=224, limit=60):
        rgb, names = batch.rgb.numpy(), list(batch.name.numpy())
        gray = np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in rgb])
        for system, pictures in {"truth": rgb, "gray": np.repeat(gray[..., None], 3, -1)}.items():
            recognizer.add(system, pictures, names)
            for picture, name in zip(pictures, names, strict=True):
                image_io.write(
                    photos_folder(tmp_path / system) / f"{Path(name.decode()).stem}.png", picture
                )
    command = [
        sys.executable,
        shared / "classifier/recognize.py",
        tmp_path / "truth",
        tmp_path / "gray",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    numbers = {Path(line[0]).name: [float(word) for word in line[2::2]] for line in lines}
    for system, expected in numbers.items():
        found = recognizer.summary(system)
        assert found["top1"]["mean"] == pytest.approx(expected[0], abs=5.1e-4)
        assert found["top5"]["mean"] == pytest.approx(expected[1], abs=5.1e-4)
    assert recognizer.summary("gray")["frechet"]["mean"] == pytest.approx(
        numbers["gray"][2], abs=0.051
    )
