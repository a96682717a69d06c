"""How to train: every setting of a run in one place, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any

from explorer.data.places.augment import PLACE_AUGMENTATIONS
from explorer.models.outputs import check_kind
from explorer.models.segmentation.losses import parts_of
from explorer.training.loop.augmentation import AUGMENTATIONS
from explorer.training.loop.schedules import SCHEDULES, SWA_RATES, held, schedule

TRAIN = {"head": "the classifier alone", "last_stage": "the last stage and the classifier",
         "all": "everything"}
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adamw", "adam", "sgd")
LOSS_NAMES = ("mse", "l1", "huber")  # of numbers
TASKS = ("classification", "detection", "segmentation")
# What works for most pretrained networks: a fresh head learns fast, a trained body must not forget.
HEAD_RATE = {"adamw": 1e-2, "adam": 1e-2, "sgd": 0.05}
RATE = {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.05}
# Of all but the backbone, where boxes or masks are found. A U-Net over tf_efficientnet_lite0 on 96 photos of
# nuclei (64 pixels, two epochs, one seed), rates of the rest and of the body: mIoU 62.2 % with 1e-3 and 1e-4,
# 69.4 % with 2e-3 and 5e-4, 72.7 % with 3e-3 and 3e-4. RetinaNet's towers have no norm, and at 1e-3 their
# first steps from random weights are wild already.
PLACE_RATES = {"detection": {"adamw": 1e-3, "adam": 1e-3, "sgd": 0.01},
               "segmentation": {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.03}}
BATCH_SIZE = {"classification": 32, "detection": 8, "segmentation": 8}
LONGEST_GRADIENT = 10.0  # of boxes, whose loss jumps where a photo has many: as EfficientDet is trained
# Batches that an epoch on cached features has at least. A batch of features costs a millisecond, and a fresh
# classifier needs some 200 steps, however few the photos. Five data sets of 80 to 375 photos, 15 splits each,
# 5 epochs: between 0.8 points below and 0.9 above a logistic regression on the same features whose penalty
# cross-validation chose; with one round an epoch it was up to 5 below. The rate 0.01 was the best of 0.001 to
# 0.1, and weight decay from 0 to 0.3 made no difference.
LEAST_BATCHES = 40
MOST_EPOCHS = 1_000_000  # a chart's axis, and a schedule, have room for so many
MOST_VIEWS = 1000  # each costs a pass over all photos, and their features a place in memory


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; `finetune` makes one of its arguments.

    epochs:     how often every photo is seen. A run that goes on may be given another number: the rates of
                what is left then follow the schedule of the new number
    train:      "head" (the classifier alone), "last_stage" or "all"
    lr:         learning rate of the classifier; None: a rate that suits `optimizer` and `train`
    body_lr:    that of the body, where it learns; None: a tenth of lr
    layer_decay: each layer further from the head learns at this share of the next one's rate
    batch_size, accumulate: photos a batch; batches a step of the optimizer
    optimizer:  "adamw", "adam", "sgd", or the name of another class in torch.optim
    weight_decay: None: 0.01 for adamw, 0 for adam, 1e-4 for sgd
    schedule, warmup: see explorer.training.loop.schedules; warmup as a share of all steps
    augment:    see explorer.training.loop.augmentation
    label_smoothing, mixup, cutmix, clip, ema: 0 or None is off; mixup and cutmix are alphas, clip the largest
                norm of the gradient, ema the decay of averaged weights, which are then judged and kept
    swa:        share of the epochs, the last ones, of which the mean of the weights is taken: one set an
                epoch, at its end. From there on the mean is judged and kept, and the rate is held; BatchNorm
                layers that learn get their statistics by one more pass. None is off. (Stochastic weight
                averaging, Izmailov et al. 2018, https://arxiv.org/abs/1803.05407)
    swa_rate:   the rate meanwhile: "constant", as the schedule had it where they begin, or "cyclic", from
                there to a hundredth within each epoch
    class_weights: "balanced", or one weight a class
    precision:  "float32" or "bfloat16" (autocast)
    outputs:    what the answers are: "one" class, "yes/no" (two classes by one score), "several" classes at
                once, or "numbers";
                None: what the data has
    loss:       of numbers "mse", "l1" or "huber"; None: mse. Classes have the cross-entropy
    patience:   stop after so many epochs without a better one
    save_every: a checkpoint after so many batches too, not only after each epoch
    views:      how often the frozen body of a head-only run looks at each photo: once as it is, then at
                variants, which take turns; None: once. (Two views cost twice the time and gained nothing on
                five small data sets: between -0.3 and +0.5 points, a third of a standard error.)
    rounds:     how often an epoch of a head-only run goes over what the body saw, each time in another order;
                None: so often that there are 40 batches, which costs next to nothing. 1 where it is not
                cached
    cache:      False: a head-only run, too, sees every photo anew in each epoch
    threads:    CPU threads, of which no more work than there are cores; None: all but one, which is left to
                the notebook
    seed:       draws the split, the order, the variants and the fresh classifier
    task:       what the model finds, its own matter: "classification" (numbers too), "detection" (boxes) or
                "segmentation" (masks)

    Of boxes and masks "head" is everything but the backbone, "last_stage" that and the backbone's last stage,
    lr the rate of all but the backbone. Their augmentations are those of `explorer.data.places.augment`, the
    losses of masks those of `explorer.models.segmentation.losses`; boxes have their network's own. clip is 10
    for boxes where it is None.
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
    swa: float | None = None
    swa_rate: str = "constant"
    class_weights: str | Sequence[float] | None = None
    precision: str = "float32"
    outputs: str | None = None
    loss: str | None = None
    patience: int | None = None
    save_every: int | None = None
    views: int | None = None
    rounds: int | None = None
    cache: bool = True
    threads: int | None = None
    seed: int = 0
    task: str = "classification"

    def __post_init__(self) -> None:
        for name, known in (("train", TRAIN), ("schedule", SCHEDULES), ("precision", PRECISIONS),
                            ("task", TASKS), ("swa_rate", SWA_RATES)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name} is {value!r}: expected one of {', '.join(known)}.")
        check_kind(self.outputs)
        self._check_loss()
        known = augmentations_of(self.task)
        if not callable(self.augment) and not (isinstance(self.augment, str) and self.augment in known):
            raise ValueError(f"augment is {self.augment!r}: expected one of {', '.join(known)}, or a "
                             "function.")
        optimizer_class(self.optimizer)
        for name, most in (("epochs", MOST_EPOCHS), ("batch_size", None), ("accumulate", None)):
            self._whole(name, 1, most)
        for name in ("patience", "save_every", "views", "rounds", "threads"):
            if getattr(self, name) is not None:
                self._whole(name, 1, MOST_VIEWS if name in ("views", "rounds") else None)
        self._whole("seed", 0)
        for name in ("lr", "body_lr", "clip"):
            self._number(name, "give a number above 0, such as "
                               f"{0.001 if name != 'clip' else 1.0}", lambda value: value > 0)
        for name in ("layer_decay", "ema", "label_smoothing", "warmup"):
            self._number(name, "give a share, 0 to 1", lambda value: 0 <= value <= 1)
        self._check_swa()
        for name in ("mixup", "cutmix", "weight_decay"):
            self._number(name, "give 0 (off) or more, 1000 at most, such as "
                               f"{0.01 if name == 'weight_decay' else 0.2}", lambda value: 0 <= value <= 1000)
        if not isinstance(self.cache, bool):
            raise ValueError(f"cache is {self.cache!r}: give True or False.")
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", _class_weights(self.class_weights))
        if self.cached and (self.mixup or self.cutmix):
            raise ValueError("mixup and cutmix mix photos, and a head-only run learns from cached features: "
                             "add cache=False, or train='last_stage'.")

    def _check_swa(self) -> None:
        if self.swa is None:
            if self.swa_rate != "constant":
                raise ValueError(f"swa_rate is {self.swa_rate!r}, the rate while weights are averaged, and "
                                 "none are: give swa too, such as 0.25.")
            return
        self._number("swa", "give a share of the epochs above 0, up to 1, such as 0.25",
                     lambda value: 0 < value <= 1)
        if self.ema is not None:
            raise ValueError("swa and ema both average the weights, each in its own way: give one of the "
                             "two.")
        if self.patience is not None:
            raise ValueError("swa averages the weights of the last epochs, which a run with patience may "
                             "never come to: give one of the two.")
        if (count := self.epochs - self.averages_from) < 2:
            raise ValueError(f"swa is {self.swa:g} of {self.epochs} epochs, which is {count} to average: it "
                             "takes 2 at least, so give more epochs, or a larger share.")

    def _check_loss(self) -> None:
        if self.loss is None:
            return
        if self.task == "segmentation":
            parts_of(self.loss)
            return
        if self.task == "detection":
            raise ValueError(f"loss is {self.loss!r}: a network for boxes has a loss of its own, so leave it "
                             "out.")
        if not isinstance(self.loss, str) or self.loss not in LOSS_NAMES:
            raise ValueError(f"loss is {self.loss!r}: expected one of {', '.join(LOSS_NAMES)}, for numbers.")

    def _whole(self, name: str, least: int, most: int | None = None) -> None:
        """A whole number; numpy's become Python's, which can be written down."""
        value = getattr(self, name)
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not is_whole or value < least or (most is not None and value > most):
            to = "" if most is None else f" to {most:,}"
            raise ValueError(f"{name} is {value!r}: give a whole number from {least}{to}.")
        object.__setattr__(self, name, int(value))

    def _number(self, name: str, expected: str, can_be: Callable[[float], bool]) -> None:
        """A finite number, or None where that is the default."""
        value = getattr(self, name)
        if value is None and type(self).__dataclass_fields__[name].default is None:
            return
        is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not can_be(value):
            raise ValueError(f"{name} is {value!r}: {expected}.")
        object.__setattr__(self, name, value if isinstance(value, int) else float(value))

    @property
    def cached(self) -> bool:
        """Whether the frozen body looks at each photo once only."""
        return self.train == "head" and self.cache and not self.finds_places

    @property
    def finds_places(self) -> bool:
        """Whether boxes or masks are learnt, and no classes or numbers."""
        return self.task != "classification"

    @property
    def longest_gradient(self) -> float | None:
        """The norm that gradients are cut to; None: none."""
        return LONGEST_GRADIENT if self.clip is None and self.task == "detection" else self.clip

    @property
    def averages_from(self) -> int:
        """The first epoch, from 0, whose weights count in the mean of `swa`; `epochs` where there is none."""
        return self.epochs - round(self.epochs * (self.swa or 0))

    def rate_factor(self, steps: int) -> Callable[[int], float]:
        """step -> factor of the learning rates, where an epoch has so many steps."""
        total = self.epochs * steps
        factor = schedule(self.schedule, total=total, warmup=round(self.warmup * total))
        if self.swa is None:
            return factor
        return held(factor, self.averages_from * steps, cycle=steps if self.swa_rate == "cyclic" else 0)

    @property
    def rates(self) -> tuple[float, float]:
        """(learning rate of the classifier, of the body)."""
        usual = HEAD_RATE if self.train == "head" else RATE
        table = PLACE_RATES.get(self.task, usual)
        head = self.lr if self.lr is not None else table.get(self.optimizer.lower(), 1e-3)
        return head, self.body_lr if self.body_lr is not None else head / 10

    @property
    def decay(self) -> float:
        default = {"adamw": 0.01, "sgd": 1e-4}.get(self.optimizer.lower(), 0.0)
        return default if self.weight_decay is None else self.weight_decay

    @property
    def view_count(self) -> int:
        return self.views or 1

    def rounds_of(self, batches: int) -> int:
        """How often an epoch goes over cached features, which are so many batches."""
        return self.rounds or -(-LEAST_BATCHES // batches)

    def as_dict(self) -> dict[str, Any]:
        facts = asdict(self)
        if callable(self.augment):
            facts["augment"] = getattr(self.augment, "__name__", type(self.augment).__name__)
        return facts


def augmentations_of(task: str) -> dict[str, str]:
    """The names of what can be done to photos that such a model learns from, and what each is."""
    return AUGMENTATIONS if task == "classification" else PLACE_AUGMENTATIONS


def optimizer_class(name: str) -> type:
    """"adamw" or "AdamW" -> torch.optim.AdamW. Raises ValueError for an unknown one, and for one that can't
    make a step here.
    """
    from torch import optim

    known = {key.lower(): value for key, value in vars(optim).items()
             if isinstance(value, type) and issubclass(value, optim.Optimizer)
             and value is not optim.Optimizer}
    if not isinstance(name, str) or name.lower() not in known:
        raise ValueError(f"optimizer is {name!r}: expected {', '.join(OPTIMIZERS)}, or the name of another "
                         "class of torch.optim, such as 'RMSprop'.")
    found = known[name.lower()]
    if signature(found.step).parameters["closure"].default is Parameter.empty:
        why = "goes through each batch several times in one step (it wants a closure)"
    elif found is optim.SparseAdam:
        why = "takes sparse gradients alone, and those of a vision model are dense"
    else:
        return found
    raise ValueError(f"optimizer is {name!r}, which {why}: choose {', '.join(OPTIMIZERS)}, or the name of "
                     "another class of torch.optim.")


def _class_weights(given: Any) -> str | tuple[float, ...]:
    """"balanced", or a number from 0 for each class. Whether there are as many as classes, the data tells."""
    if isinstance(given, str) and given == "balanced":
        return given
    expected = "expected 'balanced', or one number from 0 for each class, in the classes' order"
    try:
        listed = not isinstance(given, str | bytes | Mapping | Set)
        weights = tuple(float(weight) for weight in given) if listed else None
    except (TypeError, ValueError):
        weights = None
    if weights is None:
        raise ValueError(f"class_weights is {given!r}: {expected}.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ValueError(f"class_weights is {list(weights)!r}: {expected}, and not all of them 0.")
    return weights
