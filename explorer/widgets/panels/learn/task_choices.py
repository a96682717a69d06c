"""What the Train tab offers for each task of a model: photos, parts that learn, losses, what is not for it.
"""

from __future__ import annotations

from dataclasses import dataclass

FOLDER = "a folder"
DATA = {"flowers5: five flowers, bundled": "flowers5",
        "flowers5_nano: a few small photos, for trying out": "flowers5_nano",
        "CIFAR-10: 60,000 tiny photos": "cifar10", "a folder or table (CSV) of your own": FOLDER}
OWN_PLACES = "a folder or COCO file of your own"
#: Photos that come with explorer, for `explorer.data.sample_places`
SAMPLES = ("bccd", "nuclei")

NUMBER_LOSSES = (("mse, the usual", None), ("l1", "l1"), ("huber", "huber"))
MASK_LOSSES = (("cross-entropy + Dice, the usual", None), ("cross-entropy", "ce"), ("Dice", "dice"),
               ("focal", "focal"), ("focal + Dice", "focal+dice"),
               ("cross-entropy + focal + Dice", "ce+focal+dice"))

# controls of what boxes and masks do not have
CLASSES_ONLY = ("label_smoothing", "mixup", "cutmix", "views", "rounds", "balanced", "cache")
WHY_NOT = ("Label smoothing, mixup, CutMix, views, rounds, weights of classes and the cache are for networks "
           "that tell classes. Here {what} move along with a photo that is varied, and each photo is seen "
           "anew in every epoch.")


@dataclass(frozen=True)
class TaskChoices:
    """data: (words, value) of each data set, the usual one first
    example:   what stands in the empty field of a path;  no_folder: said where it is empty
    parts:     (words, value of `train`);  head: what the fresh part is called
    losses:    (words, value of `loss`), () where there is nothing to choose;  why: of these
    without:   names of controls that are not for this task;  why_without: a sentence on them
    """

    data: tuple[tuple[str, str], ...]
    example: str
    no_folder: str
    parts: tuple[tuple[str, str], ...]
    losses: tuple[tuple[str, str | None], ...]
    why: str
    head: str = "head"
    without: tuple[str, ...] = CLASSES_ONLY
    why_without: str = ""


PLACE_PARTS = (("head, not the body", "head"), ("head and last stage", "last_stage"), ("everything", "all"))
BOX_FILES = "boxes as COCO (JSON), YOLO or Pascal VOC keep them"

CHOICES: dict[str, TaskChoices] = {
    "classification": TaskChoices(
        data=(*DATA.items(),), head="classifier", without=(),
        example="a folder with one folder a class, or a table of photos (CSV)",
        no_folder=("Type the path of a folder that holds one folder of photos for each class, or of a table "
                   "(CSV) with a column of files and one of numbers or classes."),
        parts=(("head: the classifier", "head"), ("last stage and classifier", "last_stage"),
               ("everything", "all")),
        losses=NUMBER_LOSSES,
        why="How far off is how bad: mse minds large errors most, l1 all alike, huber between"),
    "detection": TaskChoices(
        data=(("bccd: blood cells with boxes, bundled", "bccd"), (OWN_PLACES, FOLDER)),
        example="a COCO file, or a folder with boxes",
        no_folder=f"Type the path of a COCO file (JSON), or of a folder with photos and {BOX_FILES}.",
        parts=PLACE_PARTS, losses=(), why="", why_without=WHY_NOT.format(what="boxes")),
    "segmentation": TaskChoices(
        data=(("nuclei: cells with masks, bundled", "nuclei"), (OWN_PLACES, FOLDER)),
        example="a folder with images and masks",
        no_folder=("Type the path of a folder that holds the folders 'images' and 'masks', or of a COCO file "
                   "(JSON)."),
        parts=PLACE_PARTS, losses=MASK_LOSSES,
        why=("Cross-entropy judges each pixel, focal mostly those in doubt, Dice how each class's area "
             "overlaps: it helps where one is small"), why_without=WHY_NOT.format(what="masks")),
}
