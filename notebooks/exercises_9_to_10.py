"""What is asked in lessons 9 and 10: see `exercises.py`."""

from __future__ import annotations

from typing import Any

EXERCISES: dict[str, Any] = {}
