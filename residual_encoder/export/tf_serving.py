"""Writes requests into a SavedModel that warm TensorFlow Serving up before it answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from residual_encoder.data import scenes

# Where the server looks, and how the requests are written: tensorflow.org/tfx/serving,
# "SavedModel Warmup".
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
SCENE_SIZE = 512  # side in pixels of the pictures sent: more than the network sees


def write_warmup(folder: Path, name: str, gray_size: int) -> None:
    """Writes requests that the server runs before it takes others, so that none of these waits.

    Args:
      folder: Of the SavedModel; it exists.
      name: Of the model, as clients call it.
      gray_size: Side in pixels of the gray square that is sent to `serving_default`.

    Raises:
      ValueError: `tensorflow-serving-api` is not installed.
      OSError: the folder cannot be written.
    """
    logs = list(_logs(name, gray_size))
    path = folder / WARMUP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())


def _logs(name: str, gray_size: int) -> Iterator[Any]:
    """Makes one `PredictionLog` for gray, and one for each of the two formats of files."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ValueError(
            "TensorFlow Serving's layout needs tensorflow-serving-api: "
            'in the project\'s folder: pip install ".[serving]"'
        ) from error
    scene = tf.constant(scenes.render(0, 0, SCENE_SIZE))  # [S, S, 3] uint8
    gray = tf.zeros([1, gray_size, gray_size, 1])
    requests = [("serving_default", "grayscale", gray)]
    for encode in (tf.io.encode_jpeg, tf.io.encode_png):
        requests.append(("colorize_bytes", "image_bytes", encode(scene)[None]))
    for signature, key, value in requests:
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = name, signature
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        yield log
