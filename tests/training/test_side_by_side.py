"""What threads that run a small frozen body by themselves have seen is what one pass after the other sees."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer import _teams
from explorer.inspection.look import faster
from explorer.training.loop import features


def test_the_vectors_are_those_of_one_pass_after_the_other(monkeypatch):
    if not _teams.active():
        pytest.skip("this torch has no libgomp, so its threads take turns")
    seen = []

    def watched(*given):
        seen.append(None)
        return genuine(*given)

    genuine = features._side_by_side
    monkeypatch.setattr(features, "_side_by_side", watched)

    def learnt() -> torch.Tensor:
        run = explorer.finetune("tf_efficientnet_lite0", "flowers5_nano", epochs=1, seed=3)
        run.wait()
        return run.model.get_classifier().weight.detach().clone()

    together = learnt()
    assert len(seen) == 2  # what it learns from, and what it is judged by
    monkeypatch.setattr(features, "side_by_side", lambda *given: False)
    assert torch.allclose(together, learnt(), atol=1e-4) and len(seen) == 2


def test_networks_of_others_large_ones_and_one_thread_take_turns(monkeypatch):
    monkeypatch.setattr(_teams, "active", lambda: True)
    small = explorer.create_model("resnet18", num_classes=2, widths=(8, 8, 8, 8), stem_width=8)
    assert faster.side_by_side(small, 2)
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                                 torch.nn.Linear(4, 2))
    assert not faster.side_by_side(explorer.wrap(theirs), 2)
    assert not faster.side_by_side(explorer.create_model("resnet18"), 2)
    assert not faster.side_by_side(small, 1)
