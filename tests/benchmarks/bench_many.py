"""What several models gain over one: every way of explorer's to join them, on flowers5, held against the
best member.

    python tests/benchmarks/bench_many.py                            # everything
    python tests/benchmarks/bench_many.py --seeds 0 --photos few --steps members --kept FOLDER
    python tests/benchmarks/bench_many.py --steps table --kept FOLDER       # what lies there, as a table

The members are tf_efficientnet_lite0, 1 and 2 with their ImageNet weights, which stay, and a head of their
own each, trained by `blend`. The 500 photos fall into three parts of each class, and seeds 0, 1 and 2 test by
one of them each: no photo is tested twice, and no test photo chooses anything. Of the others `blend` draws
30 % to validate by (weights, the meta learner, temperature, the best member, a run's best epoch), the rest is
learnt from. `few` takes 30 of them a class: 21 to learn from, 9 to validate by.

Each step keeps its answers in `--kept`, and is not done again. What the frozen bodies see of a photo is kept
there too (`remembered`), below explorer, which would look some twenty times; the numbers are the same.
Intervals are of paired bootstraps of the 500 photos; NLL is the mean negative log-likelihood of the right
class, in nats.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

import explorer  # noqa: E402
from explorer.data.datasets import open_data  # noqa: E402
from explorer.data.photo_sets import PhotoSet, joined  # noqa: E402
from explorer.models.backbones.efficientnet import EfficientNet  # noqa: E402

MEMBERS = tuple(f"tf_efficientnet_lite{i}" for i in range(3))
STUDENT = MEMBERS[0]
PARTS, SHARE, EPOCHS = 3, 0.3, 5
PHOTOS = {"all": None, "few": 30}  # a class, to learn from and to validate by
DRAWS = 10_000
Answers = dict[str, explorer.Evaluation]


def parts_of(seed: int, photos: str) -> tuple[PhotoSet, PhotoSet]:
    """(the photos to learn from and to validate by, those to test by), of parts that all seeds share."""
    splits = open_data("flowers5")
    whole = joined(splits.train, splits.val)
    by_class = [[i for i, label in enumerate(whole.labels) if label == k] for k in range(len(whole.classes))]
    for places in by_class:
        random.Random(0).shuffle(places)
    test = {i for places in by_class for i in places[seed % PARTS::PARTS]}
    rest = [[i for i in places if i not in test][:PHOTOS[photos]] for places in by_class]
    return whole.subset(sorted(i for places in rest for i in places)), whole.subset(sorted(test))


class Turn:
    """One seed and one amount of photos: what its steps know of each other, and where they keep it."""

    def __init__(self, kept: Path, seed: int, photos: str):
        self.folder, self.seed = kept / f"{photos}-{seed}", seed
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known, self.test = parts_of(seed, photos)

    def split(self) -> tuple[PhotoSet, PhotoSet]:
        """(learn, validate), as `blend` drew them."""
        held = set((self.folder / "validate.txt").read_text().splitlines())
        sides = ([i for i, name in enumerate(self.known.names) if (name in held) == side]
                 for side in (False, True))
        return tuple(self.known.subset(side) for side in sides)

    def keep(self, step: str, answers: Answers) -> None:
        torch.save({name: {key: getattr(one, key) for key in ("classes", "probabilities", "labels", "losses",
                                                              "names")}
                    for name, one in answers.items()}, self.folder / f"{step}.pt")

    def answers(self) -> Answers:
        """Everything that is kept of this turn."""
        found = {}
        for step in STEPS:
            if (file := self.folder / f"{step}.pt").is_file():
                found |= torch.load(file)
        return {name: explorer.Evaluation(**facts, model_name=name) for name, facts in found.items()}

    def judge(self, model: Any) -> explorer.Evaluation:
        return explorer.evaluate(model, self.test)


def short(name: str) -> str:
    return name.removeprefix("tf_efficientnet_")


def members(turn: Turn) -> Answers:
    """`blend` teaches the members; their mean, fitted weights and temperatures come from it."""
    blended = explorer.blend(MEMBERS, (turn.known, turn.test), share=SHARE, epochs=EPOCHS, seed=turn.seed)
    validated = blended.out_of_fold
    validate = validated[MEMBERS[0]].data
    (turn.folder / "validate.txt").write_text("\n".join(validate.names))
    best = max(MEMBERS, key=lambda name: (validated[name].top1, -validated[name].loss))
    found = {short(name): blended.alone[name] for name in MEMBERS}
    found |= {"best member": blended.alone[best], "mean": blended.mean, "blend": blended.evaluation}
    team = explorer.Ensemble(blended.members)
    team.save(turn.folder / "team")
    found["best member, calibrated"] = explorer.calibrate(validated[best], blended.alone[best]).after
    fit = explorer.fit_weights(team, validate, cache_dir=turn.folder / "cache")
    print(fit)
    found["fitted weights"] = turn.judge(team)
    mean = replace(validated[best], probabilities=fit.answers.probabilities().float(),
                   losses=-fit.answers.probabilities().log().gather(1, fit.answers.truth[:, None])[:, 0])
    found["mean, calibrated"] = explorer.calibrate(mean, blended.mean).after
    return found


def stack(turn: Turn) -> Answers:
    """`stack` needs no validation photos of its own: it learns from all, and so do members beside it."""
    stacked = explorer.stack(MEMBERS, (turn.known, turn.test), epochs=EPOCHS, seed=turn.seed)
    found = {f"{short(name)}, validation photos too": stacked.alone[name] for name in MEMBERS}
    return found | {"mean, validation photos too": stacked.mean, "stack": stacked.evaluation}


def fuse(turn: Turn) -> Answers:
    fused = explorer.fuse_features(MEMBERS)
    run = explorer.finetune(fused, turn.split(), epochs=EPOCHS, seed=turn.seed).wait()
    return {"fuse_features": turn.judge(run.model)}


def soups(turn: Turn) -> Answers:
    """Heads of one body that differ in their seeds: the fresh head, and the order of the photos."""
    split = turn.split()
    seeds = [turn.seed + 100 * i for i in range(3)]
    runs = [explorer.finetune(STUDENT, split, epochs=EPOCHS, seed=seed).wait() for seed in seeds]
    models = {f"seed {seed}": run.model for seed, run in zip(seeds, runs)}
    return {"lite0 by finetune": turn.judge(models[f"seed {turn.seed}"]),
            "soup, uniform": turn.judge(explorer.soup(models)),
            "soup, greedy": turn.judge(explorer.soup(models, data=split[1]))}


def distilled(turn: Turn) -> Answers:
    """The members together teach a fresh head of lite0; `lite0 by finetune` is the same without a teacher."""
    team = explorer.create_model(f"local-dir:{turn.folder / 'team'}", pretrained=True).eval()
    team.set_weights(None)
    run = explorer.distill(STUDENT, team, turn.split(), epochs=EPOCHS, seed=turn.seed).wait()
    return {"distilled lite0": turn.judge(run.model)}


STEPS: dict[str, Callable[[Turn], Answers]] = {
    "members": members, "stack": stack, "fuse": fuse, "soups": soups, "distilled": distilled}


def last_of(way: Generator[torch.Tensor, None, torch.Tensor]) -> torch.Tensor:
    """What a generator returns."""
    while True:
        try:
            next(way)
        except StopIteration as end:
            return end.value


@contextmanager
def remembered(folder: Path) -> Iterator[None]:
    """What a frozen body has seen of a photo is read from `folder`, a file a photo."""
    looking = EfficientNet.forward_stages

    def forward_stages(self: EfficientNet, x: torch.Tensor) -> Generator[torch.Tensor, None, torch.Tensor]:
        if self.training or torch.is_grad_enabled():
            return (yield from looking(self, x))
        marks = [hashlib.sha256(photo.contiguous().numpy().tobytes()).hexdigest()[:32] for photo in x]
        files = [folder / f"{x.shape[-1]}-{mark}.npy" for mark in marks]
        if new := [i for i, file in enumerate(files) if not file.is_file()]:
            for i, features in zip(new, last_of(looking(self, x[new]))):
                np.save(files[i], features.numpy())
        for _ in self.stages:  # whose maps nobody reads here
            yield x.new_zeros(len(x), 1, 1, 1)
        return torch.stack([torch.from_numpy(np.load(file)) for file in files])

    EfficientNet.forward_stages = forward_stages
    try:
        yield
    finally:
        EfficientNet.forward_stages = looking


# --- the table --------------------------------------------------------------------------------------------


def pooled(name: str, several: Sequence[explorer.Evaluation]) -> explorer.Evaluation:
    """The tests of all seeds as one: no photo is in two of them."""
    columns = {key: torch.cat([getattr(one, key) for one in several])
               for key in ("probabilities", "labels", "losses")}
    return explorer.Evaluation(classes=several[0].classes, model_name=name,
                               names=tuple(photo for one in several for photo in one.names), **columns)


def loss_gain(first: explorer.Evaluation, second: explorer.Evaluation) -> str:
    """Second minus first, and its 95 % interval: a paired bootstrap."""
    gains = (second.losses - first.losses).double().numpy()
    chosen = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    low, high = np.quantile(gains[chosen].mean(1), (0.025, 0.975))
    return f"{gains.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def spread(values: Sequence[float], pattern: str) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{pattern}} ± {sd:{pattern}}"


def table(turns: Sequence[Turn]) -> None:
    """A row a method that every turn has: against the member that was best on the validation photos."""
    by_turn = [turn.answers() for turn in turns]
    names = [name for name in by_turn[0] if all(name in answers for answers in by_turn)]
    if "best member" not in names:
        print("nothing is kept of the step 'members'")
        return
    best = pooled("best member", [answers["best member"] for answers in by_turn])
    print(f"{len(best)} test photos, {len(turns)} seeds\n")
    print("| | right, % | NLL | ECE, % | right against the best member, points | p | NLL against it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        several = [answers[name] for answers in by_turn]
        all_of = pooled(name, several)
        test = explorer.differ(best, all_of, draws=DRAWS)
        gain = " ".join(f"{100 * value:+.1f}" for value in (test.difference.value,))
        between = f"[{100 * test.difference.low:+.1f}, {100 * test.difference.high:+.1f}]"
        row = [name, spread([100 * one.top1 for one in several], ".1f"),
               spread([one.loss for one in several], ".3f"), f"{100 * all_of.calibration.error:.1f}"]
        row += ["", "", ""] if name == "best member" else [
            f"{gain} {between}", f"{test.test.exact:.2f}", loss_gain(best, all_of)]
        print(f"| {' | '.join(row)} |")
    print()
    for first, second in (("mean", "mean, validation photos too"), ("mean", "fitted weights"),
                          ("mean, validation photos too", "stack"), ("lite0 by finetune", "soup, uniform"),
                          ("lite0 by finetune", "distilled lite0")):
        if first in names and second in names:
            a, b = (pooled(name, [answers[name] for answers in by_turn]) for name in (first, second))
            print(explorer.differ(a, b, draws=DRAWS).sentence, "NLL", loss_gain(a, b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0].replace("\n", " "))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], choices=range(PARTS))
    parser.add_argument("--photos", choices=PHOTOS, nargs="+", default=list(PHOTOS))
    parser.add_argument("--steps", choices=[*STEPS, "table"], nargs="+", default=[*STEPS, "table"])
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "explorer-bench-many")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}; in {options.kept}")
    bodies = options.kept / "bodies"  # the three differ in their input size
    bodies.mkdir(parents=True, exist_ok=True)
    for photos in options.photos:
        turns = [Turn(options.kept, seed, photos) for seed in options.seeds]
        for turn in turns:
            for step in options.steps:
                if step == "table" or (turn.folder / f"{step}.pt").is_file():
                    continue
                start = time.perf_counter()
                with remembered(bodies):
                    turn.keep(step, STEPS[step](turn))
                print(f"{photos}, seed {turn.seed}, {step}: {time.perf_counter() - start:.0f} s", flush=True)
        if "table" in options.steps:
            print(f"\n{photos}: {len(turns[0].known)} photos to learn from and to validate by")
            table(turns)


if __name__ == "__main__":
    main()
