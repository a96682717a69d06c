"""What every command prints with: complaints, columns, a moving bar; and names as one line can show them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from explorer.display.words import sentence_of

PROGRAM = "vision-explorer"


class CommandError(Exception):
    """A sentence for the person at the keyboard."""


def complain(sentence: str) -> None:
    sys.stdout.flush()
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def sentence_for(error: Exception) -> str:
    """An exception in one line, without control characters."""
    sentence = str(error) if isinstance(error, CommandError) else sentence_of(
        error, unexpected="Unexpected {problem}. Run it again with --debug and report what it shows.")
    return printable(" ".join(sentence.split()))


def printable(text: str) -> str:
    """The text with control characters, line breaks and broken bytes spelt out: file names may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def print_columns(rows: Iterable[Sequence[str]], *, right: frozenset[int] | set[int] = frozenset()) -> None:
    """Rows of text in aligned columns, two spaces apart; the columns in `right` are aligned to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves a bar, in a terminal; elsewhere it says nothing."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    with tqdm(desc=what, file=sys.stderr, leave=False, dynamic_ncols=True, disable=hidden) as bar:
        def move(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield move
