"""Defines the flags that several commands have in common, each once.

The names of choices are repeated here, where importing them would import TensorFlow; a test
compares them with the library's.
"""

from __future__ import annotations

from typing import Any

from absl import flags

from residual_encoder.data.configs import KINDS, is_kind
from residual_encoder.models.configs import LEAST_TEMPERATURE
from residual_encoder.recipes import PRECISIONS, RECIPES
from residual_encoder.utils.devices import JITS

UPSAMPLINGS = ("guided", "bilinear")
FORMATS = ("keep", "jpeg", "png", "webp", "tiff")
COLOR_INPUTS = ("skip", "recolor")
ENGINES = ("auto", "tensorflow", "onnx", "litert")

flags.disclaim_key_flags()  # they belong to the command that asks for them


def model() -> flags.FlagHolder[str | None]:
    """Defines --model, of which None is the shipped weights."""
    return flags.DEFINE_string(
        "model",
        None,
        "Training workdir, weights file or export (SavedModel, LiteRT); default: shipped weights.",
    )


class _DataParser(flags.ArgumentParser):
    """Takes the kinds of data."""

    def parse(self, argument: str) -> str:
        """Returns the argument; a ValueError where it is no kind."""
        if not is_kind(argument):
            raise ValueError(f"value should be one of <{DATA_KINDS}>")
        return argument


DATA_KINDS = "|".join((*KINDS, "tfds:NAME[:SPLIT]"))


def data(
    text: str = "Kind of data.",
    default: str | None = None,
    required: bool = False,
    name: str = "data",
) -> flags.FlagHolder[str | None]:
    """Defines --data: one of `KINDS`, or tfds:NAME[:SPLIT].

    Args:
      text: For --help.
      default: The kind where none is given.
      required: Whether one must be given.
      name: Of the flag.
    """
    text = f"<{DATA_KINDS}>: {text}"
    return flags.DEFINE(
        _DataParser(), name, default, text, serializer=flags.ArgumentSerializer(), required=required
    )


def data_dir() -> flags.FlagHolder[str | None]:
    """Defines --data_dir."""
    return flags.DEFINE_string(
        "data_dir",
        None,
        "Folder of the data: shards, pictures, or TFDS's prepared data sets, which are in "
        "~/tensorflow_datasets by default; synthetic needs none.",
    )


def manual_dir() -> flags.FlagHolder[str | None]:
    """Defines --manual_dir."""
    return flags.DEFINE_string(
        "manual_dir",
        None,
        "For --data=imagenet and tfds: where the archives are that one downloads by hand, if not "
        "prepared yet.",
    )


def recipe(text: str, default: str | None = "tinyclouds2016") -> flags.FlagHolder[str | None]:
    """Defines --recipe, one of `RECIPES`, by default the article's."""
    return flags.DEFINE_enum("recipe", default, sorted(RECIPES), text)


def vgg16_weights() -> flags.FlagHolder[str]:
    """Defines --vgg16_weights."""
    return flags.DEFINE_string(
        "vgg16_weights", "imagenet", '"imagenet", "none" or a Keras VGG16 file.'
    )


def precision(default: str | None = "auto") -> flags.FlagHolder[str | None]:
    """Defines --precision; a default of None leaves the recipe's."""
    return flags.DEFINE_enum(
        "precision",
        default,
        PRECISIONS,
        "Arithmetic of the layers; auto is bfloat16 where the device is quick at it.",
    )


def jit() -> flags.FlagHolder[str]:
    """Defines --jit."""
    return flags.DEFINE_enum("jit", "auto", JITS, "XLA; auto is on for a single GPU.")


def size() -> flags.FlagHolder[str]:
    """Defines --size, which `network_size` reads."""
    return flags.DEFINE_string(
        "size",
        "auto",
        "Short side in pixels that the network sees, from 8 up; auto is the model's own. The "
        "output has the size of the input whatever this is.",
    )


def network_size(text: str) -> int | str:
    """Returns the value of --size: "auto", or a number of pixels.

    Raises:
      ValueError: it is neither.
    """
    if text != "auto" and not text.isdecimal():
        raise ValueError(f"--size takes auto or a number of pixels, received {text!r}")
    return text if text == "auto" else int(text)


def saturation() -> flags.FlagHolder[float]:
    """Defines --saturation."""
    return flags.DEFINE_float(
        "saturation",
        1.0,
        "Factor on the colors: 0 is gray, 1 the network's prediction.",
        lower_bound=0.0,
    )


