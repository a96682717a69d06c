"""`doctor`: what explorer found on this computer, in one table to read or to send along with a question."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer import _memory, _teams
from explorer._threads import cpu_count
from explorer.display.html import RichRepr, notes_html, row_html, table_html
from explorer.display.words import megabytes, sentence_of

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "matplotlib", "ipywidgets", "anywidget",
            "jupyterlab_widgets", "jupyterlab", "notebook", "voila", "ipykernel", "captum", "scikit-learn",
            "torchmetrics", "timm", "ray", "umap-learn", "onnx", "onnxscript", "onnxruntime")

PROGRAMS = ("npm", "node")  # of which npm brings the runtime of a live page, and node runs npm

SCARCE_MEMORY = 400e6  # bytes below which the next model may not fit
SCARCE_DISK = 1e9      # bytes below which a download may not fit
SHOWN = 12             # weights whose names are told

# (the most that it may use, what it uses) of a container of Linux, by control groups of version 2 and 1
CONTAINERS = (("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
              ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"))


@dataclass(frozen=True)
class Finding:
    """One row: what was asked, what was found, and what to do where that is not as it should be."""

    about: str
    found: str
    advice: str = ""


@dataclass(frozen=True, repr=False)
class Diagnosis(RichRepr):
    """What `doctor` found; it shows itself as a table."""

    findings: tuple[Finding, ...]

    def __getitem__(self, about: str) -> str:
        """What was found on one thing, e.g. `doctor()["torch"]`."""
        found = {finding.about: finding.found for finding in self.findings}
        if about not in found:
            raise KeyError(f"There is no row {about!r}. Rows: {', '.join(found)}.")
        return found[about]

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do, a sentence each; empty where all is well."""
        return tuple(finding.advice for finding in self.findings if finding.advice)

    def __repr__(self) -> str:
        width = max(len(finding.about) for finding in self.findings)
        rows = [f"{finding.about:<{width}}  {finding.found}" for finding in self.findings]
        return "\n".join([*rows, *(f"! {sentence}" for sentence in self.advice)])

    def _repr_html_(self) -> str:
        rows = "".join(row_html(finding.about, (finding.found,), left=1) for finding in self.findings)
        return f"<div>{table_html(('asked', 'found'), rows)}{notes_html(self.advice)}</div>"


def doctor() -> Diagnosis:
    """What explorer found on this computer: versions, whether a notebook's page finds what draws widgets,
    processors, memory, the weights that are here, the room on the disk, and which accelerations are on.

    It looks and changes nothing; no network is asked. `print(explorer.doctor())` is what to send with a
    question.
    """
    asked = {"versions": _versions, "pages": _pages, "home folder": _home, "computer": _computer,
             "memory": _memory_here, "weights": _weights, "features kept": _features,
             "downloads go to": _downloads, "accelerations": _fast}
    return Diagnosis(tuple(found for about, rows in asked.items() for found in _as_far(about, rows)))


