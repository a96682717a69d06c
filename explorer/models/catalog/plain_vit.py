"""The plain vision transformer, by what it learnt from."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "vit", title="Vision Transformer", year=2020, arxiv="2010.11929", module="vit",
        paper="Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        idea="Cut the photo into patches, read them as words, and let every patch attend to every other.",
        names="""vit_tiny_patch16_224 vit_tiny_patch16_384 vit_small_patch32_224 vit_small_patch32_384
                 vit_small_patch16_224 vit_small_patch16_384 vit_small_patch8_224 vit_base_patch32_224
                 vit_base_patch32_384 vit_base_patch16_224 vit_base_patch16_384 vit_base_patch8_224
                 vit_large_patch32_224 vit_large_patch32_384 vit_large_patch16_224 vit_large_patch16_384
                 vit_large_patch14_224 vit_huge_patch14_224 vit_giant_patch14_224 vit_gigantic_patch14_224
                 vit_base_patch16_224_miil vit_base_patch16_plus_240 vit_base_patch32_plus_256
                 vit_small_patch16_36x1_224 vit_intern300m_patch14_448""",
    ),
    family(
        "vit_gap", title="Vision Transformer with average pooling", year=2022, arxiv="2205.01580", module="vit",
        paper="Beyer et al., Better plain ViT baselines for ImageNet-1k",
        idea="The mean of all patches replaces the class token: simpler, and no worse.",
        names="""vit_base_patch16_gap_224 vit_medium_patch16_gap_240 vit_medium_patch16_gap_256
                 vit_medium_patch16_gap_384 vit_betwixt_patch16_gap_256 vit_huge_patch14_gap_224
                 vit_huge_patch16_gap_448 vit_giant_patch16_gap_224""",
    ),
    family(
        "dinov2", title="DINOv2", year=2023, arxiv="2304.07193", module="vit",
        paper="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision",
        idea="A transformer that learnt without labels, by agreeing with itself about crops of one photo.",
        names="""vit_small_patch14_dinov2 vit_base_patch14_dinov2 vit_large_patch14_dinov2 vit_giant_patch14_dinov2""",
    ),
    family(
        "vit_registers", title="Vision Transformer with registers", year=2023, arxiv="2309.16588", module="vit",
        paper="Darcet et al., Vision Transformers Need Registers",
        idea="A few spare tokens to scribble on keep the patch features clean.",
        names="""vit_small_patch14_reg4_dinov2 vit_base_patch14_reg4_dinov2 vit_large_patch14_reg4_dinov2
                 vit_giant_patch14_reg4_dinov2 vit_medium_patch16_reg4_gap_256 vit_base_patch16_reg4_gap_256
                 vit_betwixt_patch16_reg1_gap_256 vit_betwixt_patch16_reg4_gap_256
                 vit_betwixt_patch16_reg4_gap_384 vit_wee_patch16_reg1_gap_256 vit_little_patch16_reg1_gap_256
                 vit_little_patch16_reg4_gap_256 vit_medium_patch16_reg1_gap_256 vit_mediumd_patch16_reg4_gap_256
                 vit_mediumd_patch16_reg4_gap_384 vit_so150m_patch16_reg4_gap_256 vit_so150m_patch16_reg4_gap_384
                 vit_so150m2_patch16_reg1_gap_256 vit_so150m2_patch16_reg1_gap_384 vit_so150m2_patch16_reg1_gap_448
                 vit_base_patch14_reg1_tipsv2 vit_large_patch14_reg1_tipsv2 vit_so400m_patch14_reg1_tipsv2
                 vit_giant_patch14_reg1_tipsv2 vit_base_patch16_radio_v3 vit_large_patch16_radio_v3
                 vit_huge_patch16_radio_v3 vit_giant_patch16_radio_v3 vit_huge_patch16_radio_v4
                 vit_so400m_patch16_radio_v4""",
    ),
    family(
        "vit_clip", title="CLIP's image encoder", year=2021, arxiv="2103.00020", module="vit",
        paper="Radford et al., Learning Transferable Visual Models From Natural Language Supervision",
        idea="Trained to find the caption that belongs to a photo; so it knows far more than a list of classes.",
        names="""vit_xsmall_patch16_clip_224 vit_medium_patch32_clip_224 vit_medium_patch16_clip_224
                 vit_betwixt_patch32_clip_224 vit_base_patch32_clip_224 vit_base_patch32_clip_256
                 vit_base_patch32_clip_384 vit_base_patch32_clip_448 vit_base_patch16_clip_224
                 vit_base_patch16_clip_384 vit_base_patch16_plus_clip_240 vit_large_patch14_clip_224
                 vit_large_patch14_clip_336 vit_huge_patch14_clip_224 vit_huge_patch14_clip_336
                 vit_huge_patch14_clip_378 vit_giant_patch14_clip_224 vit_gigantic_patch14_clip_224
                 vit_gigantic_patch14_clip_378 vit_base_patch32_clip_quickgelu_224
                 vit_base_patch16_clip_quickgelu_224 vit_large_patch14_clip_quickgelu_224
                 vit_large_patch14_clip_quickgelu_336 vit_huge_patch14_clip_quickgelu_224
                 vit_huge_patch14_clip_quickgelu_378 vit_gigantic_patch14_clip_quickgelu_224""",
    ),
    family(
        "eva_vit", title="EVA on a plain ViT", year=2022, arxiv="2211.07636", module="vit",
        paper="Fang et al., EVA: Exploring the Limits of Masked Visual Representation Learning at Scale",
        idea="Hide most of a photo and learn to guess CLIP's features of the hidden patches.",
        names="eva_large_patch14_196 eva_large_patch14_336",
    ),
    family(
        "flexivit", title="FlexiViT", year=2022, arxiv="2212.08013", module="vit",
        paper="Beyer et al., FlexiViT: One Model for All Patch Sizes",
        idea="Patches of a random size at every step of training: one network for fast and for careful looks.",
        names="flexivit_small flexivit_base flexivit_large",
    ),
    family(
        "vit_siglip", title="SigLIP's image encoder", year=2023, arxiv="2303.15343", module="vit",
        paper="Zhai et al., Sigmoid Loss for Language Image Pre-Training",
        idea="CLIP with one yes-or-no question for each pair of photo and caption, so any batch size will do.",
        names="""vit_base_patch32_siglip_gap_256 vit_base_patch16_siglip_gap_224 vit_base_patch16_siglip_gap_256
                 vit_base_patch16_siglip_gap_384 vit_base_patch16_siglip_gap_512 vit_large_patch16_siglip_gap_256
                 vit_large_patch16_siglip_gap_384 vit_large_patch16_siglip_gap_512 vit_so400m_patch14_siglip_gap_224
                 vit_so400m_patch14_siglip_gap_378 vit_so400m_patch14_siglip_gap_384
                 vit_so400m_patch14_siglip_gap_448 vit_so400m_patch14_siglip_gap_896
                 vit_so400m_patch16_siglip_gap_256 vit_so400m_patch16_siglip_gap_384
                 vit_so400m_patch16_siglip_gap_512 vit_giantopt_patch16_siglip_gap_256
                 vit_giantopt_patch16_siglip_gap_384""",
    ),
)
