"""What a move of a weight slider costs: an ensemble's answers to photos that its members have seen already.

    python tests/benchmarks/bench_weights.py                  # 1,000 photos, 1,000 classes, 3 members

Each move is another set of weights: the accuracy of the ensemble over all photos, and what it says of the one
on the screen; or the loss over all photos too. No network runs. Beside it the plain mean of stored
probabilities by numpy, which is the least that such a move can be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from turns import interleaved

from explorer.inspection.weighing.answers import MemberAnswers
from explorer.models.ensembles.combining import combine_scores
from explorer.models.outputs import Outputs


def answers(photos: int, classes: int, members: int, combine: str) -> MemberAnswers:
    draw = torch.Generator().manual_seed(0)
    truth = torch.randint(classes, (photos,), generator=draw)
    logits = 2 * torch.randn(members, photos, classes, generator=draw)
    logits[:, torch.arange(photos), truth] += 6
    return MemberAnswers(tuple("abcdefgh"[:members]), tuple(map(str, range(photos))), logits, truth,
                         Outputs("one", tuple(f"class {i}" for i in range(classes))), combine)


def moves(members: int) -> Callable[[], list[float]]:
    """Other weights at every call."""
    number = count()
    return lambda: [1 + (next(number) * 7 + i) % 10 for i in range(members)]


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    for name, default in (("photos", 1000), ("classes", 1000), ("members", 3), ("repeats", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    sides: dict[str, Callable[[], object]] = {}
    for combine in ("mean", "logits", "vote"):
        said, wanted = answers(asked.photos, asked.classes, asked.members, combine), moves(asked.members)

        def move(said: MemberAnswers = said, wanted: Callable[[], list[float]] = wanted) -> object:
            weights = wanted()
            one = combine_scores(list(said.logits[:, 0]), said.outputs, said.combine, torch.tensor(weights))
            return said.accuracy(weights), said.outputs.probabilities(one)

        def with_loss(said: MemberAnswers = said, wanted: Callable[[], list[float]] = wanted) -> object:
            weights = wanted()
            return said.accuracy(weights), said.loss(weights)

        sides[f"{combine}: accuracy, and the answer to one photo"] = move
        sides[f"{combine}: accuracy and loss"] = with_loss
    shares, truth = said.logits.softmax(-1).numpy(), said.truth.numpy()

    def plain() -> float:
        weights = np.array(wanted(), np.float32)
        mean = np.tensordot(weights / weights.sum(), shares, 1)
        return float((mean.argmax(-1) == truth).mean())

    sides["numpy, the mean of stored probabilities: accuracy"] = plain
    print(f"{asked.photos:,} photos, {asked.classes:,} classes, {asked.members} members, "
          f"{torch.get_num_threads()} threads: median milliseconds of a move")
    for name, seconds in interleaved(sides, asked.repeats).items():
        print(f"{1000 * seconds:8.1f}  {name}")


if __name__ == "__main__":
    main()
