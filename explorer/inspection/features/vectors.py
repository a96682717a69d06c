"""Vectors that many photos have: their length taken away, and the distances between them."""

from __future__ import annotations

import numpy as np

BLOCK = 4096        # vectors that are in memory at a time


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows [N, D] at length 1, float32; rows of zeros stay."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def cosine_distances(vector: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """1 - cosine of one vector [D] with each row of [N, D] -> [N] float32, a block of rows at a time."""
    query = normalised(np.asarray(vector)[None])[0]
    parts = [1 - normalised(vectors[start:start + BLOCK]) @ query for start in range(0, len(vectors), BLOCK)]
    return np.maximum(np.concatenate(parts), 0) if parts else np.zeros(0, np.float32)
