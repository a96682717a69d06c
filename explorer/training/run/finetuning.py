"""`finetune`: a pretrained model learns your classes.

    run = finetune("tf_efficientnet_lite0", "flowers5", epochs=5)
    run.wait().best                               # {'val_top1': 0.9..., ...}
    run.save("my flowers")
    explorer.look(run.model, "a photo.jpg")

A run whose body is frozen (`train="head"`) lets the body look at each photo once, keeps what it saw, and
learns from that: minutes become seconds. The way from here: `plan` checks what was asked for, `head` gives
the model its classifier, `training` prepares and follows the loop (`explorer.training.loop.loop`), and `run`
listens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from explorer.arguments import checked, word
from explorer.models.contract import VisionModel
from explorer.training.loop.events import Event
from explorer.training.run.plan import Plan, make_plan
from explorer.training.run.register import RUNS
from explorer.training.run.run import Listener, Run, Work
from explorer.training.run.training import Training


@checked(name=word, batch_size=None, seed=None, device=None, input_size=None, on_event=None)
def finetune(
    model: VisionModel | str,
    data: Any,
    *,
    epochs: int = 3,
    train: str = "head",
    lr: float | None = None,
    body_lr: float | None = None,
    batch_size: int | None = None,
    optimizer: str = "adamw",
    schedule: str = "cosine",
    augment: str | Callable[..., Any] = "light",
    seed: int = 0,
    outputs: str | None = None,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
    pretrained: bool = True,
    backbone: str | None = None,
    input_size: tuple[int, int, int] | None = None,
    device: str | torch.device | None = None,
    name: str = "",
    **settings: Any,
) -> Run:
    """Teach a model the classes, the numbers, the boxes or the masks of a data set, in a thread of its own;
    returns at once.

    model:    a name, created with its trained weights (pretrained=False: from scratch), or a model, which is
              trained itself
    data:     whatever `explorer.data.open_data` takes: "flowers5", a folder of class folders, a pair of
              datasets, a table of files and numbers or labels. For a network that finds boxes or masks
              whatever `explorer.data.open_places` takes
    outputs:  "one" class, "yes/no" (of two classes, by one score), "several" classes at once, or "numbers",
              which are learnt standardised and told in their own unit; None: what the data has
    epochs, train, lr, body_lr, optimizer, schedule, augment, seed, and the further `settings`: see `Recipe`.
              Averaged weights are two of them: ema=0.99 (a moving mean of all steps), swa=0.25 (the mean of
              the last quarter of the epochs, with BatchNorm's statistics taken anew)
    batch_size: None: 32, of boxes and masks 8
    backbone: of a name for boxes or masks: another backbone than its own, by name; what is trained then are
              that one's weights
    run_dir:  a folder for checkpoints and history;  resume: go on from what is in it
    on_event: called with each event (see `explorer.training.loop.events`) in the run's thread
    input_size: (channels, height, width) that photos are prepared for, where not the model's own
    device:   where to train; by default where the model is, for a name the GPU if there is one

    Raises ValueError for settings that can't be, DataError for data that can't be learnt from, WeightsError
    where weights can't be had, TrainingError for a run_dir that holds another run and for a model that
    another run is teaching, DiskError for a run_dir that can't be written. What goes wrong later is raised by
    `run.wait()`.
    """
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event is {on_event!r}: give a function of one event, such as "
                        "explorer.training.print_progress().")
    plan = make_plan(model, data, epochs=epochs, train=train, lr=lr, body_lr=body_lr, batch_size=batch_size,
                     optimizer=optimizer, schedule=schedule, augment=augment, seed=seed, outputs=outputs,
                     run_dir=run_dir, resume=resume, pretrained=pretrained, backbone=backbone,
                     input_size=input_size, device=device, name=name, **settings)
    return launch(plan, lambda: Training.of(plan), [on_event] if on_event else [])


def launch(plan: Plan, work: Callable[[], Work], listeners: Sequence[Listener] = (), *,
           writes: bool = True) -> Run:
    """Start a run that was planned. What it has claimed is given back when it ends, or where it can't begin.

    work: gives what the run's thread follows;  writes: False for all but one of several processes
    """
    try:
        folder = plan.folder if writes else None
        run = Run(work(), folder=folder, name=plan.name, listeners=listeners, claim=plan.claim,
                  taught_by=plan.taught_by)
        RUNS.add(run)
        run.start()
    except BaseException:
        plan.claim.release()
        raise
    RUNS.tell(run)
    return run
