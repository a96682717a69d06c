"""What is on the screen, and who may set it: readers set wishes, explorer alone sets results."""

from __future__ import annotations

import threading
from typing import Any

import traitlets as t

from explorer.widgets.checks import MAX_COMPARED, check_compared, check_second
from explorer.widgets.gallery import NO_PHOTOS, gallery


class _Result(t.TraitType):
    """Any value. Unlike traitlets' Any, setting None passes through `@validate` too."""

    default_value = None
    info_text = "a result"

    def validate(self, obj: Any, value: Any) -> Any:
        return value


class State(t.HasTraits):
    """The traits that panels watch. What can't be set raises TraitError, and nothing changes.

    lock:       held while results are published and while a panel redraws, so that the two never mix
    input_size: (channels, height, width) that every model is to read, where it is not the model's own
    """

    model = _Result(help="the model on the screen; set a name or a model to change it")
    image = _Result(help="the photo on the screen, a PIL image; set anything load_image takes")
    look = _Result(help="the Look that all panels draw; set by explorer only")
    tree = _Result(help="the model's ModuleNode; set by explorer only")
    model_name = t.Unicode("", help="the name of the model on the screen; set by explorer only")
    image_name = t.Unicode("", help="what the photo on the screen is called; set by explorer only")
    gallery = _Result(default_value=NO_PHOTOS,
                      help="(title, source) of each photo to choose from; set a folder or photos")
    beside = _Result(help="a second model beside the first, by its name or as you built it; None: only one")
    compare = t.Tuple(help=f"names of the models to compare, at most {MAX_COMPARED}; a list or a tuple")
    run = _Result(help="the fine-tuning run on the screen, or None; set what finetune or load_run gave")
    runs = t.Tuple(help="all runs that were shown here, the newest last; set by explorer only")
    stage = t.Unicode("", help="the stage in front, by its dotted name; set one to see its maps")
    channel = t.Int(-1, min=-1, help="the channel that is enlarged in Feature maps; -1: none")
    asked_class = t.Unicode("", help="the class that heat maps are about, by its name or number; empty: the "
                            "likeliest")
    busy = t.Unicode("", help="what is being done now, empty when nothing is")
    tab = t.Unicode("", help="the title of the tab that a panel has asked for; set by explorer only")
    error = t.Unicode("", help="why the last wish could not be fulfilled, empty when it could")

    def __init__(self, *, lock: threading.RLock, input_size: tuple[int, int, int] | None = None,
                 **given: Any):
        self.lock, self.input_size = lock, input_size
        self._publishing = threading.local()
        super().__init__(**given)

    @t.validate("gallery")
    def _photos_to_choose(self, proposal):
        try:
            return gallery(proposal["value"])
        except (ValueError, TypeError) as error:
            raise t.TraitError(str(error)) from error

    @t.validate("beside")
    def _second_model(self, proposal):
        if proposal["value"] is None or proposal["value"] == "":
            return None
        try:
            return check_second(proposal["value"], self.input_size)
        except (ValueError, TypeError) as error:
            raise t.TraitError(str(error)) from error

    @t.validate("compare")
    def _known_names(self, proposal):
        try:
            return check_compared(proposal["value"])
        except (ValueError, TypeError) as error:
            raise t.TraitError(str(error)) from error

    @t.validate("run")
    def _shows_a_run(self, proposal):
        run = proposal["value"]
        known = ("history", "recipe", "labels", "model")
        if run is not None and not all(hasattr(run, name) for name in known):
            raise t.TraitError("session.run is what explorer.finetune or load_run gives, not "
                               f"{type(run).__name__}.")
        return run

    @t.observe("run")
    def _remember_run(self, change):
        """Before any panel hears of it: whoever draws a run finds it among the others."""
        if change["new"] is not None:
            self.know(change["new"])

    def know(self, run: Any, *, instead: Any = None) -> None:
        """Put a run among the others, without showing it. instead: the one whose place it takes"""
        with self.lock:
            if instead is not None:
                self._publish(runs=tuple(run if one is instead else one for one in self.runs))
            elif not any(one is run for one in self.runs):
                self._publish(runs=(*self.runs, run))

    @t.validate("look", "tree", "model_name", "image_name", "runs", "tab", "busy", "error")
    def _only_explorer(self, proposal):
        if not self._may_publish:
            name = proposal["trait"].name
            raise t.TraitError(f"session.{name} is a result. Set session.model or session.image to change "
                               "it.")
        return proposal["value"]

    # --- results ---

    @property
    def _may_publish(self) -> bool:
        return getattr(self._publishing, "on", False)

    def _publish(self, **values: Any) -> None:
        """Set traits as results; panels that watch them redraw before this returns."""
        with self.lock:
            before, self._publishing.on = self._may_publish, True
            try:
                for name, value in values.items():
                    setattr(self, name, value)
            finally:
                self._publishing.on = before
