"""The style that a tool can hold: ruff's rules, the width of lines, and types on what `explorer` offers.

`python -m tests.style` writes the stubs anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from tests import style
from tests.test_house import read_house

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def output_of(*command: str) -> str:
    """What a tool of this interpreter's own environment prints, when it is run at the top of the checkout."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # 1: it has found something
    return done.stdout


def place(finding: dict, key: str) -> str:
    return Path(finding[key]).resolve().relative_to(ROOT).as_posix()


def test_ruff_finds_nothing():
    found = json.loads(output_of("ruff", "check", "--no-cache", "--output-format=json"))
    faults = [f"{place(one, 'filename')}:{one['location']['row']}: {one['code']} {one['message']}"
              for one in found]
    assert faults == []


def test_no_line_is_too_wide():
    assert style.wide_lines() == []


def test_a_line_that_is_too_wide_is_named(tmp_path):
    family = tmp_path / "explorer/models/backbones"
    family.mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (family / "net.py").write_text("x = 1\n" + "#" * 101 + "\n", encoding="utf-8")
    lines = "\n".join(("#" * 110, "é" * 111, "#" * 200))
    (tmp_path / "tests" / "test_x.py").write_text(lines, encoding="utf-8")
    assert style.wide_lines(tmp_path) == [
        "explorer/models/backbones/net.py:2: 101 columns, at most 100",
        "tests/test_x.py:2: 111 columns, at most 110",
        "tests/test_x.py:3: 200 columns, at most 110",
    ]


def test_every_name_that_is_imported_from_explorer_is_there():
    assert style.missing_names() == []


def test_a_name_that_is_not_there_is_named(tmp_path):
    for folder in ("explorer", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "explorer" / "a.py").write_text("def here():\n    pass\n")
    (tmp_path / "tests" / "b.py").write_text("def late():\n    from explorer.a import gone, here\n")
    assert style.missing_names(tmp_path) == ["tests/b.py:2: explorer.a.gone"]


def test_the_stubs_name_what_the_packages_offer():
    """Editors and type checkers read them in place of the lazy tables."""
    written = {path: path.read_text(encoding="utf-8") for path in (ROOT / "explorer").rglob("*.pyi")}
    assert written == style.stubs(), "python -m tests.style"


def test_pyright_reads_every_module_that_explorer_offers_names_from():
    origins = read_house(ROOT / "explorer")["explorer"].offers.values()
    files = {f"{origin.replace('.', '/')}.py" for origin in origins}
    assert set(SETTINGS["pyright"]["include"]) == {"explorer/__init__.pyi", *files}


def test_pyright_finds_nothing_in_what_explorer_offers():
    found = json.loads(output_of("pyright", "--outputjson"))["generalDiagnostics"]
    faults = [f"{place(one, 'file')}:{one['range']['start']['line'] + 1}: {one['message']}"
              for one in found if one["severity"] == "error"]
    assert faults == []
