"""Networks that a course starts with: from LeNet-5 to the Inceptions, and what grew beside the ResNet."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "lenet", title="LeNet-5", year=1998, module="lenet", oracle="paper",
        url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
        paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition",
        idea="Small shared filters find a stroke wherever it is; learnt from pixels, they read cheques. "
             "Convolutions and subsampling take turns, so that later layers see larger parts of the digit "
             "and care less where exactly it lies. "
             "The whole chain from pixels to answer is trained by gradient descent, at a time when features "
             "were mostly designed by hand.",
        names="lenet5",
    ),
    family(
        "alexnet", title="AlexNet", year=2012, module="alexnet", oracle="torchvision",
        url="https://papers.nips.cc/paper/"
            "4824-imagenet-classification-with-deep-convolutional-neural-networks",
        paper="Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks",
        idea="Five convolutions, ReLU, dropout and two graphics cards: the network that ended the argument. "
             "In ImageNet's competition of 2012 it erred on 15.3 % of the photos (top-5), the next best "
             "entry on 26.2 %. "
             "ReLU made training several times faster than saturating units, and dropout and augmented "
             "photos kept its 60 million parameters from learning the photos by heart.",
        names="alexnet",
    ),
    family(
        "vgg", title="VGG", year=2014, arxiv="1409.1556", module="vgg",
        paper="Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition",
        idea="Nothing but 3 x 3 convolutions, stacked deep, with the map halved five times. "
             "Two of them in a row see as much as one of 5 x 5, three as much as one of 7 x 7, with fewer "
             "weights and more non-linearities between. "
             "Of the 138 million parameters of VGG-16, 103 million sit in the first fully connected layer.",
        names="vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
    ),
    family(
        "googlenet", title="GoogLeNet", year=2014, arxiv="1409.4842", module="googlenet",
        oracle="torchvision", paper="Szegedy et al., Going Deeper with Convolutions",
        idea="Each module looks at the same map through windows of several sizes at once. "
             "Cheap 1 x 1 convolutions shrink the channels before the large filters, so that 22 layers need "
             "about a tenth of AlexNet's parameters. "
             "In training, two more classifiers half-way bring gradients to the early layers.",
        names="googlenet",
    ),
    family(
        "squeezenet", title="SqueezeNet", year=2016, arxiv="1602.07360", module="squeezenet",
        oracle="torchvision",
        paper="Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB "
              "model size",
        idea="Squeeze to few channels, expand again: as accurate as AlexNet in a fiftieth of its "
             "parameters. "
             "Each fire module narrows the map with 1 x 1 filters, then widens it with 1 x 1 and 3 x 3 "
             "filters beside each other. "
             "The map is halved late, so that many layers still see it large, and average pooling takes the "
             "place of the fully connected layers.",
        names="squeezenet1_0 squeezenet1_1",
    ),
    family(
        "inception_v3", title="Inception v3", year=2015, arxiv="1512.00567", module="inception_v3",
        paper="Szegedy et al., Rethinking the Inception Architecture for Computer Vision",
        idea="Filters of several sizes look beside each other, and large ones are taken apart into small "
             "ones. "
             "A 5 x 5 filter becomes two of 3 x 3, and an n x n filter becomes 1 x n followed by n x 1: "
             "nearly the same view for fewer multiplications. "
             "The paper also introduced label smoothing, which keeps a network from being too sure of one "
             "class.",
        names="inception_v3",
    ),
    family(
        "inception_v4", title="Inception v4", year=2016, arxiv="1602.07261", module="inception_v4",
        paper="Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on "
              "Learning",
        idea="Three kinds of Inception block, each repeated as it is, and not one shortcut. "
             "Between them stand reduction blocks, which halve the map and widen it on several paths at "
             "once. "
             "The paper asked whether very deep networks need shortcuts, and found that a careful Inception "
             "gets about as far without them, only more slowly.",
        names="inception_v4",
    ),
    family(
        "inception_resnet", title="Inception-ResNet", year=2016, arxiv="1602.07261",
        module="inception_resnet_v2",
        paper="Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on "
              "Learning",
        idea="Inception's paths learn corrections, as in ResNet, and so train in clearly fewer steps. "
             "A 1 x 1 convolution without activation joins the paths, and the result is added to the "
             "block's input. "
             "Very wide networks of this kind died early in training, so each correction is scaled down, to "
             "0.1 to 0.3 of its size, before it is added.",
        names="inception_resnet_v2",
    ),
    family(
        "xception", title="Xception", year=2016, arxiv="1610.02357", module="xception",
        paper="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions",
        idea="Inception taken to its end: filter each channel by itself, then mix them all. "
             "A depthwise convolution looks for patterns in space, a 1 x 1 convolution for patterns among "
             "channels: two questions, answered one after the other. "
             "With as many parameters as Inception v3 it is a little more accurate on ImageNet, and clearly "
             "more on a set of 350 million photos.",
        names="legacy_xception",
    ),
    family(
        "xception_aligned", title="Aligned Xception", year=2018, arxiv="1802.02611",
        module="xception_aligned",
        paper="Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image "
              "Segmentation",
        idea="Xception whose maps lie exactly over the photo, as the backbone of DeepLab v3+. "
             "Every max pooling becomes a separable convolution with a stride, which can give up the stride "
             "for dilation where a finer map is wanted. "
             "It is deeper than the original, with batch normalisation and ReLU after every depthwise 3 x 3 "
             "convolution as well.",
        names="xception41 xception41p xception65 xception65p xception71",
    ),
    family(
        "densenet", title="DenseNet", year=2016, arxiv="1608.06993", module="densenet",
        paper="Huang et al., Densely Connected Convolutional Networks",
        idea="Each layer reads the maps of all layers before it, and adds a few channels of its own. "
             "Maps are put beside each other, not added as in ResNet, so nothing that was found gets lost "
             "and each layer can be narrow: 32 new channels in DenseNet-121. "
             "Every layer has a short way to the loss, and the network needs fewer parameters than a ResNet "
             "of the same accuracy.",
        names="densenet121 densenet161 densenet169 densenet201 densenet264d densenetblur121d",
    ),
    family(
        "dla", title="DLA", year=2017, arxiv="1707.06484", module="dla",
        paper="Yu et al., Deep Layer Aggregation",
        idea="Layers are merged in pairs, and pairs of pairs, so that shallow and deep ones meet "
             "everywhere. "
             "Most networks use their last map alone, or skip layers once; here small convolutions that "
             "learn what to keep form a tree over all blocks and stages. "
             "Fine maps, which know where things are, and coarse maps, which know what they are, end up in "
             "one.",
        names="""dla34 dla46_c dla46x_c dla60 dla60x dla60x_c dla60_res2net dla60_res2next dla102 dla102x
                 dla102x2 dla169""",
    ),
    family(
        "darknet", title="DarkNet", year=2018, arxiv="1804.02767", module="cspnet",
        paper="Redmon and Farhadi, YOLOv3: An Incremental Improvement",
        idea="A lean residual network for a fast detector: two convolutions a block, strides in place of "
             "pools. "
             "Each block squeezes the channels with a 1 x 1 convolution, filters with 3 x 3 and adds its "
             "input. "
             "For the version with 53 layers the paper reports the accuracy of ResNet-152 at twice its "
             "speed.",
        names="darknet17 darknet21 darknet53 darknetaa53 sedarknet21",
    ),
    family(
        "cspnet", title="CSPNet", year=2019, arxiv="1911.11929", module="cspnet",
        paper="Wang et al., CSPNet: A New Backbone that can Enhance Learning Capability of CNN",
        idea="Half of the channels go through a stage's blocks, the other half passes by. "
             "Both halves meet again behind the stage, so gradients flow back on two ways and do not repeat "
             "each other. "
             "Applied to ResNet, ResNeXt and DenseNet, it saved about a fifth of the computation at equal "
             "or better accuracy.",
        names="""cspresnet50 cspresnet50d cspresnet50w cspresnext50 cspdarknet53 cs3darknet_s cs3darknet_m
                 cs3darknet_l cs3darknet_x cs3darknet_focus_s cs3darknet_focus_m cs3darknet_focus_l
                 cs3darknet_focus_x cs3sedarknet_l cs3sedarknet_x cs3sedarknet_xdw cs3edgenet_x
                 cs3se_edgenet_x""",
    ),
    family(
        "vovnet", title="VoVNet", year=2019, arxiv="1904.09730", module="vovnet",
        paper="Lee et al., An Energy and GPU-Computation Efficient Backbone Network for Real-Time Object "
              "Detection",
        idea="Layers in a row, whose maps are all put together once: DenseNet's wealth without its memory "
             "traffic. "
             "In DenseNet each layer reads ever more channels, which costs memory accesses, and so time and "
             "energy, that a count of multiplications does not show. "
             "Here the maps are joined once, at the end of each module; the ese variants add a shortcut and "
             "attention over the channels.",
        names="""vovnet39a vovnet57a ese_vovnet19b_slim_dw ese_vovnet19b_dw ese_vovnet19b_slim ese_vovnet39b
                 ese_vovnet57b ese_vovnet99b eca_vovnet39b ese_vovnet39b_evos""",
    ),
)
