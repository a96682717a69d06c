"""Build the documentation site, from what there is: README, lessons with their outputs, docstrings, commands.

    python -m tests.tools.build_site site/          # then open site/index.html

The sources are gathered in a folder as they lie in the repository, so that links between them hold; README.md
becomes the first page. Sphinx then makes pages of them, strictly: whatever it warns of (a link that leads
nowhere, a docstring that can't be read) is an error.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "assets" / "site"
PAGES = "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff"
FURTHER = {"explorer.data": "Data", "explorer.models.layers": "Building blocks"}

#: What stands beside the pages: (title, pages).
CONTENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The course", ("notebooks/README", "notebooks/tour*", "notebooks/lesson_*", "notebooks/solutions",
                    "notebooks/library", "notebooks/cluster")),
    ("Reference", ("reference/*", "commands")),
    ("The house", ("CONTRIBUTING", "CHANGELOG", "assets/photos/CREDITS")),
)


def gather(folder: Path) -> None:
    """All sources, in a folder."""
    for name in PAGES:
        if (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=ignored)
    shutil.copytree(ROOT / "assets" / "screenshots", folder / "assets" / "screenshots")
    (folder / "assets" / "photos").mkdir()
    shutil.copyfile(ROOT / "assets" / "photos" / "CREDITS.md", folder / "assets" / "photos" / "CREDITS.md")
    shutil.copytree(SITE, folder / "site", ignore=ignored)
    (folder / "index.md").write_text(first_page(), encoding="utf-8")
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "reference").mkdir()
    for number, (title, names) in enumerate(chapters().items()):
        page = folder / "reference" / f"{number + 1:02d}_{title.split(',')[0].replace(' ', '_').lower()}.rst"
        page.write_text(reference_page(title, names), encoding="utf-8")


def first_page() -> str:
    """README.md, and where one can go from there."""
    parts = [(ROOT / "README.md").read_text(encoding="utf-8")]
    for title, pages in CONTENTS:
        options = ":hidden:", ":glob:", f":caption: {title}"
        parts.append("\n".join(["```{toctree}", *options, "", *pages, "```"]))
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """What each command of the terminal says of itself."""
    parts = ["# Commands", _help([]), *(f"## {name}\n\n{_help([name])}" for name in command_names())]
    return "\n\n".join(parts) + "\n"


def command_names() -> list[str]:
    from explorer.cli.running import COMMANDS

    return [command.__name__.rpartition(".")[2] for command in COMMANDS]


def _help(command: list[str]) -> str:
    from explorer.cli.running import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main([*command, "--help"])
    return f"```text\n{printed.getvalue().strip()}\n```"


def chapters() -> Mapping[str, list[str]]:
    """The public names by chapter: the comments of `explorer/__init__.py`, which lists them in this order."""
    source = (ROOT / "explorer" / "__init__.py").read_text(encoding="utf-8")
    table = source[source.index("lazy_names(__name__, {"):]
    found: dict[str, list[str]] = {}
    for line in table.splitlines():
        text = line.strip()
        if text.startswith("# "):
            found[text.removeprefix("# ").capitalize()] = names = []
        elif text.startswith('"'):
            [entry] = ast.literal_eval("{" + text.rstrip(",") + "}").values() if text.endswith("),") else [()]
            names += [f"explorer.{name}" for name in entry]
    for package, title in FURTHER.items():
        known = {name.rpartition(".")[2] for names in found.values() for name in names}
        more = importlib.import_module(package).__all__
        found[title] = [f"{package}.{name}" for name in more if name not in known]
    return found


def reference_page(title: str, names: list[str]) -> str:
    """A page of docstrings."""
    return "\n".join([title, "=" * len(title), "", *(line for name in names for line in _entry(name))]) + "\n"


def _entry(name: str) -> Iterator[str]:
    package, _, attribute = name.rpartition(".")
    thing = getattr(importlib.import_module(package), attribute)
    kind = "class" if isinstance(thing, type) else "function" if callable(thing) else "data"
    yield f".. auto{kind}:: {name}"
    if kind == "class":
        yield "   :members:"
    yield ""


def build(target: Path) -> int:
    """Write the site to a folder; gives Sphinx's exit code, which is not 0 where it warned of anything."""
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        where, trees = Path(folder) / "sources", Path(folder) / "trees"
        where.mkdir()
        gather(where)
        command = [sys.executable, "-m", "sphinx", "--builder", "html", "--conf-dir", str(where / "site"),
                   "--fail-on-warning", "--keep-going", "--quiet", "--doctree-dir", str(trees)]
        return subprocess.run([*command, str(where), str(target)], cwd=ROOT).returncode


def main(given: list[str]) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folder", type=Path, help="where the pages go")
    return build(parser.parse_args(given).folder)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
