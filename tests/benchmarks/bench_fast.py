"""How fast explorer is: one command, one table, one plot.

    pip install "vision-explorer[bench]"
    python tests/benchmarks/bench_fast.py --plot fast.png            # all of it: about an hour on two cores
    python tests/benchmarks/bench_fast.py --quick                    # small sizes, to see that it runs
    python tests/benchmarks/bench_fast.py --only forward look        # some rows

Each side of a row runs in a process of its own, with as many threads, and they take turns: A B A B. The table
gives medians, how many times the time of the row's base that is, and the most memory that the process held.
A side or a row that can't be run here says why.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sides import CannotRunError, Side, once, take_turns

MODELS = ("tf_efficientnet_lite0", "resnet50", "vit_small_patch16_224", "convnext_tiny",
          "swin_tiny_patch4_window7_224")
CREATED = ("densenet121", "efficientnet_b0", "resnet50")
SMALL = "tf_efficientnet_lite0"  # what a dashboard opens with
FAR = 1e-3  # difference of answers, as a share of the largest, that no rounding explains


@dataclass(frozen=True)
class Line:
    """One side of a row. seconds: of one call, None where it can't be run, and the note says why;
    base: seconds of the side that it is compared with; peak: bytes.
    """

    row: str
    side: str
    seconds: float | None = None
    base: float | None = None
    peak: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.seconds / self.base if self.seconds and self.base else None


@dataclass(frozen=True)
class Found:
    """What the sides of a row took: those that ran, and why the others did not."""

    seconds: dict[str, float]
    peaks: dict[str, float]
    results: dict[str, Any]
    missing: dict[str, str]

    def lines(self, row: str, base: str, notes: dict[str, str] | None = None) -> Iterator[Line]:
        for side, seconds in self.seconds.items():
            note = (notes or {}).get(side, "")
            yield Line(row, side, seconds, self.seconds.get(base), self.peaks[side], note)
        for side, why in self.missing.items():
            yield Line(row, side, note=why)


def compared(sides: dict[str, tuple[str, dict[str, Any]]], *, rounds: int, each: int = 1, warm: int = 1,
             results: bool = False) -> Found:
    """Let the sides, (function, its arguments) each, take turns. results: whether to ask for answers too."""
    running, missing = {}, {}
    with ExitStack() as stack:
        for name, (function, given) in sides.items():
            try:
                running[name] = stack.enter_context(Side(function, **given))
            except CannotRunError as error:
                missing[name] = str(error)
        seconds = take_turns(running, rounds=rounds, each=each, warm=warm)
        answers = {name: side.result for name, side in running.items()} if results else {}
        return Found(seconds, {name: side.peak for name, side in running.items()}, answers, missing)


# --- rows ---------------------------------------------------------------------------------------------------


def listing(options: argparse.Namespace) -> Iterator[Line]:
    names = "bare Python", "timm", "explorer"
    sides = {name: ("fast_sides:listing", {"side": name}) for name in names}
    found = compared(sides, rounds=options.rounds, each=2)
    extra = 1e3 * (found.seconds["explorer"] - found.seconds["bare Python"])
    yield from found.lines("list the models", "timm", {"explorer": f"{extra:.0f} ms over bare Python"})


def creating(options: argparse.Namespace) -> Iterator[Line]:
    for name in options.created:
        with tempfile.TemporaryDirectory() as place:
            folder = str(Path(place, name))
            once("fast_sides:save_model", name=name, folder=folder)
            sides = {library: ("fast_sides:creating", {"library": library, "folder": folder})
                     for library in ("timm", "explorer")}
            found = compared(sides, rounds=options.rounds, each=2)
        yield from found.lines(f"create {name}, with weights", "timm")


def to_tensor(options: argparse.Namespace) -> Iterator[Line]:
    sides = {library: ("fast_sides:to_tensor", {"library": library, "model": SMALL})
             for library in ("timm", "explorer")}
    yield from compared(sides, rounds=options.rounds, each=options.passes).lines("photo to tensor", "timm")


def forward(options: argparse.Namespace) -> Iterator[Line]:
    for name in options.models:
        with tempfile.TemporaryDirectory() as place:
            folder = str(Path(place, name))
            once("fast_sides:save_forward", name=name, folder=folder)
            given = {"folder": folder, "threads": options.threads}
            names = "timm eager", "ONNX Runtime", "OpenVINO", "explorer", "explorer, optimized"
            sides = {side: ("fast_sides:forward", {"side": side, **given}) for side in names}
            found = compared(sides, rounds=options.rounds, each=options.passes, warm=3, results=True)
        notes = {}
        wanted = found.results.get("timm eager", found.results["explorer"])[0]
        for side, (answer,) in found.results.items():
            most = max(abs(one - other) for one, other in zip(answer, wanted, strict=True))
            if most > FAR * max(map(abs, wanted)):
                notes[side] = f"ANSWERS DIFFER by {most:.2g}"
        if "ONNX Runtime" in found.seconds:
            ratio = found.seconds["explorer, optimized"] / found.seconds["ONNX Runtime"]
            notes.setdefault("explorer, optimized", f"{ratio:.2f} of ONNX Runtime")
        yield from found.lines(f"forward {name}", "timm eager", notes)


def looking(options: argparse.Namespace) -> Iterator[Line]:
    for name in options.models[:2]:
        took, peak = once("bench_compare:looking", name=name, repeats=options.rounds)
        row, bare = f"look {name}", took["bare pass"]
        yield Line(row, "others", took["others"], took["others"], peak, "memory: all sides in one process")
        whole = f"{took['explorer'] / bare:.2f} bare passes, of which look and Grad-CAM "
        share = f"{took['of which the network'] / bare:.2f}"
        yield Line(row, "explorer", took["explorer"], took["others"], peak, whole + share)


def folder(options: argparse.Namespace) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as place:
        photos = str(Path(place, "photos"))
        once("fast_sides:save_photos", folder=photos, count=options.folder)
        sides = {side: ("fast_sides:folder_pass", {"side": side, "model": SMALL, "folder": photos})
                 for side in ("DataLoader loop", "explorer.predict")}
        found = compared(sides, rounds=min(options.rounds, 3))
    notes = {side: f"{options.folder / seconds:.0f} photos/s" for side, seconds in found.seconds.items()}
    yield from found.lines(f"a folder of {options.folder} photos", "DataLoader loop", notes)


def learning(options: argparse.Namespace) -> Iterator[Line]:
    for train, epochs in (("head", options.head_epochs), ("all", options.all_epochs)):
        given = {"epochs": epochs, "train": train, "threads": options.threads}
        title = "head-only" if train == "head" else "full"
        sides = {side: ("fast_sides:learning", {"side": side, **given})
                 for side in ("plain loop", "fastai", "explorer")}
        found = compared(sides, rounds=1 if options.quick else 2, warm=0, results=True)
        notes = {side: f"{share:.1%} of val photos right" for side, share in found.results.items()}
        yield from found.lines(f"{title} fine-tuning, {epochs} epochs", "plain loop", notes)


def jobs(options: argparse.Namespace) -> Iterator[Line]:
    for name in options.models:
        repeats = options.rounds * options.passes
        took, peak = once("fast_sides:job_and_main_thread", name=name, repeats=repeats)
        kept = f"{took['faults with memory kept']:.0f} with memory kept"
        for side, note in (("main thread", f"{took['faults']:.0f} page faults a pass, {kept}"), ("job", "")):
            yield Line(f"job {name}", side, took[side], took["main thread"], peak, note)


def notebook(options: argparse.Namespace) -> Iterator[Line]:
    for subshells in (False, True):
        (rows, about), _ = once("bench_notebook:measured", folder="", subshells=subshells, model=SMALL,
                                passes=options.passes, rounds=options.rounds)
        if not rows:
            yield Line("notebook", "subshells", note=f"{about} has no subshells")
        for row, (seconds, other, _) in rows.items():
            yield Line(f"notebook, subshells {'on' if subshells else 'off'}", row, seconds, other,
                       note=about if row.startswith("cell, before") else "")


def painting(options: argparse.Namespace) -> Iterator[Line]:
    clicks, _ = once("bench_paint:measured", repeats=max(options.rounds, 3))
    for click, took in clicks.items():
        note = (f"kernel: heard at {took['arrived']:.0f}, done at {took['told']:.0f} ms, of that the network "
                f"{took['network']:.0f}; {took['messages']:.0f} messages, {took['kilobytes']:.0f} kB")
        yield Line("paint", f"{click} to paint", took["painted"] / 1e3, peak=1e6 * took["peak"], note=note)


ROWS: dict[str, Callable[[argparse.Namespace], Iterator[Line]]] = {
    "list": listing, "create": creating, "tensor": to_tensor, "forward": forward, "look": looking,
    "folder": folder, "learning": learning, "job": jobs, "notebook": notebook,
    "paint": painting,
}


# --- the table and the plot ---------------------------------------------------------------------------------


def printed(line: Line) -> str:
    took, ratio, peak = "-", "", ""
    if line.seconds is not None:
        took = f"{line.seconds:.1f} s" if line.seconds >= 10 else f"{1e3 * line.seconds:.1f} ms"
    if line.ratio is not None:
        ratio = f"{line.ratio:.2f}"
    if line.peak is not None:
        peak = f"{line.peak / 1e6:.0f} MB"
    return f"{line.row:38} {line.side:26} {took:>10} {ratio:>6} {peak:>8}  {line.note}".rstrip()


def plot(lines: list[Line], path: str) -> None:
    """Each side's time as a share of its row's base, a bar each."""
    from matplotlib.figure import Figure

    shown = [line for line in lines if line.ratio is not None]
    axes = (figure := Figure(figsize=(9, 1 + 0.2 * len(shown)), layout="constrained")).subplots()
    ours = [not line.side.startswith(("timm", "ONNX", "OpenVINO", "fastai", "plain", "others", "Data"))
            for line in shown]
    axes.barh(range(len(shown)), [line.ratio for line in shown],
              color=["tab:blue" if own else "tab:grey" for own in ours])
    axes.set_yticks(range(len(shown)), [f"{line.row}: {line.side}" for line in shown], fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time, the row's base = 1")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW",
                        help=f"of {', '.join(ROWS)}")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--created", nargs="+", default=CREATED, metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    parser.add_argument("--passes", type=int, default=10, help="in a turn, where one is short")
    parser.add_argument("--folder", type=int, default=2000, help="photos of the folder")
    parser.add_argument("--head-epochs", type=int, default=5)
    parser.add_argument("--all-epochs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--plot", default="", metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.passes, options.folder = 2, 3, 100
        options.models, options.created = options.models[:1], options.created[:1]
        options.head_epochs = options.all_epochs = 1
    about, _ = once("fast_sides:about")
    options.threads = about["threads"]
    print(", ".join(f"{name} {value}" for name, value in about.items()) +
          f"; medians of {options.rounds} turns of up to {options.passes}, a process a side\n")
    print(f"{'':38} {'':26} {'time':>10} {'ratio':>6} {'peak':>8}")
    lines: list[Line] = []
    started = time.monotonic()
    for name in options.only:
        try:
            for line in ROWS[name](options):
                lines.append(line)
                print(printed(line), flush=True)
        except CannotRunError as error:
            print(f"{name}: could not be run here: {error}", flush=True)
    print(f"\n(all of it took {time.monotonic() - started:.0f} s)")
    if options.plot:
        plot(lines, options.plot)


if __name__ == "__main__":
    main()
