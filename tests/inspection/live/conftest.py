"""A runtime that is none: what a page says and holds can be tested without 33 MB from npm."""

from __future__ import annotations

import pytest

from explorer.inspection.live import runtime
from explorer.inspection.live.runtime import Runtime


@pytest.fixture
def no_runtime(monkeypatch):
    """Pages are written with a stand-in for the runtime."""
    pytest.importorskip("onnxscript", reason="pip install -e '.[test]'")
    script = b"var a=1,b=2,c=import.meta.url;export{a as InferenceSession,b as Tensor,c as env};"
    monkeypatch.setattr(runtime, "runtime_of", lambda given, *, gpu: Runtime(script, b"\0asm" * 100))
