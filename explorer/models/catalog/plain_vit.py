"""The plain vision transformer, by what it learnt from."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "vit", title="Vision Transformer", year=2020, arxiv="2010.11929", module="vit",
        paper="Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at "
              "Scale",
        idea="Cut the photo into patches, read them as words, and let every patch attend to every other. "
             "A learnt token in front collects what the classifier needs, and learnt position embeddings "
             "say where each patch was. "
             "Little about photos is built in, so it has to see many: after 14 to 300 million it passed the "
             "convolutional networks of its time.",
        names="""vit_tiny_patch16_224 vit_tiny_patch16_384 vit_small_patch32_224 vit_small_patch32_384
                 vit_small_patch16_224 vit_small_patch16_384 vit_small_patch8_224 vit_base_patch32_224
                 vit_base_patch32_384 vit_base_patch16_224 vit_base_patch16_384 vit_base_patch8_224
                 vit_large_patch32_224 vit_large_patch32_384 vit_large_patch16_224 vit_large_patch16_384
                 vit_large_patch14_224 vit_huge_patch14_224 vit_giant_patch14_224 vit_gigantic_patch14_224
                 vit_base_patch16_224_miil vit_base_patch16_plus_240 vit_base_patch32_plus_256
                 vit_small_patch16_36x1_224 vit_intern300m_patch14_448""",
    ),
    family(
        "vit_gap", title="Vision Transformer with average pooling", year=2022, arxiv="2205.01580",
        module="vit", paper="Beyer et al., Better plain ViT baselines for ImageNet-1k",
        idea="The mean of all patches replaces the class token: simpler, and no worse. "
             "With fixed sine and cosine positions and a little augmentation, the paper's small ViT reaches "
             "76.5 % on ImageNet in 90 epochs and 80 % in 300. "
             "The names with \"gap\", global average pooling, keep this end in several sizes.",
        names="""vit_base_patch16_gap_224 vit_medium_patch16_gap_240 vit_medium_patch16_gap_256
                 vit_medium_patch16_gap_384 vit_betwixt_patch16_gap_256 vit_huge_patch14_gap_224
                 vit_huge_patch16_gap_448 vit_giant_patch16_gap_224""",
    ),
    family(
        "dinov2", title="DINOv2", year=2023, arxiv="2304.07193", module="vit",
        paper="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision",
        idea="A transformer that learnt without labels, by agreeing with itself about crops of one photo. "
             "A student sees crops and partly hidden photos, and has to say what its teacher, a slow "
             "average of its own past, says of the larger view. "
             "From 142 million selected photos it learnt features that serve classification, depth and "
             "segmentation as they are.",
        names="""vit_small_patch14_dinov2 vit_base_patch14_dinov2 vit_large_patch14_dinov2
                 vit_giant_patch14_dinov2""",
    ),
    family(
        "vit_registers", title="Vision Transformer with registers", year=2023, arxiv="2309.16588",
        module="vit", paper="Darcet et al., Vision Transformers Need Registers",
        idea="A few spare tokens to scribble on keep the patch features clean. "
             "Large transformers use patches of plain background as notes about the whole photo, and these "
             "shine in attention maps without a reason. "
             "Extra tokens, four in the paper, take over that role and are thrown away at the end, so that "
             "maps become smooth and dense tasks improve.",
        names="""vit_small_patch14_reg4_dinov2 vit_base_patch14_reg4_dinov2 vit_large_patch14_reg4_dinov2
                 vit_giant_patch14_reg4_dinov2 vit_medium_patch16_reg4_gap_256
                 vit_base_patch16_reg4_gap_256 vit_betwixt_patch16_reg1_gap_256
                 vit_betwixt_patch16_reg4_gap_256 vit_betwixt_patch16_reg4_gap_384
                 vit_wee_patch16_reg1_gap_256 vit_little_patch16_reg1_gap_256
                 vit_little_patch16_reg4_gap_256 vit_medium_patch16_reg1_gap_256
                 vit_mediumd_patch16_reg4_gap_256 vit_mediumd_patch16_reg4_gap_384
                 vit_so150m_patch16_reg4_gap_256 vit_so150m_patch16_reg4_gap_384
                 vit_so150m2_patch16_reg1_gap_256 vit_so150m2_patch16_reg1_gap_384
                 vit_so150m2_patch16_reg1_gap_448 vit_base_patch14_reg1_tipsv2
                 vit_large_patch14_reg1_tipsv2 vit_so400m_patch14_reg1_tipsv2
                 vit_giant_patch14_reg1_tipsv2 vit_base_patch16_radio_v3 vit_large_patch16_radio_v3
                 vit_huge_patch16_radio_v3 vit_giant_patch16_radio_v3 vit_huge_patch16_radio_v4
                 vit_so400m_patch16_radio_v4 vit_so150m_patch16_reg4_map_256""",
    ),
    family(
        "vit_clip", title="CLIP's image encoder", year=2021, arxiv="2103.00020", module="vit",
        paper="Radford et al., Learning Transferable Visual Models From Natural Language Supervision",
        idea="Trained to find the caption that belongs to a photo; so it knows far more than a list of "
             "classes. "
             "An encoder for photos and one for text learn from 400 million pairs to put what belongs "
             "together close, and all else apart. "
             "A new classifier then needs no more than the names of its classes, written as captions; here "
             "is the encoder of the photos.",
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
        idea="Hide patches of a photo and learn to guess CLIP's features of them. "
             "Such features carry meaning, which pixels do not, and no label is needed, so that the method "
             "grows to a billion parameters. "
             "These are its large plain ViTs, which learnt from labels afterwards.",
        names="eva_large_patch14_196 eva_large_patch14_336",
    ),
    family(
        "flexivit", title="FlexiViT", year=2022, arxiv="2212.08013", module="vit",
        paper="Beyer et al., FlexiViT: One Model for All Patch Sizes",
        idea="Patches of a random size at every step of training: one network for fast and for careful "
             "looks. "
             "Large patches give few tokens and quick answers, small ones many tokens and better answers; "
             "one filter, resized to the patch, embeds them all. "
             "It is mostly as accurate as ViTs that were trained for one patch size each.",
        names="flexivit_small flexivit_base flexivit_large",
    ),
    family(
        "vit_siglip", title="SigLIP's image encoder", year=2023, arxiv="2303.15343", module="vit",
        paper="Zhai et al., Sigmoid Loss for Language Image Pre-Training",
        idea="CLIP with one yes-or-no question for each pair of photo and caption, so any batch size will "
             "do. "
             "CLIP's softmax compares each pair with all others, which every computer has to gather; a "
             "sigmoid for each pair does without this view of the whole. "
             "The paper tried batches of up to a million pairs and found 32,000 to be enough.",
        names="""vit_base_patch32_siglip_gap_256 vit_base_patch16_siglip_gap_224
                 vit_base_patch16_siglip_gap_256 vit_base_patch16_siglip_gap_384
                 vit_base_patch16_siglip_gap_512 vit_large_patch16_siglip_gap_256
                 vit_large_patch16_siglip_gap_384 vit_large_patch16_siglip_gap_512
                 vit_so400m_patch14_siglip_gap_224 vit_so400m_patch14_siglip_gap_378
                 vit_so400m_patch14_siglip_gap_384 vit_so400m_patch14_siglip_gap_448
                 vit_so400m_patch14_siglip_gap_896 vit_so400m_patch16_siglip_gap_256
                 vit_so400m_patch16_siglip_gap_384 vit_so400m_patch16_siglip_gap_512
                 vit_giantopt_patch16_siglip_gap_256 vit_giantopt_patch16_siglip_gap_384
                 vit_base_patch32_siglip_256 vit_base_patch16_siglip_224 vit_base_patch16_siglip_256
                 vit_base_patch16_siglip_384 vit_base_patch16_siglip_512 vit_large_patch16_siglip_256
                 vit_large_patch16_siglip_384 vit_large_patch16_siglip_512 vit_so400m_patch14_siglip_224
                 vit_so400m_patch14_siglip_378 vit_so400m_patch14_siglip_384 vit_so400m_patch16_siglip_256
                 vit_so400m_patch16_siglip_384 vit_so400m_patch16_siglip_512
                 vit_giantopt_patch16_siglip_256 vit_giantopt_patch16_siglip_384""",
    ),
    family(
        "vit_twin", title="Parallel Vision Transformer", year=2022, arxiv="2203.09795",
        module="vit_relatives",
        paper="Touvron et al., Three things everyone should know about Vision Transformers",
        idea="Two blocks side by side in place of one behind the other: half as deep, and as good. "
             "A block adds only a little to its tokens, so the second of two hardly misses what the first "
             "has added. "
             "Fewer steps that wait for each other let wide computers run faster.",
        names="vit_small_patch16_18x2_224 vit_base_patch16_18x2_224",
    ),
    family(
        "vit_post_norm", title="Vision Transformer with norms behind", year=2021, arxiv="2111.09883",
        module="vit_relatives",
        paper="Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution",
        idea="The norm moves from the front of a branch to its end, as Swin V2 has it, in a plain "
             "transformer. "
             "What a block adds then has the same size in every block, however large its weights grow. "
             "Norms that start near zero let the network begin as if its branches were not there.",
        names="vit_base_patch16_rpn_224",
    ),
    family(
        "vit_parallel", title="Vision Transformer with parallel layers", year=2023, arxiv="2302.05442",
        module="vit_relatives",
        paper="Dehghani et al., Scaling Vision Transformers to 22 Billion Parameters",
        idea="Attention and MLP read the same tokens at the same time, out of one large matrix. "
             "One multiplication in place of two keeps a large machine busy, and little is lost. "
             "Norms on queries and keys hold the weights of attention in check, without which the largest "
             "models diverge.",
        names="""vit_base_patch16_xp_224 vit_large_patch14_xp_224 vit_huge_patch14_xp_224
                 vit_pwee_patch16_reg1_gap_256""",
    ),
    family(
        "vit_differential", title="Differential Vision Transformer", year=2024, arxiv="2410.05258",
        module="vit_relatives",
        paper="Ye et al., Differential Transformer",
        idea="Attention is the difference of two attentions, so that what both take from everywhere "
             "cancels. "
             "Plain attention must give all its weight away, and some of it goes to tokens that don't "
             "matter. "
             "How much of the second is taken away is learnt, and deeper blocks start with more.",
        names="vit_dwee_patch16_reg1_gap_256 vit_dpwee_patch16_reg1_gap_256 vit_dlittle_patch16_reg1_gap_256",
    ),
    family(
        "beit3", title="BEiT 3", year=2022, arxiv="2208.10442", module="vit_relatives",
        paper="Wang et al., Image as a Foreign Language: BEiT Pretraining for All Vision and "
              "Vision-Language Tasks",
        idea="Photos and text are read by one transformer, which fills in what is hidden in either. "
             "They share attention and have an MLP each; here is the part for photos. "
             "A further norm inside each branch keeps the training of the large model steady.",
        names="""beit3_base_patch16_224 beit3_large_patch16_224 beit3_giant_patch14_224
                 beit3_giant_patch14_336""",
    ),
    family(
        "aimv2", title="AIMv2", year=2024, arxiv="2411.14402", module="vit_relatives",
        paper="Fini et al., Multimodal Autoregressive Pre-training of Large Vision Encoders",
        idea="Trained to write on: first the photo's next patches, then its caption, word by word. "
             "A decoder on top does the writing and is thrown away, and the encoder is what remains. "
             "It is built as language models are, with a gate in the MLP, norms without a mean, and no "
             "biases.",
        names="""aimv2_large_patch14_224 aimv2_large_patch14_336 aimv2_large_patch14_448
                 aimv2_huge_patch14_224 aimv2_huge_patch14_336 aimv2_huge_patch14_448 aimv2_1b_patch14_224
                 aimv2_1b_patch14_336 aimv2_1b_patch14_448 aimv2_3b_patch14_224 aimv2_3b_patch14_336
                 aimv2_3b_patch14_448""",
    ),
)
