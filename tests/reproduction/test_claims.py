"""Verdicts: every rule on both of its sides, with constructed results."""

import numpy as np
import pytest

from residual_encoder.reproduction import claims, decisions, hue_wrap, paired_statistics
from residual_encoder.reproduction.claims import CLAIMS
from residual_encoder.reproduction.evidence import Evidence, judge
from residual_encoder.reproduction.experiments import (
    BASE,
    CNN_RATES,
    CNNS,
    CODE,
    HYPERCOLUMN_CODE,
    MODERN,
    PIXELWISE,
    changed,
    developed,
    seeded,
)
from residual_encoder.reproduction.paired_statistics import FAILED, HELD, OPEN
from residual_encoder.reproduction.results import Result
from residual_encoder.reproduction.step_memory import StepMemory

N = 40
NOISE = np.random.default_rng(0).normal(size=N)


def metric(mean, margin=0.1):
    return {"mean": mean, "ci95": [mean - margin, mean + margin]}


def result(name, seed=0, *, log=(), photographs=None, training_loss=(), about=None, **metrics):
    evaluation = {key: metric(value) for key, value in metrics.items()}
    run = {"name": seeded(name, seed), "seed": seed, "recipe": {"name": name, "gray": "mean"}}
    rows = {key: list(values) for key, values in (photographs or {}).items()}
    return Result(run, None, about or {}, evaluation, rows, list(training_loss), list(log))


def verdict(name, *found, memory=None, decisive=True):
    claim = next(claim for claim in CLAIMS if claim.name == name)
    evidence = Evidence({r.name: r for r in found}, memory or {}, decisive)
    return judge(claim, evidence).judgment.verdict


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "wanted"),
    [
        ([0.1, 0.2, 0.3], HELD),
        ([0.1, -0.2, 0.3], OPEN),
        ([-0.1, -0.2, -0.3], FAILED),
        ([0.0, 0.0, 0.0], FAILED),
        ([0.1, 0.2], OPEN),  # two seeds decide nothing
        ([0.1, 0.2, np.nan], OPEN),
        ([0.1, 0.2, np.inf], OPEN),
    ],
)
def test_by_seeds(differences, wanted):
    assert paired_statistics.by_seeds(differences) == wanted


@pytest.mark.parametrize(
    ("interval", "wanted"),
    [
        ((0.2, 0.1, 0.3), HELD),
        ((0.2, -0.1, 0.3), OPEN),
        ((-0.2, -0.3, -0.1), FAILED),
        ((float("nan"),) * 3, OPEN),
    ],
)
def test_by_interval(interval, wanted):
    assert paired_statistics.by_interval(interval) == wanted


def test_all_of_several_parts():
    assert paired_statistics.all_of([HELD, HELD]) == HELD
    assert paired_statistics.all_of([HELD, OPEN]) == OPEN
    assert paired_statistics.all_of([OPEN, FAILED]) == FAILED
    assert paired_statistics.all_of([]) == OPEN


def test_paired_interval_sees_what_unpaired_ones_would_not():
    """Photographs differ by far more than the two systems do."""
    theirs = 1000 + 300 * NOISE
    ours = 0.9 * theirs
    figure, low, high = paired_statistics.psnr_difference(ours, theirs)
    assert figure == pytest.approx(10 * np.log10(1 / 0.9))
    assert low == pytest.approx(figure) and high == pytest.approx(figure)


def test_rmse_and_gap_by_hand():
    assert paired_statistics.rmse_difference(np.array([9.0, 9.0]), np.array([4.0, 4.0]))[0] == 1.0
    figure, low, high = paired_statistics.gap_difference(
        np.array([3.0, 5.0]), np.array([1.0, 1.0, 1.0])
    )
    assert (figure, low, high) == (3.0, 2.0, 4.0)


def test_systems_on_other_photographs_do_not_compare():
    with pytest.raises(ValueError, match="2 and 3 photographs"):
        paired_statistics.mean_difference(np.zeros(2), np.zeros(3))


# --- claims ---------------------------------------------------------------------------------------


