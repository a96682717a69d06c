"""Memory that is kept for the next pass, in place of being fetched from the system again.

glibc, the C library of most Linux systems, gives every large piece of memory back as soon as it is free. A
network's maps are such pieces, so each pass asks the system for all of them anew, page by page: 3,800 page
faults in one pass of a small network, up to half of its time. Two thresholds say from which size on that
happens, and how much free memory may lie around; both are 256 MiB here while somebody works: `keep()`, until
as many `give_back()` have followed.

It concerns the whole process, which then keeps up to that much more: so `import explorer` alone never does
it, only the app, the commands and runs. On Linux with glibc; elsewhere, and with EXPLORER_FAST=0, nothing
happens.

mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from explorer._teams import wanted

KEPT = 256 * 2**20  # bytes
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt
# Where glibc's own thresholds, which grow by use, end on 64 bit.
_USUAL = {_MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20}

_guard = threading.Lock()
_users = 0


def keep() -> None:
    """Keep freed memory for the next pass, until `give_back`."""
    global _users
    library = _glibc()
    if library is None or not wanted():
        return
    with _guard:
        _users += 1
        if _users == 1:
            if not library.mallopt(_MMAP_THRESHOLD, KEPT):  # glibc before 2.35 takes its own largest at most
                library.mallopt(_MMAP_THRESHOLD, _USUAL[_MMAP_THRESHOLD])
            library.mallopt(_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """The end of one `keep`; the last gives the free memory to the system."""
    global _users
    library = _glibc()
    with _guard:
        if library is None or not _users:
            return
        _users -= 1
        if not _users:
            for threshold, size in _USUAL.items():
                library.mallopt(threshold, size)
            library.malloc_trim(0)


def trim() -> None:
    """Give free memory to the system now: nobody computes for a while."""
    library = _glibc()
    if library is not None and active():
        library.malloc_trim(0)


@contextmanager
def kept() -> Iterator[None]:
    """`keep()` for the `with` block."""
    keep()
    try:
        yield
    finally:
        give_back()


def active() -> bool:
    """Whether somebody has memory kept at the moment."""
    return _users > 0


def possible() -> bool:
    """Whether `keep` does anything here."""
    return wanted() and _glibc() is not None


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(library, name)
    except (OSError, AttributeError, TypeError):  # macOS and musl lack the names, Windows the library
        return None
    return library
