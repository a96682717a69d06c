"""DeepLab v3: look at every place from near and from far at once.

A backbone that halves five times knows what is there and has forgotten where. Here its last stages
don't halve: their filters look at pixels that lie further apart instead ("atrous", dilated), so the
map stays eight times larger, with the same weights. On it, five views side by side: the place
itself, its surroundings at three distances, and the whole photo (ASPP).

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017,
https://arxiv.org/abs/1706.05587. Parameter names and numbers are torchvision's. A backbone that
can't trade its strides for dilation is used as it is, unless output_stride is asked for.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.foreign import from_torchvision
from explorer.models.segmentation.parts import ASPP, conv_norm_relu
from explorer.models.segmentation.segmenter import Segmenter, aux_stage


class DeepLabV3(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head, whose last map is read
    width:      channels of the decoder;  rates: how far apart the taps of the three wide views lie
    aux:        with an auxiliary head;  aux_stride: of the map that it reads, None for that of the
                stage before the last
    drop_rate:  of the map in front of the last layer
    """

    body_name = "backbone"
    classifier_path = "classifier.4"

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 21,
        width: int = 256,
        rates: tuple[int, ...] = (12, 24, 36),
        aux: bool = False,
        aux_stride: int | None = None,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate, self.num_features = num_classes, drop_rate, width
        self.levels = (len(own) - 1,)
        self.classifier = nn.Sequential(ASPP(own[-1].channels, width, rates),
                                        *conv_norm_relu(width, width, 3),
                                        self.create_classifier(num_classes))
        self.stages = (*own, Stage("aspp", "classifier.0", width, own[-1].reduction),
                       Stage("refine", "classifier.3", width, own[-1].reduction))
        if aux:
            self.add_aux(num_classes, aux_stage(own, aux_stride))

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        aspp, conv, norm, act, _ = self.classifier
        x = aspp(maps[0])
        yield x
        x = act(norm(conv(x)))
        yield x
        return x


MODEL = DeepLabV3

# torchvision's MobileNetV3: BatchNorm with another epsilon, dilation from the block that would have
# halved, and the first map of each size for the auxiliary head
TORCHVISION_MOBILE = dict(norm_eps=1e-3, dilate_halving=True, show_first=True)

VARIANTS = {
    "deeplabv3": dict(backbone="resnet50", output_stride=8),
    "deeplabv3_resnet50": dict(backbone="resnet50", output_stride=8),
    "deeplabv3_resnet101": dict(backbone="resnet101", output_stride=8),
    "deeplabv3_mobilenet_v3_large": dict(backbone="mobilenetv3_large_100", output_stride=16,
                                         backbone_options=TORCHVISION_MOBILE, aux_stride=8),
}

KEY_MAPS = {"torchvision": from_torchvision}
