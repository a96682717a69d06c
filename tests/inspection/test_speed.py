"""The speed of a pass: what is counted, how models take turns, and how memory is told. No test asserts on a
time.
"""

from __future__ import annotations

import statistics

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.compare import speed as module
from explorer.inspection.compare.speed import Speed, measure_speed, measure_speeds, pass_memory, weight_bytes
from explorer.inspection.look.passes import Stopped

SIZE = (3, 16, 16)


class Counting(nn.Module):
    """Remembers its passes in a list shared with others: (name, batch)."""

    def __init__(self, name: str, log: list):
        super().__init__()
        self.layer, self.name, self.log = nn.Conv2d(3, 4, 3), name, log

    def forward(self, x):
        self.log.append((self.name, len(x), torch.is_inference_mode_enabled(), self.training))
        return self.layer(x).mean((2, 3))


def counting(name: str, log: list):
    return explorer.wrap(Counting(name, log), input_size=SIZE)


def a_speed(**facts) -> Speed:
    return Speed(**{"model_name": "m", "passes": (0.004, 0.001, 0.003, 0.002, 0.1), "batch_size": 2,
                    "input_size": SIZE, "device": "cpu", "device_name": "x", "dtype": "float32", "threads": 1,
                    "warm_up": 3,
                    "weight_bytes": 1_000_000, "pass_bytes": 500_000, **facts})


def test_the_figures_follow_from_the_passes():
    speed = a_speed()
    assert speed.latency == 0.003 and speed.photos_per_second == pytest.approx(2 / 0.003)
    assert speed.quartiles == (0.002, 0.004)  # of 1, 2, 3, 4, 100
    assert speed.peak_memory == 1_500_000


def test_the_caption_states_spread_threads_device_warm_up_and_what_memory_means():
    text = a_speed(beside=3).caption
    for part in ("3 ms", "2 ms to 4 ms", "667 photos a second", "1 thread", "cpu",
                 "5 passes after 3 to warm up", "3 models taking turns", "float32", "1.5 MB",
                 module.TENSORS_HELD, "16 x 16"):
        assert part in text, part


def test_one_pass_has_no_spread():
    assert a_speed(passes=(0.25,)).quartiles == (0.25, 0.25)


def test_memory_that_is_not_known_says_why():
    speed = a_speed(pass_bytes=None, memory_means="Stopped before the memory of a pass was measured.")
    assert speed.peak_memory is None and "Stopped before the memory" in speed.caption


def test_models_take_turns_and_the_warm_up_is_not_counted():
    log = []
    first, second = counting("a", log), counting("b", log)
    log.clear()  # wrapping runs them
    speeds = measure_speeds([first, second], batch_size=3, warm_up=2, repeats=4)
    assert [name for name, *_ in log] == ["a", "b"] * 7  # 2 to warm up, 1 for the memory, 4 timed
    assert {tuple(facts) for _, *facts in log} == {(3, True, False)}
    assert [len(speed.passes) for speed in speeds] == [4, 4] and {speed.beside for speed in speeds} == {2}
    assert all(seconds > 0 for speed in speeds for seconds in speed.passes)


def test_progress_counts_every_pass_and_ends_at_the_total():
    heard = []
    measure_speed(
        counting("a", []), warm_up=1, repeats=2, on_progress=lambda done, total: heard.append((done, total))
    )
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_stopping_keeps_what_was_timed():
    log = []
    model = counting("a", log)
    log.clear()
    speed = measure_speed(model, warm_up=1, repeats=50, should_stop=lambda: len(log) >= 5)
    assert len(speed.passes) == 3 and len(log) == 5


def test_stopping_before_the_first_timed_pass_is_an_error_in_words():
    with pytest.raises(Stopped, match="Stopped before"):
        measure_speed(counting("a", []), should_stop=lambda: True)
    assert measure_speeds([counting("a", [])], should_stop=lambda: True) == [None]


def test_training_flags_are_as_before():
    model = counting("a", []).train()
    measure_speed(model, warm_up=0, repeats=1)
    assert model.training


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"repeats": 0}, {"warm_up": -1}, {"batch_size": True}, {"repeats": 2.5}]
)
def test_numbers_that_make_no_sense_are_refused_by_name(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .*: expected a whole number"):
        measure_speed(counting("a", []), **options)


@pytest.mark.parametrize("size", [0, (16,), (1, 2, 3, 4), (16, "16")])
def test_an_input_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="input_size is .*: expected the side in pixels"):
        measure_speed(counting("a", []), input_size=size)


def test_an_input_that_the_model_cannot_take_is_one_sentence():
    with pytest.raises(ValueError, match="can't run on photos of 3 x 2 x 2.*Give the input_size"):
        measure_speed(counting("a", []), input_size=2)


class Allocating(nn.Module):
    """Holds at most two tensors of a million float32 beside each other, then one number."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))

    def forward(self, x):
        first = x.new_zeros(1000, 1000)
        second = first + 1
        first = None
        third = second * 2
        second = None
        return third.sum()[None, None]


def test_the_memory_of_a_pass_is_what_its_tensors_hold_at_most_at_one_moment():
    taken, _ = pass_memory(Allocating(), torch.zeros(1, *SIZE))
    assert 8_000_000 <= taken < 8_010_000  # two of 4 MB at a time, although three are made


def test_what_was_held_before_and_elsewhere_is_not_in_the_memory_of_a_pass():
    ballast = torch.ones(5_000_000)
    taken, _ = pass_memory(Allocating(), torch.zeros(1, *SIZE))
    assert taken < 8_010_000 and ballast[0] == 1


def test_the_memory_of_a_pass_grows_with_the_batch():
    model = explorer.wrap(
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)),
        input_size=(3, 64, 64),
    )
    one, four = (measure_speed(model, batch_size=n, warm_up=0, repeats=1).pass_bytes for n in (1, 4))
    assert 3.9 * one < four < 4.1 * one


def test_weights_are_counted_as_a_file_of_them_has_them():
    from safetensors.torch import save  # an independent reader of the same tensors

    model = explorer.create_model("resnet18")
    assert weight_bytes(model) == pytest.approx(len(save(model.state_dict())), rel=1e-3)


def test_views_and_results_written_in_place_take_no_memory():
    class InPlace(nn.Module):
        def forward(self, x):
            x = x + 1  # 16 x 16 x 3 float32
            return x.relu_().view(len(x), -1)[:, :4].mul_(2)

    taken, _ = pass_memory(InPlace(), torch.zeros(1, *SIZE))
    assert taken == 16 * 16 * 3 * 4


def test_the_count_of_memory_is_that_of_pytorchs_own_profiler():
    # No convolution: these may make copies in another layout inside, which only the profiler sees.
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(768, 1000), nn.GELU(), nn.Linear(1000, 500), nn.Softmax(1), nn.Linear(500, 3)
    )
    photos = torch.zeros(64, *SIZE)
    with (
        torch.inference_mode(),
        torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as theirs,
    ):
        model(photos)
    steps = sorted(
        (event.start_ns(), event.nbytes())
        for event in theirs.profiler.kineto_results.events()
        if event.name() == "[memory]"
    )
    held = [sum(change for _, change in steps[:i + 1]) for i in range(len(steps))]
    assert pass_memory(model, photos)[0] == pytest.approx(max(held), rel=0.01)


def test_the_median_is_over_all_timed_passes(monkeypatch):
    clock = iter([0, 1.0, 10, 10.5, 20, 23.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    speed = measure_speed(counting("a", []), warm_up=0, repeats=3)
    assert speed.passes == (1.0, 0.5, 3.0) and speed.latency == statistics.median([1, 0.5, 3])
