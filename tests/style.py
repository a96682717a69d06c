"""How wide lines may be, and the stubs that follow from the packages' tables of names.

    python -m tests.style      # writes the stubs anew

A stub (`__init__.pyi`) says what a package offers on first use, for editors and type checkers, which can't
follow `lazy_names`.
"""

from __future__ import annotations

import ast
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


def missing_names(root: Path = ROOT) -> list[str]:
    """The names that a file imports from explorer and that are not there: "tests/test_x.py:12: a.b.name".

    An import inside a function fails only once somebody calls it, and a panel may show that as a sentence.
    """
    files = {path: ast.parse(path.read_text(encoding="utf-8"))
             for folder in ("explorer", "tests") for path in sorted((root / folder).rglob("*.py"))}
    names = {_module_of(path, root): _names_in(tree, path) for path, tree in files.items()}
    found = []
    for path, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "explorer":
                found += [f"{path.relative_to(root).as_posix()}:{node.lineno}: {node.module}.{each.name}"
                          for each in node.names if each.name not in names.get(node.module, ())
                          and f"{node.module}.{each.name}" not in names]
    return found


def _module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _names_in(tree: ast.Module, path: Path) -> set[str]:
    """What may be imported from a file: all that it binds anywhere, and what its stub offers."""
    trees = [tree, *(ast.parse(stub.read_text(encoding="utf-8")) for stub in [path.with_suffix(".pyi")]
                     if stub.is_file())]
    found: set[str] = set()
    for node in (node for each in trees for node in ast.walk(each)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).partition(".")[0] for each in node.names}
    return found


def main() -> None:
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
