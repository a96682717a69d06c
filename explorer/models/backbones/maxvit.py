"""CoAtNet, MaxViT and their relatives: convolutions and attention in one network.

Convolutions learn fast, because they expect that neighbours belong together; attention reaches
further, because it expects nothing. CoAtNet uses convolutions while the map is large and attention
over the whole map when it is small. MaxViT has all in every block: a convolution, attention in
windows (near), and attention on a grid (far), so that each place hears of every other in two steps,
and large maps stay affordable.

Dai et al., "CoAtNet: Marrying Convolution and Attention for All Data Sizes", 2021,
https://arxiv.org/abs/2106.04803; Tu et al., "MaxViT: Multi-Axis Vision Transformer", 2022,
https://arxiv.org/abs/2204.01697. CoAtNeXt and MaxxViT are the same with ConvNeXt's blocks in place
of MobileNetV2's. Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from explorer.models.backbones.maxvit_blocks import (
    CONV_BLOCKS,
    AttentionOptions,
    ConvOptions,
    LayerNormAct2d,
    MaxVitBlock,
    ParallelMaxVitBlock,
    ParallelPartitionAttention,
    PartitionAttention,
    TransformerBlock2d,
)
from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import drop_path_rates
from explorer.models.layers.norm import LayerNorm2d
from explorer.models.layers.norm_head import NormHead
from explorer.models.layers.pool import ClassifierHead
from explorer.models.layers.relative_position import RelPosBias, RelPosBiasTf, resize_bias_table
from explorer.models.layers.transformer import to_pair

#: Kinds of blocks: convolution; attention over the map; both and a grid; the same side by side.
BLOCKS = ("C", "T", "M", "PM")
IN_WINDOWS = ("M", "PM")


class Stem(nn.Module):
    """Two convolutions, the first of which halves the map: [B, in_chans, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, in_chans: int, middle: int, out_chans: int, *, bias: bool,
                 conv: ConvOptions):
        super().__init__()
        norm = LayerNormAct2d if conv.kind == "convnext" else BatchNormAct2d
        self.conv1 = create_conv2d(in_chans, middle, 3, stride=2, padding=conv.padding, bias=bias)
        self.norm1 = norm(middle, eps=conv.norm_eps, act_layer=conv.act)
        self.conv2 = create_conv2d(middle, out_chans, 3, padding=conv.padding, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.norm1(self.conv1(x)))


