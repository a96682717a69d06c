"""Who shows runs hears of each that begins, and is kept alive by nobody."""

from __future__ import annotations

import gc
import logging

from explorer.training.run.register import Register


class Run:
    pass


class Shows:
    def __init__(self, seen):
        self.seen = seen

    def hear(self, run):
        self.seen.append(run)


class Fails:
    def hear(self, run):
        raise ValueError("no room")


def test_runs_are_known_for_as_long_as_somebody_holds_them():
    register, run = Register(), Run()
    register.add(run)
    assert list(register) == [run] and run in register and "no run" not in register
    del run
    gc.collect()
    assert list(register) == []


def test_one_who_fails_does_not_keep_the_others_from_hearing(caplog):
    register, seen, run = Register(), [], Run()
    fails, shows = Fails(), Shows(seen)
    register.watch(fails.hear)
    register.watch(shows.hear)
    with caplog.at_level(logging.ERROR):
        register.tell(run)
    assert seen == [run] and "could not be shown" in caplog.text


def test_who_is_gone_or_has_ended_it_hears_nothing():
    register, seen = Register(), []
    gone, ended = Shows(seen), Shows(seen)
    register.watch(gone.hear)
    end = register.watch(ended.hear)
    del gone
    end()
    end()
    register.tell(Run())
    assert seen == [] and register._watchers == []
