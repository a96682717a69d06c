"""Attention: the plain vision transformer and what became of it, by how it is built."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "deit", title="DeiT", year=2020, arxiv="2012.12877", module="deit",
        paper="Touvron et al., Training data-efficient image transformers and distillation through attention",
        idea="A transformer that needs no 300 million photos: strong augmentation, and a ResNet as its teacher.",
        names="""deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 deit_base_patch16_384
                 deit_tiny_distilled_patch16_224 deit_small_distilled_patch16_224 deit_base_distilled_patch16_224
                 deit_base_distilled_patch16_384""",
    ),
    family(
        "deit3", title="DeiT III", year=2022, arxiv="2204.07118", module="deit",
        paper="Touvron et al., DeiT III: Revenge of the ViT",
        idea="Three simple augmentations and a careful recipe, and the plain transformer needs no teacher.",
        names="""deit3_small_patch16_224 deit3_small_patch16_384 deit3_medium_patch16_224 deit3_base_patch16_224
                 deit3_base_patch16_384 deit3_large_patch16_224 deit3_large_patch16_384 deit3_huge_patch14_224""",
    ),
    family(
        "swin", title="Swin Transformer", year=2021, arxiv="2103.14030", module="swin",
        paper="Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        idea="Attention only inside small windows, which move at every second block so that neighbours meet.",
        names="""swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224
                 swin_base_patch4_window12_384 swin_large_patch4_window7_224 swin_large_patch4_window12_384""",
    ),
    family(
        "swin_s3", title="AutoFormerV2 (S3)", year=2021, arxiv="2111.14725", module="swin",
        paper="Chen et al., Searching the Search Space of Vision Transformer",
        idea="A search chooses Swin's windows and depths, and first of all what it may choose from.",
        names="swin_s3_tiny_224 swin_s3_small_224 swin_s3_base_224",
    ),
    family(
        "swinv2", title="Swin Transformer V2", year=2021, arxiv="2111.09883", module="swinv2",
        paper="Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution",
        idea="Patches compare their directions, and a small network tells what a distance means: windows may grow.",
        names="""swinv2_tiny_window8_256 swinv2_tiny_window16_256 swinv2_small_window8_256 swinv2_small_window16_256
                 swinv2_base_window8_256 swinv2_base_window16_256 swinv2_base_window12_192
                 swinv2_base_window12to16_192to256 swinv2_base_window12to24_192to384 swinv2_large_window12_192
                 swinv2_large_window12to16_192to256 swinv2_large_window12to24_192to384""",
    ),
)
