"""What a run with a teacher does more than one without: it asks the teacher, once a photo where it can."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import torch
from torch import Tensor

from explorer.data.reading import photo_threads
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look.own_inputs import transform_for
from explorer.training.loop.events import Event, Note, Progress
from explorer.training.loop.features import FeatureSource
from explorer.training.loop.objective import Objective
from explorer.training.loop.sources import body_batches, prepared
from explorer.training.loop.taught import Lesson, TaughtObjective, ToldPhotos, with_told
from explorer.training.run.plan import Plan
from explorer.training.run.training import Training

EACH_VIEW = ("Photos are varied anew in each epoch, so the teacher looks at every one each time, at the very "
             "view that the student learns from. augment='none' asks it once a photo.")
TOO_MUCH = ("What is learnt from the teacher's maps takes {} MB for all photos, more than the {} MB that are "
            "kept, so the teacher looks at every photo in each epoch.")
ROOM = 512 * 1024**2  # bytes of what the teacher says that are kept


class TaughtTraining(Training):
    """A run's work with a teacher beside it. lesson: who teaches, and how he is listened to"""

    lesson: Lesson

    @classmethod
    def under(cls, plan: Plan, lesson: Lesson) -> TaughtTraining:
        """What was planned, with a teacher."""
        found = cls(plan.net, plan.splits, plan.recipe, plan.folder, resume=plan.resume, name=plan.name)
        found.lesson = lesson
        return found

    def _open_photos(self, threads: int, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, bool]:
        """As without a teacher; where each photo looks the same every time, the teacher is asked here."""
        if not (yield from super()._open_photos(threads, asked_to_stop)):
            return False
        recipe, source, plain, lesson = self.recipe, self.source, self.objective, self.lesson
        assert source is not None and isinstance(plain, Objective)
        config = resolve_data_config({}, model=self.model)
        same = recipe.augment == "none" and not (recipe.mixup or recipe.cutmix)
        once = isinstance(source, FeatureSource) or same
        yield from map(Note, pair_notes(lesson))
        too_much = 4 * lesson.width * len(self.data.train) > ROOM
        if once and lesson.inside is not None and too_much:
            once = False
            taken = round(4 * lesson.width * len(self.data.train) / 1024**2)
            yield Note(TOO_MUCH.format(taken, ROOM // 1024**2))
        elif lesson.asked and not once:
            yield Note(EACH_VIEW)
        if lesson.asked and once:
            said = yield from self._asked(plain, config, threads, asked_to_stop)
            if said is None:
                source.close()
                return False
            if isinstance(source, FeatureSource):
                source.labels = with_told(source.labels, said)
            else:
                source.close()
                self.source = ToldPhotos(self.data.train, self.data.val, config, recipe, plain, said=said,
                                         team=self.team, threads=threads)
        self.objective = TaughtObjective.of(plain, lesson, config, told=lesson.asked and once)
        return True

    def _asked(self, plain: Objective, config: Mapping[str, Any], threads: int,
               asked_to_stop: Callable[[], bool]) -> Generator[Event, None, Tensor | None]:
        """What the teacher says of each photo to learn from, [N, W] float32, each prepared as it wants it,
        or, where its maps are learnt from, as the student sees it; None: asked to stop. Raises ValueError
        for scores that are not finite.
        """
        photos, lesson, found, done = self.data.train, self.lesson, [], 0
        in_place = lesson.inside is not None  # what is where must be the same in both
        prepare = create_transform(**config) if in_place else transform_for(lesson.teacher)
        with photo_threads(max(threads, 1)) as pool:
            groups = body_batches(len(photos))
            for inputs, group in prepared(photos, prepare, pool, groups):
                if asked_to_stop():
                    return None
                said = lesson.says(lesson.seen(inputs, config) if in_place else inputs, plain).cpu()
                if not torch.isfinite(said).all():
                    raise ValueError(f"The scores of the teacher {lesson.name} are not finite, so its "
                                     "weights are broken: give another teacher.")
                found.append(said)
                done += len(group)
                yield Progress("asking the teacher about each photo", done, len(photos))
        return torch.cat(found)


def pair_notes(lesson: Lesson) -> list[str]:
    """Which stage learns from which, in a sentence."""
    if lesson.inside is None:
        return []
    pairs = ", ".join(f"{pair.student} from {pair.teacher}" for pair in lesson.inside.pairs)
    what = {"hints": "maps", "attention": "attention"}[lesson.inside.kind]
    return [f"Stages that learn from the teacher's {what}: {pairs}."]
