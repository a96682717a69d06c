"""The contract: what every backbone in explorer can do, whatever family it comes from.

A backbone is a `VisionModel`: a stem, a few named stages and a head.

    photo [B, 3, H, W] -> stage map -> stage map -> ... -> features -> pooled vector
                       -> logits [B, num_classes]

A family writes one generator, `forward_stages`, that yields each stage's map on the way and returns the final
features. Everything else that looks inside a model (`features_only`, the stage viewer, heat maps, U-Net
decoders, feature pyramids) reads that generator and the table of stages, and so works for every family.

The head of nearly all of them is pool -> dropout -> linear, so it is written once, here. A family says where
its last layer is, and has its head by that:

    classifier_path = "fc"         self.global_pool, then dropout by self.drop_rate, then self.fc
    classifier_path = "head.fc"    one module, self.head, that does all three, such as `ClassifierHead`
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.arguments import checked, whole, word
from explorer.models.config import ModelConfig
from explorer.models.layers.pool import create_classifier
from explorer.models.members import modules_in
from explorer.models.stages import FeatureInfo, Stage, resolve_indices
from explorer.models.surgery import checkpointing, freezing, rates
from explorer.models.surgery.staged import Staged
from explorer.models.watching import walk


class VisionModel(Staged):
    """Base class of every backbone.

    A family sets, in its `__init__`:
        stage_table     the stages, in network order; or `stages`, where no module has that name
        num_classes     size of the logits; 0 means "no classifier": forward gives pooled features
        num_features    channels of `forward_features`' result
        in_chans        channels of the photo, 3 for RGB
    and writes `forward_stages`. Its head follows from `classifier_path`; one that is no plain pool -> dropout
    -> linear overrides `forward_head`, and `get_classifier` and `reset_classifier` where these don't hold
    either.
    """

    stages: tuple[Stage, ...]
    num_classes: int
    num_features: int
    in_chans: int
    drop_rate: float = 0.0

    #: What it answers with, one of `catalog.family.TASKS`: a class, boxes or a mask.
    task: str = "classification"
    #: Dotted path of the last layer: "fc" behind a `global_pool`, or "head.fc" in a module that pools too.
    classifier_path: str = ""
    #: True where each stage halves the map, as feature pyramids and U-Nets need.
    pyramid: bool = True
    #: False where the network has no strides that could be traded for dilation.
    supports_output_stride: bool = False
    #: True where the network is built for one image size (`img_size`).
    fixed_image_size: bool = False
    #: False where `reset_classifier(0)` leaves another network than one that is built with `num_classes=0`.
    sheds_its_head: bool = True
    #: What height and width of a photo must be a multiple of.
    size_multiple: int = 1
    #: How timm names the tensors of a `features_only` net of this family: "" as in the whole net; "_" with
    #: "stages_0" for "stages.0" in every sequence at the top, "stages_" in that one alone; "model." or
    #: "body." behind that word.
    feature_names: str = ""

    #: What was loaded, adapted and skipped; None for random weights.
    load_report: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Each family's own `reset_classifier` says in a sentence what it can't do with its arguments."""
        super().__init_subclass__(**options)
        if "reset_classifier" in cls.__dict__:
            at_its_door = checked(num_classes=whole(0, 10**6), global_pool=word)
            cls.reset_classifier = at_its_door(cls.reset_classifier)

    # --- what a family writes -------------------------------------------------------------------------

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        """Yield every stage's map [B, C, H/r, W/r] in network order; return what `forward_features` returns.

        The generator is lazy: a consumer that needs three of five stages stops it after the third,
        and the rest of the network never runs.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward_stages")

    # --- its head, from `classifier_path` --------------------------------------------------------------

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features -> logits [B, num_classes], or the vector before the classifier with `pre_logits`."""
        owner, name = self._last_layer("forward_head")
        if owner is not self:
            return owner(x, pre_logits=pre_logits)
        x = self.global_pool(x)  # [B, C, H, W] -> [B, C]
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else getattr(self, name)(x)

    def get_classifier(self) -> nn.Module:
        """The last layer, the one that `reset_classifier` replaces."""
        owner, name = self._last_layer("get_classifier")
        return getattr(owner, name)

    @checked(num_classes=whole(0, 10**6), global_pool=word)
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh classifier on the backbone, on the same device and with the same dtype.

        num_classes 0 removes it; global_pool None keeps the pooling.
        """
        owner, name = self._last_layer("reset_classifier")
        place = parameter_place(self)
        if owner is not self:
            owner.reset(num_classes, global_pool, **place)  # pyright: ignore[reportCallIssue]  # torch's stub
        else:
            pool = self.global_pool.pool_type if global_pool is None else global_pool
            self.global_pool, fresh = create_classifier(self.num_features, num_classes, pool, **place)
            setattr(self, name, fresh)
        self.num_classes = num_classes

    def _last_layer(self, asked: str) -> tuple[nn.Module, str]:
        """(the module that holds the classifier, its name in it); asked: the method that wants to know."""
        if not self.classifier_path:
            raise NotImplementedError(f"{type(self).__name__} must define {asked}, or say where its last "
                                      'layer is, as in classifier_path = "fc"')
        owner, _, name = self.classifier_path.rpartition(".")
        return self.get_submodule(owner), name

    def remove_head(self) -> None:
        """Take away all that only the classifier needs: for those who want the maps alone."""
        self.reset_classifier(0)

    # --- what follows from it -------------------------------------------------------------------------

    def forward_features(self, x: Tensor) -> Tensor:
        """Everything before the head: a map [B, C, H/r, W/r], or tokens [B, N, C] for transformers."""
        return walk(self, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        """The rest of `forward_head`: what it gives with `pre_logits` -> logits [B, num_classes].

        So one pass yields both. A family whose classifier is more than the layer on that vector overrides
        this.
        """
        return self.get_classifier()(pre_logits)

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features -> (what `forward_head` gives with `pre_logits`, the logits), in one pass.

        A family whose logits don't follow from that vector alone overrides this.
        """
        pre_logits = self.forward_head(x, pre_logits=True)
        return pre_logits, self.forward_classifier(pre_logits)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        *,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ):
        """One pass that keeps the maps of the stages on the way.

        indices:    which stages, in the order wanted; an int n means the last n; None means all
        norm:       timm's word for each map through the last norm of the network; convolutional networks have
                    none
        output_fmt: "NCHW"; families that work on tokens offer others, and elsewhere they raise ValueError
        Returns (features, [maps]), or just [maps] with `intermediates_only`. With `stop_early` and
        `intermediates_only` the network stops behind the deepest stage that was asked for.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"{type(self).__name__} gives maps, so output_fmt is 'NCHW'; got "
                             f"{output_fmt!r}.")
        wanted = resolve_indices(indices, len(self.stage_table))
        maps: dict[int, Tensor] = {}
        index = itertools.count()

        def keep(_stage: Stage, found: Tensor) -> None:
            if (i := next(index)) in wanted:
                maps[i] = found

        stop = stop_early and intermediates_only
        features = walk(self, x, after=keep, first=max(wanted, default=-1) + 1 if stop else None)
        kept = [maps[i] for i in wanted]
        return kept if intermediates_only else (features, kept)

    # --- surgery: see `explorer/models/surgery/` -----------------------------------------------------------

    def freeze(self, up_to: str | None = None, *, modules: str | Sequence[str] = ()) -> None:
        """Let all but the classifier stay as it is while training.

        Or all up to a stage, or what `modules` match.
        """
        freezing.freeze(self, up_to, modules=modules)

    def unfreeze(self, *, modules: str | Sequence[str] = ()) -> None:
        """Let everything learn again, or what matches the patterns in `modules`."""
        freezing.unfreeze(self, modules=modules)

    def train(self, mode: bool = True) -> VisionModel:
        """Training mode, or evaluation with False; BatchNorm layers that are frozen stay in evaluation."""
        super().train(mode)
        freezing.keep_frozen_statistics(self)
        return self

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """The order of layers in timm's format, for rates by layer; see `explorer.parameter_groups`."""
        return rates.group_matcher(self, coarse)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay would hurt: positions, tokens, relative positions."""
        return rates.no_weight_decay(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Train with less memory and the same numbers, for about a third more time.

        Raises ValueError for a network without blocks.
        """
        checkpointing.set_grad_checkpointing(self, enable)

    # --- its description ------------------------------------------------------------------------------

    @property
    def config(self) -> ModelConfig:
        """Preprocessing, labels and origin of the weights; set by `create_model`.

        Its class names are those of the head that the model has when it is set; see `notice_head`.
        """
        return self.__dict__.get("_config", _NO_CONFIG)

    @config.setter
    def config(self, config: ModelConfig) -> None:
        before = self.__dict__.get("_config")
        self.__dict__["_config"] = config
        if before is None or _of_head(config) != _of_head(before):  # else they are still those of that head
            self.claim_head()

    def claim_head(self) -> None:
        """What the config says of the scores is about the classifier that is there now."""
        # In a tuple, which torch does not take for a part of the network; deepcopy and pickle follow it.
        self.__dict__["_named_head"] = _parts(self._head())

    def _head(self) -> nn.Module | None:
        """The last layer that is there; None where the network is not built yet, or was rebuilt by hand."""
        try:
            return self.get_classifier()
        except (AttributeError, IndexError, NotImplementedError, TypeError):
            return None

    def notice_head(self) -> bool:
        """Notice a classifier that was exchanged since the config was set: `model.fc = nn.Linear(512, 5)`.

        `num_classes` becomes what it gives, and names, kind of outputs and scores of the former one no longer
        hold: they leave the config. Whoever takes a model from a person asks this first. True where there was
        something to notice.
        """
        head = self._head()
        if "_named_head" not in self.__dict__ or _parts(head) == self.__dict__["_named_head"]:
            return False
        self.num_classes = self._count_scores(head)
        self.config = self.config.without_head().with_(num_classes=self.num_classes, top1=None, top5=None)
        self.claim_head()
        return True

    def _count_scores(self, head: nn.Module | None) -> int:
        """How many scores the model gives; 0 where its classifier was taken away (`nn.Identity`)."""
        if isinstance(head, nn.Identity):
            return 0
        if isinstance(head, nn.Linear):
            return head.out_features
        size = (self.in_chans, *self.config.input_size[1:])
        with evaluation(self), torch.no_grad():
            scores = self(torch.zeros(1, *size, **parameter_place(self)))
        return scores.shape[1]

    @property
    def stage_table(self) -> tuple[Stage, ...]:
        """The stages, in network order; whoever reads them of any family reads them here.

        Many checkpoints have modules called `stages`. Such a family sets this one, and keeps that name for
        the modules.
        """
        own = self.__dict__.get("_stage_table")
        return self.stages if own is None else own

    @stage_table.setter
    def stage_table(self, stages: Iterable[Stage]) -> None:
        self.__dict__["_stage_table"] = tuple(stages)

    @property
    def feature_info(self) -> FeatureInfo:
        return FeatureInfo(self.stage_table)

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        """The stages that `features_only` gives when nobody says which."""
        count = len(self.stage_table)
        return tuple(range(count)) if self.pyramid else tuple(range(max(0, count - 3), count))

    @property
    def head_hidden_size(self) -> int:
        """Length of the vector in front of the classifier."""
        return self.num_features

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """The configuration as timm's dict, for code written for timm."""
        return self.config.as_timm()

    default_cfg = pretrained_cfg


