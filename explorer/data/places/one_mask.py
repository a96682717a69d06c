"""One mask by itself: a file, an array, or the bytes of a file."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from explorer.data.errors import ImageError
from explorer.data.places.mask_folders import mask_values
from explorer.files import given_path


def read_mask(data: Any) -> Any:
    """uint8 [H, W] of class indices from an array, a file or a file's bytes.

    Raises ImageError for colours, fractions and more than 256 classes.
    """
    if isinstance(data, (str, os.PathLike)):
        path = given_path(data, "mask")
        if path.suffix.lower() != ".npy":
            found = mask_values(Path(path))
            if found.colours:
                raise ImageError(f"'{path.name}' holds colours: give a mask of class indices, grey or with a "
                                 "palette, or a folder, whose colours are read together.")
            return _indices(found.pixels)
        data = path.read_bytes()
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data)
        if data[:6] == b"\x93NUMPY":
            try:
                return _indices(np.load(io.BytesIO(data), allow_pickle=False))
            except ValueError as error:
                raise ImageError(f"This file holds no array of numbers: {error}.") from None
        return _from_bytes(data)
    return _indices(np.asarray(data))


def _from_bytes(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the mask"
        path.write_bytes(data)
        return read_mask(path)


def _indices(values: Any) -> Any:
    if values.ndim != 2 or values.dtype.kind not in "iub" or not values.size:
        raise ImageError(f"The mask has the shape {list(values.shape)} and holds {values.dtype}: expected "
                         "[height, width] of whole numbers, the class of each pixel.")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 255:
        raise ImageError(f"The mask holds numbers from {low} to {high}: expected indices of classes from 0 "
                         "on, and 255 where nothing counts.")
    seen = np.unique(values)
    if len(seen) <= 2 and seen[0] == 0 and seen[-1] == 255:  # black and white: no and yes
        values = values > 0
    return values.astype(np.uint8)
