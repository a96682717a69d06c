"""The house stands: imports only point down, the porch stays light, no file tells of this computer.

The rooms, top floor first, are listed in `FLOORS`. A module may import from its own floor and those below.
What counts as an import is everything that can run: at the top of a file, inside a function, inside `try`.
Imports under `if TYPE_CHECKING:` never run: they may point up, but must name what exists and close no circle.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# One floor a line, top floor first. A module lives where its longest matching prefix stands.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("explorer.__main__",),
    ("explorer.cli",),
    ("explorer.machine",),
    ("explorer.widgets.dashboard",),
    ("explorer.widgets.panels",),
    ("explorer.widgets",),  # session, jobs
    ("explorer.widgets.parts",),
    ("explorer.cluster",),
    ("explorer.training",),
    ("explorer.inspection",),
    ("explorer.data", "explorer.models.create", "explorer.models.trained", "explorer.models.building",
     "explorer.models.tasks",
     "explorer.models.plan", "explorer.models.request", "explorer.models.names", "explorer.models.doors",
     "explorer.models.ensembles", "explorer.models.surgery.optimized", "explorer.models.surgery.packing",
     "explorer.models.attention", "explorer.models.card"),
    ("explorer.models.detection", "explorer.models.segmentation"),
    ("explorer.models.backbones",),
    ("explorer.models.features", "explorer.models.body"),
    ("explorer.models.contract", "explorer.models.tokens"),
    ("explorer.models.layers",),
    ("explorer.models.weights",),
    ("explorer.models", "explorer.models.catalog", "explorer.models.config"),
    # the porch: names that are imported on first use; paths and threads; words and pictures
    ("explorer", "explorer._lazy", "explorer.files", "explorer._threads", "explorer._memory",
     "explorer._teams", "explorer.arguments", "explorer.display"),
)
# Neighbours that do not know each other, whatever their floors.
STRANGERS = (("explorer.data", "explorer.models"),)
# Who may import a library that would burden everybody else. A trailing dot means "and all below".
RESERVED: Mapping[str, tuple[str, ...]] = {
    "ipywidgets": ("explorer.widgets",),
    "anywidget": ("explorer.widgets",),
    "traitlets": ("explorer.widgets",),
    "ray": ("explorer.cluster",),
    "optuna": ("explorer.training.choosing",),
    "timm": ("explorer.models.doors.timm",),
    **dict.fromkeys(("voila", "jupyter_server", "tornado"), ("explorer.cli.serving",)),
    **dict.fromkeys(("onnx", "onnxscript", "onnxruntime"), ("explorer.inspection.export",)),
    # its global figures leak memory and are not safe in threads: use matplotlib.figure
    "matplotlib.pyplot": (),
    # with a name that is made up at run time: this test can't see where it leads
    "importlib.import_module": ("explorer._lazy", "explorer.models.catalog"),
}


# --- the checker: a tree of files in, sentences out ---------------------------------------------------------


@dataclass
class Module:
    """One file: the names it imports (`"explorer.data.images"`, `"torch"`), each with its line."""

    name: str
    is_package: bool
    imports: list[tuple[str, int]] = field(default_factory=list)
    for_types_only: list[tuple[str, int]] = field(default_factory=list)
    offers: dict[str, str] = field(default_factory=dict)  # name -> module, from its table of lazy names


def read_house(package: Path) -> dict[str, Module]:
    """Every module of the package in that folder, by dotted name."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        module = modules[name] = Module(name, is_package)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        module.offers = _lazy_table(tree, name)
        for node, types_only in _walk(tree):
            found = module.for_types_only if types_only else module.imports
            found.extend((target, node.lineno) for target in _targets(node, module))
    return modules


