"""What a run is: model, weights, labels, photos, preparation of photos, recipe, augmentation.

It is kept in the run's folder and compared before a run goes on there, whoever asks: `finetune(resume=True)`,
`Run.resume`, the dashboard, the command line, the cluster. Before that nothing is
written, and no model is changed.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.data.places.place_set import AnySplits
from explorer.data.transforms import resolve_data_config
from explorer.models.contract import VisionModel
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.objective import kind_of
from explorer.training.loop.recipe import Recipe
from explorer.training.run import checkpoint
from explorer.training.run.fingerprints import name_of, of_function, of_photos, of_shapes, of_tensors

MAY_CHANGE = ("epochs", "threads", "save_every", "patience")  # settings that a resumed run may be given anew
MOST_BYTES = 64 * 1024**2  # of a file that says what a run is
ADVICE = "Give another run_dir, or empty this one."
RANDOM = "random weights"
UNKNOWN = ("The folder was written by an earlier explorer, which did not note the weights, the photos and "
           "the augmentation that a run began with. What it noted agrees; the rest can't be compared.")
REPLACED = ("The model that was given began with other random weights than this run: the run's own were put "
            "in their place.")
# What differs in words, by its place in the facts; in the order in which it is said.
WORDS = {
    "model.architecture": "the model", "model.built_as": "the model of another library",
    "model.options": "the model's options",
    "model.kind": "the model's class", "model.channels": "input channels",
    "model.layers": "layers", "weights": "weights",
    "labels": "the labels", "outputs": "outputs", "data.train": "photos to learn from",
    "data.val": "photos to judge by",
    "data.photos": "the photos", "augment": "augment",
    "taught.teacher": "the teacher", "taught.temperature": "temperature=", "taught.alpha": "alpha=",
    "taught.features": "features=", "taught.stages": "stages=", "taught.beta": "beta=",
}


@dataclass(frozen=True)
class Identity:
    """What a run is, as plain values.

    facts: what `identity.json` holds;  recipe: what `recipe.json` does
    head_only: the body stays as it is given, and the checkpoint does not hold it
    """

    facts: dict[str, Any]
    recipe: dict[str, Any]
    head_only: bool


def identity_of(model: VisionModel, splits: AnySplits, recipe: Recipe,
                input_size: tuple[int, int, int] | None,
                taught: Mapping[str, Any] | None = None) -> Identity:
    """The identity of a run that would begin with `model` as it is. Looks at all weights and a few photos.

    taught: what tells its teacher from others, where it has one
    """
    config = model.config
    if input_size is not None:
        config = config.with_(input_size=tuple(input_size), test_input_size=None)
    body = body_of(model)
    custom = callable(recipe.augment)
    facts = {
        "format": 1,
        "model": {
            "architecture": config.architecture, "built_as": config.built_as,
            "options": {name: value for name, value in sorted(config.build_options) if value is not None},
            "kind": name_of(type(model)), "channels": model.in_chans, "layers": of_shapes(body),
        },
        "weights": {"origin": model.load_report.source if model.load_report is not None else RANDOM,
                    "body": of_tensors(body)},
        "labels": list(splits.classes),
        "outputs": kind_of(splits, recipe),
        "data": {"name": splits.name, "train": len(splits.train), "val": len(splits.val),
                 "photos": f"{of_photos(splits.train)}-{of_photos(splits.val)}"},
        "input": resolve_data_config({}, pretrained_cfg=config.as_timm(), model=model),
        "augment": {"name": name_of(recipe.augment), "code": of_function(recipe.augment),
                    "python": platform.python_version()} if custom else {"name": recipe.augment},
    }
    if taught is not None:
        facts["taught"] = dict(taught)
    return Identity(_plain(facts), _plain(recipe.as_dict()), recipe.train == "head")


def body_of(model: VisionModel, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tensors of a model, or of a saved state of it, without its classifier's."""
    own = model.state_dict(keep_vars=True)
    head = {id(value) for value in model.get_classifier().state_dict(keep_vars=True).values()}
    state = own if state is None else state
    return {name: value for name, value in state.items() if name in own and id(own[name]) not in head}


