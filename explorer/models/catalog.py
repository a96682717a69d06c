"""The table of contents: every backbone explorer knows, by family. Pure Python, no torch.

A family here is an idea with a paper and a year, as a course would teach it; several ideas may share one
file of code (`module`), where they differ only in the block they stack.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Family:
    """One idea: `names` are the architectures, `module` the file in `explorer/models/backbones/`.

    oracle: whose names, keys and numbers ours are: "timm", "torchvision", or "paper" where neither has them.
    """

    name: str
    title: str
    year: int
    paper: str
    url: str
    module: str
    idea: str
    names: tuple[str, ...]
    task: str = "classification"
    oracle: str = "timm"


def _family(
    name: str, *, title: str, year: int, paper: str, arxiv: str = "", url: str = "", module: str, idea: str, names: str,
    oracle: str = "timm",
) -> Family:
    """One row of the table: the paper by its number on arXiv, or by `url` where it is not there."""
    return Family(name=name, title=title, year=year, paper=paper, url=url or f"https://arxiv.org/abs/{arxiv}",
                  module=module, idea=idea, names=tuple(names.split()), oracle=oracle)


FAMILIES: dict[str, Family] = {family.name: family for family in (
    _family(
        "lenet", title="LeNet-5", year=1998, module="lenet", oracle="paper",
        url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
        paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition",
        idea="Small shared filters find a stroke wherever it is; learnt from pixels, they read cheques.",
        names="lenet5",
    ),
    _family(
        "convmixer", title="ConvMixer", year=2022, arxiv="2201.09792", module="convmixer",
        paper="Trockman and Kolter, Patches Are All You Need?",
        idea="Patches as in a transformer, but large convolutions in place of attention: it works, too.",
        names="convmixer_768_32 convmixer_1024_20_ks9_p14 convmixer_1536_20",
    ),
    _family(
        "alexnet", title="AlexNet", year=2012, module="alexnet", oracle="torchvision",
        url="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
        paper="Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks",
        idea="Five convolutions, ReLU, dropout and two graphics cards: the network that ended the argument.",
        names="alexnet",
    ),
    _family(
        "googlenet", title="GoogLeNet", year=2014, arxiv="1409.4842", module="googlenet", oracle="torchvision",
        paper="Szegedy et al., Going Deeper with Convolutions",
        idea="Each module looks at the same map through windows of several sizes at once.",
        names="googlenet",
    ),
    _family(
        "squeezenet", title="SqueezeNet", year=2016, arxiv="1602.07360", module="squeezenet", oracle="torchvision",
        paper="Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        idea="Squeeze to few channels, expand again: as accurate as AlexNet in a fiftieth of its parameters.",
        names="squeezenet1_0 squeezenet1_1",
    ),
    _family(
        "shufflenet_v2", title="ShuffleNetV2", year=2018, arxiv="1807.11164", module="shufflenet", oracle="torchvision",
        paper="Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
        idea="Half of the channels pass by untouched, then all are shuffled: what a phone finds fast.",
        names="shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    ),
    _family(
        "vgg", title="VGG", year=2014, arxiv="1409.1556", module="vgg",
        paper="Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition",
        idea="Nothing but 3 x 3 convolutions, stacked deep, with the map halved five times.",
        names="vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
    ),
    _family(
        "inception_v3", title="Inception v3", year=2015, arxiv="1512.00567", module="inception_v3",
        paper="Szegedy et al., Rethinking the Inception Architecture for Computer Vision",
        idea="Filters of several sizes look beside each other, and large ones are taken apart into small ones.",
        names="inception_v3",
    ),
    _family(
        "resnet", title="ResNet", year=2015, arxiv="1512.03385", module="resnet",
        paper="He et al., Deep Residual Learning for Image Recognition",
        idea="Each block adds a correction to its input, so gradients reach the first layer of even 152.",
        names="resnet18 resnet26 resnet34 resnet50 resnet101 resnet152 resnet200 resnet50_gn",
    ),
    _family(
        "wide_resnet", title="Wide ResNet", year=2016, arxiv="1605.07146", module="resnet",
        paper="Zagoruyko and Komodakis, Wide Residual Networks",
        idea="Fewer layers, twice as many channels in each: as accurate, and faster on a GPU.",
        names="wide_resnet50_2 wide_resnet101_2",
    ),
    _family(
        "resnext", title="ResNeXt", year=2016, arxiv="1611.05431", module="resnet",
        paper="Xie et al., Aggregated Residual Transformations for Deep Neural Networks",
        idea="The middle convolution is split into 32 or 64 groups: many small paths beside each other.",
        names="""resnext50_32x4d resnext50d_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d resnext101_32x32d
                 resnext101_64x4d""",
    ),
    _family(
        "densenet", title="DenseNet", year=2016, arxiv="1608.06993", module="densenet",
        paper="Huang et al., Densely Connected Convolutional Networks",
        idea="Each layer reads the maps of all layers before it, and adds a few channels of its own.",
        names="densenet121 densenet161 densenet169 densenet201 densenet264d densenetblur121d",
    ),
    _family(
        "inception_v4", title="Inception v4", year=2016, arxiv="1602.07261", module="inception_v4",
        paper="Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
        idea="Three kinds of Inception block, each repeated as it is, and not one shortcut.",
        names="inception_v4",
    ),
    _family(
        "inception_resnet", title="Inception-ResNet", year=2016, arxiv="1602.07261", module="inception_resnet_v2",
        paper="Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
        idea="Inception's paths learn corrections, as in ResNet, and so train in a fraction of the time.",
        names="inception_resnet_v2",
    ),
    _family(
        "xception", title="Xception", year=2016, arxiv="1610.02357", module="xception",
        paper="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions",
        idea="Inception taken to its end: filter each channel by itself, then mix them all.",
        names="legacy_xception",
    ),
    _family(
        "xception_aligned", title="Aligned Xception", year=2018, arxiv="1802.02611", module="xception_aligned",
        paper="Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
        idea="Xception whose maps lie exactly over the photo, as the backbone of DeepLab v3+.",
        names="xception41 xception41p xception65 xception65p xception71",
    ),
    _family(
        "dla", title="DLA", year=2017, arxiv="1707.06484", module="dla",
        paper="Yu et al., Deep Layer Aggregation",
        idea="Layers are merged in pairs, and pairs of pairs, so that shallow and deep ones meet everywhere.",
        names="""dla34 dla46_c dla46x_c dla60 dla60x dla60x_c dla60_res2net dla60_res2next dla102 dla102x dla102x2
                 dla169""",
    ),
    _family(
        "seresnet", title="SE-ResNet", year=2017, arxiv="1709.01507", module="resnet",
        paper="Hu et al., Squeeze-and-Excitation Networks",
        idea="After each block, the network weighs its own channels, photo by photo.",
        names="""seresnet18 seresnet34 seresnet50 seresnet50t seresnet101 seresnet152 seresnet152d seresnet200d seresnet269d
                 seresnext26d_32x4d seresnext26t_32x4d seresnext50_32x4d seresnext101_32x4d seresnext101_32x8d
                 seresnext101_64x4d seresnext101d_32x8d senet154""",
    ),
    _family(
        "resnet_d", title="ResNet-C, D, S and T", year=2018, arxiv="1812.01187", module="resnet",
        paper="He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks",
        idea="Three small convolutions replace the large first one, and shortcuts average before they halve.",
        names="""resnet10t resnet14t resnet18d resnet26d resnet26t resnet34d resnet50c resnet50d resnet50s resnet50t
                 resnet101c resnet101d resnet101s resnet152c resnet152d resnet152s resnet200d""",
    ),
    _family(
        "ecaresnet", title="ECA-ResNet", year=2019, arxiv="1910.03151", module="resnet",
        paper="Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
        idea="Channel attention for a handful of parameters: each channel looks only at its neighbours.",
        names="""ecaresnet26t ecaresnet50d ecaresnet50t ecaresnetlight ecaresnet101d ecaresnet200d ecaresnet269d
                 ecaresnext26t_32x4d ecaresnext50t_32x4d""",
    ),
    _family(
        "sknet", title="SKNet", year=2019, arxiv="1903.06586", module="sknet",
        paper="Li et al., Selective Kernel Networks",
        idea="Two sizes of neighbourhood beside each other, and the photo decides for each channel which one counts.",
        names="skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d",
    ),
    _family(
        "res2net", title="Res2Net", year=2019, arxiv="1904.01169", module="res2net",
        paper="Gao et al., Res2Net: A New Multi-scale Backbone Architecture",
        idea="Inside one block, groups of channels are filtered in a row, so that it sees many sizes at once.",
        names="""res2net50_48w_2s res2net50_14w_8s res2net50_26w_4s res2net50_26w_6s res2net50_26w_8s
                 res2net101_26w_4s res2net50d res2net101d res2next50""",
    ),
    _family(
        "resnest", title="ResNeSt", year=2020, arxiv="2004.08955", module="resnest",
        paper="Zhang et al., ResNeSt: Split-Attention Networks",
        idea="Each block makes several maps and weighs them against each other, channel by channel.",
        names="""resnest14d resnest26d resnest50d resnest101e resnest200e resnest269e resnest50d_4s2x40d
                 resnest50d_1s4x24d""",
    ),
    _family(
        "resnet_aa", title="Anti-aliased ResNet", year=2019, arxiv="1904.11486", module="resnet",
        paper="Zhang, Making Convolutional Networks Shift-Invariant Again",
        idea="Blur before every halving, so that a photo moved by one pixel keeps its label.",
        names="""resnetblur18 resnetblur50 resnetblur50d resnetblur101d resnetaa34d resnetaa50 resnetaa50d resnetaa101d
                 seresnetaa50d seresnextaa101d_32x8d seresnextaa201d_32x8d""",
    ),
    _family(
        "resnet_rs", title="ResNet-RS", year=2021, arxiv="2103.07579", module="resnet",
        paper="Bello et al., Revisiting ResNets: Improved Training and Scaling Strategies",
        idea="The old network with new training and sensible scaling reaches EfficientNet's accuracy.",
        names="resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420",
    ),
    _family(
        "mobilenetv1", title="MobileNet", year=2017, arxiv="1704.04861", module="efficientnet",
        paper="Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        idea="A convolution in two cheap steps: filter each channel by itself, then mix the channels.",
        names="mobilenetv1_100 mobilenetv1_100h mobilenetv1_125",
    ),
    _family(
        "mobilenetv2", title="MobileNetV2", year=2018, arxiv="1801.04381", module="efficientnet",
        paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        idea="Widen, filter each channel by itself, narrow again: a residual block turned inside out.",
        names="""mobilenetv2_035 mobilenetv2_050 mobilenetv2_075 mobilenetv2_100 mobilenetv2_140 mobilenetv2_110d
                 mobilenetv2_120d""",
    ),
    _family(
        "mnasnet", title="MnasNet", year=2018, arxiv="1807.11626", module="efficientnet",
        paper="Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile",
        idea="A search, paid by accuracy and by milliseconds on a real phone, chose the blocks.",
        names="mnasnet_050 mnasnet_075 mnasnet_100 mnasnet_140 mnasnet_small semnasnet_050 semnasnet_075 semnasnet_100 semnasnet_140",
    ),
    _family(
        "fbnet", title="FBNet", year=2018, arxiv="1812.03443", module="efficientnet",
        paper="Wu et al., FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search",
        idea="All candidate blocks train at once, and gradients decide which of them stay.",
        names="fbnetc_100",
    ),
    _family(
        "single_path_nas", title="Single-Path NAS", year=2019, arxiv="1904.02877", module="efficientnet",
        paper="Stamoulis et al., Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours",
        idea="One large kernel holds all smaller ones, so that the search for a network takes only hours.",
        names="spnasnet_100",
    ),
    _family(
        "darknet", title="DarkNet", year=2018, arxiv="1804.02767", module="cspnet",
        paper="Redmon and Farhadi, YOLOv3: An Incremental Improvement",
        idea="A lean residual network for a fast detector: two convolutions a block, strides in place of pools.",
        names="darknet17 darknet21 darknet53 darknetaa53 sedarknet21",
    ),
    _family(
        "cspnet", title="CSPNet", year=2019, arxiv="1911.11929", module="cspnet",
        paper="Wang et al., CSPNet: A New Backbone that can Enhance Learning Capability of CNN",
        idea="Half of the channels go through a stage's blocks, the other half passes by: half the work.",
        names="""cspresnet50 cspresnet50d cspresnet50w cspresnext50 cspdarknet53 cs3darknet_s cs3darknet_m
                 cs3darknet_l cs3darknet_x cs3darknet_focus_s cs3darknet_focus_m cs3darknet_focus_l cs3darknet_focus_x
                 cs3sedarknet_l cs3sedarknet_x cs3sedarknet_xdw cs3edgenet_x cs3se_edgenet_x""",
    ),
    _family(
        "vovnet", title="VoVNet", year=2019, arxiv="1904.09730", module="vovnet",
        paper="Lee et al., An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object Detection",
        idea="Layers in a row, whose maps are all put together once: DenseNet's wealth without its memory traffic.",
        names="""vovnet39a vovnet57a ese_vovnet19b_slim_dw ese_vovnet19b_dw ese_vovnet19b_slim ese_vovnet39b
                 ese_vovnet57b ese_vovnet99b eca_vovnet39b ese_vovnet39b_evos""",
    ),
    _family(
        "efficientnet", title="EfficientNet", year=2019, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        idea="Depth, width and resolution grow together by one fixed rule, from a small searched network.",
        names="""efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5
                 efficientnet_b6 efficientnet_b7 efficientnet_b8 tf_efficientnet_b0 tf_efficientnet_b1
                 tf_efficientnet_b2 tf_efficientnet_b3 tf_efficientnet_b4 tf_efficientnet_b5 tf_efficientnet_b6
                 tf_efficientnet_b7 tf_efficientnet_b8""",
    ),
    _family(
        "efficientnet_lite", title="EfficientNet-Lite", year=2020, arxiv="1905.11946", module="efficientnet",
        paper="Tan and Le, EfficientNet; the Lite variants are Google's release for phones of 2020",
        idea="EfficientNet without channel attention and with ReLU6: all that a phone's integer chip can run.",
        names="""efficientnet_lite0 efficientnet_lite1 efficientnet_lite2 efficientnet_lite3 efficientnet_lite4
                 tf_efficientnet_lite0 tf_efficientnet_lite1 tf_efficientnet_lite2 tf_efficientnet_lite3
                 tf_efficientnet_lite4""",
    ),
    _family(
        "efficientnet_edge", title="EfficientNet-EdgeTPU", year=2020, arxiv="2003.02838", module="efficientnet",
        paper="Gupta and Akin, Accelerator-aware Neural Network Design using AutoML",
        idea="A chip made for full convolutions likes them better than the cheaper depthwise ones: fuse them.",
        names="""efficientnet_es efficientnet_em efficientnet_el tf_efficientnet_es tf_efficientnet_em
                 tf_efficientnet_el""",
    ),
    _family(
        "tinynet", title="TinyNet", year=2020, arxiv="2010.14819", module="efficientnet",
        paper="Han et al., Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets",
        idea="EfficientNet's rule run backwards: for a smaller network, keep the pixels and give up width.",
        names="tinynet_a tinynet_b tinynet_c tinynet_d tinynet_e",
    ),
    _family(
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
    _family(
        "vit_gap", title="Vision Transformer with average pooling", year=2022, arxiv="2205.01580", module="vit",
        paper="Beyer et al., Better plain ViT baselines for ImageNet-1k",
        idea="The mean of all patches replaces the class token: simpler, and no worse.",
        names="""vit_base_patch16_gap_224 vit_medium_patch16_gap_240 vit_medium_patch16_gap_256
                 vit_medium_patch16_gap_384 vit_betwixt_patch16_gap_256 vit_huge_patch14_gap_224
                 vit_huge_patch16_gap_448 vit_giant_patch16_gap_224""",
    ),
    _family(
        "deit", title="DeiT", year=2020, arxiv="2012.12877", module="deit",
        paper="Touvron et al., Training data-efficient image transformers and distillation through attention",
        idea="A transformer that needs no 300 million photos: strong augmentation, and a ResNet as its teacher.",
        names="""deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 deit_base_patch16_384
                 deit_tiny_distilled_patch16_224 deit_small_distilled_patch16_224 deit_base_distilled_patch16_224
                 deit_base_distilled_patch16_384""",
    ),
    _family(
        "deit3", title="DeiT III", year=2022, arxiv="2204.07118", module="deit",
        paper="Touvron et al., DeiT III: Revenge of the ViT",
        idea="Three simple augmentations and a careful recipe, and the plain transformer needs no teacher.",
        names="""deit3_small_patch16_224 deit3_small_patch16_384 deit3_medium_patch16_224 deit3_base_patch16_224
                 deit3_base_patch16_384 deit3_large_patch16_224 deit3_large_patch16_384 deit3_huge_patch14_224""",
    ),
    _family(
        "swin", title="Swin Transformer", year=2021, arxiv="2103.14030", module="swin",
        paper="Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        idea="Attention only inside small windows, which move at every second block so that neighbours meet.",
        names="""swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224
                 swin_base_patch4_window12_384 swin_large_patch4_window7_224 swin_large_patch4_window12_384""",
    ),
    _family(
        "swin_s3", title="AutoFormerV2 (S3)", year=2021, arxiv="2111.14725", module="swin",
        paper="Chen et al., Searching the Search Space of Vision Transformer",
        idea="A search chooses Swin's windows and depths, and first of all what it may choose from.",
        names="swin_s3_tiny_224 swin_s3_small_224 swin_s3_base_224",
    ),
    _family(
        "swinv2", title="Swin Transformer V2", year=2021, arxiv="2111.09883", module="swinv2",
        paper="Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution",
        idea="Patches compare their directions, and a small network tells what a distance means: windows may grow.",
        names="""swinv2_tiny_window8_256 swinv2_tiny_window16_256 swinv2_small_window8_256 swinv2_small_window16_256
                 swinv2_base_window8_256 swinv2_base_window16_256 swinv2_base_window12_192
                 swinv2_base_window12to16_192to256 swinv2_base_window12to24_192to384 swinv2_large_window12_192
                 swinv2_large_window12to16_192to256 swinv2_large_window12to24_192to384""",
    ),
    _family(
        "mlp_mixer", title="MLP-Mixer", year=2021, arxiv="2105.01601", module="mlp_mixer",
        paper="Tolstikhin et al., MLP-Mixer: An all-MLP Architecture for Vision",
        idea="Neither convolution nor attention: one small network mixes patches, another mixes channels.",
        names="""mixer_s32_224 mixer_s16_224 mixer_b32_224 mixer_b16_224 mixer_l32_224 mixer_l16_224 gmixer_12_224
                 gmixer_24_224""",
    ),
    _family(
        "resmlp", title="ResMLP", year=2021, arxiv="2105.03404", module="mlp_mixer",
        paper="Touvron et al., ResMLP: Feedforward networks for image classification with data-efficient training",
        idea="A single linear layer mixes the patches, and a factor for each channel replaces the norms.",
        names="resmlp_12_224 resmlp_24_224 resmlp_36_224 resmlp_big_24_224",
    ),
    _family(
        "gmlp", title="gMLP", year=2021, arxiv="2105.08050", module="mlp_mixer",
        paper="Liu et al., Pay Attention to MLPs",
        idea="Half of the channels, mixed over all patches, opens and closes the other half.",
        names="gmlp_ti16_224 gmlp_s16_224 gmlp_b16_224",
    ),
    _family(
        "poolformer", title="PoolFormer", year=2021, arxiv="2111.11418", module="metaformer",
        paper="Yu et al., MetaFormer Is Actually What You Need for Vision",
        idea="A transformer whose attention is replaced by the mean of the neighbours, and still it works.",
        names="poolformer_s12 poolformer_s24 poolformer_s36 poolformer_m36 poolformer_m48",
    ),
    _family(
        "metaformer", title="MetaFormer baselines", year=2022, arxiv="2210.13452", module="metaformer",
        paper="Yu et al., MetaFormer Baselines for Vision",
        idea="One frame, three fillings: pooling, separable convolutions, or convolutions first and attention later.",
        names="""poolformerv2_s12 poolformerv2_s24 poolformerv2_s36 poolformerv2_m36 poolformerv2_m48 convformer_s18
                 convformer_s36 convformer_m36 convformer_b36 caformer_s18 caformer_s36 caformer_m36 caformer_b36""",
    ),
    _family(
        "dinov2", title="DINOv2", year=2023, arxiv="2304.07193", module="vit",
        paper="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision",
        idea="A transformer that learnt without labels, by agreeing with itself about crops of one photo.",
        names="""vit_small_patch14_dinov2 vit_base_patch14_dinov2 vit_large_patch14_dinov2 vit_giant_patch14_dinov2""",
    ),
    _family(
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
    _family(
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
    _family(
        "eva_vit", title="EVA on a plain ViT", year=2022, arxiv="2211.07636", module="vit",
        paper="Fang et al., EVA: Exploring the Limits of Masked Visual Representation Learning at Scale",
        idea="Hide most of a photo and learn to guess CLIP's features of the hidden patches.",
        names="eva_large_patch14_196 eva_large_patch14_336",
    ),
    _family(
        "flexivit", title="FlexiViT", year=2022, arxiv="2212.08013", module="vit",
        paper="Beyer et al., FlexiViT: One Model for All Patch Sizes",
        idea="Patches of a random size at every step of training: one network for fast and for careful looks.",
        names="flexivit_small flexivit_base flexivit_large",
    ),
    _family(
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
    _family(
        "convnext", title="ConvNeXt", year=2022, arxiv="2201.03545", module="convnext",
        paper="Liu et al., A ConvNet for the 2020s",
        idea="A ResNet that takes over a transformer's habits, one by one, until it is as accurate as one.",
        names="""convnext_zepto_rms convnext_zepto_rms_ols convnext_atto convnext_atto_ols convnext_atto_rms
                 convnext_femto convnext_femto_ols convnext_pico convnext_pico_ols convnext_nano convnext_nano_ols
                 convnext_tiny convnext_tiny_hnf convnext_small convnext_base convnext_large convnext_large_mlp
                 convnext_xlarge convnext_xxlarge""",
    ),
    _family(
        "convnextv2", title="ConvNeXt V2", year=2023, arxiv="2301.00808", module="convnext",
        paper="Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
        idea="ConvNeXt learns to paint hidden patches, with a norm that keeps its channels from saying the same.",
        names="""convnextv2_atto convnextv2_femto convnextv2_pico convnextv2_nano convnextv2_tiny convnextv2_small
                 convnextv2_base convnextv2_large convnextv2_huge""",
    ),
    _family(
        "mobilenetv3", title="MobileNetV3", year=2019, arxiv="1905.02244", module="mobilenetv3",
        paper="Howard et al., Searching for MobileNetV3",
        idea="A searched network, finished by hand: phone-friendly activations, and the widest layer behind the pooling.",
        names="""mobilenetv3_large_075 mobilenetv3_large_100 mobilenetv3_large_150d mobilenetv3_small_050
                 mobilenetv3_small_075 mobilenetv3_small_100 mobilenetv3_rw tf_mobilenetv3_large_075
                 tf_mobilenetv3_large_100 tf_mobilenetv3_large_minimal_100 tf_mobilenetv3_small_075
                 tf_mobilenetv3_small_100 tf_mobilenetv3_small_minimal_100""",
    ),
    _family(
        "fbnetv3", title="FBNetV3", year=2020, arxiv="2006.02049", module="mobilenetv3",
        paper="Dai et al., FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining",
        idea="The best network depends on how it is trained, so the search chooses both together.",
        names="fbnetv3_b fbnetv3_d fbnetv3_g",
    ),
    _family(
        "lcnet", title="PP-LCNet", year=2021, arxiv="2109.15099", module="mobilenetv3",
        paper="Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network",
        idea="No shortcuts, no widening: only what a plain processor computes fast, and large filters at the end.",
        names="lcnet_035 lcnet_050 lcnet_075 lcnet_100 lcnet_150",
    ),
    _family(
        "regnet", title="RegNet", year=2020, arxiv="2003.13678", module="regnet",
        paper="Radosavovic et al., Designing Network Design Spaces",
        idea="Search for rules instead of one network: in good networks the width grows along a straight line.",
        names="""regnetx_002 regnetx_004 regnetx_004_tv regnetx_006 regnetx_008 regnetx_016 regnetx_032 regnetx_040
                 regnetx_064 regnetx_080 regnetx_120 regnetx_160 regnetx_320 regnety_002 regnety_004 regnety_006
                 regnety_008 regnety_008_tv regnety_016 regnety_032 regnety_040 regnety_064 regnety_080
                 regnety_080_tv regnety_120 regnety_160 regnety_320 regnety_640 regnety_1280 regnety_2560
                 regnetv_040 regnetv_064""",
    ),
    _family(
        "regnetz", title="RegNetZ", year=2021, arxiv="2103.06877", module="regnet",
        paper="Dollar et al., Fast and Accurate Model Scaling",
        idea="Grow the width more than depth and photo size: then the time grows least for the same accuracy.",
        names="regnetz_005 regnetz_040 regnetz_040_h",
    ),
    _family(
        "efficientnetv2", title="EfficientNetV2", year=2021, arxiv="2104.00298", module="efficientnet",
        paper="Tan and Le, EfficientNetV2: Smaller Models and Faster Training",
        idea="Full convolutions where the map is large, depthwise ones where it is small: what a GPU does fastest.",
        names="""efficientnetv2_s efficientnetv2_m efficientnetv2_l efficientnetv2_xl efficientnetv2_rw_t
                 efficientnetv2_rw_s efficientnetv2_rw_m tf_efficientnetv2_s tf_efficientnetv2_m
                 tf_efficientnetv2_l tf_efficientnetv2_xl tf_efficientnetv2_b0 tf_efficientnetv2_b1
                 tf_efficientnetv2_b2 tf_efficientnetv2_b3""",
    ),
)}

FAMILY_OF: dict[str, Family] = {name: family for family in FAMILIES.values() for name in family.names}

# Old names that published notebooks still use -> today's name, with the tag of the weights that were meant.
ALIASES: dict[str, str] = {"adv_inception_v3": "inception_v3.tf_adv_in1k"}


def family_module(architecture: str) -> ModuleType:
    """The file that builds a known architecture, e.g. `explorer.models.backbones.resnet`; imported now, with torch."""
    return importlib.import_module(f"explorer.models.backbones.{FAMILY_OF[architecture].module}")
