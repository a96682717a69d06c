"""The live page's scripts, run by node: what a test asks in JavaScript comes back as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import explorer.inspection
from explorer.display.views import script, without_notes
from tests.widgets.test_parts_kit import node

PAGE = Path(explorer.inspection.__file__).parent / "live/page"


def run_script(files: Sequence[str], body: str, folder: Path, given: Any = None) -> Any:
    """What `body` returns, JavaScript that may wait (`await`), after the kit and these files of the page.

    given: what `given` holds there
    """
    texts = [script("kit"), *(without_notes(PAGE / name) for name in files)]
    asked = f"const given = JSON.parse(readFileSync('given.json', 'utf8'));\nconst asked = async () => {{{body}}};"
    write = "process.stdout.write(JSON.stringify(await asked()));"
    lines = ["import { readFileSync, writeFileSync } from 'node:fs';", *texts, asked, write]
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    (folder / "run.mjs").write_text("\n".join(lines), encoding="utf-8")
    command = [node(), "run.mjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
