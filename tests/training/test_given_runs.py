"""Runs go wherever several models are wanted, with their names and their best weights."""

from __future__ import annotations

import threading

import pytest
import torch

import explorer
from explorer.data.photo_sets import Splits
from explorer.models.ensembles.given import is_run, named_members
from tests.training.test_finetune import painted
from tests.training.tiny_net import HOW, tiny

CPU = {**HOW, "device": "cpu", "lr": 0.05}


@pytest.fixture(scope="module")
def data() -> Splits:
    return Splits("colours", painted(18), painted(6, seed=1))


@pytest.fixture(scope="module")
def runs(data):
    return [explorer.finetune(tiny(seed), data, name=f"run {seed}", **CPU).wait() for seed in range(2)]


def test_an_ensemble_a_soup_and_fused_features_of_runs(runs, data, tmp_path):
    team = explorer.Ensemble(runs)
    assert team.names == ("run 0", "run 1") and team.member("run 1") is runs[1].model
    fitted = explorer.fit_weights(team, data.val, cache_dir=tmp_path)
    assert sorted(fitted.weights) == ["run 0", "run 1"]
    assert explorer.evaluate(team, data.val).top1 > 0.6
    mixed = explorer.soup(runs)
    both = [run.model.state_dict()["module.0.weight"] for run in runs]
    assert torch.allclose(mixed.state_dict()["module.0.weight"], sum(both) / 2)
    assert explorer.soup(runs, data=data.val).load_report.noted
    fused = explorer.fuse_features({"first": runs[0], "other": tiny(3)}, num_classes=3)
    assert fused.names == ("first", "other") and fused.num_features == 32


def test_photos_are_compared_doubted_and_blended_by_runs(runs, data, tmp_path):
    photos = [data.val.open_one(0), data.val.open_one(1)]
    assert explorer.compare(runs, photos, measure=False).names == ("run 0", "run 1")
    assert explorer.uncertain(runs, photos, cache_dir=tmp_path).members == ("run 0", "run 1")
    assert explorer.uncertain(runs[0], photos, cache_dir=tmp_path).members == ("run 0",)
    assert list(explorer.blend(runs, data, **CPU).members) == ["run 0", "run 1"]


def test_a_run_from_a_folder_is_called_as_it_was(runs, tmp_path):
    again = explorer.load_run(runs[0].save(tmp_path / "saved"), model=tiny(5))
    assert list(named_members([again, runs[0], "resnet18"])) == ["run 0", "run 0 (2)", "resnet18"]
    assert torch.equal(explorer.Ensemble([again]).members[0].state_dict()["module.0.weight"],
                       runs[0].model.state_dict()["module.0.weight"]) and is_run(again)


def test_a_run_that_still_learns_is_no_member_yet(data):
    began, go_on = threading.Event(), threading.Event()

    def held(_event) -> None:
        began.set()
        go_on.wait(20)

    run = explorer.finetune(tiny(), data, name="slow one", on_event=held, **CPU)
    try:
        assert began.wait(20)
        with pytest.raises(ValueError, match=r"slow one still learns: wait for it \(run.wait\(\)\)"):
            explorer.Ensemble([tiny(1), run])
    finally:
        go_on.set()
        run.stop()
