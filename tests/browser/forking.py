"""Kernels that begin with torch and explorer imported: each is forked off one process that has imported them.

A kernel by itself needs three seconds to import them, and more than one to end. A forked one shares nothing
with other kernels either: it begins as a copy of a process in which nothing but imports has run.

    with forked_kernels(env, folder) as env: ...    # what JupyterLab must be started with

This file is run in two ways: as the process that forks (`SOCKET`), and as what Jupyter starts and ends for
each kernel (`SOCKET -f CONNECTION_FILE`), which asks the first one for a kernel and ends with it.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FDS = (0, 1, 2)  # a kernel writes where what Jupyter started would


@contextlib.contextmanager
def forked_kernels(env: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """`env` with a `python3` kernel in it that is forked; unchanged where a system can't fork.

    folder: an empty one, which the `with` block needs.
    """
    if not hasattr(os, "fork"):
        yield env
        return
    address = folder / "kernels.socket"
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    asking = [sys.executable, "-S", "-E", __file__, str(address), "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": asking, "display_name": "Python 3", "language": "python"}))
    process = subprocess.Popen([sys.executable, __file__, str(address)], env=env, stdout=subprocess.PIPE)
    try:
        if not process.stdout.readline():
            raise RuntimeError("the process that forks kernels ended before it was ready")
        yield {**env, "JUPYTER_PATH": str(folder)}  # which comes before every other place of kernels
    finally:
        process.kill()
        process.wait()


def serve(address: str) -> None:
    """Import what kernels import, then fork one for each that asks."""
    import gc

    import ipykernel.kernelapp  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    import explorer

    explorer.Dashboard, explorer.create_model, explorer.finetune, torch.nn  # noqa: B018  # these are lazy
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel that has ended
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    gc.freeze()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            become_kernel(connection)
        connection.close()


def become_kernel(connection: socket.socket) -> None:
    """In the forked process: take over what the asking one has, and be a kernel until it ends."""
    import atexit
    import threading

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    _, fds, *_ = socket.recv_fds(connection, 1, len(FDS))
    asked = json.loads(connection.makefile("rb").readline())
    for own, given in zip(FDS, fds):
        os.dup2(given, own)
        os.close(given)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.environ.pop("JPY_PARENT_PID", None)  # the parent is another one: see `end_with_it`
    os.chdir(asked["cwd"])
    sys.argv = ["ipykernel_launcher.py", *asked["argv"]]
    connection.sendall(array.array("l", [os.getpid()]).tobytes())

    def end_with_it() -> None:
        connection.recv(1)  # nothing is ever sent: the asking process has ended
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_it, daemon=True).start()
    code = 1
    try:
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance()
        code = 0
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


def ask(address: str, argv: list[str]) -> None:
    """What Jupyter starts as a kernel: ask for one, hand signals on to it, end when it ends."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    told = json.dumps({"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)})
    socket.send_fds(connection, [b"k"], FDS)
    connection.sendall(told.encode() + b"\n")
    pid = array.array("l", connection.recv(array.array("l").itemsize))[0]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    connection.recv(1)


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) == 2 else ask(sys.argv[1], sys.argv[2:])
