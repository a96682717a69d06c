"""What is wrong with photos that somebody collected, before a network learns from them: sentences.

    explorer.embed("tf_efficientnet_lite0", "my_classes").advice()
    # ["The classes are uneven: cup has 60 photos and pen 12. Collect more of pen.", ...]

Whether two photos are nearly the same picture is told by the cosine of their vectors, not by a hash of their
pixels. Measured with tf_efficientnet_lite0: two frames of one scene, held still or trembling, have 0.93 to
0.99, two photos of one kind of flower at most 0.72, and another small object before the same background at
most 0.91, where difference hashes of 64 bits differ by 0 to 5 bits in both cases.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from explorer.data.bursts import of_one_burst, one_burst
from explorer.data.folders import listed
from explorer.display.words import counted
from explorer.inspection.features.judging import bursts_in, units_in
from explorer.inspection.features.result import Features
from explorer.inspection.features.vectors import normalised

UNEVEN = 2.0   # the largest class has so many times the photos of the smallest
FEW = 10       # photos of a class
NEAR = 0.93    # cosine from which two photos are nearly the same picture
SAME = 0.9     # share of a class's photos that are like another of its photos, from which it is said
MOST = 3000    # photos that are held against each other, at most: a table of 9 million cosines


def advice_on_counts(counts: Mapping[str, int]) -> list[str]:
    """On classes that have too few photos, or far fewer than others. counts: photos of each class."""
    there = {name: count for name, count in counts.items() if count}
    said = []
    missing = [name for name, count in counts.items() if not count]
    if missing:
        said.append(f"There are no photos of {listed(missing)}: collect some, or delete the class.")
    few = [name for name, count in there.items() if count < FEW]
    if few:
        least = min(few, key=there.__getitem__)
        them = f"{listed(few)} {'has' if len(few) == 1 else 'have'}"
        said.append(f"{them} few photos ({least}: {there[least]}): {FEW} or more of each, from several sides "
                    "and at several places, tell more.")
    if there:
        most, least = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
        if there[most] >= UNEVEN * there[least] and there[most] >= FEW:
            said.append(f"The classes are uneven: {most} has {counted(there[most], 'photo')} and {least} "
                        f"{there[least]}, so in doubt the answer is {most}. Collect more of {least}.")
    return said


def advice_on_photos(features: Features) -> list[str]:
    """On classes that have one burst, and on photos that are nearly the same picture: in a class, in two
    bursts of one, and, worse, in two classes.
    """
    if features.labels is None or not len(features):
        return []
    labels, classes = features.labels.numpy(), features.classes
    bursts = bursts_in(features)
    alone = of_one_burst(units_in(bursts), labels.tolist(), classes)
    said = [one_burst(alone)] if alone else []
    if not 2 <= len(features) <= MOST:
        return said
    unit = normalised(np.nan_to_num(features.embeddings))
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    near = cosines >= NEAR
    other = labels[:, None] != labels[None]
    if other.any() and near[other].mean() > 0.5:
        return [*said, f"{features.model_name} sees nearly the same in photos of all classes: come nearer, "
                       "so that the thing fills the picture, or choose a model with trained weights."]
    return [*said, *_across(features, cosines, near & other), *_within(features, near & ~other, bursts)]


def _across(features: Features, cosines: np.ndarray, near: np.ndarray) -> list[str]:
    """One sentence for each two classes that share a picture, the nearest pair named."""
    labels, said = features.labels.numpy(), []
    for first in range(len(features.classes)):
        for second in range(first + 1, len(features.classes)):
            ours, theirs = np.flatnonzero(labels == first), np.flatnonzero(labels == second)
            if not near[np.ix_(ours, theirs)].any():
                continue
            i, j = np.unravel_index(cosines[np.ix_(ours, theirs)].argmax(), (len(ours), len(theirs)))
            said.append(f"{features.classes[first]} and {features.classes[second]} have nearly the same "
                        f"picture ({features.names[ours[i]]}, {features.names[theirs[j]]}): delete it from "
                        "the class that it does not belong to.")
    return said


def _within(features: Features, near: np.ndarray, bursts: np.ndarray) -> list[str]:
    labels, said = features.labels.numpy(), []
    for label, name in enumerate(features.classes):
        mine = np.flatnonzero(labels == label)
        if len(mine) < 3:
            continue
        of_mine = near[np.ix_(mine, mine)]
        apart = bursts[mine][:, None] != bursts[mine][None]
        if np.mean(of_mine.sum(1) >= 0.9 * (len(mine) - 1)) > SAME:
            said.append(f"The {counted(len(mine), 'photo')} of {name} are nearly one picture: turn it, move "
                        "it and change what is behind it while you collect.")
        elif apart.any() and (of_mine & apart).any(1).mean() > 0.5:
            said.append(f"Bursts of {name} show nearly the same picture, so its score will be too good: take "
                        "one from another side, at another place.")
    return said