def _walk(node: ast.AST, types_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for inner in child.body:
                yield inner, True
                yield from _walk(inner, True)
            for inner in child.orelse:
                yield inner, types_only
                yield from _walk(inner, types_only)
        else:
            yield child, types_only
            yield from _walk(child, types_only)


def _targets(node: ast.AST, module: Module) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
        return [f"{base}.{alias.name}" for alias in node.names]
    importers = ("importlib.import_module", "import_module", "__import__")
    if isinstance(node, ast.Call) and ast.unparse(node.func) in importers:
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        known = isinstance(first, str) and not first.startswith(".")
        return [first] if known else ["importlib.import_module"]
    return []


def _lazy_table(tree: ast.Module, package: str) -> dict[str, str]:
    """name -> module, of `... = lazy_names(__name__, {"module": ("name", ...)})`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names":
            table = ast.literal_eval(node.args[1])
            return {name: f"{package}.{module}" for module, names in table.items() for name in names}
    return {}


def resolve(target: str, modules: Mapping[str, Module]) -> str | None:
    """The module of this house that an import ends in; None where there is none.

    `explorer.models.create_model` is a lazy name and ends in `explorer.models.create`.
    """
    if target in modules:
        return target
    package, _, name = target.rpartition(".")
    if package not in modules:
        return None
    offered = modules[package].offers.get(name)
    if offered is None:
        return package
    return resolve(offered, modules) or offered


def arrows(modules: Mapping[str, Module], *, types_too: bool = False) -> Iterator[tuple[Module, str, int]]:
    """Every import of the house's own modules: (who, whom, line). types_too: those for type hints as well.

    A lazy name is a signpost: who follows it ends in the module behind it.
    """
    root = next(iter(modules)).split(".")[0]
    for module in modules.values():
        for target, line in [*module.imports, *(module.for_types_only if types_too else ())]:
            if target.split(".")[0] == root:
                yield module, resolve(target, modules) or target, line


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def floor_of(name: str, floors: Sequence[Sequence[str]]) -> int | None:
    """Number of the floor, 0 on top; None for a module that no floor names."""
    root = floors[-1][0]
    places = [(len(prefix), floor) for floor, prefixes in enumerate(floors) for prefix in prefixes
              if name == prefix or (prefix != root and _under(name, prefix))]
    return max(places)[1] if places else None


def homeless(modules: Mapping[str, Module], floors) -> list[str]:
    return [f"{name} lives on no floor: add it to FLOORS."
            for name in modules if floor_of(name, floors) is None]


def missing(modules: Mapping[str, Module]) -> list[str]:
    """Imports of modules that do not exist, those for type hints included."""
    root = next(iter(modules)).split(".")[0]
    problems = []
    for module in modules.values():
        for target, line in [*module.imports, *module.for_types_only]:
            if target.split(".")[0] == root and resolve(target, modules) not in modules:
                problems.append(f"{module.name}:{line} imports {target}, which does not exist.")
        for name, origin in module.offers.items():
            if origin not in modules:
                problems.append(f"{module.name} offers {name} from {origin}, which does not exist.")
    return problems


def upward(modules: Mapping[str, Module], floors, strangers=()) -> list[str]:
    """Imports that point up the house, or to a neighbour who should be a stranger."""
    problems = []
    for module, target, line in arrows(modules):
        here, there = floor_of(module.name, floors), floor_of(target, floors)
        if here is not None and there is not None and there < here:
            problems.append(f"{module.name}:{line} imports {target}, which lives above it.")
        for pair in strangers:
            for one, other in (pair, pair[::-1]):
                if _under(module.name, one) and _under(target, other):
                    problems.append(f"{module.name}:{line} imports {target}: {one}, {other} are strangers.")
    return problems


def through_the_porch(modules: Mapping[str, Module]) -> list[str]:
    """Arrows that nobody sees: `import explorer` inside explorer, for `explorer.look(...)`, or a name that a
    package offers without its table saying so, such as a family's class.
    """
    def unseen(target: str) -> bool:
        package, _, name = target.rpartition(".")
        if target in modules:
            return bool(modules[target].offers)
        offers = modules[package].offers if package in modules else {}
        return bool(offers) and name not in offers and not name.startswith("__")

    return [f"{module.name}:{line} imports {target} from a lazy package: name the module instead."
            for module in modules.values() for target, line in module.imports
            if unseen(target) and module.name not in (target, target.rpartition(".")[0])]


def shadowed(modules: Mapping[str, Module]) -> list[str]:
    """Names that a package offers and that one of its own files has too."""
    return [f"{name} offers {offered!r} and has a file of that name." for name, module in modules.items()
            for offered in module.offers if f"{name}.{offered}" in modules]


def circles(modules: Mapping[str, Module]) -> list[str]:
    """Modules that import each other, also through others, also inside functions."""
    graph = {name: set() for name in modules}
    for module, target, _ in arrows(modules):
        if target in graph and target != module.name:
            graph[module.name].add(target)
    found, done = [], set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name):], name]))
        elif name not in done:
            for target in sorted(graph[name]):
                visit(target, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def tangles(modules: Mapping[str, Module]) -> list[str]:
    """Groups of modules of which each leads to all others, type hints counted: "house.room: door window"."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for module, target, _ in arrows(modules, types_too=True):
        if target in graph:
            graph[module.name].add(target)
    reached = {}
    for name in graph:
        found, waiting = set(), [name]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        reached[name] = found
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    sentences = []
    for group in sorted(group for group in groups if len(group) > 1):
        paths = [name.split(".") for name in group]
        room = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths))]
        names = (".".join(path[len(room):]) for path in paths)
        sentences.append(f"{'.'.join(room)}: {' '.join(names)}")
    return sentences


