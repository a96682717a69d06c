"""What is asked in lessons 13 and 14: see `exercises.py`."""

from __future__ import annotations

from typing import Any

EXERCISES: dict[str, Any] = {}
