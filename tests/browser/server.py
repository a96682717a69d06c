"""A JupyterLab and a Chromium that know nothing of this user, for the tests and for tests/benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    # a made-up camera, granted without a question
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]

# JupyterLab's settings, as if the user had chosen them.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # keep every cell in the DOM
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
}

# Where Jupyter keeps what belongs to its user.
FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
}


def heeds_ctrl_c() -> None:
    """For `preexec_fn` of Popen: a shell that starts the tests in the background has told them not to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def private_folders(base: Path) -> dict[str, str]:
    """This process's environment, but with new folders below `base` for what belongs to Jupyter's user."""
    env = dict(os.environ)
    for variable, name in FOLDERS.items():
        (base / name).mkdir(mode=0o700)
        env[variable] = str(base / name)
    return env


def find_chromium() -> str | None:
    """EXPLORER_CHROMIUM, or the first Chromium or Chrome on the PATH."""
    chosen = os.environ.get("EXPLORER_CHROMIUM")
    names = [chosen] if chosen else ["chromium", "chromium-browser", "google-chrome", "chrome"]
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def serving(env: dict[str, str], root: Path, log: Path) -> Iterator[tuple[str, Path, Path]]:
    """(URL, folder, settings folder) of a JupyterLab over the folder `root`, for the `with` block.

    env: what `private_folders` gave. Its kernels are this interpreter's.
    """
    settings = Path(env["JUPYTERLAB_SETTINGS_DIR"])
    for plugin, value in LAB_SETTINGS.items():
        file = settings / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value), encoding="utf-8")
    port = int(os.environ.get("EXPLORER_LAB_PORT", 0)) or _free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=", "--ServerApp.password=",
        f"--ServerApp.root_dir={root}", "--expose-app-in-browser", "--ServerApp.terminals_enabled=False",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--ServerApp.disable_check_xsrf=True",
    ]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, cwd=root, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_http(url + "/api/status", process, log)
        yield url, root, settings
    finally:
        process.terminate()  # it ends its kernels, then itself
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _wait_http(url: str, process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer. The server's log ends in:\n{log.read_text()[-4000:]}")
