"""The kinds of results, each of which brings what the page shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import ipywidgets as W

from explorer.widgets.panels.evaluate.boxes import BoxBlocks
from explorer.widgets.panels.evaluate.classes import ClassBlocks
from explorer.widgets.panels.evaluate.judgement import Facts, Judgement
from explorer.widgets.panels.evaluate.masks import MaskBlocks


class Blocks(Protocol):
    """What stands below the head of a judgement of one kind. It is made once, and shows one after the other.

    body: what stands there, from top to bottom;  held: widgets that come and go, to be closed all the same
    """

    body: Sequence[W.Widget]
    held: Sequence[W.Widget]

    @staticmethod
    def work_out(judged: Judgement) -> Facts:
        """All that is said of a judgement; in the background."""

    # the lock is held for what follows

    def show(self, facts: Any) -> None:
        """Another judgement takes the place of the one before."""

    def offer_model(self, differs: bool) -> None:
        """Whether the judged model is another than the one on the screen, and can be opened."""

    def said(self, judged: Judgement) -> tuple[str, Sequence[str]]:
        """(the figures that stand for all, sentences on them), for a caption."""

    def code(self, judged: Judgement) -> list[str]:
        """Lines behind `result = ...` that give what is shown."""

    def figure(self, judged: Judgement) -> Any:
        """What is shown, as a matplotlib Figure to keep."""

    def forget(self) -> None:
        """Let go of what is large."""


#: By the name of the result's class, which `explorer.evaluate` gave.
KINDS: dict[str, type] = {"Evaluation": ClassBlocks, "NumberEvaluation": ClassBlocks,
                          "DetectionEvaluation": BoxBlocks, "MaskEvaluation": MaskBlocks}


def kind_of(result: Any) -> type:
    """The blocks that show such a result."""
    return next(KINDS[one.__name__] for one in type(result).__mro__ if one.__name__ in KINDS)


def facts_of(judged: Judgement) -> Facts:
    return kind_of(judged.result).work_out(judged)
