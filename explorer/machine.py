"""`doctor`: what explorer found on this computer, in one table to read or to send along with a question."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from explorer import _memory, _teams
from explorer._threads import cpu_count
from explorer.display.html import RichRepr, notes_html, row_html, table_html

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "matplotlib", "ipywidgets", "anywidget", "jupyterlab",
            "ipykernel", "captum", "scikit-learn", "torchmetrics", "timm", "ray", "umap-learn", "onnx",
            "onnxscript", "onnxruntime")

PROGRAMS = ("npm", "node")  # of which npm brings the runtime of a live page, and node runs npm


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
    """What explorer found on this computer: versions, processors, and which of its accelerations are on.

    It looks and changes nothing; no network is asked. `print(explorer.doctor())` is what to send with a
    question.
    """
    return Diagnosis(tuple([*_versions(), *_computer(), *_fast()]))


def _versions() -> Iterator[Finding]:
    from explorer import __version__

    yield Finding("explorer", __version__)
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    for package in PACKAGES:
        try:
            yield Finding(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, "not installed")
    for program in PROGRAMS:
        found = shutil.which(program)
        yield Finding(program, found or "not on the path: a live page can't get its runtime by it")


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
