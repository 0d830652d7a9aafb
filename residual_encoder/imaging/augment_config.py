"""How training crops and changes pictures, as numbers, without TensorFlow: recipes hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augment:
    """Limits of the random changes to a training picture; the default is the center square.

    Attributes:
      min_crop: Smallest side of the cropped square, as a share of the picture's short side. The
        side is uniform in [min_crop, max_crop] and its place anywhere in the picture. At 1 the
        square is the center one.
      flip: Whether half of the pictures are mirrored left to right.
      max_crop: Largest side, as a share of the short side.
      warp: Largest change of each number of the identity matrix by turn, stretch and shear.
      tone: Largest bend of the tone curve of luma, see `augmentation.tone`.
      grain: Largest standard deviation of noise on luma, of its range 0 to 1.
    """

    min_crop: float = 1.0
    flip: bool = False
    max_crop: float = 1.0
    warp: float = 0.0
    tone: float = 0.0
    grain: float = 0.0

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: one of the numbers is out of range.
        """
        if not 0 < self.min_crop <= self.max_crop <= 1:
            raise ValueError(
                f"min_crop is {self.min_crop} and max_crop {self.max_crop}; they are shares of the "
                "side, in (0, 1], the first at most the second"
            )
        for name in ("warp", "tone", "grain"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