def vividness() -> flags.FlagHolder[float | None]:
    """Defines --vividness, of which None is the model's own choice of colors."""
    return flags.DEFINE_float(
        "vividness",
        None,
        "0 (safe colors) to 1 (vivid ones), for models that predict a distribution over colors; "
        "default: the model's own choice.",
        lower_bound=0.0,
        upper_bound=1.0,
    )


def temperature() -> flags.FlagHolder[float | None]:
    """Defines --temperature."""
    return flags.DEFINE_float(
        "temperature",
        None,
        "Of the mean over the distribution, from 0.01 up: 1 is the mean, towards 0 it becomes the "
        "most likely color. Overrides this part of --vividness.",
        lower_bound=LEAST_TEMPERATURE,
    )


def prior_correction() -> flags.FlagHolder[float | None]:
    """Defines --prior_correction."""
    return flags.DEFINE_float(
        "prior_correction",
        None,
        "Multiple of the log frequency of colors that is taken off the distribution, 0 to 1: rare "
        "colors gain. Overrides this part of --vividness.",
        lower_bound=0.0,
        upper_bound=1.0,
    )


def upsampling() -> flags.FlagHolder[str]:
    """Defines --upsampling."""
    return flags.DEFINE_enum(
        "upsampling",
        "guided",
        UPSAMPLINGS,
        "How colors are enlarged: along the edges of the picture's gray, or without looking at it.",
    )


def file_format() -> flags.FlagHolder[str]:
    """Defines --format of colored pictures."""
    return flags.DEFINE_enum("format", "keep", FORMATS, "What colored pictures are saved as.")


def levels() -> flags.FlagHolder[bool]:
    """Defines --levels."""
    return flags.DEFINE_bool(
        "levels",
        False,
        "Stretch the tones of a faded picture to black and white first: the output has them.",
    )


def faces() -> flags.FlagHolder[bool]:
    """Defines --faces."""
    return flags.DEFINE_bool(
        "faces",
        False,
        "Look at small frontal faces again, up close: skin in group photographs. For pictures; "
        "takes half a second each.",
    )


def engine(default: str = "auto") -> flags.FlagHolder[str]:
    """Defines --engine."""
    return flags.DEFINE_enum(
        "engine",
        default,
        ENGINES,
        "What runs the network. onnx (onnxruntime) starts in a fraction of TensorFlow's time; auto "
        "begins with it where it can run the model, and measures which is faster for many files. "
        "litert runs the LiteRT files of tools/export.py, for which it is auto.",
    )


def color_inputs() -> flags.FlagHolder[str]:
    """Defines --color_inputs, by default skip."""
    return flags.DEFINE_enum(
        "color_inputs",
        "skip",
        COLOR_INPUTS,
        "Pictures and shots of films that are in color already: leave them as they are, or color "
        "them anew from their gray. Sepia and yellowed prints are not in color.",
    )


def max_megapixels() -> flags.FlagHolder[float]:
    """Defines --max_megapixels."""
    return flags.DEFINE_float(
        "max_megapixels",
        200.0,
        "The largest picture that is taken. Those above 200 are colored in rows, most within 2 GB.",
        lower_bound=0.001,
    )


class Colors:
    """Defines the flags that choose colors from a distribution, the fields of `ColorChoice`.

    Attributes:
      by_field: The flags.
    """

    def __init__(self) -> None:
        self.by_field: dict[str, flags.FlagHolder] = {
            "vividness": vividness(),
            "temperature": temperature(),
            "prior_correction": prior_correction(),
        }

    def settings(self) -> dict[str, Any]:
        """Returns the values of the fields."""
        return {name: flag.value for name, flag in self.by_field.items()}


class Coloring(Colors):
    """Defines a flag for each field of `ColoringConfig`, which has those of `ColorChoice`."""

    def __init__(self) -> None:
        super().__init__()
        self.by_field |= {
            "model": model(),
            "size": size(),
            "saturation": saturation(),
            "upsampling": upsampling(),
            "levels": levels(),
            "faces": faces(),
            "format": file_format(),
            "max_megapixels": max_megapixels(),
            "color_inputs": color_inputs(),
        }

    def settings(self) -> dict[str, Any]:
        """Returns the values of the fields.

        Raises:
          ValueError: --size is neither "auto" nor a number.
        """
        values = super().settings()
        return values | {"size": network_size(values["size"])}


def overwrite(text: str = "Replace an earlier file.") -> flags.FlagHolder[bool]:
    """Defines --overwrite."""
    return flags.DEFINE_bool("overwrite", False, text)
