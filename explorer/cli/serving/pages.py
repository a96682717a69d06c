"""The pages that Voilà does not write: who may come in, and what is said where no dashboard can be shown.

All are sentences in plain HTML: they ask for no script, no font and no other address.
"""

from __future__ import annotations

import hmac
import re
from html import escape
from typing import Any

import tornado.ioloop
import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.login import LoginFormHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

LOADS = 300  # seconds for a page's scripts over a bad network; after them it has left
RETRY = 3  # seconds after which a full house is asked again: who reloads finds the own place taken, too
_KERNEL = re.compile(r'"kernelId": ?"([\w-]+)"')
_HOST = re.compile(r"[\w.:\[\]-]+")


def sentence_page(sentence: str, *, more: str = "", retry: int | None = None) -> str:
    """A page that says one thing. more: HTML behind it;  retry: seconds until the page is asked for again."""
    again = f'<meta http-equiv="refresh" content="{retry}">' if retry else ""
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>explorer</title>{again}'
            '<meta name="viewport" content="width=device-width">'
            '<meta name="color-scheme" content="light dark">'
            '<link rel="icon" href="data:,"></head>'
            '<body style="font-family:system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em">'
            f"<h1>explorer</h1><p>{escape(sentence)}</p>{more}</body></html>")


def only_this_server(host: str) -> str:
    """The Content-Security-Policy by which a browser itself refuses every other address.

    host: of the request, with its port; some browsers want a websocket's address in full
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
            f"font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:{sockets}; "
            "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'")


class Token(IdentityProvider):
    """Whoever has the token may come in. How alike a wrong one is can't be found out by the clock."""

    def get_token(self, handler: tornado.web.RequestHandler) -> str | None:
        given = super().get_token(handler) or ""
        return self.token if self._is_it(given) else None

    def process_login_form(self, handler: tornado.web.RequestHandler) -> User | None:
        typed = handler.get_argument("password", default="")
        return self.generate_anonymous_user(handler) if self._is_it(typed) else None

    def _is_it(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


class Said:
    """A handler whose errors are a sentence, without a word of how it came to it."""

    @property
    def content_security_policy(self) -> str:
        return only_this_server(self.request.host)

    def write_error(self, status_code: int, **_: Any) -> None:
        words = {404: "There is no such page here.", 403: "This may not be asked for."}
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(sentence_page(words.get(status_code, "The app could not answer. Reload the page; where "
                                                         "that does not help, start the app again.")))


class Door(Said, LoginFormHandler):
    """The page for those who come without the token, or with a wrong one."""

    def _render(self, message: Any = None) -> None:
        self.set_status(403)
        form = ('<form method="post"><label>Token <input name="password" type="password" autocomplete="off" '
                f'required></label> <button>Come in</button>{self.xsrf_form_html()}</form>')
        self.finish(sentence_page("The address lacks the token, or it is a wrong one: take the whole "
                                  "address that was printed where the app was started, or type its token.",
                                  more=form))

    @allow_unauthenticated
    def post(self) -> None:
        user = self.current_user = self.identity_provider.process_login_form(self)
        if user is None:
            self._render()
            return
        self.identity_provider.set_login_cookie(self, user)
        self.redirect(self.base_url)


class Channels(VoilaKernelWebsocketHandler):
    """A page's way to its kernel. That it has come is noted: a bad network may cut it off, and it returns."""

    async def open(self, kernel_id: str) -> None:
        self.settings["voila"].seen.add(kernel_id)
        await super().open(kernel_id)


class Page(Said, TornadoVoilaHandler):
    """The dashboard: a kernel of its own for each visitor, as long as there is room for one.

    Who leaves before the page is there, or reloads it, gives the place back: the page can't say so yet.
    """

    _left = False

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._left = True

    @tornado.web.authenticated
    async def get(self, path: str | None = None) -> None:
        if path:
            raise tornado.web.HTTPError(404)
        app = self.settings["voila"]
        if not app.has_room():
            self.set_status(503)
            self.finish(sentence_page(
                f"All places are taken: {app.visitors} dashboards are open, and this computer was told to "
                "hold no more. This page tries again every few seconds. Whoever started the app can start "
                f"it with more room: vision-explorer app --visitors {2 * app.visitors}.", retry=RETRY))
            return
        self.xsrf_token  # noqa: B018 (sets its cookie: with it a page that is closed ends its kernel)
        app.arriving += 1
        arrived, kernel = False, None
        try:
            async for html in self.get_generator(path=path):
                if not arrived:  # the kernel is there, and counted, before the first words
                    arrived, app.arriving = True, app.arriving - 1
                kernel = kernel or _KERNEL.search(html)
                if not self._left:
                    self.write(html)
                    self.flush()
        finally:  # a page that broke off gives its place back, too
            app.arriving -= not arrived
            if kernel is not None:
                seconds = 0 if self._left else LOADS
                tornado.ioloop.IOLoop.current().call_later(seconds, app.end_unseen, kernel[1])
