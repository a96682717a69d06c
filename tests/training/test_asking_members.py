"""Members asked one by one: who fails is named, and the others' answers keep their meaning."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer
from explorer.data.photo_sets import PhotoSet
from explorer.training.evaluation.asking_members import ask_members
from tests.training.test_finetune import painted

NAMES = ("red", "green")


def two_colours(count: int = 12) -> PhotoSet:
    found = painted(3 * count)
    chosen = [i for i, label in enumerate(found.labels) if label < 2]
    photos = found.subset(chosen)
    return PhotoSet(NAMES, photos.labels, photos.names, photos.open_one)


def eye(labels, outputs):
    """It knows red from green, by two scores or by one for the second class."""
    module = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(3, 1 if outputs == "yes/no" else 2, bias=False))
    module[0].weight.data = torch.eye(3).reshape(3, 3, 1, 1)
    rows = torch.eye(3)[[NAMES.index(name) for name in labels]]
    module[3].weight.data = 5 * (rows[1:] - rows[:1] if outputs == "yes/no" else rows)
    return explorer.wrap(module, input_size=(3, 16, 16), labels=list(labels), outputs=outputs).eval()


def broken(model):
    def fail(*_):
        raise RuntimeError("it came loose")

    model.module[0].register_forward_pre_hook(fail)
    return model


@pytest.mark.parametrize("outputs", ["one", "yes/no"])
def test_where_the_first_one_fails_the_others_order_of_classes_holds(outputs, tmp_path):
    turned = [eye(NAMES[::-1], outputs) for _ in range(2)]
    members = {"broken": lambda: broken(eye(NAMES, outputs)), "a": lambda: turned[0], "b": lambda: turned[1]}
    asked = ask_members(members, two_colours(), cache_dir=tmp_path)
    assert asked.team.names == ("a", "b") and "it came loose" in asked.problems[0][1]
    judged = explorer.evaluate(asked.team, two_colours())
    assert asked.weighing.scores == (1.0, 1.0) and judged.top1 == 1.0
    assert asked.weighing.weigh().loss == pytest.approx(judged.loss, abs=1e-5)
