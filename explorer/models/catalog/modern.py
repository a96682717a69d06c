"""After the transformer came: convolutions that learnt from it, and mixers without attention."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "convmixer", title="ConvMixer", year=2022, arxiv="2201.09792", module="convmixer",
        paper="Trockman and Kolter, Patches Are All You Need?",
        idea="Patches as in a transformer, but large convolutions in place of attention: it works, too. "
             "Each layer filters every channel by itself with a large kernel, then mixes the channels with "
             "a 1 x 1 convolution; width and map size never change. "
             "The paper asks whether transformers owe their success to attention, or to working on patches.",
        names="convmixer_768_32 convmixer_1024_20_ks9_p14 convmixer_1536_20",
    ),
    family(
        "convnext", title="ConvNeXt", year=2022, arxiv="2201.03545", module="convnext",
        paper="Liu et al., A ConvNet for the 2020s",
        idea="A ResNet that takes over a transformer's habits, one by one, until it is as accurate as one. "
             "Patches in the stem, 7 x 7 depthwise filters, a wide middle, LayerNorm and GELU: the paper "
             "measures every step on the way from 76.1 to 82.0 % on ImageNet. "
             "There is no attention in it, so it takes photos of any size, and is as simple as the network "
             "that it came from.",
        names="""convnext_zepto_rms convnext_zepto_rms_ols convnext_atto convnext_atto_ols
                 convnext_atto_rms convnext_femto convnext_femto_ols convnext_pico convnext_pico_ols
                 convnext_nano convnext_nano_ols convnext_tiny convnext_tiny_hnf convnext_small
                 convnext_base convnext_large convnext_large_mlp convnext_xlarge convnext_xxlarge""",
    ),
    family(
        "convnextv2", title="ConvNeXt V2", year=2023, arxiv="2301.00808", module="convnext",
        paper="Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
        idea="ConvNeXt learns to paint hidden patches, with a norm that keeps its channels from saying the "
             "same. "
             "Learning from masked photos did not help the plain ConvNeXt: many of its channels died or "
             "repeated each other. "
             "Global response normalisation weighs each channel's strength against that of the others, and "
             "with it masked photos improve every size of the network.",
        names="""convnextv2_atto convnextv2_femto convnextv2_pico convnextv2_nano convnextv2_tiny
                 convnextv2_small convnextv2_base convnextv2_large convnextv2_huge""",
    ),
    family(
        "mlp_mixer", title="MLP-Mixer", year=2021, arxiv="2105.01601", module="mlp_mixer",
        paper="Tolstikhin et al., MLP-Mixer: An all-MLP Architecture for Vision",
        idea="Neither convolution nor attention: one small network mixes patches, another mixes channels. "
             "The first sees one channel at all places, the second all channels at one place, and they take "
             "turns. "
             "It needs very large sets of photos to keep up with transformers, and takes photos of one size "
             "only.",
        names="""mixer_s32_224 mixer_s16_224 mixer_b32_224 mixer_b16_224 mixer_l32_224 mixer_l16_224
                 gmixer_12_224 gmixer_24_224""",
    ),
    family(
        "resmlp", title="ResMLP", year=2021, arxiv="2105.03404", module="mlp_mixer",
        paper="Touvron et al., ResMLP: Feedforward networks for image classification with data-efficient "
              "training",
        idea="A single linear layer mixes the patches, and a factor for each channel replaces the norms. "
             "A small network for the channels follows, with a shortcut around each of the two, as in a "
             "transformer. "
             "DeiT's recipe trains it on ImageNet alone, and learning from a convolutional teacher helps it "
             "further.",
        names="resmlp_12_224 resmlp_24_224 resmlp_36_224 resmlp_big_24_224",
    ),
    family(
        "gmlp", title="gMLP", year=2021, arxiv="2105.08050", module="mlp_mixer",
        paper="Liu et al., Pay Attention to MLPs",
        idea="Half of the channels, mixed over all patches, opens and closes the other half. "
             "The two halves are multiplied, so what a patch lets through depends on all others; at the "
             "start of training every gate stands open. "
             "Without self-attention it reaches DeiT's accuracy on ImageNet.",
        names="gmlp_ti16_224 gmlp_s16_224 gmlp_b16_224",
    ),
    family(
        "poolformer", title="PoolFormer", year=2021, arxiv="2111.11418", module="metaformer",
        paper="Yu et al., MetaFormer Is Actually What You Need for Vision",
        idea="A transformer whose attention is replaced by the mean of the neighbours, and still it works. "
             "The frame stays: norm, mixing of places and shortcut, then norm, small network and shortcut, "
             "in four stages with ever smaller maps. "
             "A mixer without a single weight gets past DeiT's accuracy, so the frame itself, which the "
             "paper calls MetaFormer, does much of the work.",
        names="poolformer_s12 poolformer_s24 poolformer_s36 poolformer_m36 poolformer_m48",
    ),
    family(
        "metaformer", title="MetaFormer baselines", year=2022, arxiv="2210.13452", module="metaformer",
        paper="Yu et al., MetaFormer Baselines for Vision",
        idea="One frame, three fillings: pooling, separable convolutions, or convolutions first and "
             "attention later. "
             "None of the fillings is new, so what the networks reach shows what the frame is worth. "
             "A new activation, StarReLU, squares what a ReLU lets through and learns one scale and offset; "
             "it costs much less than GELU.",
        names="""poolformerv2_s12 poolformerv2_s24 poolformerv2_s36 poolformerv2_m36 poolformerv2_m48
                 convformer_s18 convformer_s36 convformer_m36 convformer_b36 caformer_s18 caformer_s36
                 caformer_m36 caformer_b36""",
    ),
    family(
        "fastvit", title="FastViT", year=2023, arxiv="2303.14189", module="fastvit",
        paper="Vasu et al., FastViT: A Fast Hybrid Vision Transformer using Structural Reparameterization",
        idea="A transformer's frame filled with convolutions, arranged so that even its shortcuts can be "
             "folded away. "
             "Each place is mixed with its neighbours by a small filter beside a norm, a learnt factor and "
             "a shortcut, all linear: one convolution in the end. "
             "Attention remains on the last, small map of the larger networks, and MobileCLIP reads photos "
             "with them.",
        names="""fastvit_t8 fastvit_t12 fastvit_s12 fastvit_sa12 fastvit_sa24 fastvit_sa36 fastvit_ma36
                 fastvit_mci0 fastvit_mci1 fastvit_mci2 fastvit_mci3 fastvit_mci4""",
    ),
    family(
        "edgenext", title="EdgeNeXt", year=2022, arxiv="2206.10589", module="edgenext",
        paper="Maaz et al., EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile "
              "Vision Applications",
        idea="A small ConvNeXt whose stages end in attention: between channels, over the whole photo. "
             "Which channels go together is a small table, however large the photo, so a phone can afford "
             "it. "
             "Filters grow from 3 x 3 to 9 x 9 as the maps shrink.",
        names="edgenext_xx_small edgenext_x_small edgenext_small edgenext_base edgenext_small_rw",
    ),
    family(
        "efficientvit_mit", title="EfficientViT (MIT)", year=2022, arxiv="2205.14756",
        module="efficientvit_mit",
        paper="Cai et al., EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction",
        idea="Attention without the softmax, so that all keys and values can be summed up once for every "
             "place. "
             "Its cost then grows with the number of places and not with its square, so large photos are "
             "affordable. "
             "What it loses in sharpness, small convolutions on two scales give back.",
        names="""efficientvit_b0 efficientvit_b1 efficientvit_b2 efficientvit_b3 efficientvit_l1
                 efficientvit_l2 efficientvit_l3""",
    ),
    family(
        "efficientvit_msra", title="EfficientViT (Microsoft)", year=2023, arxiv="2305.07027",
        module="efficientvit_msra",
        paper="Liu et al., EfficientViT: Memory Efficient Vision Transformer with Cascaded Group Attention",
        idea="A transformer counted in milliseconds: moving tensors about takes longer than arithmetic, so "
             "attend rarely. "
             "Most layers are plain convolutions on maps that are small from the start. "
             "Each attention head gets its own share of the channels and adds what the head before it has "
             "found, so that no two are the same.",
        names="""efficientvit_m0 efficientvit_m1 efficientvit_m2 efficientvit_m3 efficientvit_m4
                 efficientvit_m5""",
    ),
    family(
        "hgnet", title="HGNet", year=2022, url="https://github.com/PaddlePaddle/PaddleClas", module="hgnet",
        paper="Baidu, PP-HGNet and PP-HGNetV2 of the PaddleClas library (no paper)",
        idea="Plain 3 x 3 convolutions, which graphics cards compute best, and at the end of a block one "
             "look back at all of them. "
             "The results of every layer lie side by side, and a 1 x 1 convolution chooses among them. "
             "The second version has cheap pairs of layers where maps are small, and RT-DETR finds objects "
             "with it.",
        names="""hgnet_tiny hgnet_small hgnet_base hgnetv2_b0 hgnetv2_b1 hgnetv2_b2 hgnetv2_b3 hgnetv2_b4
                 hgnetv2_b5 hgnetv2_b6""",
    ),
)
