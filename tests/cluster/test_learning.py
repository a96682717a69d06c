"""`cluster.finetune`: events come back, a lost node is replaced, and the result is that of one process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from PIL import Image

import explorer
from explorer.cluster import learning
from explorer.training.loop.events import Batch, Event, Finished, Note, Saved, Started, Stopped
from explorer.training.run.run import Run
from tests.cluster.conftest import SIZE, Nodes, small_net
from tests.training.test_finetune import Splits, painted
from tests.training.test_identity import contents

SETTINGS = {"input_size": SIZE, "train": "all", "epochs": 30, "optimizer": "sgd", "lr": 0.02, "body_lr": 0.02,
            "save_every": 2, "class_weights": "balanced"}


@pytest.fixture(scope="module")
def colours() -> Splits:
    # The last batch of 8 has one photo: one of two workers has none.
    return Splits("colours", painted(25), painted(11, seed=1))


@dataclass
class Story:
    """What happened: a node lost after some steps, then a stop; and the folder that is left."""

    run: Run
    events: list[Event]
    saved_before_the_loss: int
    folder: Path


def held_while(hold: Path):
    """An augmentation that changes nothing, takes its time while there is a story, and waits while the file
    is there.
    """
    def unchanged(photo: Image.Image) -> Image.Image:
        if hold.with_name("slow").exists():
            time.sleep(0.01)
        while hold.exists():
            time.sleep(0.01)
        return photo
    return unchanged


@pytest.fixture(scope="module")
def story(nodes: Nodes, colours: Splits, tmp_path_factory) -> Story:
    from explorer import cluster

    base = tmp_path_factory.mktemp("learning")
    hold, events, saved = base / "hold", [], []
    nodes.with_another()
    (base / "slow").touch()

    def listen(event: Event) -> None:
        events.append(event)
        starts = sum(isinstance(e, Started) for e in events)
        if starts == 1 and isinstance(event, Saved) and event.step >= 6 and not saved:
            hold.touch()
            time.sleep(1.0)  # the workers come to a stand in their next batch
            saved.append(event.step)
            nodes.lose_the_other_at_work()
            hold.unlink()
        if starts == 2 and isinstance(event, Batch):
            run.stop(wait=False)

    run = cluster.finetune(small_net(), colours, workers=2, batch_size=4, augment=held_while(hold),
                           run_dir=base / "run", sync_batchnorm=True, on_event=listen, **SETTINGS)
    try:
        run.wait(timeout=180)
    finally:
        hold.unlink(missing_ok=True)
        run.stop()
        nodes.let_go()
        (base / "slow").unlink()
    return Story(run, events, saved[0], base / "run")


def test_a_lost_node_is_replaced_and_training_goes_on_from_the_checkpoint(story):
    first, second = [e for e in story.events if isinstance(e, Started)]
    assert first.step == 0 and second.step >= story.saved_before_the_loss >= 6
    last_save = [e.step for e in story.events[:story.events.index(second)] if isinstance(e, Saved)][-1]
    assert second.step == last_save
    assert any("worker was lost" in note for note in story.run.notes)


def test_the_run_tells_each_step_and_epoch_once(story):
    steps = [batch.step for batch in story.run.batches]
    assert steps == list(range(1, len(steps) + 1))
    assert [row["epoch"] for row in story.run.history] == list(range(len(story.run.history)))


def test_a_run_on_a_cluster_stops_when_asked(story):
    assert story.run.state == "stopped" and isinstance(story.events[-1], Stopped)
    after = story.events[story.events.index([e for e in story.events if isinstance(e, Started)][1]):]
    assert sum(isinstance(e, Batch) for e in after) < 40 < 30 * 4


def test_one_process_with_the_whole_batch_takes_over_and_ends_in_the_weights_of_an_unbroken_run(
        story, colours):
    alone = {"augment": held_while(story.folder.parent / "hold"), "batch_size": 8, "device": "cpu",
             "threads": 1, **SETTINGS}
    assert story.run.recipe.batch_size == 8
    resumed = explorer.finetune(small_net(1), colours, run_dir=story.folder, resume=True, **alone).wait()
    unbroken = explorer.finetune(small_net(), colours, **alone).wait()
    assert resumed.started.step == story.run.batches[-1].step > 6
    mine, theirs = resumed.model.state_dict(), unbroken.model.state_dict()
    for key in theirs:
        assert torch.allclose(mine[key], theirs[key], atol=1e-5), key
    losses, expected = ([row["val_loss"] for row in one.history] for one in (resumed, unbroken))
    assert losses == pytest.approx(expected, abs=1e-5)


def test_another_run_is_refused_before_a_worker_starts(story):
    """case A1, on a cluster: what differs is said at the call, and the folder stays as it is."""
    from explorer import cluster

    before = contents(story.folder)
    settings = {"workers": 2, "batch_size": 4, "sync_batchnorm": True, "run_dir": story.folder,
                "resume": True, **SETTINGS}
    for sentence, model, seed in (("the photos of "
                                   "'colours'", small_net(), 7), ("input channels 3, not "
                                                                  "1", small_net(in_chans=1), 0)):
        data = Splits("colours", painted(25, seed=seed), painted(11, seed=1))
        with pytest.raises(explorer.training.TrainingError, match=f"{sentence}.*Give another run_dir, or "
                                                                  "empty this one"):
            cluster.finetune(model, data, augment=held_while(story.folder.parent / "hold"), **settings)
    assert contents(story.folder) == before


class HereInPlaceOfRayTrain:
    """Starts one worker, in this process. It is not started again where it returns, as the one that was asked
    to stop, above, was not.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config

    def fit(self) -> None:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            for _ in range(2):  # where Ray Train does start all again, nothing is tried again either
                learning._work(self.config)
        finally:
            dist.destroy_process_group()


def test_a_sentence_of_the_training_reaches_the_notebook_and_nothing_is_tried_again(
        nodes, colours, monkeypatch):
    from explorer import cluster

    monkeypatch.setattr("ray.train.torch.TorchTrainer", lambda work, *, train_loop_config, **_:
                        HereInPlaceOfRayTrain(train_loop_config))
    monkeypatch.setattr("ray.train.torch.get_device", lambda: torch.device("cpu"))
    events = []
    run = cluster.finetune(small_net(), colours, workers=1, batch_size=8, on_event=events.append, train="all",
                           lr=1e30, epochs=1, input_size=SIZE, optimizer="sgd", schedule="constant",
                           warmup=0.0)
    with pytest.raises(explorer.training.TrainingError, match="tenth of the learning rate"):
        run.wait(timeout=120)
    assert sum(isinstance(e, Started) for e in events) == 1
    assert not any(isinstance(e, Finished) for e in events)
    assert run.state == "failed" and any(isinstance(e, Note) for e in events)


def test_too_many_workers_are_a_sentence(nodes, colours):
    from explorer import cluster

    with pytest.raises(RuntimeError, match="workers=|add nodes"):
        cluster.finetune(small_net(), colours, workers=50, input_size=SIZE)
    with pytest.raises(TypeError, match="no setting 'learning_rate'"):
        cluster.finetune(small_net(), colours, workers=1, learning_rate=0.1)
