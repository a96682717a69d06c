"""The command `vision-explorer`, which is `python -m explorer` too.

    vision-explorer tour                                    # copy the notebooks here and open the tour
    vision-explorer list '*resne*t*' --pretrained           # model names
    vision-explorer show resnet50                           # the card of one model
    vision-explorer predict cat.jpg --model resnet50        # what is on the photo
    vision-explorer compare cat.jpg --models resnet50 convnext_tiny --speed     # models side by side
    vision-explorer finetune resnet50 photos/ --save mine   # teach it your classes: a folder of photos each
    vision-explorer evaluate mine photos/                   # how good it is, and where it errs

Whatever goes wrong is one sentence on standard error and exit code 2 (of finetune and evaluate 1, where the words
were right); `--debug` shows the traceback too.
Nothing here imports torch before a photo is to be predicted.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from explorer import __version__
from explorer.display.words import nearest, sentence_of
from explorer.files import FULL, given_path, write_text, write_whole

PROGRAM = "vision-explorer"
DEFAULT_MODEL = "tf_efficientnet_lite0"  # its weights install with explorer
TOUR_FOLDER = "vision-explorer-tour"
TOUR = "tour.ipynb"
ANSWERS_SHOWN = 20  # photos whose answers `compare` prints
RECORD = ".vision-explorer.json"  # in the tour's folder: what was copied, to tell whether a person changed it


class CommandError(Exception):
    """A sentence for the person at the keyboard."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 done in part or nothing found, 2 not done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: `vision-explorer list >&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
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
    except OSError as error:
        if error.errno in FULL and error.filename is None:  # `vision-explorer list > file` on a full disk
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            error = CommandError("What is printed can't be kept: the disk is full. Free some room, or write to another disk.")
        return _failed(args, error)
    except Exception as error:
        return _failed(args, error)


def _failed(args: argparse.Namespace, error: Exception) -> int:
    if "debug" in args:
        traceback.print_exc()
    _complain(_sentence(error))
    return args.failed


def _complain(sentence: str) -> None:
    sys.stdout.flush()
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    """An exception in one line, without control characters."""
    sentence = str(error) if isinstance(error, CommandError) else sentence_of(
        error, unexpected="Unexpected {problem}. Run it again with --debug and report what it shows.")
    return printable(" ".join(sentence.split()))


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
    parser.set_defaults(run=lambda args: parser.print_help() or 0, failed=2)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    tour = commands.add_parser("tour", parents=[every], help="open the guided tour in JupyterLab",
                               description="Copy the notebooks to a folder of yours and open the tour in "
                               "JupyterLab. What stands behind -- goes to JupyterLab as it is.")
    tour.add_argument("--to", type=_path, metavar="FOLDER",
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
                         help=f"see `list`; or the folder of a model that you trained (default: {DEFAULT_MODEL})")
    predict.add_argument("--checkpoint", type=_path, metavar="FILE",
                         help="your own weights instead of the published ones")
    predict.add_argument("--topk", type=_count, default=5, metavar="K",
                         help="predictions for each photo (default: 5)")
    predict.add_argument("--json", action="store_true", help="as JSON")
    predict.set_defaults(run=run_predict)

    _add_compare(commands, every)
    _add_finetune(commands, every)
    _add_evaluate(commands, every)

    for_jupyter = []
    first_word = next((word for word in argv if not word.startswith("-")), "")
    if first_word == "tour" and "--" in argv:
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


FINER = (  # further settings of a recipe: (name, kind, what it does)
    ("label-smoothing", float, "share of certainty that is taken from the labels, such as 0.1"),
    ("mixup", float, "blend photos in pairs, such as 0.2; not with cached features"),
    ("loss", str, "of numbers: mse, l1 or huber (default: mse)"),
    ("cutmix", float, "cut photos together in pairs, such as 1.0; not with cached features"),
    ("weight-decay", float, "pull of all weights towards 0, such as 0.01"),
    ("layer-decay", float, "each layer further from the head learns at this share of the next one's rate"),
    ("clip", float, "the largest norm of a gradient, such as 1.0"),
    ("ema", float, "average the weights with this decay, such as 0.99"),
    ("accumulate", int, "batches a step of the optimizer"),
    ("views", int, "with --train head: variants of each photo that are looked at (default: 1)"),
    ("precision", str, "bfloat16: faster on many GPUs"),
    ("save-every", int, "a checkpoint after so many batches too"),
    ("threads", int, "CPU threads (default: all but one)"),
)


