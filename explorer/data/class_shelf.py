"""Photos that are collected class by class: a folder of class folders that grows while somebody collects.

    shelf = ClassShelf(folder)
    shelf.add_class("mug")
    shelf.add("mug", jpeg, burst=shelf.new_burst())   # on the disk at once, whole or not at all
    shelf.photos("mug")                               # [ShelfPhoto(...), ...]
    shelf.save("my_classes")                          # from here on, that folder is its home

A file is called `burst-0003-007.jpg`: the seventh frame of the third burst. Frames of one burst are nearly
the same picture, so whoever judges keeps a burst together; a photo that came alone is its own burst.
Each file that is written here says so in a comment inside: nothing else is ever moved or deleted, nothing is
overwritten, and links are not followed.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.data.bursts import burst_numbers
from explorer.data.collection import existing_folder
from explorer.data.folder_names import folder_name, free_name, same_name
from explorer.data.folders import listed, printable, why_passed_over
from explorer.data.shelf_bin import Removed, put_away
from explorer.data.shelf_files import ShelfPhoto, copy_whole, is_ours, marked_jpeg, photo_name, read_classes
from explorer.data.shelf_homes import discard_home, discard_later
from explorer.display.words import counted
from explorer.files import given_path, make_folder, write_new, writing

MOST_CLASSES = 40
MOST_PHOTOS = 4000


@dataclass
class _Class:
    name: str
    photos: list[ShelfPhoto]


class ClassShelf:
    """The classes, their photos, and the folder they lie in. May be used from any thread.

    folder: its home, which need not be there yet: it is made with the first photo
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(os.path.abspath(given_path(folder, "folder")))
        self.lock = threading.RLock()
        self._classes: list[_Class] = []
        self._keys, self._burst = itertools.count(1), 0
        self._removed: Removed | None = None
        self.left_out: tuple[str, ...] = ()  # sentences on what lies in an opened folder and is not taken

    # --- what there is --------------------------------------------------------------------------------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, which are those of their folders, in the order in which they were added."""
        with self.lock:
            return tuple(one.name for one in self._classes)

    @property
    def counts(self) -> dict[str, int]:
        with self.lock:
            return {one.name: len(one.photos) for one in self._classes}

    def __len__(self) -> int:
        return sum(self.counts.values())

    def photos(self, name: str) -> tuple[ShelfPhoto, ...]:
        """Those of a class, in the order in which they came. Raises ValueError for no class."""
        with self.lock:
            return tuple(self._find(name).photos)

    def find(self, key: int) -> tuple[str, ShelfPhoto] | None:
        """(class, photo) of a key; None where it is gone."""
        with self.lock:
            return next(((one.name, photo) for one in self._classes for photo in one.photos
                         if photo.key == key), None)

    def _find(self, name: str) -> _Class:
        found = next((one for one in self._classes if one.name == name), None) or \
            next((one for one in self._classes if same_name(one.name, name)), None)
        if found is None:
            raise ValueError(f"There is no class {name!r}; there is {listed(self.classes) or 'none yet'}.")
        return found

    # --- classes --------------------------------------------------------------------------------------------

    def add_class(self, name: str = "") -> str:
        """Add a class; the name that it has, as a folder's. Without one: "Class 3", the next that is free.

        Raises ValueError for a name that is taken, or means another thing among folders of photos.
        """
        with self.lock:
            if len(self._classes) >= MOST_CLASSES:
                raise ValueError(f"{MOST_CLASSES} classes are the most that are collected here.")
            name = self._new_name(name) if name else free_name("Class", ["Class", *self.classes]) \
                if self._classes else "Class 1"
            self._classes.append(_Class(name, []))
            return name

    def class_called(self, name: str) -> str:
        """The class of a folder of that name, added where there is none; those that have a number for a name
        and no photo yet make room. Raises ValueError where there are too many.
        """
        try:
            wanted = folder_name(name)
        except ValueError:  # such as "photos", as folders of one class may be called
            wanted = folder_name(f"class {name}")
        with self.lock:
            found = next((one for one in self.classes if same_name(one, wanted)), None)
            if found is not None:
                return found
            self._classes = [one for one in self._classes
                             if one.photos or not re.fullmatch(r"Class \d+", one.name)]
            return self.add_class(wanted)

    def rename_class(self, name: str, new: str) -> str:
        """Call a class, and its folder, otherwise; the name it has then. Raises ValueError, DiskError."""
        with self.lock:
            one = self._find(name)
            new = self._new_name(new, but=one)
            if new == one.name:
                return new
            before, after = self.folder / one.name, self.folder / new
            if os.path.lexists(before):
                if os.path.lexists(after) and not same_name(one.name, new):
                    raise ValueError(f"There is a file or folder {new!r} in '{self.folder}' already: choose "
                                     "another name.")
                with writing(after):
                    before.rename(after)
            if self._removed is not None and not self._removed.whole and self._removed.name == one.name:
                self._removed = replace(self._removed, name=new)
            one.name = new
            one.photos = [replace(photo, path=after / photo.path.name) for photo in one.photos]
            return new

    def _new_name(self, name: str, but: _Class | None = None) -> str:
        new = folder_name(name)
        for one in self._classes:
            if one is not but and same_name(one.name, new):
                raise ValueError(f"There is a class {one.name!r} already (capitals do not tell classes "
                                 "apart).")
        return new

    # --- photos ---------------------------------------------------------------------------------------------

    def new_burst(self) -> int:
        """A number for the photos that are taken in one go from here on."""
        with self.lock:
            self._burst += 1
            return self._burst

    def add(self, name: str, data: bytes, burst: int | None = None) -> ShelfPhoto:
        """Write a photo into a class.

        data: a picture file, not to be trusted; one that is no JPEG becomes one
        burst: of `new_burst`; None: it came alone

        Raises ImageError for what is no picture, ValueError where there is no such class or no
        more room, DiskError where it can't be written: then nothing has changed.
        """
        content = marked_jpeg(data)
        with self.lock:
            one = self._find(name)
            if len(self) >= MOST_PHOTOS:
                raise ValueError(f"{MOST_PHOTOS:,} photos are the most that are collected here.")
            burst = self.new_burst() if burst is None else burst
            folder = self._class_folder(one)
            number = 1 + sum(photo.burst == burst for photo in one.photos)
            while True:
                path = folder / photo_name(burst, number)
                if write_new(path, content):
                    break
                number += 1
            photo = ShelfPhoto(next(self._keys), path, burst, own=True)
            one.photos.append(photo)
            return photo

    def _class_folder(self, one: _Class) -> Path:
        """Where photos of a class are written: a folder that is really there, not behind a link."""
        folder = make_folder(self.folder) / one.name
        if folder.is_symlink():
            raise ValueError(f"'{folder}' is a link by now: nothing is written behind it.")
        return make_folder(folder)

    # --- taking away, and bringing back ---------------------------------------------------------------------

    def remove(self, key: int) -> None:
        """Take a photo away, until `undo`. Raises ValueError for a file that was not collected here."""
        with self.lock:
            found = self.find(key)
            if found is None:
                return
            one = self._find(found[0])
            self._take_away(one, [found[1]], whole=False)

    def remove_class(self, name: str) -> None:
        """Take a class with its photos away, until `undo`.

        Raises ValueError where its folder holds files that were not collected here.
        """
        with self.lock:
            one = self._find(name)
            folder = self.folder / one.name
            known = {photo.path.name for photo in one.photos if photo.own}
            with suppress(OSError):
                strange = sorted(name for name in {*os.listdir(folder)} - known if not why_passed_over(name))
                if strange:
                    raise ValueError(f"'{folder}' holds files that were not collected here "
                                     f"({printable(strange[0])}): take that folder away yourself, and open "
                                     "the others again.")
            self._take_away(one, one.photos, whole=True)

    def _take_away(self, one: _Class, photos: Sequence[ShelfPhoto], *, whole: bool) -> None:
        strange = next((photo for photo in photos if not is_ours(photo.path)), None)
        if strange is not None and os.path.lexists(strange.path):
            raise ValueError(f"{printable(strange.path.name)} was not collected here, so it stays: take it "
                             "away yourself, and open the folder again.")
        bin = put_away(self.folder, photos)
        self.forget_removed()
        place = self._classes.index(one) if whole else one.photos.index(photos[0])
        self._removed = Removed(place, one.name, tuple(photos), whole, bin)
        keys = {photo.key for photo in photos}
        one.photos = [photo for photo in one.photos if photo.key not in keys]
        if whole:
            with suppress(OSError):
                (self.folder / one.name).rmdir()
            self._classes.remove(one)

    @property
    def removed(self) -> str:
        """What `undo` would bring back, in words; "" where there is nothing."""
        with self.lock:
            return str(self._removed or "")

    def undo(self) -> str:
        """Bring back what was taken away last; the name of its class, "" where there is nothing.

        Raises ValueError, DiskError: then nothing has changed.
        """
        with self.lock:
            gone = self._removed
            if gone is None:
                return ""
            new = gone.whole or gone.name not in self.classes
            one = _Class(free_name(gone.name, [*self.classes]), []) if new else self._find(gone.name)
            back = gone.take_back(self._class_folder(one)) if gone.photos else []
            if new:
                self._classes.insert(gone.place if gone.whole else len(self._classes), one)
            place = gone.place if one.photos else 0
            one.photos[place:place] = back
            self.forget_removed()
            return one.name

    def forget_removed(self) -> None:
        """Delete what `undo` would bring back."""
        with self.lock:
            if self._removed is not None:
                self._removed.forget()
            self._removed = None

    # --- its home -------------------------------------------------------------------------------------------

    def forget_lost(self) -> int:
        """Forget the photos whose files are gone, such as with a folder that somebody deleted; how many."""
        with self.lock:
            before = len(self)
            for one in self._classes:
                one.photos = [photo for photo in one.photos if os.path.lexists(photo.path)]
            return before - len(self)

    def save(self, folder: str | os.PathLike, *, still_read: bool = False) -> Path:
        """Put the collection into a folder, all of it or nothing; from here on that is its home.

        folder: a new one, or an empty one. Raises ValueError for one that holds anything, and where there is
        no photo yet, DiskError where it can't be written: then the photos stay where they are.
        still_read: whether something in this process reads the photos where they were, such as a run that
        has learnt from them: a working folder is deleted later then
        """
        target = Path(os.path.abspath(given_path(folder, "folder")))
        with self.lock:
            self.forget_lost()
            if target == self.folder and len(self):
                return target
            if not len(self):
                raise ValueError("There is no photo to save yet: collect some first.")
            empty = target.is_dir() and not target.is_symlink() and not any(os.scandir(target))
            if os.path.lexists(target) and not empty:
                raise ValueError(f"'{target}' is there already, and nothing in it is overwritten: give a new "
                                 "folder, or load that one and collect into it.")
            copy_whole({one.name: [photo.path for photo in one.photos] for one in self._classes}, target)
            self.forget_removed()
            before, self.folder = self.folder, target
            for one in self._classes:
                one.photos = [replace(photo, path=target / one.name / photo.path.name)
                              for photo in one.photos]
            (discard_later if still_read else discard_home)(before)
            return target

    def load(self, folder: str | os.PathLike) -> None:
        """Take the photos of a folder of class folders, in place of those that are there; it is home now.

        Of a class folder the pictures in it are taken, not those in folders below; nothing behind a link.
        What is not taken is said in `left_out`. Raises DataError for no folder, one that can't be read, and
        one whose class folders are deeper inside.
        """
        home = Path(os.path.abspath(existing_folder(folder)))
        found, left_out = read_classes(home)
        with self.lock:
            classes, keys, room = [], itertools.count(next(self._keys)), MOST_PHOTOS
            bursts = burst_numbers([file for _, files in found for file in files])
            for name, files in found[:MOST_CLASSES]:
                photos = [ShelfPhoto(next(keys), file, bursts[file], is_ours(file)) for file in files[:room]]
                room -= len(photos)
                classes.append(_Class(name, photos))
            left = list(left_out)
            more = sum(len(files) for _, files in found) - (MOST_PHOTOS - room)
            if more:
                left.append(f"{counted(more, 'photo')} more {'is' if more == 1 else 'are'} left out: "
                            f"{MOST_CLASSES} classes and {MOST_PHOTOS:,} photos are the most.")
            self.forget_removed()
            self.folder, self._classes, self._keys = home, classes, keys
            self._burst = max(bursts.values(), default=0)
            self.left_out = tuple(left)
