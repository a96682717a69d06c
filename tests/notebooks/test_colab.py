"""The cell of `notebooks/README.md` for Colab, which can't be tried here: its parts are, one by one."""

from __future__ import annotations

import re
import shlex
import sys
from types import ModuleType

from IPython.core.inputtransformer2 import TransformerManager

from explorer import __version__, cli
from tests.tools.run_notebooks import NOTEBOOKS

README = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
[CELL] = re.findall(r"### Colab\n.*?```ipython\n(.+?)```", README, re.DOTALL)


def test_the_wheel_has_the_name_that_pip_gives_it():
    assert f'EXPLORER = "vision_explorer-{__version__}-py3-none-any.whl"' in CELL


def test_the_commands_line_brings_what_a_lesson_imports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(re.search("^!(.+)$", CELL, re.MULTILINE)[1])
    assert program == "vision-explorer" and cli.main(words) == 0
    assert {"exercises.py", "checking.py"} <= {path.name for path in tmp_path.iterdir()}


def test_the_cell_is_one_that_ipython_reads_and_asks_colab_for_its_widget_manager(monkeypatch):
    colab, output = ModuleType("google.colab"), ModuleType("google.colab.output")
    asked = []
    output.enable_custom_widget_manager = lambda: asked.append("manager")
    colab.output = output
    for name, module in (("google", ModuleType("google")), ("google.colab", colab),
                         ("google.colab.output", output)):
        monkeypatch.setitem(sys.modules, name, module)
    shell = type("Shell", (), {"run_line_magic": lambda self, *words: asked.append(words),
                               "system": lambda self, line: asked.append(line)})()
    exec(TransformerManager().transform_cell(CELL), {"get_ipython": lambda: shell})
    assert asked == [("pip", "install --quiet $EXPLORER"), "vision-explorer course . --no-open", "manager"]


def test_a_dashboard_is_shown_by_the_message_that_colab_gives_its_widget_manager_to():
    """Colab adds it to what is displayed, and not to a cell's result (manzt/anywidget, issue 63)."""
    from explorer.widgets.dashboard import Dashboard

    assert "_ipython_display_" in vars(Dashboard)
