"""Pictures with other bands than red, green and blue: satellites, microscopes, depth beside colour.

    picture = explorer.load_image(values)                       # a tensor [5, H, W] or an array [H, W, 5]
    picture = explorer.load_image(values, channels=4)           # four bands could be RGB and transparency
    explorer.look(model, values)                                # a model knows how many it reads

A `BandImage` is shown as a photo (three of its bands, each stretched to its own range), and a network that
reads as many channels sees all of them: resized and cropped one by one as a photo's are, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from explorer.data.errors import ImageError

if TYPE_CHECKING:
    import numpy as np

MOST_BANDS = 1024
SHOWN_SHARE = (2, 98)  # percentiles of a band that become black and white on the screen


class BandImage(Image.Image):
    """A picture of C bands that shows itself as an RGB photo of three of them.

    values: float32 [C, H, W], in the range that a network is given;  shown: the three bands on the screen
    """

    values: np.ndarray
    shown: tuple[int, int, int]

    def __reduce__(self) -> tuple[Any, ...]:
        return band_image, (self.values, self.shown)

    def __deepcopy__(self, memo: dict) -> BandImage:
        return band_image(self.values.copy(), self.shown)

    def each(self, change: Callable[[Image.Image], Image.Image]) -> BandImage:
        """The picture with every band changed in the same way, as a grey picture of floats."""
        import numpy as np

        return band_image(np.stack([np.asarray(change(Image.fromarray(band))) for band in self.values]),
                          self.shown)


def band_image(values: np.ndarray, shown: Sequence[int] | None = None) -> BandImage:
    """float32 [C, H, W] as a picture. shown: which bands are red, green and blue; None: the first three."""
    import numpy as np

    if shown is None:
        shown = (0, 1, 2) if len(values) > 2 else (0, 0, len(values) - 1)
    low, high = np.percentile(values[list(shown)], SHOWN_SHARE, axis=(1, 2), keepdims=True)
    stretched = (values[list(shown)] - low) / np.maximum(high - low, 1e-12)
    picture = Image.fromarray((stretched.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0).copy())
    picture.__class__ = BandImage  # all that Pillow knows of an RGB picture stays true
    picture.values, picture.shown = np.ascontiguousarray(values, dtype=np.float32), tuple(shown)
    return picture


def read_bands(array: np.ndarray, channels: int | None, channels_first: bool | None) -> np.ndarray:
    """An array or tensor of C bands as float32 [C, H, W].

    uint8 and uint16 become 0..1; floats are taken as they are, in whatever range the network was trained
    with.
    channels: how many bands there must be, where that is known;  channels_first: None: found by `channels`,
              or the shorter
    Raises ValueError with a sentence for anything else.
    """
    import numpy as np

    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"An array of shape {list(array.shape)} is no picture of bands: "
                         "expected [C, H, W] or [H, W, C].")
    first, last = array.shape[0], array.shape[2]
    if channels_first is None:
        channels_first = (first == channels if channels is not None and channels in (first, last)
                          else first <= last)
    values = array if channels_first else array.transpose(2, 0, 1)
    if channels is not None and len(values) != channels:
        raise ValueError(f"A picture of shape {list(array.shape)} has {len(values)} bands, "
                         f"expected {channels}.")
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype in (np.uint8, np.uint16):
        return values.astype(np.float32) / np.iinfo(values.dtype).max
    if values.dtype.kind != "f":
        raise ValueError(f"Bands of {values.dtype} have no known range: give uint8, uint16, "
                         "or floats as the model was trained with them.")
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("The bands hold NaN or infinite values: replace them first (numpy.nan_to_num).")
    return values


class EachBand:
    """A step for photos (resize, crop), done to every band."""

    def __init__(self, step: Callable[[Image.Image], Image.Image], channels: int):
        self.step, self.channels = step, channels

    def __call__(self, picture: Image.Image) -> BandImage:
        return check_bands(picture, self.channels).each(self.step)

    def __repr__(self) -> str:
        return f"EachBand({self.step!r})"


class BandsToTensor:
    """A `BandImage` -> its values, a tensor float32 [C, H, W]."""

    def __init__(self, channels: int):
        self.channels = channels

    def __call__(self, picture: Image.Image) -> Any:
        import torch

        return torch.from_numpy(check_bands(picture, self.channels).values.copy())

    def __repr__(self) -> str:
        return f"BandsToTensor({self.channels})"


def check_bands(picture: Image.Image, channels: int) -> BandImage:
    """The picture, where it has so many bands. Raises ImageError with what to give instead."""
    if channels == 4 and (four := getattr(picture, "four_bands", None)) is not None:
        return band_image(read_bands(four, 4, True))
    has = len(picture.values) if isinstance(picture, BandImage) else len(picture.getbands())
    if not isinstance(picture, BandImage) or has != channels:
        raise ImageError(f"This model reads {channels} channels, and the picture has {has}: "
                         f"give a tensor [{channels}, H, W] or an array [H, W, {channels}]; "
                         f"explorer.load_image(values, channels={channels}) makes a picture of it.")
    return picture


def check_photo(picture: Image.Image) -> Image.Image:
    """The picture, where it is a photo of one or three channels. Raises ImageError for one of other bands."""
    if isinstance(picture, BandImage):
        raise ImageError(f"This model reads photos, and the picture has {len(picture.values)} bands: "
                         "give a model that reads as many, "
                         f"create_model(..., in_chans={len(picture.values)}).")
    return picture
