"""Networks that say where things are, with boxes."""

from explorer.models.catalog.family import family

#: Detectors that torchvision has and explorer opens through its door; their names alone do as well.
BEHIND_TORCHVISION = (
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2", "fcos_resnet50_fpn", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2",
    "ssd300_vgg16", "ssdlite320_mobilenet_v3_large",
)

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
        names="retinanet retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 retinanet_lite0",
    ),
    family(
        "efficientdet", title="EfficientDet", year=2019, arxiv="1911.09070", module="efficientdet",
        task="detection", oracle="effdet",
        paper="Tan et al., EfficientDet: Scalable and Efficient Object Detection",
        idea="A small backbone, a pyramid whose maps talk to each other both ways, and one rule that scales "
             "it all. "
             "Where maps of several sizes meet, each has a learned weight that says how much it counts, and "
             "the fine ones answer the coarse ones in several rounds. "
             "The photo, the backbone, the pyramid and the heads grow together from d0 to d7, as "
             "EfficientNet grows, and each is several times smaller than detectors that are as good.",
        names="efficientdet efficientdet_d0 efficientdet_d1 efficientdet_d2 efficientdet_d3 efficientdet_d4 "
              "tf_efficientdet_d0 tf_efficientdet_d1 tf_efficientdet_d2 tf_efficientdet_d3 "
              "tf_efficientdet_d4 tf_efficientdet_lite0",
    ),
    family(
        "yolov5", title="YOLOv5", year=2020, url="https://doi.org/10.5281/zenodo.3908559", module="yolov5",
        task="detection", oracle="paper",
        paper="Jocher, YOLOv5 by Ultralytics (releases 6 and 7; there is no paper)",
        idea="One pass, three grids, and the cell that a thing's middle lies in says where its box is. "
             "Each cell answers for three anchors: how to move and stretch it, whether there is anything at "
             "all, and which class that is; a pyramid up and down again lets each grid know what the others "
             "see. "
             "It is quick and easily trained, which made it what most people mean by a detector.",
        names="yolov5n yolov5s yolov5m yolov5l yolov5x",
    ),
)
