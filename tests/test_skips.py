"""A skip that nobody expects must fail CI, and only CI."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import skips

CONFTEST = Path(__file__).with_name("conftest.py")

ONE_SKIPPED = "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('no camera')\n"


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest over one file of tests, with this project's conftest."""
    def run_pytest(text: str, *options: str, ci: str, allowed: str = ""):
        monkeypatch.setenv("CI", ci)
        package = pytester.mkpydir("tests")
        for name in ("conftest.py", "skips.py"):
            shutil.copy(CONFTEST.with_name(name), package)
        (package / "allowed_skips.txt").write_text(allowed, encoding="utf-8")
        (package / "test_it.py").write_text(text, encoding="utf-8")
        pytester.makeini("[pytest]\ntestpaths = tests")
        monkeypatch.delenv("PYTHONPATH", raising=False)
        return pytester.runpytest_subprocess("-p", "no:nbval", "-p", "no:cacheprovider", *options)
    return run_pytest


def test_an_unexpected_skip_fails_ci_and_is_named(run):
    result = run(ONE_SKIPPED, ci="true")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*tests/test_it.py::test_b: Skipped: no camera"])


def test_a_whole_file_that_is_skipped_fails_ci_too(run):
    result = run("import pytest\npytest.importorskip('no_such_library')\ndef test_a(): pass\n", ci="true")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*tests/test_it.py: *no_such_library*"])


@pytest.mark.parametrize("text", [ONE_SKIPPED, "import pytest\npytest.importorskip('no_such_library')\n"])
def test_skips_in_several_processes_fail_ci_too(run, text):
    result = run(text, "-n", "2", ci="true")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*tests/test_it.py*: *no*"])


def test_an_expected_skip_passes_ci(run):
    assert run(ONE_SKIPPED, ci="true", allowed="tests/test_it.py::test_b  there is no camera").ret == 0


@pytest.mark.parametrize("ci", ["", "0", "false"])
def test_a_skip_passes_on_a_persons_computer(run, ci):
    assert run(ONE_SKIPPED, ci=ci).ret == 0


def test_ci_passes_without_skips(run):
    assert run("def test_a(): pass\n", ci="1").ret == 0


def test_an_expected_skip_needs_a_reason():
    with pytest.raises(ValueError, match="allowed_skips.txt:2: 'tests/x.py::\\*' has no reason"):
        skips.read_allowed("# comment\ntests/x.py::*\n")


def test_patterns_match_whole_ids():
    skipped = [("tests/a.py::test_x[gpu]", "no GPU"), ("tests/b.py::test_x", "no GPU")]
    assert skips.not_allowed(skipped, ["tests/a.py::*"]) == ["tests/b.py::test_x: no GPU"]


def test_the_projects_own_list_can_be_read():
    skips.read_allowed(skips.ALLOWED.read_text(encoding="utf-8"))
