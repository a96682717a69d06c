"""`vision-explorer tour`: copy the notebooks to a folder and open the tour in JupyterLab."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from explorer import __version__
from explorer.cli.given import typed_path, typed_port
from explorer.cli.printing import CommandError, printable
from explorer.files import write_text, write_whole

TOUR_FOLDER = "vision-explorer-tour"
TOURS = {"en": "tour.ipynb", "zh": "tour_zh.ipynb"}
RECORD = ".vision-explorer.json"  # in the tour's folder: what was copied, to tell whether a person changed it


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    tour = commands.add_parser("tour", parents=[every], help="open the guided tour in JupyterLab",
                               description="Copy the notebooks to a folder of yours and open the tour in "
                               "JupyterLab. What stands behind -- goes to JupyterLab as it is.")
    tour.add_argument("--to", type=typed_path, metavar="FOLDER",
                      help=f"where to (default: {TOUR_FOLDER} here, or at home where this is read-only)")
    tour.add_argument("--lang", choices=TOURS, default="en",
                      help="the language of the tour that is opened: en, or zh, Chinese (default: en)")
    tour.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    tour.add_argument("--port", type=typed_port,
                      help="port of the server (default: the first free one from 8888)")
    tour.set_defaults(run=run, jupyter=[])


def run(args: argparse.Namespace) -> int:
    from explorer.data.samples import notebooks_dir

    if importlib.util.find_spec("jupyterlab") is None:
        python = Path(sys.executable).name
        raise CommandError(f"JupyterLab is missing. Install it with `{python} -m pip install jupyterlab`.")
    folder = tour_folder(args.to)
    for sentence in copy_notebooks(notebooks_dir(), folder):
        print(printable(sentence))
    where = printable(str(folder))
    print(f"The notebooks are in {where}. JupyterLab opens {TOURS[args.lang]}; Ctrl-C ends it.", flush=True)
    return _run_until_ctrl_c(jupyter_command(folder, args), folder)


def jupyter_command(folder: Path, args: argparse.Namespace) -> list[str]:
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{TOURS[args.lang]}",
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
                write_whole(target, partial(shutil.copyfile, path))
            record[name] = shipped
        elif record.get(name) == shipped:
            sentences.append(f"You have changed {name}: it is kept. Rename or delete it to start afresh.")
        else:
            beside = _write_beside(path, target, shipped)
            sentences.append(f"You have changed {name}: it is kept. "
                             f"The new version is {beside.name} beside it.")
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
    home = Path(__file__).resolve().parent.parent.parent
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
