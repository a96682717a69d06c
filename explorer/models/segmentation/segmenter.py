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
from explorer.models.contract import parameter_place


class Segmenter(OverBody):
    """Base class of the networks for masks. A family sets, in its `__init__`, after `take_body`:

        levels          indices of the backbone's stages that the decoder reads, in the order wanted
        stages          what `take_body` gave, and the decoder's own
        num_features    channels of the decoder's last map
        classifier_path where the last layer is, a convolution

    and writes `decode`.
    """

    task = "segmentation"
    body_name = "encoder"
    #: What height and width of a photo must be a multiple of; photos are padded to it before they go in.
    size_multiple = 1

    levels: Sequence[int]

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
        return x if pre_logits else self.get_classifier()(x)

    def forward(self, x: Tensor) -> Tensor:
        """Photos [B, C, H, W] -> scores [B, num_classes, H, W]; without classes the decoder's last map."""
        scores = self.forward_head(self.forward_features(x))
        return self.enlarge(scores, x.shape[-2:]) if self.num_classes else scores

    def enlarge(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Scores [B, K, h, w] at the size of the photo, (height, width) in pixels."""
        if tuple(scores.shape[-2:]) == tuple(size):
            return scores
        return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh last layer on, a convolution like the former; 0 removes it.

        There is no pooling to choose.
        """
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for masks pools nothing, so leave "
                             "it out.")
        owner, name = self._last_layer("reset_classifier")
        setattr(owner, name, self.create_classifier(num_classes).to(**parameter_place(self)))
        self.num_classes = num_classes

    def create_classifier(self, num_classes: int) -> nn.Module:
        """The last layer, [B, num_features, h, w] -> [B, num_classes, h, w]; 0 leaves the map as it is."""
        raise NotImplementedError(f"{type(self).__name__} must define create_classifier")
