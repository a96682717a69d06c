"""The photos that the evaluation panel offers to judge by, for each task of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.widgets.panels.learn.task_choices import DATA, FOLDER

OWN = "own"  # those that a run held out to be judged by
LABELLED = "labelled"  # those of the bundled photos that have one class of ImageNet's
OWN_PHOTOS = "its own: those the run did not learn from"
LABELLED_PHOTOS = "everyday things of one ImageNet class each, bundled"

#: Photos that come with explorer, by their name for `sample_places`: the classes of their boxes or masks.
SAMPLES = {"bccd": ("RBC", "WBC", "Platelets"), "nuclei": ("background", "nucleus")}

PLACES_FIRST = ("Judging needs photos whose {what} are known: choose 'a folder or COCO file of your own', "
                "and give its path. The names of its classes must be the model's.")


@dataclass(frozen=True)
class PhotoChoices:
    """options: (words, value) of each;  first: the one that is chosen where no run says otherwise
    example:     what stands in the empty field of a folder;  no_folder: said where it is empty
    no_own:      said where there are no photos of its own
    first_steps: said before anything was taught;  mirrors: whether mirror images can be averaged
    sample:      one of `SAMPLES` that is among the options
    """

    options: tuple[tuple[str, str], ...]
    first: str
    example: str
    no_folder: str
    no_own: str
    first_steps: str
    mirrors: bool = False
    sample: str = ""

    def first_for(self, model: Any) -> str:
        """What is chosen first: photos that come with explorer, where the model knows all their classes."""
        labels = getattr(getattr(model, "config", None), "labels", None) or ()
        known = self.sample and set(SAMPLES[self.sample]) <= set(labels)
        return self.sample if known else self.first

    @property
    def of_ones_own(self) -> str:
        """What the choice of a folder is called."""
        return next(words for words, value in self.options if value == FOLDER)


def _of_places(what: str, sample: str, shown: str, example: str) -> PhotoChoices:
    words = "a folder or COCO file of your own"
    return PhotoChoices(
        options=((OWN_PHOTOS, OWN), (shown, sample), (words, FOLDER)), first=FOLDER, example=example,
        sample=sample,
        no_folder=f"Type the path of {example}.",
        no_own=("The model on the screen has no photos of its own, since it did not learn here. Choose "
                f"'{words}' beside 'by photos'."),
        first_steps=PLACES_FIRST.format(what=what))


CHOICES: dict[str, PhotoChoices] = {
    "classification": PhotoChoices(
        options=((OWN_PHOTOS, OWN), *DATA.items(), (LABELLED_PHOTOS, LABELLED)), first="flowers5",
        mirrors=True,
        example="a folder with one folder a class, or a table (CSV)",
        no_folder=("Type the path of a folder that holds one folder of photos for each class, or of a table "
                   "(CSV) of photos."),
        no_own=("The model on the screen has no photos of its own, since it did not learn here. Choose a "
                "data set beside 'by photos', such as flowers5, or a folder."),
        first_steps=("Judging needs photos whose classes the model knows. Nothing was taught here yet: start "
                     "a run under Train and judge it here, or give a folder whose folders are named after "
                     "the model's own classes.")),
    "detection": _of_places("boxes", "bccd", "blood cells: four photos with boxes, bundled",
                            "a COCO file (JSON), or a folder with boxes as in COCO, YOLO or Pascal VOC"),
    "segmentation": _of_places("masks", "nuclei", "nuclei of cells: four photos with masks, bundled",
                               "a folder with 'images' and 'masks', or a COCO file (JSON)"),
}
