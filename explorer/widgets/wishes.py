"""What a reader wants to see, and how it is opened: a model, and a photo for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.display.words import sentence_of
from explorer.widgets.checks import check_labels

if TYPE_CHECKING:
    from PIL import Image

    from explorer.models.contract import VisionModel

SCARCE = "There is not enough memory for {model}. Close other notebooks, or choose a smaller model."
UNEXPECTED = ("That did not work ({problem}). Choose another model or photo; dash.wait() in a cell shows the "
              "details.")


@dataclass(frozen=True)
class Wish:
    """A model (by name or built) and a photo (as it came, or opened).

    model_source: the name that gives this very model again; none for random weights
    image_source: the file that the photo was opened from
    """

    model: Any = None
    pretrained: bool = True
    image: Any = None
    image_name: str = ""
    model_source: str = ""
    random_weights: bool = False
    image_source: str | PathLike | None = None

    def opened_model(self, tell: Callable[[str], None]) -> VisionModel | None:
        """The model, opened where it is a name. tell: called with what is being done."""
        if not isinstance(self.model, str):
            return self.model
        from explorer.models.create import create_model

        what = "the weights of " if self.pretrained else ""
        tell(f"opening {what}{self.model}")
        return create_model(self.model, pretrained=self.pretrained).eval()

    def opened_image(self, model: Any, tell: Callable[[str], None]) -> Image.Image:
        """The photo, in as many channels as the model takes."""
        from explorer.data.images import load_image

        tell(f"opening {self.image_name or 'the photo'}")
        return load_image(self.image, channels=getattr(model, "in_chans", None))

    def sentence(self, error: BaseException) -> str:
        """What went wrong, for a person; the traceback is in the log."""
        return sentence_of(error, scarce=SCARCE.format(model=self.model), unexpected=UNEXPECTED)


def tell_model(model: VisionModel, labels: tuple[str, ...] | None,
               input_size: tuple[int, int, int] | None) -> None:
    """Give a model the class names and the input size that the dashboard was given.

    Labels are for models without their own, with as many classes: what was trained here knows what its
    classes are called.
    """
    model.notice_head()
    changes: dict[str, Any] = {}
    if not model.config.labels and (fitting := _fitting(labels, model)) is not None:
        changes["labels"] = fitting
    if input_size is not None:
        changes["input_size"] = input_size
    if changes:
        model.config = model.config.with_(**changes)


def _fitting(labels: tuple[str, ...] | None, model: VisionModel) -> tuple[str, ...] | None:
    try:
        return check_labels(labels, model)
    except ValueError:  # they may be another model's
        return None


def name_of_model(model: Any) -> str:
    """What to call a model on the screen; nothing where there is none."""
    from explorer.inspection.look.model import model_name

    return "" if model is None else model_name(model)


def in_a_word(model: Any) -> str:
    """A model that is asked for."""
    return model if isinstance(model, str) else "your model"


def name_of_photo(source: Any) -> str:
    if isinstance(source, (str, Path)):
        return Path(source).name
    # a bundled photo, under the gallery's name for it
    if isinstance(title := getattr(source, "title", None), str):
        return title
    return Path(getattr(source, "filename", "") or getattr(source, "name", "") or "photo").name


def file_of(source: Any) -> str | PathLike | None:
    """What a photo was opened from, where it is a file. Bytes are let go of."""
    return source if isinstance(source, (str, PathLike)) else None
