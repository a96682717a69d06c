"""`vision-explorer evaluate`: how good a model is, and where it errs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from explorer.cli.given import check_model_name, data_of, is_folder, typed_count, typed_path
from explorer.cli.printing import PROGRAM, CommandError, bar, complain, printable


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    judge = commands.add_parser(
        "evaluate", parents=[every], help="say how good a model is, and where it errs",
        usage=f"{PROGRAM} evaluate MODEL DATA [options]",
        description="Judge a model by photos whose classes, or numbers, are known; one that finds boxes or "
                    "masks by photos whose boxes or masks are. Exit code 1 if a photo can't be read.")
    add = judge.add_argument
    add("model", metavar="MODEL", help="a name, see `list`; or the folder of a model that you trained")
    add("data", metavar="DATA",
        help="a folder with a folder of photos for each class, or a table (CSV) of files and numbers or "
             "labels, or flowers5, or cifar10; for boxes and masks a COCO file (JSON), or a folder as COCO, "
             "YOLO or Pascal VOC keep boxes, or with images/ and masks/")
    add("--target", metavar="COLUMN", action="append",
        help="of a table: the column to judge by; more than once for several")
    add("--split", default="val", metavar="PART",
        help="val (the held-out photos), train or all (default: val)")
    add("--tta", action="store_true", help="look at the mirror image of each photo too: twice the time")
    add("--topk", type=typed_count, default=5, metavar="K", help="also count the K likeliest (default: 5)")
    add("--batch-size", type=typed_count, default=32, metavar="N",
        help="photos that go together (default: 32)")
    add("--seed", type=int, metavar="N",
        help="draws the held-out photos where nobody has split (default: as the model's training did, "
             "otherwise 0)")
    add("--json", action="store_true", help="all figures as JSON")
    add("--csv", type=typed_path, metavar="FILE",
        help="write a line for each photo: what is true, and what the model says; of boxes how many are "
             "right and how many are not, of masks the IoU of each class")
    judge.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    from explorer.training.evaluation.evaluating import evaluate
    from explorer.training.run.loading import load_run

    folder = is_folder(args.model)
    if not folder:
        check_model_name(args.model)
    model = load_run(args.model) if folder else args.model
    if args.csv is not None and not args.csv.absolute().parent.is_dir():
        raise CommandError(f"There is no folder '{args.csv.parent}' to write '{args.csv.name}' into.")
    config = getattr(getattr(model, "model", None), "config", None)
    data = data_of(args, getattr(config, "outputs", "") or None)
    with bar("photos") as progress:
        result = evaluate(model, data, batch_size=args.batch_size, tta=args.tta, topk=args.topk,
                          split=args.split, seed=args.seed, on_progress=progress)
    if args.csv is not None:
        result.to_csv(args.csv)
    if args.json:
        print(json.dumps(result.as_dict(), indent=1))
    else:
        for note in result.notes:
            complain(printable(note))
        print(*map(printable, str(result).split("\n")), sep="\n")
    return 1 if result.broken else 0
