"""`vision-explorer show`: the card of one model, or what is known of one that somebody trained."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from typing import Any

from explorer.cli.given import is_folder
from explorer.cli.printing import printable

LEFT = 14  # characters of the column of words


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    show = commands.add_parser("show", parents=[every], help="show what is known of a model",
                               description="Show the card of a model: its idea and paper, size, accuracy, "
                                           "stages, what is done to a photo, published weights. Of a model "
                                           "that you trained: its classes, what it learnt from, how good it "
                                           "was.")
    show.add_argument("model", metavar="NAME", help="such as resnet50, or resnet50.a1_in1k; see `list`; or "
                                                    "the folder of a model that you trained")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=run, failed=1)


def run(args: argparse.Namespace) -> int:
    from explorer.models.card import model_card

    width = min(100, shutil.get_terminal_size().columns)
    if args.model.strip() and is_folder(args.model):
        facts = _trained(args.model)
        print(json.dumps(facts, indent=1) if args.json else _as_text(facts, width))
        return 0
    card = model_card(args.model)
    if args.json:
        print(json.dumps(card.as_dict(), indent=1))
    else:
        print(card.as_text(width=width))
    return 0


def _trained(folder: str) -> dict[str, Any]:
    """What is known of the model in a folder, in plain types. Raises TrainingError where there is none."""
    from explorer.models.card import preprocessing_sentences
    from explorer.models.surgery.inside import task_inside
    from explorer.training.loop.measures import best_text
    from explorer.training.run.loading import load_run

    trained = load_run(folder)
    config, task = trained.model.config, task_inside(trained.model)
    best = trained.best
    return {
        "name": trained.name, "architecture": config.architecture, "task": task,
        "parameters": sum(p.numel() for p in trained.model.parameters()), "outputs": config.outputs,
        "labels": list(trained.labels), "input_size": list(config.input_size),
        "learnt_from": trained.data_name, "epochs": len(trained.history),
        "planned_epochs": trained.recipe.epochs, "best": best,
        "judged": f"{best_text(trained)} in epoch {best['epoch'] + 1}" if best else "",
        "preprocessing": list(preprocessing_sentences(config, task)), "notes": trained.notes,
    }


def _as_text(facts: dict[str, Any], width: int) -> str:
    from explorer.models.card import count_text

    labels, numbers = facts["labels"], facts["outputs"] == "numbers"
    lines = [printable(facts["name"]), ""]
    for label, text in (
        ("architecture", facts["architecture"]), ("task", facts["task"]),
        ("parameters", count_text(facts["parameters"])),
        ("numbers" if numbers else "classes", f"{len(labels)}: {', '.join(labels)}"),
        ("learnt from", facts["learnt_from"] or "not known"),
        ("epochs", f"{facts['epochs']} of {facts['planned_epochs']}" if facts["epochs"] else "not known"),
        ("best", facts["judged"] or "not judged"),
        ("photo", f"{' x '.join(map(str, facts['input_size'][1:]))} pixels"),
    ):
        lines += textwrap.wrap(printable(text), max(40, width), initial_indent=label.ljust(LEFT),
                               subsequent_indent=" " * LEFT)
    lines += ["", "What is done to the photo:"]
    for number, sentence in enumerate(facts["preprocessing"], start=1):
        lines += textwrap.wrap(sentence, max(40, width), initial_indent=f"  {number}. ",
                               subsequent_indent="     ")
    for note in facts["notes"]:
        lines += ["", *textwrap.wrap(printable(note), max(40, width))]
    return "\n".join(lines)
