"""What `test_style.py` holds the files to, and the two kinds of files that follow from others.

    python -m tests.style      # writes both anew

`wide_lines.txt` names the files that have lines that are too wide, and how many: a table that may only shrink.
The stubs (`__init__.pyi`) say what each package offers on first use, for editors and type checkers, which can't
follow `lazy_names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from explorer.models.catalog import family_classes
from tests.test_house import Module, read_house

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("wide_lines.txt")
WIDTH, FAMILY_WIDTH = 110, 100  # columns
HEAD = """\
# Files with lines of more than 110 columns (100 in explorer/models/backbones), and how many.
# Kept by tests/test_style.py; written by: python -m tests.style
"""


def width_of(path: Path, root: Path = ROOT) -> int:
    """How many columns a line of that file may take."""
    return FAMILY_WIDTH if path.is_relative_to(root / "explorer/models/backbones") else WIDTH


def wide_lines(root: Path = ROOT) -> dict[str, int]:
    """File -> its count of lines that are too wide, where there are any; of explorer/ and tests/."""
    found = {}
    for path in sorted([*(root / "explorer").rglob("*.py"), *(root / "tests").rglob("*.py")]):
        lines = path.read_text(encoding="utf-8").splitlines()
        if count := sum(len(line) > width_of(path, root) for line in lines):
            found[path.relative_to(root).as_posix()] = count
    return found


def read_table(text: str) -> dict[str, int]:
    """File -> count, of lines "12 tests/test_x.py"."""
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {path: int(count) for count, path in rows}


def table_text(found: Mapping[str, int]) -> str:
    """The table, as it stands in its file."""
    return HEAD + "".join(f"{count:4} {path}\n" for path, count in found.items())


def stub(module: Module) -> str:
    """What stands in the stub beside a package's `__init__.py`: each offered name, from where it comes."""
    def rank(name: str) -> tuple[int, str]:  # as ruff sorts imports: CONSTANTS, Classes, functions
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    offers = dict(module.offers)
    if module.name == "explorer.models":  # its families' classes follow from their files
        for file, names in family_classes().items():
            offers.update((name, f"{module.name}.{file}") for name in names)
    rows = sorted((origin, rank(name), name) for name, origin in offers.items())
    lines = ["# Written by: python -m tests.style"]
    lines += [f"from {origin} import {name} as {name}" for origin, _, name in rows]
    if "." not in module.name:
        lines += ["", "__version__: str"]
    return "\n".join(lines) + "\n"


def stubs(root: Path = ROOT) -> dict[Path, str]:
    """The stub of each package that offers names on first use, by its path."""
    packages = (module for module in read_house(root / "explorer").values() if module.offers)
    return {root.joinpath(*package.name.split("."), "__init__.pyi"): stub(package) for package in packages}


def main() -> None:
    TABLE.write_text(table_text(wide_lines()), encoding="utf-8")
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
