"""How an answer to an exercise is judged without holding the right one: kinds of answers for `exercises.py`.

A number or a word is held against a hash of the right one, so reading these files gives nothing away. A
function is called with values for which the result is known.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from typing import Any

RIGHT, WRONG, OPEN = "right", "not right yet", "not answered yet"
COLOURS = {RIGHT: "#4a8fd9", WRONG: "#d9804a", OPEN: "#888888"}


@dataclass(frozen=True)
class Checked:
    """What is said of an answer: RIGHT, WRONG or OPEN, and words on what to think of. Shown as a line."""

    exercise: str
    said: str
    words: str = ""

    def __bool__(self) -> bool:
        return self.said == RIGHT

    def __repr__(self) -> str:
        return f"Exercise {self.exercise}: {self.said}. {self.words}".rstrip()

    def _repr_html_(self) -> str:
        style = f"margin:.3em 0;padding:.2em .6em;border-left:4px solid {COLOURS[self.said]}"
        return (f"<p style='{style}'><b>Exercise {escape(self.exercise)}: {self.said}.</b> "
                f"{escape(self.words)}</p>")


class NotYet(Exception):
    """A function gave the three dots, or nothing: it is not written yet. Its text may say what is missing."""


class NoFunction(Exception):
    """A function is asked for, and this is something else. Its text says what to give."""


@dataclass(frozen=True)
class Number:
    """An answer that is a number.

    right:  the hash of the right one, see `number_hash`;  digits: behind the point that count
    slips:  the hash of a mistake that people make -> what to think of
    """

    right: str
    digits: int = 0
    slips: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

    def judge(self, exercise: str, answer: Any) -> tuple[bool, str]:
        answer = answer.item() if hasattr(answer, "item") else answer  # a tensor of one number
        if isinstance(answer, bool) or not isinstance(answer, Real) or not math.isfinite(answer):
            return False, f"A number is meant, and this is {_kind(answer)}."
        # 0.8949 and 0.8951 are one answer: it must not matter on which side a computer's rounding ends.
        scaled = round(float(answer) * 10 ** self.digits, 3)
        near = {hashed(exercise, whole) for whole in (math.floor(scaled), math.ceil(scaled))}
        slip = next((words for mistake, words in self.slips.items() if mistake in near), self.hint)
        return (True, "") if self.right in near else (False, slip)


@dataclass(frozen=True)
class Words:
    """An answer in words, of which letters and digits count alone; or a list of answers, in their order."""

    right: str
    slips: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

    def judge(self, exercise: str, answer: Any) -> tuple[bool, str]:
        parts = [answer] if isinstance(answer, str) else answer
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            return False, f"Words in quotes are meant, and this is {_kind(answer)}."
        given = hashed(exercise, _letters(parts))
        return (True, "") if given == self.right else (False, self.slips.get(given, self.hint))


@dataclass(frozen=True)
class Tried:
    """An answer that is tried out, mostly a function.

    trial: takes the answer; gives "" where it is right, else what is wrong with it. It may raise
    """

    trial: Callable[[Any], str]

    def judge(self, exercise: str, answer: Any) -> tuple[bool, str]:
        words = self.trial(answer)
        return not words, words


def called(function: Any, *given: Any) -> Any:
    """What a student's function gives; raises NotYet where that is nothing or the three dots.

    Raises NoFunction where it is none, mostly what the function gave, in its place.
    """
    if not callable(function):
        raise NoFunction(f"A function is meant: its name, without brackets. This is {_kind(function)}.")
    found = function(*given)
    if found is None:
        raise NotYet("Your function gives nothing back: is there a `return`?")
    if found is ...:
        raise NotYet
    return found


def whole(value: Any) -> int | None:
    """A whole number, NumPy's and torch's too, as Python's; None for another thing, and for True and False."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def number_hash(exercise: str, number: float, digits: int = 0) -> str:
    return hashed(exercise, round(number * 10 ** digits))


def words_hash(exercise: str, *words: str) -> str:
    return hashed(exercise, _letters(words))


def hashed(exercise: str, answer: int | str) -> str:
    return hashlib.sha256(f"{exercise} {answer}".encode()).hexdigest()[:16]


def _letters(words: Any) -> str:
    return " ".join("".join(letter for letter in word.casefold() if letter.isalnum()) for word in words)


def _kind(answer: Any) -> str:
    return f"{answer}" if isinstance(answer, float) else f"of the type {type(answer).__name__}"
