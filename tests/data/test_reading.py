"""Photos read ahead: in their order, one batch early at most, and what fails is told where it is wanted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.data.reading import group_by_group


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize("groups", [[], [[1, 2], [3]], [[], [1]], [[1], [], [2, 3]], [range(3), range(3, 4)]])
def test_groups_come_whole_and_in_order(groups, pool):
    found = group_by_group(lambda n: 10 * n, groups, pool)
    assert list(found) == [[10 * n for n in group] for group in groups]


def test_no_more_than_the_next_group_is_begun(pool):
    begun = []
    groups = group_by_group(begun.append, [[1], [2], [3], [4]], pool)
    next(groups)
    assert 3 not in begun
    next(groups)
    assert 4 not in begun and begun[:2] == [1, 2]


def test_an_error_comes_with_its_own_group(pool):
    groups = group_by_group(lambda n: 1 / n, [[1], [0]], pool)
    assert next(groups) == [1]
    with pytest.raises(ZeroDivisionError):
        next(groups)


def test_threads_that_open_photos_compute_by_themselves(monkeypatch):
    """A team of each of them would slow the network's (`explorer._teams`)."""
    from explorer.data import reading

    alone: list[int] = []
    monkeypatch.setattr(reading._teams, "alone", lambda: alone.append(threading.get_ident()))
    ran = set(reading.in_order(lambda _item: threading.get_ident(), range(20), ahead=4, threads=2))
    assert ran <= set(alone) and threading.get_ident() not in alone
