"""The ResNet and its relatives."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "resnet", title="ResNet", year=2015, arxiv="1512.03385", module="resnet",
        paper="He et al., Deep Residual Learning for Image Recognition",
        idea="Each block adds a correction to its input, so gradients reach the first layer of even 152. "
             "Without such shortcuts a deeper network trained worse than a shallower one, although it only "
             "had to copy it and do nothing in the rest. "
             "From 50 layers on, 1 x 1 convolutions narrow the channels before the 3 x 3 one and widen them "
             "behind it, which keeps the work small.",
        names="resnet18 resnet26 resnet34 resnet50 resnet101 resnet152 resnet200 resnet50_gn",
    ),
    family(
        "wide_resnet", title="Wide ResNet", year=2016, arxiv="1605.07146", module="resnet",
        paper="Zagoruyko and Komodakis, Wide Residual Networks",
        idea="Fewer layers, twice as many channels in each: as accurate, and faster on a GPU. "
             "Very deep thin networks gain little from one more layer, and layers wait for each other, "
             "while channels are computed at once. "
             "In the two networks here, the 3 x 3 convolution of each block is twice as wide as in "
             "ResNet-50 and ResNet-101.",
        names="wide_resnet50_2 wide_resnet101_2",
    ),
    family(
        "resnext", title="ResNeXt", year=2016, arxiv="1611.05431", module="resnet",
        paper="Xie et al., Aggregated Residual Transformations for Deep Neural Networks",
        idea="The middle convolution is split into 32 or 64 groups: many small paths beside each other. "
             "Their number, which the paper calls cardinality, is a third knob beside depth and width, and "
             "turning it up gains more accuracy at the same cost. "
             "All paths have one shape, so none of them has to be designed, unlike in Inception.",
        names="""resnext50_32x4d resnext50d_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d
                 resnext101_32x32d resnext101_64x4d""",
    ),
    family(
        "seresnet", title="SE-ResNet", year=2017, arxiv="1709.01507", module="resnet",
        paper="Hu et al., Squeeze-and-Excitation Networks",
        idea="After each block, the network weighs its own channels, photo by photo. "
             "The mean of each channel (squeeze) goes through two small layers and becomes a factor between "
             "0 and 1 (excitation) for that channel. "
             "This takes a tenth more parameters and hardly any multiplications, and won ImageNet's "
             "competition of 2017.",
        names="""seresnet18 seresnet34 seresnet50 seresnet50t seresnet101 seresnet152 seresnet152d
                 seresnet200d seresnet269d seresnext26d_32x4d seresnext26t_32x4d seresnext50_32x4d
                 seresnext101_32x4d seresnext101_32x8d seresnext101_64x4d seresnext101d_32x8d senet154""",
    ),
    family(
        "resnet_d", title="ResNet-C, D, S and T", year=2018, arxiv="1812.01187", module="resnet",
        paper="He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks",
        idea="Three small convolutions replace the large first one, and shortcuts average before they "
             "halve. "
             "A 1 x 1 convolution with stride 2 ignores three quarters of its input: D moves the stride to "
             "the 3 x 3 one, and pools on the shortcut. "
             "With tricks of training on top, the paper brings ResNet-50 from 75.3 to 79.3 % on ImageNet.",
        names="""resnet10t resnet14t resnet18d resnet26d resnet26t resnet34d resnet50c resnet50d resnet50s
                 resnet50t resnet101c resnet101d resnet101s resnet152c resnet152d resnet152s resnet200d""",
    ),
    family(
        "ecaresnet", title="ECA-ResNet", year=2019, arxiv="1910.03151", module="resnet",
        paper="Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
        idea="Channel attention for a handful of parameters: each channel looks only at its neighbours. "
             "Squeeze-and-excitation narrows the channels to keep its layers small, and so loses the direct "
             "link between a channel and its weight. "
             "A short filter along the row of the channels' means does without: 80 parameters in all of "
             "ResNet-50.",
        names="""ecaresnet26t ecaresnet50d ecaresnet50t ecaresnetlight ecaresnet101d ecaresnet200d
                 ecaresnet269d ecaresnext26t_32x4d ecaresnext50t_32x4d""",
    ),
    family(
        "sknet", title="SKNet", year=2019, arxiv="1903.06586", module="sknet",
        paper="Li et al., Selective Kernel Networks",
        idea="Two sizes of neighbourhood beside each other, and the photo decides for each channel which "
             "one counts. "
             "One path filters with 3 x 3, the other with 5 x 5 in the shape of a dilated 3 x 3, and a "
             "softmax made from their pooled sum mixes the two. "
             "The idea comes from neurons of the visual cortex, which change the size of what they see with "
             "the stimulus.",
        names="skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d",
    ),
    family(
        "res2net", title="Res2Net", year=2019, arxiv="1904.01169", module="res2net",
        paper="Gao et al., Res2Net: A New Multi-scale Backbone Architecture",
        idea="Inside one block, groups of channels are filtered in a row, so that it sees many sizes at "
             "once. "
             "Each group gets the result of the one before on top of its own input, so the last one has "
             "looked through several 3 x 3 filters and the first through none. "
             "The number of groups, the scale, is a knob beside depth, width and cardinality.",
        names="""res2net50_48w_2s res2net50_14w_8s res2net50_26w_4s res2net50_26w_6s res2net50_26w_8s
                 res2net101_26w_4s res2net50d res2net101d res2next50""",
    ),
    family(
        "resnest", title="ResNeSt", year=2020, arxiv="2004.08955", module="resnest",
        paper="Zhang et al., ResNeSt: Split-Attention Networks",
        idea="Each block makes several maps and weighs them against each other, channel by channel. "
             "It joins ResNeXt's groups with SKNet's selection: within each group, a softmax over the "
             "splits decides what goes on. "
             "Most variants have two splits and one group, and stem and shortcuts as in ResNet-D.",
        names="""resnest14d resnest26d resnest50d resnest101e resnest200e resnest269e resnest50d_4s2x40d
                 resnest50d_1s4x24d""",
    ),
    family(
        "resnet_aa", title="Anti-aliased ResNet", year=2019, arxiv="1904.11486", module="resnet",
        paper="Zhang, Making Convolutional Networks Shift-Invariant Again",
        idea="Blur before every halving, so that a photo moved by one pixel keeps its label. "
             "A stride keeps every second value, and as with any sampled signal, detail that is too fine "
             "turns into false patterns that change as the photo moves. "
             "A small fixed filter in front removes what the smaller map can't hold, and accuracy rises a "
             "little as well.",
        names="""resnetblur18 resnetblur50 resnetblur50d resnetblur101d resnetaa34d resnetaa50 resnetaa50d
                 resnetaa101d seresnetaa50d seresnextaa101d_32x8d seresnextaa201d_32x8d""",
    ),
    family(
        "resnet_rs", title="ResNet-RS", year=2021, arxiv="2103.07579", module="resnet",
        paper="Bello et al., Revisiting ResNets: Improved Training and Scaling Strategies",
        idea="The old network with new training and sensible scaling reaches EfficientNet's accuracy. "
             "The authors measure what progress is due to: longer training, regularisation and two small "
             "changes, ResNet-D's shortcuts and channel attention, bring most of it. "
             "They advise to add depth where a network could overfit, otherwise width, and to enlarge the "
             "photos more slowly than EfficientNet does.",
        names="resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420",
    ),
    family(
        "regnet", title="RegNet", year=2020, arxiv="2003.13678", module="regnet",
        paper="Radosavovic et al., Designing Network Design Spaces",
        idea="Search for rules instead of one network: in good networks the width grows along a straight "
             "line. "
             "Hundreds of random networks were trained briefly, and their design space was narrowed step by "
             "step to what the good ones share. "
             "X is the plain kind, and Y adds channel attention; at equal cost they were as accurate as "
             "EfficientNet and up to five times faster on a GPU.",
        names="""regnetx_002 regnetx_004 regnetx_004_tv regnetx_006 regnetx_008 regnetx_016 regnetx_032
                 regnetx_040 regnetx_064 regnetx_080 regnetx_120 regnetx_160 regnetx_320 regnety_002
                 regnety_004 regnety_006 regnety_008 regnety_008_tv regnety_016 regnety_032 regnety_040
                 regnety_040_sgn regnety_064 regnety_080 regnety_080_tv regnety_120 regnety_160
                 regnety_320 regnety_640 regnety_1280 regnety_2560 regnetv_040 regnetv_064""",
    ),
    family(
        "regnetz", title="RegNetZ", year=2021, arxiv="2103.06877", module="regnet",
        paper="Dollar et al., Fast and Accurate Model Scaling",
        idea="Grow the width more than depth and photo size: then the time grows least for the same "
             "accuracy. "
             "Time on a GPU follows the numbers that are written to memory more than the multiplications, "
             "and those grow slowest with the width. "
             "Z has inverted blocks as in MobileNetV2 with channel attention, and larger variants follow "
             "this rule.",
        names="regnetz_005 regnetz_040 regnetz_040_h",
    ),
    family(
        "resnetv2", title="ResNet V2", year=2016, arxiv="1603.05027", module="resnetv2",
        paper="He et al., Identity Mappings in Deep Residual Networks",
        idea="Norm and activation move in front of each convolution, so that nothing bends the shortcut any "
             "more. "
             "What a block adds then reaches the last one unchanged, and a gradient comes back the same "
             "way. "
             "Networks of a thousand layers train like that.",
        names="""resnetv2_18 resnetv2_18d resnetv2_34 resnetv2_34d resnetv2_50 resnetv2_50d resnetv2_50t
                 resnetv2_101 resnetv2_101d resnetv2_152 resnetv2_152d resnetv2_50d_gn resnetv2_50d_evos
                 resnetv2_50d_frn""",
    ),
    family(
        "bit", title="Big Transfer (BiT)", year=2019, arxiv="1912.11370", module="resnetv2",
        paper="Kolesnikov et al., Big Transfer (BiT): General Visual Representation Learning",
        idea="A very wide ResNet V2, trained once on a very large set of photos, learns a new task from a "
             "few. "
             "BatchNorm would need large batches, so photos are normalised one by one, and filters too. "
             "One short recipe for fine-tuning then fits tasks of ten photos and of a million.",
        names="""resnetv2_50x1_bit resnetv2_50x3_bit resnetv2_101x1_bit resnetv2_101x3_bit resnetv2_152x2_bit
                 resnetv2_152x4_bit""",
    ),
    family(
        "senet_legacy", title="SENet (first checkpoints)", year=2017, arxiv="1709.01507", module="senet",
        paper="Hu et al., Squeeze-and-Excitation Networks",
        idea="Each block weighs its channels, photo by photo: turn up what matters here, turn down the "
             "rest. "
             "The mean of every channel goes through two small layers, whose answers between 0 and 1 are "
             "the weights. "
             "These are the networks of the first PyTorch checkpoints; one like them won ImageNet's last "
             "contest.",
        names="""legacy_seresnet18 legacy_seresnet34 legacy_seresnet50 legacy_seresnet101
                 legacy_seresnet152 legacy_seresnext26_32x4d legacy_seresnext50_32x4d
                 legacy_seresnext101_32x4d legacy_senet154""",
    ),
    family(
        "hrnet", title="HRNet", year=2019, arxiv="1908.07919", module="hrnet",
        paper="Wang et al., Deep High-Resolution Representation Learning for Visual Recognition",
        idea="Keep a large map from the first block to the last, with smaller ones beside it, in place of "
             "shrinking. "
             "Again and again each map receives what the others have found: places from the large, meaning "
             "from the small. "
             "So the result is sharp, which poses and outlines need most.",
        names="""hrnet_w18_small hrnet_w18_small_v2 hrnet_w18 hrnet_w30 hrnet_w32 hrnet_w40 hrnet_w44
                 hrnet_w48 hrnet_w64 hrnet_w18_ssld hrnet_w48_ssld""",
    ),
    family(
        "resnet_ts", title="ResNet-TS and -Q", year=2021,
        url="https://github.com/huggingface/pytorch-image-models",
        module="byobnet", paper="Wightman, networks of the timm library (no paper)",
        idea="ResNets put together by hand, one change at a time: growing stems, SiLU, other widths, "
             "channel attention. "
             "Three small convolutions in front, tiered in width, replace the large one. "
             "The names tell the rest: se, eca and gc are attentions, t the tiered stem, q one of four "
             "convolutions, s the activation.",
        names="""resnext26ts seresnext26ts gcresnext26ts eca_resnext26ts resnet32ts resnet33ts
                 seresnet33ts gcresnet33ts eca_resnet33ts gcresnet50t gcresnext50ts resnet51q resnet61q""",
    ),
    family(
        "regnetz_timm", title="RegNetZ of timm", year=2021, arxiv="2103.06877", module="byobnet",
        paper="Dollár et al., Fast and Accurate Model Scaling; sizes chosen by Wightman",
        idea="RegNet's simple rule with blocks turned inside out: wide in the middle, thin at both ends. "
             "No shortcut and no activation follows where a map changes its shape, as in MobileNetV2. "
             "The number at the end is how many channels a group of the middle convolution has.",
        names="""regnetz_b16 regnetz_c16 regnetz_d32 regnetz_d8 regnetz_e8 regnetz_b16_evos regnetz_c16_evos
                 regnetz_d8_evos""",
    ),
    family(
        "bat_resnext", title="ResNeXt with bilinear attention", year=2020, module="byobnet",
        url="https://openaccess.thecvf.com/content_CVPR_2020/html/"
            "Chi_Non-Local_Neural_Networks_With_Grouped_Bilinear_Attentional_Transforms_CVPR_2020_paper.html",
        paper="Chi et al., Non-Local Neural Networks With Grouped Bilinear Attentional Transforms",
        idea="A ResNeXt whose map is multiplied by two matrices, one that mixes its rows and one for its "
             "columns. "
             "Both are made from the map itself, and together they carry what is seen in one corner to any "
             "other. "
             "Attention would compare every place with every other; this costs two small products.",
        names="bat_resnext26ts",
    ),
    family(
        "resnet_pruned", title="Pruned ResNet", year=2020, arxiv="2002.08258", module="resnet_pruned",
        paper="Aflalo et al., Knapsack Pruning with Inner Distillation",
        idea="A trained network without the filters that mattered least, and almost as accurate as before. "
             "Choosing them is a knapsack problem: most importance for the arithmetic there is room for. "
             "The widths that are left are no round numbers, and each block has its own.",
        names="ecaresnet50d_pruned ecaresnet101d_pruned",
    ),
    family(
        "clip_resnet", title="CLIP's ResNet", year=2021, arxiv="2103.00020", module="clip_resnet",
        paper="Radford et al., Learning Transferable Visual Models From Natural Language Supervision",
        idea="A ResNet that learnt from four hundred million captions, and ends by asking instead of "
             "averaging. "
             "A photo's vector is pulled towards that of its own caption and pushed away from all others. "
             "In place of the mean, attention lets the mean of the map ask every place what it has seen.",
        names="""resnet50_clip resnet101_clip resnet50x4_clip resnet50x16_clip resnet50x64_clip
                 resnet50_clip_gap resnet101_clip_gap resnet50x4_clip_gap resnet50x16_clip_gap
                 resnet50x64_clip_gap resnet50_mlp""",
    ),
    family(
        "dpn", title="Dual path network", year=2017, arxiv="1707.01629", module="dpn",
        paper="Chen et al., Dual Path Networks",
        idea="ResNet and DenseNet in one: most of what a block finds is added, a small share is appended. "
             "Adding reuses features that are known already; appending leaves room for new ones. "
             "With both a network needs fewer channels than with either alone.",
        names="dpn48b dpn68 dpn68b dpn92 dpn98 dpn131 dpn107",
    ),
    family(
        "nf_resnet", title="NF-ResNet and NF-RegNet", year=2021, arxiv="2101.08692", module="nfnet",
        paper="Brock et al., Characterizing signal propagation to close the performance gap in unnormalized "
              "ResNets",
        idea="ResNets and RegNets without BatchNorm: what it would measure, arithmetic predicts. "
             "Filters are kept at mean zero and fixed size, and each block divides its input by the "
             "deviation that it must have by then. "
             "So no photo depends on the others of its batch, and training needs less memory.",
        names="""nf_resnet26 nf_resnet50 nf_resnet101 nf_seresnet26 nf_seresnet50 nf_seresnet101
                 nf_ecaresnet26 nf_ecaresnet50 nf_ecaresnet101 nf_regnet_b0 nf_regnet_b1 nf_regnet_b2
                 nf_regnet_b3 nf_regnet_b4 nf_regnet_b5""",
    ),
    family(
        "nfnet", title="NFNet", year=2021, arxiv="2102.06171", module="nfnet",
        paper="Brock et al., High-Performance Large-Scale Image Recognition Without Normalization",
        idea="The first network without normalisation that was as accurate as the best with it. "
             "Large batches used to upset such networks; cutting each filter's gradient to a share of the "
             "filter's own size cures that. "
             "The block is a wide ResNet's, with groups that suit the chip and a second 3 x 3 convolution.",
        names="""dm_nfnet_f0 dm_nfnet_f1 dm_nfnet_f2 dm_nfnet_f3 dm_nfnet_f4 dm_nfnet_f5 dm_nfnet_f6
                 nfnet_f0 nfnet_f1 nfnet_f2 nfnet_f3 nfnet_f4 nfnet_f5 nfnet_f6 nfnet_f7 nfnet_l0
                 eca_nfnet_l0 eca_nfnet_l1 eca_nfnet_l2 eca_nfnet_l3""",
    ),
)
