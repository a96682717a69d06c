"""Files that hold the same bytes, as a photo that was copied into two folders."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

MOST_COMPARED = 5000        # files of equal size whose contents are compared, at most
MOST_BYTES = 128 * 1024**2  # and so many bytes of them


def same_bytes(files: Sequence[Path]) -> tuple[list[list[int]], bool]:
    """(groups of indices of files with the same contents, whether all were compared).

    Only files of equal size are read, `MOST_COMPARED` and `MOST_BYTES` of them at most. A file that can't be
    read equals none.
    """
    sizes: dict[int, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        try:
            sizes[file.stat().st_size].append(index)
        except OSError:
            continue
    left, room, whole = MOST_COMPARED, MOST_BYTES, True
    groups: list[list[int]] = []
    for size, members in sizes.items():
        if len(members) < 2 or not size:
            continue
        if len(members) > left or len(members) * size > room:
            whole = False
            continue
        left, room = left - len(members), room - len(members) * size
        found: dict[bytes, list[int]] = defaultdict(list)
        for index in members:
            try:
                with open(files[index], "rb") as file:
                    found[hashlib.file_digest(file, "sha256").digest()].append(index)
            except OSError:
                continue
        groups += [group for group in found.values() if len(group) > 1]
    return sorted(groups), whole
