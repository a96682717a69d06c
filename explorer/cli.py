"""The command `vision-explorer`, which is `python -m explorer` too.

    vision-explorer tour                                    # copy the notebooks here and open the tour
    vision-explorer list '*resne*t*' --pretrained           # model names
    vision-explorer show resnet50                           # the card of one model
    vision-explorer predict cat.jpg --model resnet50        # what is on the photo

Whatever goes wrong is one sentence on standard error and exit code 2; `--debug` shows the traceback too.
Nothing here imports torch before a photo is to be predicted.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from explorer import __version__

PROGRAM = "vision-explorer"
DEFAULT_MODEL = "tf_efficientnet_lite0"  # its weights install with explorer
TOUR_FOLDER = "vision-explorer-tour"
TOUR = "tour.ipynb"
RECORD = ".vision-explorer.json"  # in the tour's folder: what was copied, to tell whether a person changed it


class CommandError(Exception):
    """A sentence for the person at the keyboard."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 done in part or nothing found, 2 not done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console in cp1252 can't print every file name or label
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parse(argv)
    except SystemExit as stop:  # argparse has said what is wrong, or shown the help
        return int(stop.code or 0)
    try:
        code = args.run(args)
        sys.stdout.flush()  # so that a closed pipe shows here, not at exit
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `vision-explorer list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "debug" in args:
            traceback.print_exc()
        _complain(_sentence(error))
        return 2


def _complain(sentence: str) -> None:
    sys.stdout.flush()
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    """An exception in one line, without control characters."""
    text = printable(" ".join(str(error).split()))
    if isinstance(error, ModuleNotFoundError):
        return f"The Python package {error.name!r} is missing. Install explorer again with pip."
    if isinstance(error, (CommandError, ValueError, TypeError, OSError, RuntimeError)) and text:
        return text
    kind = type(error).__name__
    return f"Unexpected {kind}: {text or 'no message'}. Run it again with --debug and report what it shows."


def printable(text: str) -> str:
    """The text with control characters, line breaks and broken bytes spelt out: file names may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


# --- arguments ----------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, instead of usage and all."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {printable(message)}. See `{self.prog} --help`.\n")


def _parse(argv: list[str]) -> argparse.Namespace:
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")

    parser = _Parser(prog=PROGRAM, description="See what a vision model does.", parents=[every])
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(run=lambda args: parser.print_help() or 0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    tour = commands.add_parser("tour", parents=[every], help="open the guided tour in JupyterLab",
                               description="Copy the notebooks to a folder of yours and open the tour in "
                               "JupyterLab. What stands behind -- goes to JupyterLab as it is.")
    tour.add_argument("--to", type=Path, metavar="FOLDER",
                      help=f"where to (default: {TOUR_FOLDER} here, or at home where this is read-only)")
    tour.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    tour.add_argument("--port", type=_port, help="port of the server (default: the first free one from 8888)")
    tour.set_defaults(run=run_tour, jupyter=[])

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
    names.set_defaults(run=run_list)

    show = commands.add_parser("show", parents=[every], help="show what is known of a model",
                               description="Show the card of a model: its idea and paper, size, accuracy, stages, "
                               "what is done to a photo, published weights.")
    show.add_argument("model", metavar="NAME", help="such as resnet50, or resnet50.a1_in1k; see `list`")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=run_show)

    predict = commands.add_parser("predict", parents=[every], help="say what is on photos",
                                  description="Say what is on photos. Exit code 1 if one can't be read.")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", help="a picture file, or a folder of them")
    predict.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME",
                         help=f"see `list` (default: {DEFAULT_MODEL})")
    predict.add_argument("--checkpoint", type=Path, metavar="FILE",
                         help="your own weights instead of the published ones")
    predict.add_argument("--topk", type=_count, default=5, metavar="K",
                         help="predictions for each photo (default: 5)")
    predict.add_argument("--json", action="store_true", help="as JSON")
    predict.set_defaults(run=run_predict)

    for_jupyter = []
    first_word = next((word for word in argv if not word.startswith("-")), "")
    if first_word == "tour" and "--" in argv:
        cut = argv.index("--")
        argv, for_jupyter = argv[:cut], argv[cut + 1:]
    if first_word and first_word not in commands.choices:
        near = difflib.get_close_matches(first_word, commands.choices, n=1)
        hint = f", but there is {near[0]!r}" if near else f"; there are {', '.join(commands.choices)}"
        parser.error(f"there is no command {first_word!r}{hint}")
    args = parser.parse_args(argv)
    if for_jupyter:
        args.jupyter = for_jupyter
    return args


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


# --- tour ---------------------------------------------------------------------------------------------------


def run_tour(args: argparse.Namespace) -> int:
    from explorer.data.samples import notebooks_dir

    if importlib.util.find_spec("jupyterlab") is None:
        python = Path(sys.executable).name
        raise CommandError(f"JupyterLab is missing. Install it with `{python} -m pip install jupyterlab`.")
    folder = tour_folder(args.to)
    for sentence in copy_notebooks(notebooks_dir(), folder):
        print(printable(sentence))
    where = printable(str(folder))
    print(f"The notebooks are in {where}. JupyterLab opens {TOUR}; Ctrl-C ends it.", flush=True)
    return _run_until_ctrl_c(jupyter_command(folder, args), folder)


def jupyter_command(folder: Path, args: argparse.Namespace) -> list[str]:
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{TOUR}",
        # A classroom may have no internet: no look for news or updates. Ctrl-C means it: no question back.
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--ServerApp.answer_yes=True",
        "--Application.log_level=WARN",  # the address is still shown
    ]
    if args.no_browser:
        command.append("--no-browser")
    if args.port is not None:
        # This port or none: a person who names one has told others, or a firewall, about it.
        command += [f"--ServerApp.port={args.port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in args.jupyter:
        # JupyterLab refuses root unless told. Containers have nobody else, and the server answers only on
        # this computer.
        command.append("--allow-root")
    return command + list(args.jupyter)


def tour_folder(wanted: Path | None) -> Path:
    """The folder to copy to, made where it is not there. Raises CommandError where nothing may be written."""
    candidates = [Path.cwd() / TOUR_FOLDER, Path.home() / TOUR_FOLDER]
    if wanted is not None:
        candidates = [wanted.expanduser()]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".write-test-{os.getpid()}"
            probe.touch()  # os.access does not know about read-only disks and Windows' permissions
            probe.unlink()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            continue
        return folder.resolve()
    raise CommandError(f"Can't write in {candidates[-1]} ({reason}). Name another folder with --to FOLDER.")


def copy_notebooks(source: Path, folder: Path) -> list[str]:
    """Copy the files of `source` into `folder`; a file that a person has changed is kept.

    Where explorer has a newer version of such a file, it is written beside it under another name.
    Returns what a person should know about the kept files, as sentences.
    """
    record_file = folder / RECORD
    record = _read_record(record_file)  # file -> SHA-256 of the version that was copied
    sentences = []
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        relative = path.relative_to(source)
        if any(part.startswith((".", "__")) for part in relative.parts):
            continue  # .ipynb_checkpoints, __pycache__
        name, shipped, target = relative.as_posix(), _sha256(path), folder / relative
        present = _sha256(target) if target.is_file() else None
        if present in (None, shipped, record.get(name)):  # not there, or as explorer wrote it
            if present != shipped:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            record[name] = shipped
        elif record.get(name) == shipped:
            sentences.append(f"You have changed {name}: it is kept. Rename or delete it to start afresh.")
        else:
            beside = _write_beside(path, target, shipped)
            sentences.append(f"You have changed {name}: it is kept. The new version is {beside.name} beside it.")
    record_file.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return sentences


def _write_beside(path: Path, target: Path, shipped: str) -> Path:
    """Copy `path` next to `target` under the first name that is free, or that already holds just this."""
    number = 1
    while True:
        suffix = f"-{__version__}" + (f"-{number}" if number > 1 else "")
        beside = target.with_stem(target.stem + suffix)
        if not beside.exists():
            shutil.copyfile(path, beside)
        if beside.is_file() and _sha256(beside) == shipped:
            return beside
        number += 1


def _read_record(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no record: then every file that differs counts as changed, and is kept
    return record if isinstance(record, dict) else {}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run_until_ctrl_c(command: list[str], folder: Path) -> int:
    """Run a server until it ends or a person ends it; the server never outlives this process."""
    # Kernels of this very Python, not of a kernel that was once installed for the user.
    environment = {"JUPYTER_PREFER_ENV_PATH": "1", **os.environ}
    home = Path(__file__).resolve().parent.parent
    if (home / "pyproject.toml").is_file():  # a checkout, perhaps not installed; kernels start elsewhere
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
    server = subprocess.Popen(command, cwd=folder, env=environment)

    def end(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        code = server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)
    if code:
        raise CommandError("JupyterLab ended with an error: its own words are above.")
    return 0


def _end(server: subprocess.Popen) -> None:
    if os.name != "nt":  # on Windows terminate() would kill it; the console has sent it the Ctrl-C already
        server.terminate()  # it ends its kernels, then itself
    for wait in (15, None):
        try:
            server.wait(wait)
            return
        except subprocess.TimeoutExpired:
            server.kill()
        except KeyboardInterrupt:  # a second Ctrl-C: not so patient
            server.kill()


# --- list ---------------------------------------------------------------------------------------------------


def run_list(args: argparse.Namespace) -> int:
    from explorer.models import weights
    from explorer.models.catalog import FAMILY_OF
    from explorer.models.factory import list_models, split_name

    names = list_models(args.patterns, pretrained=args.pretrained, exclude_filters=args.exclude,
                        family=args.family, task=args.task)
    if args.licence:
        names = _under_licence(names, args.licence)
    if args.here:
        names = [name for name in names if weights.is_here(*split_name(name))]
    rows = []
    for name in names:
        architecture, _ = split_name(name)
        family = FAMILY_OF[architecture]
        rows.append({"name": name, "parameters": weights.parameter_count(architecture), "year": family.year,
                     "family": family.name})
    if args.json:
        print(json.dumps(rows, indent=1))
    elif sys.stdout.isatty():
        cells = [(row["name"], _millions(row["parameters"]), str(row["year"]), row["family"]) for row in rows]
        print_columns([("name", "parameters", "year", "family"), *cells] if cells else [], right={1})
    else:
        print(*names, sep="\n", end="\n" if names else "")
    if not names:
        _complain("No model matches" + _nearest_names(args) + ".")
    return 0 if names else 1


def _under_licence(names: Sequence[str], licence: str) -> list[str]:
    """Those of the names that have published weights under the licence: "mit" is the table's "mit", in any case."""
    from explorer.models import weights
    from explorer.models.factory import list_pretrained, split_name

    licences = {name: weights.config_for(*split_name(name)).license.lower() for name in list_pretrained()}
    if licence.lower() not in licences.values():
        known = ", ".join(sorted(set(filter(None, licences.values()))))
        raise ValueError(f"No weights are under the licence {licence!r}. There are: {known}.")
    fitting = {name for name, its in licences.items() if its == licence.lower()}
    fitting |= {name.partition(".")[0] for name in fitting}
    return [name for name in names if ".".join(filter(None, split_name(name))) in fitting]


def _nearest_names(args: argparse.Namespace) -> str:
    from explorer.models.factory import list_models

    wanted = [pattern for pattern in args.patterns if not set("*?[") & set(pattern)]
    near = difflib.get_close_matches(wanted[0], list_models(family=args.family), n=3) if wanted else []
    if near:
        return f" {wanted[0]!r}; near it are {', '.join(near)}"
    return "; patterns need wildcards, such as '*net*'" if wanted else ""


def _millions(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f} M"


def print_columns(rows: Iterable[Sequence[str]], *, right: frozenset[int] | set[int] = frozenset()) -> None:
    """Rows of text in aligned columns, two spaces apart; the columns in `right` are aligned to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


# --- show ---------------------------------------------------------------------------------------------------


def run_show(args: argparse.Namespace) -> int:
    from explorer.models.card import model_card

    try:
        card = model_card(args.model)
    except ValueError as unknown:
        _complain(_sentence(unknown))
        return 1
    if args.json:
        print(json.dumps(card.as_dict(), indent=1))
    else:
        print(card.as_text(width=min(100, shutil.get_terminal_size().columns)))
    return 0


# --- predict ------------------------------------------------------------------------------------------------


def run_predict(args: argparse.Namespace) -> int:
    from explorer.inspection.predict import PredictionRow, find_pictures, predict
    from explorer.models.factory import check_name, create_model

    check_name(args.model)  # a typing error shows before a minute of download
    photos: list[Path] = []
    empty: list[PredictionRow] = []
    for given in map(Path, args.photos):
        found = find_pictures(given)[0] if given.is_dir() else [given]
        photos += found
        if not found:
            empty.append(PredictionRow(str(given), [], f"The folder '{given}' holds no picture."))

    model = create_model(args.model, pretrained=args.checkpoint is None, checkpoint_path=args.checkpoint)
    table = predict(model.eval(), photos, topk=args.topk)
    table.rows += empty
    if args.json:
        answer = {"model": table.model_name, "notes": table.notes, "photos": json.loads(table.to_json())}
        print(json.dumps(answer, indent=1))  # in ASCII: every console and every pipe can carry it
        return 1 if table.errors else 0

    for note in table.notes:
        _complain(note)
    rows = [("photo", "class", "probability")]
    for row in table:
        for rank, p in enumerate(row.predictions):
            rows.append((printable(row.name) if rank == 0 else "", p.label, f"{100 * p.probability:.1f} %"))
    if len(rows) > 1:
        print_columns(rows, right={2})
    for row in table.errors:
        _complain(printable(row.error))
    return 1 if table.errors else 0
