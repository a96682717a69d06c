"""`Holding`: what ensembles of classifiers, of detectors and of networks for masks have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import VisionModel
from explorer.models.ensembles.aligning import read_weights
from explorer.models.ensembles.members import report_of
from explorer.models.ensembles.writing import save_parts

ARCHITECTURE = "ensemble"  # in the config of a saved one


class Members:
    """Beside `VisionModel`: the networks themselves, and what each is called."""

    members: nn.ModuleList
    names: tuple[str, ...]
    #: What it is called, before its members' names.
    title: str = "ensemble of"

    def member(self, name: str | int) -> VisionModel:
        """One of the networks, by its name or number. Raises ValueError for one that is not there."""
        if type(name) is int and -len(self.names) <= name < len(self.names):
            return self.members[name]
        if name not in self.names:
            raise ValueError(f"There is no member {str(name)[:60]!r}. The members: {', '.join(self.names)}.")
        return self.members[self.names.index(name)]

    @property
    def load_report(self) -> Any:
        """What happened to the members' weights."""
        return report_of(self.title, dict(zip(self.names, self.members)))

    @load_report.setter
    def load_report(self, report: Any) -> None:
        """It is the members', each of which has its own."""

    def save(self, folder: str | Path) -> Path:
        """Write it as one folder, which `create_model("local-dir:folder", pretrained=True)` opens again.

        Raises FileExistsError where something else is in the folder.
        """
        return save_parts(self, folder)

    def member_of_stage(self, stage: str) -> tuple[VisionModel, str]:
        """(the member that has a stage, its name) by the stage's name, "resnet18/layer4"."""
        row = next(row for row in self.stage_table if row.name == stage)
        number = int(row.module.split(".")[1])
        return self.members[number], self.names[number]


    @property
    def stages_by_member(self) -> list[tuple[str, VisionModel, list[str]]]:
        """(a member's name, the member, its own names of the stages that run), one where several share a
        body."""
        found: dict[int, list[str]] = {}
        for row in self.stage_table:
            number = int(row.module.split(".")[1])
            found.setdefault(number, []).append(row.name.removeprefix(f"{self.names[number]}/"))
        return [(self.names[number], self.members[number], names) for number, names in found.items()]


class Holding(Members):
    """The same of an ensemble, with how much each counts."""

    weights: Tensor
    combine: str
    num_classes: int

    def _read(self, weights: Any) -> Tensor:
        place = next((p.device for p in self.parameters()), None)
        return read_weights(weights, self.names, self.num_classes).to(place)

    def set_weights(self, weights: Any) -> None:
        """Give the members other weights, as `explorer.Ensemble(weights=)` takes them; None: all the same."""
        self.weights = self._read(weights)

    def extra_repr(self) -> str:
        weights = [round(value, 9) for value in self.weights.flatten().tolist()]
        shown = f"{len(weights)} numbers" if len(weights) > 16 else str(weights)
        return f"{', '.join(self.names)}; combine={self.combine!r}, weights={shown}"
