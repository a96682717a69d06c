"""Photos read ahead: while the network looks at one batch, threads open the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from explorer._threads import thread_count


def in_order(work: Callable[[Any], Any], items: Iterable[Any], *, ahead: int,
             threads: int | None = None) -> Iterator[Any]:
    """work(item) of each item in their order, done in threads, at most `ahead` of them before they are wanted."""
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(thread_count(threads, 8), thread_name_prefix="explorer-photos") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
