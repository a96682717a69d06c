"""Work that the reader watches: what is being done, how far it is, a button that stops it, why it failed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Compute, Job, Line, Runner, Show
from explorer.widgets.lifetime import close_whole


def busy_html(doing: str) -> str:
    """What is being done, before anybody knows how long it takes."""
    return f'<span class="vx-busy" role="status">{escape(doing)} …</span>'


def meter_html(done: int, total: int, what: str, more: str = "") -> str:
    """A bar, and "3 of 10 passes." beside it; `more` is a sentence behind that."""
    bar = f'<progress max="{total}" value="{done}" aria-label="{escape(what)}"></progress>'
    text = " ".join(filter(None, [f"{done:,} of {total:,} {escape(what)}.", more]))
    return f'<div class="vx-run-line">{bar} <span class="vx-soft" role="status">{text}</span></div>'


def usual_meter(job: Job, done: int, total: int, what: str) -> str:
    return meter_html(done, total, what, "Stopping." if job.stopped else "")


def said_html(text: str, *, wrong: bool = False) -> str:
    """A sentence under the controls: an alert, or a note. The text comes from outside and is escaped."""
    kind = 'class="vx-error" role="alert"' if wrong else 'class="vx-note" role="status"'
    return f"<div {kind}>{escape(text)}</div>" if text else ""


def notes_html(notes: Iterable[str]) -> str:
    """Sentences that a reader must know, each a note of its own."""
    return "".join(f'<div class="vx-note">{escape(note)}</div>' for note in notes)


class Work(Line):
    """progress, message, button: what the reader sees of it; a panel places them where it likes.

    sentence: what to say of an error
    busy:     called under the lock, with True when work begins, and False when nothing is wanted any more
    meter:    HTML for (job, done, total, what) in place of the usual bar
    """

    def __init__(self, runner: Runner, *, long: bool = True, tooltip: str = "",
                 sentence: Callable[[Any], str] = sentence_of,
                 busy: Callable[[bool], None] = lambda running: None,
                 meter: Callable[[Job, int, int, str], str] = usual_meter):
        super().__init__(runner, long=long, failed=self._failed, told=self._told, over=self._rest)
        self.sentence, self.busy, self.meter = sentence, busy, meter
        self.progress, self.message = W.HTML(), W.HTML()
        auto = W.Layout(width="auto")
        self.button = W.Button(description="Stop", disabled=True, layout=auto, tooltip=tooltip)
        self.button.on_click(lambda _: self.stop())

    def start(self, compute: Compute, show: Show | None = None, *, key: Hashable = None,
              long: bool | None = None, doing: str = "") -> Job:
        """As `Line.start`; `doing` stands there until the job says how far it is."""
        with self.lock:  # which the job takes to say anything: it does so after us
            job = super().start(compute, show, key=key, long=long)
            if not self.closed:
                self.progress.value = busy_html(doing) if doing else ""
                self.button.disabled = False
                self.busy(True)
            return job

    def drop(self) -> None:
        with self.lock:
            super().drop()
            self._rest()

    def close(self) -> None:
        """End it, and remove what the reader sees of it, placed in a panel or not."""
        super().close()
        close_whole(self.progress, self.message, self.button)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Put a sentence under the controls, in place of the one before; nothing once the panel is closed."""
        with self.lock:
            if not self.closed:
                self.message.value = said_html(text, wrong=wrong)

    def _failed(self, error: BaseException) -> None:
        self.say(self.sentence(error), wrong=True)

    def _told(self, job: Job, done: int, total: int, what: str) -> None:
        self.progress.value = self.meter(job, done, total, what)

    def _rest(self) -> None:
        if not self.closed:
            self.progress.value, self.button.disabled = "", True
            self.busy(False)