def _add_compare(commands: Any, every: argparse.ArgumentParser) -> None:
    both = commands.add_parser(
        "compare", parents=[every], help="show the same photos to several models",
        usage=f"{PROGRAM} compare PHOTO [PHOTO ...] [--models NAME NAME ...] [options]",
        description="Show the same photos to 2 to 8 models: their sizes, answers, agreement and speed side by side. "
        "Exit code 1 if a model or a photo is left out.")
    add = both.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="photos, one folder, or flowers5; a folder with a folder for each "
        "class is judged too")
    add("--models", nargs="+", metavar="NAME", help="see `list` (default: those whose weights install with explorer)")
    add("--speed", action="store_true", help="measure latency, throughput and memory here, the models taking turns")
    add("--csv", type=_path, metavar="FILE", help="write the table with full numbers")
    add("--answers", type=_path, metavar="FILE", help="write a line for each photo with every model's first answer")
    add("--figure", type=_path, metavar="FILE", help="draw it: .png, .svg or .pdf")
    add("--kind", default="scatter", choices=("scatter", "predictions", "agreement", "maps", "cams"),
        help="what --figure draws (default: scatter, accuracy against cost)")
    add("--markdown", action="store_true", help="print the table as Markdown")
    both.set_defaults(run=run_compare)


def _add_finetune(commands: Any, every: argparse.ArgumentParser) -> None:
    tune = commands.add_parser(
        "finetune", parents=[every], help="teach a model your classes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{PROGRAM} finetune MODEL DATA [options]",
        description="Teach a model the classes of your photos.\n"
        "Ctrl-C stops behind the batch, saves, and says how to go on.",
        epilog="examples:\n"
        f"  {PROGRAM} finetune {DEFAULT_MODEL} flowers5 --epochs 5 --save my-flowers\n"
        f"  {PROGRAM} finetune resnet50 photos/ --train all --epochs 20 --patience 5")
    add = tune.add_argument
    add("model", metavar="MODEL", help="a name, see `list`; or the folder of a model that you trained")
    add("data", metavar="DATA", help="a folder with a folder of photos for each class, with or without train/ "
        "and val/ above them; or a table (CSV) of files and numbers or labels; or flowers5, which is "
        "bundled, or cifar10")

    add = tune.add_argument_group("what learns").add_argument
    add("--outputs", metavar="KIND", help="one (class), yes/no, several (classes at once) or numbers "
                                          "(default: what the data has)")
    add("--target", metavar="COLUMN", action="append", help="of a table: the column to learn; more than once "
                                                            "for several numbers (default: a column called "
                                                            "label, else all columns of numbers)")
    add("--epochs", type=_count, default=3, metavar="N", help="how often every photo is seen (default: 3)")
    add("--train", default="head", metavar="PART", help="head (the classifier alone: seconds), last_stage, or "
        "all (default: head)")
    add("--from-scratch", action="store_true", help="begin with random weights, not with trained ones")
    add("--size", type=_count, metavar="PIXELS", help="the side of the photos, where not the model's own")

    add = tune.add_argument_group("how it learns").add_argument
    add("--batch-size", type=_count, default=32, metavar="N", help="photos a batch (default: 32)")
    add("--lr", type=float, metavar="RATE", help="learning rate of the classifier (default: one that suits)")
    add("--body-lr", type=float, metavar="RATE", help="that of the body, where it learns (default: a tenth)")
    add("--optimizer", default="adamw", metavar="NAME", help="adamw, adam, sgd, or another of torch.optim "
        "(default: adamw)")
    add("--schedule", default="cosine", metavar="NAME", help="constant, step, cosine or one_cycle (default: "
        "cosine)")
    add("--augment", default="light", metavar="NAME", help="how photos are varied: none, light, standard, strong "
        "or cifar (default: light)")
    add("--balance", action="store_true", help="rare classes weigh more: all classes count alike")
    add("--patience", type=_count, metavar="N", help="stop after N epochs without a better one")
    add("--seed", type=int, default=0, metavar="N", help="draws the held-out photos, their order and variants "
        "(default: 0)")

    add = tune.add_argument_group("finer settings").add_argument
    for name, kind, sentence in FINER:
        metavar = {float: "X", int: "N", str: "NAME"}[kind]
        add(f"--{name}", type=_count if kind is int else kind, metavar=metavar, help=sentence)
    add("--no-cache", action="store_true", help="with --train head: look at every photo anew in each epoch")
    add("--device", metavar="NAME", help="such as cpu or cuda:1 (default: the GPU if there is one)")

    add = tune.add_argument_group("what is kept").add_argument
    add("--run-dir", type=_path, metavar="FOLDER", help="checkpoints and history (default: runs/MODEL-DATA, with "
        "a number where it is taken)")
    add("--resume", action="store_true", help="go on with the run in --run-dir, with the settings it had")
    add("--save", type=_path, metavar="FOLDER", help="the trained model for everyday use: safetensors, labels, "
        "card")
    add("--tensorboard", type=_path, metavar="FOLDER", help="curves for TensorBoard")
    add("--json", action="store_true", help="history and best epoch as JSON")
    tune.set_defaults(run=run_finetune, failed=1)


