"""Fine-tuning: from which photos, what learns and how, and the run itself.

Everything that can be said beforehand is said beforehand: what is in the data, how many numbers learn, the learning rate
of every step, what augmentation does to a photo. Settings that can't be are a sentence; the controls stay as they are.
"""

from __future__ import annotations

import copy
import logging
import math
import re
from collections import deque
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.files import given_path
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.images import thumbnail_jpeg
from explorer.widgets.panels.learns_tree import LearnsTree
from explorer.widgets.panels.rate_finder import RateFinder
from explorer.widgets.panels.run_view import RunView, figure_text, problem_text
from explorer.widgets.panels.work import busy_html
from explorer.widgets.parts import data_card
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

log = logging.getLogger(__name__)

FOLDER = "a folder"
DATA = {"flowers5: five flowers, bundled": "flowers5", "flowers5_nano: a few small photos, for trying out": "flowers5_nano",
        "CIFAR-10: 60,000 tiny photos": "cifar10", "a folder or table (CSV) of your own": FOLDER}
PREVIEWED = 200  # steps of the schedule that are drawn

#: Runs that were started from a dashboard, kept when it is closed, so that the next one shows them again.
STARTED: deque[Any] = deque(maxlen=8)


# --- plain functions --------------------------------------------------------------------------------------------


def number(label: str, text: str, *, whole: bool = False) -> float | int | None:
    """What a reader has typed: None for nothing. Raises ValueError with what to write; a comma is taken for a point."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        example = "a whole number such as 3" if whole else "a number such as 0.001 or 1e-3"
        raise ValueError(f"{label} is {text!r}: write {example}, or leave it empty.") from None


def planned_rates(recipe: Any, batches: int) -> list[tuple[float, float]]:
    """(epoch, learning rate of the classifier) along a run of `batches` batches an epoch."""
    from explorer.training.loop.schedules import schedule

    steps = -(-batches // recipe.accumulate)
    total = steps * recipe.epochs
    factor = schedule(recipe.schedule, total=total, warmup=round(recipe.warmup * total))
    shown = sorted({round(i * (total - 1) / max(min(total, PREVIEWED) - 1, 1)) for i in range(min(total, PREVIEWED))})
    return [(step / steps, recipe.rates[0] * factor(step)) for step in shown]


def as_it_would_learn(model: Any, train: str, classes: int) -> tuple[Any, str]:
    """(a copy without weights, with a classifier of `classes` classes and frozen as `train` says; what is frozen in words).

    Raises ValueError for a model that can't be cut there.
    """
    from explorer.models.surgery.freezing import freeze, unfreeze
    from explorer.models.surgery.inside import empty_copy

    empty = empty_copy(model)
    empty.reset_classifier(classes)
    unfreeze(empty)
    names, frozen = [stage.name for stage in empty.stage_table], "nothing"
    if train == "head":
        freeze(empty)
        frozen = "everything but the classifier"
    elif train == "last_stage":
        if len(names) < 2:
            raise ValueError("This model has no stages that could be told apart: train the head, or everything.")
        freeze(empty, names[-2])
        frozen = f"all up to and including {names[-2]}"
    return empty, frozen


def what_learns(model: Any, train: str, classes: int) -> tuple[int, int, str]:
    """(numbers that learn, numbers in all, what is frozen) of a model with a classifier of `classes` classes.

    Counted on a copy without weights. Raises ValueError for a model that can't be cut there.
    """
    empty, frozen = as_it_would_learn(model, train, classes)
    sizes = [(p.numel(), p.requires_grad) for p in empty.parameters()]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes), frozen


def learns_html(name: str, learns: int, total: int, frozen: str, *, cached: bool) -> str:
    share = 100 * learns / max(total, 1)
    text = (f"<b>{learns:,}</b> of {total:,} numbers learn ({share:.3g} %), in a copy of {escape(name)}. "
            f"Frozen: {escape(frozen)}.")
    if cached:
        text += " A frozen body sees each photo once; the run keeps what it saw, so its epochs take no time."
    return f'<span class="vx-soft">{text}</span>'


def next_name(runs: Any) -> str:
    """ "my run 3" where two were there."""
    numbers = [int(found[1]) for run in runs if (found := re.fullmatch(r"my run (\d+)", run.name))]
    return f"my run {max(numbers, default=0) + 1}"


def second_folder(folder: Path) -> Path:
    """Where the run from scratch keeps its checkpoints: beside the first one's."""
    return folder.with_name(f"{folder.name} from scratch")


