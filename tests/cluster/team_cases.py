"""What tests/cluster/test_team.py starts twice side by side: `torchrun ... team_cases.py FOLDER` writes each
case's result.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from explorer.models.contract import VisionModel
from explorer.training.loop.team import Alone, Team
from explorer.training.loop.workers import Workers
from explorer.training.run.plan import make_plan
from explorer.training.run.run import Run
from explorer.training.run.training import Training
from tests.cluster.conftest import SIZE, small_net
from tests.training.test_finetune import Splits, painted

# Settings of each case; `size` photos make a step, however many workers there are. `sync`: BatchNorm sees the
# whole batch.
CASES: dict[str, dict[str, Any]] = {
    "everything": {"train": "all", "sync": True},
    "many settings": {"train": "all", "sync": True, "accumulate": 2, "clip": 0.5, "ema": 0.5,
                      "label_smoothing": 0.1},
    "class weights": {"train": "all", "sync": True, "class_weights": [1.0, 5.0, 0.2]},
    "frozen statistics": {"train": "head", "cache": False},
    "cached": {"train": "head", "views": 2, "augment": "light"},
    "several classes": {"train": "all", "sync": True, "several": True},
    "numbers": {"train": "all", "sync": True, "numbers": True, "loss": "huber"},
    "cached numbers": {"train": "head", "numbers": True, "outputs": "numbers"},
    "own statistics": {"train": "all"},
    "varied": {"train": "all", "sync": True, "augment": "light"},
}
COUNT = 65  # photos: three groups for the frozen body, and a last batch of 1


def data(several: bool = False) -> Splits:
    splits = Splits("colours", painted(COUNT), painted(11, seed=1))
    if several:
        parts = [type(p)(p.classes, tuple((label, 2) if label != 2 else (2,) for label in p.labels), p.names,
                         p.open_one) for p in (splits.train, splits.val)]
        splits = Splits("several", *parts)
    return splits


def numbers() -> Splits:
    """The same photos; to be learnt are two numbers, of which the second is a hundred times as large."""
    splits = data()
    parts = [type(p)(("one", "hundred"), tuple((label + i % 3, 100.0 * label) for i,
                                               label in enumerate(p.labels)), p.names, p.open_one,
                     numbers=True) for p in (splits.train, splits.val)]
    return Splits("numbers", *parts)


def learnt(case: str, team: Team | None = None) -> tuple[VisionModel, Run]:
    """The case's run, by this process alone or in a team."""
    team = team or Alone()
    settings = {"epochs": 2, "optimizer": "sgd", "lr": 0.02, "body_lr": 0.02, "augment": "none", "threads": 1,
                "input_size": SIZE, "device": "cpu", **CASES[case]}
    sync, several = settings.pop("sync", False), settings.pop("several", False)
    photos = numbers() if settings.pop("numbers", False) else data(several)
    if isinstance(team, Workers):
        team.sync_batchnorm = sync
    plan = make_plan(small_net(), photos, batch_size=8 // team.world, workers=team.world, **settings)
    run = Run(Training.of(plan, team=team))
    return plan.net, run.start().wait()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    for name in CASES:
        team = Workers()
        net, run = learnt(name, team)
        everyone = [None] * team.world
        dist.all_gather_object(everyone, net.state_dict())
        if team.rank == 0:
            torch.save({"workers": everyone, "history": run.history}, Path(sys.argv[1]) / f"{name}.pt")
    dist.barrier()
    dist.destroy_process_group()
