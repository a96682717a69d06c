"""What all tests share: a quiet environment, private Jupyter folders, and the rule on skipped tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import skips

ROOT = Path(__file__).resolve().parent.parent

# Before torch is imported: tests run small models, on which a second thread only waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may wait for a hub that a classroom can't reach either.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Kernels and servers that tests start get this interpreter, not a kernel once installed for the user ...
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
# ... and this checkout, from whatever folder they run in.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def jupyter_env(tmp_path_factory) -> dict[str, str]:
    """An environment whose Jupyter knows nothing of this user: no settings, kernels or history."""
    from tests.browser.server import private_folders  # not above: test_skips.py takes this file elsewhere

    return private_folders(tmp_path_factory.mktemp("jupyter"))


@pytest.fixture
def quick_sqlite():
    """SQLite hands its pages to the system and does not wait for the disk: a power cut is no test here."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def quick(connection, _record):
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", quick)
    yield
    event.remove(Engine, "connect", quick)


# What starts processes of its own (JupyterLab, Chromium, the nodes of a cluster), which keep both cores busy.
MANY_PROCESSES = "tests/browser/", "tests/cluster/"
# What takes long begins first: two processes that take whole files then end at nearly the same time.
FIRST = (*MANY_PROCESSES, "notebooks/", "tests/test_sentences.py", "tests/test_readme.py")

# The tour in another language is not run: tests/notebooks/test_translations.py holds its code to the tour's.
THE_SAME_CODE = "notebooks/tour_zh.ipynb::"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if again := [item for item in items if item.nodeid.startswith(THE_SAME_CODE)]:
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if item not in again]

    def turn(item: pytest.Item) -> int:
        return next((turn for turn, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Whole files to one process, as `--dist loadfile` has it; what starts many processes, all to one.

    So one JupyterLab, one Chromium or one cluster runs at a time; two of them keep two cores so busy that all
    are late.
    """
    from xdist.scheduler import LoadFileScheduling

    class WholeFiles(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "many processes" if file.startswith(MANY_PROCESSES) else file

    return WholeFiles(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return  # one of several processes (pytest -n): the one that prints the summary has them all
    if skips.rule_applies(os.environ) and (unexpected := skips.unexpected(session)):
        session.config.stash[skips.UNEXPECTED] = unexpected
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    if unexpected := config.stash.get(skips.UNEXPECTED, None):
        terminalreporter.section("skipped, and not in tests/allowed_skips.txt: a failure in CI", red=True)
        for line in unexpected:
            terminalreporter.line(line)
