"""`vision-explorer app`: the dashboard as a page in a browser, for a class, served by Voilà."""

from __future__ import annotations

import argparse
import contextlib
import errno
import ipaddress
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from explorer._threads import cpu_count
from explorer.cli.given import DEFAULT_MODEL, check_model_name, is_folder, typed_count, typed_path, typed_port
from explorer.cli.jupyter import check_installed, kernel_environment
from explorer.cli.printing import CommandError, complain, printable
from explorer.files import given_path

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 8866, 50
PER_VISITOR = 0.7  # GB of memory that a kernel with its dashboard takes
MOST_VISITORS = 40
IDLE = 30  # minutes
OPEN_NETWORK = ("Whoever gets this address can use the dashboard, and with it open folders of this computer "
                "and write files, as you can. What is sent is not encrypted: use it in a network that you "
                "trust.")


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    app = commands.add_parser(
        "app", parents=[every], help="serve the dashboard to a class, as a page in a browser",
        description="Serve the dashboard with Voilà. The address that is printed holds a token; each visitor "
                    "has a kernel and a folder for what is trained and collected, which go when the page is "
                    "closed. No code can be sent to a kernel, but a visitor can do in the dashboard what you "
                    "can: name folders of this computer for its tabs to read, and places to write to. Give "
                    "the address to those whom you trust with that. The pages load from this computer alone.")
    add = app.add_argument
    add("--photos", type=typed_path, metavar="FOLDER", help="photos to choose from (default: explorer's own)")
    add("--model", default=DEFAULT_MODEL, metavar="NAME",
        help=f"the model to begin with, see `list`; or the folder of a model that you trained (default: "
             f"{DEFAULT_MODEL})")
    add("--host", default=HOST, metavar="ADDRESS",
        help=f"0.0.0.0 serves everybody in your network (default: {HOST}, this computer alone)")
    add("--port", type=typed_port, help=f"port of the server (default: the first free one from {FIRST_PORT})")
    add("--visitors", type=typed_count, metavar="N",
        help=f"dashboards at a time (default: as many as this computer's free memory holds at {PER_VISITOR} "
             f"GB each, {MOST_VISITORS} at most)")
    add("--idle", type=typed_count, default=IDLE, metavar="MINUTES",
        help=f"end the kernel of a visitor who does nothing for so long (default: {IDLE})")
    add("--no-browser", action="store_true", help="print the address, open no browser")
    app.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_installed("voila", "Voilà")
    photos, model = _photos(args.photos), _model(args.model)
    visitors = args.visitors or _room()
    token = secrets.token_urlsafe(18)
    os.environ.update(kernel_environment())
    # Many kernels share the processors: more threads in all would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // visitors)))
    from explorer.cli.serving.server import serve

    sockets = _bound(args.host, args.port)
    port = sockets[0].getsockname()[1]
    address = f"http://{_reached_at(args.host)}:{port}/?token={token}"

    def ready(private: Path) -> None:
        print(f"The dashboard is at {address}")
        print(f"Up to {visitors} visitors at a time; Ctrl-C ends it for all.", flush=True)
        if not _is_loopback(args.host):
            complain(OPEN_NETWORK)
        if not args.no_browser:
            _in_background(_open_browser, address, private)

    serve(sockets, token=token, photos=photos, model=model, visitors=visitors, idle=args.idle, ready=ready,
          debug="debug" in args)
    return 0


def _photos(folder: Path | None) -> Path | None:
    """The folder as every visitor can open it. Raises CommandError or ValueError where it holds no photo."""
    if folder is None:
        return None
    if not folder.is_dir():
        raise CommandError(f"There is no folder '{folder}': --photos takes a folder with pictures.")
    from explorer.widgets.gallery import gallery

    gallery(folder)
    return folder.absolute()


def _model(text: str) -> str:
    if is_folder(text):
        return str(given_path(text, "the model").absolute())
    check_model_name(text)
    return text


def _room() -> int:
    """How many dashboards the free memory holds; half of all memory where a system does not tell what is
    free, and 4 where it tells nothing.
    """
    from explorer.machine import memory

    if (known := memory()) is not None:
        free = known[1]
    else:
        try:
            free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        except (OSError, ValueError, AttributeError):
            return 4
    return max(1, min(MOST_VISITORS, int(free / 1e9 / PER_VISITOR)))


def _bound(host: str, port: int | None) -> Sequence[socket.socket]:
    """Sockets that listen: at this port or none, at the first free one where `port` is None."""
    from explorer.cli.serving.server import bind

    if not host.strip():  # which would be every address, without the word of it
        raise CommandError("--host is empty: leave it out, or give 0.0.0.0.")
    for number in [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return bind(host, number)
        except (OSError, UnicodeError) as error:  # a host that no name server could be asked for
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                reason = getattr(error, "strerror", None) or "this is no name of a computer"
                raise CommandError(f"Nothing can be served at '{host}', port {number} ({reason}): leave "
                                   "--host out, or give 0.0.0.0, or a port from 1024 up.") from None
    if port:
        raise CommandError(f"Port {port} is taken: leave --port out, or give another one.")
    raise CommandError(f"The ports from {FIRST_PORT} on are taken: give another one with --port.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reached_at(host: str) -> str:
    """The host as it stands in an address; for "every address of this computer", one that others reach."""
    with contextlib.suppress(ValueError):
        given = ipaddress.ip_address(host)
        if given.is_unspecified:
            host = _own_address(given.version)
        if given.version == 6:
            return f"[{host}]"
    return host


def _own_address(version: int) -> str:
    """This computer's address in its network, which no packet is sent for.
    version: 4 or 6; who listens to the one is not reached at the other
    """
    # addresses that nobody has (RFC 5737 and 3849); UDP greets nobody
    family, nobody = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}[version]
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as s:
        s.connect((nobody, 9))
        return s.getsockname()[0]
    return socket.gethostname() if version == 4 else "::1"


def _in_background(call: Callable[..., None], *given: Any) -> None:
    """A browser in the terminal goes on until its reader ends it, and the app has to answer meanwhile."""
    threading.Thread(target=call, args=given, daemon=True).start()


def _open_browser(address: str, private: Path) -> None:
    """Through a file that only this user can read: the list of processes shows what a browser was given."""
    page = private / "open.html"
    text = f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">'
    try:
        page.write_text(text, encoding="utf-8")
        opened = webbrowser.open(page.as_uri())
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        print(printable("No browser could be opened: open the address yourself."), flush=True)