def trespassing(modules: Mapping[str, Module], reserved: Mapping[str, Sequence[str]]) -> list[str]:
    """Imports of a reserved library outside the rooms that may have it; type hints count too."""
    return [f"{module.name}:{line} imports {target}: only {', '.join(rooms) or 'nobody'} may."
            for module in modules.values() for target, line in [*module.imports, *module.for_types_only]
            for library, rooms in reserved.items()
            if _under(target, library) and not any(_under(module.name, room) for room in rooms)]


# --- explorer itself ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house() -> dict[str, Module]:
    return read_house(ROOT / "explorer")


def test_the_checker_sees_the_house(house):
    """A checker that reads nothing would be content with everything."""
    pairs = {(module.name, target) for module, target, _ in arrows(house)}
    assert ("explorer.models.weights.key_maps", "explorer.models.catalog") in pairs
    assert house["explorer"].offers["create_model"] == "explorer.models.create"


def test_every_module_has_a_floor(house):
    assert homeless(house, FLOORS) == []


def test_every_import_of_our_own_exists(house):
    assert missing(house) == []


def test_imports_only_point_down(house):
    assert upward(house, FLOORS, STRANGERS) == []


def test_no_module_imports_a_whole_lazy_package(house):
    assert through_the_porch(house) == []


def test_no_file_is_named_like_what_its_package_offers(house):
    """Importing such a file would put the module in the place of the function."""
    assert shadowed(house) == []


def test_no_modules_import_each_other_in_a_circle(house):
    assert circles(house) == []


def test_no_modules_know_each_other_in_a_circle_for_type_hints_either(house):
    assert tangles(house) == []


