"""Which tensors of a file are a model's own.

A training checkpoint holds several tables of tensors (the network, its moving average, the optimizer's), and
a wrapper puts a prefix before every name. Which table and which prefix are meant is told by the model: those
under which most of its own names are found, in its own shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from explorer.models.weights.key_maps import recognise
from explorer.models.weights.reading import Checkpoint, as_checkpoint, read_checkpoint
from explorer.models.weights.report import LoadReport, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn


# Where two tables fit equally well, the one further to the left is meant: the moving average of the weights
# is what its authors evaluate, a teacher what learns from a student's.
PREFERRED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "params_ema",
    "ema",
    "teacher",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "weights",
    "student",
)
WRAPPERS = ("module.", "_orig_mod.")  # left by DataParallel and torch.compile, in any order


class Choice(NamedTuple):
    """The tensors that are meant, with the model's own names.

    place:  where they are in the file, for a sentence: "" for the file itself
    others: names in the same table that are behind another prefix
    """

    state: dict[str, Tensor]
    place: str = ""
    others: tuple[str, ...] = ()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file, by name, on the CPU, where no model says which are meant.

    Training checkpoints are unpacked, the table of weights found by its name or because it is the only one;
    prefixes that DataParallel and torch.compile leave are removed. Raises WeightsError, see
    `read_checkpoint`.
    """
    return usual_table(read_checkpoint(path)).state


def usual_table(found: Checkpoint | Mapping[str, Tensor]) -> Choice:
    """The table whose name `PREFERRED` has first, or the only one. Raises WeightsError for several."""
    found = as_checkpoint(found)
    places = [place for place in found.tables if found.chosen is None or place == found.chosen]
    if not places:
        raise _no_such_place(found)
    place = min(places, key=_rank)
    if len(places) > 1 and place and _rank(place) == len(PREFERRED):
        raise _several(found, places)
    state = found.tables[place]
    while state and (prefix := next((p for p in WRAPPERS if all(key.startswith(p) for key in state)), "")):
        state = _behind(state, prefix)
    return Choice(state, f"{place!r} in it" if place else "")


def choose(
    found: Checkpoint | Mapping[str, Tensor], expected: Mapping[str, Tensor], architecture: str = ""
) -> Choice:
    """The tensors of a file that are the model's own: where, and behind which prefix, most of its names are.

    expected:     the model's tensors by name, with their shapes; a classifier may be left out
    architecture: its name in the catalog, whose key maps know other libraries' names; "" for none
    Raises WeightsError where several tables or prefixes fit equally well, with the way to choose one.
    """
    found = as_checkpoint(found)
    wanted = {name: value for name, value in expected.items() if not name.endswith("num_batches_tracked")}
    best: list[tuple[tuple[int, int, int], str, str, dict[str, Tensor]]] = []
    for translate in filter(None, ("own", "flat", architecture)):
        for place, prefix, state in _candidates(found, expected, translate):
            shared = wanted.keys() & state.keys()
            shapes = sum(wanted[name].shape == state[name].shape for name in shared)
            at = _dotted(place, prefix)
            if shared and (found.chosen is None or found.chosen in (at, place)):
                best.append(((len(shared), shapes, -_rank(at)), place, prefix, state))
        if max((score[0] for score, *_ in best), default=0) == len(wanted):
            break  # its own names, all of them
    score = max((entry[0] for entry in best), default=(0, 0, 0))
    if 2 * score[0] < len(wanted) and found.chosen is None:
        return usual_table(found)  # another network's: what is missing will be said of its own names
    if not best:
        raise _no_such_place(found)
    first, *equal = [entry for entry in best if entry[0] == score]
    if rivals := [entry for entry in equal if not _same(first[3], entry[3])]:
        raise _several(found, [_dotted(place, prefix) for _, place, prefix, _ in (first, *rivals)])
    _, place, prefix, state = first
    others = tuple(name for name in found.tables[place] if not name.startswith(prefix))
    said = (f"{place!r} in it" if place else "", f"names behind {prefix!r}" if prefix else "")
    return Choice(state, ", ".join(filter(None, said)), others)


