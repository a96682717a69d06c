"""How much two boxes overlap, by hand: what a course writes first."""

from __future__ import annotations

from collections.abc import Sequence


def intersection_over_union(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes share, divided by the area that they cover together: 0 to 1.

    one, other: left, top, right, bottom in pixels. Boxes without area give 0.
    """
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    shared = max(0.0, float(right - left)) * max(0.0, float(bottom - top))
    areas = [max(0.0, float(box[2] - box[0])) * max(0.0, float(box[3] - box[1])) for box in (one, other)]
    together = sum(areas) - shared
    return shared / together if together > 0 else 0.0
