"""What is said of a comparison, and the numbers of its table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.models.card import model_card
from explorer.models.names import split_door
from explorer.models.tasks import task_of_name
from explorer.models.weights.packaged import names_here

if TYPE_CHECKING:
    from explorer.inspection.compare.compared import Compared
    from explorer.inspection.compare.facts import ModelRow

COLUMNS = (("model", "text"), ("parameters, M", "number"), ("multiply-adds, G", "number"),
           ("weights, MB", "number"), ("photo, px", "count"), ("classes", "count"),
           ("top-1 published", "share"), ("right here", "share"), ("of photos", "count"), ("found", "count"),
           ("ms a photo", "number"), ("quartiles, ms", "text"), ("photos a second", "number"),
           ("peak memory, MB", "number"))


#: What is called otherwise where boxes or masks are compared.
TITLES = {"detection": {"top-1 published": "box AP published", "found": "boxes found"},
          "segmentation": {"top-1 published": "mIoU published", "found": "classes found"}}


def default_names(task: str = "classification") -> tuple[str, ...]:
    """The models whose weights came with installed packages: these work in any classroom."""
    names = (name.partition(".")[0] for name in names_here())
    return tuple(name for name in names if task_of_name(name) == task)


def not_here(names: Sequence[str]) -> list[str]:
    """Those of the names whose weights are not on this computer."""
    own = (name for name in names if not split_door(name)[0])  # other libraries look after their own weights
    return [name for name in own if not model_card(name).here]


def weights_sentence(names: Sequence[str]) -> str:
    """What is missing for these models, in one sentence; "" where nothing is."""
    missing = not_here(names)
    if not missing:
        return ""
    what = "it" if len(missing) == 1 else "them"
    return (f"The weights of {', '.join(missing)} are not on this computer: Compare downloads them where "
            f"there is a network, and leaves {what} out where there is none.")


def progress_html(done: int, total: int, what: str) -> str:
    bar = f'<progress max="{max(total, 1)}" value="{done}" aria-label="done"></progress>'
    far = f", {done} of {total}" if total > 1 else ""
    return (f'<div class="vx-cmp-progress" role="status">{bar} '
            f'<span class="vx-soft">{escape(what)}{far}</span></div>')


def table_rows(result: Compared) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    """(columns with their kinds, rows of plain values) for a table that is sorted by numbers."""
    rows = [_cells(row) for row in result.rows]
    kept = [index for index in range(len(COLUMNS)) if any(row[index] is not None for row in rows)]
    titles = TITLES.get(result.models[0].task, {})
    columns = [(titles.get(title, title), kind) for title, kind in (COLUMNS[index] for index in kept)]
    return columns, [[row[index] for index in kept] for row in rows]


def _cells(row: ModelRow) -> list[Any]:
    """One model under COLUMNS; None where there is no such number."""
    speed, many = row.latency, row.throughput
    low, high = speed.quartiles if speed else (0, 0)
    times = [1000 * speed.latency, f"{1000 * low:.3g} to {1000 * high:.3g}"] if speed else [None, None]
    memory = speed.peak_memory / 1e6 if speed and speed.peak_memory else None
    return [
        row.name, row.parameters / 1e6, None if row.macs is None else row.macs / 1e9, row.weight_bytes / 1e6,
        row.input_size[-1], row.num_classes, None if row.published is None else row.published / 100,
        None if row.measured is None else row.measured / 100, row.judged or None, row.found,
        *times, many.photos_per_second if many else None, memory,
    ]


def front_sentences(points: Sequence[Any], left_out: Sequence[tuple[str, str]]) -> list[str]:
    """Which models no other beats in both accuracy and cost, and which have no place in the chart."""
    front = [point.name for point in points if point.front]
    if not points:
        lines = ["No model can be placed."]
    elif len(front) < len(points):
        lines = [f"On the Pareto front: {', '.join(front)}. Of the others, each is beaten in one and not "
                 "better in the other."]
    else:
        lines = ["All of them are on the Pareto front: each is the best for what it costs."]
    if left_out:
        lines.append("Not placed: " + "; ".join(f"{name}, because {why}" for name, why in left_out) + ".")
    return lines
