"""What is asked in lessons 13 and 14: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import Number, Tried, called

# --- lesson 13: choosing a backbone ---------------------------------------------------------------------

#: name, milliseconds, megabytes, top-1; and what a row that is off the front, or on it, may be taken for
CANDIDATES = (
    ([("a", 10, 20, 70.0), ("b", 20, 40, 80.0)], "ab", "Dearer and better: neither beats the other."),
    ([("a", 10, 20, 70.0), ("b", 20, 40, 70.0)], "a", "As good and dearer: b is off."),
    ([("slow", 30, 5, 75.0), ("large", 10, 50, 75.0), ("both", 30, 50, 75.0)], ("slow", "large"),
     "What is small may be slow: sorted by one cost alone, the other is forgotten."),
    ([("a", 10, 20, 70.0), ("a2", 10, 20, 70.0)], ("a", "a2"), "Of two equal rows neither is better."),
    ([("z", 30, 30, 90.0), ("y", 20, 30, 80.0), ("x", 10, 30, 70.0)], "zyx", "The order is the list's."),
    ([("a", 20, 20, 80.0), ("b", 10, 20, 80.0), ("c", 20, 10, 80.0), ("d", 10, 10, 79.9)], "bcd",
     "Better in one and equal in the others is enough to beat a row."),
    ([("one", 1, 1, 1.0)], ("one",), "Whoever is alone is on the front."),
)


def _on_the_front(function: Any) -> str:
    for rows, right, words in CANDIDATES:
        found = called(function, list(rows))
        if not isinstance(found, list | tuple) or list(found) != list(right):
            return f"For {rows} it gives {found!r}. {words} What is meant is a list of names."
    return ""


#: seconds, photos in a batch, passes to warm up, photos a second
PASSES = (
    ([0.5, 0.5, 0.5], 1, 0, 2, "Two passes of half a second, two photos."),
    ([0.5, 0.5, 0.5], 8, 0, 16, "A pass has a whole batch of photos."),
    ([9.0, 3.0, 0.5, 0.5, 0.5], 1, 2, 2, "The first passes are to warm up: they don't count."),
    ([0.5, 0.5, 7.0, 0.5, 0.5], 1, 0, 2, "One pass was disturbed: that moves a mean, not the median."),
    ([0.4, 0.1, 0.2, 0.5, 0.3], 3, 0, 10, "The median is the middle one of the sorted."),
    ([7.0, 0.1, 0.3], 2, 1, 10, "Of an even number the median is half way between the two in the middle."),
)


def _photos_per_second(function: Any) -> str:
    for seconds, batch, warm_up, right, words in PASSES:
        found = float(called(function, list(seconds), batch, warm_up))
        if not abs(found - right) < 1e-6 * right:
            return (f"For {seconds}, {batch} photos in a pass and {warm_up} passes to warm up it gives "
                    f"{found:.4g}, and it should be {right}. {words}")
    return ""


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "13.1": Tried(_on_the_front),
    "13.2": Tried(_photos_per_second),
    "13.3": Number("59365889d322ef8b", digits=3, slips={
        "4321cda722857582": "That is one side. B might have lost as clearly: as uneven, either way.",
        "e460850fd4f651d4": "That is 4 of 16 exactly. 3, 2, 1 and 0 would be even more uneven.",
        "c3e82db0734926fe": "That is by chi-squared, for many photos. Here are 16: count the throws of the coin.",
        "ea96c32ce3028627": "Are 154 and 162 the photos that count? They include those that both are right about.",
    }, hint="How many is A alone right about, and how many B? The function of section 9 takes these two."),
}
