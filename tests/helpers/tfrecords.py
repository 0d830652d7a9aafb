"""TFRecord files in the classic ImageNet format."""

import tensorflow as tf


def example(jpeg, name=None, key="image/encoded"):
    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {key: feature(jpeg)}
    if name is not None:
        features["image/filename"] = feature(name.encode())
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def jpeg_of(rgb):
    return tf.io.encode_jpeg(rgb, quality=95).numpy()


def write_shard(path, examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for data in examples:
            writer.write(data)
