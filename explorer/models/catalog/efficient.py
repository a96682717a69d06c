"""Networks made to be small and fast, by hand or by search."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "shufflenet_v2", title="ShuffleNetV2", year=2018, arxiv="1807.11164", module="shufflenet",
        oracle="torchvision",
        paper="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
        idea="Half of the channels pass by untouched, then all are shuffled: what a phone finds fast. "
             "The authors timed networks on real devices instead of counting multiplications, and wrote "
             "down four rules, such as equal widths before and after a convolution, and few branches. "
             "Shuffling has no weights, and lets the two halves tell each other what they found.",
        names="shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    ),
    family(
        "mobilenetv1", title="MobileNet", year=2017, arxiv="1704.04861", module="efficientnet",
        paper="Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision "
              "Applications",
        idea="A convolution in two cheap steps: filter each channel by itself, then mix the channels. "
             "With 3 x 3 filters this takes eight to nine times fewer multiplications than a full "
             "convolution, and costs little accuracy. "
             "Two factors, one for the width and one for the photo's size, trade accuracy for speed.",
        names="mobilenetv1_100 mobilenetv1_100h mobilenetv1_125",
    ),
    family(
        "mobilenetv2", title="MobileNetV2", year=2018, arxiv="1801.04381", module="efficientnet",
        paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        idea="Widen, filter each channel by itself, narrow again: a residual block turned inside out. "
             "The shortcut joins the narrow ends, so little has to be kept in memory between the blocks. "
             "The last 1 x 1 convolution of a block has no activation, because a ReLU destroys information "
             "where channels are few.",
        names="""mobilenetv2_035 mobilenetv2_050 mobilenetv2_075 mobilenetv2_100 mobilenetv2_140
                 mobilenetv2_110d mobilenetv2_120d""",
    ),
    family(
        "mnasnet", title="MnasNet", year=2018, arxiv="1807.11626", module="efficientnet",
        paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile",
        idea="A search, paid by accuracy and by milliseconds on a real phone, chose the blocks. "
             "A controller proposes networks, each is trained briefly and timed on the phone, and the "
             "reward weighs both. "
             "Every part of the network may get its own kind of block, filter size and width, where earlier "
             "searches repeated one cell everywhere.",
        names="""mnasnet_050 mnasnet_075 mnasnet_100 mnasnet_140 mnasnet_small semnasnet_050 semnasnet_075
                 semnasnet_100 semnasnet_140""",
    ),
    family(
        "fbnet", title="FBNet", year=2018, arxiv="1812.03443", module="efficientnet",
        paper="Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural "
              "Architecture Search",
        idea="All candidate blocks train at once, and gradients decide which of them stay. "
             "Each layer is a weighted mixture of nine candidates, and the weights of the mixture are "
             "learnt beside the filters. "
             "A table of the time that each block takes on the phone makes speed a part of the loss.",
        names="fbnetc_100",
    ),
    family(
        "single_path_nas", title="Single-Path NAS", year=2019, arxiv="1904.02877", module="efficientnet",
        paper="Stamoulis et al., Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours",
        idea="One large kernel holds all smaller ones, so that the search for a network takes only hours. "
             "A 3 x 3 filter is the middle of a 5 x 5 one, and learnt thresholds decide whether the outer "
             "ring, or half of the channels, is needed. "
             "All candidates share these weights, so searching is hardly more than training one network.",
        names="spnasnet_100",
    ),
    family(
        "efficientnet", title="EfficientNet", year=2019, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        idea="Depth, width and resolution grow together by one fixed rule, from a small searched network. "
             "Where only one of them grows, accuracy soon stops to rise; from B0 to B7 all three grow by "
             "factors that were found on B0. "
             "The blocks are MobileNetV2's with channel attention, and B7 was as accurate as the best "
             "network of its time with 8.4 times fewer parameters.",
        names="""efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4
                 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_b8 tf_efficientnet_b0
                 tf_efficientnet_b1 tf_efficientnet_b2 tf_efficientnet_b3 tf_efficientnet_b4
                 tf_efficientnet_b5 tf_efficientnet_b6 tf_efficientnet_b7 tf_efficientnet_b8
                 efficientnet_l2 tf_efficientnet_l2""",
    ),
    family(
        "efficientnet_lite", title="EfficientNet-Lite", year=2020, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet; the Lite variants are Google's release for phones of 2020",
        idea="EfficientNet without channel attention and with ReLU6: all that a phone's integer chip can "
             "run. "
             "Chips for phones support squeeze-and-excitation poorly, and the swish activation suffers in "
             "8-bit numbers, so both had to go. "
             "Stem and head keep their size in the larger variants, which saves time.",
        names="""efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3
                 efficientnet_lite4 tf_efficientnet_lite0 tf_efficientnet_lite1 tf_efficientnet_lite2
                 tf_efficientnet_lite3 tf_efficientnet_lite4""",
    ),
    family(
        "efficientnet_edge", title="EfficientNet-EdgeTPU", year=2020, arxiv="2003.02838",
        module="efficientnet", paper="Gupta and Akin, Accelerator-aware Neural Network Design using AutoML",
        idea="A chip made for full convolutions likes them better than the cheaper depthwise ones: fuse "
             "them. "
             "On Google's Edge TPU one full 3 x 3 convolution is often faster than a 1 x 1 and a depthwise "
             "one in a row, though it multiplies more. "
             "A search that knew the chip's times put such fused blocks where they pay.",
        names="""efficientnet_es efficientnet_em efficientnet_el tf_efficientnet_es tf_efficientnet_em
                 tf_efficientnet_el efficientnet_es_pruned efficientnet_el_pruned""",
    ),
    family(
        "tinynet", title="TinyNet", year=2020, arxiv="2010.14819", module="efficientnet",
        paper="Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets",
        idea="EfficientNet's rule run backwards: for a smaller network, keep the pixels and give up width. "
             "The authors trained many small networks and found that resolution and depth matter more than "
             "width when the budget is tight. "
             "A formula fitted to the best of them gives a network for any budget, here five from A to E.",
        names="tinynet_a tinynet_b tinynet_c tinynet_d tinynet_e",
    ),
    family(
        "mobilenetv3", title="MobileNetV3", year=2019, arxiv="1905.02244", module="mobilenetv3",
        paper="Howard et al., Searching for MobileNetV3",
        idea="A searched network, finished by hand: phone-friendly activations, and the widest layer behind "
             "the pooling. "
             "One search chose the blocks with the phone's time in view, a second one trimmed the widths "
             "layer by layer. "
             "By hand came hard-swish, which needs no exponential, and the cheaper end: its widest layer "
             "works on one pooled pixel in place of 49.",
        names="""mobilenetv3_large_075 mobilenetv3_large_100 mobilenetv3_large_150d mobilenetv3_small_050
                 mobilenetv3_small_075 mobilenetv3_small_100 mobilenetv3_rw tf_mobilenetv3_large_075
                 tf_mobilenetv3_large_100 tf_mobilenetv3_large_minimal_100 tf_mobilenetv3_small_075
                 tf_mobilenetv3_small_100 tf_mobilenetv3_small_minimal_100""",
    ),
    family(
        "fbnetv3", title="FBNetV3", year=2020, arxiv="2006.02049", module="mobilenetv3",
        paper="Dai et al., FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining",
        idea="The best network depends on how it is trained, so the search chooses both together. "
             "A predictor learns to tell accuracy from architecture and recipe: optimiser, learning rate, "
             "augmentation and more. "
             "An evolutionary search then asks the predictor instead of training every candidate.",
        names="fbnetv3_b fbnetv3_d fbnetv3_g",
    ),
    family(
        "lcnet", title="PP-LCNet", year=2021, arxiv="2109.15099", module="mobilenetv3",
        paper="Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network",
        idea="No shortcuts, no widening: only what a plain processor computes fast, and large filters at "
             "the end. "
             "Depthwise separable convolutions with hard-swish follow one another, as Intel's library for "
             "neural networks likes it. "
             "Channel attention and 5 x 5 filters stand only in the last blocks, where they cost little "
             "time and help most.",
        names="lcnet_035 lcnet_050 lcnet_075 lcnet_100 lcnet_150",
    ),
    family(
        "efficientnetv2", title="EfficientNetV2", year=2021, arxiv="2104.00298", module="efficientnet",
        paper="Tan and Le, EfficientNetV2: Smaller Models and Faster Training",
        idea="Full convolutions where the map is large, depthwise ones where it is small: what a GPU does "
             "fastest. "
             "A search for short training chose where such fused blocks pay, and narrower middles than "
             "EfficientNet's. "
             "In training the photos grow from small to large, and augmentation and dropout grow with them.",
        names="""efficientnetv2_s efficientnetv2_m efficientnetv2_l efficientnetv2_xl efficientnetv2_rw_t
                 efficientnetv2_rw_s efficientnetv2_rw_m tf_efficientnetv2_s tf_efficientnetv2_m
                 tf_efficientnetv2_l tf_efficientnetv2_xl tf_efficientnetv2_b0 tf_efficientnetv2_b1
                 tf_efficientnetv2_b2 tf_efficientnetv2_b3""",
    ),
    family(
        "mobilenetv4", title="MobileNetV4", year=2024, arxiv="2404.10518", module="mobilenetv4",
        paper="Qin et al., MobileNetV4: Universal Models for the Mobile Ecosystem",
        idea="One block with two cheap filters that may each be left out: MobileNet's, ConvNeXt's and a "
             "transformer's block in one. "
             "A search places these four forms, and looks for networks that are fast on every kind of phone "
             "chip, not on one. "
             "The hybrid networks add attention whose heads share their keys and values, because a phone "
             "waits for memory more than for arithmetic.",
        names="""mobilenetv4_conv_small mobilenetv4_conv_small_035 mobilenetv4_conv_small_050
                 mobilenetv4_conv_medium mobilenetv4_conv_aa_medium mobilenetv4_conv_blur_medium
                 mobilenetv4_conv_large mobilenetv4_conv_aa_large mobilenetv4_hybrid_medium
                 mobilenetv4_hybrid_medium_075 mobilenetv4_hybrid_large mobilenetv4_hybrid_large_075""",
    ),
    family(
        "repvgg", title="RepVGG", year=2021, arxiv="2101.03697", module="repvgg",
        paper="Ding et al., RepVGG: Making VGG-style ConvNets Great Again",
        idea="It trains with shortcuts and predicts without them: every block can be folded into one "
             "convolution. "
             "While it learns, a 1 x 1 convolution and a shortcut stand beside each 3 x 3 convolution and "
             "help the gradient. "
             "All three are linear, so afterwards their filters are added up, and what runs is as plain as "
             "VGG.",
        names="""repvgg_a0 repvgg_a1 repvgg_a2 repvgg_b0 repvgg_b1 repvgg_b1g4 repvgg_b2 repvgg_b2g4 repvgg_b3
                 repvgg_b3g4 repvgg_d2se""",
    ),
    family(
        "mobileone", title="MobileOne", year=2022, arxiv="2206.04040", module="mobileone",
        paper="Vasu et al., MobileOne: An Improved One millisecond Mobile Backbone",
        idea="One millisecond on a phone: many branches while it learns, a plain stack of convolutions when "
             "it runs. "
             "Counting multiplications does not tell the time on a phone; waiting for branches and memory "
             "does. "
             "So each depthwise and each 1 x 1 convolution is trained with copies and shortcuts, which are "
             "then folded into it.",
        names="mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3 mobileone_s4",
    ),
    family(
        "ghostnet", title="GhostNet", year=2019, arxiv="1911.11907", module="ghostnet",
        paper="Han et al., GhostNet: More Features from Cheap Operations",
        idea="Half of each map is computed, and the other half made of it by one small filter for each "
             "channel. "
             "For many maps inside a trained network are near twins of others, which need no work of their "
             "own. "
             "So a block costs about half of what MobileNet's costs.",
        names="ghostnet_050 ghostnet_100 ghostnet_130",
    ),
    family(
        "ghostnetv2", title="GhostNetV2", year=2022, arxiv="2211.12905", module="ghostnet",
        paper="Tang et al., GhostNetV2: Enhance Cheap Operation with Long-Range Attention",
        idea="GhostNet with a gate that looks along rows, then along columns, and so sees far for little "
             "work. "
             "Small filters alone never relate one end of a photo to the other. "
             "The gate is computed at half the size, and weighs every place of the widened map.",
        names="ghostnetv2_100 ghostnetv2_130 ghostnetv2_160",
    ),
    family(
        "ghostnetv3", title="GhostNetV3", year=2024, arxiv="2404.11202", module="ghostnet",
        paper="Liu et al., GhostNetV3: Exploring the Training Strategies for Compact Models",
        idea="Each convolution is trained as a sum of several, and becomes one again when training is over. "
             "The branches make a small network learn better, and the sum of linear maps is a linear map. "
             "`reparameterize()` does it: equal outputs, at the cost of version 2.",
        names="ghostnetv3_050 ghostnetv3_100 ghostnetv3_130 ghostnetv3_160",
    ),
    family(
        "mobilevit", title="MobileViT", year=2021, arxiv="2110.02178", module="mobilevit",
        paper="Mehta and Rastegari, MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision "
              "Transformer",
        idea="Attention small enough for a phone, between MobileNetV2's convolutions. "
             "The map is cut into patches of 2 x 2 places, and only places at the same corner of all "
             "patches look at each other. "
             "The convolutions around tell each place what its neighbours have learnt, so that nothing is "
             "lost.",
        names="mobilevit_xxs mobilevit_xs mobilevit_s",
    ),
    family(
        "mobilevitv2", title="MobileViT V2", year=2022, arxiv="2206.02680", module="mobilevit",
        paper="Mehta and Rastegari, Separable Self-attention for Mobile Vision Transformers",
        idea="MobileViT without the matrix of who looks at whom: attention whose cost grows with the "
             "places, not with their square. "
             "Every place says with one number how much it matters, and all together make one summary of "
             "the photo. "
             "Each place then takes from the summary what it needs.",
        names="""mobilevitv2_050 mobilevitv2_075 mobilevitv2_100 mobilevitv2_125 mobilevitv2_150
                 mobilevitv2_175 mobilevitv2_200""",
    ),
    family(
        "gernet", title="GERNet", year=2020, arxiv="2006.14090", module="byobnet",
        paper="Lin et al., Neural Architecture Design for GPU-Efficient Networks",
        idea="What is fast is measured on the graphics card, not counted: full convolutions early, narrow "
             "ones late. "
             "Depthwise convolutions have few multiplications, and leave a card waiting for memory where "
             "the map is large. "
             "So the search uses plain blocks on large maps, bottlenecks on small ones, and depthwise "
             "bottlenecks only at the end.",
        names="gernet_s gernet_m gernet_l",
    ),
    family(
        "rexnet", title="ReXNet", year=2020, arxiv="2007.00992", module="rexnet",
        paper="Han et al., Rethinking Channel Dimensions for Efficient Model Design",
        idea="MobileNetV2 whose channels grow by the same small number from block to block. "
             "In networks that grow in a few large steps, the layer behind a step is too narrow for what it "
             "should hold. "
             "A shortcut adds the old channels to the first of the new ones.",
        names="""rexnet_100 rexnet_130 rexnet_150 rexnet_200 rexnet_300 rexnetr_100 rexnetr_130 rexnetr_150
                 rexnetr_200 rexnetr_300""",
    ),
    family(
        "mixnet", title="MixNet", year=2019, arxiv="1907.09595", module="mixnet",
        paper="Tan and Le, MixConv: Mixed Depthwise Convolutional Kernels",
        idea="Some channels of a layer get small filters, others large ones: fine detail and whole parts at "
             "once. "
             "A depthwise convolution treats every channel by itself anyway, so that this costs hardly "
             "anything. "
             "A search chose the mixture of every layer, with filters from 3 x 3 up to 11 x 11.",
        names="mixnet_s mixnet_m mixnet_l mixnet_xl mixnet_xxl tf_mixnet_s tf_mixnet_m tf_mixnet_l",
    ),
    family(
        "repvit", title="RepViT", year=2023, arxiv="2307.09283", module="repvit",
        paper="Wang et al., RepViT: Revisiting Mobile CNN From ViT Perspective",
        idea="MobileNetV3's parts in a transformer's order: first mix places, then channels, each with a "
             "shortcut. "
             "Convolutions alone then beat small transformers on a phone, in accuracy and in time. "
             "Its filters are trained as sums of three, and `reparameterize()` makes each of them one.",
        names="""repvit_m1 repvit_m2 repvit_m3 repvit_m0_9 repvit_m1_0 repvit_m1_1 repvit_m1_5 repvit_m2_3""",
    ),
    family(
        "mobilenet_edgetpu", title="MobileNetEdgeTPU", year=2020, arxiv="2003.02838",
        module="mobilenet_edgetpu",
        paper="Gupta and Akin, Accelerator-aware Neural Network Design using AutoML",
        idea="MobileNet for a chip that computes full convolutions faster than it fetches data for "
             "depthwise ones. "
             "Large maps get full convolutions, which widen and filter in one; small maps keep "
             "MobileNetV2's block. "
             "The second version, of 2022, splits some of them into groups, a middle way.",
        names="""mobilenet_edgetpu_100 mobilenet_edgetpu_v2_xs mobilenet_edgetpu_v2_s mobilenet_edgetpu_v2_m
                 mobilenet_edgetpu_v2_l""",
    ),
    family(
        "condconv", title="CondConv", year=2019, arxiv="1904.04971", module="condconv",
        paper="Yang et al., CondConv: Conditionally Parameterized Convolutions for Efficient Inference",
        idea="Every photo gets filters of its own, mixed from four or eight sets. "
             "A small layer looks at the mean of the map and says how much of each set this photo needs. "
             "The sets are added before they are used, so there is one convolution to compute, and not "
             "eight.",
        names="""efficientnet_cc_b0_4e efficientnet_cc_b0_8e efficientnet_cc_b1_8e tf_efficientnet_cc_b0_4e
                 tf_efficientnet_cc_b0_8e tf_efficientnet_cc_b1_8e""",
    ),
    family(
        "efficientnet_blur", title="EfficientNet with blur", year=2019, arxiv="1904.11486",
        module="efficientnet_relatives", paper="Zhang, Making Convolutional Networks Shift-Invariant Again",
        idea="EfficientNet that blurs a map before it skips pixels. "
             "A network that keeps every second pixel may change its mind when the photo moves by one. "
             "A small blur lets each pixel that is kept speak for its neighbours, and costs no parameters.",
        names="efficientnet_blur_b0",
    ),
    family(
        "efficientnet_gn", title="EfficientNet with group norm", year=2018, arxiv="1803.08494",
        module="efficientnet_relatives", paper="Wu and He, Group Normalization; sizes chosen by Wightman",
        idea="EfficientNet that normalises each photo by itself, a group of channels at a time. "
             "BatchNorm needs many photos at once for its means, and large photos leave room for few. "
             "Some of these also let a filter see a group of channels (g8, g16) where EfficientNet's sees "
             "one.",
        names="""efficientnet_b0_gn efficientnet_b0_g8_gn efficientnet_b0_g16_evos efficientnet_b3_gn
                 efficientnet_b3_g8_gn""",
    ),
    family(
        "efficientnet_pruned", title="Pruned EfficientNet", year=2020, arxiv="2002.08258",
        module="efficientnet_pruned", paper="Aflalo et al., Knapsack Pruning with Inner Distillation",
        idea="EfficientNet without the filters that mattered least. "
             "Each filter has a weight, its arithmetic, and a worth, its importance; a knapsack of fixed "
             "size is packed with the best. "
             "Those left out worked mostly on large maps, where a filter costs most.",
        names="efficientnet_b1_pruned efficientnet_b2_pruned efficientnet_b3_pruned",
    ),
    family(
        "efficientnet_x", title="EfficientNet-X", year=2021, arxiv="2102.05610",
        module="efficientnet_relatives",
        paper="Li et al., Searching for Fast Model Families on Datacenter Accelerators",
        idea="An EfficientNet for the chips of data centres, which multiply fast and fetch slowly. "
             "Its first block folds each four pixels into channels: as much arithmetic, and a shape that "
             "fills the chip better. "
             "Full convolutions with ReLU follow where maps are large, and EfficientNet's blocks where they "
             "are small.",
        names="efficientnet_x_b3 efficientnet_x_b5 efficientnet_h_b5",
    ),
    family(
        "efficientnetv2_gc", title="EfficientNetV2 with global context", year=2021, arxiv="1904.11492",
        module="efficientnet_relatives", paper="Cao et al., GCNet; put into EfficientNetV2 by Wightman",
        idea="EfficientNetV2 whose channel attention asks the places that count, not the mean of all. "
             "The map says by itself which places those are. "
             "Their weighted mean goes through a small network that weighs the channels, as in "
             "squeeze-and-excitation.",
        names="gc_efficientnetv2_rw_t",
    ),
)
