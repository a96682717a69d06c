"""What surgery asks of a network: `VisionModel` gives it, and uses surgery, so its name is not known here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from explorer.models.config import ModelConfig
from explorer.models.stages import Stage


class Staged(nn.Module):
    """A network with stages: what surgery reads of explorer's contract. `VisionModel` says what each is."""

    config: ModelConfig
    stage_table: tuple[Stage, ...]
    in_chans: int
    get_classifier: Callable[[], nn.Module]
    forward_head: Callable[..., Tensor]
    forward_intermediates: Callable[..., Any]
    no_weight_decay: Callable[[], set[str]]
