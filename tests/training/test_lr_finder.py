"""The learning-rate finder: a curve, a suggestion, and a model that it leaves alone."""

from __future__ import annotations

import pytest
import torch

from explorer.data.datasets import Splits
from explorer.training.run.lr_finder import find_lr, some_of, suggest
from tests.training.test_finetune import SIZE, painted, small


@pytest.mark.parametrize("train", ["head", "all"])
def test_the_finder_draws_a_curve_and_leaves_the_model_as_it_was(train):
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = find_lr(model, Splits("colours", painted(24), painted(6)), train=train, batch_size=8, steps=30,
                    input_size=SIZE, threads=1)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert list(found.rates) == sorted(found.rates) and len(found.rates) == len(found.losses) >= 6
    assert found.suggestion is None or found.rates[0] < found.suggestion < found.rates[-1]
    assert found._repr_png_().startswith(b"\x89PNG")


def test_the_suggestion_is_where_the_loss_falls_fastest():
    rates = [10 ** (-6 + i / 5) for i in range(30)]
    falling = [2 / (1 + (rate / 1e-3)) for rate in rates[:25]] + [5.0] * 5  # steepest on a log scale at 1e-3
    assert suggest(rates, falling) == pytest.approx(1e-3, rel=0.6)
    assert suggest(rates, [1.0] * 30) is None


@pytest.mark.parametrize("train", ["head", "all"])
def test_it_can_be_followed_and_stopped_and_says_what_it_cost(train):
    seen = []
    found = find_lr(small(), Splits("colours", painted(24), painted(6)), train=train, batch_size=8, steps=30,
                    photos=16, input_size=SIZE, threads=1, on_rate=lambda *tried: seen.append(tried),
                    should_stop=lambda: len(seen) == 3)
    assert list(zip(found.rates, found.losses)) == seen and len(seen) == 3
    assert found.suggestion is None and found.photos == 16 and found.seconds > 0


def test_it_can_be_stopped_while_the_body_looks_at_the_photos():
    found = find_lr(small(), Splits("colours", painted(40), painted(6)), batch_size=8, input_size=SIZE,
                    threads=1, should_stop=lambda: True)
    assert found.rates == () and found.suggestion is None


def test_many_photos_are_drawn_by_the_seed():
    data = Splits("colours", painted(24), painted(6))
    first, again, other = (some_of(data, 10, seed).train.names for seed in (1, 1, 2))
    assert first == again != other and len(set(first)) == 10 and some_of(data, 99, 1).train is data.train


@pytest.mark.parametrize("wrong", [{"start": 1.0, "stop": 0.1}, {"steps": 2}, {"photos": 1}])
def test_a_range_that_can_not_be_is_a_sentence(wrong):
    with pytest.raises(ValueError, match="give"):
        find_lr("resnet18", "flowers5_nano", pretrained=False, **wrong)


def test_it_steps_as_the_run_will_by_the_class_weights_and_after_every_batch():
    def losses(**settings):
        return find_lr(small(), Splits("colours", painted(24), painted(6)), batch_size=8, steps=6,
                       input_size=SIZE, threads=1, optimizer="sgd", stop=0.1, **settings).losses

    plain = losses()
    assert losses(accumulate=4) == plain  # a quarter of the gradient would ask for four times the rate
    assert losses(class_weights=[9, 1, 1]) != plain
