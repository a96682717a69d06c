"""`vision-explorer list`: the names of models, by pattern, family, licence."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from explorer.cli.printing import CommandError, complain, print_columns, printable
from explorer.display.words import nearest


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    names = commands.add_parser("list", parents=[every], help="list model names",
                                description="List the names that `predict` and explorer.create_model take.")
    names.add_argument("patterns", nargs="*", metavar="PATTERN", help="such as '*resne*t*' (in quotes)")
    names.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="leave these out")
    names.add_argument("--family", default="", help="only this family, such as resnet")
    names.add_argument("--task", default="", help="only this task, such as classification")
    names.add_argument("--licence", "--license", default="", metavar="LICENCE",
                       help="only names with weights under it, such as apache-2.0")
    names.add_argument("--pretrained", action="store_true", help="every set of weights, as name.tag")
    names.add_argument("--here", action="store_true", help="only names whose weights are on this computer")
    names.add_argument("--json", action="store_true", help="as JSON")
    names.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.models.catalog import FAMILY_OF
    from explorer.models.names import LIBRARIES, list_models, split_door, split_name
    from explorer.models.weights.places import is_here
    from explorer.models.weights.table import parameter_count

    behind = [pattern for pattern in args.patterns if split_door(pattern)[0]]
    own = [pattern for pattern in args.patterns if pattern not in behind]
    options = {"pretrained": args.pretrained, "exclude_filters": args.exclude, "family": args.family,
               "task": args.task}
    names = list_models(own, **options) if own or not behind else []
    for pattern in behind:
        if split_door(pattern)[0] not in LIBRARIES:
            raise CommandError(f"'{printable(pattern)}' is opened by its whole name: "
                               "only timm/ and torchvision/ can be listed.")
        if args.licence or args.here:
            raise CommandError("--licence and --here sort explorer's own names: "
                               f"leave them out with '{pattern}'.")
        names += list_models(pattern, **options)
    if args.licence:
        names = _under_licence(names, args.licence)
    if args.here:
        names = [name for name in names if is_here(*split_name(name))]
    rows = []
    for name in names:
        if library := split_door(name)[0]:  # another library's: only its name is known
            rows.append({"name": name, "parameters": None, "year": None, "family": library})
            continue
        architecture, _ = split_name(name)
        family = FAMILY_OF[architecture]
        rows.append({"name": name, "parameters": parameter_count(architecture), "year": family.year,
                     "family": family.name})
    if args.json:
        print(json.dumps(rows, indent=1))
    elif sys.stdout.isatty():
        cells = [(row["name"], _millions(row["parameters"]), str(row["year"] or "?"), row["family"])
                 for row in rows]
        print_columns([("name", "parameters", "year", "family"), *cells] if cells else [], right={1})
    else:
        print(*names, sep="\n", end="\n" if names else "")
    if not names:
        complain("No model matches" + _nearest_names(args) + ".")
    return 0 if names else 1


def _under_licence(names: Sequence[str], licence: str) -> list[str]:
    """Those of the names that have published weights under the licence: "mit" is the table's "mit", in any
    case.
    """
    from explorer.models.names import list_pretrained, split_name
    from explorer.models.weights.table import config_for

    licences = {name: config_for(*split_name(name)).license.lower() for name in list_pretrained()}
    if licence.lower() not in licences.values():
        known = ", ".join(sorted(set(filter(None, licences.values()))))
        raise ValueError(f"No weights are under the licence {licence!r}. There are: {known}.")
    fitting = {name for name, its in licences.items() if its == licence.lower()}
    fitting |= {name.partition(".")[0] for name in fitting}
    return [name for name in names if ".".join(filter(None, split_name(name))) in fitting]


def _nearest_names(args: argparse.Namespace) -> str:
    from explorer.models.names import list_models, word_on_old_name

    wanted = [pattern for pattern in args.patterns if not set("*?[") & set(pattern)]
    if wanted and (word := word_on_old_name(wanted[0])):
        return f": {word[:-1]}"
    near = nearest(wanted[0], list_models(family=args.family), 3) if wanted else []
    if near:
        return f" {wanted[0]!r}; near it are {', '.join(near)}"
    return "; patterns need wildcards, such as '*net*'" if wanted else ""


def _millions(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f} M"