_NO_CONFIG = ModelConfig()


def _of_head(config: ModelConfig) -> tuple[Any, ...]:
    """What a config says of the scores."""
    return config.labels, config.outputs, config.number_mean, config.number_std, config.num_classes


def _parts(head: nn.Module | None) -> tuple[nn.Module, ...]:
    """A head's modules, to be compared one by one:
    two classifiers (after distillation) come in a new list each time.
    """
    if isinstance(head, nn.ModuleList):
        return tuple(head)
    return () if head is None or isinstance(head, nn.Identity) else (head,)


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for the `with` block; then every part has its own training flag again."""
    training = [part for part in modules_in(module) if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def parameter_place(module: nn.Module) -> dict[str, Any]:
    """Device and dtype of a module's parameters, as keyword arguments for a new layer beside them."""
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return {"device": parameter.device, "dtype": parameter.dtype}
    return {"device": torch.get_default_device(), "dtype": torch.get_default_dtype()}


def check_device(device: Any) -> None:
    """Raises ValueError for a device that this computer does not have, or that is none.

    None is no choice, and fine.
    """
    if device is None:
        return
    try:
        unknown = not torch.empty(1, device=device).numel()
    except (RuntimeError, TypeError, ValueError, OverflowError, AssertionError, ImportError):
        unknown = True  # torch's own words are about how it was compiled
    if unknown:
        count = torch.cuda.device_count()
        there = ", ".join(["'cpu'", *(f"'cuda:{i}'" for i in range(count))])
        raise ValueError(f"device is {repr(device)[:60]}, which is not to be had here: give {there}"
                         f"{'' if count else ' (PyTorch sees no GPU)'}, or leave it out.")


__all__ = ["FeatureInfo", "ModelConfig", "Stage", "VisionModel", "check_device", "evaluation",
           "parameter_place", "resolve_indices"]
