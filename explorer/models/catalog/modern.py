"""After the transformer came: convolutions that learnt from it, and networks that mix patches without attention."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "convmixer", title="ConvMixer", year=2022, arxiv="2201.09792", module="convmixer",
        paper="Trockman and Kolter, Patches Are All You Need?",
        idea="Patches as in a transformer, but large convolutions in place of attention: it works, too.",
        names="convmixer_768_32 convmixer_1024_20_ks9_p14 convmixer_1536_20",
    ),
    family(
        "convnext", title="ConvNeXt", year=2022, arxiv="2201.03545", module="convnext",
        paper="Liu et al., A ConvNet for the 2020s",
        idea="A ResNet that takes over a transformer's habits, one by one, until it is as accurate as one.",
        names="""convnext_zepto_rms convnext_zepto_rms_ols convnext_atto convnext_atto_ols convnext_atto_rms
                 convnext_femto convnext_femto_ols convnext_pico convnext_pico_ols convnext_nano convnext_nano_ols
                 convnext_tiny convnext_tiny_hnf convnext_small convnext_base convnext_large convnext_large_mlp
                 convnext_xlarge convnext_xxlarge""",
    ),
    family(
        "convnextv2", title="ConvNeXt V2", year=2023, arxiv="2301.00808", module="convnext",
        paper="Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
        idea="ConvNeXt learns to paint hidden patches, with a norm that keeps its channels from saying the same.",
        names="""convnextv2_atto convnextv2_femto convnextv2_pico convnextv2_nano convnextv2_tiny convnextv2_small
                 convnextv2_base convnextv2_large convnextv2_huge""",
    ),
    family(
        "mlp_mixer", title="MLP-Mixer", year=2021, arxiv="2105.01601", module="mlp_mixer",
        paper="Tolstikhin et al., MLP-Mixer: An all-MLP Architecture for Vision",
        idea="Neither convolution nor attention: one small network mixes patches, another mixes channels.",
        names="""mixer_s32_224 mixer_s16_224 mixer_b32_224 mixer_b16_224 mixer_l32_224 mixer_l16_224 gmixer_12_224
                 gmixer_24_224""",
    ),
    family(
        "resmlp", title="ResMLP", year=2021, arxiv="2105.03404", module="mlp_mixer",
        paper="Touvron et al., ResMLP: Feedforward networks for image classification with data-efficient training",
        idea="A single linear layer mixes the patches, and a factor for each channel replaces the norms.",
        names="resmlp_12_224 resmlp_24_224 resmlp_36_224 resmlp_big_24_224",
    ),
    family(
        "gmlp", title="gMLP", year=2021, arxiv="2105.08050", module="mlp_mixer",
        paper="Liu et al., Pay Attention to MLPs",
        idea="Half of the channels, mixed over all patches, opens and closes the other half.",
        names="gmlp_ti16_224 gmlp_s16_224 gmlp_b16_224",
    ),
    family(
        "poolformer", title="PoolFormer", year=2021, arxiv="2111.11418", module="metaformer",
        paper="Yu et al., MetaFormer Is Actually What You Need for Vision",
        idea="A transformer whose attention is replaced by the mean of the neighbours, and still it works.",
        names="poolformer_s12 poolformer_s24 poolformer_s36 poolformer_m36 poolformer_m48",
    ),
    family(
        "metaformer", title="MetaFormer baselines", year=2022, arxiv="2210.13452", module="metaformer",
        paper="Yu et al., MetaFormer Baselines for Vision",
        idea="One frame, three fillings: pooling, separable convolutions, or convolutions first and attention later.",
        names="""poolformerv2_s12 poolformerv2_s24 poolformerv2_s36 poolformerv2_m36 poolformerv2_m48 convformer_s18
                 convformer_s36 convformer_m36 convformer_b36 caformer_s18 caformer_s36 caformer_m36 caformer_b36""",
    ),
)