def colored(name, colorfulness, gain=1.0):
    about = {"colorfulness_truth": 40, "psnr_pooled_gain": gain}
    return result(name, colorfulness=colorfulness, **about)


@pytest.mark.parametrize(
    ("pixelwise", "encoder", "wanted"), [(4, 15, HELD), (20, 15, FAILED), (4, 3, OPEN)]
)
def test_pixelwise_is_gray_and_the_encoder_is_not(pixelwise, encoder, wanted):
    assert verdict("pixelwise", colored(PIXELWISE, pixelwise), colored(BASE, encoder)) == wanted


def test_a_pixelwise_model_that_is_worse_than_gray_decides_nothing():
    """Stuck at the ends of the sigmoid: colorful, and wrong."""
    stuck, encoder = colored(PIXELWISE, 120, gain=-14.0), colored(BASE, 15)
    assert verdict("pixelwise", stuck, encoder) == OPEN
    adam = changed("pixelwise_adam")
    assert verdict("pixelwise", stuck, colored(adam, 4, gain=0.1), encoder) == HELD
    assert verdict("pixelwise", stuck, colored(adam, 30, gain=0.1), encoder) == FAILED


def falling(*values, every=10):
    return [
        {"step": every * k, "eval": {"rmse_ab": metric(value)}}
        for k, value in enumerate(values, start=1)
    ]


def test_steps_to_a_level_lie_on_the_line_between_measurements():
    steps, values = np.array([10.0, 20.0, 30.0]), np.array([20.0, 16.0, 15.0])
    assert decisions.steps_to(steps, values, 18.0) == 15.0
    assert decisions.steps_to(steps, values, 20.0) == 10.0
    assert decisions.steps_to(steps, values, 14.0) == float("inf")


@pytest.mark.parametrize(
    ("plain", "wanted"), [((20, 18, 16), HELD), ((20, 13, 12), FAILED), ((20, 16, 14), FAILED)]
)
def test_blurred_saves_steps_with_every_seed(plain, wanted):
    found = [result(BASE, seed, log=falling(20, 16, 14)) for seed in range(3)]
    found += [result(changed("plain_loss"), seed, log=falling(*plain)) for seed in range(3)]
    assert verdict("blurred", *found) == wanted
    assert verdict("blurred", *found[:2], *found[3:]) == OPEN  # a seed is missing


def trained(loss, seconds):
    return [{"step": k, "seconds": seconds * k, "loss": loss / k} for k in range(1, 41)]


def test_equal_iterations_and_equal_time_may_disagree():
    """The second network is a little better a step and takes four times as long for it."""
    found = [result(CODE, seed, log=trained(1.0, 1.0)) for seed in range(3)]
    found += [result(HYPERCOLUMN_CODE, seed, log=trained(0.9, 4.0)) for seed in range(3)]
    assert verdict("hypercolumn_iterations", *found) == FAILED
    assert verdict("hypercolumn_time", *found) == HELD


def test_late_loss_is_of_the_last_quarter():
    log = [{"step": k, "loss": float(k)} for k in range(1, 9)]
    assert decisions.late_loss(log, "step", 8) == 7.5
    assert np.isnan(decisions.late_loss(log, "step", 0.5))


def steps_of_memory(each_encoder, each_hypercolumn, size=224):
    def steps(each, batches):
        return [
            StepMemory("cpu", n, size, 50.0, 10.0 + n * each, 60 + n * each <= 2048)
            for n in batches
        ]

    return {CODE: steps(each_encoder, (1, 6)), HYPERCOLUMN_CODE: steps(each_hypercolumn, (1, 2))}


def test_memory_needs_six_to_fit_and_two_not_to():
    assert verdict("memory", memory=steps_of_memory(300, 1500)) == HELD
    assert verdict("memory", memory=steps_of_memory(300, 600)) == FAILED
    assert verdict("memory", memory=steps_of_memory(400, 1500)) == FAILED
    assert verdict("memory", memory=steps_of_memory(300, 600, size=32)) == OPEN
    assert verdict("memory") == OPEN


def test_largest_batch_by_hand():
    assert decisions.largest_batch(steps_of_memory(300, 1500)[CODE]) == 6  # 60 + 6 * 300 = 1860
    assert decisions.largest_batch(steps_of_memory(300, 1500)[HYPERCOLUMN_CODE]) == 1


