"""The attention weights of a transformer for a photo, which is opened and prepared as `look` does it.

    maps = attention_maps("deit_tiny_patch16_224", "cat.jpg")  # path of the layer -> AttentionMap
    maps = attention_maps(model, look.input[None])             # the network's input, prepared already

The weights are read in `explorer/models/attention.py`; `rollout.py` follows them through all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from explorer.arguments import checked
from explorer.inspection.look.looking import photo_for
from explorer.inspection.look.model import as_model, evaluating
from explorer.inspection.look.own_inputs import transform_for
from explorer.models import attention
from explorer.models.attention import AttentionMap
from explorer.models.contract import VisionModel, parameter_place


@checked
def attention_maps(
    model: VisionModel | str, image: Any, *, blocks: int | Sequence[int] | None = None
) -> dict[str, AttentionMap]:
    """The attention weights of a transformer for a photo or for several: path of the layer -> `AttentionMap`.

    model:  an explorer model, or a name such as "deit_tiny_patch16_224", created with its trained weights
    image:  anything `load_image` takes: it is prepared as the model's weights want it, and the maps are of
            that one photo, B = 1, as the network sees it (`look(model, image).seen`). Or photos that are
            prepared already, a tensor of floats [B, C, H, W]: that is the network's input as it is
    blocks: which attention layers, by number from the first, negative from the last; an int n: the last n;
            None: all

    In evaluation mode and without gradients; the model is left as it was. Raises ValueError for a network
    without attention, IndexError for a layer that there is not, ImageError and WeightsError as
    `explorer.look` does.
    """
    prepared = isinstance(image, Tensor) and image.ndim == 4 and image.is_floating_point()
    if isinstance(model, str) or not prepared:
        model = as_model(model, task=None)
    if prepared:
        return attention.attention_maps(model, image, blocks=blocks)
    photos = transform_for(model)(photo_for(model, image))[None]  # [1, C, H, W]
    with evaluating(model):
        return attention.attention_maps(model, photos.to(**parameter_place(model)), blocks=blocks)
