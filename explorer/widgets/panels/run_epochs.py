"""A run's epochs, to go through back and forth: what the network said to photos then, and what its maps looked like.

Everything here is asked of a copy of the run's network (`Shadow`), which is put into the state of an epoch, or of this
moment, and looked through in the background. So a reader may look at epoch 2 while the run learns its twentieth.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as W

from explorer.models.outputs import Outputs
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.images import thumbnail_jpeg
from explorer.widgets.parts.mosaic import FeatureMosaic
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.session import Session

log = logging.getLogger(__name__)

NOW = -1         # a place on the slider: the weights of this moment
WATCHED = 8      # photos whose predictions are shown
CHANNELS = 32    # whose maps are shown
SHARE = 20       # looking may take one part in so many of the run's time
LIVE_GAP = 0.5   # seconds between two looks while it learns, at least
FEW_CLASSES = 10  # so many are all shown, in their order; of more the likeliest
PACE = 800       # milliseconds an epoch, when it plays


# --- touching a run from outside -------------------------------------------------------------------------------


def between_batches(run: Any, work: Callable[[], Any]) -> Any:
    """What `work()` gives: run in the run's own thread between two batches while it learns, at once where it rests.

    So a copy of the weights never holds half a step. Raises what `work` raises.
    """
    if not getattr(run, "running", False):
        return work()
    outcome: list[tuple[Any, BaseException | None]] = []
    begun, done = threading.Event(), threading.Event()

    def once(_event: Any) -> None:
        if begun.is_set():
            return
        begun.set()
        try:
            outcome.append((work(), None))
        except Exception as error:
            outcome.append((None, error))
        done.set()

    stop_listening = run.listen(once)
    while run.running and not done.wait(0.05):
        pass
    stop_listening()
    if not begun.is_set():  # it ended before its next event
        return work()
    done.wait()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def copy_of_model(run: Any) -> Any:
    """A copy of the run's network as it is now, under the run's name, in evaluation mode.

    A copy, because the run may go on: what the other panels show must not change under them.
    """
    from explorer.models.weights.report import LoadReport

    model = between_batches(run, lambda: copy.deepcopy(run.model)).eval()
    for parameter in model.parameters():
        parameter.grad = None
    model.config = model.config.with_(tag=run.name)
    model.load_report = LoadReport(source=f"{run.name}, trained here", name=model.config.name)
    return model


def network_beside(run: Any) -> Any:
    """A copy of the run's network for `Shadow`, whose weights that learn are set afterwards: so it may be copied in mid-step."""
    try:
        return copy.deepcopy(run.model)
    except RuntimeError:  # a network that writes into itself while it works
        return between_batches(run, lambda: copy.deepcopy(run.model))


def places_of(run: Any) -> list[int]:
    """Where the slider can stand: the epochs that are kept, and NOW while it learns or where no epoch was over yet."""
    epochs = list(getattr(run, "checkpoints", ()))
    resting = not getattr(run, "running", False)
    return epochs if resting and run.best is not None and epochs else [*epochs, NOW]


def resting_place(run: Any, places: list[int]) -> int:
    """Where it stands when nobody has moved it: now, and in the end the best epoch, which the model then has."""
    if NOW in places:
        return NOW
    best = run.best["epoch"] + 1 if run.best else places[-1]
    return best if best in places else places[-1]


# --- what is said: plain functions -----------------------------------------------------------------------------


def caption(logits: Any, label: Any, outputs: Any, name: str = "") -> Caption:
    """What the network says to one photo, and whether that is right. logits: [W]; label: an index, or
    several. Names alone in place of `outputs` are those of classes.
    """
    if isinstance(outputs, tuple):
        outputs = Outputs("several" if isinstance(label, tuple) else "one", outputs)
    if outputs.numbers:
        return number_caption(logits, label, outputs, name)
    labels, shares = outputs.labels, outputs.probabilities(logits)
    if isinstance(label, tuple):
        said = tuple(i for i, yes in enumerate((shares > 0.5).tolist()) if yes)
        text = ", ".join(labels[i] for i in said) or "nothing"
        return Caption(text, set(said) == set(label), f"{name}: it is {', '.join(labels[i] for i in label) or 'nothing'}")
    best = int(outputs.likeliest(logits))
    text = f"{labels[best]} {100 * float(shares[best]):.0f}\N{NO-BREAK SPACE}%"
    return Caption(text if best == label else f"{text}, but it is {labels[label]}", best == label, name)


