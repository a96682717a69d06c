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
        names="unet unet_resnet18 unet_resnet34 unet_resnet50 unet_efficientnet_b0",
    ),
)
