"""`Segmenter`: what every network for masks shares: a backbone, whose maps a decoder reads.

    photo [B, C, H, W] -> the backbone's maps -> the decoder's maps -> scores [B, num_classes, H, W]

    net = UNet(create_model("resnet34", num_classes=0), num_classes=2)

A family writes its decoder, `decode`, and says where its last layer is. The stages are the backbone's and
then the decoder's own, so the stage viewer, features, freezing and rates by layer read them as they read any
other network's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.body import OverBody, walk_body
from explorer.models.contract import Stage, parameter_place
from explorer.models.segmentation.parts import FCNHead, resized
from explorer.models.weights.report import LoadReport

#: What a report says was not loaded, and what changes no answer.
WITHOUT_AUX = "the auxiliary head, which helped while it was trained: aux=True keeps it"


def aux_stage(stages: Sequence[Stage], stride: int | None) -> int:
    """The index of the backbone's stage that an auxiliary head reads: the deepest of that stride in pixels;
    None for the one before the last. Raises ValueError where no stage has that stride.
    """
    if stride is None:
        return len(stages) - 2
    found = [index for index, stage in enumerate(stages) if stage.reduction == stride]
    if not found:
        there = ", ".join(str(each) for each in sorted({stage.reduction for stage in stages}))
        raise ValueError(f"aux_stride is {stride}, and the backbone has maps of stride {there}: give one of "
                         "these, or leave it out.")
    return found[-1]


class Segmenter(OverBody):
    """Base class of the networks for masks. A family sets, in its `__init__`, after `take_body`:

        levels          indices of the backbone's stages that the decoder reads, in the order wanted
        stages          what `take_body` gave, and the decoder's own
        num_features    channels of the decoder's last map
        classifier_path where the last layer is, a convolution
        aux_level       index of the stage whose map the auxiliary head, `aux_classifier`, reads; None without

    and writes `decode`.
    """

    task = "segmentation"
    body_name = "encoder"
    levels: Sequence[int]
    aux_level: int | None = None

    # --- what a family writes -----------------------------------------------------------------------------

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        """Yield the map of each of the decoder's stages; return what the last layer reads.

        maps: of the backbone, as `levels` says;  size: height and width of the photo in pixels
        """
        raise NotImplementedError(f"{type(self).__name__} must define decode")

    # --- what follows from it -----------------------------------------------------------------------------

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        maps = yield from walk_body(self.body, x, self.levels)
        return (yield from self.decode(maps, tuple(x.shape[-2:])))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The decoder's last map [B, D, h, w] -> scores [B, num_classes, h, w], before they are enlarged."""
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.get_classifier()(x)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Photos [B, C, H, W] -> scores [B, num_classes, H, W]; without classes the decoder's last map.

        With an auxiliary head {"out": scores, "aux": the scores that it finds}.
        """
        if not isinstance(x, Tensor):
            raise TypeError("A network for masks takes a batch of photos, a tensor [B, C, height, width], "
                            f"normalised, not a {type(x).__name__}: explorer.segment takes photos as they "
                            "are.")
        size = x.shape[-2:]
        if self.aux_level is None or not self.num_classes:
            scores = self.forward_head(self.forward_features(x))
            return self.enlarge(scores, size) if self.num_classes else scores
        features, (beside,) = self.forward_intermediates(x, [self.aux_level])
        return {"out": self.enlarge(self.forward_head(features), size),
                "aux": self.enlarge(self.aux_classifier(beside), size)}

    def enlarge(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Scores [B, K, h, w] at the size of the photo, (height, width) in pixels."""
        return resized(scores, size)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh last layer on, a convolution like the former; 0 removes it. Nothing is pooled."""
        self.refuse_pooling(global_pool)
        owner, name = self._last_layer("reset_classifier")
        place = parameter_place(self)
        setattr(owner, name, self.create_classifier(num_classes).to(**place))
        if self.aux_level is not None:
            self.aux_classifier.reset(num_classes, **place)
        self.num_classes = num_classes

    def create_classifier(self, num_classes: int) -> nn.Module:
        """The last layer, [B, num_features, h, w] -> [B, num_classes, h, w]; 0 leaves the map as it is."""
        return nn.Conv2d(self.num_features, num_classes, 1) if num_classes else nn.Identity()

    @staticmethod
    def refuse_pooling(global_pool: str | None) -> None:
        """Raise ValueError for a pooling: there is none here."""
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for masks pools nothing, so leave "
                             "it out.")

    def add_aux(self, num_classes: int, level: int) -> None:
        """Give it an auxiliary head, which reads the map of the backbone's stage `level`."""
        self.aux_level = level
        self.aux_classifier = FCNHead(self.stages[level].channels, num_classes)

    def adapt_state_dict(self, state: dict[str, Tensor], report: LoadReport) -> dict[str, Tensor]:
        """Published weights have an auxiliary head; a network without one leaves it out."""
        kept = {name: value for name, value in state.items() if not name.startswith("aux_classifier.")}
        if self.aux_level is not None or len(kept) == len(state):
            return state
        report.skipped.append(WITHOUT_AUX)
        return kept
