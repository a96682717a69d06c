"""Building blocks shared by the families, documented for use in networks of your own.

Each one is imported when it is first asked for, so that `from explorer.models.layers import DropPath`
does not load the rest.
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "activations": ("create_act",),
    "conv_norm_act": ("BatchNormAct2d", "ConvBnAct", "ConvNormAct"),
    "conv_same": ("Conv2dSame", "create_conv2d"),
    "drop": ("DropPath", "drop_path"),
    "evo_norm": ("EvoNorm2dS0",),
    "mobile_blocks": ("ConvBlock", "DepthwiseSeparableConv", "EdgeResidual", "InvertedResidual", "SqueezeExcite"),
    "norm": ("GlobalResponseNorm", "LayerNorm2d", "RmsNorm2d", "SimpleNorm2d"),
    "inception": ("InceptionPaths", "inception_conv", "inception_path"),
    "pool": ("BlurPool2d", "ClassifierHead", "SelectAdaptivePool2d", "create_classifier"),
    "channel_attention": ("EcaModule", "EffectiveSEModule", "SEModule", "create_attn"),
    "windows": ("window_partition", "window_reverse"),
    "selective_kernel": ("SelectiveKernel",),
    "split_attention": ("SplitAttention",),
    "transformer": (
        "Attention", "LayerScale", "Mlp", "PatchEmbed", "QuickGELU", "SwiGLUPacked", "resample_abs_pos_embed",
        "resample_patch_embed",
    ),
})
