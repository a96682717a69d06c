"""Ray actors that live beside the notebook, where workers bring what they have to tell, and hear what is
wanted of them. Nothing here needs torch, so that they start at once and take little room.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

PATIENCE = 0.1  # seconds that the notebook waits at the desk


class PostBox:
    """Of a training: letters (pickled lists of events) come in from worker 0, the wish to stop goes out."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.wanted = False
        self.failures: list[str] = []

    def exchange(self, letter: bytes) -> bool:
        """Worker 0 brings events, and hears whether to stop."""
        self.letters.append(letter)
        return self.wanted

    def take(self) -> tuple[list[bytes], str]:
        """What came since the last time, and why it can't go on."""
        letters, self.letters = self.letters, []
        return letters, self.failures[0] if self.failures else ""

    def ask_to_stop(self) -> None:
        self.wanted = True

    def fail(self, sentence: str) -> None:
        self.failures.append(sentence)

    def failed(self) -> int:
        """How many workers have."""
        return len(self.failures)


class Desk:
    """Of a search: the figures of trials come in from their workers, and whether to give up goes out."""

    def __init__(self) -> None:
        self.told: list[tuple[int, tuple[float, float] | None]] = []
        self.waiting: dict[int, asyncio.Future[bool]] = {}
        self.came = asyncio.Event()
        self.wanted = False

    async def begun(self, trial: int) -> None:
        """A worker is at work at a trial."""
        self._put(trial, None)

    async def tell(self, trial: int, value: float, loss: float) -> bool:
        """A worker tells the figures of an epoch, or fold, and hears whether to give up."""
        answer = self.waiting[trial] = asyncio.get_running_loop().create_future()
        self._put(trial, (value, loss))
        return await answer

    async def take(self, answers: dict[int, bool]) -> list[tuple[int, tuple[float, float] | None]]:
        """The notebook answers, and takes what has come since, for which it waits a moment."""
        for trial, give_up in answers.items():
            answer = self.waiting.pop(trial, None)
            if answer is not None and not answer.done():
                answer.set_result(give_up)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.came.wait(), PATIENCE)
        told, self.told = self.told, []
        self.came.clear()
        return told

    async def ask_to_stop(self) -> None:
        self.wanted = True

    async def asked_to_stop(self) -> bool:
        return self.wanted

    def _put(self, trial: int, figures: tuple[float, float] | None) -> None:
        self.told.append((trial, figures))
        self.came.set()
