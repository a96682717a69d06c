"""A softmax or sigmoid at a network's end is noticed wherever it stands, and undone: scores are logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import explorer
from explorer.inspection.look.model import outputs_of
from explorer.models.doors.wrapping import wrap
from explorer.models.endings import Squash, Squashes

ENDS = {
    "Sigmoid": (nn.Sigmoid(), "sigmoid"), "LogSigmoid": (nn.LogSigmoid(), "sigmoid"),
    "torch.sigmoid": (torch.sigmoid, "sigmoid"), "Softmax": (nn.Softmax(1), "softmax"),
    "LogSoftmax": (nn.LogSoftmax(1), "softmax"),
    "softmax, then log": (lambda scores: F.softmax(scores, 1).log(), "softmax"),
    "nothing": (nn.Identity(), ""), "tanh": (torch.tanh, ""),
}


class Net(nn.Module):
    """Scores behind a convolution, a linear layer, or a linear layer that runs twice; then `end`, before or
    after flattening.
    """

    def __init__(self, end, classes: int = 3, head: str = "conv"):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        width = 8 if head == "twice" else classes
        self.score = nn.Conv2d(8, classes, 1) if "conv" in head else nn.Linear(8, width)
        self.head, self.end = head, end

    def raw(self, x):
        x = self.body(x)
        if "conv" in self.head:
            return self.score(x).mean((2, 3), keepdim=True)
        x = self.score(x.mean((2, 3)))
        return self.score(x.relu()) if self.head == "twice" else x

    def forward(self, x):
        raw = self.raw(x)
        return self.end(raw).flatten(1) if self.head == "conv first" else self.end(raw.flatten(1))


def photos(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("head", ["conv", "conv first", "linear", "twice"])
@pytest.mark.parametrize("end", ENDS)
def test_an_ending_is_seen_and_left_out(end, head):
    """case A6: a sigmoid is no one-of-K, wherever the scores in front of it come from."""
    torch.manual_seed(0)
    step, name = ENDS[end]
    net = Net(step, 8 if head == "twice" else 3, head).eval()
    model = wrap(net, input_size=32).eval()
    outputs = outputs_of(model)
    assert outputs.kind == ("several" if name == "sigmoid" else "one")
    with torch.no_grad():
        raw, given = net.raw(photos()).flatten(1), net(photos())
        scores = model(photos())
        if name:
            expected = raw.sigmoid() if name == "sigmoid" else raw.softmax(1)
            torch.testing.assert_close(outputs.probabilities(scores), expected, rtol=1e-4, atol=1e-6)
        else:
            torch.testing.assert_close(scores, given)
        torch.testing.assert_close(model.forward_head(model.forward_features(photos())), scores)


def test_a_single_sigmoid_is_a_yes_or_no():
    """case A6: a net with [B, 1] behind a sigmoid says yes or no, with that share."""
    net = Net(nn.Sigmoid(), 1).eval()
    seen = explorer.look(wrap(net, input_size=32, labels=["cat"]), explorer.sample_photos()[0])
    share = {one.label: one.probability for one in seen.predictions}
    with torch.no_grad():
        given = net(seen.input[None]).item()
    assert share == {"cat": pytest.approx(given, rel=1e-4), "not cat": pytest.approx(1 - given, rel=1e-4)}
    assert not any("read as a yes or no" in note for note in seen.notes)


def test_a_softmax_over_the_photos_is_none_over_the_classes():
    """A softmax along the wrong axis gives 1 for a photo alone: nothing of it can be undone."""
    model = wrap(Net(nn.Softmax(0)).eval(), input_size=32)
    assert model.squash is None and outputs_of(model).kind == "one"


def test_two_classes_behind_a_softmax_are_one_of_two():
    model = wrap(Net(nn.Softmax(1), 2, "linear").eval(), input_size=32)
    assert outputs_of(model).kind == "one" and len(outputs_of(model)) == 2


def test_an_ending_behind_a_whole_model_is_seen():
    body = explorer.create_model("resnet10t", num_classes=4).eval()
    model = wrap(nn.Sequential(body, nn.Sigmoid()), input_size=64).eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(model(x), body(x), rtol=1e-4, atol=1e-5)
    assert outputs_of(model).kind == "several"


def test_of_numbers_nothing_is_undone():
    net = Net(nn.Sigmoid(), 2).eval()
    model = wrap(net, input_size=32, outputs="numbers")
    with torch.no_grad():
        assert model(photos()).equal(net(photos()))
    told = wrap(wrap(net, input_size=32), outputs="numbers")
    with torch.no_grad():
        assert told(photos()).equal(net(photos()))


def test_a_kind_against_the_ending_is_refused():
    with pytest.raises(ValueError, match="ends with a softmax"):
        wrap(Net(nn.Softmax(1)), input_size=32, outputs="several")
    with pytest.raises(ValueError, match="ends with a softmax"):
        wrap(wrap(Net(nn.Softmax(1)), input_size=32), outputs="several")


def test_heat_maps_follow_an_ending_that_is_undone():
    torch.manual_seed(0)
    model = wrap(Net(nn.Sigmoid()).eval(), input_size=32).eval()
    plain = Net(nn.Identity()).eval()
    plain.load_state_dict(model.module.state_dict())
    plain = wrap(plain, input_size=32, outputs="several").eval()
    photo = explorer.sample_photos()[0]
    found, expected = (explorer.explain(one, photo, target=1) for one in (model, plain))
    torch.testing.assert_close(found.raw, expected.raw, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("squash, step", [
    (Squash("sigmoid", False), torch.sigmoid), (Squash("sigmoid", True), F.logsigmoid),
    (Squash("softmax", False), lambda x: x.softmax(1)),
    (Squash("softmax", True), lambda x: x.log_softmax(1))])
def test_what_was_rounded_away_is_a_large_score_and_not_infinite(squash, step):
    raw = torch.tensor([[200.0, -200.0, 3.0]], requires_grad=True)
    undone = squash.undo(step(raw))
    assert undone.isfinite().all() and undone[0, 0] - undone[0, 1] > 20
    undone.sum().backward()
    assert raw.grad.isfinite().all()


def test_no_watch_is_left_behind():
    with Squashes() as squashes:
        result = torch.sigmoid(torch.zeros(1, 2))
    torch.softmax(torch.zeros(1, 2), 1)
    assert squashes.behind(result) == Squash("sigmoid", False)
