"""The exercises of the course: `check` says whether an answer is right, and gives none away.

    from exercises import check
    answer = ...
    check("1.1", answer)        # Exercise 1.1: not answered yet. Put your answer in place of the three dots.

The right answers are in the files beside this one as hashes alone, and as functions that try an answer out:
see `checking.py`. They are worked out, with reasons, in `solutions.ipynb`.
"""

from __future__ import annotations

from typing import Any

import exercises_1_to_4
import exercises_5_to_8
import exercises_9_to_10
import exercises_11_to_12
import exercises_13_to_14
from checking import OPEN, RIGHT, WRONG, Checked, NoFunction, NotYet

DOTS = "Put your answer in place of the three dots."
EXERCISES: dict[str, Any] = (exercises_1_to_4.EXERCISES | exercises_5_to_8.EXERCISES
                             | exercises_9_to_10.EXERCISES | exercises_11_to_12.EXERCISES
                             | exercises_13_to_14.EXERCISES)


def check(exercise: str | float, answer: Any = ...) -> Checked:
    """Whether an answer to the exercise with this number, such as "1.1", is right. Never raises."""
    exercise = str(exercise)
    asked = EXERCISES.get(exercise)
    if asked is None:
        return Checked(exercise, WRONG, f"There is no such exercise. There are: {', '.join(EXERCISES)}.")
    if answer is ... or answer is None:
        return Checked(exercise, OPEN, DOTS)
    try:
        right, words = asked.judge(exercise, answer)
    except NotYet as missing:
        return Checked(exercise, OPEN, str(missing) or DOTS)
    except NoFunction as error:
        return Checked(exercise, WRONG, str(error))
    except Exception as error:  # of a student's function, or of an answer of a strange kind
        return Checked(exercise, WRONG, f"Trying it out ended with {type(error).__name__}: {error}")
    return Checked(exercise, RIGHT if right else WRONG, words)
