"""The JavaScript that all views share, and every view behind it, run by node: what `kit.test.mjs` holds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

TESTS = Path(__file__).parent / "kit.test.mjs"
OLDEST = 18  # the first node with `node --test`


def node() -> str:
    """The node of this machine, or the one that playwright carries: a machine that tests has one."""
    import playwright

    carried = Path(playwright.__file__).parent / "driver"
    for found in (shutil.which("node"), shutil.which("node", path=str(carried))):
        if found:
            version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
            if int(re.match(r"v(\d+)", version)[1]) >= OLDEST:
                return found
    raise AssertionError("node is missing: pip install -e '.[test]' brings one with playwright.")


def test_the_kit_and_every_view_behind_it_do_what_their_tests_say():
    command = [node(), "--test", "--test-reporter=tap", str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.M)[1]) > 40