def own_tensors(
    model: nn.Module, found: Checkpoint | Mapping[str, Tensor], report: LoadReport
) -> dict[str, Tensor]:
    """The tensors of a file that are those of a model that is built already, by the model's own names."""
    own = model.state_dict()
    # a wrapped model's own prefix, which would be taken for a wrapper's
    prefix = "module." if all(name.startswith("module.") for name in own) else ""
    choice = choose(found, {name.removeprefix(prefix): value for name, value in own.items()})
    report.found(choice.place, choice.others)
    return {f"{prefix}{name}": value for name, value in choice.state.items()}


def _candidates(
    found: Checkpoint, wanted: Mapping[str, Tensor], translate: str
) -> Iterator[tuple[str, str, dict[str, Tensor]]]:
    """(place, prefix, tensors behind it) that may be meant, translated from another way to write names.

    translate: "own" names as they are; "flat" ones with "_" for a dot, as timm's `features_only` nets have
               them; or an architecture, whose family has key maps
    """
    def plain(name: str) -> str:
        return name.replace(".", "_") if translate == "flat" else name

    for place, table in found.tables.items():
        if translate in ("own", "flat"):
            ours = {plain(name): name for name in wanted}
            whole = translate == "own" and ours.keys() <= table.keys()  # the usual case: no need to count
            for prefix in _with_all(table, ours) if whole else _with_most(table, ours, plain):
                behind = _behind(table, prefix)
                yield place, prefix, {ours.get(plain(name), name): value for name, value in behind.items()}
            continue
        for prefix in _first_words(table):
            state = _behind(table, prefix)
            if 2 * len(state) >= len(wanted):  # another library's names are about as many
                yield place, prefix, recognise(translate, state, set(wanted))


def _with_all(table: Mapping[str, Tensor], ours: Collection[str]) -> list[str]:
    """The prefixes behind which a table has all names of `ours`: each stands before the longest of them."""
    longest = max(ours, key=len, default="")
    before = [name.removesuffix(longest) for name in table if name.endswith(longest)]
    return [prefix for prefix in before
            if not prefix or prefix.endswith(".") and all(prefix + name in table for name in ours)]


def _with_most(
    table: Mapping[str, Tensor], ours: Collection[str], plain: Callable[[str], str]
) -> list[str]:
    """The prefixes behind which a table has most names of `ours`; plain: how these are written."""
    counts = Counter(name[:at] for name in table for at in _cuts(name) if plain(name[at:]) in ours)
    most = max(counts.values(), default=0)
    return [prefix for prefix, count in counts.items() if count == most]


def _dotted(place: str, prefix: str) -> str:
    return ".".join(filter(None, (place, prefix.rstrip("."))))


def _cuts(name: str) -> list[int]:
    return [0, *(at + 1 for at, letter in enumerate(name) if letter == ".")]


def _first_words(table: Mapping[str, Tensor]) -> list[str]:
    """Prefixes that a wrapper or a larger network may have put there: "", "module.", "module.encoder."."""
    prefix, found = "", [""]
    while True:
        words = {name[len(prefix) :].partition(".")[0] for name in table}
        if not words or len(words) > 8 or any("." not in name[len(prefix) :] for name in table):
            return found
        found += [f"{prefix}{word}." for word in sorted(words)]
        if len(words) > 1:
            return found
        prefix = found[-1]


def _behind(table: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in table.items() if name.startswith(prefix)}


def _rank(place: str) -> int:
    """How far down `PREFERRED` the words of a place stand; its length for a place that has none of them."""
    ranks = [PREFERRED.index(word) for word in place.split(".") if word in PREFERRED]
    return min(ranks, default=len(PREFERRED))


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].data_ptr() == other[name].data_ptr() for name in one)


def _several(found: Checkpoint, places: list[str]) -> WeightsError:
    shown = ", ".join(repr(place or "the file itself") for place in places[:6])
    shown += ", ..." if len(places) > 6 else ""
    return WeightsError(
        f"'{found.name}' holds several tables that could be meant: {shown}. Say which one behind a #: "
        f"'{found.name}#{next(filter(None, places))}'."
    )


def _no_such_place(found: Checkpoint) -> WeightsError:
    there = ", ".join(repr(place or "the file itself") for place in list(found.tables)[:8])
    return WeightsError(
        f"'{found.name}' has no weights of this model at {found.chosen!r}. Its tables: {there}."
    )
