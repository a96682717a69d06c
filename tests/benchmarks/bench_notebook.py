"""A pass in a real notebook's kernel: in a cell, in a dashboard's job, in a cell after a dashboard was used.

    python tests/benchmarks/bench_notebook.py                         # the ipykernel that is installed
    python tests/benchmarks/bench_notebook.py --ipykernel FOLDER ...  # others: pip install --no-deps --target
    EXPLORER_FAST=0 python tests/benchmarks/bench_notebook.py         # without the rest of idle teams

A kernel is started as JupyterLab starts it, and is spoken to as JupyterLab speaks to it: cells as execute
requests, clicks as the messages of widgets, with "subshells on" to a subshell, as JupyterLab does from 4.4
on. The dashboard looks at ten photos that cells ask for, and at ten that clicks ask for. Each row is one
photo's pass of an optimized network at that moment. It takes turns with the same pass in a kernel that never
had a dashboard; medians of all turns, and their ratio. Memory is kept (`explorer._memory`) on both sides from
the beginning, so that only threads differ.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

SETUP = """
import statistics, threading, time
import ipywidgets, torch
import explorer
from explorer import _memory
from explorer.widgets.jobs import Line
_memory.keep()
model = explorer.optimize(explorer.create_model({model!r}).eval())
photo = torch.randn(1, *model.config.input_size)
found = []

def took(passes={passes}):
    "Seconds of a pass, and in which thread; the first three are not counted."
    times = []
    with torch.inference_mode():
        for _ in range(passes + 3):
            started = time.perf_counter()
            model(photo)
            times.append(time.perf_counter() - started)
    found.append((statistics.median(times[3:]), threading.current_thread().name.partition("-")[0]))
"""

DASHBOARD = """
dash = explorer.Dashboard({model!r})
dash.wait()
photos = explorer.sample_photos()[:10]
first, second = Line(dash.session.jobs), Line(dash.session.jobs)
button = ipywidgets.Button()

def ask(*_clicked):
    "As a panel's button: two jobs in turn, each in a thread of its own."
    clicked_in.append(threading.current_thread().name.partition("-")[0])
    over = threading.Event()

    def when_the_first_is_over(job):
        over.wait()
        time.sleep(0.02)
        took()
    second.start(when_the_first_is_over, lambda _: setattr(button, "description", str(len(clicked_in))))
    first.start(lambda job: took(), lambda _: over.set())

clicked_in = []
button.on_click(ask)
"""

LOOK_AT_TEN = """
for one in photos:
    took(3)
    dash.session.image = one
    dash.wait()
