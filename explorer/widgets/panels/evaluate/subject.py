"""What the evaluation panel judges: a model or a run, by which photos, and the lines that do the same."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explorer.files import given_path
from explorer.widgets.panels.evaluate.photo_choices import (
    CHOICES,
    FOLDER,
    LABELLED,
    OWN,
    SAMPLES,
    PhotoChoices,
)
from explorer.widgets.session import Session
from explorer.widgets.snippets import model_lines


@dataclass(frozen=True)
class Subject:
    """whom, data, options: the arguments of `evaluate`;  model: the network itself
    lines: code that gives the same, the last of them `result = ...`
    """

    whom: Any
    data: Any
    options: dict[str, Any]
    model: Any
    lines: tuple[str, ...]


def subject_of(session: Session, run: Any, photos: str, *, folder: str = "", split: str = "val",
               tta: bool = False, choices: PhotoChoices = CHOICES["classification"]) -> Subject:
    """What `evaluate` is to be called with.

    run: None for the model on the screen
    photos: OWN, FOLDER (then `folder` is its path), one of SAMPLES or the name of a data set
    choices: the photos that fit the task

    A run that may still learn is judged by a copy of its network as it is now. Raises ValueError with what to
    choose instead where a model or photos are missing.
    """
    from explorer.training.run.beside import between_batches

    options: dict[str, Any] = {"tta": True} if tta else {}
    if split != "val":
        options["split"] = split
    with session.lock:
        model, lines = session.model, ["import explorer", ""]
        if run is None and model is None:
            raise ValueError("There is no model yet: open one in the picker.")
        behind = run if run is not None else run_behind(model, session.runs)
        if run is None:
            lines += model_lines(session)
        if run is not None or (behind is not None and photos == OWN):
            lines.append(run_line(session.runs, behind))
    data, expression = photos_of(behind, photos, folder, choices)
    given = "" if run is not None and expression == "run.data" else f", {expression}"
    given += "".join(f", {key}={value!r}" for key, value in options.items())
    if run is None:
        whom, called = model, "model"
        if behind is not None and behind.recipe.seed:
            # the photos that its run held out where nobody has split, not others, which it learnt from
            options["seed"] = behind.recipe.seed
            given += f", seed={behind.recipe.seed}"
    elif getattr(run, "state", "finished") in ("finished", "failed"):
        whom, model, called = run, run.model, "run"
    else:
        whom = model = between_batches(run, lambda: copy.deepcopy(run.model)).eval()
        model.config, called = model.config.with_(tag=run.name), "run"
        options["seed"] = run.recipe.seed
        lines.append(f"# {run.name!r} was not finished: as it learns, its figures change")
    lines.append(f"result = explorer.evaluate({called}{given})")
    return Subject(whom, data, options, model, tuple(lines))


def photos_of(run: Any, photos: str, folder: str, choices: PhotoChoices) -> tuple[Any, str]:
    """(the photos that are asked for, an expression for them). run: the one behind what is judged."""
    if photos == OWN:
        if run is None:
            raise ValueError(choices.no_own)
        return own_photos(run, choices)
    if photos in SAMPLES:
        from explorer.data.samples import sample_places

        return sample_places(photos), f"explorer.data.sample_places({photos!r})"
    if photos == LABELLED:
        from explorer.data.samples import labelled_photos

        return labelled_photos(), "explorer.data.labelled_photos()"
    if photos != FOLDER:
        return photos, repr(photos)
    if not folder.strip():
        raise ValueError(choices.no_folder)
    path = str(given_path(folder.strip(), "the path"))
    return path, repr(path)


def own_photos(run: Any, choices: PhotoChoices) -> tuple[Any, str]:
    """(the data that a run kept photos of to be judged by, an expression for it where `run` is the run).

    Raises ValueError for a run from a folder, which holds no photos, unless its data set is bundled.
    """
    from explorer.data.datasets import BUNDLED

    if getattr(run, "data", None) is not None:
        return run.data, "run.data"
    name = getattr(run, "data_name", "")
    if name in BUNDLED:
        return name, repr(name)
    which = f", {name}" if name else ""
    raise ValueError(f"{run.name} was opened from a folder, which holds no photos. Choose "
                     f"'{choices.of_ones_own}' and give the one that it learnt from{which}.")


def run_behind(model: Any, runs: Sequence[Any]) -> Any:
    """The run whose model this is, its own or a copy that "Use this model" or "Use this checkpoint" makes;
    None for none.

    Not by its name: the runs of a loop over seeds have one name, and each has held out other photos.
    """
    if model is None:
        return None
    from explorer.training.run.beside import run_of_copy

    copied = run_of_copy(model)
    return next((run for run in reversed(runs)
                 if hasattr(run, "model") and (run.model is model or run is copied)), None)


def run_line(runs: Sequence[Any], run: Any) -> str:
    """A line that defines `run`: opened from its folder where one was, else the one of this dashboard."""
    if not hasattr(run, "data") and getattr(run, "folder", None) is not None:
        return f"run = explorer.load_run({str(run.folder)!r})"
    index = next(i for i, one in enumerate(runs) if one is run)
    return f"run = dash.session.runs[{index}]"


def task_of_whom(whom: Any) -> str:
    """What the network of a model or a run answers with; None answers with classes."""
    if whom is None:
        return "classification"
    from explorer.models.surgery.inside import task_inside

    return task_inside(whom.model if hasattr(whom, "recipe") else whom)
