"""Segment: what every pixel of the photo is a part of, as a network for masks says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.photo_overlay import MAX_SIDE, PhotoOverlay
from explorer.widgets.snippets import call, literal, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.segment.result import Segmentation

NO_MASK = ("This model finds no masks. Pick one under <b>Task</b>: segmentation in the list of models, or "
           "open your own: <code>dash.session.model = my_network</code>.")
GUIDE = """
    <p><b>What you see.</b> The network gives every pixel a score for each class; softmax makes shares of
    them, and the pixel takes the colour of the class with the largest. Below the photo stands how much of it
    each class has. Click a class, in the photo or in the list, to see it alone; the number under the pointer
    is how sure the network is there.</p>
    <p><b>Where the edges come from.</b> The backbone's last maps are coarse, 32 pixels a step in most: the
    decoder brings finer ones back, or dilation keeps them fine. See its stages under <i>Feature maps</i>.</p>
    <p><b>What it does not prove.</b> Every pixel gets one of the classes that the network knows, whatever it
    shows. A large share says little about small things: measures such as the mean intersection over union
    (mIoU) count each class alike (<a href="https://arxiv.org/abs/1411.4038">Long and others, 2015: Fully
    convolutional networks for semantic segmentation</a>).</p>"""


class SegmentPanel(Panel):
    name = "Masks"
    rests = True
    draw_on = ("look",)
    guide = GUIDE
    nothing_yet = "No mask is shown here yet: choose a model that finds them, and a photo."

    def make(self) -> None:
        self.view = PhotoOverlay(side=512, lock=self.session.lock)
        self.notes = W.HTML()
        self.empty = W.HTML(f'<span class="vx-soft">{NO_MASK}</span>')
        row = W.Box([self.view])
        row.add_class("vx-photo-row")
        self.body = W.VBox([self.notes, row])
        self.shown: Segmentation | None = None
        self.fill([self.empty, self.body])
        self.add_class("vx-segment")

    def draw(self) -> None:
        look = self.session.look
        found = None if look is None else look.segmentation
        self.empty.layout.display = "none" if found is not None else ""
        self.body.layout.display = "" if found is not None else "none"
        if found is self.shown:
            return
        self.shown = found
        if found is None:
            self.view.clear()
            return
        self.notes.value = notes_html(look.notes)
        self.view.show(look.image, label=f"{self.session.image_name}, with its mask")
        codes, sure = shown_of(found)
        self.view.mask(codes, names=found.labels, colours=hexes(found), values=sure)

    # --- code and figure ------------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        """How the overlay is drawn, in the words of `Segmentation.overlay`."""
        options: dict[str, Any] = {"opacity": round(self.view.mask_alpha, 2)}
        if self.view.isolated >= 0:
            options["classes"] = [self.shown.labels[self.view.isolated]]
        return options

    def code(self) -> str:
        if self.shown is None:
            return ""
        lines = [*setup_lines(self.session), "found = explorer.segment(model, photo)"]
        if self.view.isolated >= 0:
            lines.append(f"found.probabilities({literal(self.shown.labels[self.view.isolated])})")
        return "\n".join([*lines, call("found.overlay", options=self._options())])

    def figure(self) -> Any:
        return None if self.shown is None else self.shown.overlay(**self._options())

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        shares = ", ".join(f"{name} {share:.1%}" for name, share in list(self.shown.shares.items())[:6])
        return f"{super().caption()} Each pixel has its likeliest class: {shares}."

    def forget(self) -> None:
        self.shown = None


def shown_of(found: Segmentation) -> tuple[Any, Any]:
    """(the class of each place, how sure the network is of it, 0 to 1) at the size that the page draws."""
    from torch.nn import functional as F

    step = max(1, -(-max(found.mask.shape) // MAX_SIDE))
    codes = found.mask[::step, ::step]
    sure = found.scores.softmax(0).amax(0)[None, None]
    sure = F.interpolate(sure, size=tuple(codes.shape), mode="bilinear", align_corners=False)[0, 0]
    return codes.numpy(), sure.numpy()


def hexes(found: Segmentation) -> list[str]:
    """'#rrggbb' of each class as its pictures have it, '' for what is not coloured."""
    from explorer.display.colours import hex_of

    colours = found.colours
    return [hex_of(colours[index]) if index in colours else "" for index in range(len(found.labels))]
