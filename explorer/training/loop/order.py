"""Who comes when, and what chance draws: decided by seed, epoch and batch, and by nothing else."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def drawn_by(*seeds: int) -> Iterator[None]:
    """The global randomness of torch, numpy and Python drawn by these numbers alone, for the `with` block;
    then it is as it was.

    A batch needs no memory of the ones before it: a resumed run draws what the unbroken one would have, also
    in an augmentation of somebody's own.
    """
    number = int.from_bytes(hashlib.sha256(repr(seeds).encode()).digest()[:8], "big")
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        if devices or torch.backends.mps.is_available():
            torch.manual_seed(number)
        else:  # which notes each call with its place in the program, for a GPU that may come: a millisecond
            torch.default_generator.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def order_of(count: int, seed: int, epoch: int) -> list[int]:
    """The order of `count` photos in an epoch."""
    with drawn_by(seed, epoch, -1):
        return torch.randperm(count).tolist()


def batches_of(count: int, size: int) -> list[range]:
    """The places of each batch in an epoch's order. A last lone photo joins the batch before: BatchNorm can't
    take one.
    """
    parts = [range(i, min(i + size, count)) for i in range(0, count, size)]
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [range(parts[-2].start, count)]
    return parts