@pytest.mark.parametrize("more", [5.0, 4.0])
def test_pictures_too_small_to_measure_have_the_largest_batch_that_was_tried(more):
    steps = [
        StepMemory("cpu", batch, 32, 10.0, taken, True) for batch, taken in ((1, 5.0), (6, more))
    ]
    assert decisions.largest_batch(steps) == 6


@pytest.mark.parametrize(("off", "wanted"), [(0.6, HELD), (2.0, FAILED)])
def test_intensity_is_kept_within_a_code_value(off, wanted):
    rows = {"luma": [off] * 3, "gray": [9.0] * 3}  # the mean of channels may be off
    found = [result(name, photographs=rows) for name in (BASE, MODERN)]
    assert verdict("intensity", *found) == wanted


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        ((0.05, -0.3, 0.0), HELD),
        ((0.05, 0.3, 0.0), OPEN),
        ((0.2, 0.3, 0.4), FAILED),
        ((0.0, 0.0), OPEN),
    ],
)
def test_a_change_brings_little(gains, wanted):
    assert decisions.brings_little(gains) == wanted


@pytest.mark.parametrize(("elu", "wanted"), [(0.5, HELD), (0.9, FAILED)])
def test_one_change_that_helps_breaks_the_claim(elu, wanted):
    gains = {BASE: 0.5, changed("elu"): elu, changed("leaky_relu"): 0.5, changed("dropout"): 0.2}
    found = [
        result(name, seed, psnr_pooled_gain=gain)
        for name, gain in gains.items()
        for seed in (0, 1, 2)
    ]
    assert verdict("activations", *found) == wanted


@pytest.mark.parametrize("name", ["upsampling", "formula"])
def test_better_with_every_seed(name):
    ours, theirs = {"upsampling": (changed("half_pixel"), BASE), "formula": (BASE, CODE)}[name]

    def of(gains, name):
        return [
            result(name, seed, psnr_pooled_gain=g, colorfulness=9) for seed, g in enumerate(gains)
        ]

    assert verdict(name, *of((1, 2, 3), ours), *of((0, 0, 0), theirs)) == HELD
    assert verdict(name, *of((1, -2, 3), ours), *of((0, 0, 0), theirs)) == OPEN
    assert verdict(name, *of((-1, -2, -3), ours), *of((0, 0, 0), theirs)) == FAILED


@pytest.mark.parametrize(("mean", "wanted"), [(34.2, HELD), (45.0, OPEN), (60.0, FAILED)])
def test_ceiling_of_the_mean(mean, wanted):
    def of(name, ceiling):
        made = result(name)
        oracle = {"psnr_pooled": metric(ceiling), "psnr": metric(ceiling)}
        made.evaluation["baselines"] = {"oracle": oracle}
        return made

    assert verdict("gray", of(BASE, mean), of(MODERN, 45.0)) == wanted


@pytest.mark.parametrize(("factor", "wanted"), [(1.5, HELD), (0.5, FAILED)])
def test_hsv_by_error_of_ab(factor, wanted):
    squares = 200 + 20 * NOISE
    found = [
        result(BASE, photographs={"ab_square": squares}),
        result(changed("hsv"), photographs={"ab_square": factor * squares}),
    ]
    assert verdict("hsv", *found) == wanted


def test_wrap_of_hue_by_hand():
    """Half a code either side of red: hues 1/512 and 511/512, so (510/512)^2 / 2."""
    steps = hue_wrap.step_losses()
    assert steps["red"]["hsv"] == pytest.approx((510 / 512) ** 2 / 2, rel=1e-4)
    assert steps["green"]["hsv"] == pytest.approx((1 / 256) ** 2 / 2, rel=1e-3)
    assert steps["red"]["yuv"] < 1e-4
    patches = hue_wrap.picture()[0, :: hue_wrap.PATCH].astype(int)
    assert patches[2].tolist() == [0, 255, 255]  # the mean of two reds is cyan
    assert patches[3][0] == 255 and max(patches[3][1:]) < 32


