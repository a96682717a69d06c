"""`vision-explorer finetune`: teach a model the classes, numbers, boxes or masks of one's own photos."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from explorer.cli.given import DEFAULT_MODEL, check_model_name, data_of, is_folder, typed_count, typed_path
from explorer.cli.printing import PROGRAM, CommandError, complain, printable
from explorer.files import given_path

FINER = (  # further settings of a recipe: (name, kind, what it does)
    ("label-smoothing", float, "share of certainty that is taken from the labels, such as 0.1"),
    ("mixup", float, "blend photos in pairs, such as 0.2; not with cached features"),
    ("loss", str, "of numbers: mse, l1 or huber (default: mse); of masks ce, dice, focal or a sum such as "
                  "ce+dice (the default)"),
    ("cutmix", float, "cut photos together in pairs, such as 1.0; not with cached features"),
    ("weight-decay", float, "pull of all weights towards 0, such as 0.01"),
    ("layer-decay", float, "each layer further from the head learns at this share of the next one's rate"),
    ("clip", float, "the largest norm of a gradient, such as 1.0"),
    ("ema", float, "average the weights with this decay, such as 0.99"),
    ("swa", float, "average the weights of the last epochs, this share of them, such as 0.25"),
    ("swa-rate", str, "the rate meanwhile: constant or cyclic (default: constant)"),
    ("accumulate", int, "batches a step of the optimizer"),
    ("views", int, "with --train head: variants of each photo that are looked at (default: 1)"),
    ("rounds", int, "with --train head: how often an epoch goes over the features (default: to 40 batches)"),
    ("precision", str, "bfloat16: faster on many GPUs"),
    ("save-every", int, "a checkpoint after so many batches too"),
    ("threads", int, "CPU threads (default: all but one)"),
)


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    tune = commands.add_parser(
        "finetune", parents=[every], help="teach a model your classes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{PROGRAM} finetune MODEL DATA [options]",
        description="Teach a model the classes of your photos, or what is where in them.\n"
        "Ctrl-C stops after the batch, saves, and says how to go on.",
        epilog="examples:\n"
        f"  {PROGRAM} finetune {DEFAULT_MODEL} flowers5 --epochs 5 --save my-flowers\n"
        f"  {PROGRAM} finetune resnet50 photos/ --train all --epochs 20 --patience 5\n"
        f"  {PROGRAM} finetune unet cells/ --backbone {DEFAULT_MODEL} --size 256 --train all --epochs 20")
    add = tune.add_argument
    add("model", metavar="MODEL", help="a name, see `list`; or the folder of a model that you trained")
    add("data", metavar="DATA",
        help="a folder with a folder of photos for each class, with or without train/ and val/ above them; "
             "or a table (CSV) of files and numbers or labels; or flowers5 (bundled), or cifar10; for "
             "a network for boxes or masks: a folder of COCO, YOLO or VOC, or of images/ and masks/")

    add = tune.add_argument_group("what learns").add_argument
    add("--outputs", metavar="KIND",
        help="one (class), yes/no, several (classes at once) or numbers (default: what the data has)")
    add("--target", metavar="COLUMN", action="append",
        help="of a table: the column to learn; more than once for several numbers (default: a column called "
             "label, else all columns of numbers)")
    add("--epochs", type=typed_count, default=3, metavar="N",
        help="how often every photo is seen (default: 3)")
    add("--train", default="head", metavar="PART",
        help="head (the classifier alone: seconds; of boxes and masks all but the backbone), last_stage, or "
             "all (default: head)")
    add("--from-scratch", action="store_true", help="begin with random weights, not with trained ones")
    add("--backbone", metavar="NAME", help="of a network for boxes or masks: another backbone than its own")
    add("--size", type=typed_count, metavar="PIXELS",
        help="the side of the photos, where not the model's own")

    add = tune.add_argument_group("how it learns").add_argument
    add("--batch-size", type=typed_count, metavar="N",
        help="photos a batch (default: 32; of boxes and masks 8)")
    add("--lr", type=float, metavar="RATE", help="learning rate of the classifier (default: one that suits)")
    add("--body-lr", type=float, metavar="RATE", help="that of the body, where it learns (default: a tenth)")
    add("--optimizer", default="adamw", metavar="NAME",
        help="adamw, adam, sgd, or another of torch.optim (default: adamw)")
    add("--schedule", default="cosine", metavar="NAME",
        help="constant, step, cosine or one_cycle (default: cosine)")
    add("--augment", default="light", metavar="NAME",
        help="how photos are varied: none, light, standard, strong or cifar (default: light)")
    add("--balance", action="store_true", help="rare classes weigh more: all classes count alike")
    add("--patience", type=typed_count, metavar="N", help="stop after N epochs without a better one")
    add("--seed", type=int, default=0, metavar="N",
        help="draws the held-out photos, their order and variants (default: 0)")

    add = tune.add_argument_group("finer settings").add_argument
    for name, kind, sentence in FINER:
        metavar = {float: "X", int: "N", str: "NAME"}[kind]
        add(f"--{name}", type=typed_count if kind is int else kind, metavar=metavar, help=sentence)
    add("--no-cache", action="store_true", help="with --train head: look at every photo anew in each epoch")
    add("--device", metavar="NAME", help="such as cpu or cuda:1 (default: the GPU if there is one)")

    add = tune.add_argument_group("what is kept").add_argument
    add("--run-dir", type=typed_path, metavar="FOLDER",
        help="checkpoints and history (default: runs/MODEL-DATA, with a number where it is taken)")
    add("--resume", action="store_true", help="go on with the run in --run-dir, with the settings it had")
    add("--save", type=typed_path, metavar="FOLDER",
        help="the trained model for everyday use: safetensors, labels, card")
    add("--tensorboard", type=typed_path, metavar="FOLDER", help="curves for TensorBoard")
    add("--json", action="store_true", help="history and best epoch as JSON")
    tune.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    from explorer.training.run.finetuning import finetune
    from explorer.training.run.listeners import TensorBoardListener, print_progress

    if args.resume and args.run_dir is None:
        raise CommandError("Which run should go on? Name its folder with --run-dir.")
    if args.save is not None:
        _check_free(args.save)
    wanted = [name.replace("-", "_") for name, _, _ in FINER] + ["patience"]
    settings = {name: getattr(args, name) for name in wanted if getattr(args, name) is not None}
    if args.balance:
        settings["class_weights"] = "balanced"
    if args.no_cache:
        settings["cache"] = False
    data = data_of(args, args.outputs)
    listeners = [print_progress()]
    if args.tensorboard is not None:
        listeners.append(TensorBoardListener(args.tensorboard))
    model = _model_to_teach(args.model)
    folder = args.run_dir or _free_run_dir(args.model, args.data)
    run = finetune(
        model, data, outputs=args.outputs, epochs=args.epochs, train=args.train, lr=args.lr,
        body_lr=args.body_lr,
        batch_size=args.batch_size, optimizer=args.optimizer, schedule=args.schedule, augment=args.augment,
        seed=args.seed, run_dir=folder, resume=args.resume, pretrained=not args.from_scratch,
        backbone=args.backbone,
        input_size=None if args.size is None else (3, args.size, args.size), device=args.device,
        on_event=lambda event: [listener(event) for listener in listeners], **settings)
    asked = _wait(run)

    saved = None
    if not asked and args.save is not None:
        saved = str(run.save(args.save))
    if args.json:
        print(json.dumps({
            "name": run.name, "model": args.model, "data": args.data, "state": run.state,
            "labels": run.labels, "recipe": run.recipe.as_dict(), "history": run.history, "best": run.best,
            "notes": run.notes, "run_dir": str(folder), "saved": saved}, indent=1))
    elif run.best is not None:
        from explorer.training.loop.measures import TOP1, best_text, measure_of

        figure, photos = best_text(run), f"{len(run.data.val)} photos"
        said = f"{figure} of {photos} right" if measure_of(run) is TOP1 else f"{figure} over {photos}"
        print(f"Best epoch {run.best['epoch'] + 1} of {run.recipe.epochs}: {said}, loss "
              f"{run.best['val_loss']:.3f}.")
    if asked:
        complain(f"Stopped. To go on: {_resume_command(args.words, folder)}")
        return 130
    if not args.json:
        where = saved or str(folder)
        judge = shlex.join([PROGRAM, "evaluate", where, args.data,
                            *(f"--target={name}" for name in args.target or ())])
        print(printable(f"The model is in {where}. Judge it: {judge}"))
    return 0


def _wait(run: Any) -> bool:
    """Wait until the run has ended; True if a person ended it.

    Ctrl-C stops it after the batch; a second one is not so patient.
    """
    asked = []

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, before[number])
        asked.append(number)
        run.stop(wait=False)
        complain("stopping after this batch ...")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while run.running:
            with suppress(TimeoutError):
                run.wait(0.5)  # in short turns: Windows hears no Ctrl-C in a long one
        run.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return bool(asked) and run.state == "stopped"


def _model_to_teach(text: str) -> Any:
    """A name as it is; of a folder the model in it."""
    if not is_folder(text):
        check_model_name(text)  # before a folder is made for its run
        return text
    folder = given_path(text, "the model")
    if (folder / "config.json").is_file():
        return f"local-dir:{folder.resolve()}"
    from explorer.training.run.loading import load_run

    return load_run(folder).model


def _free_run_dir(model: str, data: str) -> Path:
    """runs/MODEL-DATA, or the first of runs/MODEL-DATA-2, -3, ... that holds no run."""
    parts = [re.sub(r"[^\w.-]+", "-", Path(text).name or text).strip("-.") for text in (model, data)]
    wanted = Path("runs", "-".join(filter(None, parts)) or "run")
    folder, number = wanted, 1
    while (folder / "history.jsonl").exists() or (folder / "last.pt").exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def _check_free(folder: Path) -> None:
    """What would stop `Run.save` is said before an hour of training, not after it."""
    from explorer.training.run.saving import check_free

    try:
        check_free(folder)
    except FileExistsError as error:
        raise CommandError(f"--save: {error}") from None


def _resume_command(words: Sequence[str], folder: Path) -> str:
    """The command that was typed, with --run-dir and --resume."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--run-dir":
            skip = True
        elif not word.startswith("--run-dir=") and word != "--resume":
            kept.append(word)
    return printable(shlex.join([PROGRAM, *kept, "--run-dir", str(folder), "--resume"]))
