"""The page's own text: HTML, sheets, scripts and data in one file, with a policy that forbids every request.

A data block is a `<script>` of a type that no browser runs: base64, or JSON without any "<".
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from explorer.display.views import SHARED_STYLE, script, sheet, without_notes

PAGE = Path(__file__).with_name("page")
MARK = '<meta name="generator" content="explorer.live_page, format 1">'  # by which explorer knows its pages
#: Views of the notebook that the page hosts, by the name that its scripts know them under.
VIEWS = {"FlowView": "flow", "AnswersView": "answers", "OverlayView": "photo_overlay"}
_EXPORTED = "export default part(render);"


def page_text(
    title: str, facts: Mapping[str, Any], blocks: Mapping[str, tuple[bytes, str]], licence: str
) -> str:
    """The whole page.

    blocks: id -> (bytes, what they are: "gzip" for some to be packed, else their MIME type)
    licence: the text that the runtime's authors ask to travel along
    """
    style = "\n".join([SHARED_STYLE, *map(sheet, VIEWS.values()), *map(without_notes, _files("css"))])
    program = _program()
    policy = _policy(program, style)
    parts = [json_block("vx-facts", facts), json_block("vx-learnt", None),
             f'<script type="text/plain" id="vx-worker">{_checked(_worker())}</script>',
             f'<script type="text/plain" id="vx-licence">{_checked(licence)}</script>',
             *(_block(name, content, kind) for name, (content, kind) in blocks.items())]
    whole = (PAGE / "page.html").read_text(encoding="utf-8")
    for place, text in {
        "<!-- CSP -->": f'{MARK}\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "<!-- TITLE -->": escape(title),
        "<!-- STYLE -->": f"<style>{style}</style>",
        "<!-- BLOCKS -->": "\n".join(parts),
        "<!-- SCRIPT -->": f'<script type="module">{program}</script>',
    }.items():
        before, found, after = whole.partition(place)
        assert found, f"page.html has no {place}"
        whole = before + text + after
    return whole


def is_ours(path: Path) -> bool:
    """Whether `live_page` has written that file."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(4096)


def holds_classes(path: Path) -> bool:
    """Whether somebody has saved classes of their own in a page of ours."""
    return b'id="vx-learnt">null</script>' not in path.read_bytes()


def json_block(name: str, value: Any) -> str:
    """A value as JSON in a block that no text inside can end."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _block(name: str, content: bytes, kind: str) -> str:
    if kind == "gzip":
        packed, more = gzip.compress(content, 9, mtime=0), 'data-packed="gzip"'
    else:
        packed, more = content, f'data-kind="{escape(kind)}"'
    letters = base64.b64encode(packed).decode("ascii")
    return f'<script type="application/octet-stream" id="{name}" {more}>{letters}</script>'


def _files(kind: str) -> list[Path]:
    """The page's own files of a kind, the one that starts it all last."""
    files = sorted(file for file in PAGE.glob(f"*.{kind}") if file.stem != "worker")
    return sorted(files, key=lambda file: file.stem == "main")


def _program() -> str:
    """All scripts of the page as one module: the kit, the views, the page's own."""
    hosted = []
    for name, view in VIEWS.items():
        body, found, _ = script(view).partition(_EXPORTED)
        assert found, f"{view}.js does not end in {_EXPORTED!r}"
        hosted.append(f"const {name} = (() => {{\n{body}return part(render);\n}})();")
    return _checked("\n".join([script("kit"), *hosted, *map(without_notes, _files("js"))]))


def _worker() -> str:
    return "\n".join(without_notes(PAGE / f"{name}.js") for name in ("prepare", "frames", "worker"))


def worker_script(module: bytes) -> bytes:
    """The runtime's module as a plain script that leaves itself in `self.ort`.

    A page that was opened from a file may start a worker from a Blob, but no module worker, and a worker of
    its may import nothing.
    """
    body, found, names = module.decode("utf-8").rpartition("export{")
    assert found, "the runtime's script is no module"
    pairs = (pair.split(" as ") for pair in names.partition("}")[0].split(","))
    exported = {public: local for local, public in pairs}
    kept = ",".join(f"{name}:{exported[name]}" for name in ("InferenceSession", "Tensor", "env"))
    body = body.replace("import.meta.url", "self.location.href")
    return f'(() => {{"use strict";{body}self.ort={{{kept}}};}})();\n'.encode()


def _checked(text: str) -> str:
    assert "</script" not in text.lower() and "<!--" not in text, "a script that would end its own element"
    return text


def _policy(program: str, style: str) -> str:
    def known(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = {
        "default-src": "'none'", "connect-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
        "script-src": f"{known(program)} blob: 'wasm-unsafe-eval'", "worker-src": "blob:",
        "style-src": known(style), "img-src": "blob: data:", "media-src": "blob: data: mediastream:",
    }
    return "; ".join(f"{what} {whom}" for what, whom in rules.items())


__all__ = ["PAGE", "VIEWS", "is_ours", "json_block", "page_text", "worker_script"]
