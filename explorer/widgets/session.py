"""Session: the one state that all panels of a dashboard watch, and how a wish becomes what they show.

    a wish (another model, another photo) -> a job: open, look
    -> published: model, image, look, tree -> panels redraw

Wishes are cheap and may come from any thread, from buttons and from notebook cells alike; the newest one
wins. Only that job publishes results, always as a whole, so that no panel ever shows one model's predictions
beside another's feature maps. What went wrong becomes a sentence in `error`, and what was there stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets as t

from explorer.widgets.checks import check_model
from explorer.widgets.gallery import NO_PHOTOS, Gallery
from explorer.widgets.jobs import Job, Line, Runner
from explorer.widgets.state import State
from explorer.widgets.wishes import Wish, file_of, in_a_word, name_of_model, name_of_photo, tell_model

if TYPE_CHECKING:
    from explorer.models.contract import VisionModel

log = logging.getLogger(__name__)

CLOSED = "This dashboard is closed. Make a new one with explorer.Dashboard()."


class ExplorerError(RuntimeError):
    """Something that a user asked for could not be done; the message says what to do."""


class Session(State):
    """The state of one dashboard.

    Reading gives what is on the screen; setting `model` or `image` asks for another.

        dash.session.model = "resnet18"          # a name, or a model that you built
        dash.session.image = "my photo.jpg"      # anything that explorer.load_image takes
        dash.wait()                              # until it is there; ExplorerError if it could not be done
        dash.session.look.predictions
        dash.session.gallery = "my photos"       # a folder or a list: the photos to choose from
        dash.session.beside = "tf_efficientnet_lite1"  # a second model beside the first; None: only one
        dash.session.compare = ["resnet50", "convnext_tiny"]  # what the picker's ticks choose, at most 8
        dash.session.run = explorer.finetune(...)  # the run that the panel shows; it goes on without it, too

    A wrong name or an unreadable photo raises traitlets.TraitError at once, and nothing changes.
    """

    def __init__(self, *, labels: tuple[str, ...] | None = None,
                 input_size: tuple[int, int, int] | None = None, photos: Gallery = NO_PHOTOS,
                 beside: Session | None = None):
        """beside: the session of the first model, where this is the second one's; they share their threads"""
        lock = threading.RLock() if beside is None else beside.lock
        super().__init__(lock=lock, input_size=input_size, gallery=photos)
        self.place = "dash.session" if beside is None else "dash.second.session"  # to read it from, in a cell
        self.first = beside
        self.labels = labels
        #: Where the model and the photo on the screen came from, to write down how to get them again.
        self.model_source, self.random_weights, self.image_source = "", False, None
        #: What learns at present beside `run`, and what to do first, in a sentence; empty where nothing does.
        self.learning = ""
        #: The threads of the dashboard, for the wishes here and for those of every panel.
        self.jobs = Runner(self.lock) if beside is None else beside.jobs
        self._wishes = Line(self.jobs)
        self._wish = Wish()
        self._cause: BaseException | None = None

    # --- wishes: any thread ---------------------------------------------------------------------------

    def open_model(self, model: str | VisionModel, *, pretrained: bool = True) -> None:
        """Ask for a model: a name (with its trained weights, or random ones) or one that you built.

        Raises ValueError or TypeError for something that can't be a model; returns at once otherwise.
        """
        model = check_model(model, self.input_size)
        named = isinstance(model, str)
        self._ask(model=model, pretrained=pretrained, model_source=model if named and pretrained else "",
                  random_weights=named and not pretrained)

    def open_image(self, source: Any, name: str = "") -> None:
        """Ask for a photo, as it came: it is opened in the background,
        and a broken one becomes a sentence in `error`. Where this is the second model's session, the first
        one's is asked: both follow it.
        """
        if self.first is not None:
            return self.first.open_image(source, name)
        self._ask(image=source, image_name=name or name_of_photo(source), image_source=file_of(source))

    def open_as(self, image: Any, name: str, source: Any) -> None:
        """Ask for a photo that is open elsewhere, under its name there, and as coming from the same file."""
        self._ask(image=image, image_name=name, image_source=source)

    @property
    def photo_asked_for(self) -> str:
        """What the photo that was asked for last is called, whether it is on the screen yet or not."""
        return self._wish.image_name

    @property
    def model_asked_for(self) -> Any:
        """The name of the model that was asked for last, or the model itself where it came without one,
        whether it is on the screen yet or not.
        """
        return self._wish.model_source or self._wish.model

    def wait(self, timeout: float | None = 120) -> None:
        """Block until the newest wish is fulfilled.

        Raises ExplorerError if it could not be, TimeoutError after `timeout` seconds.
        """
        if not self._wishes.wait(timeout):
            raise TimeoutError(f"Still busy after {timeout} seconds: {self.busy or 'working'}")
        if self.error:
            raise ExplorerError(self.error) from self._cause

    def _ask(self, **changes: Any) -> None:
        with self.lock:
            if self.jobs.closed:
                raise RuntimeError(CLOSED)
            self._wish = replace(self._wish, **changes)
            self._cause = None
            self._publish(error="")  # what went wrong before is no longer asked for
            if self.busy:  # a large model may take a minute: the reader sees that the click has arrived
                doing = self.busy.partition(", then ")[0]
                wanted = changes.get("image_name") or in_a_word(changes.get("model"))
                self._publish(busy=f"{doing}, then {wanted}")
        self._wishes.start(self._fulfil)

    # `session.model = ...` and `session.image = ...` in a cell are wishes too.

    @t.validate("model")
    def _wish_model(self, proposal):
        if self._may_publish:
            return proposal["value"]
        try:
            self.open_model(proposal["value"])
        except (ValueError, TypeError) as error:
            raise t.TraitError(str(error)) from error
        return self.model

    @t.validate("image")
    def _wish_image(self, proposal):
        if self._may_publish:
            return proposal["value"]
        if self.first is not None:
            self.first.image = proposal["value"]
            return self.image
        from explorer.data.images import ImageError, load_image

        try:
            picture = load_image(proposal["value"], channels=getattr(self._wish.model, "in_chans", None))
        except ImageError as error:
            raise t.TraitError(str(error)) from error
        source = proposal["value"]  # opened here, to refuse it at once; a file stays known by its name
        self._ask(image=picture, image_name=name_of_photo(source), image_source=file_of(source))
        return self.image

    def show_tab(self, title: str) -> None:
        """Ask for a tab by its title, such as "Detect": the dashboard brings it to the front."""
        self._publish(tab="")
        self._publish(tab=title)

    def show_stage(self, name: str) -> None:
        """Bring the feature maps of a stage to the front."""
        self.stage = name
        self.show_tab("Feature maps")

    def ask_class(self, name: str) -> None:
        """Bring the heat map of a class to the front."""
        self.asked_class = name
        self.show_tab("Explain")

    def toggle_compare(self, name: str) -> None:
        """Take a model into the comparison, or out of it. Raises TraitError where it can't be taken in."""
        with self.lock:
            others = tuple(one for one in self.compare if one != name)
            self.compare = others if name in self.compare else (*others, name)

    # --- results: in the background -------------------------------------------------------------------

    def _fulfil(self, job: Job) -> None:
        """Work towards the newest wish; a half that fails keeps what is on the screen, and says why."""
        with self.lock:
            wish = self._wish
        problems: list[Exception] = []
        try:
            model = self._attempt(lambda: self._open_model(wish), self.model, problems)
            if not self._remember(wish, model=model):
                problems.clear()  # another model is wanted by now
            if job.stale:
                return
            known = len(problems)
            image = self._attempt(lambda: self._open_image(wish, model), self.image, problems)
            same = image is self.image
            name = self.image_name if same else wish.image_name
            origin = {"image_source": self.image_source if same else wish.image_source}
            if model is not self.model:
                origin |= {"model_source": wish.model_source, "random_weights": wish.random_weights}
            if not self._remember(wish, image=image, image_name=name):
                del problems[known:]
            if job.stale:
                return
            known = len(problems)
            results = self._attempt(lambda: self._look(model, image), {}, problems)
            if job.stale:
                del problems[known:]  # the newer job looks again
                return
            if results:
                self._attempt(lambda: self._publish(**origin, image_name=name, **results), None, problems)
            if results.get("look") is not None and not job.stale:  # the answer is there; the next ones faster
                self._attempt(lambda: self._get_ready(model, results["look"]), None, problems)
        finally:
            if problems:  # the next wish of the reader clears them, not the next job
                self._cause = self._cause or problems[0]
                sentences = [self.error, *(wish.sentence(problem) for problem in problems)]
                self._publish(error=" ".join(filter(None, sentences)))
            if not job.stale:  # or the next job begins at once
                self._publish(busy="")

    def _attempt(self, step: Callable[[], Any], otherwise: Any, problems: list[Exception]) -> Any:
        try:
            return step()
        except Exception as error:
            log.warning("a wish could not be fulfilled", exc_info=error)
            problems.append(error)
            return otherwise

    def _remember(self, wish: Wish, **opened: Any) -> bool:
        """Put what is open now into the wish, so that a later one does not open it again (or fail again).

        False, and nothing changes, where another model or photo is wanted by now.
        """
        with self.lock:
            now = self._wish
            unchanged = now.model is wish.model if "model" in opened else now.image is wish.image
            if unchanged:
                self._wish = replace(now, **opened)
            return unchanged

    def _tell(self, busy: str) -> None:
        self._publish(busy=busy)

    def _open_model(self, wish: Wish) -> Any:
        model = wish.opened_model(self._tell)
        if model is not None and model is not self.model:
            size = self.input_size
            if self.first is not None and size is not None and size[0] != model.in_chans:
                self.input_size = None  # the first one's; this one reads other channels
            tell_model(model, self.labels, self.input_size)
        return model

    def _open_image(self, wish: Wish, model: Any) -> Any:
        if wish.image is None or wish.image is self.image:
            return wish.image
        return wish.opened_image(model, self._tell)

    def _look(self, model: Any, image: Any) -> dict[str, Any]:
        """The results for a model and a photo, `look` last: whoever watches it finds the others in place."""
        if model is self.model and image is self.image:
            return {}
        results = {"model": model, "model_name": name_of_model(model), "image": image}
        if model is not None and model is not self.model:
            from explorer.inspection.look.modules import module_tree

            self._tell(f"measuring the modules of {name_of_model(model)}")
            results["tree"] = module_tree(model)
        if model is not None and image is not None:
            from explorer.inspection.look.looking import look_once

            self._tell(f"looking with {name_of_model(model)}")
            results["look"] = look_once(model, image)
        return results

    def _get_ready(self, model: Any, seen: Any) -> None:
        from explorer.inspection.look.looking import get_ready

        get_ready(model, seen)

    def close(self) -> None:
        """End what is being done and let go of the model, the photo and every observer.
        May be called twice.
        """
        if self.first is not None:
            self._wishes.close()
        else:
            self.jobs.close()
        self.unobserve_all()
        self._wish, self._cause = Wish(), None
        self._publish(model=None, image=None, look=None, tree=None, model_name="", image_name="",
                      gallery=NO_PHOTOS, beside=None, run=None, runs=(), busy="")
