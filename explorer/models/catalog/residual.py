"""The ResNet and its relatives."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "resnet", title="ResNet", year=2015, arxiv="1512.03385", module="resnet",
        paper="He et al., Deep Residual Learning for Image Recognition",
        idea="Each block adds a correction to its input, so gradients reach the first layer of even 152.",
        names="resnet18 resnet26 resnet34 resnet50 resnet101 resnet152 resnet200 resnet50_gn",
    ),
    family(
        "wide_resnet", title="Wide ResNet", year=2016, arxiv="1605.07146", module="resnet",
        paper="Zagoruyko and Komodakis, Wide Residual Networks",
        idea="Fewer layers, twice as many channels in each: as accurate, and faster on a GPU.",
        names="wide_resnet50_2 wide_resnet101_2",
    ),
    family(
        "resnext", title="ResNeXt", year=2016, arxiv="1611.05431", module="resnet",
        paper="Xie et al., Aggregated Residual Transformations for Deep Neural Networks",
        idea="The middle convolution is split into 32 or 64 groups: many small paths beside each other.",
        names="""resnext50_32x4d resnext50d_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d resnext101_32x32d
                 resnext101_64x4d""",
    ),
    family(
        "seresnet", title="SE-ResNet", year=2017, arxiv="1709.01507", module="resnet",
        paper="Hu et al., Squeeze-and-Excitation Networks",
        idea="After each block, the network weighs its own channels, photo by photo.",
        names="""seresnet18 seresnet34 seresnet50 seresnet50t seresnet101 seresnet152 seresnet152d seresnet200d seresnet269d
                 seresnext26d_32x4d seresnext26t_32x4d seresnext50_32x4d seresnext101_32x4d seresnext101_32x8d
                 seresnext101_64x4d seresnext101d_32x8d senet154""",
    ),
    family(
        "resnet_d", title="ResNet-C, D, S and T", year=2018, arxiv="1812.01187", module="resnet",
        paper="He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks",
        idea="Three small convolutions replace the large first one, and shortcuts average before they halve.",
        names="""resnet10t resnet14t resnet18d resnet26d resnet26t resnet34d resnet50c resnet50d resnet50s resnet50t
                 resnet101c resnet101d resnet101s resnet152c resnet152d resnet152s resnet200d""",
    ),
    family(
        "ecaresnet", title="ECA-ResNet", year=2019, arxiv="1910.03151", module="resnet",
        paper="Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
        idea="Channel attention for a handful of parameters: each channel looks only at its neighbours.",
        names="""ecaresnet26t ecaresnet50d ecaresnet50t ecaresnetlight ecaresnet101d ecaresnet200d ecaresnet269d
                 ecaresnext26t_32x4d ecaresnext50t_32x4d""",
    ),
    family(
        "sknet", title="SKNet", year=2019, arxiv="1903.06586", module="sknet",
        paper="Li et al., Selective Kernel Networks",
        idea="Two sizes of neighbourhood beside each other, and the photo decides for each channel which one counts.",
        names="skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d",
    ),
    family(
        "res2net", title="Res2Net", year=2019, arxiv="1904.01169", module="res2net",
        paper="Gao et al., Res2Net: A New Multi-scale Backbone Architecture",
        idea="Inside one block, groups of channels are filtered in a row, so that it sees many sizes at once.",
        names="""res2net50_48w_2s res2net50_14w_8s res2net50_26w_4s res2net50_26w_6s res2net50_26w_8s
                 res2net101_26w_4s res2net50d res2net101d res2next50""",
    ),
    family(
        "resnest", title="ResNeSt", year=2020, arxiv="2004.08955", module="resnest",
        paper="Zhang et al., ResNeSt: Split-Attention Networks",
        idea="Each block makes several maps and weighs them against each other, channel by channel.",
        names="""resnest14d resnest26d resnest50d resnest101e resnest200e resnest269e resnest50d_4s2x40d
                 resnest50d_1s4x24d""",
    ),
    family(
        "resnet_aa", title="Anti-aliased ResNet", year=2019, arxiv="1904.11486", module="resnet",
        paper="Zhang, Making Convolutional Networks Shift-Invariant Again",
        idea="Blur before every halving, so that a photo moved by one pixel keeps its label.",
        names="""resnetblur18 resnetblur50 resnetblur50d resnetblur101d resnetaa34d resnetaa50 resnetaa50d resnetaa101d
                 seresnetaa50d seresnextaa101d_32x8d seresnextaa201d_32x8d""",
    ),
    family(
        "resnet_rs", title="ResNet-RS", year=2021, arxiv="2103.07579", module="resnet",
        paper="Bello et al., Revisiting ResNets: Improved Training and Scaling Strategies",
        idea="The old network with new training and sensible scaling reaches EfficientNet's accuracy.",
        names="resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420",
    ),
    family(
        "regnet", title="RegNet", year=2020, arxiv="2003.13678", module="regnet",
        paper="Radosavovic et al., Designing Network Design Spaces",
        idea="Search for rules instead of one network: in good networks the width grows along a straight line.",
        names="""regnetx_002 regnetx_004 regnetx_004_tv regnetx_006 regnetx_008 regnetx_016 regnetx_032 regnetx_040
                 regnetx_064 regnetx_080 regnetx_120 regnetx_160 regnetx_320 regnety_002 regnety_004 regnety_006
                 regnety_008 regnety_008_tv regnety_016 regnety_032 regnety_040 regnety_064 regnety_080
                 regnety_080_tv regnety_120 regnety_160 regnety_320 regnety_640 regnety_1280 regnety_2560
                 regnetv_040 regnetv_064""",
    ),
    family(
        "regnetz", title="RegNetZ", year=2021, arxiv="2103.06877", module="regnet",
        paper="Dollar et al., Fast and Accurate Model Scaling",
        idea="Grow the width more than depth and photo size: then the time grows least for the same accuracy.",
        names="regnetz_005 regnetz_040 regnetz_040_h",
    ),
)
