"""What is known to be in a photo: the fields that say where from, and the boxes or mask of this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.data.folders import PICTURE_SUFFIXES
from explorer.display.words import counted
from explorer.widgets.gallery import gallery
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import Work
from explorer.widgets.shipped import shipped_for
from explorer.widgets.snippets import literal

if TYPE_CHECKING:
    from explorer.data.places.place_set import Boxes, PlaceSet
    from explorer.inspection.detect.result import Detections

MASK_FILES = (*PICTURE_SUFFIXES, ".npy")
WHERE = {"detection": "COCO file, or folder with COCO, YOLO or VOC boxes",
         "segmentation": "mask of this photo, or folder with images/ and masks/"}


class Known:
    """The fields under the picture, and what is known of the photo on the screen.

    row:     the widgets;  places: the set that the reader gave, None where there is none
    changed: called under the lock when another set, or mask, is there
    """

    def __init__(self, panel: Panel, task: str, changed: Callable[[], None]):
        self.panel, self.session, self.task, self.changed = panel, panel.session, task, changed
        self.places: PlaceSet | None = None
        self.path = ""             # that the set was opened from
        self.mask: Any = None      # of one photo alone, by its indices of classes, and
        self._mask_of: Any = None  # that photo
        self._by_file: dict[int, dict[str, int]] = {}
        what = "boxes" if task == "detection" else "mask"
        self.field = W.Text(placeholder=WHERE[task], description=f"True {what}", continuous_update=False,
                            layout=W.Layout(width="min(460px, 100%)"), style={"description_width": "initial"})
        auto = W.Layout(width="auto")
        self.open = W.Button(description="Open", layout=auto)
        self.browse = W.Button(layout=W.Layout(width="auto", display="none"))
        self.work = panel.line(Work, tooltip="Stop reading", busy=self._busy)
        self._busy(False)
        self.said = W.HTML()
        beside = []
        if task == "segmentation":
            self.upload = W.FileUpload(accept=".png,.npy,.bmp,.tif,.tiff", description="Upload a mask",
                                       layout=auto)
            panel.when(self.upload, self._uploaded)
            beside = [self.upload]
        fields = W.HBox([self.field, self.open, *beside, self.browse, self.work.progress, self.work.button])
        fields.add_class("vx-line")
        for button in (self.open, self.browse):
            button.add_class("vx-open")
        self.row = W.VBox([fields, self.work.message, self.said])
        panel.when(self.open, self._open)
        panel.when(self.field, self._open)
        panel.when(self.browse, self._browse)

    def _busy(self, running: bool) -> None:
        """The button that stops is there while there is something to stop."""
        self.work.button.layout.display = "" if running else "none"

    # --- giving it ----------------------------------------------------------------------------------------

    def give(self, data: Any) -> None:
        """A set of photos with boxes or masks, as `open_places` takes it; of masks also an array [H, W] or a
        file for the photo on the screen. Raises DataError or ImageError for what is none.
        """
        if self.task == "segmentation" and _is_mask(data):
            self._take_mask(mask_from(data))
            return
        self._take_places(opened(data, self.task), os.fspath(data) if isinstance(data, (str, os.PathLike))
                          else "")

    def _open(self) -> None:
        text = self.field.value.strip()
        if not text:
            self._take_nothing()
            return
        if self.task == "segmentation" and _is_mask(text):
            self.work.start(lambda _job: mask_from(text), self._take_mask, doing="opening the mask")
            return

        def compute(_job: Job) -> PlaceSet:
            return opened(text, self.task)

        self.work.start(compute, lambda places: self._take_places(places, text), doing="reading")

    def _uploaded(self) -> None:
        if not self.upload.value:
            return
        content = bytes(self.upload.value[0]["content"])
        self.work.start(lambda _job: mask_from(content), self._take_mask, doing="opening the mask")

    def _take_nothing(self) -> None:
        self.places, self.path, self.mask, self._mask_of = None, "", None, None
        self.work.say("")
        self.changed()

    def _take_places(self, places: PlaceSet, path: str) -> None:
        self.places, self.path, self.mask, self._mask_of = places, path, None, None
        self.work.say("")
        self.changed()

    def _take_mask(self, mask: Any) -> None:
        self.mask, self._mask_of = mask, self.session.image
        self.work.say("")
        self.changed()

    def _browse(self) -> None:
        if self.places is not None:
            self.session.gallery = gallery(self.places)
            title, source = self.session.gallery[0]
            self.session.open_image(source, title)

    # --- of the photo on the screen -----------------------------------------------------------------------

    def find(self) -> tuple[PlaceSet, int] | None:
        """(a set, the number of the photo on the screen in it); None where no set has it."""
        shipped = shipped_for(self.task)
        for places in (self.places, self.session.gallery.places, shipped and shipped.photos):
            if places is None or places.task != self.task:
                continue
            number = self._number_in(places)
            if number is not None:
                return places, number
        return None

    def of_now(self) -> tuple[Any, ...]:
        """What the answer of `find` and `mask_of_now` follows from, for the photo on the screen."""
        return (id(self.places), id(self.session.gallery.places), id(self.mask), self.session.image_name,
                self.session.image_source)

    def _number_in(self, places: PlaceSet) -> int | None:
        names = self._by_file.get(id(places))
        if names is None:
            names = self._by_file[id(places)] = _numbers(places)
        source = self.session.image_source
        if isinstance(source, (str, os.PathLike)):
            return names.get(os.path.realpath(os.fsdecode(source)))
        return names.get(self.session.image_name)

    def tell(self) -> None:
        """What the fields say of the photo on the screen."""
        found = self.find()
        others = self.places if self.places is not None and found is None and self.mask is None else None
        self.browse.layout.display = "none"
        self.said.value = ""
        if others is not None:
            what = "boxes" if self.task == "detection" else "masks"
            many = counted(len(others), "photo")
            text = f"{many} with {what} are known; the one on the screen is none of them."
            self.said.value = f'<span class="vx-soft" role="status">{escape(text)}</span>'
            if others.files:
                self.browse.description = "Show these photos"
                self.browse.layout.display = ""

    def lines(self, model: Any) -> tuple[list[str], str]:
        """(lines of code that open what is known of this photo, keywords behind the truth)."""
        found = self.find()
        if found is None or self._of_this_photo():
            return [f"known = dash.{self.panel_name}.known.mask"], ""
        places, number = found
        if places is self.places and self.path:
            opened_by = f'open_places({literal(self.path)}, "{self.task}")'
            lines = ["from explorer.data import open_places", f"places = {opened_by}",
                     *(['places = places.part("all")'] if os.path.isdir(self.path) else [])]
        else:
            lines = [f"places = dash.{self.panel_name}.known.find()[0]"]
        what = f"places.boxes[{number}]" if self.task == "detection" else f"places.open_mask({number})"
        named = places.named and bool(getattr(model.config, "labels", None))
        return [*lines, f"known = {what}"], ", classes=places.classes" if named else ""

    @property
    def panel_name(self) -> str:
        return type(self.panel).__name__.removesuffix("Panel").lower()

    def _of_this_photo(self) -> bool:
        return self.mask is not None and self._mask_of is self.session.image

    def mask_of_now(self) -> Any:
        """The mask that was given for the very photo on the screen, or None."""
        return self.mask if self._of_this_photo() else None


def true_boxes(known: Known, found: Detections, look: Any, model: Any) -> tuple[Boxes | None, str]:
    """(the true boxes of the photo on the screen by the network's classes, or None; what stands in their way)
    """
    from explorer.inspection.detect.judging import as_truth

    there = known.find()
    if there is None:
        return None, ""
    places, number = there
    stated, size = places.sizes[number] if places.sizes else None, look.image.size
    named = places.named and bool(model.config.labels)
    try:
        if stated is not None and stated != size:
            raise ValueError(f"The true boxes are for a photo of {stated[0]} x {stated[1]} pixels, and this "
                             f"one has {size[0]} x {size[1]}: open it from its file.")
        return as_truth(places.truth(number, size), found.names, places.classes if named else None), ""
    except ValueError as error:  # ImageError is one
        return None, str(error)


def opened(data: Any, task: str) -> PlaceSet:
    """All photos of a data set with boxes or masks. Raises DataError for what is none."""
    from explorer.data.places.opening import open_places
    from explorer.data.places.place_set import PlaceSplits

    found = open_places(data, task)
    return found.part("all") if isinstance(found, PlaceSplits) else found


def mask_from(data: Any) -> Any:
    """uint8 [H, W] of class indices, see `read_mask`."""
    from explorer.data.places.one_mask import read_mask

    return read_mask(data)


def _is_mask(data: Any) -> bool:
    """Whether it is one mask, not a set of photos with masks."""
    if isinstance(data, (str, os.PathLike)):
        return os.fsdecode(data).lower().endswith(MASK_FILES)
    is_array = hasattr(data, "__array__") and getattr(data, "ndim", 0) == 2
    return isinstance(data, (bytes, bytearray)) or is_array


def _numbers(places: PlaceSet) -> dict[str, int]:
    """The number of each photo, by its file and by what it is called, where that is one alone."""
    found: dict[str, int] = {}
    twice: set[str] = set()
    for number, name in enumerate(places.names):
        path = os.path.realpath(places.files[number]) if places.files else ""
        base = os.path.basename(name)
        for key in {name, base, os.path.splitext(base)[0], path} - {""}:
            twice |= {key} if key in found else set()
            found[key] = number
    return {key: number for key, number in found.items() if key not in twice}
