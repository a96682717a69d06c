"""PSPNet: before it says what a pixel is, it looks at the neighbourhood, the quarter, the whole photo.

A boat on a river looks like a car to a network that sees only the boat. So the last map is averaged
in four grids, of 1, 2 x 2, 3 x 3 and 6 x 6 cells; each is mixed, enlarged again and set beside the
map itself. What the scene is then stands at every place. The backbone dilates instead of halving in
its last two stages.

Zhao et al., "Pyramid Scene Parsing Network", 2016, https://arxiv.org/abs/1612.01105: the paper's
network, over all four stages of its backbone (segmentation-models-pytorch's reads the second one).
Numbers are pytorchcv's, whose PSPNet over a ResNet-D stem is `backbone="resnet50s"` here.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.segmentation.parts import conv_norm_relu, init_decoder, resized
from explorer.models.segmentation.segmenter import Segmenter, aux_stage


class PyramidPooling(nn.Module):
    """The map and its means over grids of `bins` x `bins` cells, side by side.

    [B, C, H, W] -> [B, 2 C, H, W], each grid with an equal share of the C channels that are added
    """

    def __init__(self, chans: int, bins: Sequence[int] = (1, 2, 3, 6)):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(count), *conv_norm_relu(chans, chans // len(bins)))
            for count in bins)
        self.chans = chans + chans // len(bins) * len(bins)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        return torch.cat((x, *(resized(block(x), size, corners=True) for block in self.blocks)), dim=1)


class PSPNet(Segmenter):
    """Photo [B, in_chans, H, W] -> scores [B, num_classes, H, W].

    body:       a backbone without head, whose last map is read
    width:      channels of the decoder
    aux:        with an auxiliary head;  aux_stride: of the map that it reads, None for that of the
                stage before the last
    drop_rate:  of the map in front of the last layer, beside the decoder's own 0.1
    """

    classifier_path = "segmentation_head.0"
    size_multiple = 8

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 21,
        width: int = 512,
        aux: bool = False,
        aux_stride: int | None = None,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        own = self.take_body(body)
        self.num_classes, self.drop_rate, self.num_features = num_classes, drop_rate, width
        self.levels = (len(own) - 1,)
        psp = PyramidPooling(own[-1].channels)
        self.decoder = nn.ModuleDict({
            "psp": psp, "conv": conv_norm_relu(psp.chans, width, 3), "dropout": nn.Dropout(0.1)})
        self.stages = (*own, Stage("psp", "decoder.psp", psp.chans, own[-1].reduction),
                       Stage("mixed", "decoder.conv", width, own[-1].reduction))
        self.segmentation_head = nn.Sequential(self.create_classifier(num_classes))
        init_decoder(self.decoder, self.segmentation_head[0])
        if aux:
            self.add_aux(num_classes, aux_stage(own, aux_stride))

    def decode(self, maps: list[Tensor], size: tuple[int, int]) -> Generator[Tensor, None, Tensor]:
        x = self.decoder["psp"](maps[0])
        yield x
        x = self.decoder["conv"](x)
        yield x
        return self.decoder["dropout"](x)

    def enlarge(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        return resized(scores, size, corners=True)


MODEL = PSPNet
VARIANTS = {
    "pspnet": dict(backbone="resnet50", output_stride=8),
    "pspnet_resnet50": dict(backbone="resnet50", output_stride=8),
}


def _from_pytorchcv(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """pytorchcv's names: it counts units from 1, and keeps a convolution and its norm in one block."""
    stem = {"conv1.conv": "conv1.0", "conv1.bn": "conv1.1", "conv2.conv": "conv1.3",
            "conv2.bn": "conv1.4", "conv3.conv": "conv1.6", "conv3.bn": "bn1"}
    rest = {"final_block.conv1.conv": "decoder.conv.0", "final_block.conv1.bn": "decoder.conv.1",
            "final_block.conv2": "segmentation_head.0", "aux_block.conv1.conv": "aux_classifier.0",
            "aux_block.conv1.bn": "aux_classifier.1", "aux_block.conv2": "aux_classifier.4"}

    def ours(path: str) -> str:
        if path in rest:
            return rest[path]
        head, *inside = path.split(".")
        if head == "pool":  # pool.branches.branch2.conv.conv: the first branch is the map itself
            number = int(inside[1].removeprefix("branch")) - 2
            return f"decoder.psp.blocks.{number}.{1 if inside[3] == 'conv' else 2}"
        stage, *inside = inside
        if stage == "0":
            return f"encoder.{stem['.'.join(inside)]}"
        unit, part, *layer = inside
        block = f"encoder.layer{stage}.{int(unit.removeprefix('unit')) - 1}"
        if part == "identity_conv":
            return f"{block}.downsample.{0 if layer[0] == 'conv' else 1}"
        number = layer[0].removeprefix("conv")
        return f"{block}.{'conv' if layer[1] == 'conv' else 'bn'}{number}"

    split = ((key.rpartition("."), value) for key, value in state.items())
    return {f"{ours(path)}.{kind}": value for (path, _, kind), value in split}


KEY_MAPS = {"pytorchcv": _from_pytorchcv}
