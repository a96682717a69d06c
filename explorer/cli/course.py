"""`vision-explorer course`: the lessons with their exercises in a folder, and JupyterLab at their list."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from explorer.cli.copying import copy_notebooks, folder_for
from explorer.cli.given import typed_path
from explorer.cli.jupyter import (
    add_server,
    check_installed,
    jupyter_command,
    markdown_as_pages,
    run_until_ctrl_c,
)
from explorer.cli.printing import printable

COURSE_FOLDER = "vision-explorer-course"
LIST = "README.md"
SOLUTIONS = "solutions.ipynb"

#: file -> (a pattern of words that name the solutions, words for a folder that comes without them)
FOR_STUDENTS = {
    LIST: ((r"(?m)^\| \[.+?\]\(solutions\.ipynb\) \|.*\n", ""),
           (r"(?m)^`vision-explorer course FOLDER --without-solutions` .*",
            "Your teacher has the solutions, each with its reason.")),
    "lesson_01_what_a_model_sees.ipynb": (
        (r"the solutions, with reasons, are in \[solutions\.ipynb\]\(solutions\.ipynb\)",
         "your teacher has the solutions, with reasons"),),
}


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    course = commands.add_parser(
        "course", parents=[every], help="open the lessons in JupyterLab",
        description="Copy the lessons, their exercises and what checks them to a folder of yours, and open "
                    "the list of lessons in JupyterLab. A file that you have changed stays as it is; a newer "
                    "version is put beside it. What stands behind -- goes to JupyterLab as it is.")
    course.add_argument("folder", nargs="?", type=typed_path, metavar="FOLDER",
                        help=f"where to (default: {COURSE_FOLDER} here, or at home where this is read-only)")
    course.add_argument("--without-solutions", action="store_true",
                        help=f"leave {SOLUTIONS} out, and what links to it: a folder to hand to students")
    course.add_argument("--no-open", action="store_true",
                        help="copy only: for Colab, VS Code, or a hub that runs already")
    add_server(course)
    course.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from explorer.data.samples import notebooks_dir

    if not args.no_open:
        check_installed("jupyterlab", "JupyterLab")
    folder = folder_for(args.folder, COURSE_FOLDER, how="`vision-explorer course FOLDER`")
    without = {SOLUTIONS} if args.without_solutions else set()
    edits = {name: partial(_replaced, pairs) for name, pairs in FOR_STUDENTS.items()} if without else None
    for sentence in copy_notebooks(notebooks_dir(), folder, without=without, edits=edits):
        print(printable(sentence))
    where = printable(str(folder))
    if args.no_open:
        print(f"The course is in {where}: begin with {LIST}.")
        return 0
    print(f"The course is in {where}. JupyterLab opens the list of lessons; Ctrl-C ends it.", flush=True)
    return run_until_ctrl_c(jupyter_command(folder, LIST, args), folder, **markdown_as_pages())


def _replaced(pairs: Iterable[tuple[str, str]], text: str) -> str:
    for pattern, instead in pairs:
        text = re.sub(pattern, instead, text)
    return text