def number_caption(raw: Any, label: tuple[float, ...], outputs: Any, name: str = "") -> Caption:
    """What a network that gives numbers says to one photo, beside the truth. raw: [W]"""
    from explorer.display.words import number_text

    said = outputs.values(raw.double()).tolist()
    pairs = [f"{what} {number_text(value)}, true {number_text(true)}"
             for what, value, true in zip(outputs.labels, said, label)]
    return Caption("; ".join(pairs), title=name)


def answer_html(logits: Any, outputs: Any) -> str:
    """Bars for the classes; a few stay in their order, so that they can be followed from epoch to epoch.
    logits: [W]

    outputs: the run's `Outputs`; of numbers each stands as it is.
    """
    labels = outputs.labels
    if outputs.numbers:
        from explorer.display.words import number_text

        given = "".join(f'<li><span class="vx-name">{escape(name)}</span>'
                        f'<span class="vx-value"><b>{number_text(value)}</b></span></li>'
                        for name, value in zip(labels, outputs.values(logits.double()).tolist()))
        return f'<ol class="vx-predictions" aria-label="What it says to this photo">{given}</ol>'
    shares = outputs.probabilities(logits)
    order = range(len(labels)) if len(labels) <= FEW_CLASSES else shares.topk(5).indices.tolist()
    best = int(outputs.likeliest(logits))
    rows = []
    for index in order:
        name, share = escape(labels[index]), float(shares[index])
        rows.append(f'<li><span class="vx-name">{f"<b>{name}</b>" if index == best else name}</span>'
                    f'<span class="vx-value">{100 * share:.1f} %</span>'
                    f'<span class="vx-track"><span class="vx-bar" style="width:{share:.2%}"></span></span></li>')
    return f'<ol class="vx-predictions" aria-label="What it says to this photo">{"".join(rows)}</ol>'


def when_text(run: Any, epoch: int) -> str:
    if epoch == NOW:
        batches = getattr(run, "batches", ())
        return f"in epoch {batches[-1].epoch + 1}" if batches else "before the first epoch"
    return f"after epoch {epoch}" if epoch else "before the first epoch"


def place_html(run: Any, epoch: int, places: list[int]) -> str:
    """Where the slider stands, in words."""
    row = next((row for row in run.history if row["epoch"] + 1 == epoch), None)
    text = "<b>Now</b>, as it learns" if epoch == NOW else \
        f"<b>After epoch {epoch}</b> of {run.recipe.epochs}" if epoch else "<b>Before the first epoch</b>"
    if epoch == NOW and not getattr(run, "running", False):
        text = "<b>Now</b>, before its first epoch was over"
    if row is not None:
        from explorer.training.loop.measures import measure_of

        measure = measure_of(run)
        text += f": {measure.says(row.get(measure.judged))}, loss {row['val_loss']:.3f}, judged"
        text += "; the best, which the model has" if row is run.best and not getattr(run, "running", False) else ""
    kept = [place for place in places if place != NOW]
    if kept and kept != list(range(kept[0], kept[-1] + 1)):
        text += f'<br><span class="vx-soft">Kept, to save memory: {", ".join(map(str, kept))}.</span>'
    return text


def learning_stages(run: Any, model: Any) -> dict[str, bool]:
    """{stage: whether its maps change while the run learns}, in network order."""
    names = [stage.name for stage in model.stage_table]
    part = run.recipe.train
    return {name: part == "all" or (part == "last_stage" and name == names[-1]) for name in names}


# --- the copy that is looked through ---------------------------------------------------------------------------


@dataclass
class Seen:
    """One look: the answers to the sample photos, those to the reader's own photo, and its maps; None: not asked for."""

    samples: list[Caption] | None = None
    photo: Any = None   # logits [K]
    maps: Any = None    # [C, H, W]


