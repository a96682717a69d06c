"""FCN: a classifier whose last layers are convolutions answers for every place of the photo.

A network that says "cat" for a photo can say it for each of its patches, all in one pass: nothing
but its last layers has to change. The scores of the patches, enlarged, are the mask. Every network
in this folder is a child of this idea; this one adds nothing to it but a backbone whose last stages
dilate instead of halving.

Long et al., "Fully Convolutional Networks for Semantic Segmentation", 2014,
https://arxiv.org/abs/1411.4038. As torchvision has it, whose parameter names and numbers these are:
without the paper's skips.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_torchvision
from explorer.models.segmentation.parts import FCNHead
from explorer.models.segmentation.segmenter import Segmenter, aux_stage


class FCN(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head, whose last map is read
    aux:        with an auxiliary head;  aux_stride: of the map that it reads, None for that of the
                stage before the last
    drop_rate:  of the map in front of the last layer, beside the head's own 0.1
    """

    body_name = "backbone"
    classifier_path = "classifier.4"

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 21,
        aux: bool = False,
        aux_stride: int | None = None,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate = num_classes, drop_rate
        self.levels = (len(own) - 1,)
        self.classifier = FCNHead(own[-1].channels, num_classes)
        self.num_features = self.classifier.num_features
        self.stages = (*own, Stage("head", "classifier.2", self.num_features, own[-1].reduction))
        if aux:
            self.add_aux(num_classes, aux_stage(own, aux_stride))

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        conv, norm, act, dropout, _ = self.classifier
        x = act(norm(conv(maps[0])))
        yield x
        return dropout(x)


MODEL = FCN
VARIANTS = {
    "fcn": dict(backbone="resnet50", output_stride=8),
    "fcn_resnet50": dict(backbone="resnet50", output_stride=8),
    "fcn_resnet101": dict(backbone="resnet101", output_stride=8),
}

KEY_MAPS = {"torchvision": from_torchvision}
