"""What the catalog says of one family."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What a network answers with -> the folder of `explorer/models/` that its file is in.
TASKS = {"classification": "backbones", "detection": "detection", "segmentation": "segmentation"}


@dataclass(frozen=True)
class Family:
    """One idea: `names` are the architectures, `module` the file in the `room` of `explorer/models/`.

    idea:   three sentences a student understands; the first stands alone where there is room for one
    task:   one of `TASKS`
    oracle: whose names, keys and numbers ours are: "timm", "torchvision", or "paper" where neither has them
    """

    name: str
    title: str
    year: int
    paper: str
    url: str
    module: str
    idea: str
    names: tuple[str, ...]
    task: str = "classification"
    oracle: str = "timm"

    @property
    def room(self) -> str:
        """The folder of `explorer/models/` that its file is in."""
        return TASKS[self.task]

    @property
    def tagline(self) -> str:
        """The first sentence of the idea."""
        return self.sentences[0]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The idea's sentences. A sentence ends with a full stop that a capital letter follows."""
        return tuple(re.split(r"(?<=[.!?]) (?=[A-Z0-9])", self.idea))


def family(
    name: str, *, title: str, year: int, paper: str, arxiv: str = "", url: str = "", module: str, idea: str,
    names: str, oracle: str = "timm", task: str = "classification",
) -> Family:
    """One row of the table: the paper by its number on arXiv, or by `url` where it is not there."""
    return Family(name=name, title=title, year=year, paper=paper, url=url or f"https://arxiv.org/abs/{arxiv}",
                  module=module, idea=" ".join(idea.split()), names=tuple(names.split()), oracle=oracle,
                  task=task)
