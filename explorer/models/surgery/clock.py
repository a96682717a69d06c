"""Which parameter is used when: one pass, in ticks of a clock.

All surgery starts from that question, and it is answered by watching one pass through an empty copy of the
network. So nothing here knows a family by name, and other libraries' models behind explorer's doors are cut
open in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from explorer.models.surgery.inside import empty_copy, photo_size, stage_modules
from explorer.models.watching import Turn, walk, watching


@dataclass
class Timeline:
    """One pass, in ticks of a clock that counts every module's beginning and end.

    begins, ends: when each module that ran first began, by path; when each of its calls ended ("pool:2")
    stage_ends:   when each stage's map was ready;  features_end: when all but the head was done
    """

    begins: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    stage_ends: list[int] = field(default_factory=list)
    features_end: int = 0
    root: str = ""  # path of the network itself: "module" behind explorer's doors
    untold: set[int] = field(default_factory=set)  # stages of a foreign network that no module ends

    def first_use(self, name: str) -> float:
        """When a parameter is first needed: as soon as its module runs, or the nearest around it that does.

        The network's own parameters (a class token) are needed at once; what never runs, such as the side
        classifiers of GoogLeNet outside of training, comes last.
        """
        home = owner = name.rpartition(".")[0]
        while home not in ("", self.root) and home not in self.begins:
            home = home.rpartition(".")[0]
        if home in ("", self.root) and owner not in ("", self.root):
            return math.inf
        return self.begins.get(home, 0)


def timeline(model: nn.Module) -> Timeline:
    """Watch one pass through an empty copy of the model.

    The model itself is not touched and no weight is copied.
    """
    empty = empty_copy(model).eval()
    network, _ = stage_modules(empty)
    found, clock = Timeline(root="module" if network is not empty else ""), 0

    def begin(turn: Turn, *_: Any) -> None:
        nonlocal clock
        clock += 1
        found.begins.setdefault(turn.path, clock)

    def end(turn: Turn, *_: Any) -> None:
        nonlocal clock
        clock += 1
        found.ends[turn.name] = clock

    places = ((p.device, p.dtype) for p in empty.parameters() if p.is_floating_point())
    place = next(places, ("meta", torch.float32))
    x = torch.zeros(1, *photo_size(empty), device=place[0], dtype=place[1])
    with torch.no_grad(), watching(dict(empty.named_modules()), before=begin, after=end):
        if network is empty:
            features = walk(empty, x, after=lambda *_: found.stage_ends.append(clock))
            found.features_end = clock
            empty.forward_head(features)
        else:  # a foreign network: its stages are the modules that the door found
            # torchvision's detectors themselves take photos one by one, and choose among what they find
            (empty.forward_raw if empty.task == "detection" else network)(x)
            turns = [Turn(f"module.{row.module}", row.call).name for row in empty.stage_table]
            found.stage_ends = [found.ends.get(turn, clock) for turn in turns]
            found.untold = {i for i, turn in enumerate(turns) if turn not in found.ends}
            heads = {id(m) for m in empty.get_classifier().modules()} if empty.num_classes else set()
            paths = [path for path, module in empty.named_modules() if id(module) in heads]
            starts = [found.begins[path] for path in paths if path in found.begins]
            found.features_end = min(starts, default=clock + 1)
    return found