def known_runs() -> list[Any]:
    """The runs of this process, oldest first, those that still learn last. Imports nothing: without it there is none."""
    import sys

    module = sys.modules.get("explorer.training.run.run")
    return sorted(module.RUNS if module is not None else [], key=lambda run: (run.running, run.created))


def run_caption(run: Any) -> str:
    """Model, data, result and the settings that are not the usual ones, in sentences."""
    from explorer.training.loop.recipe import Recipe

    usual = Recipe().as_dict()
    architecture = getattr(getattr(getattr(run, "model", None), "config", None), "architecture", "")
    data = getattr(getattr(run, "data", None), "name", "") or getattr(run, "data_name", "")
    parts = [f"{what}: {text}" for what, text in (("Run", run.name), ("Model", architecture), ("Data", data)) if text]
    if run.best:
        parts.append(f"Best: {figure_text(run, run.best)} after epoch {run.best['epoch'] + 1}")
    settings = {name: value for name, value in run.recipe.as_dict().items() if value != usual[name] or name in ("epochs", "train", "seed")}
    return ". ".join([*parts, "Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items())]) + "."


# --- the panel --------------------------------------------------------------------------------------------------


class FinetunePanel(Panel):
    name = "Train"
    nothing_yet = "No run yet: start one, and its curves can be kept."
    guide = """
        <p><b>What you see.</b> A copy of the open model learns your classes: its classifier is exchanged, and with “last
        stage” or “everything” the layers below learn as well, more carefully. The curves show the loss and the share of right
        answers, or for numbers how far off they are: on each batch that it learns from, and after each epoch on photos that it never learns from. Those judge.</p>
        <p><b>What it does not prove.</b> A few dozen photos judge coarsely: with 30 of them, one photo is 3 points, and
        another seed another result. Photos of the same scene in both parts make it look better than it is. And the best
        epoch was chosen by the very photos that judge it: for a figure to publish, keep photos aside that chose nothing.</p>
        <p><b>To read.</b> <a href="https://arxiv.org/abs/1411.1792">Yosinski and others, 2014: How transferable are features
        in deep neural networks?</a>; <a href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2019: Do Better
        ImageNet Models Transfer Better?</a>.</p>"""
    draw_on = ("model", "model_name")  # two models may have one name

    def __init__(self, session: Session):
        self.view: RunView | None = None
        self._splits: tuple[Any, Any] = (None, None)  # (what was asked for, what was opened)
        self._done: dict[str, Any] = {}               # what the previews on the screen were made of
        self._duplicates = ""
        super().__init__(session)
        self.add_class("vx-train")

    def make(self) -> None:
        from explorer.training.loop.augmentation import AUGMENTATIONS
        from explorer.training.loop.recipe import OPTIMIZERS, Recipe
        from explorer.training.loop.schedules import SCHEDULES

        default, wide = Recipe(), W.Layout(width="auto")
        style = {"description_width": "112px"}

        def field(kind: type, description: str, why: str = "", **options: Any) -> Any:
            return kind(description=description, tooltip=why or description, **{"layout": wide, "style": style, **options})

        def text(description: str, placeholder: str, why: str = "", **options: Any) -> W.Text:
            return field(W.Text, description, why, placeholder=placeholder, continuous_update=False, **options)

        self.data = field(W.Dropdown, "Data set", options=[*DATA.items()])
        self.folder = text("Path", "a folder with one folder a class, or a table of photos (CSV)",
                           layout=W.Layout(width="auto", display="none"))  # of its own: it comes and goes
        self.train = field(W.Dropdown, "What learns", options=[("head: the classifier", "head"),
                           ("last stage and classifier", "last_stage"), ("everything", "all")])
        self.epochs = field(W.IntText, "Epochs", value=default.epochs)
        self.lr = text("Learning rate", "", "Of the classifier; the body learns at a tenth")
        self.batch_size = field(W.IntText, "Batch size", value=default.batch_size)
        self.optimizer = field(W.Dropdown, "Optimizer", options=[*OPTIMIZERS], value=default.optimizer)
        self.schedule = field(W.Dropdown, "Schedule", options=[(name.replace("_", " "), name) for name in SCHEDULES],
                              value=default.schedule)
        self.augment = field(W.Dropdown, "Augmentation", options=[*AUGMENTATIONS], value=default.augment)
        self.seed = field(W.IntText, "Seed", value=default.seed)
        self.advanced: dict[str, W.Text] = {
            "body_lr": text("Body's rate", "a tenth of the classifier's"),
            "weight_decay": text("Weight decay", "recommended"),
            "warmup": text("Warm-up", f"{default.warmup:g}, a share of the run"),
            "label_smoothing": text("Label smoothing", "0, such as 0.1"), "mixup": text("Mixup", "0, such as 0.2"),
            "cutmix": text("CutMix", "0, such as 1"), "clip": text("Gradient clip", "off, such as 1"),
            "ema": text("Mean weights", "off, such as 0.99", "EMA: the mean of the last steps' weights is judged and kept"),
            "patience": text("Patience", "off, such as 3 epochs", "Stop after so many epochs without a better one"),
            "views": text("Views", "1, such as 2", "Head only: variants of each photo that the frozen body sees"),
            "threads": text("Threads", "all but one"),
        }
        self.loss = field(W.Dropdown, "Loss", "How far off is how bad: mse minds large errors most, l1 all alike, huber between",
                          options=[("mse, the usual", None), ("l1", "l1"), ("huber", "huber")])
        self.loss.layout = W.Layout(width="auto", display="none")  # of numbers alone: it comes and goes
        self.balanced = W.Checkbox(description="rare classes weigh more", indent=False, layout=wide)
        self.scratch = W.Checkbox(description="from scratch: forget the trained weights", indent=False, layout=wide)
        self.both = W.Checkbox(description="also from scratch: a second run afterwards, to compare", indent=False, layout=wide,
                               tooltip="The same settings, photos and order, without the trained weights. Runs lays both over each other. "
                               "Best with “everything”: a classifier behind a body that was never trained learns little")
        self.cache = W.Checkbox(value=True, description="head only: see each photo once (cache)", indent=False,
                                layout=wide)
        self.run_dir = text("Checkpoints", "none; a folder", "A run that was cut off goes on from this folder")
        self.card, self.learns, self.rate_note, self.problem, self.preview_note = (W.HTML() for _ in range(5))
        self.samples = PhotoStrip(label="Photos of each class", side=72)
        self.variants = PhotoStrip(label="One photo as augmentation varies it", side=56)
        self.rates = LiveChart(title="Learning rate", x_label="epoch", height=110, switches=[])
        self.find_duplicates = W.Button(description="Find duplicates", layout=wide,
                                        tooltip="Photos that are in both parts, pixel for pixel")
        self.start = W.Button(description="Start", button_style="primary", layout=wide)
        self.previewing = self.line(failed=self._no_preview)
        self.starting = self.line(failed=lambda error: self._complain(problem_text(error)),
                                  over=lambda: setattr(self.start, "disabled", False))
        self.view = RunView(self.session)
        self.finder = RateFinder(self.session, self._to_find, lambda rate: setattr(self.lr, "value", rate))
        self.modules = LearnsTree("Modules: what would learn", self._would_learn, self.session.jobs)
        self.own_lines += [self.finder.work, self.modules.work, *self.view.own_lines]

        usual = [self.train, self.epochs, self.lr, self.batch_size, self.optimizer, self.schedule, self.augment, self.seed,
                 self.loss]
        rarer = [*self.advanced.values(), self.run_dir, self.scratch, self.balanced, self.cache]
        fields, more = W.Box(usual), W.Box(rarer)
        for box in (fields, more):
            box.add_class("vx-fields")
        accordion = W.Accordion([more], titles=("Advanced",), selected_index=None)
        begin = W.HBox([self.start, self.both], layout=W.Layout(flex_flow="row wrap"))
        begin.add_class("vx-controls")
        data = W.VBox([W.HTML("<h3>Photos to learn from</h3>"), self.data, self.folder, self.card, self.samples,
                       self.find_duplicates])
        recipe = W.VBox([W.HTML("<h3>How it learns</h3>"), fields, self.learns, self.rate_note, self.rates, self.finder,
                         self.preview_note, self.variants, self.modules, accordion, self.problem, begin])
        columns = W.Box([data, recipe])
        columns.add_class("vx-train-columns")
        self.fill([columns, W.HTML("<h3>Run</h3>"), self.view])
        for button in (self.start, self.find_duplicates):
            button.add_class("vx-open")

        for control in (self.data, self.folder, *usual, *rarer):
            control.observe(self._changed, "value")
        self.both.observe(lambda _change: self.changed(), "value")
        for control in (self.train, self.data):
            control.observe(lambda _change: self.modules.refresh(), "value")
        self.start.on_click(lambda _: self._start())
        self.find_duplicates.on_click(lambda _: self._preview(duplicates=True))
        self._changed()

    # --- what is asked for ---

    @property
    def chosen(self) -> Any:
        """The data set that is asked for: a name, or a path. Raises ValueError where no folder is named."""
        if self.data.value != FOLDER:
            return self.data.value
        if not self.folder.value.strip():
            raise ValueError("Type the path of a folder that holds one folder of photos for each class, or of a table (CSV) "
                             "with a column of files and one of numbers or classes.")
        return given_path(self.folder.value.strip(), "the path")

    def settings(self) -> dict[str, Any]:
        """The arguments of `finetune` that the controls stand for. Raises ValueError for what is no number."""
        found: dict[str, Any] = {name: getattr(self, name).value for name in
                                 ("train", "epochs", "batch_size", "optimizer", "schedule", "augment", "seed", "cache")}
        found["lr"] = number("Learning rate", self.lr.value)
        whole = ("patience", "views", "threads")
        for name, control in self.advanced.items():
            value = number(control.description, control.value, whole=name in whole)
            if value is not None:
                found[name] = value
        if self.balanced.value:
            found["class_weights"] = "balanced"
        if self.loss.value is not None and self.loss.layout.display != "none":
            found["loss"] = self.loss.value
        return found

    def _changed(self, change: Any = None) -> None:
        """Another setting: say what follows from it at once, and look at photos and model in the background."""
        from explorer.training.loop.recipe import Recipe

        with self.session.lock:
            self.folder.layout.display = "" if self.data.value == FOLDER else "none"
            try:
                recipe, problem = Recipe(**self.settings()), ""
            except (ValueError, TypeError) as error:
                recipe, problem = None, str(error)
            self._complain(problem)
            if recipe is not None:
                self._draw_rates(recipe)
            else:
                self.rate_note.value = ""  # it was about the number before
            if change is not None and change["owner"] in (self.data, self.folder, self.train, self.batch_size, self.optimizer,
                                                             self.loss):
                self.finder.forget()
            self.changed()
        self._preview()

    def _complain(self, text: str) -> None:
        self.problem.value = f'<div class="vx-error" role="alert">{escape(text)}</div>' if text else ""

    def _draw_rates(self, recipe: Any) -> None:
        head, body = recipe.rates
        self.lr.placeholder = f"{head:g}, recommended" if recipe.lr is None else ""
        which = "recommended" if recipe.lr is None else "yours"
        rates = f"{head:g} for the classifier ({which})" + ("" if recipe.train == "head" else f", {body:g} for the body")
        self.rate_note.value = f'<span class="vx-soft">Learning rate: {rates}.</span>'
        splits = self._splits[1]
        batches = math.ceil(len(splits.train) / recipe.batch_size) if splits is not None else 10
        key = (recipe, batches)
        if self._done.get("rates") != key:
            self._done["rates"] = key
            self.rates.x_end = recipe.epochs
            self.rates.replace({"learning rate": planned_rates(recipe, batches)})

    def draw(self) -> None:
        """Another model is on the screen."""
        self._done.pop("learns", None)
        self._done.pop("variants", None)
        self.finder.forget()
        self._preview()
        self.modules.refresh()

    # --- previews, in the background ---

    def _preview(self, *, duplicates: bool = False) -> None:
        self.previewing.start(lambda job: self._look(job, duplicates))

    def _look(self, job: Job, duplicates: bool) -> None:
        try:
            splits = self._open_data()
            self._card(splits, job)
        except Exception as error:
            log.info("no data card: %s", error)
            self._done["card"] = None
            with self.session.lock:
                self.card.value = f'<div class="vx-note">{escape(str(error))}</div>'
                self.samples.show([], [])
            splits = None
        if job.stale:
            return
        if duplicates and splits is not None:
            self._find_duplicates(splits)
        model = self.session.model
        if model is None:
            return
        self._count(model, splits)
        if not job.stale and splits is not None:
            self._vary(model, splits)

    def _no_preview(self, error: BaseException) -> None:
        self.learns.value = f'<div class="vx-note">{escape(str(error))}</div>'

    def _open_data(self, *, download: bool = False) -> Any:
        """The data set that is asked for, opened once. CIFAR-10 is downloaded only for a run."""
        from explorer.data.datasets import cifar10, open_data

        key = (str(self.chosen), self.seed.value)
        if self._splits[0] == key:
            return self._splits[1]
        if key[0] == "cifar10" and not download:
            try:
                splits = cifar10(download=False)
            except ValueError:
                raise ValueError("CIFAR-10 is not on this computer. Start downloads it (170 MB); the other sets are "
                                 "here.") from None
        else:
            splits = open_data(self.chosen, seed=self.seed.value)
        self._splits, self._duplicates = (key, splits), ""
        return splits

    def _card(self, splits: Any, job: Job) -> None:
        from explorer.data.datasets import without_broken
        from explorer.data.images import ImageError

        if self._done.get("card") is splits:
            return
        with self.session.lock:
            self.card.value = '<span class="vx-busy" role="status">looking at the photos …</span>'
        order = data_card.spread(splits.train, data_card.SAMPLES if splits.train.numbers else data_card.MEASURED)
        shown, sizes, classes = [], [], len(splits.classes)
        wanted = data_card.SAMPLES // classes * classes or data_card.SAMPLES  # as many of each class
        if splits.train.numbers:
            wanted = data_card.SAMPLES
        for index in order:
            if job.stale:
                return
            try:
                photo = splits.train.open_one(index)
            except ImageError:
                continue  # named below
            sizes.append(photo.size)
            if len(shown) < wanted:
                shown.append((thumbnail_jpeg(photo), data_card.label_caption(splits.train, index)))
        notes: tuple[str, ...] = ()
        if splits.train.files and len(splits.train) + len(splits.val) <= data_card.CHECKED:
            notes = tuple(note for note in without_broken(splits).notes if note not in splits.notes)
        with self.session.lock:
            self._done["card"] = splits
            self.card.value = data_card.card_html(splits, sizes, notes)
            self.loss.layout.display = "" if splits.train.numbers else "none"
            self.samples.show([data for data, _ in shown], [caption for _, caption in shown])
            self._done.pop("rates", None)
        self._redraw_rates()

    def _redraw_rates(self) -> None:
        """The number of photos is known now, and with it the number of steps."""
        from explorer.training.loop.recipe import Recipe

        with self.session.lock:
            try:
                self._draw_rates(Recipe(**self.settings()))
            except (ValueError, TypeError):
                pass  # the sentence is there already

    def _find_duplicates(self, splits: Any) -> None:
        from explorer.data.datasets import duplicates

        with self.session.lock:
            self.find_duplicates.description, self.find_duplicates.disabled = "Comparing …", True
        try:
            text = data_card.duplicates_text(duplicates(splits))
        except ValueError as error:  # a broken photo
            text = str(error)
        finally:
            with self.session.lock:
                self.find_duplicates.description, self.find_duplicates.disabled = "Find duplicates", False
        with self.session.lock:
            if text != self._duplicates:
                self._duplicates = text
                self.card.value += f'<div class="vx-note" role="status">{escape(text)}</div>'

    def _count(self, model: Any, splits: Any) -> None:
        classes = len(splits.classes) if splits is not None else model.num_classes
        key = (id(model), self.train.value, classes, self.cache.value)
        if self._done.get("learns") != key:
            html = learns_html(self.session.model_name, *what_learns(model, self.train.value, classes),
                               cached=self.train.value == "head" and self.cache.value)
            with self.session.lock:
                self._done["learns"], self.learns.value = key, html

    def _vary(self, model: Any, splits: Any) -> None:
        from explorer.data.transforms import resolve_data_config
        from explorer.training.loop.augmentation import AUGMENTATIONS, preview

        augment, seed = self.augment.value, self.seed.value
        key = (id(model), id(splits), augment, seed)
        if self._done.get("variants") == key:
            return
        photo = splits.train.open_one(data_card.spread(splits.train, 1)[0])
        count = 1 if augment == "none" else 8
        views = preview(photo, augment, resolve_data_config({}, model=model), count=count, seed=max(seed, 0))
        with self.session.lock:
            self._done["variants"] = key
            self.variants.show([thumbnail_jpeg(view) for view in views], [Caption()] * len(views))
            self.preview_note.value = f'<span class="vx-soft">{escape(augment)}: {escape(AUGMENTATIONS[augment])}.</span>'

    # --- starting ---

    def _start(self) -> None:
        with self.session.lock:
            self.start.disabled = True
            self.problem.value = busy_html("preparing the photos and the model")
            self.finder.end()
            self.starting.start(self._start_run)

    def _start_run(self, _job: Job) -> None:
        both = self.both.value and not self.scratch.value
        wish = self._wish()
        second = self._wish(scratch=True, name=f"{wish['name']} from scratch") if both else None
        run = self._begin(wish)
        if second is not None:
            run.listen(lambda event: self._then(run, second, event))

    def _begin(self, wish: dict[str, Any]) -> Any:
        """Start a run as `_wish` describes it, and show it."""
        from explorer.training.run.finetuning import finetune

        run = finetune(**wish)
        STARTED.append(run)
        with self.session.lock:
            self._complain("")
            self.session.run = run
        return run

    def _then(self, first: Any, second: dict[str, Any], event: Any) -> None:
        """In the first run's thread: when it is finished, the one from scratch begins; not behind a stop."""
        if event.kind == "finished" and self.starting.closed:  # nobody is there to compare
            log.info("%s is finished; the run from scratch is not started", first.name)
        elif event.kind == "finished":
            self.starting.start(lambda _job: self._begin(second))

    def _wish(self, *, scratch: bool | None = None, name: str = "") -> dict[str, Any]:
        """The arguments of `finetune` for what the controls say. Raises ValueError for what can't be started."""
        from explorer.models.names import is_model
        from explorer.training.run.checkpoint import LAST
        from explorer.training.run.claim import teacher_of

        session, model = self.session, self.session.model
        if model is not None and (by := teacher_of(model)):  # started in a cell: its weights are on the move
            raise ValueError(f"{by} is teaching the model on the screen at present. Stop it first; it can be resumed later.")
        if getattr(session.run, "running", False):
            raise ValueError(f"{session.run.name} is learning. Stop it first; it can be resumed later.")
        if model is None:
            raise ValueError("There is no model yet: open one in the picker.")
        settings = self.settings()
        splits = self._open_data(download=True)
        folder = given_path(self.run_dir.value.strip(), "the folder") if self.run_dir.value.strip() else None
        if folder is not None and name:  # a second run has a folder of its own beside the first one's
            folder = second_folder(folder)
        scratch = self.scratch.value if scratch is None else scratch
        if scratch:
            architecture = model.config.architecture
            if not is_model(architecture):
                raise ValueError("Only models from the picker can begin from scratch by their name: build yours anew in a "
                                 "cell.")
            model = architecture
        else:
            model = copy.deepcopy(model)  # the one on the screen stays as it is
        return {"model": model, "data": splits, "name": name or next_name([*session.runs, *known_runs()]), "run_dir": folder,
                "resume": folder is not None and (folder / LAST).is_file(), "pretrained": not scratch,
                "input_size": session.input_size, **settings}

    def _to_find(self) -> tuple[Any, Any, dict[str, Any]]:
        """(model, data, settings) for the learning-rate finder; a run that learns has the processor to itself."""
        wish = self._wish()
        for name in ("name", "run_dir", "resume", "epochs", "schedule", "lr", "patience", "ema"):
            wish.pop(name, None)
        return wish.pop("model"), wish.pop("data"), wish

    def _would_learn(self) -> Any:
        model = self.session.model
        if model is None:
            return None
        try:
            classes = len(self._open_data().classes)
        except Exception:  # the card says why; the tree does not depend on the number
            classes = model.num_classes
        return as_it_would_learn(model, self.train.value, classes)[0]

    def forget(self) -> None:
        self._splits, self._done = (None, None), {}

    # --- code and figure ---

    def code(self) -> str:
        """What Start does: every setting that is not the usual one. The model on the screen stays as it is."""
        from explorer.models.names import is_model
        from explorer.training.loop.recipe import Recipe
        from explorer.training.run.checkpoint import LAST

        session, usual = self.session, Recipe().as_dict()
        if self.view is None or session.model is None:
            return ""
        try:
            settings, data = self.settings(), self.chosen
            Recipe(**settings)
        except (ValueError, TypeError):
            return "# These settings can't be used: the panel says why."
        options = {name: value for name, value in settings.items() if name in ("epochs", "train") or value != usual[name]}
        options |= {} if session.input_size is None else {"input_size": session.input_size}
        if self.run_dir.value.strip():
            folder = given_path(self.run_dir.value.strip(), "the folder")
            options |= {"run_dir": str(folder)} | ({"resume": True} if (folder / LAST).is_file() else {})
        lines = ["import explorer", ""]
        if self.scratch.value:
            if not is_model(session.model.config.architecture):
                return "# Only models from the picker can begin from scratch by their name."
            options["pretrained"], model = False, literal(session.model.config.architecture)
        elif session.model_source:
            lines += model_lines(session)
            model = "model"
        else:  # it is the one on the screen, which stays as it is
            lines = ["import copy", "", *lines, *model_lines(session)]
            model = "copy.deepcopy(model)"
        lines.append(f"run = {call('explorer.finetune', model, literal(data), options=options)}")
        if not self.both.value or self.scratch.value:
            return "\n".join([*lines, "run.wait().best"])
        architecture = session.model.config.architecture
        if not is_model(architecture):
            return "# Only models from the picker can begin from scratch by their name."
        options = {name: value for name, value in options.items() if name not in ("run_dir", "resume")} | {"pretrained": False}
        if self.run_dir.value.strip():
            options["run_dir"] = str(second_folder(folder))
        return "\n".join([*lines, "run.wait()", f"scratch = {call('explorer.finetune', literal(architecture), literal(data), options=options)}",
                          "run.best, scratch.wait().best"])

    def figure(self) -> Any:
        """The curves of the run on the screen."""
        run = self.session.run
        if run is None or not run.history:
            return None
        from explorer.widgets.export import curves_figure

        charts: dict[str, dict[str, Any]] = {}
        from explorer.training.loop.measures import measure_of

        measure = measure_of(run)
        for what, learnt, judged in (("loss", "loss", "val_loss"),
                                     (measure.name, measure.key, measure.judged)):
            batches, started = list(getattr(run, "batches", [])), getattr(run, "started", None)
            each = [(b.epoch + b.batch / max(started.batches, 1), getattr(b, learnt)) for b in batches] if started else []
            rows = list(run.history)
            charts[what] = ({"each batch": each} if each else {"learning": [(row["epoch"] + 1, row[learnt]) for row in rows]})
            charts[what]["judged"] = [(row["epoch"] + 1, row[judged]) for row in rows]
        return curves_figure(charts, title=self.heading())

    def heading(self) -> str:
        return getattr(self.session.run, "name", "") or self.called

    def caption(self) -> str:
        run = self.session.run
        return "" if run is None else run_caption(run)
