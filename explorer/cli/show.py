"""`vision-explorer show`: the card of one model."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import Any

from explorer.cli.printing import complain, sentence_for


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    show = commands.add_parser("show", parents=[every], help="show what is known of a model",
                               description="Show the card of a model: its idea and paper, size, accuracy, "
                                           "stages, what is done to a photo, published weights.")
    show.add_argument("model", metavar="NAME", help="such as resnet50, or resnet50.a1_in1k; see `list`")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.models.card import model_card

    try:
        card = model_card(args.model)
    except ValueError as unknown:
        complain(sentence_for(unknown))
        return 1
    if args.json:
        print(json.dumps(card.as_dict(), indent=1))
    else:
        print(card.as_text(width=min(100, shutil.get_terminal_size().columns)))
    return 0