def test_burdening_libraries_stay_in_their_rooms(house):
    assert trespassing(house, RESERVED) == []


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `code`."""
    code += "\nimport sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_importing_explorer_loads_no_heavy_library():
    heavy = {"torch", "torchvision", "numpy", "PIL", "ipywidgets", "anywidget", "matplotlib",
             "huggingface_hub"}
    assert loaded_after("import explorer") & heavy == set()


def test_listing_models_loads_no_torch():
    code = "import explorer; assert explorer.list_models('resnet*') and explorer.list_models(pretrained=True)"
    assert loaded_after(code) & {"torch", "torchvision", "numpy", "PIL"} == set()


def test_the_command_line_lists_models_without_torch():
    assert "torch" not in loaded_after("from explorer.cli import main; assert main(['list', 'resnet*']) == 0")


# --- the checker finds what it should: small houses with one fault each -------------------------------------

SMALL_FLOORS = (("house.roof",), ("house.room", "house.bath"), ("house.cellar",), ("house", "house._lazy"))


@pytest.fixture
def build(tmp_path):
    """Write a small house from {file: text}; gives its modules."""
    def build_house(**files: str) -> dict[str, Module]:
        package = tmp_path / "house"
        for name in ("", *files):
            path = package.joinpath(*name.split("__")).with_suffix(".py") if name else package / "__init__.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files.get(name, ""), encoding="utf-8")
        return read_house(package)
    return build_house


def test_a_sound_house_passes(build):
    small = build(roof="from house.room import door\nimport house.cellar", room="from . import cellar",
                  cellar="import os")
    assert upward(small, SMALL_FLOORS) + circles(small) + missing(small) + homeless(small, SMALL_FLOORS) == []


@pytest.mark.parametrize("text", [
    "from house.roof import tile",
    "import house.roof as top",
    "from house import roof",
    "from . import roof",
    "from .roof import tile",
    "def late():\n    from house.roof import tile",
    "try:\n    import house.roof\nexcept ImportError:\n    pass",
    "class A:\n    def late(self):\n        if True:\n            import house.roof",
    "import importlib\nimportlib.import_module('house.roof')",
    "if not TYPE_CHECKING:\n    import house.roof",
    "if TYPE_CHECKING:\n    pass\nelse:\n    import house.roof",
])
def test_an_arrow_that_points_up_is_found(build, text):
    small = build(roof="", cellar=text)
    assert [p for p in upward(small, SMALL_FLOORS) if "house.cellar" in p and "house.roof" in p]


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_an_import_for_type_hints_may_point_up_but_must_exist(build, condition):
    imports = f"if {condition}:\n    from house.roof import tile\n    from house.attic import box"
    small = build(roof="", cellar=imports)
    assert upward(small, SMALL_FLOORS) == []
    assert [problem for problem in missing(small) if "house.attic.box" in problem]


def test_a_lazy_name_leads_to_the_module_behind_it(build, tmp_path):
    build(roof="tile = 1", cellar="from house import tile", _lazy="")
    (tmp_path / "house" / "__init__.py").write_text(
        "from house._lazy import lazy_names\na, b, c = lazy_names(__name__, {'roof': ('tile',)})"
    )
    small = read_house(tmp_path / "house")
    assert upward(small, SMALL_FLOORS) == ["house.cellar:1 imports house.roof, which lives above it."]


def test_a_file_named_like_an_offered_function_is_found():
    modules = {"house": Module("house", True, offers={"room": "house.room", "door": "house.room"}),
               "house.room": Module("house.room", False)}
    assert shadowed(modules) == ["house offers 'room' and has a file of that name."]


def test_a_lazy_name_of_no_module_is_found(build, tmp_path):
    build(_lazy="")
    (tmp_path / "house" / "__init__.py").write_text("a, b, c = lazy_names(__name__, {'attic': ('box',)})")
    [problem] = missing(read_house(tmp_path / "house"))
    assert problem == "house offers box from house.attic, which does not exist."


def test_importing_the_whole_house_is_found(build, tmp_path):
    build(roof="tile = 1", cellar="import house\nhouse.tile", _lazy="")
    (tmp_path / "house" / "__init__.py").write_text("a, b, c = lazy_names(__name__, {'roof': ('tile',)})")
    assert len(through_the_porch(read_house(tmp_path / "house"))) == 1


def test_importing_a_lazy_name_that_no_table_shows_is_found(build, tmp_path):
    build(roof="tile = 1", cellar="from house import tile, worked_out, __version__", _lazy="")
    table = "a, b, c = lazy_names(__name__, {'roof': ('tile',)}, others())"
    (tmp_path / "house" / "__init__.py").write_text(table)
    [problem] = through_the_porch(read_house(tmp_path / "house"))
    assert "house.worked_out" in problem


def test_strangers_on_one_floor_may_not_meet(build):
    small = build(room="import house.bath", bath="")
    assert upward(small, SMALL_FLOORS) == []
    assert len(upward(small, SMALL_FLOORS, strangers=(("house.bath", "house.room"),))) == 1


@pytest.mark.parametrize("files", [
    {"room": "import house.bath", "bath": "import house.room"},
    {"room": "from house import bath", "bath": "def late():\n    from house.cellar import x",
     "cellar": "from .room import y"},
])
def test_a_circle_is_found_also_through_functions_and_third_modules(build, files):
    assert len(circles(build(**files))) == 1


@pytest.mark.parametrize("files", [
    {"room": "import house.bath", "bath": "if TYPE_CHECKING:\n    from house.room import door"},
    {"room": "if TYPE_CHECKING:\n    import house.bath", "bath": "def late():\n    import house.room"},
    {"room": "from . import bath", "bath": "from .cellar import x",
     "cellar": "if TYPE_CHECKING:\n    from .room import y"},
])
def test_a_circle_through_type_hints_is_found_too(build, files):
    small = build(roof="import house.room", **files)
    assert circles(small) == [] and tangles(small) == [f"house: {' '.join(sorted(files))}"]


def test_a_module_without_a_floor_is_found(build):
    assert homeless(build(shed=""), SMALL_FLOORS) == ["house.shed lives on no floor: add it to FLOORS."]


def test_a_subpackage_lives_on_its_parents_floor_unless_it_has_its_own():
    floors = (("house.room.shelf",), ("house.room",), ("house",))
    modules = ("house.room.shelf.book", "house.room.chair", "house", "house.shed")
    assert [floor_of(name, floors) for name in modules] == [0, 1, 2, None]


@pytest.mark.parametrize("text", [
    "import ipywidgets", "from ipywidgets.widgets import Box", "def late():\n    import ipywidgets as w",
    "if TYPE_CHECKING:\n    import ipywidgets",
])
def test_a_reserved_library_in_the_wrong_room_is_found(build, text):
    small = build(cellar=text, roof="import ipywidgets, ipywidgets_extra")
    assert [p.split(":")[0] for p in trespassing(small, {"ipywidgets": ("house.roof",)})] == ["house.cellar"]


def test_an_import_whose_target_cannot_be_read_is_reserved(build):
    small = build(cellar="import importlib\nimportlib.import_module(f'house.{name}')")
    assert len(trespassing(small, {"importlib.import_module": ()})) == 1


# --- parts of libraries -------------------------------------------------------------------------------------


def parts_of_libraries(package: Path) -> dict[str, set[str]]:
    """{"torch.nn.init": {files}}: what each file asks of a module that it imported by its name alone.

    What the file imports itself, such as `import torch.utils.checkpoint`, is left out.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        libraries, imported = {}, set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
                libraries |= {alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else
                              alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        for node in ast.walk(tree):
            name, inside = ast.unparse(node) if isinstance(node, ast.Attribute) else "", node
            while isinstance(inside, ast.Attribute):
                inside = inside.value
            library = libraries.get(inside.id, "") if isinstance(inside, ast.Name) else ""
            full = library + name.removeprefix(getattr(inside, "id", ""))
            if library and not any(each == full or each.startswith(f"{full}.") for each in imported):
                found.setdefault(full, set()).add(path.relative_to(package).as_posix())
    return found


def unreachable(names: Iterable[str]) -> set[str]:
    """Those of the names that a fresh process does not have after `import` of their library alone."""
    code = ("import importlib, json, sys\n"
            "for name in json.load(sys.stdin):\n"
            "    thing, *parts = name.split('.')\n"
            "    thing = importlib.import_module(thing)\n"
            "    try:\n"
            "        for part in parts:\n"
            "            thing = getattr(thing, part)\n"
            "    except AttributeError:\n"
            "        print(name)\n")
    done = subprocess.run([sys.executable, "-c", code], input=json.dumps(sorted(names)), capture_output=True,
                          text=True, check=True)
    return set(done.stdout.split())


def test_a_librarys_part_is_imported_where_it_is_used():
    """case C1: `import huggingface_hub` alone gives no `huggingface_hub.constants`."""
    asked = {name: files for name, files in parts_of_libraries(ROOT / "explorer").items()
             if not name.startswith("explorer.")}
    assert len(asked) > 300
    assert {name: asked[name] for name in unreachable(asked)} == {}


def test_a_part_that_nobody_imported_is_found(tmp_path):
    one = "import huggingface_hub as hub\nhub.constants.ENDPOINT\nimport os\nos.path.join"
    (tmp_path / "one.py").write_text(one, encoding="utf-8")
    two = "import huggingface_hub.constants\nhuggingface_hub.constants"
    (tmp_path / "two.py").write_text(two, encoding="utf-8")
    asked = parts_of_libraries(tmp_path)
    assert unreachable(asked) == {"huggingface_hub.constants", "huggingface_hub.constants.ENDPOINT"}
    assert asked["huggingface_hub.constants"] == {"one.py"}


# --- nothing of this computer in the files ------------------------------------------------------------------

# Put together here, so that this file itself may pass.
REGISTRIES = [".".join(parts) for parts in (
    ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("deb", "debian", "org"),
    ("conda", "anaconda", "org"),
)]
CDNS = [".".join(parts) for parts in (
    ("unpkg", "com"), ("cdn", "jsdelivr", "net"), ("esm", "sh"), ("cdnjs", "cloudflare", "com"),
)]
MACHINE_PATH = re.compile(r"(?<![\w.~/$}*-])/(?:" + "|".join(("work", "root", "tmp")) + r")(?![\w-])")


def tracked_files() -> list[Path]:
    """What git tracks or would add; outside a clone (an unpacked archive) every file but caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if "__pycache__" not in p.parts]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # a photo


def signs_of_this_computer(text: str) -> list[str]:
    """Registry host names and absolute paths of one machine, with their surroundings."""
    found = [host for host in REGISTRIES if host in text]
    return found + [text[max(0, m.start() - 20): m.end() + 30] for m in MACHINE_PATH.finditer(text)]


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    problems = {str(path.relative_to(ROOT)): signs for path in tracked_files()
                if (signs := signs_of_this_computer(text_of(path)))}
    assert problems == {}


def test_nothing_in_the_package_is_fetched_from_a_cdn():
    files = [path for path in tracked_files() if path.is_relative_to(ROOT / "explorer")]
    assert len(files) > 20
    assert [(path.name, host) for path in files for host in CDNS if host in text_of(path)] == []


def test_signs_of_a_computer_are_found_and_look_alikes_are_not():
    work, tmp = "/" + "work", "/" + "tmp"
    for text in (f"open('{work}/x')", f"cd {tmp}", f"({tmp}/x)", f'"{tmp}"', f"file://{REGISTRIES[0]}/x"):
        assert signs_of_this_computer(text), text
    for text in (f"https://example.com{work}/x", f"{tmp}late", f"a{tmp}/x", f"$HOME{tmp}/x", f"..{tmp}/x",
                 f"{work}-force"):
        assert signs_of_this_computer(text) == [], text
