"""The rule on skipped tests: fine on a person's computer; in CI they fail the run unless they were expected.

Expected skips stand in `allowed_skips.txt`, one a line: a pattern for the test's id, two spaces, the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")
UNEXPECTED = pytest.StashKey[list[str]]()


def rule_applies(environment: Mapping[str, str]) -> bool:
    """Whether this run is CI's: `CI` is set, and not to nothing, 0 or false."""
    return environment.get("CI", "").lower() not in ("", "0", "false")


def read_allowed(text: str) -> list[str]:
    """The id patterns of the file. Raises ValueError for a line without a reason."""
    patterns = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        pattern, _, reason = line.partition("  ")
        if not reason.strip():
            where = f"{ALLOWED.name}:{number}"
            raise ValueError(f"{where}: {pattern!r} has no reason. Write it behind two spaces.")
        patterns.append(pattern)
    return patterns


def not_allowed(skipped: Iterable[tuple[str, str]], patterns: Iterable[str]) -> list[str]:
    """Of (test id, reason) pairs those that no pattern expects, as lines to print."""
    patterns = list(patterns)
    return [f"{test}: {reason}" for test, reason in skipped
            if not any(fnmatchcase(test, pattern) for pattern in patterns)]


def unexpected(session: pytest.Session) -> list[str]:
    """The unexpected skips of a run that is over, whole files that were skipped included."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    # a file that is skipped as a whole is told of by each process of `pytest -n`: dict drops the repetitions
    skipped = list(dict.fromkeys((report.nodeid, _reason(report))
                                 for report in reporter.stats.get("skipped", [])))
    return not_allowed(skipped, read_allowed(ALLOWED.read_text(encoding="utf-8")))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # pytest gives (file, line, reason) for a skip, text for anything else
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
