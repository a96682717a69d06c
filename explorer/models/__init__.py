"""The model core: names in, models out. Knows nothing of data sets, training or notebooks."""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "factory": ("create_model", "is_model", "list_families", "list_models", "list_pretrained"),
    "contract": ("FeatureInfo", "Stage", "VisionModel"),
    "config": ("ModelConfig",),
    "features": ("FeatureNet",),
    "weights": ("LoadReport", "WeightsError"),
    "backbones.resnet": ("ResNet",),
    "backbones.vgg": ("VGG",),
    "backbones.lenet": ("LeNet5",),
    "backbones.alexnet": ("AlexNet",),
    "backbones.googlenet": ("GoogLeNet",),
    "backbones.squeezenet": ("SqueezeNet",),
    "backbones.shufflenet": ("ShuffleNetV2",),
    "backbones.densenet": ("DenseNet",),
    "backbones.inception_v3": ("InceptionV3",),
    "backbones.dla": ("DLA",),
    "backbones.efficientnet": ("EfficientNet",),
    "backbones.convnext": ("ConvNeXt",),
    "backbones.vit": ("VisionTransformer",),
    "backbones.vovnet": ("VovNet",),
    "backbones.cspnet": ("CspNet",),
    "backbones.deit": ("DeiT",),
    "backbones.swin": ("SwinTransformer",),
    "backbones.swinv2": ("SwinTransformerV2",),
})
