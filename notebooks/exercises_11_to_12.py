"""What is asked in lessons 11 and 12: see `exercises.py`."""

from __future__ import annotations

from typing import Any

EXERCISES: dict[str, Any] = {}
