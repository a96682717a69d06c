"""Run the course's notebooks and keep their outputs, so that a reader without a kernel sees every figure.

    python -m tests.tools.run_notebooks                 # those whose saved outputs are stale
    python -m tests.tools.run_notebooks lesson_01 tour  # those whose names begin so, in any case
    python -m tests.tools.run_notebooks --all

A notebook is its own source: edit it in JupyterLab, then run this. It executes a copy of `notebooks/` in a
folder of its own, and writes back what each cell showed, without what differs from run to run for no reason
(ids, addresses, times of execution) and without widgets, which are dead in a file: a dashboard's picture
stays. In the notebook's metadata it keeps a hash of the code, by which `tests/notebooks` tells that outputs
are stale. Nothing is written where a cell raises, or shows a path of this machine.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDEST = 1100    # pixels of a figure that is kept; a wider one is made smaller
LARGE = 120_000  # bytes of one above which it is kept in 256 colours
LIMIT = 25       # MB of all notebooks together
# A notebook in another language has the code of its original: it is not run, and gets the original's outputs.
TRANSLATED = {"tour_zh.ipynb": "tour.ipynb"}

_UNIQUE = re.compile(r"\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b")  # a UUID, with or without dashes
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_DATA = re.compile(r"data:[\w/+.-]+;base64,[\w/+=]+")
# Where files of a person, a container or a system lie: "/home", and so on.
_ROOMS = "home", "Users", "root", "tmp", "work", "usr", "var", "opt"
_MACHINE = re.compile(r"(?<![\w.~/$}*-])/(?:" + "|".join(_ROOMS) + r")/|site-packages|\b[A-Z]:\\+Users\b")


def code_hash(notebook: Any) -> str:
    """Of all code cells, with their ids and order: another hash means that the outputs are of other code."""
    cells = [f"{cell['id']}\n{cell['source']}" for cell in code_cells(notebook)]
    return hashlib.sha256("\n\n".join(cells).encode()).hexdigest()[:16]


def is_stale(notebook: Any) -> bool:
    return notebook["metadata"].get("explorer", {}).get("code") != code_hash(notebook)


def run(notebook: Any, folder: Path) -> None:
    """Execute all cells, in a folder, and keep their outputs in the notebook. Raises where a cell does."""
    from nbclient import NotebookClient

    client = NotebookClient(notebook, kernel_name="python3", timeout=120, store_widget_state=False,
                            record_timing=False, resources={"metadata": {"path": str(folder)}})
    client.execute()


def tidy(notebook: Any) -> None:
    """Leave of the outputs what a reader sees, and note which code they are of."""
    numbers: dict[str, str] = {}
    for cell in code_cells(notebook):
        cell["metadata"].pop("execution", None)
        kept = [tidied for output in cell["outputs"] if (tidied := _tidied(output, numbers)) is not None]
        cell["outputs"] = list(_joined(kept))
    notebook["metadata"] = {
        "explorer": {"code": code_hash(notebook)},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def _tidied(output: Any, numbers: dict[str, str]) -> Any | None:
    """An output as it is kept; None for one that shows nothing without its kernel."""
    if "text" in output:
        output["text"] = _plain(output["text"], numbers)
    data = output.get("data")
    if data is None:
        return output
    if WIDGET in data:
        return None
    if "image/png" in data:
        data.pop("image/jpeg", None)  # the same picture once more
    for kind, value in data.items():
        if kind == "image/png":
            data[kind] = _modest(value)
        elif isinstance(value, str):
            data[kind] = _plain(value, numbers)
    return output if any(data.values()) else None


def _joined(outputs: list[Any]) -> Iterator[Any]:
    """What was printed bit by bit, as one output."""
    stream: Any = None
    for output in outputs:
        if stream is not None and output.get("name") == stream["name"]:
            stream["text"] += output["text"]
            continue
        stream = output if output["output_type"] == "stream" else None
        yield output


def _plain(text: str, numbers: dict[str, str]) -> str:
    """Text without addresses, and with 1, 2, 3 in place of ids that are drawn anew each time."""
    parts = _DATA.split(text)
    pictures = [_small(picture) for picture in _DATA.findall(text)]

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"{len(numbers) + 1}")

    plain = [_UNIQUE.sub(number, _ADDRESS.sub("", part)) for part in parts]
    return "".join(part for pair in zip(plain, [*pictures, ""]) for part in pair)


def _small(picture: str) -> str:
    """A picture inside HTML as it is kept."""
    kind, _, letters = picture.partition(",")
    large = kind == "data:image/png;base64" and len(letters) > LARGE
    return f"{kind},{_modest(letters)}" if large else picture


def _modest(png: str) -> str:
    """A figure as it is kept: not wider than a page, without an alpha channel that nobody sees."""
    image: Any = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    if len(found := _png(image)) > LARGE:
        found = _png(image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT))
    return base64.b64encode(found).decode()


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def problems(notebook: Any) -> list[str]:
    """What no saved output may hold: errors, warnings, and paths of the machine that it was run on."""
    return [f"{cell['id']}: {problem}" for cell in code_cells(notebook) for output in cell["outputs"]
            for problem in _problems(output)]


def _problems(output: Any) -> Iterator[str]:
    if output["output_type"] == "error":
        yield f"an error, {output['ename']}"
    if output.get("name") == "stderr":
        yield f"stderr: {''.join(output['text'])[:80]!r}"
    if WIDGET in output.get("data", {}):
        yield "a widget, which is dead in a file"
    for text in texts(output):
        if found := _MACHINE.search(_DATA.sub("", text)):
            yield f"a path of a machine: {text[max(0, found.start() - 20):found.end() + 30]!r}"


def texts(output: Any) -> list[str]:
    """All that is text in an output, each as one string."""
    values = [output.get("text", ""), *output.get("data", {}).values(), *output.get("traceback", [])]
    return ["".join(value) for value in values if isinstance(value, str | list)]


def remake(path: Path) -> list[str]:
    """Run one notebook and write it back, or say what is wrong with it."""
    if path.name in TRANSLATED:
        return translated(path, path.with_name(TRANSLATED[path.name]))
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        copy = Path(shutil.copytree(path.parent, Path(folder) / "notebooks", ignore=ignored))
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")  # as for a student who begins
        started = time.perf_counter()
        run(notebook, copy)
    seconds = time.perf_counter() - started
    tidy(notebook)
    if wrong := problems(notebook):
        return [f"{path.name}: {problem}" for problem in wrong]
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{path.name}: {seconds:.0f} s, {len(text) / 1e6:.2f} MB", flush=True)
    return []


def translated(path: Path, original: Path) -> list[str]:
    """Give a notebook the outputs of its original, or say why they are not of its code."""
    notebook, source = (nbformat.read(one, as_version=4) for one in (path, original))
    if is_stale(source):
        return [f"{path.name}: the outputs of {original.name} are stale: run that first"]
    if code_hash(notebook) != code_hash(source):
        return [f"{path.name}: its code cells are not those of {original.name}"]
    for cell, same in zip(code_cells(notebook), code_cells(source)):
        cell.update(same)
    notebook["metadata"] = source["metadata"]
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    print(f"{path.name}: as {original.name}", flush=True)
    return []


def main(given: list[str]) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("names", nargs="*", help="beginnings of the names of notebooks")
    parser.add_argument("--all", action="store_true", help="those too whose outputs are of this code")
    args = parser.parse_args(given)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    wrong: list[str] = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        named = args.names and path.name.startswith(tuple(args.names))
        if named or args.all or (not args.names and is_stale(nbformat.read(path, as_version=4))):
            wrong += remake(path)
    size = sum(path.stat().st_size for path in NOTEBOOKS.glob("*.ipynb")) / 1e6
    print(f"All notebooks together: {size:.1f} MB of {LIMIT}.")
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong or size > LIMIT else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
