"""Building blocks shared by the families, documented for use in networks of your own.

Each one is imported when it is first asked for, so that `from explorer.models.layers import DropPath`
does not load the rest.
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "activations": ("create_act",),
    "bilinear_attention": ("BilinearAttention", "BilinearTransform"),
    "conv_norm_act": ("BatchNormAct2d", "ConvBnAct", "ConvNormAct"),
    "norm_factory": (
        "GroupNorm", "create_norm", "create_norm_act", "create_norm_act_layer", "create_norm_layer",
        "get_norm", "get_norm_layer",
    ),
    "conv_same": ("Conv2dSame", "create_conv2d"),
    "drop": ("DropPath", "drop_path"),
    "drop_block": ("DropBlock", "DropBlock2d", "drop_block_2d"),
    "evo_norm": ("EvoNorm2dS0",),
    "global_context": ("GlobalContext",),
    "mobile_blocks": ("ConvBlock", "DepthwiseSeparableConv", "EdgeResidual", "InvertedResidual",
                      "SqueezeExcite"),
    "norm": ("GRN", "GlobalResponseNorm", "LayerNorm2d", "RmsNorm2d", "SimpleNorm2d"),
    "inception": ("InceptionPaths", "inception_conv", "inception_path"),
    "norm_act": ("FilterResponseNormTlu2d", "GroupNormAct"),
    "pointwise": ("PointwiseClassifier",),
    "mlp": ("GlobalResponseNormMlp", "GluMlp"),
    "pool": ("AvgPool2dSame", "BlurPool", "BlurPool2d", "ClassifierHead", "SelectAdaptivePool2d",
             "create_classifier"),
    "channel_attention": ("CBAM", "CbamModule", "EcaModule", "EffectiveSEModule", "SEModule", "create_attn"),
    "relative_position": ("RelPosBias", "RelPosBiasTf", "RelPosMlp", "create_rel_pos"),
    "windows": ("window_partition", "window_reverse"),
    "separable_conv": ("SeparableConv", "SeparableConv2d", "SeparableConvNormAct"),
    "selective_kernel": ("SelectiveKernel",),
    "std_conv": ("StdConv2d",),
    "reparam": ("add_filters", "fold_batch_norm", "identity_weight", "pad_weight"),
    "split_attention": ("SplitAttention",),
    "transformer": (
        "Attention", "LayerScale", "LayerScale2d", "Mlp", "PatchEmbed", "QuickGELU", "SwiGLUPacked",
        "resample_abs_pos_embed", "resample_patch_embed",
    ),
    "attention_pool": ("AttentionPool",),
    "distance_attention": ("DistanceAttention",),
    "norm_head": ("NormHead",),
    "rotary": ("AxialRotary", "CentredRotary", "MixedRotary", "rotate_pairs"),
    "swiglu": ("SwiGLU",),
})
