"""Whether the page that a kernel talks to finds what draws widgets, as far as that can be seen from here.

A kernel computes; a page draws, with scripts that the Jupyter server hands out. The two may lie in different
environments (a hub, a kernel of another virtual environment), and a package may be in one of them alone:

    this kernel's environment      ipywidgets, anywidget           Python's half
    the server's environment       share/jupyter/labextensions     the page's half, of the same packages

Nothing is imported here but the standard library and jupyter_core, and no network is asked.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Package -> its part in a page, by the name it has there; the package that brings that; what it draws.
EXTENSIONS = {
    "ipywidgets": ("@jupyter-widgets/jupyterlab-manager", "jupyterlab_widgets", "any controls"),
    "anywidget": ("anywidget", "anywidget", "explorer's own views"),
}

UNSEEN = "there; in which environment can't be seen from here"


@dataclass(frozen=True)
class Server:
    """What started this kernel.

    prefix: the environment of the Python that it runs on; None where that can't be seen
    words:  what is known of it, in a few words
    """

    prefix: Path | None
    words: str

    @property
    def elsewhere(self) -> bool:
        """Whether it runs in another environment than this kernel."""
        return self.prefix is not None and self.prefix != Path(sys.prefix)

    @property
    def python(self) -> str:
        """What to call its Python in a shell."""
        return str(Path(self.prefix or sys.prefix, "Scripts" if os.name == "nt" else "bin", "python"))


def server() -> Server:
    """The server that started this kernel; a kernel on this computer knows its process."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    if not parent.isdecimal():
        return Server(None, "none that can be seen from here")
    try:
        line = Path("/proc", parent, "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return Server(None, UNSEEN)
    program = Path(line[0])
    if "python" not in program.name.lower():
        return Server(None, f"none: {program.name or 'another program'} started this kernel")
    if not program.is_absolute():  # as it was typed: `python -m jupyterlab`
        return Server(None, UNSEEN)
    prefix = program.parent.parent
    same = "this kernel's too" if prefix == Path(sys.prefix) else "another environment than this kernel's"
    return Server(prefix, f"in {prefix}, {same}")


def folders(prefix: Path) -> list[Path]:
    """Where the server of an environment looks for what its pages load; the first that has it counts."""
    from jupyter_core.paths import jupyter_path

    own = Path(sys.prefix, "share", "jupyter", "labextensions")
    rest = [Path(folder) for folder in jupyter_path("labextensions")]
    return [prefix / "share" / "jupyter" / "labextensions", *(folder for folder in rest if folder != own)]


@dataclass(frozen=True)
class Extension:
    """One of `EXTENSIONS` as a server would find it.

    version, folder: "" and None where it finds none;  off: the file that switches it off, None where none
    does
    """

    package: str
    version: str
    folder: Path | None
    off: Path | None

    @property
    def there(self) -> bool:
        return self.folder is not None and self.off is None

    def advice(self, at: Server) -> str:
        """What to do, in a sentence; "" where it is there."""
        name, brings, draws = EXTENSIONS[self.package]
        wanted = major(self.package)
        if self.there and wanted in ("", self.version.partition(".")[0]):
            return ""
        if self.there:
            return (f"Pages may not draw {draws}: their part of {self.package} is of version {self.version}, "
                    f"and this kernel's goes with {wanted}. "
                    f"Run: {at.python} -m pip install --upgrade {brings}, then reload the page.")
        if self.folder is None:
            again = "" if at.elsewhere else "--force-reinstall --no-deps "
            return (f"Pages can't draw {draws}: their part of {self.package} is not where the Jupyter server "
                    f"looks. Run: {at.python} -m pip install {again}{brings}, then reload the page.")
        return (f"Pages can't draw {draws}: the extension {name} is switched off in {self.off}. "
                f"Run: {at.python} -m jupyter labextension enable {name}, then restart the server.")


def major(package: str) -> str:
    """The first number of the version that the page's part must have to go with the package in this kernel;
    "" where that is not installed.
    """
    if package == "ipywidgets":
        return "5"  # of its manager, for ipywidgets 8
    try:
        return version(package).partition(".")[0]
    except PackageNotFoundError:
        return ""


def extension(package: str, prefix: Path) -> Extension:
    """What the server of an environment would find of a package's extension."""
    name = EXTENSIONS[package][0]
    for folder in folders(prefix):
        about = _read(folder / name / "package.json")
        if about is not None:
            off = _switched_off(name, prefix)
            return Extension(package, str(about.get("version", "?")), folder, off)
    return Extension(package, "", None, None)


def advice() -> list[str]:
    """What to do so that a page can draw explorer, a sentence each; [] where no fault is seen from here."""
    at = server()
    found = [extension(package, at.prefix or Path(sys.prefix)).advice(at) for package in EXTENSIONS]
    return [sentence for sentence in found if sentence]


def _switched_off(name: str, prefix: Path) -> Path | None:
    from jupyter_core.paths import jupyter_config_path

    own = Path(sys.prefix, "etc", "jupyter")  # a server of another environment does not read it
    rest = [Path(folder) for folder in jupyter_config_path()]
    for place in (prefix / "etc" / "jupyter", *(folder for folder in rest if folder != own)):
        file = place / "labconfig" / "page_config.json"
        off = (_read(file) or {}).get("disabledExtensions", {})
        off = {one: True for one in off if isinstance(one, str)} if isinstance(off, list) else off
        if isinstance(off, dict) and any(on and one.partition(":")[0] == name for one, on in off.items()):
            return file
    return None


def _read(file: Path) -> dict | None:
    """What a JSON file says; None where there is none, or it says nothing of use."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
