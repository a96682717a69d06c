"""`vision-explorer compare`: several models side by side, on the same photos."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from explorer.cli.given import check_model_name, check_no_addresses, is_folder, typed_path
from explorer.cli.printing import PROGRAM, CommandError, bar, complain, print_columns, printable
from explorer.files import given_path, write_whole

ANSWERS_SHOWN = 20  # photos whose answers are printed


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    both = commands.add_parser(
        "compare", parents=[every], help="show the same photos to several models",
        usage=f"{PROGRAM} compare PHOTO [PHOTO ...] [--models NAME NAME ...] [options]",
        description="Show the same photos to 2 to 8 models: their sizes, answers, agreement and speed side "
                    "by side. Exit code 1 if a model or a photo is left out.")
    add = both.add_argument
    add("photos", nargs="+", metavar="PHOTO",
        help="photos, one folder, or flowers5; a folder with a folder for each class is judged too")
    add("--models", nargs="+", metavar="NAME",
        help="see `list`; or folders of models that you trained (default: those whose weights install with "
             "explorer)")
    add("--speed", action="store_true",
        help="measure latency, throughput and memory here, the models taking turns")
    add("--csv", type=typed_path, metavar="FILE", help="write the table with full numbers")
    add("--answers", type=typed_path, metavar="FILE",
        help="write a line for each photo with every model's first answer")
    add("--figure", type=typed_path, metavar="FILE", help="draw it: .png, .svg or .pdf")
    kinds = ("scatter", "predictions", "agreement", "maps", "cams", "pictures", "classes")
    add("--kind", default="scatter", choices=kinds,
        help="what --figure draws (default: scatter, accuracy against cost); pictures and classes are of "
             "models that find boxes or masks, predictions, maps and cams of others")
    add("--markdown", action="store_true", help="print the table as Markdown")
    both.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.models.weights.packaged import names_here

    names = args.models or [name.partition(".")[0] for name in names_here()]
    folders = {name for name in names if is_folder(name)}
    for name in names:
        if name not in folders:
            check_model_name(name)
    check_no_addresses(args.photos)
    for file in filter(None, (args.csv, args.answers, args.figure)):
        if not file.absolute().parent.is_dir():
            raise CommandError(f"There is no folder '{file.parent}' to write '{file.name}' into.")
    if args.figure is not None and args.figure.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise CommandError(f"A figure is a .png, .svg or .pdf file, not '{args.figure.name}'.")
    from explorer.inspection.compare.comparing import compare

    models = _opened(names, folders) if folders else names
    with bar("passes") as progress:
        result = compare(models, args.photos[0] if len(args.photos) == 1 else args.photos, measure=args.speed,
                         on_progress=lambda done, total, what: progress(done, total))
    if args.csv is not None:
        result.to_csv(args.csv)
    if args.answers is not None:
        result.to_csv(args.answers, of="photos")
    if args.figure is not None:
        figure, kind = result.figure(args.kind), args.figure.suffix[1:].lower()
        write_whole(args.figure, lambda beside: figure.savefig(beside, dpi=144, format=kind))
    if args.markdown:
        print(*map(printable, result.to_markdown().split("\n")), sep="\n")
        return 1 if result.problems else 0

    columns, rows = result.table()
    print_columns([columns, *([printable(text) for text in row] for row in rows)],
                  right=set(range(1, len(columns))))
    answers = [("photo", *result.names)]
    for number, photo in enumerate(result.photos[:ANSWERS_SHOWN]):
        answers.append((printable(photo), *(printable(result.answer(i, number)) for i in range(len(result)))))
    print()
    print_columns(answers)
    if (left := len(result.photos) - ANSWERS_SHOWN) > 0:
        print(f"... and {left} more: --answers FILE writes all of them")
    for sentence in result.captions:
        complain(printable(sentence))
    return 1 if result.problems else 0


def _opened(names: Sequence[str], folders: set[str]) -> dict[str, Any]:
    """{what to call it: a name, or the model of a folder}. Raises CommandError for the same one twice."""
    from explorer.training.run.loading import load_run

    models: dict[str, Any] = {}
    for name in names:
        called = name.strip()
        if name in folders:
            short = given_path(name, "the model").resolve().name
            called = short if short not in (*names, *models) else name
        if called in models:
            raise CommandError(f"'{printable(name)}' is there twice: name each model once.")
        models[called] = load_run(name).model if name in folders else called
    return models
