"""What a run does: prepare, then follow the loop, and keep and save on the way. All of it comes out as
events.

    for event in Training(model, splits, recipe).events(asked_to_stop):
        ...

It owns the model while it learns, its data, its state and the weights that are kept. Nobody writes into it;
one may ask it to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from explorer._threads import thread_count
from explorer.data.checks import without_broken
from explorer.data.places.place_set import AnySplits, PlaceSplits
from explorer.data.transforms import resolve_data_config
from explorer.display.words import counted
from explorer.inspection.look.faster import stand_in
from explorer.inspection.look.model import evaluating
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import read_outputs
from explorer.models.surgery.optimized import mostly_convolutions
from explorer.models.weights.report import LoadReport
from explorer.training.loop.aim import Aim
from explorer.training.loop.averages import averaged_model
from explorer.training.loop.errors import NoNumber
from explorer.training.loop.events import (
    Batch,
    Epoch,
    Event,
    Finished,
    Note,
    Progress,
    Saved,
    Started,
    Stopped,
)
from explorer.training.loop.features import Classifier, cache_features
from explorer.training.loop.loop import train
from explorer.training.loop.objective import Objective
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import FeatureSource, PhotoSource, Source
from explorer.training.loop.state import State
from explorer.training.loop.team import Alone, Team
from explorer.training.run import checkpoint
from explorer.training.run.checks import optimizer_for
from explorer.training.run.frozen import with_fast_frozen_part
from explorer.training.run.kept import FOLDER, KeptWeights, learning_names, put_into
from explorer.training.run.places import places_for
from explorer.training.run.plan import Plan
from explorer.training.run.waiting_photos import AskedToStop, opened_once

SEEN_ONCE = ("The body is frozen, so it looked at each photo once, as it is, and every epoch learns from "
             "what it saw. Augmented photos join in with views=2 or more, at that multiple of the time.")
NOT_CACHED = ("The classifier of this model needs more than one vector, so nothing can be cached: each epoch "
              "looks at every photo again.")


class Training:
    """A run's work. It goes on where it was when `events` is followed again after a stop.

    model, data, recipe: what learns, from what, and how;  kept: the weights by epoch
    state: where it is; None until it is prepared
    name: what the model says it was taught by
    """

    def __init__(self, model: VisionModel, data: AnySplits, recipe: Recipe, folder: Path | None = None, *,
                 resume: bool = False, team: Team | None = None, name: str = "run"):
        self.model, self.data, self.recipe, self.folder, self.name = model, data, recipe, folder, name
        self.team: Team = team or Alone()
        self.resume = resume and folder is not None and (folder / checkpoint.LAST).is_file()
        self.kept = KeptWeights(None if folder is None else folder / FOLDER)
        self.state: State | None = None
        self.objective: Aim | None = None
        self.source: Source | None = None
        self._names: dict[str, str] = {}  # of what learns, in the network and in the model
        self._learning = False

    @classmethod
    def of(cls, plan: Plan, *, team: Team | None = None) -> Training:
        """What was planned."""
        return cls(plan.net, plan.splits, plan.recipe, plan.folder, resume=plan.resume, team=team,
                   name=plan.name)

    def events(self, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """All events of one start."""
        self._learning = True
        try:
            with threads_for(self.recipe) as threads:
                if self.state is None:
                    yield from self.prepare(threads, asked_to_stop)
                else:
                    self.state.go_on()
                if self.state is None:  # asked to stop while preparing
                    yield Stopped(0, 0, "asked")
                else:
                    yield from self._learn(self.state, asked_to_stop)
        finally:
            self._learning = False

    @property
    def weights_now(self) -> Callable[[], dict[str, Tensor]] | None:
        """Gives a copy of what learns, as it is judged, on the CPU and named as in the model; None until
        there is something. Ask between two batches.
        """
        return None if self.state is None else self._weights

    def _learn(self, state: State, asked_to_stop: Callable[[], bool]) -> Iterator[Event]:
        """Follow the loop, keep the weights of each epoch, and save."""
        recipe, source = self.recipe, self.source
        learns = sum(p.numel() for p in state.network.parameters() if p.requires_grad)
        cached = isinstance(source, FeatureSource)
        yield Started(recipe.epochs, len(source), state.step, learns, cached, state.epoch, state.batch)
        ended = False
        try:
            for event in train(state, source, recipe, parameter_place(self.model), objective=self.objective,
                               asked_to_stop=asked_to_stop, team=self.team):
                if isinstance(event, Epoch):  # before anybody hears of it: whoever does may ask for it
                    yield from self._keep(event.epoch + 1, best=event.best)
                if isinstance(event, Finished | Stopped):
                    yield from self._save()
                    self._rest()
                    ended = isinstance(event, Finished)
                yield event
                due = isinstance(event, Batch) and recipe.save_every and event.batch % recipe.save_every == 0
                if isinstance(event, Epoch) or due:
                    yield from self._save()
        except Exception as error:  # such as a loss that is no number: what was learnt before it is not lost
            self._rest()
            if isinstance(error, NoNumber) and not state.best_weights:
                yield Note(self._begin_again())
            raise
        if ended:  # nothing goes on from here: photos and last weights may go
            source.close()
            self.source, state.last_weights = None, {}

    # --- before the first batch -------------------------------------------------------------------------

    def prepare(self, threads: int, asked_to_stop: Callable[[], bool]) -> Iterator[Event]:
        """Open the photos, cache what can be cached, and put the optimizer together. `state` stays None where
        it was asked to stop meanwhile.
        """
        began, recipe, model = time.perf_counter(), self.recipe, self.model
        if recipe.threads is not None and threads < recipe.threads:
            yield Note(f"threads={recipe.threads} is more than the {counted(threads, 'core')} that there are "
                       "here, which are used.")
        preparing = self._open_places if isinstance(self.data, PlaceSplits) else self._open_photos
        if not (yield from preparing(threads, asked_to_stop)):
            return
        network: nn.Module = Classifier(model) if isinstance(self.source, FeatureSource) else model
        self.state = self._state_of(network)
        plain = self.objective is not None and not self.objective.looks_inside
        alone = plain and self.team.world == 1 and recipe.precision == "float32"
        if isinstance(self.source, PhotoSource) and alone:
            self.state.through = with_fast_frozen_part(model)
        if self.team.writes:
            self.kept.forget(behind=self.state.epoch if self.resume else -1)
            self.kept.best = self.state.best_epoch + 1 or None
        if not self.resume:
            yield from self._keep(0)
        self.state.seconds += time.perf_counter() - began

    def _open_places(self, threads: int, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, bool]:
        """Open photos with boxes or masks, as small as the network sees them. False: asked to stop."""
        before = set(self.data.notes)
        looking = places_for(self.model, self.data, self.recipe, threads, asked_to_stop)
        while True:
            try:
                done, total = next(looking)
            except StopIteration as end:
                found = end.value
                break
            yield Progress("opening the photos", done, total)
        if found is None:
            return False
        self.data, self.source, self.objective = found
        yield from (Note(text) for text in self.data.notes if text not in before)
        return True

    def _open_photos(self, threads: int, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, bool]:
        """Open photos with classes or numbers, and cache what can be cached. False: asked to stop."""
        recipe, model, before = self.recipe, self.model, set(self.data.notes)
        try:
            # Of several processes none may stop here by itself.
            opened = opened_once(self.data, asked_to_stop=lambda: self.team.world == 1 and asked_to_stop())
            self.data = without_broken(opened)
        except AskedToStop:
            return False
        yield from (Note(text) for text in self.data.notes if text not in before)
        self.objective = Objective(read_outputs(model.config, model.num_classes), recipe.loss or "mse",
                                   recipe.label_smoothing, self._class_weights())
        if recipe.cached:
            self.source = yield from self._cached(threads, asked_to_stop)
            if self.source is not None:
                if recipe.view_count == 1 and recipe.augment != "none":
                    yield Note(SEEN_ONCE)
            elif self.team.any(asked_to_stop()):
                return False
            else:
                yield Note(NOT_CACHED)
        if self.source is None:
            if mostly_convolutions(model):  # twice as fast on a CPU; the numbers are the same
                model.to(memory_format=torch.channels_last)
            self.source = PhotoSource(self.data.train, self.data.val, resolve_data_config({}, model=model),
                                      recipe, self.objective, team=self.team, threads=threads)
        return True

    def _cached(self, threads: int, asked_to_stop: Callable[[], bool],
                ) -> Generator[Event, None, FeatureSource | None]:
        """What the frozen body sees of all photos; None as `cache_features` says."""
        model = self.model.eval()
        with evaluating(model):
            body = stand_in(model)
        config = resolve_data_config({}, model=model)
        looking = cache_features(model, body, self.data.train, self.data.val, config, self.recipe,
                                 self.objective, team=self.team, threads=threads,
                                 asked_to_stop=asked_to_stop)
        while True:
            try:
                done, total = next(looking)
            except StopIteration as end:
                return end.value
            yield Progress("looking at each photo once", done, total)

    def _state_of(self, network: nn.Module) -> State:
        """Where `network` begins, or where the folder says that it was."""
        recipe = self.recipe
        state = State(network, optimizer_for(self.model, network, recipe), averaged_model(network, recipe))
        if self.objective is not None and (beside := self.objective.beside) is not None:
            state.beside = beside
            state.optimizer.add_param_group({"params": [*beside.parameters()], "lr": recipe.rates[0],
                                             "weight_decay": recipe.decay})
        self._names = learning_names(self.model, network)
        # None: what a caller's own backward pass has left is no part of the first step.
        state.take_gradients_back()
        if self.resume:
            checkpoint.restore(self.folder, state)
        return state

    def _class_weights(self) -> Tensor | None:
        wanted, device = self.recipe.class_weights, parameter_place(self.model)["device"]
        if wanted is None:
            return None
        if isinstance(wanted, str):  # "balanced"
            counts = torch.tensor(list(self.data.train.counts().values()), dtype=torch.float32)
            return (counts.sum() / (len(counts) * counts.clamp(min=1))).to(device)
        return torch.tensor(wanted, device=device)

    # --- what stays -------------------------------------------------------------------------------------

    def _save(self) -> Iterator[Event]:
        """A checkpoint, where there is a folder; a full disk is a sentence, and the run goes on."""
        if self.folder is None:
            return
        self.team.average_statistics(self.state)
        if not self.team.writes:
            return
        try:
            path = checkpoint.save(self.folder, self.state)
        except OSError as error:
            yield Note("The checkpoint could not be written, and the run goes on; what was saved before is "
                       f"kept. {error}")
            return
        yield Saved(self.state.epoch, self.state.step, str(path))

    def _weights(self) -> dict[str, Tensor]:
        """A copy of what learns, as it is judged; behind the end as it is."""
        found = self.state.judged_weights() if self._learning else self.state.network.state_dict()
        return {self._names[key]: found[key].detach().to("cpu", copy=True) for key in self._names}

    def _keep(self, epoch: int, *, best: bool = False) -> Iterator[Event]:
        """The weights after `epoch` epochs, to come back to; a full disk is a sentence, and the run goes on.
        """
        if not self.team.writes:
            return
        if best:  # these are held anyway, for the end
            weights = {self._names[key]: self.state.best_weights[key] for key in self._names}
        else:
            weights = self._weights()
        try:
            self.kept.keep(epoch, weights, best=best)
        except OSError as error:
            yield Note(f"The weights after epoch {epoch} could not be kept to come back to, and the run goes "
                       f"on. {error}")

    def _rest(self) -> None:
        """The best epoch's weights into the model, for whoever uses it now; the last ones are kept to go on
        from.
        """
        state, model = self.state, self.model
        self._learning = False
        state.put_gradients_aside()
        if state.show_best():
            # whoever looks at it now reads what it has become, not that its classifier was fresh
            taught_by = f"the run {self.name}, epoch {state.best_epoch + 1} of {self.recipe.epochs}"
            model.load_report = LoadReport(taught_by, loaded=len(model.state_dict()))
        model.eval()

    def _begin_again(self) -> str:
        """The weights before the first epoch into a model whose own are broken; a sentence that says so."""
        try:
            put_into(self.model, self.kept.weights(0))
        except ValueError:  # too large to be kept beside those that learn
            return ("The model's weights are broken, and those that it began with were not kept: create it "
                    "again.")
        return "The model has the weights again that it began with."


@contextmanager
def threads_for(recipe: Recipe) -> Iterator[int]:
    """Torch's threads for this thread's work: all but one, which is left to the notebook and the browser."""
    before = torch.get_num_threads()
    count = thread_count(recipe.threads, before - 1)
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)
