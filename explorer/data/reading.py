"""Photos read ahead: while the network looks at one batch, threads open the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from explorer import _teams
from explorer._threads import thread_count


def photo_threads(count: int) -> ThreadPoolExecutor:
    """Threads that open and prepare photos, each computing by itself: the cores are the network's."""
    return ThreadPoolExecutor(count, thread_name_prefix="explorer-photos", initializer=_teams.alone)


def in_order(work: Callable[[Any], Any], items: Iterable[Any], *, ahead: int,
             threads: int | None = None) -> Iterator[Any]:
    """work(item) of each item in their order, done in threads, at most `ahead` of them before they are
    wanted.
    """
    waiting: deque[Future] = deque()
    with photo_threads(thread_count(threads, 8)) as pool:
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


def group_by_group(work: Callable[[Any], Any], groups: Iterable[Sequence[Any]],
                   pool: ThreadPoolExecutor) -> Iterator[list[Any]]:
    """[work(item), ...] of each group in their order: while the reader has one, the pool works at the next.

    A group may be empty. Two groups are in memory at a time, the reader's and the next.
    """
    groups = iter(groups)
    ahead = _begun(work, groups, pool)
    while ahead is not None:
        done = [future.result() for future in ahead]
        ahead = _begun(work, groups, pool)
        yield done


def _begun(work: Callable[[Any], Any], groups: Iterator[Sequence[Any]],
           pool: ThreadPoolExecutor) -> list[Future] | None:
    group = next(groups, None)
    return None if group is None else [pool.submit(work, item) for item in group]
