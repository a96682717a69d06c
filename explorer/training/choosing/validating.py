"""`cross_validate`: a model judged by every photo of a data set, and by none that it has learnt from.

    found = explorer.cross_validate("tf_efficientnet_lite0", "my photos", folds=5)
    found.mean, found.spread, found.evaluation.confusion
    found.label_errors()                          # labels that are likely wrong

With few photos a held-out share is a matter of luck; five folds hold out each photo once. Behind a frozen
body that takes hardly longer than one run: it looks at each photo once for all folds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from explorer.arguments import checked, flag, whole, word
from explorer.models.contract import VisionModel
from explorer.training.choosing.cross_validation import CrossValidation, Fold
from explorer.training.choosing.fold_runs import FoldRun, asked, fold_runs, opened, recipe_of, run_once
from explorer.training.choosing.folds import fold_parts
from explorer.training.choosing.scored import put_together
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Epoch, Event

SPLITS = ("all", "train")
HELD = "held out to judge by"  # a share that nobody holds out here


@checked(folds=whole(2, 1000), repeats=whole(1, 1000), split=word, refit=flag, input_size=None, device=None)
def cross_validate(
    model: VisionModel | str, data: Any, *, folds: int = 5, repeats: int = 1, split: str = "all",
    seed: int = 0, refit: bool = False, pretrained: bool = True,
    input_size: tuple[int, int, int] | None = None, device: str | torch.device | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> CrossValidation:
    """Teach a copy of the model once for each fold, from all other photos, and judge it by the fold's.

    model:  a name or a model, which is not changed: every fold begins with a copy
    data:   whatever `finetune` takes. split: "all" of its photos, or those to learn from ("train")
    folds, repeats: every photo is judged once in each repeat; folds hold the same share of each class
            (several classes, ranges of numbers too), and files with the same contents stay together
    seed:   draws folds, fresh classifiers and the order; the next repeat has the next seed
    refit:  teach one more copy from all photos: `.model`
    settings: further ones of `finetune`: epochs, train, lr, augment, ... Early stopping (patience) is none of
            them: it would let the judged photos choose the epoch. The last epoch's weights are judged
    on_progress, should_stop: on_progress is called with (steps done, of how many); once should_stop says
            True, the folds that are whole are the result, and a note says so

    What comes back has the figure's `.mean` and `.spread` over the folds, and `.evaluation`: the answers to
    all photos, each by a model that has not learnt from it. `.label_errors()` finds labels that may be wrong.

    Raises as `finetune` does, and TrainingError that names a fold whose run fails or that was stopped before
    the first fold was whole.
    Source: M. Stone, Cross-Validatory Choice and Assessment of Statistical Predictions, 1974.
    """
    began = time.perf_counter()
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: expected one of {', '.join(SPLITS)}.")
    if settings.get("patience") is not None:
        raise ValueError(f"patience={settings['patience']!r} would let the judged photos choose the epoch, "
                         "and the figures would be too good: leave it out, and give epochs.")
    recipe = recipe_of({**settings, "seed": seed}, ("folds", "repeats", "split", "refit"))
    found = opened(data, split, recipe)
    photos, data_name, notes = found.photos, found.name, [one for one in found.notes if HELD not in one]
    parts = [fold_parts(photos, folds, seed + repeat) for repeat in range(repeats)]
    steps = _Steps(on_progress, recipe.epochs * (folds * repeats + bool(refit)),
                   len(photos) if recipe.cached else 0)
    it = asked(model, photos, data_name, pretrained=pretrained, input_size=input_size, device=device,
               settings={**settings, "seed": seed}, on_progress=steps.looked, should_stop=should_stop)
    done: list[FoldRun] = []
    for repeat, (places, more) in enumerate(parts):
        notes += more if repeat == 0 else []
        done += fold_runs(it, places, repeat=repeat, hear=steps.hear, should_stop=should_stop)
        if len(done) < (repeat + 1) * folds:
            break
    if not done:
        raise TrainingError("Stopped before the first fold was judged: there is no result yet.")
    if len(done) < folds * repeats:
        notes.append(f"Stopped after {len(done)} of {folds * repeats} folds: the figures are of these alone.")
    refitted = None
    if refit and len(done) == folds * repeats:
        last = run_once(it, range(len(photos)), done[0].places, hear=steps.hear, should_stop=should_stop)
        refitted = None if last.stopped else last.model
    first = [(run.places, run.result) for run in done if run.repeat == 0]
    result = put_together(first, it.photos, model_name=it.name, data_name=data_name, split="out-of-fold")
    return CrossValidation(
        it.name, data_name,
        tuple(Fold(run.number + 1, run.repeat + 1, run.learnt, run.result, run.history) for run in done),
        result, dict(settings), time.perf_counter() - began,
        tuple(dict.fromkeys((*it.notes, *notes, *done[0].notes))), refitted)


class _Steps:
    """Progress of the look at all photos, and of the epochs behind it, as one count."""

    def __init__(self, on_progress: Callable[[int, int], None] | None, epochs: int, photos: int):
        self.on_progress, self.total, self.photos, self.done = on_progress, epochs + photos, photos, 0

    def looked(self, done: int, _total: int) -> None:
        self._tell(done)

    def hear(self, event: Event) -> None:
        if isinstance(event, Epoch):
            self._tell(max(self.done, self.photos) + 1)

    def _tell(self, done: int) -> None:
        self.done = done
        if self.on_progress is not None:
            self.on_progress(done, self.total)
