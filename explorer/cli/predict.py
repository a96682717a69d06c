"""`vision-explorer predict`: what is on photos: classes, numbers, boxes, or the classes of a mask."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from explorer.cli.given import (
    DEFAULT_MODEL,
    check_model_name,
    check_no_addresses,
    is_folder,
    typed_count,
    typed_path,
)
from explorer.cli.printing import CommandError, complain, print_columns, printable
from explorer.display.words import percent
from explorer.files import given_path

TOPK = 5
#: Of each task, what its table has beside the photo's name, and which of these columns are numbers.
COLUMNS = {"detection": (("class", "score", "left", "top", "right", "bottom"), {2, 3, 4, 5, 6}),
           "segmentation": (("class", "share"), {2})}


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    predict = commands.add_parser("predict", parents=[every], help="say what is on photos",
                                  description="Say what is on photos: the likeliest classes, or a model's "
                                              "numbers, boxes in the photo's pixels, or each class's share "
                                              "of a mask. Exit code 1 if one can't be read.")
    add = predict.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="a picture file, or a folder of them")
    add("--model", default=DEFAULT_MODEL, metavar="NAME",
        help=f"see `list`; or the folder of a model that you trained (default: {DEFAULT_MODEL})")
    add("--checkpoint", type=typed_path, metavar="FILE",
        help="your own weights instead of the published ones")
    add("--topk", type=typed_count, metavar="K",
        help=f"predictions for each photo, of models that find classes (default: {TOPK})")
    add("--csv", type=typed_path, metavar="FILE", help="write the table with full numbers")
    add("--masks", type=typed_path, metavar="FOLDER",
        help="write each photo's mask as a PNG of class indices, of models that find masks")
    add("--json", action="store_true", help="as JSON")
    predict.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.data.folders import find_pictures
    from explorer.models.create import create_model
    from explorer.models.surgery.inside import task_inside

    folder = is_folder(args.model)
    if not folder:
        check_model_name(args.model)
    check_no_addresses(args.photos)
    if args.csv is not None and not args.csv.absolute().parent.is_dir():
        raise CommandError(f"There is no folder '{args.csv.parent}' to write '{args.csv.name}' into.")
    photos: list[Path] = []
    empty: list[Path] = []
    for given in (given_path(photo, "a photo") for photo in args.photos):
        found = find_pictures(given)[0] if given.is_dir() else [given]
        photos += found
        if not found:
            empty.append(given)

    if folder:
        from explorer.training.run.loading import load_run

        if args.checkpoint is not None:
            raise CommandError(f"'{args.model}' has its weights: leave --checkpoint out, or name the model.")
        model = load_run(args.model).model
    else:
        model = create_model(args.model, pretrained=args.checkpoint is None, checkpoint_path=args.checkpoint)
    task = task_inside(model)
    _check_options(args, task)
    table = _asked(model.eval(), task, photos, empty, args.topk or TOPK)
    if args.csv is not None:
        table.to_csv(args.csv)
    if args.masks is not None:
        table.save(args.masks)
    if args.json:
        answer = {"model": table.model_name, "notes": table.notes, "photos": json.loads(table.to_json())}
        print(json.dumps(answer, indent=1))  # in ASCII: every console and every pipe can carry it
        return 1 if table.errors else 0

    for note in table.notes:
        complain(note)
    head, right = COLUMNS.get(task) or \
        (("number", "value") if table.numbers else ("class", "probability"), {2})
    rows = [("photo", *head)]
    for row in table:
        if not row.error:
            rows += [(printable(row.name) if place == 0 else "", *cells)
                     for place, cells in enumerate(_answers(row, task, len(head)))]
    if len(rows) > 1:
        print_columns(rows, right=right)
    for row in table.errors:
        complain(printable(row.error))
    return 1 if table.errors else 0


def _check_options(args: argparse.Namespace, task: str) -> None:
    """Raise CommandError for an option of another task, before a photo is looked at."""
    from explorer.models.tasks import ASKED_BY

    for option, given, only in (("--topk", args.topk, "classification"),
                                ("--masks", args.masks, "segmentation")):
        if given is not None and task != only:
            raise CommandError(f"{option} is for models that find {ASKED_BY[only][0]}, and '{args.model}' "
                               f"finds {ASKED_BY[task][0]}: leave it out.")


def _asked(model: Any, task: str, photos: Sequence[Path], empty: Sequence[Path], topk: int) -> Any:
    """The table of the model's task.

    photos: the picture files;  empty: folders without any, each a row that says so
    """
    from explorer.inspection.detect.detecting import detect
    from explorer.inspection.detect.table import DetectionRow
    from explorer.inspection.look.predicting import PredictionRow, predict
    from explorer.inspection.segment.segmenting import segment
    from explorer.inspection.segment.table import SegmentationRow

    without = [(str(given), f"The folder '{given}' holds no picture.") for given in empty]
    table: Any
    if task == "detection":
        table = detect(model, photos)
        table.rows += [DetectionRow(name, None, why) for name, why in without]
    elif task == "segmentation":
        table = segment(model, photos)
        table.rows += [SegmentationRow(name, None, why) for name, why in without]
    else:
        table = predict(model, photos, topk=topk)
        table.rows += [PredictionRow(name, [], why) for name, why in without]
    return table


def _answers(row: Any, task: str, width: int) -> Iterator[tuple[str, ...]]:
    """The cells of each line that a photo has; of one in which nothing was found a line that says so."""
    if task == "classification":
        yield from ((printable(p.label), p.text) for p in row.predictions)
    elif task == "segmentation":
        yield from ((printable(part["label"]), percent(part["share"])) for part in row.found.as_rows())
    elif not len(row.found):
        yield ("(nothing found)", *[""] * (width - 1))
    else:
        yield from ((printable(one["label"]), percent(one["score"]), *(f"{side:.1f}" for side in one["box"]))
                    for one in row.found.as_rows())
