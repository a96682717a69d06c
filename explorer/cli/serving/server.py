"""Voilà for one dashboard: a kernel a visitor, bounded in number, and nothing else to be had from here."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.web
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from voila.app import Voila
from voila.static_file_handler import AllowListFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from explorer.cli.serving.pages import Channels, Door, Page, Token
from explorer.cli.serving.visitor import write_notebook

LARGEST_MESSAGE = 32 * 10**6  # bytes of one message from a page; its parts send 8 MB at most
LARGEST_BODY = 10**5          # bytes of a form: there is only the token's
#: What a page loads of JupyterLab's extensions; others of this computer's user stay away.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]


class Kernels(AsyncMappingKernelManager):
    """Kernels that write nothing to the terminal in which the app was started."""

    async def _async_start_kernel(self, **kwargs: Any) -> str:
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        kwargs.setdefault("stderr", subprocess.DEVNULL)
        return await super()._async_start_kernel(**kwargs)

    start_kernel = _async_start_kernel  # as the class above has it


class App(Voila):
    """Voilà with our own rules in place of the files by which its user may have set it up."""

    visitors = 1        # kernels at a time
    arriving = 0        # visitors whose kernel is not there yet
    sockets: Sequence[socket.socket] = ()  # bound already
    ready: Callable[[], None] = staticmethod(lambda: None)

    def has_room(self) -> bool:
        return len(self.kernel_manager.list_kernel_ids()) + self.arriving < self.visitors

    async def end_unseen(self, kernel: str) -> None:
        """End the kernel of that id, unless a page has come to it."""
        if kernel in self.kernel_manager and kernel not in self.seen:
            with contextlib.suppress(KeyError, tornado.web.HTTPError):  # it has just ended
                await self.kernel_manager.shutdown_kernel(kernel)

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """None: a setting for other notebooks could open a door here."""

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths.insert(0, str(Path(__file__).parent / "template"))

    def init_settings(self) -> dict[str, Any]:
        self.seen: set[str] = set()  # kernels to which their page has come
        settings = super().init_settings()
        self.identity_provider.login_handler_class = Door
        return settings

    def init_handlers(self) -> list[Any]:
        """Voilà's, without its files, and with our page and its way to the kernel."""
        left_out = AllowListFileHandler, self.identity_provider.logout_handler_class  # a token has no log-out
        handlers = [handler for handler in super().init_handlers() if handler[1] not in left_out]
        ours = {TornadoVoilaHandler: Page, VoilaKernelWebsocketHandler: Channels}
        return [(route, ours.get(kind, kind), *more) for route, kind, *more in handlers]

    def listen(self) -> None:
        """Serve until Ctrl-C, or until the process is asked to end."""
        server = tornado.httpserver.HTTPServer(self.app, max_body_size=LARGEST_BODY)
        server.add_sockets(self.sockets)
        self.ioloop = tornado.ioloop.IOLoop.current()
        self.ioloop.add_callback(self.ready)
        try:
            self.ioloop.start()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()
            self.stop()


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen there. Raises OSError where they can't."""
    return tornado.netutil.bind_sockets(port, host)


def serve(sockets: Sequence[socket.socket], *, token: str, photos: Path | None, model: str, visitors: int,
          idle: int, ready: Callable[[Path], None], debug: bool = False) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM; no kernel and no file is left behind.

    sockets: bound and listening;  photos: the gallery's folder, None for explorer's own
    idle:    minutes after which the kernel of a visitor who does nothing ends, open page or not
    ready:   called with a private folder when the app answers
    debug:   show what Voilà and the kernels write
    """
    private = Path(tempfile.mkdtemp(prefix="vision-explorer-app-"))  # for this user's eyes alone
    kept = {number: signal.getsignal(number) for number in _endings()}

    def end(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    try:
        for number in kept:  # until the app can end by itself
            signal.signal(number, end)
        app = _app(write_notebook(private, photos=photos, model=model), token, visitors, idle, debug)
        app.sockets, app.ready = sockets, lambda: ready(private)
        app.initialize([])
        for number in kept:
            signal.signal(number, app._handle_signal_stop)
        app.start()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            shutil.rmtree(private)


def _endings() -> list[signal.Signals]:
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _app(notebook: Path, token: str, visitors: int, idle: int, debug: bool) -> App:
    level = logging.INFO if debug else logging.CRITICAL
    for name in ("tornado.access", "tornado.application", "tornado.general"):
        logging.getLogger(name).setLevel(level)
    app = App(log_level=level)
    app.notebook_path, app.connection_dir_root = str(notebook), str(notebook.parent)
    app.open_browser, app.token = False, token
    app.identity_provider_class = Token
    headers = {"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
    app.tornado_settings = {"websocket_max_message_size": LARGEST_MESSAGE, "headers": headers}
    app.visitors = visitors
    page, kernels = app.config.VoilaConfiguration, app.config.MappingKernelManager
    page.show_tracebacks, page.strip_sources = debug, True
    page.allow_template_override = page.allow_theme_override = "NO"
    page.file_allowlist, page.extension_allowlist = [], EXTENSIONS
    if not debug:
        page.multi_kernel_manager_class = Kernels
    kernels.cull_idle_timeout, kernels.cull_interval = 60 * idle, min(60, 30 * idle)
    kernels.cull_connected = True  # a forgotten tab takes a place
    app.config.KernelRestarter.restart_limit = 0  # another kernel would not know the page's dashboard
    return app