def _as_far(about: str, rows: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What can be found out; a computer that breaks it off gets a row that says so, and the other rows."""
    try:
        yield from rows()
    except Exception as error:  # it is asked where something is broken, and that may be anything
        why = sentence_of(error, unexpected="{problem}")
        yield Finding(about, f"can't be found out: {why}")


def _versions() -> Iterator[Finding]:
    from explorer import __version__

    yield Finding("explorer", __version__)
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    for package in PACKAGES:
        try:
            found = importlib.metadata.version(package)  # None of a half-removed one
            yield Finding(package, found or "installed in part", "" if found else
                          f"The package {package} is damaged. Run: {sys.executable} -m pip install "
                          f"--force-reinstall --no-deps {package}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, "not installed")
    for program in PROGRAMS:
        found = shutil.which(program)
        yield Finding(program, found or "not on the path: a live page can't get its runtime by it")


def _pages() -> Iterator[Finding]:
    """Whether the page finds what draws widgets."""
    from explorer.widgets import front_ends

    at = front_ends.server()
    yield Finding("Jupyter server of this kernel", at.words)
    for package, (name, *_) in front_ends.EXTENSIONS.items():
        found = front_ends.extension(package, at.prefix or Path(sys.prefix))
        where = "not found" if found.folder is None else f"{name} {found.version} in {found.folder}"
        off = f", switched off in {found.off}" if found.off is not None else ""
        yield Finding(f"a page's part of {package}", where + off, found.advice(at))


def _home() -> Iterator[Finding]:
    """A row where there is none: settings, downloads and features have no place then."""
    try:
        Path.home()
    except RuntimeError:
        advice = "No home folder of this user is known: set HOME to one before Python starts."
        yield Finding("home folder", "none is known", advice)


def _computer() -> Iterator[Finding]:
    import torch

    yield Finding("system", platform.platform())
    threads, cores = torch.get_num_threads(), cpu_count()
    advice = ""
    if threads > cores:
        advice = (f"torch computes with {threads} threads on {cores} processors, which then wait for each "
                  f"other: set OMP_NUM_THREADS={cores} before Python starts, or call "
                  f"torch.set_num_threads({cores}).")
    yield Finding("processors", f"{cores} for this process; torch computes with {threads} "
                                f"{'thread' if threads == 1 else 'threads'}", advice)
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Finding("GPU", ", ".join(gpus) or "none that torch can use; everything works on the CPU")


def _memory_here() -> Iterator[Finding]:
    found = memory()
    if found is None:
        yield Finding("memory", "not known on this system")
        return
    total, free, held = map(megabytes, found)
    advice = ""
    if found[1] < SCARCE_MEMORY:
        advice = (f"Only {free} of memory are free: shut down the kernels of other notebooks, or choose a "
                  "smaller model.")
    yield Finding("memory", f"{total}, {free} of it free; this process holds {held}", advice)


def memory() -> tuple[int, int, int] | None:
    """Bytes: (in all, free, held by this process), None where the system does not say. In a container that
    may use less than there is, what it may use.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known = {line.partition(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith("kB")}
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        total, free, own = known["MemTotal"], known["MemAvailable"], pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, KeyError, IndexError):
        return None
    for most, used in CONTAINERS:  # a hub gives everybody a part
        try:
            limit = int(Path(most).read_text(encoding="ascii"))
            if limit < total:
                total, free = limit, max(0, min(free, limit - _taken(Path(used))))
        except (OSError, ValueError):  # no limit, or another system
            continue
    return total, free, own


def _taken(used: Path) -> int:
    """Bytes that a container uses, without copies of files that make room when somebody needs it."""
    taken = int(used.read_text(encoding="ascii"))
    try:
        lines = used.with_name("memory.stat").read_text(encoding="ascii").splitlines()
        return taken - next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
    except (OSError, ValueError, IndexError):
        return taken


def _weights() -> Iterator[Finding]:
    """The published weights that open without a network."""
    from explorer.models.weights.packaged import PACKAGED
    from explorer.models.weights.places import downloaded

    came = {name: path.stat().st_size for name, one in PACKAGED.items() if (path := one.path()) is not None}
    for about, found in (("weights that came along", came), ("weights downloaded", downloaded())):
        sizes = ", ".join(f"{name} {megabytes(size)}" for name, size in [*found.items()][:SHOWN])
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        whole = f"; together {megabytes(sum(found.values()))}" if len(found) > 1 else ""
        yield Finding(about, f"{sizes}{more}{whole}" if found else "none")


def _features() -> Iterator[Finding]:
    from explorer.inspection.features.cache import cache_size, default_cache_dir

    yield Finding("features kept", f"{megabytes(cache_size())} in {default_cache_dir()}")


def _downloads() -> Iterator[Finding]:
    """Where downloads are kept, and what room is left there."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), None)
    if there is None:
        return
    free = shutil.disk_usage(there).free
    advice = ""
    if free < SCARCE_DISK:
        advice = (f"Only {megabytes(free)} are free where weights are downloaded to: make room, or set "
                  "HF_HOME to a folder on another disk before Python starts.")
    yield Finding("downloads go to", f"{folder}, {megabytes(free)} free there", advice)


def _fast() -> Iterator[Finding]:
    """The accelerations, each with whether it is on here."""
    from explorer.models.surgery.packing import can_pack

    if not _teams.wanted():
        off = f"off: EXPLORER_FAST={os.environ['EXPLORER_FAST']} is set"
        yield Finding("memory for the next pass", off)
        yield Finding("idle teams rest", off)
    else:
        kept = "kept now" if _memory.active() else "kept while a dashboard is open or a command runs"
        if not _memory.possible():
            kept = "off: it needs Linux with glibc"
        yield Finding("memory for the next pass", kept)
        rest = "on" if _teams.active() else "off: it needs Linux and torch's libgomp"
        yield Finding("idle teams rest", rest)
    packs = "on, in optimized copies" if can_pack() else "off: this torch lacks oneDNN's operators"
    yield Finding("weights laid out for the processor", packs)
