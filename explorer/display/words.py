"""Words for a person: shares, numbers, counts, durations, "did you mean", and the sentence for an error.

    counted(3, "photo")                      # "3 photos"
    did_you_mean("resnet5O", names)          # " Did you mean 'resnet50'?"
    sentence_of(error)                       # explorer's own sentence as it is; torch's in other words

The one answer to each: command line, results in a notebook, panels and cluster all ask here.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable

# --- numbers --------------------------------------------------------------------------------------------


def percent(share: float | None, *, missing: str = "not a number") -> str:
    """0.6132 -> "61.3 %"; `missing` for None and for what is no number (NaN)."""
    return missing if share is None or share != share else f"{100 * share:.1f} %"


def number_text(value: float) -> str:
    """A number that a model gives, with four digits: 12.34, 0.001234, 1.234e+06."""
    return f"{value:.4g}" if value == value else "not a number"


def counted(number: int, thing: str, ending: str = "s") -> str:
    """ "1 photo", "1,234 photos"; ending: what makes the thing's plural, e.g. "es" for a pass."""
    return f"{number:,} {thing}{ending if number != 1 else ''}"


def seconds_text(seconds: float) -> str:
    """How long something takes, roughly: "0.04 s", "12 s", "5 min", "1.5 h"."""
    if seconds < 1:
        return f"{max(seconds, 0.01):.1g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def milliseconds(seconds: float) -> str:
    """A time that was measured: 0.0214 -> "21.4 ms", 2.5 -> "2.50 s"."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def megabytes(count: int | None) -> str:
    """18576032 -> "18.6 MB" (of a million bytes); "" for None."""
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


# --- names ----------------------------------------------------------------------------------------------


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key that puts "resnet18" before "resnet101", and "photo2" before "photo10"."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text.lower())]


def nearest(word: str, known: Iterable[str], count: int = 1, *, cutoff: float = 0.6) -> list[str]:
    """Those of the known words that look most like this one, at most `count`, the nearest first."""
    import difflib  # not above: it is for what is wrong, and a list of names is there sooner

    return difflib.get_close_matches(word, list(known), n=count, cutoff=cutoff)


def did_you_mean(word: str, known: Iterable[str], count: int = 1, *, cutoff: float = 0.6) -> str:
    """A hint behind a sentence: " Did you mean 'resnet50' or 'resnet34'?", "" where nothing is near."""
    return meant(nearest(word, known, count, cutoff=cutoff))


def meant(names: Iterable[str]) -> str:
    """The hint that names these, each once; "" for none."""
    names = list(dict.fromkeys(names))
    return f" Did you mean {' or '.join(map(repr, names))}?" if names else ""


# --- errors ---------------------------------------------------------------------------------------------

#: What torch, CUDA, the CPU's allocators of Linux and Windows, and MPS say where memory is short.
SHORT_OF_MEMORY = ("out of memory", "can't allocate", "cannot allocate memory",
                   "not enough memory: you tried", "alloc_failed")
#: What explorer says then, and where it has no sentence of its own.
SCARCE = "There is not enough memory for that. Close other notebooks, or choose a smaller model."
UNEXPECTED = "That did not work ({problem}). The log of the kernel says more."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short, of the computer or of the GPU, in whosever words."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    text = str(error).lower()
    return any(words in text for words in SHORT_OF_MEMORY)


def is_told(error: BaseException) -> bool:
    """Whether the error's own text is a sentence for a person.

    True for explorer's own classes, and for the kinds in which it, Python and the libraries say what was
    wrong with an argument, a file or an installation. Others tell of a mistake in the program: for the log.
    """
    own = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    kinds = (ValueError, TypeError, IndexError, OSError, ImportError)
    return bool(str(error)) and (own or isinstance(error, kinds))


def sentence_of(error: BaseException, *, scarce: str = SCARCE, unexpected: str = UNEXPECTED) -> str:
    """What went wrong, for a person.

    scarce:     what is said where memory was short
    unexpected: what is said where the error's own text is not for a person; "{problem}" in it becomes its
                kind and the first line of its text
    """
    if is_out_of_memory(error):
        return scarce
    if isinstance(error, ModuleNotFoundError) and str(error).startswith("No module named"):
        return f"The Python package {error.name!r} is missing. Install explorer again with pip."
    if is_told(error):
        return str(error)
    lines = str(error).strip().splitlines() or ["no message"]
    return unexpected.format(problem=f"{type(error).__name__}: {lines[0][:200]}")
