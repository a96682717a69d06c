"""A comm that records, so that widgets can be tested without a kernel or a browser."""

from __future__ import annotations

import comm
import pytest
from comm.base_comm import BaseComm


@pytest.fixture
def sent(monkeypatch):
    """A list that fills with (message type, data, buffers) of every widget made in the test."""
    log: list[tuple[str, dict, list]] = []

    class Recorder(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            log.append((msg_type, data or {}, list(buffers or [])))

    monkeypatch.setattr(comm, "create_comm", lambda *args, **keys: Recorder(*args, **keys))
    return log