class MaxVitStage(nn.Module):
    """Blocks of which the first halves the map: [B, C, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, blocks: Sequence[nn.Module]):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class MaxVit(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:         side of the photo in pixels, or (height, width); multiples of 32
    embed_dim, depths: channels and blocks of each stage
    block_type:       kinds of each stage's blocks, see `BLOCKS`; of a tuple, the last is repeated
    stem_width:       channels of the stem, or of its two convolutions
    conv, attention:  how the blocks are built
    head_hidden_size: width of a layer in front of the classifier, 0: none
    weight_init:      "vit_eff", or "normal": all weights alike small
    drop_rate, drop_path_rate: dropout in front of the classifier, of whole branches
    """

    classifier_path = "head.fc"
    fixed_image_size = True
    feature_names = "_"

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 3, 5, 2),
        block_type: Sequence[str | Sequence[str]] = ("C", "C", "T", "T"),
        stem_width: int | tuple[int, int] = 64,
        stem_bias: bool = False,
        conv: ConvOptions = ConvOptions(),
        attention: AttentionOptions = AttentionOptions(),
        head_hidden_size: int = 0,
        weight_init: str = "vit_eff",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.img_size = to_pair(img_size)
        if any(side < 32 or side % 32 for side in self.img_size):
            near = tuple(max(32, round(side / 32) * 32) for side in self.img_size)
            raise ValueError(f"img_size is {img_size}: the map is halved five times, "
                             f"so give multiples of 32, e.g. {near}.")
        if not len(embed_dim) == len(depths) == len(block_type):
            raise ValueError(f"embed_dim {embed_dim}, "
                             f"depths {depths} and block_type {block_type} must have one entry for "
                             "each stage.")
        self.num_classes, self.in_chans, self.num_features = num_classes, in_chans, embed_dim[-1]
        self.weight_init, self.drop_rate = weight_init, drop_rate
        first, dim = to_pair(stem_width)
        self.stem = Stem(in_chans, first, dim, bias=stem_bias, conv=conv)
        table = [Stage("stem", "stem", dim, 2)]

        # Windows grow with the photo: every map is a grid of them.
        self.window = (self.img_size[0] // 32, self.img_size[1] // 32)
        rates = drop_path_rates(drop_path_rate, tuple(depths))
        stages, reduction, self.kinds = [], 2, set()
        for i, (depth, out, kinds) in enumerate(zip(depths, embed_dim, block_type)):
            kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
            kinds += kinds[-1:] * (depth - len(kinds))
            reduction *= 2
            size = (self.img_size[0] // reduction, self.img_size[1] // reduction)
            blocks = []
            for j, kind in enumerate(kinds[:depth]):
                blocks.append(create_block(kind, dim, out, stride=1 if j else 2, size=size,
                                           window=self.window, conv=conv, attention=attention,
                                           drop_path=rates[i][j]))
                dim = out
            self.kinds.update(kinds)
            stages.append(MaxVitStage(blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", out, reduction))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table

        eps = attention.norm_eps
        self.norm: nn.Module = nn.Identity()
        if head_hidden_size:  # its head has a norm behind the pooling
            self.head: nn.Module = NormHead(dim, num_classes, global_pool, hidden=head_hidden_size,
                                            norm_layer="layer", norm_eps=eps, act_layer="tanh",
                                            drop_rate=drop_rate)
        else:
            self.norm = (nn.BatchNorm2d if attention.norm == "batch" else LayerNorm2d)(dim, eps=eps)
            self.head = ClassifierHead(dim, num_classes, global_pool, drop_rate)
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return self.head.num_features if isinstance(self.head, NormHead) else self.num_features

    def init_weights(self) -> None:
        """Convolutions by their fan-out, what mixes the channels in attention blocks by Xavier; no
        biases.
        """
        if self.weight_init not in ("vit_eff", "normal"):
            raise ValueError(f"Unknown weight_init {self.weight_init!r}. Known: vit_eff, normal.")
        attentive = (TransformerBlock2d, PartitionAttention, ParallelPartitionAttention)
        inside = {id(part) for block in self.modules() if isinstance(block, attentive)
                  for part in block.modules()}
        for module in (*self.stem.modules(), *self.stages.modules()):
            if isinstance(module, (RelPosBias, RelPosBiasTf)):
                module.init_weights()
            if not isinstance(module, (nn.Conv2d, nn.Linear)):
                continue
            if self.weight_init == "normal":
                nn.init.normal_(module.weight, std=0.02)
            elif id(module) in inside:
                nn.init.xavier_uniform_(module.weight)
            else:
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        self.check_size(x.shape[-2], x.shape[-1])
        x = self.stem(x)
        yield x      # stem      [B, 64, H/2, W/2]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0  [B, 96, H/4, W/4] ... stages.3 [B, 768, H/32, W/32]
        return self.norm(x)

    def check_size(self, height: int, width: int) -> None:
        """Raise ValueError for a photo whose maps are no grid of windows, or whose offsets nobody
        has learnt.
        """
        whole = height % self.img_size[0] == 0 and width % self.img_size[1] == 0
        if (height, width) == self.img_size or whole and self.kinds <= set(IN_WINDOWS):
            return
        raise ValueError(
            f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
            f"got {height} x {width}. Resize the photo, or create the model with "
            f"img_size=({height}, {width})."
        )

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained tensors with our names -> those that fit this model's windows; see `LoadReport`.
        """
        own = self.state_dict()
        adapted = {}
        for key, value in state.items():
            if key in own and value.shape != own[key].shape:
                if value.numel() == own[key].numel() and {value.ndim, own[key].ndim} == {2, 4}:
                    value = value.reshape(own[key].shape)  # a 1 x 1 convolution is a linear layer
                elif key.endswith(".relative_position_bias_table"):
                    window = self.get_submodule(key.rpartition(".")[0]).window_size
                    as_picture = value.ndim == 3
                    table = resize_bias_table(value.flatten(1).T if as_picture else value, window)
                    value = table.T.reshape(own[key].shape) if as_picture else table
                    places = f"{window[0]} x {window[1]} places"
                    report.adapted.append(f"{key}: position biases spread to {places}")
            adapted[key] = value
        return adapted


def create_block(kind: str, in_chans: int, out_chans: int, *, stride: int, size: tuple[int, int],
                 window: tuple[int, int], conv: ConvOptions, attention: AttentionOptions,
                 drop_path: float) -> nn.Module:
    """A block by its letter, see `BLOCKS`; `size` is that of the map that comes out."""
    if conv.kind not in CONV_BLOCKS:
        raise ValueError(f"Unknown convolution block {conv.kind!r}. Known: "
                         f"{', '.join(CONV_BLOCKS)}.")
    if kind == "C":
        return CONV_BLOCKS[conv.kind](in_chans, out_chans, stride=stride, conv=conv,
                                      drop_path=drop_path)
    if kind == "T":
        return TransformerBlock2d(in_chans, out_chans, stride=stride, size=size,
                                  attention=attention, drop_path=drop_path)
    if kind not in IN_WINDOWS:
        raise ValueError(f"Unknown block {kind!r}. Known: {', '.join(BLOCKS)}.")
    block = MaxVitBlock if kind == "M" else ParallelMaxVitBlock
    return block(in_chans, out_chans, stride=stride, window=window, conv=conv, attention=attention,
                 drop_path=drop_path)


MODEL = MaxVit


# --- variants -------------------------------------------------------------------------------------

# channels of the stages, and of the stem's two convolutions
_PICO = dict(embed_dim=(32, 64, 128, 256), stem_width=(24, 32))
_NANO = dict(embed_dim=(64, 128, 256, 512), stem_width=(32, 64))
_96 = dict(embed_dim=(96, 192, 384, 768), stem_width=(32, 64))
_96_WIDE = dict(embed_dim=(96, 192, 384, 768), stem_width=(48, 96))
_128 = dict(embed_dim=(128, 256, 512, 1024), stem_width=(64, 128))
_160 = dict(embed_dim=(160, 320, 640, 1280), stem_width=(80, 160), head_hidden_size=1280)
_192 = dict(embed_dim=(192, 384, 768, 1536), stem_width=(96, 192))

# The models of the "rw" names are Ross Wightman's: a narrower middle, and a norm with an activation
# in front.
_CONV_RW = ConvOptions(expand_output=False, act="silu")
_PRE = replace(_CONV_RW, pre_act=True, bias=False)
_PRE_RELU = replace(_PRE, se_act="relu")
_EARLY = replace(_PRE_RELU, se_early=True)
_POOL = dict(shrink="pool")
_ATTENTION_RW = AttentionOptions(expand_first=False)
_BARE_RW = replace(_ATTENTION_RW, shortcut_bias=False)
_BATCH_RW = replace(_BARE_RW, norm="batch")
_MLP_RW = replace(_ATTENTION_RW, position="mlp")
_SCALED_RW = replace(_ATTENTION_RW, layer_scale=1e-6)
_SCALED_MLP_RW = replace(_MLP_RW, layer_scale=1e-6)
_CONVNEXT_RW = ConvOptions(kind="convnext", expand_output=False, norm_eps=1e-6)

_DEEP, _ZERO = (2, 6, 14, 2), (2, 3, 7, 2)
_NANO_DEEP = dict(_NANO, depths=(3, 4, 6, 3))
_SHALLOW, _SHALLOWEST = (2, 2, 5, 2), (1, 2, 3, 1)

# MaxViT: every block of every stage has all; the channel attention is narrow.
_ALL, _BESIDE = ("M",) * 4, ("PM",) * 4
_MAX_RW = dict(block_type=_ALL, conv=replace(_CONV_RW, bias=False, se_ratio=1 / 16),
               attention=_ATTENTION_RW)
_MAX_MLP_RW = dict(_MAX_RW, attention=_MLP_RW)
_MAX_SCALED_RW = dict(_MAX_RW, attention=_SCALED_MLP_RW)
_MAXX_RW = dict(block_type=_ALL, conv=_CONVNEXT_RW, attention=_SCALED_MLP_RW)
_MAXX_NANO_RW = dict(_MAXX_RW | _NANO, weight_init="normal")
_MAXX2_RW = dict(_MAXX_RW, attention=replace(_SCALED_MLP_RW, grid_only=True))
_MAXX2_NANO_RW = dict(_MAXX_RW, attention=replace(_SCALED_RW, grid_only=True), weight_init="normal")

# MaxViT as its authors trained it, in TensorFlow
_TF = dict(
    block_type=_ALL, stem_bias=True,
    conv=ConvOptions(padding="same", act="gelu_tanh", norm_eps=1e-3),
    attention=AttentionOptions(head_first=False, position="bias_tf", act="gelu_tanh",
                               norm_eps=1e-5),
)
_TINY_TF = dict(_TF, embed_dim=(64, 128, 256, 512), depths=_SHALLOW, head_hidden_size=512)
_SMALL_TF = dict(_TF, depths=_SHALLOW, head_hidden_size=768)
_BASE_TF = dict(_TF, depths=_DEEP, head_hidden_size=768)
_LARGE_TF = dict(_TF, embed_dim=(128, 256, 512, 1024), stem_width=128, depths=_DEEP,
                 head_hidden_size=1024)
_XLARGE_TF = dict(_TF, embed_dim=(192, 384, 768, 1536), stem_width=192, depths=_DEEP,
                  head_hidden_size=1536)

_96_DEEP = dict(_96, depths=_DEEP, head_hidden_size=768)
_PAPER_128 = dict(embed_dim=(128, 256, 512, 1024), stem_width=128, head_hidden_size=1024)
_PAPER_192 = dict(embed_dim=(192, 384, 768, 1536), stem_width=192, head_hidden_size=1536)
_RMLP_2 = dict(_128, depths=_DEEP, conv=_PRE, attention=_SCALED_MLP_RW)

VARIANTS: dict[str, dict[str, Any]] = {
    # CoAtNet, sizes of the paper
    "coatnet_0_224": dict(head_hidden_size=768),
    "coatnet_1_224": dict(depths=_DEEP, head_hidden_size=768),
    "coatnet_2_224": dict(_PAPER_128, depths=_DEEP),
    "coatnet_3_224": dict(_PAPER_192, depths=_DEEP),
    "coatnet_4_224": dict(_PAPER_192, depths=(2, 12, 28, 2)),
    "coatnet_5_224": dict(embed_dim=(256, 512, 1280, 2048), stem_width=192, depths=(2, 12, 28, 2),
                          head_hidden_size=2048),
    # CoAtNet, as trained for timm
    "coatnet_pico_rw_224": dict(_NANO, conv=_CONV_RW, attention=_ATTENTION_RW),
    "coatnet_nano_rw_224": dict(_NANO_DEEP, conv=replace(_CONV_RW, **_POOL),
                                attention=_ATTENTION_RW),
    "coatnet_0_rw_224": dict(_96, depths=_ZERO, conv=replace(_EARLY, **_POOL), attention=_BARE_RW),
    "coatnet_1_rw_224": dict(_96, depths=_DEEP, conv=_EARLY, attention=_BARE_RW),
    "coatnet_2_rw_224": dict(_128, depths=_DEEP, conv=_PRE, attention=_ATTENTION_RW),
    "coatnet_3_rw_224": dict(_192, depths=_DEEP, conv=_PRE, attention=_SCALED_RW),
    "coatnet_bn_0_rw_224": dict(_96, depths=_ZERO, conv=_EARLY, attention=_BATCH_RW),
    "coatnet_rmlp_nano_rw_224": dict(_NANO_DEEP, conv=_CONV_RW,
                                     attention=replace(_MLP_RW, position_hidden=384)),
    "coatnet_rmlp_0_rw_224": dict(_96, depths=_ZERO, conv=_PRE_RELU, attention=_MLP_RW),
    "coatnet_rmlp_1_rw_224": dict(
        _96, depths=_DEEP, conv=replace(_EARLY, shortcut_pool="max", **_POOL),
        attention=replace(_BARE_RW, pool="max", position="mlp", position_hidden=384)),
    "coatnet_rmlp_1_rw2_224": dict(_96, depths=_DEEP, conv=_PRE_RELU, attention=_MLP_RW),
    "coatnet_rmlp_2_rw_224": dict(_RMLP_2),
    "coatnet_rmlp_2_rw_384": dict(_RMLP_2, img_size=384),
    "coatnet_rmlp_3_rw_224": dict(_192, depths=_DEEP, conv=_PRE, attention=_SCALED_MLP_RW),
    # ... whose later stages begin with a convolution;  ... with ConvNeXt's blocks
    "coatnet_nano_cc_224": dict(_NANO_DEEP, block_type=("C", "C", ("C", "T"), ("C", "T")),
                                conv=replace(_PRE_RELU, **_POOL), attention=_ATTENTION_RW),
    "coatnext_nano_rw_224": dict(_NANO_DEEP, conv=replace(_CONVNEXT_RW, layer_scale=1e-5),
                                 attention=_ATTENTION_RW, weight_init="normal"),

    # MaxViT, as its authors trained it
    "maxvit_tiny_tf_224": dict(_TINY_TF),
    "maxvit_tiny_tf_384": dict(_TINY_TF, img_size=384),
    "maxvit_tiny_tf_512": dict(_TINY_TF, img_size=512),
    "maxvit_small_tf_224": dict(_SMALL_TF),
    "maxvit_small_tf_384": dict(_SMALL_TF, img_size=384),
    "maxvit_small_tf_512": dict(_SMALL_TF, img_size=512),
    "maxvit_base_tf_224": dict(_BASE_TF),
    "maxvit_base_tf_384": dict(_BASE_TF, img_size=384),
    "maxvit_base_tf_512": dict(_BASE_TF, img_size=512),
    "maxvit_large_tf_224": dict(_LARGE_TF),
    "maxvit_large_tf_384": dict(_LARGE_TF, img_size=384),
    "maxvit_large_tf_512": dict(_LARGE_TF, img_size=512),
    "maxvit_xlarge_tf_224": dict(_XLARGE_TF),
    "maxvit_xlarge_tf_384": dict(_XLARGE_TF, img_size=384),
    "maxvit_xlarge_tf_512": dict(_XLARGE_TF, img_size=512),
    # MaxViT, as trained for timm
    "maxvit_pico_rw_256": dict(_MAX_RW | _PICO, depths=_SHALLOW, img_size=256),
    "maxvit_nano_rw_256": dict(_MAX_RW | _NANO, depths=_SHALLOWEST, img_size=256),
    "maxvit_tiny_rw_224": dict(_MAX_RW | _NANO, depths=_SHALLOW),
    "maxvit_tiny_rw_256": dict(_MAX_RW | _NANO, depths=_SHALLOW, img_size=256),
    "maxvit_rmlp_pico_rw_256": dict(_MAX_MLP_RW | _PICO, depths=_SHALLOW, img_size=256),
    "maxvit_rmlp_nano_rw_256": dict(_MAX_MLP_RW | _NANO, depths=_SHALLOWEST, img_size=256),
    "maxvit_rmlp_tiny_rw_256": dict(_MAX_MLP_RW | _NANO, depths=_SHALLOW, img_size=256),
    "maxvit_rmlp_small_rw_224": dict(_MAX_SCALED_RW | _96, depths=_SHALLOW),
    "maxvit_rmlp_small_rw_256": dict(_MAX_SCALED_RW | _96, depths=_SHALLOW, img_size=256),
    "maxvit_rmlp_base_rw_224": dict(_MAX_MLP_RW | _96_DEEP),
    "maxvit_rmlp_base_rw_384": dict(_MAX_MLP_RW | _96_DEEP, img_size=384),

    # The relatives: windows beside the grid, ConvNeXt's blocks, and no windows at all
    "maxvit_tiny_pm_256": dict(_MAX_RW | _NANO, depths=_SHALLOW, block_type=_BESIDE, img_size=256),
    "maxxvit_rmlp_nano_rw_256": dict(_MAXX_NANO_RW, depths=_SHALLOWEST, img_size=256),
    "maxxvit_rmlp_tiny_rw_256": dict(_MAXX_RW | _NANO, depths=_SHALLOW, img_size=256),
    "maxxvit_rmlp_small_rw_256": dict(_MAXX_RW | _96_WIDE, depths=_SHALLOW, img_size=256),
    "maxxvitv2_nano_rw_256": dict(_MAXX2_NANO_RW | _96_WIDE, depths=_SHALLOWEST, img_size=256),
    "maxxvitv2_rmlp_base_rw_224": dict(_MAXX2_RW | _128, depths=(2, 6, 12, 2)),
    "maxxvitv2_rmlp_base_rw_384": dict(_MAXX2_RW | _128, depths=(2, 6, 12, 2), img_size=384),
    "maxxvitv2_rmlp_large_rw_224": dict(_MAXX2_RW | _160, depths=(2, 6, 16, 2)),
}
