"""What a colorizer has for people who know Keras: presets, and the network as a Keras model."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from residual_encoder.inference import model_loading
from residual_encoder.models import weights as weights_files
from residual_encoder.recipes import Recipe
from residual_encoder.utils import files

if TYPE_CHECKING:
    import keras


class KerasAccess:
    """Presets and the Keras model of a colorizer.

    Attributes:
      recipe: The recipe that the network was trained with, with the choice of colors in use.
      source: Where the network was loaded from.
    """

    recipe: Recipe
    source: str

    if TYPE_CHECKING:  # `Colorizer` has it

        def __init__(self, model: str | os.PathLike[str] | None, **settings: Any) -> None: ...

    @staticmethod
    def presets() -> dict[str, Path]:
        """Returns the weights that come with the package: names and files."""
        return model_loading.presets()

    @classmethod
    def from_preset(cls, name: str | None = None, **settings: Any) -> Self:
        """Makes a colorizer with weights that come with the package.

        Args:
          name: One of `presets`; None is the only one.
          **settings: Those of the class, but the model.

        Raises:
          ValueError: there is none of that name, or several and none is named.
        """
        return cls(model_loading.shipped_weights(name), **settings)

    @functools.cached_property
    def network(self) -> keras.Model:
        """Returns the network as it is trained, loaded when it is first asked for.

        It takes gray [B, H, W, 1] float32 in [0, 1], H and W multiples of `recipe.multiple`, and
        gives chroma [B, H, W, 2] float32 in [0, 1]. It can be summarized, cut and trained; what
        colors is a copy with its batch norms folded, which training does not change: save the
        trained one by `save_weights`, and load that.

        Raises:
          ValueError: the model is an export, which holds no layers.
        """
        if (kind := model_loading.kind_of(self.source)) != model_loading.WEIGHTS:
            raise ValueError(
                f"{self.source} is a {kind}, which holds no layers of Keras. Load the weights "
                "file that it was exported from."
            )
        from residual_encoder.inference.network_model import NetworkModel  # which loads Keras

        model = model_loading.keras_network(self.recipe, self.source)
        return NetworkModel(model.input, model.output, name=model.name)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Writes the weights that `network` has now, with the recipe, for `Colorizer(path)`.

        Args:
          path: The file to make; ends in .weights.h5.

        Raises:
          FileExistsError: it exists.
          ValueError: the name is wrong, or the model is an export.
          OSError: it cannot be written.
        """
        if not Path(path).name.endswith(model_loading.SUFFIX):
            raise ValueError(f"{path} must end in {model_loading.SUFFIX}.")
        files.check_free(path)
        weights_files.save_weights(self.network, path, self.recipe.to_json())
