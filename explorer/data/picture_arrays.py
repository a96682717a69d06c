"""From an array or a tensor of numbers to a picture."""

from __future__ import annotations

from typing import Any

from PIL import Image

from explorer.data.errors import ImageError
from explorer.data.picture_files import check_size


def numbers_of_tensor(tensor: Any) -> Any:
    """A tensor as an array; numpy knows no bfloat16."""
    tensor = tensor.detach().cpu()
    return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()


def tensor_to_array(tensor: Any) -> Any:
    """A tensor as an array with the channels last: [C, H, W] -> [H, W, C]."""
    shape = tuple(tensor.shape)
    if tensor.ndim == 4:
        if shape[0] != 1:
            raise ImageError(f"A tensor of shape {list(shape)} is {shape[0]} pictures: give one, tensor[0].")
        tensor = tensor[0]
    if tensor.ndim == 3:
        if tensor.shape[0] not in (1, 3, 4):
            hint = ": use tensor.permute(2, 0, 1)" if tensor.shape[2] in (1, 3, 4) else ""
            raise ImageError(
                f"A tensor of shape {list(shape)} is not one picture: expected [1 | 3 | 4, H, W]{hint}."
            )
        tensor = tensor.permute(1, 2, 0)  # [C, H, W] -> [H, W, C]
    if tensor.ndim != 2 and tensor.ndim != 3:
        raise ImageError(
            f"A tensor of shape {list(shape)} is not one picture: expected [H, W], [C, H, W] or [1, C, H, W]."
        )
    return numbers_of_tensor(tensor)


def from_array(array: Any, max_pixels: int, kind: str) -> Image.Image:
    """[H, W] or [H, W, 1 | 3 | 4] -> PIL image in mode L, RGB or RGBA."""
    import numpy as np

    shape = list(array.shape)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = ": use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = ": give one picture of the batch, array[0]"
        raise ImageError(
            f"An array of shape {shape} is not one picture: expected [H, W], [H, W, 1], [H, W, 3] "
            f"or [H, W, 4]{hint}."
        )
    if 0 in array.shape:
        raise ImageError(f"The {kind} is empty (shape {shape}): give a picture with at least one pixel.")
    check_size((array.shape[1], array.shape[0]), max_pixels, f"The {kind}")

    if array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * 255
    elif array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.uint16:
        pixels = scale_range(array, 0, 65535)
    elif array.dtype.kind == "f":
        low, high = finite_range(array, f"The {kind}")
        # Resizing overshoots by a rounding error; anything more is another range and would be guessed at.
        if low < -1e-3 or high > 1 + 1e-3:
            raise ImageError(
                f"The {kind} has values from {low:.4g} to {high:.4g}: expected floats in 0..1 or uint8 "
                "(divide by 255, or undo the normalisation first)."
            )
        pixels = scale_range(array, 0.0, 1.0)
    else:
        raise ImageError(
            f"A picture cannot be made from a {kind} of {array.dtype}: "
            "expected uint8 in 0..255, uint16, bool, or floats in 0..1."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(pixels)  # may share the array's memory: the way to RGB makes the copy


def scale_range(values: Any, low: float, high: float) -> Any:
    """Map low..high to 0..255, rounded, clipped: uint8 of the same shape."""
    import numpy as np

    scaled = (values.astype(np.float64) - low) * 255 / ((high - low) or 1)  # one flat colour has no span
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def finite_range(values: Any, name: str) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # NaN compares false too
        raise ImageError(f"{name} holds NaN or infinite values: replace them first (numpy.nan_to_num).")
    return low, high
