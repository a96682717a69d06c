"""What is drawn of a comparison: one side of it at a time, with the controls of that side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.compare.choosing import at_most, line
from explorer.widgets.panels.compare.words import front_sentences, table_rows
from explorer.widgets.panels.work import busy_html, notes_html
from explorer.widgets.parts.scatter import Scatter
from explorer.widgets.parts.sort_table import SortTable
from explorer.widgets.snippets import literal

if TYPE_CHECKING:
    from explorer.inspection.compare.compared import Compared
    from explorer.inspection.compare.comparison import Comparison
    from explorer.inspection.compare.place_comparison import BoxComparison, PlaceComparison

MOST_LISTED = 300   # photos in the drop-down
VIEWS = (("Predictions", "predictions"), ("Heat maps", "cams"), ("Feature maps", "maps"),
         ("Agreement", "agreement"), ("Table", "table"), ("Accuracy and cost", "scatter"))
PLACE_VIEWS = (("Pictures", "pictures"), ("Agreement", "agreement"), ("Classes", "classes"),
               ("Table", "table"), ("Accuracy and cost", "scatter"))  # of boxes and masks
TITLES = {key: text for text, key in VIEWS + PLACE_VIEWS}
X_AXES = (("time of a photo", "latency"), ("parameters", "parameters"), ("multiply-adds", "macs"),
          ("size of the weights", "size"), ("peak memory", "memory"))
Y_AXES = (("published, on ImageNet", "published"), ("measured, on these photos", "measured"))
PLACE_Y_AXES = (("published", "published"),)
OWN_SCALES = ("Bright: what spoke for the class. Each map has its own scale, so that brightness does not "
              "compare between models; places do.")
OWN_COLOURS = ("The last map of each model at this stride, its strongest channels. Each channel has its own "
               "colours, from its lowest value to its highest.")
OPENS = "A press on a name opens the model in all panels."


@dataclass(frozen=True)
class Drawn:
    """One side of a comparison as it is on the page, with the settings that drew it."""

    view: str
    photo: int = 0
    topk: int = 5
    target: str | None = None
    stride: int | None = None
    x: str = "parameters"
    y: str = "published"
    score: float | None = None

    @property
    def title(self) -> str:
        return TITLES[self.view]

    def seen(self, result: Compared) -> Compared:
        """The comparison at the score that is chosen; of other things than boxes as it is."""
        if self.score is None or result.kind != "boxes" or result.score_threshold == self.score:
            return result
        return result.at(score_threshold=self.score)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of `Comparison.figure`."""
        photo = {"photo": self.photo}
        return {
            "predictions": {**photo, "topk": self.topk}, "cams": {**photo, "target": self.target},
            "maps": {"stride": self.stride, **photo}, "scatter": {"x": self.x, "y": self.y},
            "pictures": photo,
        }.get(self.view, {})

    def lines(self, result: Compared) -> list[str]:
        """Python that gives the same of `result`, and its figure."""
        named, photo = any(result.labels), self.photo
        other = self.seen(result) is not result
        first = [f"result = result.at(score_threshold={literal(self.score)})"] if other else []
        target = f", target={literal(self.target)}" if self.target else ""
        given = {
            "predictions": f"result.predictions({photo}, topk={self.topk})" if named
            else f"result.numbers({photo})",
            "cams": f"[one.overlay() for one in result.cams({photo}{target})]",
            "maps": f"result.maps({self.stride}, {photo})", "pictures": f"result.pictures({photo})",
            "classes": "result.classes()",
            "agreement": "result.agreement" if named else "result.differences",
            "table": "print(result.to_markdown())",
            "scatter": f"result.points({literal(self.x)}, {literal(self.y)})",
        }[self.view]
        if self.view == "table":
            return [*first, given]
        options = "".join(f", {name}={literal(value)}" for name, value in self.options.items()
                          if value is not None)
        return [*first, given, f"result.figure({literal(self.view)}{options})"]

    def figure(self, result: Compared) -> Any:
        result = self.seen(result)
        if self.view != "table":
            return result.figure(self.view, **self.options)
        from explorer.widgets.export import table_figure

        columns, rows = result.table()
        return table_figure(columns, rows, title="Models compared", right=range(1, len(columns)))


