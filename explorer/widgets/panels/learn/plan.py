"""What Start does: the arguments of `finetune`, and the lines that do the same, both from one description."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.files import given_path
from explorer.widgets.panels.learn.fields import Fields
from explorer.widgets.panels.learn.task_choices import SAMPLES
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

OWN_FROM_SCRATCH = "Only models from the picker can begin from scratch by their name"


@dataclass(frozen=True)
class Wish:
    """arguments: of `finetune`;  lines: of code that learn the same"""

    arguments: dict[str, Any]
    lines: str


@dataclass(frozen=True)
class Plan:
    """The controls and the screen as they were when somebody asked.

    model: the network on the screen;  named: lines that define it as `model`
    by_name: whether these open it anew, so that it needs no copy
    data: a name or a path;  settings: of `finetune`;  folder: for checkpoints;  resume: whether it holds some
    task: of the model;  scratch: without the trained weights;  both: with them, and then once more without
    """

    model: Any
    named: tuple[str, ...]
    by_name: bool
    input_size: tuple[int, int, int] | None
    data: Any
    settings: dict[str, Any]
    folder: Path | None
    resume: bool
    task: str
    scratch: bool
    both: bool

    # --- what is called ---

    def arguments(self, splits: Any, name: str, *, second: bool = False) -> dict[str, Any]:
        """The arguments of `finetune`. second: of the run from scratch, which keeps its checkpoints beside.

        Raises ValueError for a network that no name gives anew.
        """
        scratch = second or self.scratch
        folder, resume = self.place(second=second)
        model = self.architecture() if scratch else copy.deepcopy(self.model)  # the one on the screen stays
        return {"model": model, "data": splits, "name": name, "run_dir": folder, "resume": resume,
                "pretrained": not scratch, "input_size": self.input_size, **self.settings}

    def architecture(self) -> str:
        from explorer.models.names import is_model

        name = self.model.config.architecture
        one_of_many = self.task != "classification" and not self.by_name  # over another body, or narrower
        if one_of_many or not is_model(name):
            raise ValueError(f"{OWN_FROM_SCRATCH}: build yours anew in a cell.")
        return name

    def place(self, *, second: bool) -> tuple[Path | None, bool]:
        """(folder for checkpoints, whether a run goes on from there)."""
        if self.folder is None or not second:
            return self.folder, self.resume
        return second_folder(self.folder), holds_a_run(second_folder(self.folder))

    # --- what is written ---

    def lines(self) -> str:
        """The code that does it. Every setting that is not the usual one; the model on the screen stays."""
        try:
            first = self._call(second=False)
            if not self.both:
                return "\n".join([*self._opening(), f"run = {first}", "run.wait().best"])
            again = self._call(second=True)
        except ValueError:
            return f"# {OWN_FROM_SCRATCH}."
        return "\n".join([*self._opening(), f"run = {first}", "run.wait()", f"scratch = {again}",
                          "run.best, scratch.wait().best"])

    def _opening(self) -> list[str]:
        if self.scratch:
            return ["import explorer", ""]
        if self.by_name:
            return ["import explorer", "", *self.named]
        return ["import copy", "", "import explorer", "", *self.named]

    def _call(self, *, second: bool) -> str:
        from explorer.training.loop.recipe import BATCH_SIZE, Recipe

        usual, scratch = Recipe(batch_size=BATCH_SIZE[self.task]).as_dict(), second or self.scratch
        options = {name: value for name, value in self.settings.items()
                   if name in ("epochs", "train") or value != usual[name]}
        if self.input_size is not None:
            options["input_size"] = self.input_size
        folder, resume = self.place(second=second)
        if folder is not None:
            options["run_dir"] = str(folder)
        if resume:
            options["resume"] = True
        if scratch:
            options["pretrained"] = False
        model = "model" if self.by_name else "copy.deepcopy(model)"
        if scratch:
            model = literal(self.architecture())
        data = literal(self.data)
        if self.data in SAMPLES:
            data = f"explorer.data.sample_places({data})"
        return call("explorer.finetune", model, data, options=options)


def plan_of(session: Session, fields: Fields) -> Plan:
    """What Start would do now, with a model on the screen. Raises ValueError or TypeError where it can't."""
    settings, data = fields.settings(), fields.where.chosen
    fields.recipe()
    folder = given_path(fields.run_dir.value.strip(), "the folder") if fields.run_dir.value.strip() else None
    scratch = fields.scratch.value
    return Plan(session.model, tuple(model_lines(session)), by_name=bool(session.model_source),
                input_size=session.input_size, data=data, settings=settings, folder=folder,
                resume=folder is not None and holds_a_run(folder), task=fields.task, scratch=scratch,
                both=fields.both.value and not scratch)


def check_free(session: Session, *, named: bool = False) -> None:
    """Raises ValueError with what to do where another run learns, or there is no model.

    named: whether the model on the screen is none of those that would learn
    """
    from explorer.training.run.claim import teacher_of

    model = None if named else session.model
    if model is not None and (by := teacher_of(model)):  # started in a cell: its weights are on the move
        raise ValueError(f"{by} is teaching the model on the screen at present. Stop it first; it can be "
                         "resumed later.")
    if getattr(session.run, "running", False):
        raise ValueError(f"{session.run.name} is learning. Stop it first; it can be resumed later.")
    if session.learning:
        raise ValueError(session.learning)
    if model is None and not named:
        raise ValueError("There is no model yet: open one in the picker.")


def second_folder(folder: Path) -> Path:
    """Where the run from scratch keeps its checkpoints: beside the first one's."""
    return folder.with_name(f"{folder.name} from scratch")


def holds_a_run(folder: Path) -> bool:
    """Whether a run that was cut off goes on from this folder."""
    from explorer.training.run.checkpoint import LAST

    return (folder / LAST).is_file()
