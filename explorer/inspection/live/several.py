"""Which models go into a page, and which photos where nobody says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from explorer.data.datasets import BUNDLED
from explorer.data.samples import WITH_PLACES, sample_photos
from explorer.inspection.export.parts import Leaving

MOST = 2  # models in a page


def models_given(given: Any) -> list[Any]:
    """The models of a page: one, or two in a list or tuple. Raises ValueError for another number."""
    if isinstance(given, (str, nn.Module)) or not isinstance(given, Sequence):
        return [given]
    models = [*given]
    if not 1 <= len(models) <= MOST:
        raise ValueError(f"There are {len(models)} models in the list: a live page holds one, or two side by "
                         "side.")
    return models


def usual_photos(given: Any, leaving: Leaving) -> Any:
    """Photos of what the model was trained to find, where explorer has some; None: of everyday things.

    Of a run those of its data where they are bundled, never its own: they may be nobody's to hand on.
    """
    tag, data = leaving.model.config.tag, getattr(getattr(given, "data", None), "name", "")
    if data in BUNDLED:
        return data
    return sample_photos(tag) if tag in WITH_PLACES else None


__all__ = ["models_given", "usual_photos"]
