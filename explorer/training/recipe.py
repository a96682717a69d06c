"""How to train: every setting of a run in one place, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from explorer.training.augment import AUGMENTATIONS
from explorer.training.schedule import SCHEDULES

TRAIN = {"head": "the classifier alone", "last_stage": "the last stage and the classifier", "all": "everything"}
OPTIMIZERS = ("adamw", "adam", "sgd")
# What works for most pretrained networks: a fresh head learns fast, a trained body must not forget.
HEAD_RATE = {"adamw": 1e-2, "adam": 1e-2, "sgd": 0.05}
RATE = {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.05}


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; `finetune` makes one of its arguments.

    epochs:     how often every photo is seen
    train:      "head" (the classifier alone), "last_stage" or "all"
    lr:         learning rate of the classifier; None: a rate that suits `optimizer` and `train`
    body_lr:    that of the body, where it learns; None: a tenth of lr
    layer_decay: each layer further from the head learns at this share of the next one's rate
    batch_size, accumulate: photos a batch; batches a step of the optimizer
    optimizer:  "adamw", "adam", "sgd", or the name of another class in torch.optim
    weight_decay: None: 0.01 for adamw, 0 for adam, 1e-4 for sgd
    schedule, warmup: see explorer.training.schedule; warmup as a share of all steps
    augment:    see explorer.training.augment
    label_smoothing, mixup, cutmix, clip, ema: 0 or None is off; mixup and cutmix are alphas, clip the largest norm of
                the gradient, ema the decay of averaged weights, which are then judged and kept
    class_weights: "balanced", or one weight a class
    precision:  "float32" or "bfloat16" (autocast)
    patience:   stop after so many epochs without a better one
    save_every: a checkpoint after so many batches too, not only after each epoch
    views:      how often the frozen body of a head-only run looks at each photo: once as it is, then at variants, which
                take turns by epoch; None: once. (On flowers5, 2 and 4 views cost their time and gained nothing.)
    cache:      False: a head-only run, too, sees every photo anew in each epoch
    threads:    CPU threads; None: all but one, which is left to the notebook
    seed:       draws the split, the order, the variants and the fresh classifier
    """

    epochs: int = 3
    train: str = "head"
    lr: float | None = None
    body_lr: float | None = None
    layer_decay: float | None = None
    batch_size: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    weight_decay: float | None = None
    schedule: str = "cosine"
    warmup: float = 0.05
    augment: str | Callable[..., Any] = "light"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    clip: float | None = None
    ema: float | None = None
    class_weights: str | Sequence[float] | None = None
    precision: str = "float32"
    patience: int | None = None
    save_every: int | None = None
    views: int | None = None
    cache: bool = True
    threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("train", TRAIN), ("schedule", SCHEDULES), ("precision", ("float32", "bfloat16"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}: expected one of {', '.join(known)}.")
        if not callable(self.augment) and self.augment not in AUGMENTATIONS:
            raise ValueError(f"augment is {self.augment!r}: expected one of {', '.join(AUGMENTATIONS)}, or a function.")
        optimizer_class(self.optimizer)
        for name in ("epochs", "batch_size", "accumulate"):
            _whole(name, getattr(self, name), 1)
        for name in ("patience", "save_every", "views", "threads"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        _whole("seed", self.seed, 0)
        for name in ("lr", "body_lr", "clip"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value!r}: give a number above 0, such as {0.001 if name != 'clip' else 1.0}.")
        for name in ("layer_decay", "ema", "label_smoothing", "warmup"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}: give a share, 0 to 1.")
        for name in ("mixup", "cutmix", "weight_decay"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}: give 0 (off) or more, such as {0.01 if name == 'weight_decay' else 0.2}.")
        if self.cached and (self.mixup or self.cutmix):
            raise ValueError("mixup and cutmix mix photos, and a head-only run learns from cached features: add cache=False, "
                             "or train='last_stage'.")

    @property
    def cached(self) -> bool:
        """Whether the frozen body looks at each photo once only."""
        return self.train == "head" and self.cache

    @property
    def rates(self) -> tuple[float, float]:
        """(learning rate of the classifier, of the body)."""
        table = HEAD_RATE if self.train == "head" else RATE
        head = self.lr if self.lr is not None else table.get(self.optimizer.lower(), 1e-3)
        return head, self.body_lr if self.body_lr is not None else head / 10

    @property
    def decay(self) -> float:
        default = {"adamw": 0.01, "sgd": 1e-4}.get(self.optimizer.lower(), 0.0)
        return default if self.weight_decay is None else self.weight_decay

    @property
    def view_count(self) -> int:
        return self.views or 1

    def as_dict(self) -> dict[str, Any]:
        facts = asdict(self)
        if callable(self.augment):
            facts["augment"] = getattr(self.augment, "__name__", type(self.augment).__name__)
        return facts


def optimizer_class(name: str) -> type:
    """"adamw" or "AdamW" -> torch.optim.AdamW. Raises ValueError for an unknown one."""
    from torch import optim

    known = {key.lower(): value for key, value in vars(optim).items()
             if isinstance(value, type) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer}
    if not isinstance(name, str) or name.lower() not in known:
        raise ValueError(f"optimizer is {name!r}: expected {', '.join(OPTIMIZERS)}, or another class of torch.optim.")
    return known[name.lower()]


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number from {least}.")
