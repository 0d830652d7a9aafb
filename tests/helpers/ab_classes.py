"""Classes of ab by NumPy alone: their soft encoding and the whole loss."""

import numpy as np

from residual_encoder.imaging import ab_quantization, colorspace

AB = ab_quantization.classes().ab.astype(np.float64)
WEIGHTS = ab_quantization.class_weights(ab_quantization.classes().prior)
Q = len(AB)


def colors(rng, *shape):
    """Random ab that sRGB reaches, [..., 2]."""
    return colorspace.rgb_to_lab(rng.random((*shape, 3), np.float32))[..., 1:].numpy()


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def numpy_encoding(ab):
    """[n, 2] -> dense [n, Q], a pixel at a time."""
    dense = np.zeros((len(ab), Q))
    for row, point in zip(dense, ab.astype(np.float64), strict=True):
        distance = np.hypot(*(AB - point).T)
        nearest = np.argsort(distance, kind="stable")[:5]
        share = np.exp(-(distance[nearest] ** 2) / (2 * 5.0**2))
        row[nearest] = share / share.sum()
    return dense


def numpy_loss(rgb, logits):
    """The whole loss, with dense targets."""
    lab = colorspace.rgb_to_lab(rgb).numpy()[..., 1:]
    batch, height, width, _ = lab.shape
    pooled = lab.reshape(batch, height // 4, 4, width // 4, 4, 2).mean((2, 4)).reshape(-1, 2)
    target = numpy_encoding(pooled)
    nearest = [np.argmin(((AB - point) ** 2).sum(1)) for point in pooled]
    p = softmax(logits.reshape(-1, Q).astype(np.float64))
    return np.mean(WEIGHTS[nearest] * -(target * np.log(p)).sum(1)), p, target, nearest


def truth_and_logits(rng):
    rgb = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    truth = colorspace.split(rgb, colorspace.LAB, "lightness")
    return truth, rng.normal(0, 3, (2, 2, 3, Q)).astype(np.float32)