def _add_evaluate(commands: Any, every: argparse.ArgumentParser) -> None:
    judge = commands.add_parser(
        "evaluate", parents=[every], help="say how good a model is, and where it errs",
        usage=f"{PROGRAM} evaluate MODEL DATA [options]",
        description="Judge a model by photos whose classes, or numbers, are known. Exit code 1 if a photo "
                    "can't be read.")
    add = judge.add_argument
    add("model", metavar="MODEL", help="a name, see `list`; or the folder of a model that you trained")
    add("data", metavar="DATA", help="a folder with a folder of photos for each class, or a table (CSV) of "
                                     "files and numbers or labels, or flowers5, or cifar10")
    add("--target", metavar="COLUMN", action="append", help="of a table: the column to judge by; more than "
                                                            "once for several")
    add("--split", default="val", metavar="PART", help="val (the held-out photos), train or all (default: val)")
    add("--tta", action="store_true", help="look at the mirror image of each photo too: twice the time")
    add("--topk", type=_count, default=5, metavar="K", help="also count the K likeliest (default: 5)")
    add("--batch-size", type=_count, default=32, metavar="N", help="photos that go together (default: 32)")
    add("--seed", type=int, metavar="N", help="draws the held-out photos where nobody has split (default: as the "
        "model's training did, otherwise 0)")
    add("--json", action="store_true", help="all figures as JSON")
    add("--csv", type=_path, metavar="FILE", help="write a line for each photo: what is true, and what "
        "the model says")
    judge.set_defaults(run=run_evaluate, failed=1)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _path(text: str) -> Path:
    try:
        return given_path(text, "the path")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
        candidates = [wanted]
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
                write_whole(target, lambda new: shutil.copyfile(path, new))
            record[name] = shipped
        elif record.get(name) == shipped:
            sentences.append(f"You have changed {name}: it is kept. Rename or delete it to start afresh.")
        else:
            beside = _write_beside(path, target, shipped)
            sentences.append(f"You have changed {name}: it is kept. The new version is {beside.name} beside it.")
    write_text(record_file, json.dumps(record, indent=1))
    return sentences


def _write_beside(path: Path, target: Path, shipped: str) -> Path:
    """Copy `path` next to `target` under the first name that is free, or that already holds just this."""
    number = 1
    while True:
        suffix = f"-{__version__}" + (f"-{number}" if number > 1 else "")
        beside = target.with_stem(target.stem + suffix)
        if not beside.exists():
            write_whole(beside, lambda new: shutil.copyfile(path, new))
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
            raise CommandError(f"'{printable(pattern)}' is opened by its whole name: only timm/ and torchvision/ "
                               "can be listed.")
        if args.licence or args.here:
            raise CommandError(f"--licence and --here sort explorer's own names: leave them away with '{pattern}'.")
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
        cells = [(row["name"], _millions(row["parameters"]), str(row["year"] or "?"), row["family"]) for row in rows]
        print_columns([("name", "parameters", "year", "family"), *cells] if cells else [], right={1})
    else:
        print(*names, sep="\n", end="\n" if names else "")
    if not names:
        _complain("No model matches" + _nearest_names(args) + ".")
    return 0 if names else 1


def _under_licence(names: Sequence[str], licence: str) -> list[str]:
    """Those of the names that have published weights under the licence: "mit" is the table's "mit", in any case."""
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
    from explorer.data.folders import find_pictures
    from explorer.inspection.look.predicting import PredictionRow, predict
    from explorer.models.create import create_model

    folder = _is_folder(args.model)
    if not folder:
        _check_model_name(args.model)
    _check_no_addresses(args.photos)
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
        _complain(note)
    rows = [("photo", *(("number", "value") if table.numbers else ("class", "probability")))]
    for row in table:
        for rank, p in enumerate(row.predictions):
            rows.append((printable(row.name) if rank == 0 else "", p.label, p.text))
    if len(rows) > 1:
        print_columns(rows, right={2})
    for row in table.errors:
        _complain(printable(row.error))
    return 1 if table.errors else 0


