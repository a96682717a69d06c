"""What widget tests share: a comm that records, so that none needs a kernel or a browser; no earlier runs."""

from __future__ import annotations

import comm
import pytest
from comm.base_comm import BaseComm

from explorer.training.run.register import RUNS
from explorer.widgets.panels.learn.started import STARTED
from explorer.widgets.session import Session


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A new dashboard shows the runs of this process, those of another test as well: each begins without,
    and so do the dashboards that several tests share, which are made before a fixture of one test.
    """
    STARTED.clear()
    RUNS.clear()


@pytest.fixture
def sent(monkeypatch):
    """A list that fills with (message type, data, buffers) of every widget made in the test."""
    log: list[tuple[str, dict, list]] = []

    class Recorder(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            log.append((msg_type, data or {}, list(buffers or [])))

    monkeypatch.setattr(comm, "create_comm", lambda *args, **keys: Recorder(*args, **keys))
    return log


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()
