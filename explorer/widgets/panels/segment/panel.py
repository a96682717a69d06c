"""Segment: what every pixel of the photo is a part of, as a network for masks says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.known import Known
from explorer.widgets.panels.offer import Offer
from explorer.widgets.panels.place_heat import PlaceHeat, heat_of_class
from explorer.widgets.panels.place_panel import PlacePanel
from explorer.widgets.panels.segment.guide import GUIDE
from explorer.widgets.panels.segment.words import judged_html, probability_html
from explorer.widgets.panels.work import notes_html, said_html
from explorer.widgets.parts.overlay_values import MAX_SIDE
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, literal, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.segment.judging import JudgedMask
    from explorer.inspection.segment.result import Segmentation

CLASSES, PROBABILITY, TRUTH = "classes", "probability", "truth"
NO_MASK = ("This model finds no masks. Pick one under <b>Task</b>: segmentation in the list of models, or "
           "open your own: <code>dash.session.model = my_network</code>.")


class SegmentPanel(PlacePanel):
    name = "Masks"
    guide = GUIDE
    nothing_yet = "No mask is shown here yet: choose a model that finds them, and a photo."

    def make(self) -> None:
        self.mode = labelled("Show", W.ToggleButtons, options=[("Classes", CLASSES)])
        self.label = labelled("Class", W.Dropdown, options=[("all classes", -1)],
                              layout=W.Layout(width="auto"))
        self.view = PhotoOverlay(side=512, lock=self.session.lock)
        self.notes, self.facts = W.HTML(), W.HTML()
        self.known = Known(self, "segmentation", self._redraw)
        self.offer = Offer(self.session, "segmentation", NO_MASK)
        self.heat = PlaceHeat(self, self.view, "Why this class", self._asked, heat_of_class, self._alone)
        self.region = W.Checkbox(description="drag a region to ask about", indent=False,
                                 layout=W.Layout(width="auto"))
        controls = W.HBox([self.mode, self.label, self.region], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        row = W.Box([self.view, W.VBox([self.facts, self.heat.row])])
        row.add_class("vx-photo-row")
        self.body = W.VBox([self.notes, controls, row, self.known.row])
        self.shown: Segmentation | None = None
        self.judged: JudgedMask | None = None
        self._photo: Any = None
        self.fill([self.offer.row, self.body])
        self.add_class("vx-segment")
        self.on_choice(self.mode)
        self.on_choice(self.label)
        self.when(self.view, self._isolated, "isolated")
        self.when(self.region, self._drag)
        self.view.on_box(lambda _: self.tell(self.heat.clear))

    # --- what is drawn ------------------------------------------------------------------------------------

    def _settings_now(self) -> tuple[Any, ...]:
        return self.session.look, self.mode.value, self.label.value, *self.known.of_now()

    def _draw(self) -> None:
        look = self.session.look
        found = None if look is None else look.segmentation
        self.offer.show(found is None)
        self.body.layout.display = "" if found is not None else "none"
        if found is None:
            self.forget()
            self.view.clear()
            return
        self.shown = found
        if self._photo is not look:
            self._photo = look
            self.view.show(look.image, label=f"{self.session.image_name}, with its mask")
            self._offer_classes(found)
        self._know(found, look)
        mode = self.mode.value
        self.label.layout.display = "none" if mode == CLASSES else ""
        self.region.layout.display = "none" if mode == TRUTH else ""
        self.view.heat(None)
        self.heat.offer(mode != TRUTH)
        if mode == PROBABILITY:
            self._draw_probability(found)
        elif mode == TRUTH and self.judged is not None:
            self._draw_judged(self.judged)
        else:
            self._draw_classes(found)
        likely = "" if mode != PROBABILITY else probability_html(found.labels[self.chosen])
        self.facts.value = likely + ("" if self.judged is None else judged_html(self.judged))

    def _offer_classes(self, found: Segmentation) -> None:
        """The classes to choose from, the largest first; the choice stays where there is such a class."""
        order = [*found.found, *(index for index in range(len(found.labels)) if index not in found.found)]
        options = [("all classes", -1), *((found.labels[index], index) for index in order)]
        if list(self.label.options) != options:
            value = self.label.value
            self.label.options = options
            self.label.value = value if value < len(found.labels) else -1

    def _know(self, found: Segmentation, look: Any) -> None:
        """The true mask of this photo, where it is known; else what stands in its way."""
        self.known.tell()
        wrong, self.judged = "", None
        try:
            self.judged = self._judged(found, look)
        except ValueError as error:  # ImageError is one
            wrong = str(error)
        options = [("Classes", CLASSES), ("Probability", PROBABILITY),
                   *([("Against the true mask", TRUTH)] if self.judged else [])]
        if list(self.mode.options) != options:
            value = self.mode.value
            self.mode.options = options
            self.mode.value = value if value in dict(options).values() else CLASSES
        self.notes.value = notes_html(look.notes) + said_html(wrong)

    def _judged(self, found: Segmentation, look: Any) -> JudgedMask | None:
        mask = self.known.mask_of_now()
        if mask is not None:
            return found.judged(mask)
        known = self.known.find()
        if known is None:
            return None
        places, number = known
        named = places.named and bool(self.session.model.config.labels)
        return found.judged(places.truth(number, look.image.size), classes=places.classes if named else None)

    def _draw_classes(self, found: Segmentation, *, painted: bool = True) -> None:
        codes, sure = shown_of(found)
        alone = self.view.isolated
        reads = ""
        if 0 <= alone < len(found.labels):
            sure, reads = probability_of(found, alone, codes.shape), found.labels[alone]
        colours = hexes(found) if painted else [""] * len(found.labels)
        self.view.mask(codes, names=found.labels, colours=colours, values=sure, reads=reads)

    def _isolated(self) -> None:
        """The class that is shown alone: its own probability is read out everywhere."""
        if self.shown is not None and self.mode.value == CLASSES:
            self.heat.clear()
            self._draw_classes(self.shown)
            self.changed()

    def _drag(self) -> None:
        """Whether a region can be drawn, in place of choosing classes by a click in the photo."""
        self.view.draws = self.region.value
        if not self.region.value:
            self.view.box = ()
        self.heat.clear()

    def _alone(self, alone: bool) -> None:
        """Beside a heat map the mask is not painted; it is read under the pointer all the same."""
        if self.shown is not None and self.mode.value == CLASSES:
            self._draw_classes(self.shown, painted=not alone)
        elif self.shown is not None and self.mode.value == PROBABILITY and not alone:
            self._draw_probability(self.shown)

    def _asked(self) -> tuple[Any, int | None, tuple[int, ...] | None]:
        """(the look, the class, the region) that a heat map is asked for; None: the largest, all of it."""
        alone = self.view.isolated if self.mode.value == CLASSES else self.label.value
        return self.session.look, alone if alone >= 0 else None, tuple(self.view.box) or None

    @property
    def chosen(self) -> int:
        """The class whose probability is shown: the chosen one, else the largest that is no background."""
        if self.label.value >= 0:
            return self.label.value
        found = [index for index in self.shown.found if self.shown.labels[index] != "background"]
        return found[0] if found else len(self.shown.labels) - 1

    def _draw_probability(self, found: Segmentation) -> None:
        codes, _ = shown_of(found)
        values = probability_of(found, self.chosen, codes.shape)
        self.view.mask(codes, names=found.labels, colours=[""] * len(found.labels), values=values,
                       reads=found.labels[self.chosen])
        self.view.heat(values, ends=("0 %", "100 %"))

    def _draw_judged(self, judged: JudgedMask) -> None:
        from explorer.display.colours import hex_of
        from explorer.inspection.segment.judging import COLOURS, OUTCOMES

        index = None if self.label.value < 0 else self.label.value
        colours = [hex_of(COLOURS[code]) if code in COLOURS else "" for code in range(len(OUTCOMES))]
        names = OUTCOMES if index is None else ("elsewhere", *OUTCOMES[1:])
        step = max(1, -(-max(judged.said.shape) // MAX_SIDE))
        self.view.mask(judged.where(index)[::step, ::step], names=names, colours=colours)

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
        if self.judged is not None:
            known, classes = self.known.lines(self.session.model)
            lines += [*known, f"judged = found.judged(known{classes})"]
        if self.heat.asked is not None:
            return "\n".join([*setup_lines(self.session), heat_line(self)])
        if self.mode.value == TRUTH and self.judged is not None:
            options = {"opacity": round(self.view.mask_alpha, 2)}
            options |= {"index": self.label.value} if self.label.value >= 0 else {}
            return "\n".join([*lines, call("judged.overlay", "found.image", options=options)])
        if self.mode.value == PROBABILITY:
            return "\n".join([*lines, f"found.probabilities({literal(self.shown.labels[self.chosen])})"])
        if self.view.isolated >= 0:
            lines.append(f"found.probabilities({literal(self.shown.labels[self.view.isolated])})")
        return "\n".join([*lines, call("found.overlay", options=self._options())])

    def figure(self) -> Any:
        found = self.shown
        if found is None:
            return None
        if self.heat.found is not None:
            return self.heat.found.overlay_with_bar(self.view.alpha)
        if self.mode.value == TRUTH and self.judged is not None:
            index = None if self.label.value < 0 else self.label.value
            return self.judged.overlay(found.image, self.view.mask_alpha, index=index)
        if self.mode.value == PROBABILITY:
            from explorer.display.draw import heated
            from explorer.display.legend import with_bar

            values = found.probabilities(self.chosen).numpy()
            return with_bar(heated(found.image, values, alpha=self.view.alpha), low="0 %", high="100 %")
        return found.overlay(**self._options())

    def caption(self) -> str:
        found = self.shown
        if found is None:
            return super().caption()
        if self.heat.found is not None:
            return f"{super().caption()} {self.heat.found.caption}."
        judged = "" if self.judged is None or self.judged.miou is None else \
            f" Mean IoU with the true mask {self.judged.miou:.3f}."
        if self.mode.value == TRUTH and self.judged is not None:
            what = "all classes" if self.label.value < 0 else found.labels[self.label.value]
            return (f"{super().caption()} The mask beside the true one, {what}: green agrees, yellow was "
                    f"missed, red is too much.{judged}")
        if self.mode.value == PROBABILITY:
            return f"{super().caption()} Probability of {found.labels[self.chosen]}, 0 to 1.{judged}"
        shares = ", ".join(f"{name} {share:.1%}" for name, share in list(found.shares.items())[:6])
        return f"{super().caption()} Each pixel has its likeliest class: {shares}.{judged}"

    def forget(self) -> None:
        self.shown = self._photo = self._settings = self.judged = None


def heat_line(panel: SegmentPanel) -> str:
    _, target, region = panel.heat.asked
    options: dict[str, Any] = {} if target is None else {"target": panel.shown.labels[target]}
    options |= {} if region is None else {"region": region}
    return call("explorer.explain", "model", "photo", options=options)


def shown_of(found: Segmentation) -> tuple[Any, Any]:
    """(the class of each place, how sure the network is of it, 0 to 1) at the size that the page draws."""
    from torch.nn import functional as F

    step = max(1, -(-max(found.mask.shape) // MAX_SIDE))
    codes = found.mask[::step, ::step]
    sure = found.scores.softmax(0).amax(0)[None, None]
    sure = F.interpolate(sure, size=tuple(codes.shape), mode="bilinear", align_corners=False)[0, 0]
    return codes.numpy(), sure.numpy()


def probability_of(found: Segmentation, index: int, size: tuple[int, int]) -> Any:
    """The probability of a class everywhere, 0 to 1, at (height, width)."""
    from torch.nn import functional as F

    share = found.scores.softmax(0)[index][None, None]
    return F.interpolate(share, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


def hexes(found: Segmentation) -> list[str]:
    """'#rrggbb' of each class as its pictures have it, '' for what is not coloured."""
    from explorer.display.colours import hex_of

    colours = found.colours
    return [hex_of(colours[index]) if index in colours else "" for index in range(len(found.labels))]
