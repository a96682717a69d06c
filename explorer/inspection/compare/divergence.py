"""How far apart the answers of several models are, in bits: the Jensen-Shannon divergence.

That of n distributions is the entropy of their mean less the mean of their entropies (Lin, Divergence
Measures Based on the Shannon Entropy, 1991): 0 where all give the same probabilities, log2(n) where no two
share a class. Only models of the same classes have distributions over the same things.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from explorer.models.outputs import Outputs

CHUNK = 256  # photos whose probabilities are in memory at a time


def jensen_shannon(shares: np.ndarray) -> np.ndarray:
    """The divergence in bits of M distributions, float64 [M, ..., K] -> [...], from 0 to log2(M).

    Each adds up to 1 over the last axis. Equal to the square of scipy's `jensenshannon` with base=2 for two.
    """
    mean = shares.mean(0)
    there = (shares > 0) & (mean > 0)  # what is 0 adds nothing; of the smallest numbers the mean may be 0
    ratio = np.divide(shares, mean, out=np.ones_like(shares), where=there)
    bits = (shares * np.log2(ratio, out=np.zeros_like(ratio), where=there)).sum(-1).mean(0)
    return np.clip(bits, 0.0, math.log2(len(shares)))


def of_one_kind(names: Sequence[str], keys: Sequence[Sequence[str]], outputs: Sequence[Outputs | None]
                ) -> tuple[list[int], list[tuple[str, str]]]:
    """(places of the models whose probabilities can be held against each other, (name, why) of the others).

    keys: of each model, what joins its classes with the others'. It is the largest group that knows the same
    classes, of two as large the first; none where it would be of one model.
    """
    able = [i for i, meaning in enumerate(outputs)
            if meaning is not None and not meaning.numbers and not meaning.several]
    groups = Counter(frozenset(keys[i]) for i in able)
    classes, count = groups.most_common(1)[0] if groups else (frozenset[str](), 0)
    together = [i for i in able if frozenset(keys[i]) == classes] if count > 1 else []
    first = names[together[0]] if together else ""
    left_out = []
    for i, name in enumerate(names):
        if i not in together and (together or i not in able):
            left_out.append((name, _why(outputs[i], f"it knows other classes ({len(keys[i]):,}) than {first} "
                                                    f"({len(classes):,}).")))
    return together, left_out


def _why(outputs: Outputs | None, otherwise: str) -> str:
    if outputs is None:
        return "it has no classifier."
    if outputs.numbers:
        return "it gives numbers, which have no probabilities."
    several = "it gives each class a share of its own, and these do not add up to 100 %."
    return several if outputs.several else otherwise


def divergences_of(logits: Sequence[np.ndarray], outputs: Sequence[Outputs], keys: Sequence[Sequence[str]]
                   ) -> np.ndarray:
    """The divergence of the models' answers to each photo, in bits: float64 [N].

    logits: [N, W] of each model, which may lie on the disk;  keys: of each, the same classes in any order
    """
    order = {key: place for place, key in enumerate(keys[0])}
    places = [np.argsort([order[key] for key in own]) for own in keys]
    parts = []
    for start in range(0, len(logits[0]), CHUNK):
        shares = []
        for raw, meaning, own in zip(logits, outputs, places):
            part = torch.from_numpy(np.array(raw[start:start + CHUNK], np.float64))
            shares.append(meaning.probabilities(part).numpy()[:, own])
        parts.append(jensen_shannon(np.stack(shares)))
    return np.concatenate(parts) if parts else np.empty(0)
