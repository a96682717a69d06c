"""Hide a region of the photo, and look again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display import draw
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.what_if.block import FILLS, Block, Host, parts
from explorer.widgets.panels.what_if.drawing import (
    SIDE,
    changes_html,
    covers,
    main,
    sheet,
    shots_html,
    verdict,
)
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.experiments.masking import MaskedLook
    from explorer.inspection.look.result import Look

INTRO = ("Draw a box on the photo, with the mouse or with the arrow keys: it is hidden, and the model looks "
         "again.")


class MaskBlock(Block):
    """Hide a region and look again."""

    def __init__(self, panel: Host):
        super().__init__(panel, "Mask a region (occlusion)", INTRO)
        self.found: MaskedLook | None = None
        self.view = PhotoOverlay(draws=True, slider=False, side=SIDE, lock=panel.session.lock)
        self.how = labelled("Fill with", W.ToggleButtons, options=[*FILLS.items()])
        self.again = W.Button(description="Look again", layout=W.Layout(width="auto", display="none"))
        self.again.add_class("vx-open")
        self.after, self.bars = W.HTML(), W.HTML()
        self.where = W.HTML()
        self.lay_out([self.how, self.again], self.says,
                     parts(W.VBox([self.view, self.where]), self.after, wide=[self.bars]))
        self.view.on_box(self._drawn)
        self.how.observe(lambda _: self._look_again(), "value")
        self.again.on_click(lambda _: self._look_again())

    def reset(self, look: Look, *, same_photo: bool) -> None:
        from explorer.data.transforms import crop_box

        box = self.view.box if same_photo else ()
        if not same_photo:
            self.view.show(look.image, label="The photo to mask")
        seen = crop_box(look.image.size, look.config)
        whole = covers(seen, look.image.size)
        self.view.frame(() if whole else seen)
        cut = "" if whole else "; its dark margin is cut off before the network"
        self.where.value = f'<div class="vx-whatif-where">The photo: draw here{cut}</div>'
        self._clear()
        if box:  # another model, the same photo: the box may be asked about again
            self.again.layout.display = ""
            self.hint(f"The box is still there: Look again shows what {look.model_name} makes of it.")

    def forget(self) -> None:
        self.found = None

    def _clear(self) -> None:
        self.found, self.after.value, self.bars.value, self.again.layout.display = None, "", "", "none"
        self.hint(self.intro)

    def _drawn(self, box: tuple[int, ...]) -> None:
        with self.panel.session.lock:
            if box:
                self._look_again()
                return
            self.work.drop()
            self._clear()
            self.panel.emptied(self)

    def hide(self, box: tuple[int, int, int, int], fill: str) -> None:
        """Do as a reader who draws this box, in pixels of the photo. fill: one of `FILLS`' values"""
        with self.panel.session.lock:
            self.view.box = ()  # or another fill would look again by itself
            self.how.value, self.view.box = fill, box
            self._look_again()

    def _look_again(self) -> None:
        box, fill = tuple(self.view.box), self.how.value
        if not box:
            return

        def compute(_job: Job, model: Any, look: Look) -> tuple[MaskedLook, Image.Image]:
            from explorer.inspection.experiments.masking import mask_region

            found = mask_region(model, look.image, box, fill=fill, look=look)
            return found, draw.thumbnail(found.picture, SIDE)

        with self.panel.session.lock:
            self.start(compute, self._show, "looking again")

    def _show(self, masked: tuple[MaskedLook, Image.Image]) -> None:
        self.found, small = found, _ = masked
        self.again.layout.display = "none"
        self.after.value = shots_html([(small, "What the model looked at", "JPEG")])
        self.bars.value = changes_html(main(found.changes))
        self.say(verdict(found.changes[0], *found.answers), notes=found.notes)
        self.panel.showed(self)

    def code_lines(self) -> list[str]:
        options = {"fill": self.found.fill}
        masked = call("explorer.mask_region", "model", "photo", literal(self.found.box), options=options)
        return [f"masked = {masked}", "masked"]

    def figure(self) -> Any:
        from explorer.display.draw import outlined

        found = self.found
        before = outlined(found.before.image, found.box, side=SIDE)
        after = draw.thumbnail(found.picture, 2 * SIDE)
        return sheet([(before, "before"), (after, f"masked: {found.fill}")], main(found.changes))

    def caption(self) -> str:
        found = self.found
        left, top, right, bottom = found.box
        size = f"{right - left} × {bottom - top} pixels from ({left}, {top})"
        answer = verdict(found.changes[0], *found.answers)
        return " ".join([f"Masked (fill: {found.fill}): {size}.", answer, *found.notes])
