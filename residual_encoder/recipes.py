"""What each article used: network, color space, loss, optimizer and schedule, with sources.

The one place where a published training number lives. Importing it loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses

from residual_encoder.models.configs import (
    AbClassesConfig,
    CnnConfig,
    HypercolumnConfig,
    Pix2PixConfig,
    ResidualEncoderConfig,
    VggAutoencoderConfig,
)
from residual_encoder.models.recipe import (
    LOSSES,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Adversarial,
    LossInfo,
    Recipe,
)

__all__ = [
    "LOSSES",
    "OPTIMIZERS",
    "PRECISIONS",
    "RECIPES",
    "SCHEDULES",
    "Adversarial",
    "LossInfo",
    "Recipe",
]

# The article: "The residual encoder"; numbers from the author's script where the article is silent.
TINYCLOUDS2016 = Recipe(
    name="tinyclouds2016",
    network=ResidualEncoderConfig(),
    color_space="yuv",  # article: "YUV"; script: JPEG YCbCr
    gray="mean",  # script: (R + G + B) / 3
    loss="blurred_euclidean",  # article: Euclidean distances, plain and blurred by 3 and 5 px
    optimizer="sgd",  # script: plain gradient descent, no momentum, no weight decay
    learning_rate=0.1,  # script
    schedule="constant",  # script: no schedule
    batch_size=6,  # article: 6 images in 2 GB
    steps=156_000,  # article: 156,000 iterations, 936,000 images, 0.73 epoch of ImageNet
    image_size=224,  # article and script: 224x224
)

# The author's script, term by term: the loss behind the article's curve.
TINYCLOUDS2016_CODE = dataclasses.replace(
    TINYCLOUDS2016, name="tinyclouds2016_code", loss="tinyclouds_code"
)

# The article's first model: 1 image a batch was all that 2 GB took.
HYPERCOLUMN = dataclasses.replace(
    TINYCLOUDS2016,
    name="tinyclouds2016_hypercolumn",
    network=HypercolumnConfig(),  # 963-128-64-2: the article's text and drawing
    batch_size=1,
)
HYPERCOLUMN_CODE = dataclasses.replace(
    HYPERCOLUMN,
    name="tinyclouds2016_hypercolumn_code",
    network=HypercolumnConfig(widths=(128, 64, 3)),  # 963-128-64-3-2: script, name of the drawing
    loss="tinyclouds_code",
)
# One 1x1 convolution over the hypercolumn; the article reports that it stays gray.
PIXELWISE = dataclasses.replace(
    HYPERCOLUMN, name="tinyclouds2016_pixelwise", network=HypercolumnConfig(widths=())
)

# A frozen VGG16 as encoder; published with Lab, ab / 128, MSE, Adam, 100 epochs. Learning rate and
# batch are Keras's defaults; the number of photographs is not stated, so the steps are a choice of
# this project.
VGG_AUTOENCODER = Recipe(
    name="vgg_autoencoder",
    network=VggAutoencoderConfig(),
    color_space="lab",
    gray="lightness",
    loss="euclidean",  # of ab / 256; ab / 128 is the same but for a factor of 4, and Adam
    optimizer="adam",
    learning_rate=1e-3,
    schedule="constant",
    batch_size=32,
    steps=10_000,
    image_size=224,
)

# The six CNNs: Adam 1e-3, batch 32, 400x400; 200 epochs of 200 photographs are 7 x 200 steps, the
# final net's 300 epochs of 2,000 are 63 x 300.
CNN1 = dataclasses.replace(
    VGG_AUTOENCODER,
    name="cnn1",
    network=CnnConfig(widths=(32, 64)),
    loss="lab_mse",  # MSE of raw a and b
    steps=1_400,
    image_size=400,
)
CNNS = (
    CNN1,
    dataclasses.replace(CNN1, name="cnn2", network=CnnConfig((32, 64, 128))),
    dataclasses.replace(CNN1, name="cnn3", network=CnnConfig((32, 64, 128), skips=True)),
    dataclasses.replace(CNN1, name="cnn4", network=CnnConfig((32, 64, 128, 256), skips=True)),
    dataclasses.replace(CNN1, name="cnn5", network=CnnConfig((32, 64, 128, 256), True, 1)),
    dataclasses.replace(
        CNN1, name="cnn6", network=CnnConfig((32, 64, 128, 256), True, 2), steps=18_900
    ),
)

# Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", and its
# code in TensorFlow: L1 x 100 + GAN x 1, Adam 2e-4 with beta1 0.5, batch 1.
PIX2PIX = Recipe(
    name="pix2pix",
    network=Pix2PixConfig(),
    color_space="lab",
    gray="lightness",
    loss="tanh_l1",
    optimizer="adam",
    learning_rate=2e-4,
    beta1=0.5,
    schedule="constant",
    batch_size=1,
    steps=200_000,  # a choice of this project: 200 epochs of 1,000 photographs
    image_size=256,
    min_crop=256 / 286,  # resized to 286, cropped to 256; here with the aspect kept
    max_crop=256 / 286,
    flip=True,
    adversarial=Adversarial(),
)

# Three channels in color1 and color0 are the original's bottleneck: with 32 grass turns green.
WIDE_TAIL = ResidualEncoderConfig(widths=(256, 128, 64, 32, 32), gray_tap="concat")

# This project's own: the same network with a wider tail, trained by current methods.
MODERN = Recipe(
    name="modern",
    network=WIDE_TAIL,
    color_space="yuv",
    gray="luma",  # Y is kept exactly, so true chroma gives the picture back
    loss="blurred_euclidean",
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="cosine",
    warmup_steps=200,
    weight_decay=1e-4,
    batch_size=32,
    steps=30_000,
    image_size=128,
    min_crop=0.6,
    flip=True,
    train_trunk=True,
    precision="auto",
    # VGG16's zero padding next to a white corner activates channels that are zero elsewhere, and
    # the corner turns yellow, magenta and cyan. Mirrored, there is no such edge.
    margin=8,
)

# The same with a small adversarial term, against the brownish means that a squared error gives.
MODERN_ADVERSARIAL = dataclasses.replace(
    MODERN,
    name="modern_adversarial",
    # pix2pix's proportion. Its L1 x 100 pulls each of n chroma values with a slope of 200 / n; the
    # squared error does with 2 x 0.05 / n where a color is off by 0.05, as most are: 2,000 times
    # less, and so the adversarial term.
    adversarial=Adversarial(loss_weight=1.0, weight=5e-4),
)

# The same with the trunk as ImageNet left it, which has never seen a gray picture. The article
# leaves fine-tuning on gray to the future; `modern` is what it brings.
MODERN_FROZEN = dataclasses.replace(MODERN, name="modern_frozen", train_trunk=False)

# The same with all five of VGG16's pools tapped, which the article leaves to the future as well.
MODERN_FIVE_TAPS = dataclasses.replace(
    MODERN, name="modern_five_taps", network=dataclasses.replace(WIDE_TAIL, taps=5), margin=16
)

# The same trunk and training, but classes of color instead of a mean: Zhang, Isola and Efros 2016,
# "Colorful Image Colorization". Classes are of ab, so the space is Lab.
MODERN_CLASSES = dataclasses.replace(
    MODERN,
    name="modern_classes",
    network=AbClassesConfig(),
    color_space="lab",
    gray="lightness",
    loss="ab_classes",
)

# A distribution trained by plain cross-entropy: without rebalancing its mean is as good a
# regression as that of a squared error, and colors are chosen from it after training. The fifth tap
# and dilated context, in about as many weights as `modern` has: 8.2 million.
MODERN_DISTRIBUTION = dataclasses.replace(
    MODERN_CLASSES,
    name="modern_distribution",
    color_space="lab_luma",
    gray="luma",  # kept exactly, as by `modern`
    network=AbClassesConfig(
        taps=5,
        trunk_rank=160,
        context=(1, 2, 4),
        refinements=(1,),
        temperature=0.65,  # with the prior correction: a knot of `models.vividness.KNOTS`
        prior_correction=0.05,
        dropout=(0.1, 0.15, 0.2),  # against overfitting: there are 58,000 photographs
    ),
    rebalancing=0.0,
    image_size=144,  # of photographs whose short side is 160, at the scale that they are colored at
    min_crop=0.8,
    frozen_blocks=3,  # the article's trunk is frozen; blocks 4 and 5 recover from being split
    trunk_rate=0.1,
    ema=0.999,
    margin=0,  # with 16, AuC is 0.17 points lower, PSNR 0.1 dB: docs/experiments.md
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        TINYCLOUDS2016,
        TINYCLOUDS2016_CODE,
        HYPERCOLUMN,
        HYPERCOLUMN_CODE,
        PIXELWISE,
        VGG_AUTOENCODER,
        *CNNS,
        PIX2PIX,
        MODERN,
        MODERN_ADVERSARIAL,
        MODERN_FROZEN,
        MODERN_FIVE_TAPS,
        MODERN_CLASSES,
        MODERN_DISTRIBUTION,
    )
}
