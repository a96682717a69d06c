"""Networks made to be small and fast, by hand or by search."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "shufflenet_v2", title="ShuffleNetV2", year=2018, arxiv="1807.11164", module="shufflenet", oracle="torchvision",
        paper="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
        idea="Half of the channels pass by untouched, then all are shuffled: what a phone finds fast.",
        names="shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    ),
    family(
        "mobilenetv1", title="MobileNet", year=2017, arxiv="1704.04861", module="efficientnet",
        paper="Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        idea="A convolution in two cheap steps: filter each channel by itself, then mix the channels.",
        names="mobilenetv1_100 mobilenetv1_100h mobilenetv1_125",
    ),
    family(
        "mobilenetv2", title="MobileNetV2", year=2018, arxiv="1801.04381", module="efficientnet",
        paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        idea="Widen, filter each channel by itself, narrow again: a residual block turned inside out.",
        names="""mobilenetv2_035 mobilenetv2_050 mobilenetv2_075 mobilenetv2_100 mobilenetv2_140 mobilenetv2_110d
                 mobilenetv2_120d""",
    ),
    family(
        "mnasnet", title="MnasNet", year=2018, arxiv="1807.11626", module="efficientnet",
        paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile",
        idea="A search, paid by accuracy and by milliseconds on a real phone, chose the blocks.",
        names="mnasnet_050 mnasnet_075 mnasnet_100 mnasnet_140 mnasnet_small semnasnet_050 semnasnet_075 semnasnet_100 semnasnet_140",
    ),
    family(
        "fbnet", title="FBNet", year=2018, arxiv="1812.03443", module="efficientnet",
        paper="Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search",
        idea="All candidate blocks train at once, and gradients decide which of them stay.",
        names="fbnetc_100",
    ),
    family(
        "single_path_nas", title="Single-Path NAS", year=2019, arxiv="1904.02877", module="efficientnet",
        paper="Stamoulis et al., Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours",
        idea="One large kernel holds all smaller ones, so that the search for a network takes only hours.",
        names="spnasnet_100",
    ),
    family(
        "efficientnet", title="EfficientNet", year=2019, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        idea="Depth, width and resolution grow together by one fixed rule, from a small searched network.",
        names="""efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5
                 efficientnet_b6 efficientnet_b7 efficientnet_b8 tf_efficientnet_b0 tf_efficientnet_b1
                 tf_efficientnet_b2 tf_efficientnet_b3 tf_efficientnet_b4 tf_efficientnet_b5 tf_efficientnet_b6
                 tf_efficientnet_b7 tf_efficientnet_b8""",
    ),
    family(
        "efficientnet_lite", title="EfficientNet-Lite", year=2020, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet; the Lite variants are Google's release for phones of 2020",
        idea="EfficientNet without channel attention and with ReLU6: all that a phone's integer chip can run.",
        names="""efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3 efficientnet_lite4
                 tf_efficientnet_lite0 tf_efficientnet_lite1 tf_efficientnet_lite2 tf_efficientnet_lite3
                 tf_efficientnet_lite4""",
    ),
    family(
        "efficientnet_edge", title="EfficientNet-EdgeTPU", year=2020, arxiv="2003.02838", module="efficientnet",
        paper="Gupta and Akin, Accelerator-aware Neural Network Design using AutoML",
        idea="A chip made for full convolutions likes them better than the cheaper depthwise ones: fuse them.",
        names="""efficientnet_es efficientnet_em efficientnet_el tf_efficientnet_es tf_efficientnet_em
                 tf_efficientnet_el""",
    ),
    family(
        "tinynet", title="TinyNet", year=2020, arxiv="2010.14819", module="efficientnet",
        paper="Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets",
        idea="EfficientNet's rule run backwards: for a smaller network, keep the pixels and give up width.",
        names="tinynet_a tinynet_b tinynet_c tinynet_d tinynet_e",
    ),
    family(
        "mobilenetv3", title="MobileNetV3", year=2019, arxiv="1905.02244", module="mobilenetv3",
        paper="Howard et al., Searching for MobileNetV3",
        idea="A searched network, finished by hand: phone-friendly activations, and the widest layer behind the pooling.",
        names="""mobilenetv3_large_075 mobilenetv3_large_100 mobilenetv3_large_150d mobilenetv3_small_050
                 mobilenetv3_small_075 mobilenetv3_small_100 mobilenetv3_rw tf_mobilenetv3_large_075
                 tf_mobilenetv3_large_100 tf_mobilenetv3_large_minimal_100 tf_mobilenetv3_small_075
                 tf_mobilenetv3_small_100 tf_mobilenetv3_small_minimal_100""",
    ),
    family(
        "fbnetv3", title="FBNetV3", year=2020, arxiv="2006.02049", module="mobilenetv3",
        paper="Dai et al., FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining",
        idea="The best network depends on how it is trained, so the search chooses both together.",
        names="fbnetv3_b fbnetv3_d fbnetv3_g",
    ),
    family(
        "lcnet", title="PP-LCNet", year=2021, arxiv="2109.15099", module="mobilenetv3",
        paper="Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network",
        idea="No shortcuts, no widening: only what a plain processor computes fast, and large filters at the end.",
        names="lcnet_035 lcnet_050 lcnet_075 lcnet_100 lcnet_150",
    ),
    family(
        "efficientnetv2", title="EfficientNetV2", year=2021, arxiv="2104.00298", module="efficientnet",
        paper="Tan and Le, EfficientNetV2: Smaller Models and Faster Training",
        idea="Full convolutions where the map is large, depthwise ones where it is small: what a GPU does fastest.",
        names="""efficientnetv2_s efficientnetv2_m efficientnetv2_l efficientnetv2_xl efficientnetv2_rw_t
                 efficientnetv2_rw_s efficientnetv2_rw_m tf_efficientnetv2_s tf_efficientnetv2_m
                 tf_efficientnetv2_l tf_efficientnetv2_xl tf_efficientnetv2_b0 tf_efficientnetv2_b1
                 tf_efficientnetv2_b2 tf_efficientnetv2_b3""",
    ),
)
