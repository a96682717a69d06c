"""The sides of a comparison, each in a process of its own: so none disturbs another's threads, and the peak
memory of each is its own.

    with Side("bench_fast:timm_pass", name="resnet50") as one, Side("bench_fast:our_pass", ...) as other:
        seconds = take_turns({"timm": one, "explorer": other}, rounds=5, each=10)
        one.peak

The function is called once in the child and gives what is timed: a callable without arguments. `once` calls
a function in a child for what it gives.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
QUIET = 0.1  # seconds between two turns, in which the threads of the last one come to rest


class CannotRunError(RuntimeError):
    """A side that can't be run here; the message says why."""


class Side:
    """One contestant; closed at the end of its `with` block. Raises CannotRunError where it can't begin."""

    def __init__(self, function: str, /, **given: Any):
        paths = filter(None, [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH")])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, function, json.dumps(given)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
        try:
            self.given = self._answer()
        except CannotRunError:
            self.close()
            raise

    def turn(self, count: int) -> list[float]:
        """Seconds of each of `count` calls."""
        return self._ask("turn", count)

    @property
    def result(self) -> Any:
        """What its last call gave, as numbers and words."""
        return self._ask("result")

    @property
    def peak(self) -> float:
        """Bytes of memory that it, or the largest of its own children, has held at most (ru_maxrss)."""
        return self._ask("peak")

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _ask(self, *question: Any) -> Any:
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise CannotRunError(said[-1] if said else "its process ended without a word")
        answer = json.loads(line)
        if "error" in answer:
            raise CannotRunError(answer["error"])
        return answer["value"]


def take_turns(sides: dict[str, Side], *, rounds: int, each: int = 1, warm: int = 1) -> dict[str, float]:
    """Median seconds of a call of each side: A B A B, `each` calls a turn, after `warm` calls not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + bool(warm)):
        for name, side in sides.items():
            first = warm and not number
            times = side.turn(warm if first else each)
            if not first:
                seconds[name] += times
            time.sleep(QUIET)
    return {name: statistics.median(times) for name, times in seconds.items()}


def once(function: str, /, **given: Any) -> tuple[Any, float]:
    """(what a function gives, the peak memory of the process that it ran in, in bytes)."""
    with Side("sides:called", function=function, given=given) as side:
        side.turn(1)
        return side.result, side.peak


def called(function: str, given: dict[str, Any]) -> Any:
    call = found(function)
    return lambda: call(**given)


def found(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def plain(value: Any) -> Any:
    """Tensors and arrays as lists."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def serve(function: str, given: dict[str, Any]) -> None:
    """In the child: begin, then answer a question a line until there is none."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**said: Any) -> None:
        print(json.dumps(said), file=out, flush=True)
    result = None
    try:
        work = found(function)(**given)
        answer(value=None)
        for line in sys.stdin:
            question, *rest = json.loads(line)
            if question == "turn":
                times = []
                for _ in range(rest[0]):
                    started = time.perf_counter()
                    result = work()
                    times.append(time.perf_counter() - started)
                answer(value=times)
            elif question == "result":
                answer(value=plain(result))
            else:
                most = max(resource.getrusage(who).ru_maxrss
                           for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
                answer(value=1024 * most)
    except ModuleNotFoundError as error:
        answer(error=f"{error.name} is not installed")
    except (Exception, SystemExit) as error:
        answer(error=f"{type(error).__name__}: {str(error).strip() or 'no reason given'}".splitlines()[0])


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
