"""`vision-explorer predict`: what is on photos."""

from __future__ import annotations

import argparse
import json
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
from explorer.files import given_path


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    predict = commands.add_parser("predict", parents=[every], help="say what is on photos",
                                  description="Say what is on photos. Exit code 1 if one can't be read.")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", help="a picture file, or a folder of them")
    predict.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME",
                         help="see `list`; or the folder of a model that you trained "
                              f"(default: {DEFAULT_MODEL})")
    predict.add_argument("--checkpoint", type=typed_path, metavar="FILE",
                         help="your own weights instead of the published ones")
    predict.add_argument("--topk", type=typed_count, default=5, metavar="K",
                         help="predictions for each photo (default: 5)")
    predict.add_argument("--json", action="store_true", help="as JSON")
    predict.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.data.folders import find_pictures
    from explorer.inspection.look.predicting import PredictionRow, predict
    from explorer.models.create import create_model

    folder = is_folder(args.model)
    if not folder:
        check_model_name(args.model)
    check_no_addresses(args.photos)
    photos: list[Path] = []
    empty: list[PredictionRow] = []
    for given in (given_path(photo, "a photo") for photo in args.photos):
        found = find_pictures(given)[0] if given.is_dir() else [given]
        photos += found
        if not found:
            empty.append(PredictionRow(str(given), [], f"The folder '{given}' holds no picture."))

    if folder:
        from explorer.training.run.loading import load_run

        if args.checkpoint is not None:
            raise CommandError(f"'{args.model}' has its weights: leave --checkpoint away, or name the model.")
        model = load_run(args.model).model
    else:
        model = create_model(args.model, pretrained=args.checkpoint is None, checkpoint_path=args.checkpoint)
    table = predict(model.eval(), photos, topk=args.topk)
    table.rows += empty
    if args.json:
        answer = {"model": table.model_name, "notes": table.notes, "photos": json.loads(table.to_json())}
        print(json.dumps(answer, indent=1))  # in ASCII: every console and every pipe can carry it
        return 1 if table.errors else 0

    for note in table.notes:
        complain(note)
    rows = [("photo", *(("number", "value") if table.numbers else ("class", "probability")))]
    for row in table:
        for rank, p in enumerate(row.predictions):
            rows.append((printable(row.name) if rank == 0 else "", p.label, p.text))
    if len(rows) > 1:
        print_columns(rows, right={2})
    for row in table.errors:
        complain(printable(row.error))
    return 1 if table.errors else 0