# --- compare ------------------------------------------------------------------------------------------------


def run_compare(args: argparse.Namespace) -> int:
    from explorer.models.weights.packaged import names_here

    names = args.models or [name.partition(".")[0] for name in names_here()]
    for name in names:
        _check_model_name(name)
    _check_no_addresses(args.photos)
    for file in filter(None, (args.csv, args.answers, args.figure)):
        if not file.absolute().parent.is_dir():
            raise CommandError(f"There is no folder '{file.parent}' to write '{file.name}' into.")
    if args.figure is not None and args.figure.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise CommandError(f"A figure is a .png, .svg or .pdf file, not '{args.figure.name}'.")
    from explorer.inspection.compare.comparing import compare

    with _bar("passes") as progress:
        result = compare(names, args.photos[0] if len(args.photos) == 1 else args.photos, measure=args.speed,
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
    print_columns([columns, *([printable(text) for text in row] for row in rows)], right=set(range(1, len(columns))))
    answers = [("photo", *result.names)]
    for number, photo in enumerate(result.photos[:ANSWERS_SHOWN]):
        answers.append((printable(photo), *(printable(result.answer(i, number)) for i in range(len(result)))))
    print()
    print_columns(answers)
    if (left := len(result.photos) - ANSWERS_SHOWN) > 0:
        print(f"... and {left} more: --answers FILE writes all of them")
    for sentence in result.captions:
        _complain(printable(sentence))
    return 1 if result.problems else 0


# --- finetune -----------------------------------------------------------------------------------------------


def run_finetune(args: argparse.Namespace) -> int:
    from explorer.training.run.finetuning import finetune
    from explorer.training.run.listeners import TensorBoardListener, print_progress

    if args.resume and args.run_dir is None:
        raise CommandError("Which run should go on? Name its folder with --run-dir.")
    if args.save is not None:
        _check_free(args.save)
    wanted = [name.replace("-", "_") for name, _, _ in FINER] + ["patience"]
    settings = {name: getattr(args, name) for name in wanted if getattr(args, name) is not None}
    if args.balance:
        settings["class_weights"] = "balanced"
    if args.no_cache:
        settings["cache"] = False
    data = _table(args, args.outputs)
    listeners = [print_progress()]
    if args.tensorboard is not None:
        listeners.append(TensorBoardListener(args.tensorboard))
    model = _model_to_teach(args.model)
    folder = args.run_dir or _free_run_dir(args.model, args.data)
    run = finetune(
        model, data, outputs=args.outputs, epochs=args.epochs, train=args.train, lr=args.lr,
        body_lr=args.body_lr,
        batch_size=args.batch_size, optimizer=args.optimizer, schedule=args.schedule, augment=args.augment,
        seed=args.seed, run_dir=folder, resume=args.resume, pretrained=not args.from_scratch,
        input_size=None if args.size is None else (3, args.size, args.size), device=args.device,
        on_event=lambda event: [listener(event) for listener in listeners], **settings)
    asked = _wait(run)

    saved = None
    if not asked and args.save is not None:
        saved = str(run.save(args.save))
    if args.json:
        print(json.dumps({
            "name": run.name, "model": args.model, "data": args.data, "state": run.state, "labels": run.labels,
            "recipe": run.recipe.as_dict(), "history": run.history, "best": run.best, "notes": run.notes,
            "run_dir": str(folder), "saved": saved}, indent=1))
    elif run.best is not None:
        from explorer.training.loop.measures import best_text, measure_of

        figure, photos = best_text(run), f"{len(run.data.val)} photos"
        said = f"{figure} of {photos} right" if measure_of(run).share else f"{figure} over {photos}"
        print(f"Best epoch {run.best['epoch'] + 1} of {run.recipe.epochs}: {said}, loss "
              f"{run.best['val_loss']:.3f}.")
    if asked:
        _complain(f"Stopped. To go on: {_resume_command(args.words, folder)}")
        return 130
    if not args.json:
        where = saved or str(folder)
        judge = shlex.join([PROGRAM, "evaluate", where, args.data,
                            *(f"--target={name}" for name in args.target or ())])
        print(printable(f"The model is in {where}. Judge it: {judge}"))
    return 0


def _table(args: argparse.Namespace, outputs: str | None) -> Any:
    """The data as it was typed; with --target the table, of which these columns are learnt or judged."""
    if not args.target:
        return args.data
    from explorer.data.photo_tables import read_table

    return read_table(args.data, target=args.target, outputs=outputs)


def _wait(run: Any) -> bool:
    """Wait until the run has ended; True if a person ended it.

    Ctrl-C stops it behind the batch; a second one is not so patient.
    """
    asked = []

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, before[number])
        asked.append(number)
        run.stop(wait=False)
        _complain("stopping behind this batch ...")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while run.running:
            try:
                run.wait(0.5)  # in short turns: Windows hears no Ctrl-C in a long one
            except TimeoutError:
                pass
        run.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return bool(asked) and run.state == "stopped"