def cnn_runs(test, train=100.0):
    """Test losses by net, or by net and rate; every rate but the first is worse."""
    about = {"trainable": 67458}
    for cnn, loss in zip(CNNS, test, strict=True):
        for worse, rate in enumerate(CNN_RATES):
            made = result(
                developed(cnn, rate),
                photographs={"loss": loss + 50 * worse + NOISE},
                training_loss=[train] * N,
                about=about,
            )
            made.recipe["learning_rate"] = rate
            yield made


def test_each_later_cnn_beats_the_one_before():
    assert verdict("cnn_order", *cnn_runs((300, 290, 280, 270, 260, 250))) == HELD
    assert verdict("cnn_order", *cnn_runs((300, 290, 295, 270, 260, 250))) == FAILED
    assert verdict("cnn_order", *cnn_runs((300, 290, 290, 270, 260, 250))) == OPEN
    assert verdict("cnn_order", *list(cnn_runs((300, 290, 280, 270, 260, 250)))[:-3]) == OPEN


def test_cnn_table_has_every_rate_and_marks_the_best():
    evidence = Evidence({r.name: r for r in cnn_runs((300, 290, 280, 270, 260, 250))})
    claim = next(claim for claim in CLAIMS if claim.name == "cnn_order")
    table = judge(claim, evidence).judgment.table
    assert len(table) == 1 + 6 * len(CNN_RATES)
    assert [line[2] for line in table[1:4]] == ["0.0001", "0.001 *", "0.01"]
    assert table[2][3:] == ["100.0", f"{(300 + NOISE).mean():.1f}", f"{(200 + NOISE).mean():.1f}"]


def test_overfitting_is_the_gap_of_test_over_train():
    losses = (300, 290, 280, 270, 260, 250)
    assert verdict("cnn_overfitting", *cnn_runs(losses)) == HELD  # 160 against 150
    found = {r.name: r for r in cnn_runs(losses)}
    found[developed("cnn6", CNN_RATES[0])].training_loss[:] = [50.0] * N  # now 200
    assert verdict("cnn_overfitting", *found.values()) == FAILED


@pytest.mark.parametrize(("factor", "wanted"), [(0.9, HELD), (1.1, FAILED)])
def test_five_taps_by_squared_error(factor, wanted):
    squares = 500 + 50 * NOISE
    color = {"colorfulness": 9, "colorfulness_truth": 40}
    found = [
        result("modern_five_taps", photographs={"square": factor * squares}, **color),
        result(MODERN, photographs={"square": squares}, **color),
    ]
    assert verdict("five_taps", *found) == wanted


@pytest.mark.parametrize(("color", "wanted"), [(20, HELD), (15.1, OPEN), (5, FAILED)])
def test_more_color_by_intervals_that_do_not_meet(color, wanted):
    found = [
        result(name, photographs={"square": 500 + NOISE}, colorfulness=c, colorfulness_truth=40)
        for name, c in (("modern_adversarial", color), (MODERN, 15))
    ]
    assert verdict("adversarial", *found) == wanted


# --- what is missing ------------------------------------------------------------------------------


def test_without_any_run_nothing_is_decided_and_each_claim_names_what_is_missing():
    findings = claims.findings(Evidence({}))
    assert [finding.judgment.verdict for finding in findings] == [OPEN] * len(CLAIMS)
    assert all(finding.judgment.figures for finding in findings)
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_a_run_that_broke_leaves_its_claims_open_and_is_named():
    broken = Result(result(PIXELWISE).run, failure="The loss is nan by step 7")
    evidence = Evidence({broken.name: broken})
    claim = next(claim for claim in CLAIMS if claim.name == "pixelwise")
    judgment = judge(claim, evidence).judgment
    assert judgment.verdict == OPEN
    assert "nan by step 7" in judgment.figures[0]


def test_a_budget_that_is_too_small_decides_nothing():
    found = [result(name, photographs={"luma": [0.1], "gray": [0.1]}) for name in (BASE, MODERN)]
    assert verdict("intensity", *found) == HELD
    assert verdict("intensity", *found, decisive=False) == OPEN
