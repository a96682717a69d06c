"""What the page's scripts become in a page: only their notes are left out, and none of them is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import explorer
from explorer.display.views import without_notes
from explorer.inspection.live.assembling import PAGE, page_text
from tests.inspection.live.node import node

SCRIPTS = sorted(Path(explorer.__file__).parent.rglob("*.js"))
TEXT = r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
PIECE = re.compile(rf"(?P<note>//[^\n]*)|(?P<block>/\*.*?\*/)|{TEXT}", re.DOTALL)
PATTERN = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
BEFORE_A_PATTERN = re.compile(r"(?:^|[(,=:\[!&|?{};+>]|\b(?:return|typeof|case|of|in))\s*$")


def template_end(text: str, at: int) -> int:
    """Behind the template literal that begins there, with what it holds in ${}."""
    at += 1
    while text[at] != "`":
        if text.startswith("${", at):
            *_, (at, _, _) = pieces(text, at + 2, inside=True)
        at += 2 if text[at] == "\\" else 1
    return at + 1


def pieces(text: str, at: int = 0, *, inside: bool = False) -> Iterator[tuple[int, int, str]]:
    """(start, end, "note", "block", "text", "template" or "pattern") of what is no code, and of the end.

    inside: up to the brace that closes what begins there
    """
    depth = 1
    while at < len(text):
        sign, start = text[at], at
        found = PIECE.match(text, at) if sign in "/\"'" else None
        if found:
            at = found.end()
            yield start, at, str(found.lastgroup)
        elif sign == "`":
            at = template_end(text, at)
            yield start, at, "template"
        elif sign == "/" and BEFORE_A_PATTERN.search(text, max(0, at - 60), at):
            found = PATTERN.match(text, at)
            assert found, text[at:at + 60]
            at = found.end()
            yield start, at, "pattern"
        else:
            depth += (sign == "{") - (sign == "}")
            if inside and not depth:
                break
            at += 1
    yield at, at, "end"


def read_slowly(text: str) -> str:
    """A script without its notes, found by reading it as a browser does."""
    kept, at = [], 0
    for start, end, kind in pieces(text):
        kept.append(text[at:start])
        line = text[text.rfind("\n", 0, start) + 1:start]
        gap = len(line) - len(line.rstrip())
        left_out = not line.strip() or (gap >= 2 and text[start + 2:start + 3] == " ")
        kept.append("" if kind == "note" and left_out else text[start:end])
        at = end
    return "\n".join(line for line in map(str.strip, "".join(kept).splitlines()) if line)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_only_notes_are_left_out_of_a_script(file):
    text = file.read_text(encoding="utf-8")
    assert without_notes(file) == read_slowly(text)
    several = [text[start:end] for start, end, kind in pieces(text) if kind in ("text", "template")
               and "\n" in re.sub(r"\$\{.*?\}", "", text[start:end], flags=re.DOTALL)]
    assert several == []  # its lines would lose what they begin with


@pytest.mark.parametrize("line", ['say("a  // b");', "say(`a  // ${1}`);", "a = /[/]  // /.test(b);",
                                  "say(`${x ? `  // y` : 1}`);", "say('\\'  // b');"])
def test_what_only_looks_like_a_note_would_be_seen(tmp_path, line):
    file = tmp_path / "one.js"
    file.write_text(f"  {line}  // a note\n// another\n", encoding="utf-8")
    assert read_slowly(file.read_text(encoding="utf-8")) == line != without_notes(file)


def parsed(text: str, file: Path) -> str:
    """What node says of a script's form; "" where nothing is wrong with it."""
    file.write_text(text, encoding="utf-8")
    return subprocess.run([node(), "--check", file], capture_output=True, text=True, timeout=60).stderr


def test_every_script_is_in_the_page_or_in_its_worker_which_has_every_name_once(tmp_path):
    text = page_text("a page", {}, {}, "")
    program = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)[1]
    worker = re.search(r'id="vx-worker">(.*?)</script>', text, re.DOTALL)[1]
    assert parsed(worker, tmp_path / "worker.cjs") == ""
    assert "already been declared" in parsed(f"{worker}\nconst networks = 1;", tmp_path / "twice.cjs")
    for file in PAGE.glob("*.js"):
        whole = without_notes(file)
        assert whole in program or whole in worker, file.name