def _is_folder(text: str) -> bool:
    """Whether a model is given as its folder. A known name is a name, even where a folder is called alike."""
    from explorer.models.names import is_model, split_door

    if not text.strip():
        raise CommandError("The model's name is empty. Give a name, see `list`, or the folder of a trained model.")
    folder = given_path(text, "the model")
    if ("/" in text or os.sep in text) and not split_door(text)[0] and not folder.is_dir():
        raise CommandError(f"There is no folder '{text}'. Give the folder of a trained model, or a name: see "
                           "`list`.")
    return not is_model(text) and folder.is_dir()


def _check_model_name(text: str) -> None:
    """Raise ValueError for a name that nobody knows: a typing error shows before a minute of download.

    What is behind a door is known when it is opened. An old name gets a word on today's.
    """
    from explorer.models.names import check_name, split_door, word_on_old_name

    if not split_door(text)[0]:
        check_name(text)
        if word := word_on_old_name(text):
            _complain(word)


def _check_no_addresses(photos: Sequence[str]) -> None:
    for given in photos:
        if not given.strip():
            raise CommandError("A photo's name is empty: give a picture file, or a folder of them.")
        if re.match(r"\w+://", given):
            raise CommandError(f"'{printable(given)}' is an address on the web: download the photo first, then "
                               "give its file.")


def _model_to_teach(text: str) -> Any:
    """A name as it is; of a folder the model in it."""
    if not _is_folder(text):
        _check_model_name(text)  # before a folder is made for its run
        return text
    folder = given_path(text, "the model")
    if (folder / "config.json").is_file():
        return f"local-dir:{folder.resolve()}"
    from explorer.training.run.loading import load_run

    return load_run(folder).model


def _free_run_dir(model: str, data: str) -> Path:
    """runs/MODEL-DATA, or the first of runs/MODEL-DATA-2, -3, ... that holds no run."""
    parts = [re.sub(r"[^\w.-]+", "-", Path(text).name or text).strip("-.") for text in (model, data)]
    wanted = Path("runs", "-".join(filter(None, parts)) or "run")
    folder, number = wanted, 1
    while (folder / "history.jsonl").exists() or (folder / "last.pt").exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def _check_free(folder: Path) -> None:
    """What would stop `Run.save` is said before an hour of training, not after it."""
    from explorer.training.run.saving import check_free

    try:
        check_free(folder)
    except FileExistsError as error:
        raise CommandError(f"--save: {error}") from None


def _resume_command(words: Sequence[str], folder: Path) -> str:
    """The command that was typed, with --run-dir and --resume."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--run-dir":
            skip = True
        elif not word.startswith("--run-dir=") and word != "--resume":
            kept.append(word)
    return printable(shlex.join([PROGRAM, *kept, "--run-dir", str(folder), "--resume"]))


# --- evaluate -----------------------------------------------------------------------------------------------


def run_evaluate(args: argparse.Namespace) -> int:
    from explorer.training.evaluation.evaluating import evaluate
    from explorer.training.run.loading import load_run

    folder = _is_folder(args.model)
    if not folder:
        _check_model_name(args.model)
    model = load_run(args.model) if folder else args.model
    if args.csv is not None and not args.csv.absolute().parent.is_dir():
        raise CommandError(f"There is no folder '{args.csv.parent}' to write '{args.csv.name}' into.")
    config = getattr(getattr(model, "model", None), "config", None)
    data = _table(args, getattr(config, "outputs", "") or None)
    with _bar("photos") as progress:
        result = evaluate(model, data, batch_size=args.batch_size, tta=args.tta, topk=args.topk,
                          split=args.split, seed=args.seed, on_progress=progress)
    if args.csv is not None:
        result.to_csv(args.csv)
    if args.json:
        print(json.dumps(result.as_dict(), indent=1))
    else:
        for note in result.notes:
            _complain(printable(note))
        print(*map(printable, str(result).split("\n")), sep="\n")
    return 1 if result.broken else 0


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves a bar, in a terminal; elsewhere it says nothing."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    with tqdm(desc=what, file=sys.stderr, leave=False, dynamic_ncols=True, disable=hidden) as bar:
        def move(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield move