class Shadow:
    """A copy of a run's network that can be put into any state which the run has kept. Of one thread at a time.

    model: a copy that nobody else uses;  samples: photos that the run is judged by, none for a run from a folder
    """

    def __init__(self, run: Any, model: Any):
        import torch

        from explorer.data.transforms import create_transform, resolve_data_config
        from explorer.inspection.look.looking import outputs_of

        self.run, self.model, self.outputs = run, model.eval(), outputs_of(model)
        for parameter in model.parameters():
            parameter.grad = None
        self.stages = learning_stages(run, model)
        self.prepare = create_transform(**resolve_data_config({}, model=model))
        photos = run.data.val if hasattr(run, "data") else ()
        chosen = [i * len(photos) // min(WATCHED, len(photos)) for i in range(min(WATCHED, len(photos)))]
        pairs = [photos[i] for i in chosen]
        self.truth = [label for _, label in pairs]
        self.names = [photos.names[i] for i in chosen]
        self.thumbnails = [thumbnail_jpeg(picture) for picture, _ in pairs]
        self.samples = torch.stack([self.prepare(picture) for picture, _ in pairs]) if pairs else None
        self._vectors: dict[str, tuple[Any, Any]] = {}  # what a frozen body has seen: (of which photo, its vectors)
        self._photo: tuple[Any, Any] = (None, None)
        self._channels: tuple[Any, Any] = (None, None)

    def become(self, weights: dict[str, Any]) -> None:
        from explorer.training.run.kept import put_into

        put_into(self.model, weights)

    def look(self, image: Any, stage: str | None, *, samples: bool) -> Seen:
        """image: the reader's photo, or None; stage: whose maps of it are wanted."""
        import torch

        seen = Seen()
        with torch.inference_mode():
            if samples and self.samples is not None:
                logits, _ = self._through("samples", self.samples, self.samples, None)
                seen.samples = [caption(row, label, self.outputs, name)
                                for row, label, name in zip(logits, self.truth, self.names)]
            if image is not None:
                if self._photo[0] is not image:
                    self._photo = image, self.prepare(image)[None]
                logits, seen.maps = self._through("photo", image, self._photo[1], stage)
                seen.photo = logits[0]
        return seen

    def channels(self, image: Any, stage: str, maps: Any) -> Any:
        """Which channels are shown: the strongest at the first look, and the same ones after every other epoch."""
        if self._channels[0] != (id(image), stage):
            strength = maps.abs().mean((1, 2)).nan_to_num()
            self._channels = (id(image), stage), strength.topk(min(CHANNELS, len(strength))).indices.sort().values
        return self._channels[1]

    def _through(self, what: str, key: Any, inputs: Any, stage: str | None) -> tuple[Any, Any]:
        """(logits [B, K], the first photo's maps of a stage [C, H, W] or None) on the CPU."""
        from explorer.models.contract import Stage, parameter_place
        from explorer.models.watching import walk
        from explorer.training.loop.sources import lives_on_the_vector

        model = self.model
        known, vectors = self._vectors.get(what, (None, None))
        if stage is None and known is key and vectors is not None:
            return model.forward_classifier(vectors).float().cpu(), None
        maps = None

        def keep(row: Stage, found: Any) -> None:
            nonlocal maps
            if row.name == stage:
                maps = found[0].float().cpu().clone()  # the next layer may work in place

        features = walk(model, inputs.to(**parameter_place(model)), after=keep)
        vectors, logits = model.forward_vector_and_logits(features)
        if self.run.recipe.train == "head" and lives_on_the_vector(model, vectors, logits):
            self._vectors[what] = key, vectors  # a frozen body says the same in every epoch
        return logits.float().cpu(), maps


# --- the view ---------------------------------------------------------------------------------------------------


class EpochsView(W.VBox):
    """A slider over a run's epochs, and below it what the network says and sees there. `follow` takes another run.

    While the run learns and the slider stands at its end, the newest state is shown, as often as `SHARE` allows.
    """

    def __init__(self, session: Session, use: Callable[[int], None]):
        """use: called with the epoch whose model the reader wants in all panels."""
        self.session = session
        self.play = W.Play(min=0, max=0, interval=PACE, show_repeat=False, layout=W.Layout(width="auto", flex="0 0 auto"))
        self.slider = W.IntSlider(description="After epoch", min=0, max=0, readout=False, style={"description_width": "initial"},
                                  layout=W.Layout(flex="1 1 180px", width="auto", max_width="420px"))
        self.use = W.Button(description="Use this checkpoint", layout=W.Layout(width="auto", flex="0 0 auto"),
                            tooltip="Makes the model, as it was there, the one that all panels show")
        self.where = W.HTML()
        self.about = W.HTML()
        self.photos = PhotoStrip(label="Photos that the run is judged by, with its answers", side=96)
        self.picture, self.answer, self.maps_note = W.HTML(), W.HTML(), W.HTML()
        self.stage = W.Dropdown(description="Maps of stage", style={"description_width": "initial"}, layout=W.Layout(width="auto"))
        self.mosaic = FeatureMosaic()
        controls = W.HBox([self.play, self.slider, self.use], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        said = W.VBox([self.picture, self.answer])
        seen = W.VBox([self.stage, self.maps_note, self.mosaic])
        self.own = W.Box([said, seen])
        self.own.add_class("vx-epochs-own")
        super().__init__([controls, self.where, self.about, self.photos, self.own])
        self.add_class("vx-epochs")
        self.work = Line(session.jobs)
        self._run: Any = None
        self._shadow: Shadow | None = None
        self._places: list[int] = []
        self._following, self._moving, self._busy = True, False, False
        self._looked_at = self._looked_for = 0.0
        self.spent = 0.0  # seconds of looking at this run
        self._pictured: Any = None
        self.slider.observe(self._moved, "value")
        self.play.observe(self._played, "value")
        self.stage.observe(self._chosen_stage, "value")
        self.use.on_click(lambda _: use(self.place))

    @property
    def place(self) -> int:
        """The epoch that is shown, or NOW."""
        return self._places[min(self.slider.value, len(self._places) - 1)] if self._places else NOW

    # --- from the run's view: the session's lock is held ---

    def follow(self, run: Any) -> None:
        self._run, self._shadow, self._places = run, None, []
        self._following, self._busy, self._looked_at, self._looked_for, self.spent = True, False, 0.0, 0.0, 0.0
        self.photos.show([], [])
        self.about.value = self.answer.value = self.picture.value = self.maps_note.value = ""
        self._pictured = None
        self.mosaic.clear()
        self._move(lambda: setattr(self.stage, "options", []))
        self.layout.display = "none"
        if run is not None:
            self.offer()
            if not getattr(run, "running", False):
                self._ask()

    def offer(self) -> None:
        """The run has another epoch, or another state."""
        run = self._run
        if run is None or self.work.closed:
            return
        places = places_of(run)
        if places == [NOW] and getattr(run, "started", None) is None:
            return  # it prepares
        before, known, self._places = self.place, bool(self._places), places
        wanted = resting_place(run, places) if self._following else before
        earlier = [i for i, place in enumerate(places) if NOW != place <= wanted]  # where it was let go, the one before
        index = places.index(wanted) if wanted in places else earlier[-1] if earlier else 0
        self._move(lambda: self._place_at(index))
        self.layout.display = ""
        text = place_html(run, places[index], places)
        if self.where.value != text:
            self.where.value = text
        if known and not self._following and places[index] != before:  # what was looked at is not kept any more
            self._ask()

    def photo_changed(self) -> None:
        """Another photo is on the screen."""
        if self._run is not None and self._shadow is not None:
            self._ask()

    def _place_at(self, index: int) -> None:
        last = len(self._places) - 1
        for control in (self.slider, self.play):
            if index > control.max:
                control.max = last
            control.value = index
            control.max = last

    def _move(self, work: Callable[[], None]) -> None:
        """Set controls without taking that for the reader's choice."""
        before, self._moving = self._moving, True
        try:
            work()
        finally:
            self._moving = before

    # --- from the reader ---

    def _moved(self, _change: Any) -> None:
        if self._moving:
            return
        with self.session.lock:
            self._following = self.place == NOW
            self._move(lambda: setattr(self.play, "value", self.slider.value))
            self.where.value = place_html(self._run, self.place, self._places)
            self._ask()

    def _played(self, change: Any) -> None:
        if not self._moving and change["new"] != self.slider.value:
            self.slider.value = change["new"]

    def _chosen_stage(self, _change: Any) -> None:
        if not self._moving:
            self._ask()

    # --- from the run's thread ---

    def hear(self, run: Any, kind: str, *, last: bool) -> None:
        """After an event: look at the newest state, if there is time for it. last: no event follows."""
        if run is not self._run or self.work.closed:
            return
        now = time.monotonic()
        if last:
            with self.session.lock:
                self.offer()
                if self._following:
                    self._ask()
            return
        due = now - self._looked_at > (0 if kind != "batch" else LIVE_GAP) + SHARE * self._looked_for
        if kind not in ("started", "epoch", "batch") or not self._following or self._busy or not due:
            return
        if self._shadow is None and kind == "batch":
            return  # the first look comes with the next epoch, and brings the photos
        try:
            weights = run.weights_now() if getattr(run, "weights_now", None) is not None else None
        except Exception:  # what can't be copied can't be watched; it learns all the same
            log.exception("the weights of %s could not be copied", run.name)
            return
        self._ask(weights=weights, samples=kind != "batch", cost=time.monotonic() - now,
                  when=when_text(run, NOW if kind != "epoch" else len(run.history)))

    # --- looking, in the background ---

    def _ask(self, *, weights: dict[str, Any] | None = None, samples: bool = True, cost: float = 0.0, when: str = "") -> None:
        run, place = self._run, self.place
        self._busy = True
        self.work.start(lambda job: self._look(job, run, place, weights, samples, cost, when))

    def _look(self, job: Job, run: Any, place: int, weights: Any, samples: bool, cost: float,
              when: str) -> None:
        began = time.monotonic()
        try:
            shadow = self._shadow
            if shadow is None or shadow.run is not run:
                samples = True
                shadow = Shadow(run, network_beside(run))
                with self.session.lock:
                    if run is self._run:
                        self._shadow = shadow
                        self._offer_stages(shadow)
                began = time.monotonic()  # that was for once
            if weights is None:
                if place != NOW:
                    weights = run.kept.weights(place)
                elif getattr(run, "weights_now", None) is not None:
                    weights = between_batches(run, run.weights_now)
                elif run.checkpoints:  # a run on other computers: the newest that has come
                    weights = run.kept.weights(run.checkpoints[-1])
                else:
                    weights = run.model.state_dict()
            shadow.become(weights)
            image, stage = self.session.image, self.stage.value
            seen = shadow.look(image, stage, samples=samples)
            if not job.stale or not getattr(run, "running", False):
                self._show(run, shadow, seen, image, stage, when or when_text(run, place))
        except Exception as error:
            log.warning("%s could not be looked at: %s", run.name, error, exc_info=error)
            with self.session.lock:
                if run is self._run and not self.work.closed:
                    self.about.value = f'<div class="vx-note" role="status">{escape(str(error))}</div>'
        finally:
            self._looked_at = time.monotonic()
            self._looked_for = self._looked_at - began + cost
            self.spent += self._looked_for
            self._busy = False

    def _offer_stages(self, shadow: Shadow) -> None:
        """The stages of another run; the one in the middle of those that learn is chosen."""
        if not any(shadow.stages.values()):
            self._move(lambda: setattr(self.stage, "options", []))
            return
        options = [(name if learns else f"{name} (frozen)", name) for name, learns in shadow.stages.items()]
        learning = [name for name, learns in shadow.stages.items() if learns]

        def exchange() -> None:
            self.stage.options = options
            self.stage.value = learning[len(learning) // 2]

        self._move(exchange)

    def _show(self, run: Any, shadow: Shadow, seen: Seen, image: Any, stage: str | None, when: str) -> None:
        with self.session.lock:
            if run is not self._run or self.work.closed:
                return
            if seen.samples is not None:
                if len(self.photos.captions) == len(seen.samples):
                    self.photos.caption(seen.samples)
                else:
                    self.photos.show(shadow.thumbnails, seen.samples)
                right = sum(bool(one.right) for one in seen.samples)
                how = "" if run.outputs.numbers else f": {right} of {len(seen.samples)} right"
                self.about.value = (f'<span class="vx-soft">What it says to photos that it does not learn from, '
                                    f'{escape(when)}{how}.</span>')
            if self._pictured is not image:
                self._pictured = image
                self.picture.value = "" if image is None else picture_html(image, self.session.image_name)
            self.answer.value = "" if seen.photo is None else answer_html(seen.photo, shadow.outputs)
            self.own.layout.display = "" if image is not None else "none"
            self._show_maps(run, shadow, seen.maps, image, stage, when)

    def _show_maps(self, run: Any, shadow: Shadow, maps: Any, image: Any, stage: str | None, when: str) -> None:
        frozen = run.recipe.train == "head"
        for control in (self.stage, self.mosaic):
            control.layout.display = "none" if maps is None else ""
        if maps is not None:
            chosen = shadow.channels(image, stage, maps)
            self.mosaic.show(maps[chosen].numpy(), title=f"{stage}, {when}", total=len(maps), channels=chosen.tolist())
        note = ""
        if frozen:
            note = ("Only the classifier of this run learns. The maps of its body are the same after every epoch (they are under Feature "
                    "maps); what changes is the answer to your photo.")
        elif not shadow.stages:
            note = "This model makes no maps: it has no layer with places side by side."
        elif stage is not None and not shadow.stages[stage]:
            note = f"{stage} is frozen in this run: its maps stay as they are."
        self.maps_note.value = f'<span class="vx-soft">{escape(note)}</span>' if note else ""

    def wait(self, timeout: float | None = 60) -> bool:
        """Block until what was asked for is shown; False after `timeout` seconds."""
        return self.work.wait(timeout)

    def close(self) -> None:
        self.work.close()
        self._run = self._shadow = self._pictured = None
        super().close()


def picture_html(image: Any, name: str) -> str:
    from explorer.display import draw

    source = draw.data_uri(draw.thumbnail(image, 128), format="JPEG")
    return (f'<div class="vx-epochs-photo"><img alt="" src="{source}"><span>Your photo<br>'
            f'<span class="vx-soft">{escape(name)}</span></span></div>')
