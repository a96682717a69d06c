"""What the tests of models share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def fresh_compiler():
    """torch.compile counts how often it met the same function, and all families share the contract's."""
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()
