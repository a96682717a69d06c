"""JupyterLab over a folder: the command that starts it, and a server that ends with this process."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from explorer.cli.given import typed_port
from explorer.cli.printing import CommandError


def add_server(command: argparse.ArgumentParser) -> None:
    """The options of a command that opens JupyterLab; what stands behind -- comes as `jupyter`."""
    command.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    command.add_argument("--port", type=typed_port,
                         help="port of the server (default: the first free one from 8888)")
    command.set_defaults(jupyter=[])


def check_installed(package: str, called: str) -> None:
    """Raise CommandError, with the cure, where a package is missing. called: its name in a sentence"""
    if importlib.util.find_spec(package) is None:
        python = Path(sys.executable).name
        raise CommandError(f"{called} is missing. Install it with `{python} -m pip install {package}`.")


def jupyter_command(folder: Path, opens: str, args: argparse.Namespace) -> list[str]:
    """opens: what comes behind /lab/tree/ in the address: a file of the folder"""
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{opens}",
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


def run_until_ctrl_c(command: list[str], folder: Path, **more: str) -> int:
    """Run a server until it ends or a person ends it; the server never outlives this process.
    more: variables of its environment, beside those of this process
    """
    server = subprocess.Popen(command, cwd=folder, env=kernel_environment() | more)

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


def markdown_as_pages() -> dict[str, str]:
    """The variable by which JupyterLab shows Markdown files as pages, not as the text they are written in.
    What its user has chosen comes first.
    """
    ours, theirs = Path(__file__).parent / "jupyter_settings", os.environ.get("JUPYTER_CONFIG_PATH")
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [theirs, str(ours)]))}


def kernel_environment() -> dict[str, str]:
    """This process's environment, for a server whose kernels are this very Python, with this explorer."""
    # not a kernel that was once installed for the user
    environment = {"JUPYTER_PREFER_ENV_PATH": "1", **os.environ}
    home = Path(__file__).resolve().parent.parent.parent
    if (home / "pyproject.toml").is_file():  # a checkout, perhaps not installed; kernels start elsewhere
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
    return environment


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
