"""Many photos through a network: in their order, whole groups, and the same numbers whoever runs them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import explorer
from explorer import _teams
from explorer.inspection.look import faster
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.many import answered

BROKEN = 5  # the item whose photo can't be opened


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(faster._teams, "active", lambda: True)  # as on Linux
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return explorer.create_model("mobilenetv3_small_050", num_classes=7).eval()


@pytest.fixture(scope="module")
def said_alone(model) -> list[np.ndarray]:
    """What the model says of each of 30 photos when it sees that one alone."""
    with torch.inference_mode():
        return [model(photo(number)[None])[0].numpy() for number in range(30)]


def photo(number: int) -> Tensor:
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(number))


def opened(number: int) -> tuple[str, Tensor | None]:
    return f"photo {number}", None if number == BROKEN else photo(number)


def scores(net: torch.nn.Module, batch: Tensor) -> tuple[np.ndarray, ...]:
    return net(batch).numpy(), batch.flatten(1).sum(1).numpy()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 12, 100])
@pytest.mark.parametrize("known", [True, False])
def test_groups_are_whole_in_order_and_say_what_the_model_says(model, said_alone, two_threads, monkeypatch,
                                                               batch_size, known):
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    run = Faster(model, scores)
    assert run.side_by_side
    groups = list(answered(run, opened, iter(range(30)), batch_size=batch_size, total=30 if known else None))
    assert [len(group) for group in groups[:-1]] == [batch_size] * (len(groups) - 1)
    found = [pair for group in groups for pair in group]
    assert [said for said, _ in found] == [f"photo {number}" for number in range(30)]
    for number, ((_, row), wanted) in enumerate(zip(found, said_alone, strict=True)):
        if number == BROKEN:
            assert row is None
            continue
        assert np.abs(row[0] - wanted).max() <= 1e-5 * np.abs(wanted).max()
        assert row[1] == pytest.approx(float(photo(number).sum()), rel=1e-4, abs=1e-2)


def test_threads_run_the_copy_of_a_small_network_themselves(model, two_threads, monkeypatch):
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    ran: list[tuple[int, int]] = []

    def note(net: torch.nn.Module, batch: Tensor) -> tuple[np.ndarray, ...]:
        ran.append((threading.get_ident(), len(batch)))
        return scores(net, batch)

    list(answered(Faster(model, note), opened, range(40), batch_size=16, total=40))
    here = threading.get_ident()
    assert sum(size for who, size in ran if who != here) == 40 - 2 - 1  # the first two, and the broken one
    assert max(size for _, size in ran) <= faster.FEW


def test_without_a_copy_whoever_asks_runs_all(model, two_threads):
    ran: set[int] = set()

    def note(net: torch.nn.Module, batch: Tensor) -> tuple[np.ndarray, ...]:
        ran.add(threading.get_ident())
        return scores(net, batch)

    list(answered(Faster(model, note), opened, range(20), batch_size=8, total=20))
    assert ran == {threading.get_ident()}


@pytest.mark.parametrize("known", [True, False])
def test_few_photos_are_ahead_of_those_handed_out(model, two_threads, monkeypatch, known):
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    begun: list[int] = []
    groups = answered(Faster(model, scores), lambda number: begun.append(number) or opened(number), range(60),
                      batch_size=8, total=60 if known else None)
    for count, _ in enumerate(groups, start=1):
        assert len(begun) <= 8 * (count + 1) + faster.FEW


def test_only_small_networks_of_explorers_own_run_in_several_threads(model, two_threads, monkeypatch):
    assert Faster(model, scores).side_by_side
    assert not Faster(explorer.create_model("resnet50"), scores).side_by_side  # its products are divided
    theirs = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    wrapped = explorer.wrap(theirs, input_size=(3, 16, 16))
    assert not Faster(wrapped, scores).side_by_side  # another's code may write down what it sees
    monkeypatch.setattr(_teams, "active", lambda: False)
    assert not Faster(model, scores).side_by_side


def test_an_error_of_a_pass_reaches_who_asked(model, two_threads, monkeypatch):
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)

    def fail(net: torch.nn.Module, batch: Tensor) -> tuple[np.ndarray, ...]:
        if threading.current_thread() is not threading.main_thread():
            raise ValueError("too much")
        return scores(net, batch)

    with pytest.raises(ValueError, match="too much"):
        list(answered(Faster(model, fail), opened, range(40), batch_size=8, total=40))
