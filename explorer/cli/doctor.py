"""`vision-explorer doctor`: what explorer found on this computer."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    doctor = commands.add_parser("doctor", parents=[every],
                                 help="show versions, widgets, memory, weights, accelerations",
                                 description="Show what explorer found on this computer: what to send along "
                                             "with a question. It asks no network.")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.machine import doctor

    found = doctor()
    if args.json:
        print(json.dumps({finding.about: finding.found for finding in found.findings}, indent=1))
    else:
        print(found)
    return 0
