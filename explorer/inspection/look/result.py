"""What one pass over one photo showed: the `Look`, which shows itself in a notebook."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.data.images import load_image
from explorer.data.shown_steps import Step, preprocessing_steps
from explorer.display import draw
from explorer.display.html import RichRepr, notes_html, picture_html, side_by_side_html, title_html
from explorer.inspection.look.answers import Prediction, predictions_html
from explorer.inspection.look.tail import Tail, fingerprint
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import stages_in_words

if TYPE_CHECKING:
    from explorer.inspection.detect.result import Detections
    from explorer.inspection.segment.result import Segmentation

STAGES_SHOWN = 8  # at most, in a notebook: a large transformer has dozens
STAGES = "display:flex;flex-wrap:wrap;gap:12px;margin-top:8px"


@dataclass(frozen=True)
class Origin:
    """Where a look comes from: the model as it was then, and the `Tail` of its pass, for heat maps."""

    model: weakref.ref[nn.Module]
    fingerprint: tuple[Any, ...] | None
    tail: Tail | None

    def is_still(self, model: nn.Module) -> bool:
        """Whether that very model, unchanged since, would give the same numbers again."""
        known = self.model() is model and self.fingerprint is not None
        return known and self.fingerprint == fingerprint(model)


@dataclass(eq=False, repr=False)
class Look(RichRepr):
    """What one forward pass over one photo showed. All tensors are float32 on the CPU.

    model_name:  e.g. "resnet50.a1_in1k"; without the tag where no weights were loaded
    predictions: the likeliest classes, best first; empty for a model without classifier
    stages:      name -> feature maps [C, H, W], in network order
    embedding:   the vector in front of the classifier, [D]
    logits:      one raw score a class or number, [K]; of a yes or no the one score
    input:       what went into the network: the normalised photo [C, H, W]
    image:       the photo as it was opened, upright RGB
    seen:        the part of it that the network saw, resized and cropped
    outputs:     what the logits mean (`explorer.models.outputs.Outputs`), and the names of all K classes
    config:      the preprocessing: keyword arguments of `explorer.data.create_transform`
    timing:      seconds for "preprocess" and "forward"; the "device"; on a CPU also torch's "threads"
    modules:     name -> what the modules gave that were asked for with `at`: maps [C, H, W], tokens [N, C] or
                 vectors [C]
    detections, segmentation: what a network for boxes, or for masks, found; None for others
    notes:       sentences that a reader of the predictions must know, e.g. that the weights are random
    """

    model_name: str
    predictions: list[Prediction]
    stages: dict[str, Tensor]
    embedding: Tensor
    logits: Tensor
    input: Tensor
    image: Image.Image
    seen: Image.Image
    outputs: Outputs
    config: dict[str, Any]
    timing: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    detections: Detections | None = None
    segmentation: Segmentation | None = None
    modules: dict[str, Tensor] = field(default_factory=dict)
    # copies and saved looks hold the numbers alone
    _origin: Origin | None = field(default=None, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_origin"}

    @property
    def finds_places(self) -> bool:
        """Whether it is by a network for boxes or masks."""
        return self.detections is not None or self.segmentation is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all K classes, or of the numbers."""
        return self.outputs.labels

    @property
    def probabilities(self) -> Tensor:
        """Of each class, [K]. Raises ValueError for a model that gives numbers."""
        return self.outputs.probabilities(self.logits)

    @cached_property
    def steps(self) -> list[Step]:
        """How the photo became the input, step by step (worked out when first asked for).

        None of a network for boxes or masks, which sees the whole photo.
        """
        if self.finds_places:
            return []
        return preprocessing_steps(self.image, self.config)

    @checked
    def mosaic(
        self,
        stage: str,
        *,
        sort: str = "channel",
        scale: str = "own",
        colormap: str = "viridis",
        limit: int | None = None,
        cell: int | None = None,
    ) -> Image.Image:
        """The feature maps of one stage, or of a module that was asked for, as one picture; the options are
        those of `draw.mosaic`.
        """
        known = self.stages | self._module_maps
        if stage not in known:
            raise ValueError(f"{self.model_name} has no stage {stage!r}. {stages_in_words(known)}")
        maps = known[stage]
        return draw.mosaic(maps, sort=sort, scale=scale, colormap=colormap, limit=limit, cell=cell)

    @property
    def _module_maps(self) -> dict[str, Tensor]:
        """Of the modules that were asked for, those that gave maps."""
        return {name: found for name, found in self.modules.items() if found.ndim == 3}

    def __repr__(self) -> str:
        best = self.predictions[0] if self.predictions else None
        top = f"top-1 {best.label!r} {best.text}" if best else "no classifier"
        if self.outputs.numbers:
            top = ", ".join(f"{number.label} {number.text}" for number in self.predictions[:3])
        return f"Look({self.model_name!r}, {top}, {len(self.stages)} stages)"

    def _repr_html_(self) -> str:
        """The photo, the predictions and the stages as plain HTML: no script, and right in light and dark."""
        height, width = self.input.shape[-2:]
        caption = f"What the network saw, {width} x {height} pixels"
        photo = picture_html(draw.thumbnail(self.seen, 224), caption, format="JPEG")
        notes = notes_html(self.notes)
        style = "margin:.3em 8px;font-size:.85em;max-width:34em"
        meaning = f"<p style='{style}'>{escape(self.outputs.meaning)}</p>" if self.outputs.meaning else ""
        facts = f"{self.model_name}, {1000 * self.timing['forward']:.0f} ms on {self.timing['device']}"
        names = list(self.stages)
        step = max(1, -(-len(names) // STAGES_SHOWN))  # a network without maps has no stages
        shown = names[::-1][::step][::-1]  # the last one always
        stages = "".join(_stage_html(name, self.stages[name]) for name in shown)
        if step > 1:
            stages += f"<p>{len(shown)} of {len(names)} stages; the others: look.mosaic(name).</p>"
        stages += "".join(_stage_html(name, found) for name, found in self._module_maps.items())
        found = self.segmentation if self.detections is None else self.detections  # perhaps of no box at all
        if found is not None:
            return f"<div>{found._repr_html_()}<div style='{STAGES}'>{stages}</div></div>"
        return (
            f"<div>{title_html(facts)}{notes}"
            f"{side_by_side_html(f'{photo}<div>{predictions_html(self.predictions)}{meaning}</div>')}"
            f"<div style='{STAGES}'>{stages}</div></div>"
        )


def still_holds(seen: Look | None, model: nn.Module) -> bool:
    """Whether a look is there, and by that very model, unchanged since. A look that was saved is not."""
    return seen is not None and seen._origin is not None and seen._origin.is_still(model)


def is_at(seen: Look, image: Any) -> bool:
    """Whether a look is at this photo, pixel by pixel; None stands for the look's own. Raises TypeError for
    no `Look`.
    """
    if not isinstance(seen, Look):
        raise TypeError(f"look= takes what explorer.look(model, photo) gives, not {type(seen).__name__}.")
    if image is None or image is seen.image:
        return True
    photo = load_image(image, channels=len(seen.input))
    return photo.size == seen.image.size and photo.tobytes() == seen.image.tobytes()


def _stage_html(name: str, maps: Tensor, *, limit: int = 48, cell: int = 28) -> str:
    channels, height, width = maps.shape
    shown = f"{channels} channels" if channels <= limit else f"the {limit} strongest of {channels} channels"
    picture = draw.palette_mosaic(maps, columns=8, limit=limit, cell=cell)
    return picture_html(picture, f"{name}: {shown}, {height} x {width}", style="image-rendering:pixelated")
