"""A photo on its way into a network for masks: the whole of it, in its own proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.data.bands import BandsToTensor, EachBand
from explorer.data.resizing import Resize, known_interpolation
from explorer.data.transforms import resolve_data_config
from explorer.models.segmentation.segmenter import Segmenter

MOST_LONG = 8  # times its short side, up to which a photo's long side keeps all that it would have


@dataclass(frozen=True)
class Preparation:
    """How photos are prepared for one network.

    config:   what its weights expect, as `resolve_data_config` gives it
    multiple: what height and width of the input are a multiple of
    exactly:  (height, width) of the only input that the network takes; None: any, and then the photo's short
              side becomes the config's
    """

    config: dict[str, Any]
    multiple: int = 1
    exactly: tuple[int, int] | None = None

    def __call__(self, photo: Image.Image) -> tuple[Tensor, tuple[int, int]]:
        """(the input [C, H, W], the height and width of that part of it which is the photo).

        The photo lies at the top left; the rest is the mean colour. A strip, more than `MOST_LONG` times as
        long as wide, becomes smaller: its input would take gigabytes. Raises ImageError for other bands
        than the network reads.
        """
        channels = self.config["input_size"][0]
        seen: Any = photo
        for step in self._steps(channels, is_strip=max(photo.size) > MOST_LONG * min(photo.size)):
            seen = step(seen)
        height, width = seen.shape[-2:]
        high, wide = self.exactly or (_up_to(height, self.multiple), _up_to(width, self.multiple))
        return F.pad(seen, (0, wide - width, 0, high - height)), (height, width)

    def _steps(self, channels: int, is_strip: bool) -> list[Any]:
        from torchvision import transforms as T

        side = min(self.config["input_size"][1:])
        frame, fit = (self.exactly, "contain") if self.exactly else ((side, side), "short")
        if is_strip and not self.exactly:
            frame, fit = (MOST_LONG * side, MOST_LONG * side), "contain"
        resize = Resize(frame, fit=fit, interpolation=known_interpolation(self.config["interpolation"]))
        normalise = T.Normalize(self.config["mean"], self.config["std"])
        if channels not in (1, 3):
            return [EachBand(resize, channels), BandsToTensor(channels), normalise]
        return [*([T.Grayscale(1)] if channels == 1 else []), resize, T.ToTensor(), normalise]


def preparation(model: Segmenter) -> Preparation:
    """How photos are prepared for that network."""
    return Preparation(resolve_data_config({}, model=model), model.size_multiple, model.only_size)


def _up_to(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
