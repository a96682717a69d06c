"""What people read: no word that is often misspelt (the list of `typos`), no address that can't be one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from tests.tools.run_notebooks import NOTEBOOKS, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *NOTEBOOKS.glob("*.md"), ROOT / "assets" / "photos" / "CREDITS.md"])


def misspelt(*paths) -> str:
    """What `typos` finds, a line each; which words are meant so is in pyproject.toml."""
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which("typos", path=beside_python)
    assert program, 'The program typos is missing: python -m pip install -e ".[test]"'
    command = [program, "--config", ROOT / "pyproject.toml", "--format", "brief", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stderr
    return done.stdout


def prose() -> dict[str, str]:
    """All words for people by file name: pages, and what stands in notebooks."""
    found = {path.name: path.read_text(encoding="utf-8") for path in PAGES}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4)["cells"]
        found[path.name] = "\n\n".join(cell["source"] for cell in cells)
    return found


def test_no_word_is_misspelt_in_pages_and_notebooks(tmp_path):
    for name, text in prose().items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    assert misspelt(tmp_path) == ""


def test_no_word_is_misspelt_in_the_code():
    assert misspelt("explorer", "assets/site") == ""


def test_a_misspelt_word_would_be_found(tmp_path):
    (tmp_path / "page.md").write_text("A word that was recieved.", encoding="utf-8")
    assert "received" in misspelt(tmp_path)


@pytest.mark.parametrize("name", prose())
def test_every_address_is_one(name):
    for address in re.findall(r"\]\((\w+:[^)\s]*)\)", prose()[name]):
        parts = urlsplit(address)
        assert parts.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), address
