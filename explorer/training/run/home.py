"""What a run is taken home as: one HTML file that runs what was learnt in any browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class HasLivePage:
    """A run, also one that was opened from a folder: it can be written as a live page."""

    def live_page(
        self, path: str | os.PathLike, *, photos: Any = None, maps: str | Sequence[str] = "all",
        precision: str = "float16", runtime: str | os.PathLike | None = None, gpu: bool = False,
    ) -> Path:
        """Write the page that runs this model in a browser: `explorer.live_page(run, path, ...)`."""
        from explorer.inspection.live.page import live_page

        run: Any = self
        return live_page(run, path, photos=photos, maps=maps, precision=precision, runtime=runtime, gpu=gpu)