def compare(folder: Path, now: Identity, model: VisionModel) -> list[str]:
    """See that the run in `folder` is the one that `now` describes; sentences for the reader of the result.

    Only reads. Raises TrainingError with what differs, or for a folder that can't be gone on with.
    """
    recipe, before = _table(folder / checkpoint.RECIPE), _facts(folder)
    if recipe is None:
        raise TrainingError(f"'{folder}' holds a {checkpoint.LAST}, but no {checkpoint.RECIPE} that says of "
                            f"which run. {ADVICE}")
    content = checkpoint.read(folder, mmap=True)
    notes: list[str] = []
    if before is None:
        differing = _differing_old(folder, now, model)
        notes.append(UNKNOWN)
    else:
        differing = _differing(before, now.facts)
        other_network = any(words == WORDS["model.layers"] for words, _, _ in differing)
        weights = "the same" if other_network else _weights(before, now, model, content)
        if weights == "others":
            differing.append((WORDS["weights"], _weights_text(before), _weights_text(now.facts)))
        elif weights == "replaced":
            notes.append(REPLACED)
    usual = _plain(Recipe().as_dict())
    differing += [(f"{key}=", repr(old), repr(value)) for key, value in now.recipe.items()
                  if key not in MAY_CHANGE and (key != "augment" or before is None)
                  and (old := recipe.get(key, usual[key])) != value]
    if differing:
        what, old, new = differing[0]
        more = [name.rstrip("=").removeprefix("the ") for name, _, _ in differing[1:]]
        also = f" Different too: {', '.join(more)}." if more else ""
        gap = "" if what.endswith("=") else " "
        raise TrainingError(f"The run in '{folder}' was started with {what}{gap}{old}, not {new}: a resumed "
                            f"run stays what it was.{also} {ADVICE}")
    return notes


def began_as(folder: Path, now: Identity) -> Identity:
    """The identity of a run that goes on in `folder`: as it is written there, where it is."""
    return replace(now, facts=_facts(folder) or now.facts)


def others_file(folder: Path) -> str | None:
    """A file that no run has written, and that one would write over or be mistaken for; None for none."""
    marks = {checkpoint.RECIPE: {"epochs", "train"}, checkpoint.MODEL: {"labels", "by_name"},
             checkpoint.IDENTITY: {"model", "data"}, checkpoint.LAST: None,
             "config.json": None}  # a folder with it is a saved model, whoever saved it
    for name, keys in marks.items():
        if not (folder / name).exists():
            continue
        try:
            facts = _table(folder / name) if keys else {}
        except TrainingError:
            return name
        if not keys or not keys <= facts.keys():
            return name
    return None


Difference = tuple[str, str, str]  # what in words, the old value, the new one


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    """What differs between the facts of two runs, but for the weights."""
    found = []
    for place, words in WORDS.items():
        old, new = _at(before, place), _at(now, place)
        if place in ("weights", "augment") or old == new:
            continue
        if place == "data.photos" and found and found[-1][0].startswith("photos"):
            continue  # that they are more or fewer is said already
        shown = (_short(old), _short(new))
        if place == "labels":
            shown = (_labels_text(old, new), _labels_text(new, old))
        if place == "data.photos":
            shown = tuple(f"of '{_at(facts, 'data.name')}' ({str(_at(facts, place))[:8]})"
                          for facts in (before, now))
        found.append((words, *shown))
    for name, new in now["input"].items():
        if (old := _at(before, f"input.{name}")) != new:
            found.append((f"{name}=", _short(old), _short(new)))
    old, new = before["augment"], now["augment"]
    same = old.get("name") == new["name"] and (old.get("code") == new.get("code") or _other_python(old, new))
    if not same:
        found.append(("augment", _augment_text(old), _augment_text(new)))
    return found


