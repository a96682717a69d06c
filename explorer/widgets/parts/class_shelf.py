"""Classes that are being collected: a card each, with a button that is held, small photos, and files dropped.

Photos come as messages, one at a time: the page sends the next when the last was taken. Small pictures go to
the page as messages too: nothing of them is kept or saved with the notebook, and a page that is loaded later
asks for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)

LARGEST_PHOTO = 8 * 10**6  # bytes of a photo from the page
MOST_TEXT = 400            # characters of a name, or of a folder's path
MOST_NUMBER = 2**53        # the largest that a page counts to
AT_ONCE = 100              # small pictures in a message


class ShelfView(ExplorerPart, files="class_shelf"):
    """Shows classes and their photos; what the reader does comes to the callbacks of ``on_act``.

    ``classes``: [{"name", "count"}] of each;  ``live``: whether a held button gets frames of the camera
    ``removed``: what Undo brings back, "" for nothing;  ``offer``: photos of a former session, in a sentence
    ``home``:    where the photos lie, in a sentence;  ``warnings``: sentences on what was collected
    """

    classes = t.List(t.Dict(), help="name and count of each class").tag(sync=True, echo_update=False)
    live = t.Bool(False, help="whether the camera is on").tag(sync=True)
    removed = t.Unicode("", help="what Undo brings back").tag(sync=True)
    offer = t.Unicode("", help="photos of a former session").tag(sync=True)
    home = t.Unicode("", help="where the photos lie").tag(sync=True)
    warnings = t.List(t.Unicode(), help="what to know of the photos").tag(sync=True)
    side = t.Int(1024, min=64, max=2048, help="longer side of a photo from a file").tag(sync=True)

    _said = t.Dict({"text": "", "error": False, "number": 0}).tag(sync=True, echo_update=False)

    def __init__(self, **kwargs):
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._pictures: dict[int, bytes] = {}
        self._lists: dict[str, tuple[list[int], list[int]]] = {}
        super().__init__(**kwargs)

    def on_act(self, **callbacks: Callable[..., None]) -> None:
        """What to call, in the thread of the message, which hands it on and returns:

        hold(name, on): a class's button is held, or let go
        photo(number, name, of, data): a file for the class `name`, or for one that is called so if `of` is
            False; to be answered with `took(number)`
        add(), rename(name, new), remove(name), drop(key), undo(): of classes and of a photo
        save(folder), load(folder), reopen(), dismiss(): of folders, and of what is offered
        """
        self._callbacks |= callbacks

    # --- what Python says -----------------------------------------------------------------------------------

    def show(self, photos: Mapping[str, Sequence[tuple[int, int]]], pictures: Mapping[int, bytes]) -> None:
        """The photos of these classes. photos: (key, burst) of each by class, in the order in which they came
        pictures: the bytes of a small JPEG by key, of those that are new
        """
        with self._lock:
            if self._closed:
                return
            self._pictures |= pictures
            for name, pairs in photos.items():
                self._lists[name] = [key for key, _ in pairs], [burst for _, burst in pairs]
            self._send_pictures(list(pictures))
            for name in photos:
                self._send_list(name)

    def clear(self) -> None:
        """Forget all photos: others take their place."""
        with self._lock:
            self._lists, self._pictures = {}, {}
            self._post({"kind": "anew"})

    def has(self, key: int) -> bool:
        """Whether the small picture of a photo is there."""
        return key in self._pictures

    def took(self, number: int, problem: str = "") -> None:
        """Say what became of a file, so that the page sends the next one."""
        self._post({"kind": "took", "number": number, "problem": problem})

    def let_go(self) -> None:
        """No button is held any more."""
        self._post({"kind": "let go"})

    def say(self, text: str, *, error: bool = False) -> None:
        """Tell the reader something under the cards."""
        with self._lock:
            if not self._closed:
                self._said = {"text": str(text), "error": bool(error), "number": self._said["number"] + 1}

    def _send_pictures(self, keys: Sequence[int]) -> None:
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start:start + AT_ONCE]
            sizes = [len(self._pictures[key]) for key in some]
            joined = b"".join(self._pictures[key] for key in some)
            self._post({"kind": "pictures", "keys": some, "sizes": sizes}, [joined])

    def _send_list(self, name: str) -> None:
        keys, bursts = self._lists[name]
        self._post({"kind": "list", "of": name, "keys": keys, "bursts": bursts})

    def _post(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        with self._lock:
            if not self._closed:
                self.send(content, list(buffers))

    # --- messages -------------------------------------------------------------------------------------------

    def _on_message(self, kind, content, buffers) -> None:
        if kind == "resync":
            with self._lock:
                self._send_pictures(list(self._pictures))
                for name in self._lists:
                    self._send_list(name)
        elif kind == "photo":
            self._take_photo(content, buffers)
        elif kind == "hold" and content.get("on") is not True and _text(content.get("of")):
            self._call("hold", content["of"], False)  # also of a class that is gone by now
        elif kind in ("hold", "rename", "remove") and self._known(content.get("of")):
            if kind == "hold":
                self._call("hold", content["of"], True)
            elif kind == "remove":
                self._call("remove", content["of"])
            elif (new := _text(content.get("name"))):
                self._call("rename", content["of"], new)
        elif kind == "drop" and type(content.get("key")) is int and self._shows(content["key"]):
            self._call("drop", content["key"])
        elif kind in ("save", "load") and (folder := _text(content.get("folder"))):
            self._call(kind, folder)
        elif kind in ("add", "undo", "reopen", "dismiss"):
            self._call(kind)
        else:
            super()._on_message(kind, content, buffers)

    def _take_photo(self, content, buffers) -> None:
        number, name = content.get("number"), _text(content.get("of"))
        if type(number) is not int or not 0 <= number < MOST_NUMBER:
            log.warning("%r: a photo without a number", self)
            return
        view = memoryview(buffers[0]) if buffers else memoryview(b"")
        known = content.get("known") is True
        if not name or (known and not self._known(name)):
            self.took(number, "There is no such class any more.")
        elif not 0 < view.nbytes <= LARGEST_PHOTO:
            self.took(number, "A photo arrived empty, or is too large.")
        else:
            self._call("photo", number, name, known, bytes(view))

    def _shows(self, key: int) -> bool:
        with self._lock:
            return any(key in keys for keys, _ in self._lists.values())

    def _known(self, name) -> bool:
        return isinstance(name, str) and any(one.get("name") == name for one in self.classes)

    def _call(self, what: str, *given: Any) -> None:
        if what not in self._callbacks:
            return
        try:
            self._callbacks[what](*given)
        except Exception:
            log.exception("a callback of %r failed", self)
            self.say("That could not be done; the log of the kernel says why.", error=True)

    def _release(self) -> None:
        self._callbacks.clear()
        self._pictures, self._lists, self.classes = {}, {}, []

    def __repr__(self) -> str:
        return f"ShelfView({', '.join(str(one.get('name')) for one in self.classes) or 'no class'})"


def _text(value: Any) -> str:
    """A text from the page; "" for what is none, empty or too long."""
    return value if isinstance(value, str) and value.strip() and len(value) <= MOST_TEXT else ""
