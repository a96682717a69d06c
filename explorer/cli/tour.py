"""`vision-explorer tour`: copy the notebooks to a folder and open the tour in JupyterLab."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from explorer.cli.copying import copy_notebooks, folder_for
from explorer.cli.given import typed_path
from explorer.cli.jupyter import add_server, check_installed, jupyter_command, run_until_ctrl_c
from explorer.cli.printing import printable

TOUR_FOLDER = "vision-explorer-tour"
TOURS = {"en": "tour.ipynb", "zh": "tour_zh.ipynb"}


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    tour = commands.add_parser("tour", parents=[every], help="open the guided tour in JupyterLab",
                               description="Copy the notebooks to a folder of yours and open the tour in "
                               "JupyterLab. What stands behind -- goes to JupyterLab as it is.")
    tour.add_argument("--to", type=typed_path, metavar="FOLDER",
                      help=f"where to (default: {TOUR_FOLDER} here, or at home where this is read-only)")
    tour.add_argument("--lang", choices=TOURS, default="en",
                      help="the language of the tour that is opened: en, or zh, Chinese (default: en)")
    add_server(tour)
    tour.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.data.samples import notebooks_dir

    check_installed("jupyterlab", "JupyterLab")
    folder = tour_folder(args.to)
    for sentence in copy_notebooks(notebooks_dir(), folder):
        print(printable(sentence))
    where = printable(str(folder))
    print(f"The notebooks are in {where}. JupyterLab opens {TOURS[args.lang]}; Ctrl-C ends it.", flush=True)
    return run_until_ctrl_c(jupyter_command(folder, TOURS[args.lang], args), folder)


def tour_folder(wanted: Path | None) -> Path:
    """The folder to copy to, made where it is not there. Raises CommandError where nothing may be written."""
    return folder_for(wanted, TOUR_FOLDER, how="--to FOLDER")