took()
"""


class Notebook:
    """A kernel of the interpreter at hand, spoken to as a front end does."""

    def __init__(self, folder: str = ""):
        """folder: of another ipykernel than the one that is installed."""
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager

        paths = filter(None, [folder, str(ROOT), os.environ.get("PYTHONPATH")])
        command = [sys.executable, "-W", "ignore", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "bench", "language": "python",
                "env": {"PYTHONPATH": os.pathsep.join(paths)}}
        self.subshell = ""
        self._place = tempfile.TemporaryDirectory(prefix="explorer-bench-")
        file = Path(self._place.name, "bench", "kernel.json")
        file.parent.mkdir()
        file.write_text(json.dumps(spec), encoding="utf-8")
        specs = KernelSpecManager(kernel_dirs=[self._place.name], ensure_native_kernel=False)
        self.manager = KernelManager(kernel_name="bench", kernel_spec_manager=specs)
        self.manager.start_kernel()
        self.client = self.manager.client()

    def __enter__(self) -> Notebook:
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._place.cleanup()

    def cell(self, code: str) -> str:
        """Run a cell; what it prints. RuntimeError where it fails."""
        printed = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])
        reply = self.client.execute_interactive(code, output_hook=hear, timeout=120, store_history=False)
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"]["traceback"]))
        return "".join(printed)

    def value(self, expression: str) -> Any:
        return ast.literal_eval(self.cell(f"print(repr({expression}))"))

    def use_subshell(self) -> bool:
        """Send clicks to a subshell from now on, as JupyterLab does; False where the kernel has none."""
        info = self.client.kernel_info(reply=True, timeout=30)["content"]
        if "kernel subshells" not in info.get("supported_features", ()):
            return False
        request = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(request)
        while True:
            reply = self.client.get_control_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
                self.subshell = reply["content"]["subshell_id"]
                return True

    def click(self, comm: str, content: dict[str, Any], shown: str) -> None:
        """Send what a click in a widget's view sends, and wait until the widget `shown` is told something.

        No cell runs meanwhile.
        """
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)
        while True:
            heard = self.client.get_iopub_msg(timeout=60)
            if heard["msg_type"] == "comm_msg" and heard["content"]["comm_id"] == shown:
                return


class Turns:
    """Rows of a table: a pass in the notebook, taking turns with one in a kernel without a dashboard."""

    def __init__(self, notebook: Notebook, quiet: Notebook, rounds: int):
        self.notebook, self.quiet, self.rounds = notebook, quiet, rounds
        self.rows: dict[str, tuple[float, float, str]] = {}

    def take(self, row: str, ask: str | Callable[[], None], *more: str) -> None:
        """ask: the cell that computes, or what is to be done; more: rows for passes that follow the first."""
        names, times, others = [row, *more], {}, []
        for _ in range(self.rounds):
            others.append(last(self.quiet, "took()", 1)[0][0])
            for name, measured in zip(names, last(self.notebook, ask, len(names))):
                times.setdefault(name, []).append(measured)
        for name, measured in times.items():
            seconds = statistics.median(took for took, _ in measured)
            self.rows[name] = seconds, statistics.median(others), measured[0][1]


def last(notebook: Notebook, ask: str | Callable[[], None], count: int) -> list[tuple[float, str]]:
    """(seconds, thread) of the last passes, once what was asked for is done."""
    if isinstance(ask, str):
        notebook.cell(ask)
    else:
        ask()
    return notebook.value(f"found[-{count}:]")


def measured(folder: str, *, subshells: bool, model: str, passes: int, rounds: int
             ) -> tuple[dict[str, tuple[float, float, str]], str]:
    """({row: (seconds, seconds in the quiet kernel, the thread)}, about this kernel); no rows where it has no
    subshells to switch on.
    """
    with ExitStack() as stack:
        notebook, quiet = (stack.enter_context(Notebook(folder)) for _ in range(2))
        about = "ipykernel " + notebook.value("__import__('ipykernel').__version__")
        if subshells and not notebook.use_subshell():
            return {}, about
        for each in (notebook, quiet):
            each.cell(SETUP.format(model=model, passes=passes))
        turns = Turns(notebook, quiet, rounds)
        turns.take("cell, before a dashboard", "took()")
        notebook.cell(DASHBOARD.format(model=model))
        turns.take("cell, right after ten photos", LOOK_AT_TEN)
        turns.take("the next cell", "took()")
        gallery, bars, button = notebook.value(
            "(dash.images.gallery.model_id, dash.predictions.answers.model_id, button.model_id)")
        for index in range(10):
            notebook.click(gallery, {"kind": "pick", "index": index}, bars)
        turns.take("cell, after ten clicks", "took()")
        turns.take("job that a cell asks for", "took(5); ask(); first.wait(); second.wait()",
                   "- a second one after it")

        def click() -> None:
            notebook.cell("took(5)")
            notebook.click(button, {"event": "click"}, button)
        turns.take("job that a click asks for", click, "- a second one after that")
        turns.take("cell, after the jobs", "took()")
        threads, clicked_in = notebook.value("(torch.get_num_threads(), clicked_in[-1])")
        return turns.rows, f"{about}, {threads} threads, clicks arrive in the thread {clicked_in}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--passes", type=int, default=15, help="in a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns")
    parser.add_argument("--ipykernel", nargs="*", default=[""], metavar="FOLDER",
                        help='with another ipykernel each, "" for the one that is installed')
    parser.add_argument("--subshells", nargs="*", choices=("off", "on"), default=("off", "on"))
    options = parser.parse_args()
    for folder in options.ipykernel:
        for subshells in options.subshells:
            rows, about = measured(folder, subshells=subshells == "on", model=options.model,
                                   passes=options.passes, rounds=options.rounds)
            if not rows:
                print(f"{about} has no subshells\n")
                continue
            print(f"{about}, subshells {subshells}, medians of {options.rounds} x {options.passes}")
            print(f"  {'':34} {'here':>10} {'elsewhere':>12} {'ratio':>6}")
            for row, (seconds, other, thread) in rows.items():
                times = f"{1e3 * seconds:7.1f} ms {1e3 * other:9.1f} ms {seconds / other:6.2f}"
                print(f"  {row:34} {times}  {thread}")
            print(flush=True)


if __name__ == "__main__":
    main()
