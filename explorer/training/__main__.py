"""`python -m explorer.training MODEL DATA ...`: training from a terminal, alone or under torchrun.

    torchrun --nproc-per-node 2 -m explorer.training resnet50 photos/ --train all --batch-size 64

Under torchrun every process learns from its share: `--batch-size` photos each make one step.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from explorer.models.outputs import KINDS
from explorer.training.loop.augmentation import AUGMENTATIONS
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Epoch, Event, Note
from explorer.training.loop.recipe import LOSS_NAMES, TRAIN
from explorer.training.loop.schedules import SCHEDULES
from explorer.training.loop.team import Alone, Team
from explorer.training.run.finetuning import launch
from explorer.training.run.plan import make_plan
from explorer.training.run.training import Training


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m explorer.training",
                                    description="A model learns your classes.")
    found.add_argument("model", help="a name, such as resnet50")
    found.add_argument("data", help="a folder of class folders, a table of files and numbers or labels, "
                                     "flowers5 or cifar10")
    found.add_argument("--outputs", choices=list(KINDS),
                        help="what the answers are; by default what the data has")
    found.add_argument("--loss", choices=LOSS_NAMES, help="of numbers; by default mse")
    found.add_argument("--epochs", type=int, default=3)
    found.add_argument("--train", choices=list(TRAIN), default="head")
    found.add_argument("--lr", type=float, help="learning rate of the classifier")
    found.add_argument("--body-lr", type=float, help="learning rate of the body")
    found.add_argument("--batch-size", type=int, default=32, help="photos of one process")
    found.add_argument("--accumulate", type=int, default=1, help="batches that make one step")
    found.add_argument("--optimizer", default="adamw")
    found.add_argument("--schedule", choices=SCHEDULES, default="cosine")
    found.add_argument("--augment", choices=list(AUGMENTATIONS), default="light")
    found.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--save-every", type=int, help="a checkpoint after so many batches too")
    found.add_argument("--input-size", type=int, nargs=3, metavar=("C", "H", "W"))
    found.add_argument("--from-scratch", dest="pretrained", action="store_false",
                        help="without trained weights")
    found.add_argument("--run-dir", help="a folder for checkpoints and history, which all processes see")
    found.add_argument("--resume", action="store_true", help="go on from what is in --run-dir")
    found.add_argument("--device", help="cpu, or cuda; by default the GPU if there is one")
    found.add_argument("--sync-batchnorm", action="store_true", help="BatchNorm sees the photos of all "
                                                                     "processes")
    found.add_argument("--save", metavar="FOLDER", help="write the trained model here")
    return found


def show(event: Event) -> None:
    """An epoch, or a note, as a line."""
    if isinstance(event, Epoch):
        figure = getattr(event, event.measure.judged)
        print(f"epoch {event.epoch + 1}: loss {event.loss:.4f}, judged: loss {event.val_loss:.4f}, "
              f"{event.measure.says(figure)} ({event.seconds:.0f} s)", flush=True)
    elif isinstance(event, Note):
        print(event.text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and say how it goes; the exit code."""
    options = vars(parser().parse_args(arguments))
    save, sync = options.pop("save"), options.pop("sync_batchnorm")
    options["input_size"] = options["input_size"] and tuple(options["input_size"])
    try:
        with joined(options, sync) as team:
            plan = make_plan(**options, workers=team.world, writes=team.writes)
            listeners = [show] if team.writes else []
            run = launch(plan, lambda: Training.of(plan, team=team), listeners, writes=team.writes)
            run.wait()
            if save and team.writes:
                print(f"Saved in '{run.save(save)}'.", flush=True)
    except (ValueError, TypeError, TrainingError, OSError) as error:
        print(f"{parser().prog}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


@contextmanager
def joined(options: dict[str, Any], sync_batchnorm: bool) -> Iterator[Team]:
    """The team that torchrun has started, each on a GPU of its own, or this process alone: for the `with`
    block.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Alone()
        return
    import torch.distributed as dist

    from explorer.training.loop.workers import Workers

    on_gpu = options["device"] != "cpu" and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    options["device"] = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else "cpu"
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Workers(sync_batchnorm=sync_batchnorm, device=options["device"])
        dist.barrier()  # nobody leaves while another one still speaks
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
