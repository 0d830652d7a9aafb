"""Rendered scenes as data, which need no download."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from residual_encoder.data import scenes
from residual_encoder.data.preprocessing import Window
from residual_encoder.data.records import Record, Source, listed_records
from residual_encoder.utils.typing import Tensor

SCENE_SEEDS = {"train": 0, "val": 1}
VALIDATION_SCENES = 200


def synthetic_source(count: int, split: str, size: int) -> Source:
    """Returns rendered scenes, always the same ones for a split.

    Args:
      count: How many there are.
      split: "train" or "val"; they share no scene.
      size: Side of the rendered squares in pixels.
    """
    seed = SCENE_SEEDS[split]

    def render(number: Any) -> Any:
        return scenes.render(seed, int(number), size)

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        rgb = tf.numpy_function(render, [record.offset], tf.uint8, stateful=False)
        rgb = tf.ensure_shape(rgb, [size, size, 3])
        top, left, height, width = tf.unstack(window(tf.constant(size), tf.constant(size)))
        return rgb[top : top + height, left : left + width], record.place

    places = [f"scene-{split}-{n:06d}" for n in range(count)]
    return Source(listed_records(places), picture, lambda record: record.place)
