"""Watching modules run, call by call."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from explorer.models.watching import Turn, watching


def seen(module: nn.Module, *inputs, parts=None) -> list[str]:
    names: list[str] = []
    parts = dict(module.named_modules()) if parts is None else parts

    def begins(turn: Turn, *_) -> None:
        names.append(f"+{turn.name}")

    def ends(turn: Turn, *_) -> None:
        names.append(turn.name)

    with watching(parts, before=begins, after=ends):
        module(*inputs)
    return names


def test_each_call_has_a_name_of_its_own():
    assert [Turn("pool", 1).name, Turn("pool", 2).name] == ["pool", "pool:2"]
    relu = nn.ReLU()
    net = nn.Sequential(relu, nn.Identity(), relu)
    assert seen(net, torch.zeros(1)) == ["+", "+0", "0", "+1", "1", "+0:2", "0:2", ""]


class Nested(nn.Module):
    """Calls itself until nothing is left."""

    def forward(self, depth: int):
        return depth if depth == 0 else self(depth - 1)


def test_a_module_that_calls_itself_is_told_apart():
    assert seen(Nested(), 2, parts={"n": Nested()}) == []  # another object
    net = Nested()
    assert seen(net, 2, parts={"n": net}) == ["+n", "+n:2", "+n:3", "n:3", "n:2", "n"]


class Fails(nn.Module):
    def forward(self, x):
        raise RuntimeError("no")


class Catches(nn.Module):
    def __init__(self):
        super().__init__()
        self.fails, self.act = Fails(), nn.ReLU()

    def forward(self, x):
        try:
            return self.act(self.fails(x))
        except RuntimeError:
            return self.act(x)


def test_a_call_that_fails_is_counted_and_the_next_one_is_not_taken_for_it():
    net = Catches()
    assert seen(net, torch.zeros(1)) == ["+", "+fails", "fails", "+act", "act", ""]


def test_only_this_thread_is_seen_and_no_hook_stays():
    net, names = nn.ReLU(), []
    with watching({"act": net}, after=lambda turn, *_: names.append(turn.name)):
        other = threading.Thread(target=net, args=(torch.zeros(1),))
        other.start()
        other.join()
        net(torch.zeros(1))
    net(torch.zeros(1))
    assert names == ["act"] and not net._forward_hooks and not net._forward_pre_hooks
    with pytest.raises(ValueError), watching({"act": net}):
        raise ValueError
    assert not net._forward_hooks


def test_what_after_gives_takes_the_outputs_place():
    net = nn.Sequential(nn.ReLU(), nn.Identity())
    with watching({"0": net[0]}, after=lambda _turn, _module, _inputs, output: output + 1):
        assert net(torch.zeros(1)).item() == 1
