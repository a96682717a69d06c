"""What all tests share."""

from __future__ import annotations

import os

# Before torch is imported: tests run small models, on which a second thread only waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may wait for a hub that a classroom can't reach either.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
