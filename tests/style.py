"""How wide lines may be, and the stubs that follow from the packages' tables of names.

    python -m tests.style      # writes the stubs anew

A stub (`__init__.pyi`) says what a package offers on first use, for editors and type checkers, which can't
follow `lazy_names`.
"""

from __future__ import annotations

from pathlib import Path

from explorer.models.catalog import family_classes
from tests.test_house import Module, read_house

ROOT = Path(__file__).resolve().parent.parent
WIDTH, FAMILY_WIDTH = 110, 100  # columns


def width_of(path: Path, root: Path = ROOT) -> int:
    """How many columns a line of that file may take."""
    return FAMILY_WIDTH if path.is_relative_to(root / "explorer/models/backbones") else WIDTH


def wide_lines(root: Path = ROOT) -> list[str]:
    """The lines of explorer/ and tests/ that are too wide: "tests/test_x.py:12: 113 columns, at most 110"."""
    found = []
    for path in sorted([*(root / "explorer").rglob("*.py"), *(root / "tests").rglob("*.py")]):
        most, name = width_of(path, root), path.relative_to(root).as_posix()
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        found += [f"{name}:{n}: {len(line)} columns, at most {most}" for n, line in lines if len(line) > most]
    return found


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
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
