"""Members that are broken, odd or the same: each is named, and the others' answers are right."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer
from explorer.data.photo_sets import Splits
from explorer.models.watching import watching
from tests.models.test_ensembles import NAMES, PHOTO, logits_of, net
from tests.training.test_finetune import painted

TENSOR = torch.rand(1, 3, 24, 24)


class Raises(nn.Module):
    """A network that somebody wrote, and that breaks on the way."""

    def __init__(self, error: Exception):
        super().__init__()
        self.body, self.error, self.breaks = net(5).module, error, False

    def forward(self, x):
        if self.breaks:
            raise self.error
        return self.body(x)


@pytest.mark.parametrize("error, kind, says", [
    (RuntimeError("cable unplugged"), RuntimeError, "The member odd failed: cable unplugged"),
    (ValueError("too dark"), ValueError, "The member odd failed: too dark"),
    (AssertionError("shape"), RuntimeError, "The member odd failed: AssertionError: shape"),
    (IndexError("out of range"), RuntimeError, "The member odd failed: IndexError: out of range"),
])
def test_a_member_that_raises_in_its_pass_is_named_whatever_it_raises(error, kind, says):
    inside = Raises(error)
    odd = explorer.wrap(inside, input_size=(3, 24, 24), labels=NAMES)
    team = explorer.Ensemble({"fine": net(0), "odd": odd}).eval()
    inside.breaks = True
    with pytest.raises(kind, match=says):
        explorer.look(team, PHOTO)


def test_an_end_that_explorer_asked_for_is_no_members_failure():
    class Stopping(nn.Module):
        def forward(self, x):
            raise explorer.ImageError("asked to stop")

    team = explorer.Ensemble([net(0)]).eval()
    team.members[0].module[2] = Stopping()
    with pytest.raises(explorer.ImageError, match=r"^asked to stop$"):
        team(TENSOR)


def test_scores_that_are_no_numbers_are_told_by_the_members_name():
    members = [net(seed, classes=3, labels=("red", "green", "blue")) for seed in range(3)]
    members[1].module[3].weight.data[0] = float("inf")
    team = explorer.Ensemble(members)
    assert any(note.startswith("The scores of the member net1 are no numbers (NaN or infinite)")
               for note in explorer.look(team, PHOTO).notes)
    assert "member net1" in explorer.predict(team, [PHOTO, PHOTO]).notes[0]
    with pytest.raises(ValueError, match="The scores of the member net1 are not finite for 6 of 6 photos"):
        explorer.evaluate(team, painted(6))
    result = explorer.compare([team, members[0]], [PHOTO], measure=False)
    assert any("member net1" in note for note in result.notes)


def test_a_member_that_trains_answers_as_in_evaluation_and_goes_on_training():
    team = explorer.Ensemble([net(0), net(1)])
    expected = logits_of(team.eval())
    team.members[1].train()
    statistics = team.members[1].module[1].running_mean.clone()
    assert torch.equal(logits_of(team), expected)
    assert team.members[1].module[1].training and not team.members[0].module[1].training
    assert torch.equal(team.members[1].module[1].running_mean, statistics)


def test_members_with_random_weights_are_noted_each_by_its_name():
    team = explorer.Ensemble([explorer.create_model("lenet5", num_classes=4), net(1, labels=None)])
    notes = explorer.look(team, PHOTO).notes
    assert [note.split(":")[0] for note in notes if "No weights" in note] == [
        "No weights were loaded into lenet5", "No weights were loaded into net1"]


def test_the_same_model_twice_is_that_model_and_looks_once(tmp_path):
    model = net(0)
    team = explorer.Ensemble([model, model]).eval()
    assert team.names == ("net0", "net0 (2)") and len(team.stage_table) == len(model.stage_table)
    passes = []
    with watching({"conv": model.module[0]}, after=lambda *_: passes.append(1)):
        assert torch.allclose(logits_of(team).softmax(-1), logits_of(model).softmax(-1), atol=1e-6)
    assert len(passes) == 2  # one of the team, one of the model alone
    assert torch.allclose(team(TENSOR).softmax(-1), model(TENSOR).softmax(-1), atol=1e-6)
    assert sum(p.numel() for p in team.parameters()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("models", [[], {}, ()])
@pytest.mark.parametrize("taker", ["Ensemble", "soup", "fuse_features"])
def test_no_members_at_all(models, taker):
    with pytest.raises(ValueError, match="models has 0 members"):
        getattr(explorer, taker)(models)


def test_a_member_on_another_device_is_named_with_the_way_there():
    team = explorer.Ensemble([net(0), net(1)])
    team.members[1].to("meta")
    with pytest.raises(ValueError, match="net1 has shapes but no weights"):
        explorer.Ensemble(dict(zip(team.names, team.members)))
    with pytest.raises(ValueError, match="net1 is on the device 'meta', and net0 on 'cpu': bring them"):
        explorer.look(team, PHOTO)


@pytest.mark.parametrize("how", ["wrapped", "fused"])
def test_the_last_stage_that_learns_is_each_members(how):
    labels = ("red", "green", "blue")
    members = [net(seed, classes=3, labels=labels) for seed in range(2)]
    made = explorer.Ensemble(members) if how == "wrapped" else \
        explorer.fuse_features(members, num_classes=3)
    run = explorer.finetune(made, Splits("colours", painted(9), painted(6, seed=1)), train="last_stage",
                            epochs=1, augment="none", batch_size=9, device="cpu", threads=1).wait()
    learns = {name.split(".module.")[0] for name, p in run.model.named_parameters()
              if p.requires_grad and ".module.3." in name}
    frozen = {name for name, p in run.model.named_parameters() if not p.requires_grad}
    assert learns == {"members.0", "members.1"}
    assert frozen == {f"members.{i}.module.{k}" for i in (0, 1)
                      for k in ("0.weight", "0.bias", "1.weight", "1.bias")}
