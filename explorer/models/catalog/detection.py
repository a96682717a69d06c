"""Networks that say where things are, with boxes."""

from explorer.models.catalog.family import family

FAMILIES = (
    family(
        "retinanet", title="RetinaNet", year=2017, arxiv="1708.02002", module="retinanet", task="detection",
        oracle="torchvision",
        paper="Lin et al., Focal Loss for Dense Object Detection",
        idea="Every place of every level says at once what is there, and learns mostly from its mistakes. "
             "A pyramid of maps sees small things and large ones; at each place nine boxes of several shapes "
             "are asked for their class and how they would have to move. "
             "Nearly all of them see nothing: the focal loss counts what is answered well already as next to "
             "nothing, so that they do not drown the few that see something.",
        names="retinanet retinanet_resnet50_fpn retinanet_resnet50_fpn_v2",
    ),
)
