"""Attention: the plain vision transformer and what became of it, by how it is built."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "deit", title="DeiT", year=2020, arxiv="2012.12877", module="deit",
        paper="Touvron et al., Training data-efficient image transformers and distillation through attention",
        idea="A transformer that needs no 300 million photos: strong augmentation, and a convolutional "
             "network as its teacher. "
             "The architecture is ViT's; training takes ImageNet alone and a few days on one machine. "
             "The distilled variants have a second token beside the class token, which learns to say what "
             "the teacher says.",
        names="""deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 deit_base_patch16_384
                 deit_tiny_distilled_patch16_224 deit_small_distilled_patch16_224
                 deit_base_distilled_patch16_224 deit_base_distilled_patch16_384""",
    ),
    family(
        "deit3", title="DeiT III", year=2022, arxiv="2204.07118", module="deit",
        paper="Touvron et al., DeiT III: Revenge of the ViT",
        idea="Three simple augmentations and a careful recipe, and the plain transformer needs no teacher. "
             "A photo turns grey, or is solarised, or blurred, one of the three at a time, and the loss "
             "asks yes or no for each class. "
             "Smaller photos at first, and shortcuts that are scaled and sometimes dropped, let even the "
             "huge variant learn from ImageNet.",
        names="""deit3_small_patch16_224 deit3_small_patch16_384 deit3_medium_patch16_224
                 deit3_base_patch16_224 deit3_base_patch16_384 deit3_large_patch16_224
                 deit3_large_patch16_384 deit3_huge_patch14_224""",
    ),
    family(
        "swin", title="Swin Transformer", year=2021, arxiv="2103.14030", module="swin",
        paper="Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        idea="Attention only inside small windows, which move at every second block so that neighbours "
             "meet. "
             "Its cost then grows with the photo's area, not with the square of the area, so large photos "
             "become possible. "
             "Between stages four neighbouring patches merge into one, which gives maps of four sizes as in "
             "a ResNet, ready for detection and segmentation.",
        names="""swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224
                 swin_base_patch4_window12_384 swin_large_patch4_window7_224
                 swin_large_patch4_window12_384""",
    ),
    family(
        "swin_s3", title="AutoFormerV2 (S3)", year=2021, arxiv="2111.14725", module="swin",
        paper="Chen et al., Searching the Search Space of Vision Transformer",
        idea="A search chooses Swin's windows and depths, and first of all what it may choose from. "
             "Before it looks for a network, it moves the search space itself, dimension by dimension, to "
             "where networks err less on average. "
             "What it found has most of its blocks in the third stage and larger windows in deeper layers.",
        names="swin_s3_tiny_224 swin_s3_small_224 swin_s3_base_224",
    ),
    family(
        "swinv2", title="Swin Transformer V2", year=2021, arxiv="2111.09883", module="swinv2",
        paper="Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution",
        idea="Patches compare their directions, and a small network tells what a distance means: windows "
             "may grow. "
             "Norms behind each part of a block instead of in front, and attention by cosine, keep large "
             "networks stable in training. "
             "Distances enter on a logarithmic scale, so that what was learnt with small windows and photos "
             "carries over to large ones.",
        names="""swinv2_tiny_window8_256 swinv2_tiny_window16_256 swinv2_small_window8_256
                 swinv2_small_window16_256 swinv2_base_window8_256 swinv2_base_window16_256
                 swinv2_base_window12_192 swinv2_base_window12to16_192to256
                 swinv2_base_window12to24_192to384 swinv2_large_window12_192
                 swinv2_large_window12to16_192to256 swinv2_large_window12to24_192to384""",
    ),
    family(
        "beit", title="BEiT", year=2021, arxiv="2106.08254", module="beit",
        paper="Bao et al., BEiT: BERT Pre-Training of Image Transformers",
        idea="Cover four patches of ten and guess what is hidden: a transformer learns from photos without "
             "labels. "
             "What it guesses is one of 8192 visual words that another network has learnt, not the pixels "
             "themselves. "
             "Each block adds a learnt number for how far apart two patches are, so no patch carries a "
             "position of its own.",
        names="""beit_base_patch16_224 beit_base_patch16_384 beit_large_patch16_224 beit_large_patch16_384
                 beit_large_patch16_512""",
    ),
    family(
        "beitv2", title="BEiT v2", year=2022, arxiv="2208.06366", module="beit",
        paper="Peng et al., BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers",
        idea="BEiT with better words: the hidden patches are guessed by meaning, not by looks. "
             "The dictionary is learnt by rebuilding CLIP's features, so that two words differ where the "
             "things differ. "
             "While it learns, the class token must carry enough of the photo for shallow layers to guess "
             "the rest.",
        names="beitv2_base_patch16_224 beitv2_large_patch16_224",
    ),
    family(
        "coatnet", title="CoAtNet", year=2021, arxiv="2106.04803", module="maxvit",
        paper="Dai et al., CoAtNet: Marrying Convolution and Attention for All Data Sizes",
        idea="Convolutions while the map is large, attention over the whole map once it is small. "
             "Convolutions expect that neighbours belong together, which helps where photos are few; "
             "attention expects nothing, which helps where they are many. "
             "In this order, one network has the better of both.",
        names="""coatnet_pico_rw_224 coatnet_nano_rw_224 coatnet_nano_cc_224 coatnet_0_224
                 coatnet_0_rw_224 coatnet_bn_0_rw_224 coatnet_1_224 coatnet_1_rw_224 coatnet_2_224
                 coatnet_2_rw_224 coatnet_3_224 coatnet_3_rw_224 coatnet_4_224 coatnet_5_224
                 coatnet_rmlp_nano_rw_224 coatnet_rmlp_0_rw_224 coatnet_rmlp_1_rw_224
                 coatnet_rmlp_1_rw2_224 coatnet_rmlp_2_rw_224 coatnet_rmlp_2_rw_384 coatnet_rmlp_3_rw_224""",
    ),
    family(
        "maxvit", title="MaxViT", year=2022, arxiv="2204.01697", module="maxvit",
        paper="Tu et al., MaxViT: Multi-Axis Vision Transformer",
        idea="Every block looks at neighbours, then around a window, then far across the photo on a coarse "
             "grid. "
             "Window and grid each hold few places, so attention costs little on large maps too. "
             "In two steps each place hears of every other.",
        names="""maxvit_pico_rw_256 maxvit_nano_rw_256 maxvit_tiny_rw_224 maxvit_tiny_rw_256
                 maxvit_rmlp_pico_rw_256 maxvit_rmlp_nano_rw_256 maxvit_rmlp_tiny_rw_256
                 maxvit_rmlp_small_rw_224 maxvit_rmlp_small_rw_256 maxvit_rmlp_base_rw_224
                 maxvit_rmlp_base_rw_384 maxvit_tiny_tf_224 maxvit_tiny_tf_384 maxvit_tiny_tf_512
                 maxvit_small_tf_224 maxvit_small_tf_384 maxvit_small_tf_512 maxvit_base_tf_224
                 maxvit_base_tf_384 maxvit_base_tf_512 maxvit_large_tf_224 maxvit_large_tf_384
                 maxvit_large_tf_512 maxvit_xlarge_tf_224 maxvit_xlarge_tf_384 maxvit_xlarge_tf_512""",
    ),
    family(
        "maxxvit", title="CoAtNeXt and MaxxViT", year=2022,
        url="https://github.com/huggingface/pytorch-image-models",
        module="maxvit", paper="Wightman, PyTorch Image Models",
        idea="CoAtNet and MaxViT with ConvNeXt's blocks in place of MobileNetV2's: the same frame, other "
             "convolutions. "
             "The second version leaves the windows out and keeps the grid, because ConvNeXt's wide filters "
             "look around already. "
             "One more variant runs window and grid side by side, each for half of the channels.",
        names="""coatnext_nano_rw_224 maxvit_tiny_pm_256 maxxvit_rmlp_nano_rw_256 maxxvit_rmlp_tiny_rw_256
                 maxxvit_rmlp_small_rw_256 maxxvitv2_nano_rw_256 maxxvitv2_rmlp_base_rw_224
                 maxxvitv2_rmlp_base_rw_384 maxxvitv2_rmlp_large_rw_224""",
    ),
    family(
        "eva", title="EVA", year=2022, arxiv="2211.07636", module="eva",
        paper="Fang et al., EVA: Exploring the Limits of Masked Visual Representation Learning at Scale",
        idea="Hide patches and guess what CLIP would have said of them, with a billion parameters. "
             "CLIP's features say what a patch means, so the guess teaches more than pixels would. "
             "Photos without any label are enough, and the result is a better start for CLIP itself.",
        names="eva_giant_patch14_224 eva_giant_patch14_336 eva_giant_patch14_560 eva_giant_patch14_clip_224",
    ),
    family(
        "eva02", title="EVA-02", year=2023, arxiv="2303.11331", module="eva",
        paper="Fang et al., EVA-02: A Visual Representation for Neon Genesis",
        idea="EVA with the parts that language models had found: a third of the size, and better. "
             "Queries and keys turn by an angle that tells where their patch is, and one half of the MLP "
             "opens and closes the other. "
             "A further norm inside each branch keeps the training steady.",
        names="""eva02_tiny_patch14_224 eva02_tiny_patch14_336 eva02_small_patch14_224 eva02_small_patch14_336
                 eva02_base_patch14_224 eva02_base_patch14_448 eva02_large_patch14_224 eva02_large_patch14_448
                 eva02_base_patch16_clip_224 eva02_large_patch14_clip_224 eva02_large_patch14_clip_336
                 eva02_enormous_patch14_clip_224""",
    ),
    family(
        "vit_rope", title="Vision Transformer with rotary positions", year=2024, arxiv="2403.13298",
        module="eva", paper="Heo et al., Rotary Position Embedding for Vision Transformer",
        idea="Turn queries and keys by angles that grow with the patch's row and column. "
             "How well two patches fit then depends on how far apart they are, so the network takes larger "
             "photos than it was trained on. "
             "In the mixed form each head learns its own directions, diagonals too.",
        names="""vit_small_patch16_rope_224 vit_base_patch16_rope_224 vit_large_patch16_rope_224
                 vit_small_patch16_rope_ape_224 vit_base_patch16_rope_ape_224
                 vit_large_patch16_rope_ape_224 vit_small_patch16_rope_mixed_224
                 vit_base_patch16_rope_mixed_224 vit_large_patch16_rope_mixed_224
                 vit_small_patch16_rope_mixed_ape_224 vit_base_patch16_rope_mixed_ape_224
                 vit_large_patch16_rope_mixed_ape_224 vit_medium_patch16_rope_reg1_gap_256
                 vit_mediumd_patch16_rope_reg1_gap_256 vit_betwixt_patch16_rope_reg4_gap_256
                 vit_base_patch16_rope_reg1_gap_256""",
    ),
    family(
        "dinov3", title="DINOv3", year=2025, arxiv="2508.10104", module="eva",
        paper="Siméoni et al., DINOv3",
        idea="DINOv2 at ten times the size, with patch features that stay sharp however long it trains. "
             "A seven-billion teacher learns from 1.7 billion photos without labels, and small models learn "
             "from it. "
             "Positions run from -1 to 1 on every photo and are stretched by chance in training, so any "
             "size of photo will do.",
        names="""vit_small_patch16_dinov3 vit_small_plus_patch16_dinov3 vit_base_patch16_dinov3
                 vit_large_patch16_dinov3 vit_huge_plus_patch16_dinov3 vit_7b_patch16_dinov3
                 vit_tiny_patch16_dinov3_qkvb vit_small_patch16_dinov3_qkvb
                 vit_small_plus_patch16_dinov3_qkvb vit_base_patch16_dinov3_qkvb
                 vit_large_patch16_dinov3_qkvb vit_huge_plus_patch16_dinov3_qkvb""",
    ),
    family(
        "perception_encoder", title="Perception Encoder", year=2025, arxiv="2504.13181", module="eva",
        paper="Bolya et al., Perception Encoder: The best visual embeddings are not at the output of the "
              "network",
        idea="Trained on captions alone, a transformer knows where things are as well, but in its middle "
             "blocks. "
             "The core model pools all tokens with attention, to match photos and captions. "
             "Two more models bring what is in the middle out to the end: one for language models, one for "
             "detection and depth.",
        names="""vit_pe_core_tiny_patch16_384 vit_pe_core_small_patch16_384 vit_pe_core_base_patch16_224
                 vit_pe_core_large_patch14_336 vit_pe_core_gigantic_patch14_448
                 vit_pe_lang_large_patch14_448 vit_pe_lang_gigantic_patch14_448
                 vit_pe_spatial_tiny_patch16_512 vit_pe_spatial_small_patch16_512
                 vit_pe_spatial_base_patch16_512 vit_pe_spatial_large_patch14_448
                 vit_pe_spatial_gigantic_patch14_448""",
    ),
    family(
        "sapiens2", title="Sapiens2", year=2026, arxiv="2604.21681", module="eva",
        paper="Khirodkar et al., Sapiens2",
        idea="A transformer that has seen a billion photos of people, and nothing else, for poses, body "
             "parts and surfaces. "
             "It learns by rebuilding hidden patches and by agreeing with itself about two views of one "
             "photo. "
             "In the middle blocks two heads of queries share one head of keys, which saves time on large "
             "portraits.",
        names="""vit_base_patch16_sapiens2 vit_large_patch16_sapiens2 vit_huge_patch16_sapiens2
                 vit_giant_patch16_sapiens2 vit_5b_patch16_sapiens2""",
    ),
    family(
        "lingbot_vision", title="LingBot-Vision", year=2026, arxiv="2607.05247", module="eva",
        paper="Fu et al., Vision Pretraining for Dense Spatial Perception",
        idea="DINOv3's network, trained for answers at every place of a photo, such as depth. "
             "It is meant as the eye of a robot, which must know where things are and not only what they "
             "are. "
             "The names differ in size alone.",
        names="""vit_small_patch16_lingbot vit_base_patch16_lingbot vit_large_patch16_lingbot
                 vit_giant_patch16_lingbot""",
    ),
    family(
        "visformer", title="Visformer", year=2021, arxiv="2104.12533", module="visformer",
        paper="Chen et al., Visformer: The Vision-friendly Transformer",
        idea="Halfway between a transformer and a ResNet: the steps from one to the other that help are "
             "kept. "
             "Attention works on the small maps only, convolutions with groups on the large one. "
             "It learns from few photos as a ResNet does, and gains from many as a transformer does.",
        names="visformer_tiny visformer_small",
    ),
    family(
        "hiera", title="Hiera", year=2023, arxiv="2306.00989", module="hiera",
        paper="Ryali et al., Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles",
        idea="A pyramid of attention with everything taken away that the network can learn instead. "
             "It learns it by filling in photos of which six parts of ten are covered. "
             "Large maps are looked at in small windows, small maps as a whole, and a map shrinks where the "
             "strongest of four neighbours asks for all.",
        names="""hiera_tiny_224 hiera_small_224 hiera_base_224 hiera_base_plus_224 hiera_large_224
                 hiera_huge_224""",
    ),
    family(
        "hiera_abswin", title="Hiera with absolute window positions", year=2023, arxiv="2311.05613",
        module="hiera",
        paper="Bolya et al., Window Attention is Bugged: How not to Interpolate Position Embeddings",
        idea="Positions in two parts, so that a network with windows takes photos of another size. "
             "One part says where in its window a patch is and repeats in every window; the other is "
             "stretched over the whole photo. "
             "Stretching both at once, as was usual, moves the windows' pattern away from the windows.",
        names="hiera_small_abswin_256 hiera_base_abswin_256",
    ),
    family(
        "levit", title="LeViT", year=2021, arxiv="2104.01136", module="levit",
        paper="Graham et al., LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference",
        idea="A transformer built for speed: a few convolutions first, small maps, narrow keys. "
             "Where the map shrinks, every second place asks all places, so that attention itself does the "
             "pooling. "
             "BatchNorm stands in for LayerNorm, because it melts into the layer before it once training is "
             "over.",
        names="""levit_128s levit_128 levit_192 levit_256 levit_256d levit_384 levit_384_s8 levit_512
                 levit_512_s8 levit_512d levit_conv_128s levit_conv_128 levit_conv_192 levit_conv_256
                 levit_conv_256d levit_conv_384 levit_conv_384_s8 levit_conv_512 levit_conv_512_s8
                 levit_conv_512d""",
    ),
    family(
        "efficientformer", title="EfficientFormer", year=2022, arxiv="2206.01191", module="efficientformer",
        paper="Li et al., EfficientFormer: Vision Transformers at MobileNet Speed",
        idea="A transformer as fast as MobileNet, found by timing every operation on a phone. "
             "Not attention itself is slow, but large patches, LayerNorm and changing between maps and "
             "tokens. "
             "So it pools on maps nearly to the end, and attention works only on the last, smallest map.",
        names="efficientformer_l1 efficientformer_l3 efficientformer_l7",
    ),
    family(
        "pit", title="PiT", year=2021, arxiv="2103.16302", module="pit",
        paper="Heo et al., Rethinking Spatial Dimensions of Vision Transformers",
        idea="A vision transformer with pooling: twice on its way the map shrinks to half, and each place "
             "gets twice the channels. "
             "Convolutional networks have always done so, and transformers turn out to gain by it too. "
             "The class token, which has no place, passes through a layer of its own beside the pooling.",
        names="""pit_ti_224 pit_xs_224 pit_s_224 pit_b_224 pit_ti_distilled_224 pit_xs_distilled_224
                 pit_s_distilled_224 pit_b_distilled_224""",
    ),
    family(
        "cait", title="CaiT", year=2021, arxiv="2103.17239", module="cait",
        paper="Touvron et al., Going deeper with Image Transformers",
        idea="A transformer of up to 48 blocks, in which patches talk first and the class token asks at the "
             "end. "
             "Learnt factors that start near zero let so many blocks learn at all: at first each adds next "
             "to nothing. "
             "That trick, LayerScale, is in most deep networks by now.",
        names="""cait_xxs24_224 cait_xxs24_384 cait_xxs36_224 cait_xxs36_384 cait_xs24_384 cait_s24_224
                 cait_s24_384 cait_s36_384 cait_m36_384 cait_m48_448""",
    ),
)