def _differing_old(folder: Path, now: Identity, model: VisionModel) -> list[Difference]:
    """As `_differing`, for a folder that has no more than what `load_run` needs."""
    facts = _table(folder / checkpoint.MODEL) or {}
    config = facts.get("config") if isinstance(facts.get("config"), dict) else {}
    found = []
    for words, old, new in (("the model", config.get("architecture"), now.facts["model"]["architecture"]),
                            ("the photos of", facts.get("data"), now.facts["data"]["name"])):
        if old is not None and old != new:
            found.append((words, _short(old), _short(new)))
    labels = now.facts["labels"]
    if (old := facts.get("labels")) is not None and old != labels:
        found.append(("the labels", _labels_text(old, labels), _labels_text(labels, old)))
    for name, new in now.facts["input"].items():
        old = config.get(name, new)
        if old != new and not (name == "input_size" and isinstance(old, list) and old[1:] == new[1:]):
            found.append((f"{name}=", _short(old), _short(new)))
    return found


def _weights(before: dict[str, Any], now: Identity, model: VisionModel, content: dict[str, Any]) -> str:
    """"the same" weights that the run began with, or has now; "others"; or such as are "replaced".

    A model that the run itself has taught in this process, or that `load_run` has opened, may go on too. What
    the checkpoint holds whole, it puts in its place: random weights, which are others at each start, are then
    no difference.
    """
    old, new = before["weights"], now.facts["weights"]
    if old.get("body") == new["body"]:
        return "the same"
    names = set(body_of(model))
    there = (content["network"], content["best_weights"])
    states = [state for state in there if state and set(state) >= names]
    if any(new["body"] == of_tensors(body_of(model, state)) for state in states):
        return "the same"
    return "replaced" if not now.head_only and old.get("origin") == new["origin"] == RANDOM else "others"


def _weights_text(facts: dict[str, Any]) -> str:
    weights = facts["weights"]
    return f"from {weights.get('origin')} ({str(weights.get('body'))[:8]})"


def _augment_text(facts: dict[str, Any]) -> str:
    return f"{facts.get('name')}" + (f" ({facts['code'][:8]})" if isinstance(facts.get("code"), str) else "")


def _other_python(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether code can't be compared, since another version of Python has translated it."""
    if "code" not in old or "code" not in new:
        return False
    return str(old.get("python")).split(".")[:2] != new["python"].split(".")[:2]


def _labels_text(labels: Any, others: Any) -> str:
    """Labels up to the first that differs, so that one sees which."""
    if not isinstance(labels, list):
        return repr(labels)
    others = others if isinstance(others, list) else []
    differs = next((i for i, label in enumerate(labels) if others[i:i + 1] != [label]), len(labels))
    first = max(0, min(differs, len(labels) - 1) - 1)
    shown = ", ".join(map(str, labels[first:first + 3]))
    return f"{'... ' * bool(first)}{shown}{' ...' * (first + 3 < len(labels))} ({len(labels)})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _at(facts: Any, place: str) -> Any:
    for name in place.split("."):
        facts = facts.get(name) if isinstance(facts, dict) else None
    return facts


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value, default=str))


def _facts(folder: Path) -> dict[str, Any] | None:
    """What `identity.json` says; None for a folder without one. Raises TrainingError for a damaged one."""
    facts = _table(folder / checkpoint.IDENTITY)
    parts = ("model", "weights", "data", "input", "augment")
    if facts is not None and not all(isinstance(facts.get(part), dict) for part in parts):
        raise TrainingError(f"The run in '{folder}' can't go on: {checkpoint.IDENTITY} is damaged. {ADVICE}")
    return facts


def _table(path: Path) -> dict[str, Any] | None:
    """A table in a JSON file; None where there is no such file. Raises TrainingError for a damaged one."""
    try:
        if not path.exists():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too large")
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("no table")
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"The run in '{path.parent}' can't go on: {path.name} is damaged "
                            f"({type(error).__name__}). {ADVICE}") from error
    return facts
