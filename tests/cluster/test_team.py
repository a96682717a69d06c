"""Two processes that learn together over gloo learn what one does with the doubled batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import explorer
from explorer.training.__main__ import main
from explorer.training.loop.measures import measure_of
from explorer.training.loop.workers import Workers
from tests.cluster.team_cases import CASES, learnt
from tests.training.test_finetune import ROOT, painted

SAME_AS_ONE_PROCESS = [case for case in CASES if case not in ("own statistics", "varied")]


def torchrun(workers: int, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
                           str(workers), *arguments], cwd=ROOT, text=True, capture_output=True, timeout=300,
                          check=False, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """case -> what two workers ended with."""
    folder = tmp_path_factory.mktemp("team")
    ended = torchrun(2, "-m", "tests.cluster.team_cases", str(folder))
    assert ended.returncode == 0, ended.stderr
    return lambda case: torch.load(folder / f"{case}.pt", weights_only=True)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float) -> bool:
    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        return torch.allclose(a.double(), b.double(), rtol=0, atol=atol)

    return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)


@pytest.mark.parametrize("case", SAME_AS_ONE_PROCESS)
def test_two_workers_learn_what_one_process_learns_with_the_doubled_batch(results, case):
    net, run = learnt(case)
    together, measure = results(case), measure_of(run)
    assert same(together["workers"][0], net.state_dict(), 1e-5)
    for mine, theirs in zip(together["history"], run.history, strict=True):
        for figure in ("loss", measure.key, "val_loss", measure.judged):
            assert mine[figure] == pytest.approx(theirs[figure], abs=1e-5), figure


@pytest.mark.parametrize("case", CASES)
def test_all_workers_end_in_the_same_weights(results, case):
    first, second = results(case)["workers"]
    assert same(first, second, 0.0)


def test_the_number_of_workers_does_not_change_how_photos_are_varied(results):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        alone, _ = learnt("varied", Workers())
    finally:
        dist.destroy_process_group()
    assert same(results("varied")["workers"][0], alone.state_dict(), 1e-5)


def test_batchnorm_of_each_worker_sees_its_own_photos_unless_asked_otherwise(results):
    """Close to the whole batch's, and not the same."""
    net, _ = learnt("own statistics")
    mine = results("own statistics")["workers"][0]
    assert not same(mine, net.state_dict(), 1e-4)
    assert same({k: v for k, v in mine.items() if "running_mean" in k},
                {k: v for k, v in net.state_dict().items() if "running_mean" in k}, 0.2)


def test_torchrun_trains_saves_and_resumes_from_the_terminal(tmp_path, capsys):
    data = tmp_path / "data"
    for part, count, seed in (("train", 20, 0), ("val", 7, 1)):
        photos = painted(count, seed)
        for i in range(count):
            photo, label = photos[i]
            (data / part / photos.classes[label]).mkdir(parents=True, exist_ok=True)
            photo.save(data / part / photos.classes[label] / f"{i}.png")
    common = ["resnet18", str(data), "--from-scratch", "--input-size", "3", "32", "32", "--augment", "none",
              "--device", "cpu", "--run-dir", str(tmp_path / "run")]
    ended = torchrun(2, "-m", "explorer.training", *common, "--batch-size", "4", "--epochs", "2")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch 1:") == 1 and ended.stdout.count("epoch 2:") == 1
    more = ["--batch-size", "8", "--epochs", "4", "--resume", "--save", str(tmp_path / "model")]
    assert main([*common, *more]) == 0
    said = capsys.readouterr().out
    assert "epoch 2:" not in said and "epoch 3:" in said and "epoch 4:" in said
    assert explorer.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).num_classes == 3


def test_a_mistake_in_the_terminal_is_a_sentence(capsys, tmp_path: Path):
    assert main(["resnet18", str(tmp_path / "nowhere"), "--from-scratch", "--device", "cpu"]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_without_ray_a_sentence_names_what_to_install(monkeypatch):
    from explorer import cluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'vision-explorer\[cluster\]'"):
        cluster.finetune("resnet18", "flowers5")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'vision-explorer\[cluster\]'"):
        cluster.predict("resnet18", "photos", output="answers")
