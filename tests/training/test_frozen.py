"""What is frozen in a run that learns goes through the faster copy; what learns is the model's own."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.data.datasets import Splits
from explorer.models.surgery.packing import Packed, can_pack
from explorer.training.run import training
from explorer.training.run.frozen import with_fast_frozen_part
from tests.training.test_finetune import painted, run, small

SMALL_VIT = {"num_classes": 3, "img_size": 32, "depth": 3}


@pytest.fixture
def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def vit(**options):
    torch.manual_seed(0)
    return explorer.create_model("vit_tiny_patch16_224", **SMALL_VIT, **options)


@pytest.mark.parametrize(("make", "settings"), [
    (small, {"train": "last_stage", "augment": "light"}),
    (small, {"train": "head", "cache": False}),
    (vit, {"train": "last_stage", "accumulate": 2})])
def test_a_faster_frozen_part_gives_the_run_that_the_model_itself_gives(colours, make, settings, monkeypatch):
    faster = run(make(), colours, epochs=2, **settings).wait()
    assert faster._work.state.through is not None
    monkeypatch.setattr(training, "with_fast_frozen_part", lambda model: None)
    plain = run(make(), colours, epochs=2, **settings).wait()
    for one, other in zip(faster.history, plain.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)
    mine, theirs = faster.model.state_dict(), plain.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.allclose(mine[key], theirs[key], atol=1e-3) for key in mine)


@pytest.mark.skipif(not can_pack(), reason="this torch has no packed layers")
def test_what_learns_is_the_models_own_and_what_is_frozen_is_packed():
    model = small()
    model.freeze("layer3")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    network = with_fast_frozen_part(model)
    assert network.layer4 is model.layer4 and network.fc is model.fc
    assert any(isinstance(part, Packed) for part in network.layer1.modules())
    assert not any(isinstance(part, Packed) for part in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_frozen_part_with_dropout_and_a_model_without_one_go_as_they_are():
    torch.manual_seed(0)
    model = vit(drop_path_rate=0.5)
    model.freeze("blocks.1")
    assert with_fast_frozen_part(model) is None
    assert with_fast_frozen_part(small()) is None
