"""What a run with a teacher does more than one without: it asks the teacher, once a photo where it can."""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch
from torch import Tensor

from explorer.data.reading import photo_threads
from explorer.data.transforms import resolve_data_config
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
        recipe, source, plain = self.recipe, self.source, self.objective
        assert source is not None and isinstance(plain, Objective)
        config = resolve_data_config({}, model=self.model)
        same = recipe.augment == "none" and not (recipe.mixup or recipe.cutmix)
        once = isinstance(source, FeatureSource) or same
        if self.lesson.alpha and once:
            said = yield from self._asked(threads, asked_to_stop)
            if said is None:
                source.close()
                return False
            if isinstance(source, FeatureSource):
                source.labels = with_told(source.labels, said)
            else:
                source.close()
                self.source = ToldPhotos(self.data.train, self.data.val, config, recipe, plain, said=said,
                                         team=self.team, threads=threads)
        elif self.lesson.alpha:
            yield Note(EACH_VIEW)
        self.objective = TaughtObjective.of(plain, self.lesson, config, told=bool(self.lesson.alpha and once))
        return True

    def _asked(self, threads: int, asked_to_stop: Callable[[], bool],
               ) -> Generator[Event, None, Tensor | None]:
        """What the teacher says of each photo to learn from, [N, K] float32, each prepared as it wants it;
        None: asked to stop. Raises ValueError for scores that are not finite.
        """
        photos, found, done = self.data.train, [], 0
        with photo_threads(max(threads, 1)) as pool:
            groups = body_batches(len(photos))
            for inputs, group in prepared(photos, transform_for(self.lesson.teacher), pool, groups):
                if asked_to_stop():
                    return None
                scores = self.lesson.scores(inputs).cpu()
                if not torch.isfinite(scores).all():
                    raise ValueError(f"The scores of the teacher {self.lesson.name} are not finite, so its "
                                     "weights are broken: give another teacher.")
                found.append(scores)
                done += len(group)
                yield Progress("asking the teacher about each photo", done, len(photos))
        return torch.cat(found)
