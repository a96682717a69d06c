"""The ground that the browser tests stand on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import explorer


def test_a_notebook_runs_on_this_interpreter_with_this_checkout(lab):
    from playwright.sync_api import expect  # here, so that the file can be read where playwright is missing

    lab.open_cells("import sys, explorer\nprint(sys.executable)", "print(explorer.__file__)")
    lab.run_all()
    expect(lab.outputs.get_by_text(sys.executable, exact=True)).to_be_visible()
    expect(lab.outputs.get_by_text(str(Path(explorer.__file__)), exact=True)).to_be_visible()
    assert lab.run_code("print(6 * 7)") == "42\n"
    assert lab.page.js_errors == []


def test_errors_of_cells_and_of_the_page_do_not_go_unseen(lab):
    lab.open_cells("1 / 0")
    with pytest.raises(AssertionError, match="cell 0: ZeroDivisionError"):
        lab.run_all()
    lab.page.evaluate("() => console.error('from a widget')")
    assert lab.page.js_errors == ["from a widget"]
