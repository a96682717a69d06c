"""What a test asks the live page's scripts, in JavaScript: node answers, as Python's own values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.display.views import script, without_notes
from explorer.inspection.live.assembling import PAGE
from tests.inspection.live import node


def run_script(files: Sequence[str], body: str, folder: Path, given: Any = None) -> Any:
    """What `body` returns, JavaScript that may wait (`await`), after the kit and these files of the page.

    given: what `given` holds there
    """
    texts = [script("kit"), *(without_notes(PAGE / name) for name in files)]
    read = "const given = JSON.parse(readFileSync('given.json', 'utf8'));"
    asked = f"const asked = async () => {{{body}}};"
    write = "process.stdout.write(JSON.stringify(await asked()));"
    lines = ["import { readFileSync, writeFileSync } from 'node:fs';", *texts, read, asked, write]
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    return json.loads(node.run_script("\n".join(lines), folder))