class Views:
    """The sides of a comparison: buttons, the options of the one that is chosen, and what is drawn.

    drawn:  what is on the page; code, figure and caption speak of that
    redraw: called when the reader chooses another side or option
    """

    def __init__(self, panel: Panel, redraw: Callable[[Any], None]):
        self.panel, lock = panel, panel.session.lock
        self.drawn: Drawn | None = None
        self.placed: tuple[str, ...] = ()  # the points of the scatter
        self.filling = False               # options are being exchanged: no wish of the reader's
        self.result: Compared | None = None
        self.drawing = panel.line(failed=self._complain)  # heat maps

        def auto() -> W.Layout:  # one each: some of them come and go
            return W.Layout(width="auto")

        self.view = W.ToggleButtons(options=VIEWS)
        self.view.add_class("vx-stages")
        self.photo = labelled("Photo", W.Dropdown, options=[("", 0)], layout=at_most(340))
        self.topk = labelled("Show", W.Dropdown, options=[("top 3", 3), ("top 5", 5), ("top 10", 10)],
                             value=5, layout=auto())
        self.target = labelled("Class", W.Combobox, placeholder="each model's own first answer",
                               ensure_option=False, continuous_update=False, layout=at_most(360))
        self.stride = labelled("Stride", W.SelectionSlider, options=[1], readout=True,
                               continuous_update=False, layout=at_most(380))
        self.x = labelled("Cost", W.Dropdown, options=X_AXES, layout=auto())
        self.y = labelled("Accuracy", W.Dropdown, options=Y_AXES, layout=auto())
        self.score = labelled("Score above", W.FloatSlider, min=0.0, max=1.0, step=0.01, value=0.3,
                              readout_format=".0%", continuous_update=False, layout=at_most(320))
        self.picture, self.below = W.HTML(), W.HTML()
        self.table = SortTable(label="Models compared", files=False, lock=lock)  # the panel saves it
        self.scatter = Scatter(title="Accuracy and cost", names=True, height=380, lock=lock,
                               empty="No model has both figures.")
        controls = [self.photo, self.topk, self.target, self.stride, self.score, self.x, self.y]
        self.rows = [self.view, line(controls), self.picture, self.table, self.scatter, self.below]
        for control in (self.view, *controls):
            control.observe(redraw, "value")

    def settings(self) -> Drawn:
        """What the controls ask for."""
        target = self.target.value.strip() or None
        boxes = self.result is not None and self.result.kind == "boxes"
        score = self.score.value if boxes else None
        return Drawn(self.view.value, self.photo.value, self.topk.value, target, self.stride.value,
                     self.x.value, self.y.value, score)

    def offer(self, result: Compared) -> None:
        """What can be chosen of another comparison; the lock is held."""
        chosen = self.photo.value
        self.result, places = result, result.kind != "classes"
        self.filling = True
        try:
            if self.view.options != (views := PLACE_VIEWS if places else VIEWS):
                self.view.options = views
                self.y.options = PLACE_Y_AXES if places else Y_AXES
            names = result.photos[:result.pictured if places else MOST_LISTED]
            self.photo.options = [(name, index) for index, name in enumerate(names)]
            self.photo.value = chosen if chosen is not None and chosen < len(names) else 0
            if result.kind == "boxes":
                self._offer_scores(result)
            if not places:
                self._offer_classes(result)
            self.x.value = "latency" if any(row.latency for row in result.rows) else "parameters"
            self.y.value = result.accuracy
        finally:
            self.filling = False

    def _offer_scores(self, result: BoxComparison) -> None:
        """As low as candidates were kept; the score that is chosen stays."""
        lowest = max(one.lowest for row in result.found for one in row)
        self.score.min = 0.0
        self.score.value = max(self.score.value, lowest)
        self.score.min = lowest

    def _offer_classes(self, result: Comparison) -> None:
        known = {label for outputs in result.outputs if outputs is not None for label in outputs.labels}
        self.target.options = tuple(sorted(known, key=str.casefold))
        if result.looks:
            stride = self.stride.value
            self.stride.options = [(f"{one} px", one) for one in result.strides]
            again = stride in result.strides and stride > 1
            self.stride.value = stride if again else max(result.strides, default=None)

    def show_times(self) -> None:
        """The reader has just measured the speed: that is what they want to see."""
        self.filling = True
        self.x.value, self.view.value = "latency", "scatter"
        self.filling = False

    def draw(self, result: Compared) -> None:
        """Draw the chosen side; only heat maps take a while. The lock is held."""
        self.result = result
        now = self.settings()
        result = now.seen(result)
        view, one_photo = now.view, now.view in ("predictions", "cams", "maps", "pictures")
        for control, wanted in (
                (self.photo, one_photo and len(result.photos) > 1), (self.topk, view == "predictions"),
                (self.target, view == "cams"),
                (self.stride, view == "maps" and bool(getattr(result, "looks", ()))),
                (self.score, result.kind == "boxes" and view != "scatter"),
                (self.x, view == "scatter"), (self.y, view == "scatter"),
                (self.table, view == "table"), (self.scatter, view == "scatter")):
            control.layout.display = "" if wanted else "none"
        self.below.value = ""
        if view != "cams":
            self.drawn = now
        try:
            getattr(self, f"_draw_{view}")(result, now)
        except ValueError as error:
            self.drawn = now
            self.picture.value = notes_html([str(error)])

    def _draw_predictions(self, result: Comparison, now: Drawn) -> None:
        from explorer.display.draw import thumbnail
        from explorer.display.html import picture_html
        from explorer.inspection.compare.page import answers_html

        picture = ""
        if result.looks:
            small = thumbnail(result.looks[0][now.photo].image, 224)
            picture = picture_html(small, result.photos[now.photo], format="JPEG")
        bars = answers_html(result, now.photo, topk=now.topk)
        self.picture.value = f'<div class="vx-cmp-photo">{picture}<div>{bars}</div></div>'

    def _draw_cams(self, result: Comparison, now: Drawn) -> None:
        result._needs_looks("Heat maps")
        self.picture.value = busy_html("drawing heat maps")
        self.drawing.start(partial(self._cams, result, now), partial(self._show_cams, result, now))

    def _cams(self, result: Comparison, now: Drawn, job: Job) -> str:
        from explorer.inspection.compare.page import cams_html

        found = result.cams(now.photo, target=now.target, should_stop=job.ended)
        return "" if job.stale else cams_html(result, found)

    def _show_cams(self, result: Comparison, now: Drawn, html: str) -> None:
        if result is self.result and self.settings() == now:
            self.drawn, self.picture.value = now, html
            self.below.value = below_html([OWN_SCALES])
            self.panel.changed()

    def _complain(self, error: BaseException) -> None:
        if self.view.value == "cams":
            self.picture.value = notes_html([sentence_of(error)])

    def _draw_maps(self, result: Comparison, now: Drawn) -> None:
        from explorer.inspection.compare.page import maps_html

        result._needs_looks("Feature maps")
        self.picture.value = maps_html(result, now.stride, now.photo)
        self.below.value = below_html([OWN_COLOURS])

    def _draw_agreement(self, result: Compared, now: Drawn) -> None:
        from explorer.inspection.compare import page, place_page

        self.picture.value = (page if result.kind == "classes" else place_page).agreement_html(result)

    def _draw_pictures(self, result: PlaceComparison, now: Drawn) -> None:
        from explorer.inspection.compare.place_page import pictures_html

        self.picture.value = pictures_html(result, now.photo)

    def _draw_classes(self, result: PlaceComparison, now: Drawn) -> None:
        from explorer.inspection.compare.place_page import classes_html

        self.picture.value = classes_html(result) or below_html(["None of the models found anything."])
        self.below.value = below_html([result.agreement_sentence])

    def _draw_table(self, result: Compared, now: Drawn) -> None:
        self.picture.value = ""
        columns, rows = table_rows(result)
        self.table.show(columns, rows, csv=result.to_csv())
        self.below.value = below_html([*result.standing, OPENS])

    def _draw_scatter(self, result: Compared, now: Drawn) -> None:
        from explorer.inspection.compare.facts import COSTS

        self.picture.value = ""
        points, left_out = result.points(now.x, now.y)
        xs = [point.x for point in points]
        parameters = {row.name: row.parameters for row in result.rows}
        largest = max(parameters.values())
        self.placed = tuple(point.name for point in points)
        with self.scatter.hold_sync():
            self.scatter.x_label, self.scatter.y_label = COSTS[now.x].title, result.accuracies[now.y].title
            self.scatter.log_x = bool(xs) and min(xs) > 0 and max(xs) / min(xs) > 10
        front = sorted((at for at, point in enumerate(points) if point.front), key=lambda at: xs[at])
        self.scatter.show(
            xs, [point.y for point in points], labels=self.placed,
            groups=[result.names.index(name) for name in self.placed],
            sizes=[4 + 12 * (parameters[name] / largest) ** 0.5 for name in self.placed],
            shapes=["circle"] * len(points), line=front)
        told = result.standing if now.y == "measured" else ()
        self.below.value = below_html([*told, *front_sentences(points, left_out)])


def below_html(lines: list[str]) -> str:
    return "".join(f'<p class="vx-soft">{escape(text)}</p>' for text in lines)
