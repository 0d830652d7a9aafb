"""The claims of the article and of the other systems' authors: source, experiment and rule."""

from __future__ import annotations

from residual_encoder.reproduction import decisions, paired_statistics
from residual_encoder.reproduction.evidence import Claim, Evidence, Finding, judge
from residual_encoder.reproduction.experiments import BASE, CODE, MODERN, changed
from residual_encoder.reproduction.paired_statistics import BY_INTERVAL, BY_SEEDS

ARTICLE = "article (Dahl 2016)"

CLAIMS = (
    Claim(
        "pixelwise",
        "A single 1x1 convolution over the hypercolumn collapses to gray.",
        ARTICLE,
        "pixelwise with the script's SGD and with Adam, and residual encoder, as many images, same "
        "seed; colorfulness of validation photographs",
        "of the pixelwise runs the better one by PSNR: held if it is below "
        f"{decisions.GRAYISH:.0%} of the true colorfulness and below the residual encoder, by the "
        "ends of the 95 % intervals; did not hold if above that share, unless worse than gray",
        decisions.pixelwise,
    ),
    Claim(
        "blurred",
        "Blurred distances added to the plain one make training converge faster.",
        ARTICLE,
        "residual encoder with blurred_euclidean and euclidean; steps until the RMSE of ab on "
        "validation photographs reaches the level that both reach",
        BY_SEEDS,
        decisions.blurred,
    ),
    Claim(
        "hypercolumn_iterations",
        "The residual encoder trains better than the hypercolumn model at equal iterations.",
        ARTICLE,
        "both with the script's loss, same order of photographs; mean training loss over the last "
        "quarter of the steps that both made",
        BY_SEEDS,
        decisions.against_hypercolumn("step"),
    ),
    Claim(
        "hypercolumn_time",
        "The residual encoder trains better than the hypercolumn model at equal time.",
        ARTICLE + ", its curve",
        "the same runs; mean training loss over the last quarter of the time that both trained",
        BY_SEEDS,
        decisions.against_hypercolumn("seconds"),
    ),
    Claim(
        "memory",
        "In 2 GB the residual encoder trains 6 images at a time, the hypercolumn model 1.",
        ARTICLE,
        "memory of one training step at the article's batch sizes, and of the hypercolumn model "
        "at 2, in a fresh process each",
        f"held if 6 fit {decisions.MEMORY_LIMIT} MiB with the residual encoder and 2 do not with "
        "the other",
        decisions.memory,
    ),
    Claim(
        "intensity",
        "The output keeps the input's intensity.",
        ARTICLE,
        "distance between the gray given and the output's luma, saved in 8 bits, for the mean gray "
        "of 2016 and for luma",
        f"held if below {decisions.CODE_VALUE:g} code value of 255 on average for both",
        decisions.intensity,
    ),
    Claim(
        "activations",
        "ELU, leaky ReLU and dropout bring little over ReLU.",
        ARTICLE,
        "residual encoder with one change each; pooled PSNR over gray, same seeds",
        f"held if none brings more than {decisions.LITTLE:g} dB with any of "
        f"{paired_statistics.SEEDS} seeds; did not hold if one brings more with all of them",
        decisions.activation_variants,
    ),
    Claim(
        "gray",
        "With the mean as gray even true chroma does not give the picture back (34.2 dB on 200 "
        "photographs of ImageNet, by this project's count); with luma it does.",
        "the author's script",
        "true chroma merged with either gray; no training is in it",
        "held if the ends of the 95 % intervals do not meet",
        decisions.gray_ceiling,
    ),
    Claim(
        "upsampling",
        "Half-pixel upsampling, which does not shift the color, is better than that of 2016.",
        "this project",
        "residual encoder with either; pooled PSNR over gray, same seeds",
        BY_SEEDS,
        decisions.paired_seeds(changed("half_pixel"), BASE),
    ),
    Claim(
        "formula",
        "The article's formula trains a better network than the loss in its author's script.",
        "this project: which of the two ran is not known",
        "tinyclouds2016 and tinyclouds2016_code; pooled PSNR over gray, same seeds",
        BY_SEEDS,
        decisions.paired_seeds(BASE, CODE),
    ),
    Claim(
        "hsv",
        "HSV is worse than YUV, as hue wraps.",
        ARTICLE,
        "residual encoder in either; RMSE of ab, which does not depend on the gray, paired by "
        "photograph; loss of a picture that is one code of hue off",
        BY_INTERVAL,
        decisions.hsv,
    ),
    Claim(
        "cnn_order",
        "Of the six CNNs each later one beats the one before.",
        "their author",
        "development set, three learning rates each, the rate of the lowest test loss; paired by "
        "photograph",
        f"{BY_INTERVAL}; all five steps have to hold, and one that goes the other way decides",
        decisions.each_later,
    ),
    Claim(
        "cnn_overfitting",
        "CNN 6 overfits less than CNN 5.",
        "their author",
        "the same runs; test loss minus train loss",
        BY_INTERVAL,
        decisions.overfits_less,
    ),
    Claim(
        "five_taps",
        "Tapping all five pools is better than four.",
        ARTICLE + ", future work",
        "modern_five_taps and modern; pooled PSNR, paired by photograph, one seed",
        BY_INTERVAL,
        decisions.paired_psnr("modern_five_taps", MODERN),
    ),
    Claim(
        "fine_tuning",
        "Training the trunk on gray pictures is better than leaving it frozen.",
        ARTICLE + ", future work",
        "modern and modern_frozen; pooled PSNR, paired by photograph, one seed",
        BY_INTERVAL,
        decisions.paired_psnr(MODERN, "modern_frozen"),
    ),
    Claim(
        "adversarial",
        "An adversarial loss makes pictures more colorful.",
        ARTICLE + ", future work",
        "modern_adversarial and modern; colorfulness, one seed",
        "held or not if the 95 % intervals do not meet",
        decisions.colorfulness_gain("modern_adversarial", MODERN),
    ),
    Claim(
        "classes",
        "Classes of color, rebalanced, make pictures more colorful than a mean.",
        "Zhang et al. 2016",
        "modern_classes and modern; colorfulness, one seed",
        "held or not if the 95 % intervals do not meet",
        decisions.colorfulness_gain("modern_classes", MODERN),
    ),
)


def findings(evidence: Evidence) -> list[Finding]:
    """Judges all claims."""
    return [judge(claim, evidence) for claim in CLAIMS]
