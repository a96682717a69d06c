"""What Start does: the arguments of `explorer.search`, and the lines that do the same."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from explorer.widgets.panels.compare.words import not_here
from explorer.widgets.panels.learn.data_choice import DataChoice
from explorer.widgets.panels.search.backbones import ON_SCREEN, Backbones
from explorer.widgets.panels.search.fields import Fields
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

STORAGE, KEEP = "search.db", "best"  # in the folder of a search

NOTHING = ("Every setting has one value, so there is nothing to search: give one of them two values or more, "
           "such as 0.001, 0.01, or a range, such as 0.001 to 0.1.")
NO_RANGES = ("A grid takes every combination, and {title} is a range: write single values, such as "
             "{example}, or choose another method.")
SEEN_ONCE = ("Augmentation changes nothing where the classifier alone learns: its body sees each photo once, "
             "as it is. Tick “last stage” or “everything” to try it.")
THROUGH = ("Where more than the classifier learns, each epoch goes through the network: that takes minutes, "
           "not seconds.")


@dataclass(frozen=True)
class Plan:
    """The controls and the screen as they were when somebody asked.

    space: {setting: values};  fixed: what is the same in all trials;  titles: what each setting is called
    models: names to begin with, `ON_SCREEN` for `own`, the model on the screen, which is called `own_name`
    named: lines that define that one as `model`;  trials: None for all of a grid
    """

    space: dict[str, Any]
    fixed: dict[str, Any]
    titles: dict[str, str]
    models: tuple[str, ...]
    own: Any
    own_name: str
    named: tuple[str, ...]
    data: Any
    method: str
    trials: int | None
    by: str
    seed: int
    folder: Path | None

    @property
    def searched(self) -> tuple[str, ...]:
        """The settings that differ between trials; the backbone first."""
        return (*(("model",) if len(self.models) > 1 else ()), *self.space)

    @cached_property
    def key(self) -> str:
        """Tells one search from another: the same one goes on, also with more trials."""
        from explorer.training.run.fingerprints import of_tensors

        own = None if self.own is None else (self.own.config, of_tensors(self.own.state_dict()))
        return repr((self.space, self.fixed, self.models, own, str(self.data), self.method, self.by,
                     self.seed, str(self.folder)))

    def on_a_copy(self) -> Plan:
        """The same with a copy of the model on the screen, which others go on looking through."""
        return replace(self, own=copy.deepcopy(self.own))

    # --- what is called ---

    def arguments(self, folder: Path) -> dict[str, Any]:
        """The arguments of `search`. folder: for its memory and the best run"""
        return {**self._arguments(), "storage": folder / STORAGE, "keep": folder / KEEP}

    def _arguments(self) -> dict[str, Any]:
        models = [self.own if name == ON_SCREEN else name for name in self.models]
        space = {**({"model": models} if len(models) > 1 else {}), **self.space}
        found = {"space": space, "data": self.data, "method": self.method, "trials": self.trials,
                 "by": self.by, "seed": self.seed, **self.fixed}
        return found if len(models) > 1 else {**found, "model": models[0]}

    # --- what is written ---

    def lines(self) -> str:
        """The code that does it; settings that are as usual are left out."""
        from explorer.training.loop.recipe import Recipe

        plain = {name: value for name, value in Recipe().as_dict().items() if name not in ("epochs", "train")}
        usual = {**plain, "by": "accuracy", "method": "tpe", "trials": None}
        given = self._arguments()
        space, data, model = given.pop("space"), given.pop("data"), given.pop("model", None)
        options = {name: value for name, value in given.items() if name not in usual or value != usual[name]}
        if self.folder is not None:
            options |= {"storage": str(self.folder / STORAGE), "keep": str(self.folder / KEEP)}
        rows = [f"    {literal(name)}: {self._written(value)}," for name, value in space.items()]
        beside = [] if model is None else [f"model={self._written(model)}"]
        found = call("explorer.search", "space", literal(data), *beside, options=options)
        named = self.named if ON_SCREEN in self.models else ()
        lines = ["import explorer", "", *named, "space = {", *rows, "}", f"found = {found}", "found"]
        return "\n".join(lines)

    def _written(self, value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(self._written, value))}]"
        return "model" if value is self.own and value is not None else literal(value)

    # --- what is said ---

    @property
    def combinations(self) -> int | None:
        """How many there are; None where a range makes them endless."""
        if any(isinstance(values, tuple) for values in self.space.values()):
            return None
        return len(self.models) * math.prod(map(len, self.space.values()))

    @property
    def most(self) -> int:
        """How many trials there will be."""
        if self.method == "tpe" and self.trials is not None:  # which may come back to one
            return self.trials
        return min(filter(None, (self.trials, self.combinations)))

    def sentences(self) -> list[str]:
        """What Start would do, and what to know of it beforehand."""
        count, names = self.combinations, [self.titles[name].lower() for name in self.searched]
        trials = self.most
        what = f"combinations of {_listed(names)}"
        if count is None:
            said = [f"{trials:,} of endlessly many {what}."]
        elif self.method == "tpe" and trials >= count:
            said = [f"{trials:,} trials among {count:,} {what}, some of them more than once: a grid takes "
                    "each once."]
        else:
            said = [f"All {count:,} {what}." if trials == count else f"{trials:,} of {count:,} {what}."]
        learns = self.space.get("train") or [self.fixed.get("train", "head")]
        if "augment" in self.space and [*learns] == ["head"]:
            said.append(SEEN_ONCE)
        if [*learns] != ["head"]:
            said.append(THROUGH)
        if away := not_here([name for name in self.models if name != ON_SCREEN]):
            said.append(f"The weights of {_listed(away)} are not on this computer: they are downloaded where "
                        "there is a network. Where there is none such trials fail, and the others go on.")
        return said


def plan_of(session: Session, where: DataChoice, backbones: Backbones, fields: Fields) -> Plan:
    """What Start would do now. Raises ValueError or TypeError with what to write where it can't."""
    space, fixed = fields.settings()
    models, method = tuple(backbones.names), fields.method.value
    titles = {"model": "Backbone", "input_size": "Size of photos",
              **{row.setting.name: row.setting.title for row in fields.rows}}
    if not space and len(models) < 2:
        raise ValueError(NOTHING)
    if method == "grid":
        for name, values in space.items():
            if isinstance(values, tuple):
                example = ", ".join(f"{value:g}" for value in values)
                raise ValueError(NO_RANGES.format(title=titles[name], example=example))
    trials = None if method == "grid" else fields.trials.value
    if trials is not None and trials < 1:
        raise ValueError(f"Trials is {trials}: give a whole number from 1.")
    if fields.seed.value < 0:
        raise ValueError(f"Seed is {fields.seed.value}: give a whole number from 0.")
    if session.input_size is not None:
        fixed["input_size"] = session.input_size
    own = ON_SCREEN in models
    of_own = (session.model, session.model_name, tuple(model_lines(session))) if own else (None, "", ())
    return Plan(space, fixed, titles, models, *of_own, where.chosen, method, trials, fields.by.value,
                fields.seed.value, fields.place)


def _listed(names: list[str]) -> str:
    """ "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
