"""Metrics: hand-computed values, agreement with other libraries, baselines, intervals."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.evaluation import metrics
from residual_encoder.imaging.colorspace import LAB, YUV, rgb_to_lab

SHARED = Path(
    os.environ.get("RESIDUAL_ENCODER_SHARED", Path(__file__).resolve().parents[3] / "shared")
)


class Batch(NamedTuple):
    rgb: np.ndarray


def photographs(n: int = 10, size: int = 24) -> np.ndarray:
    """Smooth colored noise, different in spread, so that metrics differ between pictures."""
    random = np.random.default_rng(1)
    coarse = random.normal(size=(n, 4, 4, 3)) * np.linspace(10, 70, n)[:, None, None, None]
    smooth = tf.image.resize(coarse, [size, size], "bicubic").numpy()
    return np.clip(120 + smooth + random.normal(size=smooth.shape), 0, 255).astype(np.uint8)


def batches(rgb: np.ndarray, size: int = 4) -> list[Batch]:
    return [Batch(rgb[start : start + size]) for start in range(0, len(rgb), size)]


def neutral(gray):
    return np.full((*gray.shape[:3], 2), YUV.neutral, np.float32)


def reddish(gray):
    return neutral(gray) + np.array([-0.02, 0.05], np.float32)


def evaluate(predict, rgb, size=4, space=YUV, gray="luma", seed=0):
    return metrics.evaluate(predict, batches(rgb, size), space=space, gray=gray, seed=seed)


def numbers(block):
    return {key: block[key]["mean"] for key in metrics.STATISTICS}


# --- single numbers, by hand ----------------------------------------------------------------------


def constant(*rgb: int) -> np.ndarray:
    return np.broadcast_to(np.array(rgb, np.uint8), (1, 16, 16, 3))


def test_psnr_of_a_known_offset():
    # 5 levels everywhere: mean square 25, 10 log10(255^2 / 25) = 34.1514 dB.
    row = metrics.measure(constant(100, 100, 100), constant(105, 95, 105))
    assert row["square"] == pytest.approx([25.0])
    assert metrics.psnr(row["square"]) == pytest.approx([34.1514], abs=1e-4)


def test_psnr_of_identical_pictures_is_the_cap():
    row = metrics.measure(constant(9, 8, 7), constant(9, 8, 7))
    assert metrics.psnr(row["square"]).tolist() == [100.0]


def test_auc_of_a_constant_distance():
    # ab = (80.09, 67.20) for pure red: distance 104.55 from gray. Thresholds 105..150 take every
    # pixel in: 46 of 151 points; the trapezoids are 45 whole ones and the half from 104 to 105.
    row = metrics.measure(constant(76, 76, 76), constant(255, 0, 0))
    assert row["auc_points"] == pytest.approx([46 / 151])
    assert row["auc"] == pytest.approx([45.5 / 150])
    assert row["ab_square"] == pytest.approx([(80.09**2 + 67.20**2) / 2], rel=1e-3)


def test_auc_by_its_definition():
    truth = photographs(3)
    output = np.roll(truth, 5, axis=1)
    row = metrics.measure(output, truth)
    ab = [rgb_to_lab(rgb / np.float32(255)).numpy()[..., 1:] for rgb in (output, truth)]
    distance = np.linalg.norm(ab[0] - ab[1], axis=-1)
    thresholds = np.arange(151)
    curve = (distance[..., None] <= thresholds + metrics.DISTANCE_SLACK).mean(axis=(1, 2))
    assert row["auc"] == pytest.approx(np.trapezoid(curve, thresholds, axis=1) / 150)
    assert row["auc_points"] == pytest.approx(curve.mean(axis=1))


def test_perfect_color_has_the_whole_area():
    row = metrics.measure(photographs(2), photographs(2))
    assert row["auc"].tolist() == row["auc_points"].tolist() == [1.0, 1.0]


def test_colorfulness_of_two_colors_by_hand():
    # Half red, half black. rg: 255 and 0, mean 127.5, sd 127.5. yb: 127.5 and 0, mean and sd 63.75.
    # sqrt(127.5^2 + 63.75^2) = 142.549; 1.3 times that = 185.314.
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, :8, :, 0] = 255
    assert metrics.colorfulness(picture).numpy() == pytest.approx([185.314], abs=1e-3)


def test_colorfulness_keeps_the_sign_of_the_opponents():
    # Red and green halves cancel in the mean of R - G: an absolute value there would not.
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, :8, :, 0] = picture[:, 8:, :, 1] = 200
    # rg: +-200, mean 0, sd 200; yb: 100 everywhere. 200 + 0.3 * 100.
    assert metrics.colorfulness(picture).numpy() == pytest.approx([230.0])


# Sharma, Wu and Dalal 2005, Table 1: pairs 1, 4, 7, 9, 10, 13, 17, 20, 25, 34.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0009), 7.1792),
    ((50, 2.4900, -0.0010), (50, -2.4900, 0.0010), 7.1792),
    ((50, -0.0010, 2.4900), (50, 0.0009, -2.4900), 4.8045),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_delta_e_of_the_published_pairs(monkeypatch, first, second, expected):
    lab = [np.broadcast_to(np.array(x, np.float64), (1, 16, 16, 3)) for x in (first, second)]

    def pair(output, truth):
        return {"lab": tf.constant(lab[0]), "lab_truth": tf.constant(lab[1])}

    monkeypatch.setattr(metrics, "_measure", pair)
    row = metrics.measure(constant(0, 0, 0), constant(0, 0, 0))
    assert row["delta_e00"] == pytest.approx([expected], abs=5e-5)


def test_delta_e_of_black_and_white():
    row = metrics.measure(constant(0, 0, 0), constant(255, 255, 255))
    assert row["delta_e00"] == pytest.approx([100.0], abs=0.01)


def test_pictures_of_two_sizes_or_too_small_are_refused():
    with pytest.raises(ValueError, match="of one shape"):
        metrics.measure(photographs(2), photographs(1))
    with pytest.raises(ValueError, match="11 pixels or more"):
        metrics.measure(photographs(1)[:, :10], photographs(1)[:, :10])


# --- agreement with other libraries ---------------------------------------------------------------


def test_agreement_with_scikit_image():
    from skimage.color import deltaE_ciede2000, rgb2lab
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    truth = photographs(4, size=40)
    output = metrics.quantize(YUV.merge(rgb_gray(truth), neutral(truth))).numpy()
    row = metrics.measure(output, truth)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i, (ours, theirs) in enumerate(zip(output, truth, strict=True)):
        ssim = structural_similarity(ours, theirs, channel_axis=-1, data_range=255, **wang)
        assert row["ssim"][i] == pytest.approx(ssim, abs=5e-4)
        decibel = peak_signal_noise_ratio(theirs, ours, data_range=255)
        assert metrics.psnr(row["square"])[i] == pytest.approx(decibel)
        distance = deltaE_ciede2000(rgb2lab(theirs), rgb2lab(ours)).mean()
        assert row["delta_e00"][i] == pytest.approx(distance, abs=0.01)


def rgb_gray(rgb_u8):
    return rgb_u8.astype(np.float32) @ np.array([[0.299], [0.587], [0.114]], np.float32) / 255


def test_agreement_with_opencv():
    import cv2

    truth = photographs(3)
    output = np.roll(truth, 3, axis=2)
    row = metrics.measure(output, truth)
    for i, (ours, theirs) in enumerate(zip(output, truth, strict=True)):
        assert metrics.psnr(row["square"])[i] == pytest.approx(cv2.PSNR(ours, theirs))
        lab = [cv2.cvtColor(x / np.float32(255), cv2.COLOR_RGB2Lab) for x in (ours, theirs)]
        square = np.mean((lab[0] - lab[1])[..., 1:].astype(np.float64) ** 2)
        assert row["ab_square"][i] == pytest.approx(square, rel=0.03)  # OpenCV's Lab is a table's


# --- rebalancing ----------------------------------------------------------------------------------


def test_cells_of_known_colors():
    cells = metrics.ab_cell(tf.constant([[0.0, 0.0], [4.9, -4.9], [5.1, 0.0], [80.1, 67.2]]))
    assert cells.numpy().tolist() == [264, 264, 287, 19 * 23 + 18]  # 11 * 23 + 11 = 264


def test_every_color_lies_in_a_gamut_cell():
    step = np.arange(0, 256, 17, dtype=np.float32) / 255
    cube = np.stack(np.meshgrid(step, step, step), axis=-1).reshape(-1, 3)
    cells = np.unique(metrics.ab_cell(rgb_to_lab(cube)[..., 1:]))
    assert set(cells) <= set(metrics.gamut_cells())
    assert len(metrics.gamut_cells()) == 261  # sRGB's; Zhang et al.'s 313 reach beyond it


def test_rebalancing_weights_have_mean_one_and_favor_rare_colors():
    counts = np.zeros(23 * 23)
    counts[264], counts[264 + 5] = 900, 100
    weights = metrics.rebalancing_weights(counts)
    # Smoothed: a neighbor takes exp(-100 / 50) = 0.1353 of the peak, a diagonal one 0.0183, so the
    # two peaks, five cells apart, keep the ratio 9.
    assert weights[269] / weights[264] == pytest.approx(9, rel=1e-4)
    assert weights[0] == 0  # outside the gamut, and far from both
    points = 10.0 * np.stack(np.divmod(metrics.gamut_cells(), 23), axis=-1)
    kernel = np.exp(-np.sum((points[:, None] - points) ** 2, axis=-1) / 50)
    prior = (kernel / kernel.sum(axis=0)) @ counts[metrics.gamut_cells()] / 1000
    assert prior.sum() == pytest.approx(1)
    assert prior @ weights[metrics.gamut_cells()] == pytest.approx(1)


def test_rebalanced_auc_by_its_definition():
    # 3/4 gray, 1/4 red, output gray: right on gray (area 1), and 45.5 / 150 on red.
    picture = np.full((1, 16, 16, 3), 76, np.uint8)
    picture[:, :4] = (255, 0, 0)
    report = evaluate(neutral, picture)
    gray, red = metrics.rebalancing_weights(
        np.bincount([264] * 192 + [19 * 23 + 18] * 64, minlength=23 * 23)
    )[[264, 19 * 23 + 18]]
    expected = (0.75 * gray + 0.25 * red * 45.5 / 150) / (0.75 * gray + 0.25 * red)
    assert report["auc_rebalanced"]["mean"] == pytest.approx(expected)
    assert report["auc_rebalanced"]["mean"] < report["auc"]["mean"] - 0.1


# --- bootstrap ------------------------------------------------------------------------------------


def test_interval_of_a_mean_is_the_textbook_one():
    values = np.random.default_rng(2).normal(3, 2, size=(400, 1))
    means = metrics.resampled_means(values, seed=0)
    low, high = np.percentile(means, [2.5, 97.5])
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


@pytest.mark.parametrize("n", [50, 700_000])  # in one block, and in two of two and one
def test_resamples_are_draws_with_replacement(n):
    rows = np.random.default_rng(3).normal(size=(n, 2))
    wanted = rows[np.random.default_rng(5).integers(n, size=(3, n))].mean(axis=1)
    np.testing.assert_allclose(metrics.resampled_means(rows, 5, 3), wanted, atol=1e-12)
    assert not np.allclose(metrics.resampled_means(rows, 6, 3), wanted)


def test_gains_are_paired():
    report = evaluate(reddish, photographs())
    gray = report["baselines"]["gray"]

    def width(metric):
        return metric["ci95"][1] - metric["ci95"][0]

    gain = report["psnr_pooled_gain"]
    assert gain["mean"] == pytest.approx(
        report["psnr_pooled"]["mean"] - gray["psnr_pooled"]["mean"]
    )
    unpaired = np.hypot(width(report["psnr_pooled"]), width(gray["psnr_pooled"]))
    assert 0 < width(gain) < 0.6 * unpaired
    assert width(report["auc_gain"]) < 0.6 * np.hypot(width(report["auc"]), width(gray["auc"]))


def test_one_photograph_has_an_interval_of_no_width():
    report = evaluate(reddish, photographs(1))
    assert report["n"] == 1
    assert report["psnr"]["ci95"] == [report["psnr"]["mean"]] * 2


# --- evaluate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batch_size_changes_nothing(size):
    rgb = photographs(10)
    expected = evaluate(reddish, rgb, size=10)
    report = evaluate(reddish, rgb, size=size)
    assert report["n"] == expected["n"] == 10
    assert numbers(report) == pytest.approx(numbers(expected), rel=1e-5, abs=1e-7)
    for name in metrics.STATISTICS:
        assert report[name]["ci95"] == pytest.approx(expected[name]["ci95"], rel=1e-5, abs=1e-7)


def test_predicting_neutral_is_the_gray_baseline():
    report = evaluate(neutral, photographs())
    gray = report["baselines"]["gray"]
    assert {key: report[key] for key in gray} == gray
    assert gray["colorfulness"]["mean"] == 0
    assert gray["auc_gain"] == {"mean": 0.0, "ci95": [0.0, 0.0]}


@pytest.mark.parametrize(("space", "gray"), [(YUV, "luma"), (YUV, "mean"), (LAB, "lightness")])
def test_gains_are_over_luma_gray_whatever_the_recipe(space, gray):
    # Pure red has luma 76, mean 85 and lightness 53 %, which is gray 127.
    # (179^2 + 2 * 76^2) / 3 = 14531: 6.508 dB; ab of gray: see the constant distance above.
    red = np.array(constant(255, 0, 0))
    report = evaluate(lambda g: np.full((*g.shape[:3], 2), space.neutral), red, 4, space, gray)
    block = report["baselines"]["gray"]
    assert block["psnr_pooled"]["mean"] == pytest.approx(6.508, abs=1e-3)
    assert block["auc"]["mean"] == pytest.approx(45.5 / 150)
    own = {"luma": 76, "mean": 85, "lightness": 127}[gray]
    decibel = 10 * np.log10(255**2 / (((255 - own) ** 2 + 2 * own**2) / 3))
    assert report["psnr_pooled"]["mean"] == pytest.approx(decibel, abs=1e-3)
    assert report["psnr_pooled_gain"]["mean"] == pytest.approx(decibel - 6.508, abs=2e-3)
    assert "luma" in report["protocol"]["auc_gain"] and "luma" in report["protocol"]["gray"]


def test_gray_is_one_and_the_same_for_all_recipes():
    grays = [
        evaluate(reddish, photographs(4), 4, space, gray)["baselines"]["gray"]
        for space, gray in ((YUV, "luma"), (YUV, "mean"), (LAB, "lightness"))
    ]
    assert grays[0] == grays[1] == grays[2]


def test_predicting_the_truth_is_the_oracle():
    rgb = photographs(4)
    report = evaluate(lambda gray: YUV.chroma(rgb / np.float32(255)), rgb)
    oracle = report["baselines"]["oracle"]
    assert {key: report[key] for key in oracle} == oracle


@pytest.mark.parametrize(("space", "gray"), [(YUV, "luma"), (LAB, "lightness")])
def test_true_chroma_gives_the_picture_back(space, gray):
    report = evaluate(lambda g: np.full((*g.shape[:3], 2), 0.5), photographs(), 4, space, gray)
    oracle = report["baselines"]["oracle"]
    assert oracle["psnr"]["mean"] > 55
    assert oracle["auc"]["mean"] > 0.999
    assert oracle["delta_e00"]["mean"] < 0.05


def test_mean_gray_costs_the_oracle_some_decibels():
    oracle = evaluate(neutral, photographs(), gray="mean")["baselines"]["oracle"]
    assert 20 < oracle["psnr_pooled"]["mean"] < 45


def test_gray_photographs_give_numbers():
    gray = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    report = evaluate(neutral, np.repeat(gray, 3, axis=-1))
    assert np.isfinite(list(numbers(report).values())).all()
    assert report["psnr"] == {"mean": 100.0, "ci95": [100.0, 100.0]}
    assert report["colorfulness_truth"]["mean"] == 0


def test_report_is_json_with_everything_in_it():
    import json

    report = json.loads(json.dumps(evaluate(reddish, photographs(3)), allow_nan=False))
    assert {"n", "prior", "protocol", "baselines", *metrics.STATISTICS} == set(report)
    assert set(report["baselines"]) == {"gray", "oracle"}
    for block in (report, *report["baselines"].values()):
        for name in metrics.STATISTICS:
            low, high = block[name]["ci95"]
            slack = 1e-9 + 0.05 * abs(block[name]["mean"])
            assert low - slack <= block[name]["mean"] <= high + slack


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="no photograph to evaluate"):
        evaluate(neutral, photographs(0))
    with pytest.raises(ValueError, match=r"shape \(4, 24, 24, 1\), expected \(4, 24, 24, 2\)"):
        evaluate(lambda gray: gray, photographs(4))
    with pytest.raises(ValueError, match="not finite"):
        evaluate(lambda gray: neutral(gray) * np.nan, photographs(4))


@pytest.mark.slow
def test_gray_on_imagenet_is_the_published_number():
    """Gray scores 89.1 on ctest10k (Zhang et al. 2016, Table 1); 500 photographs: 89.67 +- 0.6."""
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.data.input_pipeline import eval_batches

    if not (SHARED / "data" / "val-00000-of-00002").exists():
        pytest.skip(f"no ImageNet shards in {SHARED / 'data'}")
    data = DataConfig("tfrecord", data_dir=str(SHARED / "data"))
    photos = eval_batches(data, batch_size=16, image_size=224)
    report = metrics.evaluate(neutral, photos, space=YUV, gray="luma")
    assert report["n"] == 500
    assert report["auc"]["mean"] == pytest.approx(0.8967, abs=2e-4)
    assert report["psnr"]["mean"] == pytest.approx(24.99, abs=0.02)


def test_losses_are_means_over_photographs():
    """Five photographs in batches of 4 and 1: each counts alike, not each batch."""
    rgb = np.concatenate([constant(*(40 * i, 90, 90)) for i in range(5)])
    chroma = YUV.chroma(tf.constant(rgb / 255, tf.float32)).numpy()
    wanted = np.mean((chroma - YUV.neutral) ** 2)

    def squared(truth, chroma):
        return tf.reduce_mean((truth.chroma - chroma) ** 2)

    report = metrics.evaluate(
        neutral, batches(rgb), space=YUV, gray="luma", losses={"squared": squared}
    )
    assert report["loss_squared"]["mean"] == pytest.approx(wanted, rel=1e-5)
    assert "loss_squared" not in report["baselines"]["gray"]
