"""The runs that a folder holds, without opening their models.

    past_runs(Path("runs"))     # [PastRun(name, folder, recipe, history, ...)]; load_run(folder) opens one
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.training.loop.recipe import Recipe
from explorer.training.run.checkpoint import HISTORY, RECIPE, past_epochs
from explorer.training.run.loading import history_from, recipe_from
from explorer.training.run.saving import read_json, read_run

log = logging.getLogger(__name__)


@dataclass(eq=False)
class PastRun:
    """What a folder tells of a run without opening its model: `explorer.load_run(folder)` does that.

    folder: None where it has none, as a run may that is over and whose network was let go of
    """

    name: str
    folder: Path | None
    recipe: Recipe
    history: list[dict[str, Any]] = field(default_factory=list)
    data_name: str = ""
    state: str = "on disk"
    architecture: str = ""

    @classmethod
    def of(cls, run: Any) -> PastRun:
        """What stays of a run that is over when its network is let go of."""
        return cls(run.name, run.folder, run.recipe, list(run.history), run.data.name, run.state,
                   run.model.config.architecture)

    @property
    def best(self) -> dict[str, Any] | None:
        return next((row for row in reversed(self.history) if row.get("best")), None)


def past_runs(folder: Path) -> list[PastRun]:
    """The runs in the folders of `folder`, as `Run.save` or a `run_dir` left them, by name.

    What is no run is passed over. Raises ValueError where there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder '{folder}'. Give the one that your runs' folders are in.")
    found = []
    for place in sorted([folder, *folder.iterdir()]):
        if not place.is_dir():
            continue
        facts = read_run(place)
        try:
            if facts:
                name, recipe = str(facts.get("name") or place.name), recipe_from(facts.get("recipe", {}))
                history = history_from(facts.get("history"))
                found.append(PastRun(name, place, recipe, history, str(facts.get("data", ""))))
            elif (place / RECIPE).is_file() and (place / HISTORY).is_file():
                recipe = recipe_from(read_json(place / RECIPE))
                history = history_from(past_epochs(place, recipe.epochs))
                found.append(PastRun(place.name, place, recipe, history))
        except (ValueError, TypeError, OSError) as error:
            log.warning("'%s' holds no readable run: %s", place, error)
    return found
