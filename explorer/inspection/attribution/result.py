"""What a method found: an `Attribution`, a heat map in the photo's frame that shows itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import numpy as np
from PIL import Image
from torch import Tensor

from explorer.display import draw
from explorer.display.html import LINE, RichRepr, notes_html, picture_html, side_by_side_html
from explorer.display.legend import bar_html, framed, with_bar
from explorer.inspection.attribution.methods import METHODS, passes_text


@dataclass(eq=False, repr=False)
class Attribution(RichRepr):
    """Where in a photo a model's score for a class, or a number that it gives, comes from, as one method
    sees it.

    method, title: its name in `METHODS`, and in full
    model_name:    as in `Look`
    target, label: the class's index and name, or the number's; None and "" for methods that know of no class
    noun:          what `target` is, "class" or "number"
    stage:         whose map it is drawn from; "" for methods that need none
    heatmap:       float32 [H, W], 0..1, in the frame of `image`; 0 outside of what the network saw. 0 where
                   nothing speaks for the class; 1 is the most in the network's frame, which a smaller photo
                   averages
    raw:           what the method computed, in the frame of the network's input and signed where the method
                   is: [h, w], or [C, H, W] for methods that judge single pixels
    image:         the photo;  seen_box: (left, top, right, bottom), the part that the network saw, in its
                   pixels
    seconds:       how long it took;  passes: how many inputs the network was run on for it, 0 where a look
                   held it all
    details:       numbers that belong to the method, such as "delta" for integrated gradients
    notes:         sentences that a reader must know
    """

    method: str
    title: str
    model_name: str
    target: int | None
    label: str
    stage: str
    heatmap: Tensor
    raw: Tensor
    image: Image.Image
    seen_box: tuple[float, float, float, float]
    seconds: float
    passes: int
    details: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    noun: str = "class"

    def overlay(self, alpha: float = 0.5, colormap: str = "magma") -> Image.Image:
        """The photo with the heat map on it, RGB, in the photo's size.

        alpha: from 0, the photo alone, to 1, the heat map alone;  colormap: one of `draw.COLORMAPS`
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha!r}: expected a number from 0 (the photo alone) to 1 (the heat "
                             "alone).")
        return Image.blend(self.image.convert("RGB"), self.picture(colormap), alpha)

    def overlay_with_bar(self, alpha: float = 0.5, colormap: str = "magma") -> Image.Image:
        """The overlay to keep: with a fine line around what the network saw, where that is not all, and a bar
        of the colours below. RGB, higher than the photo by the bar.
        """
        return with_bar(framed(self.overlay(alpha, colormap), self.seen_box), name=colormap)

    def picture(self, colormap: str = "magma") -> Image.Image:
        """The heat map alone, RGB, in the photo's size."""
        codes = Image.fromarray((self.heatmap.numpy() * 255 + 0.5).astype(np.uint8)).convert("P")
        codes.putpalette(draw.colormap(colormap).tobytes())
        return codes.convert("RGB")

    def __repr__(self) -> str:
        what = f"{self.label!r}, " if self.target is not None else ""
        stage = f"stage {self.stage!r}, " if self.stage else ""
        return f"Attribution({self.method!r}, {self.model_name!r}, {what}{stage}{passes_text(self.passes)})"

    def _repr_html_(self) -> str:
        """Photo, overlay, facts, and what this kind of picture does not prove; no script."""
        method = METHODS[self.method]
        facts = [self.model_name]
        if self.target is not None:
            facts.append(f"{self.noun} {self.label} ({self.target})")
        if self.stage:
            facts.append(f"stage {self.stage}")
        facts += [passes_text(self.passes), f"{1000 * self.seconds:.0f} ms"]
        small = draw.thumbnail(framed(self.overlay(), self.seen_box), 320)
        photo = picture_html(draw.thumbnail(self.image, 320), "The photo", format="JPEG")
        heat = heat_html(small, f"{self.title}: the brighter, the more it counts")
        said = f"<b>{escape(self.title)}</b> · {escape(' · '.join(facts))}"
        return (f"<div><p style='{LINE}'>{said}</p>{notes_html(self.notes)}{side_by_side_html(photo + heat)}"
                f"<p style='{LINE};font-size:.85em'>{escape(method.limits)}</p></div>")


def heat_html(picture: Image.Image, caption: str) -> str:
    """A picture with heat on it, and what its colours mean."""
    return f"<div>{picture_html(picture, caption, format='JPEG')}{bar_html()}</div>"
