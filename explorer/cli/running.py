"""Which command is meant, and what becomes of its errors: sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from explorer import __version__, _memory
from explorer.cli import app, compare, course, doctor, evaluate, finetune, live, predict, show, tour
from explorer.cli import list as listing
from explorer.cli.printing import PROGRAM, CommandError, complain, printable, sentence_for
from explorer.display.words import nearest
from explorer.files import FULL

#: The commands, in the order in which the help lists them; each adds its arguments, and has a `run`.
COMMANDS = (tour, course, listing, show, predict, compare, finetune, evaluate, live, app, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 done in part or nothing found, 2 not done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: `vision-explorer list >&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (stays open)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console in cp1252 can't print every file name or label
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parse(argv)
    except SystemExit as stop:  # argparse has said what is wrong, or shown the help
        return int(stop.code or 0)
    try:
        with _memory.kept():
            code = args.run(args)
        sys.stdout.flush()  # so that a closed pipe shows here, not at exit
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `vision-explorer list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno in FULL and error.filename is None:  # `vision-explorer list > file` on a full disk
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            error = CommandError("What is printed can't be kept: the disk is full. Free some room, "
                                 "or write to another disk.")
        return _failed(args, error)
    except Exception as error:
        return _failed(args, error)


def _failed(args: argparse.Namespace, error: Exception) -> int:
    if "debug" in args:
        traceback.print_exc()
    complain(sentence_for(error))
    return args.failed


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, instead of usage and all."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {printable(message)}. See `{self.prog} --help`.\n")


def _parse(argv: list[str]) -> argparse.Namespace:
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")

    parser = _Parser(prog=PROGRAM, description="See what a vision model does.", parents=[every])
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(run=lambda args: parser.print_help() or 0, failed=2)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    for command in COMMANDS:
        command.add(commands, every)

    for_jupyter = []
    first_word = next((word for word in argv if not word.startswith("-")), "")
    if first_word in ("tour", "course") and "--" in argv:
        cut = argv.index("--")
        argv, for_jupyter = argv[:cut], argv[cut + 1:]
    if first_word and first_word not in commands.choices:
        near = nearest(first_word, commands.choices)
        hint = f", but there is {near[0]!r}" if near else f"; there are {', '.join(commands.choices)}"
        parser.error(f"there is no command {first_word!r}{hint}")
    if any("\0" in word for word in argv):
        parser.error("an argument holds a NUL character, which no name and no path has")
    args = parser.parse_args(argv)
    args.words = argv
    if for_jupyter:
        args.jupyter = for_jupyter
    return args
