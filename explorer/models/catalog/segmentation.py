"""Networks that say of every pixel what it is a part of."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "unet", title="U-Net", year=2015, arxiv="1505.04597", module="unet", task="segmentation",
        oracle="segmentation-models-pytorch",
        paper="Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation",
        idea="Down to see what is there, up again to say where, and a bridge across at every height. "
             "The way down is a backbone that halves its maps; the way up doubles them, and each time sets "
             "the map of the same size from the way down beside its own, so that fine edges come back. "
             "It learns from some dozens of pictures, which is why microscopes and satellites use it most.",
        names="unet unet_resnet18 unet_resnet34 unet_resnet50 unet_efficientnet_b0 unet_lite0",
    ),
    family(
        "unetplusplus", title="U-Net++", year=2018, arxiv="1807.10165", module="unetplusplus",
        task="segmentation", oracle="segmentation-models-pytorch",
        paper="Zhou et al., UNet++: A Nested U-Net Architecture for Medical Image Segmentation",
        idea="The bridges of a U-Net are small U-Nets themselves. On its way across, a shallow map meets at "
             "each step what has come up from below it, so that both speak alike when they are set side by "
             "side. It costs more than a U-Net and draws finer edges, most of all around small things.",
        names="unetplusplus unetplusplus_resnet34 unetplusplus_resnet50",
    ),
    family(
        "fcn", title="FCN", year=2014, arxiv="1411.4038", module="fcn", task="segmentation",
        oracle="torchvision",
        paper="Long et al., Fully Convolutional Networks for Semantic Segmentation",
        idea="A classifier whose last layers are convolutions answers for every place of a photo in one "
             "pass. Its scores, enlarged to the photo's size, are the mask. All networks for masks here are "
             "children of this idea; this one adds only a backbone whose last stages dilate.",
        names="fcn fcn_resnet50 fcn_resnet101",
    ),
    family(
        "deeplabv3", title="DeepLab v3", year=2017, arxiv="1706.05587", module="deeplabv3",
        task="segmentation", oracle="torchvision",
        paper="Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation",
        idea="Every place is looked at from near, from far and as a part of the whole photo, all at once. "
             "The last stages of the backbone don't halve their maps: their filters look at pixels that lie "
             "further apart instead (dilation), so nothing of the place is lost. On that map five views "
             "stand side by side (ASPP), and a convolution mixes them.",
        names="deeplabv3 deeplabv3_resnet50 deeplabv3_resnet101 deeplabv3_mobilenet_v3_large",
    ),
    family(
        "deeplabv3plus", title="DeepLab v3+", year=2018, arxiv="1802.02611", module="deeplabv3plus",
        task="segmentation", oracle="segmentation-models-pytorch",
        paper="Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image "
              "Segmentation",
        idea="DeepLab v3 finds what is there, and one shallow map says where it ends. The map behind ASPP is "
             "enlarged four times, and the shallow map, made narrow, is set beside it. Separable "
             "convolutions make it cheaper than its parent.",
        names="deeplabv3plus deeplabv3plus_resnet50",
    ),
    family(
        "pspnet", title="PSPNet", year=2016, arxiv="1612.01105", module="pspnet", task="segmentation",
        oracle="pytorchcv", paper="Zhao et al., Pyramid Scene Parsing Network",
        idea="Before it says what a pixel is, it looks at the neighbourhood, the quarter and the whole "
             "photo. The last map is averaged in grids of 1, 4, 9 and 36 cells, and the means are set "
             "beside the map, so that a boat on a river is no car. A second head on a shallower map helps "
             "it to learn.",
        names="pspnet pspnet_resnet50",
    ),
    family(
        "fpn", title="FPN for masks", year=2019, arxiv="1901.02446", module="fpn", task="segmentation",
        oracle="segmentation-models-pytorch",
        paper="Kirillov et al., Panoptic Feature Pyramid Networks",
        idea="The deep maps are handed down to the shallow ones, and the sum of all levels is the mask. Each "
             "level of the pyramid knows what is there at its own scale; all are brought to the size of the "
             "finest and added. It is the pyramid of the detectors, so that one body can find both.",
        names="fpn fpn_resnet50",
    ),
    family(
        "linknet", title="LinkNet", year=2017, arxiv="1707.03718", module="linknet", task="segmentation",
        oracle="segmentation-models-pytorch",
        paper="Chaurasia and Culurciello, LinkNet: Exploiting Encoder Representations for Efficient "
              "Semantic Segmentation",
        idea="A U-Net that adds where the other sets side by side. So its blocks stay narrow, and it is "
             "faster with nearly the same masks. It was made for video on small computers.",
        names="linknet linknet_resnet34",
    ),
    family(
        "lraspp", title="LR-ASPP", year=2019, arxiv="1905.02244", module="lraspp", task="segmentation",
        oracle="torchvision", paper="Howard et al., Searching for MobileNetV3",
        idea="The smallest decoder that still says both what and where. A deep map, weighed channel by "
             "channel with what the whole photo looks like, and a shallow one with the edges each give "
             "scores, and these are added. Made for a phone, with a backbone that is made for it too.",
        names="lraspp lraspp_mobilenet_v3_large",
    ),
)
