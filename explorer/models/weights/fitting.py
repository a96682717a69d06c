"""Fitting weights into a model: which tensors of a file are the model's own, and how they get in.

A training checkpoint holds several tables of tensors (the network, its moving average, the optimizer's), and
a wrapper puts a prefix before every name. Which table and which prefix are meant is told by the model: those
under which most of its own names are found, in its own shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from explorer.models.catalog import family_module
from explorer.models.weights.reading import Checkpoint, WeightsError, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.blank import Room
    from explorer.models.contract import VisionModel


@dataclass
class LoadReport:
    """What happened to a set of weights on their way into a model.

    loaded:  number of tensors;  adapted: what was changed so that it fits;  skipped: what was left out, or is
    missing
    noted:   what a reader of the answers must know of the numbers themselves
    """

    source: str
    name: str = ""
    loaded: int = 0
    adapted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def found(self, choice: Choice) -> None:
        """Write down where in the file the tensors were, and what beside them was left out."""
        if choice.place:
            self.source += f" ({choice.place})"
        if choice.others:
            tensors = "1 tensor" if len(choice.others) == 1 else f"{len(choice.others)} tensors"
            self.skipped.append(f"{tensors} of other parts, e.g. {choice.others[0]}")

    def __str__(self) -> str:
        lines = [f"{self.loaded} tensors from {self.source}"]
        lines += [f"adapted: {text}" for text in self.adapted]
        lines += [f"skipped: {text}" for text in self.skipped]
        lines += [f"note: {text}" for text in self.noted]
        return "\n".join(lines)


# --- which tensors are meant -----------------------------------------------------------------------------

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
            at = ".".join(filter(None, (place, prefix.rstrip("."))))
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
        raise _several(
            found,
            [".".join(filter(None, (place, prefix.rstrip(".")))) for _, place, prefix, _ in (first, *rivals)],
        )
    _, place, prefix, state = first
    others = tuple(name for name in found.tables[place] if not name.startswith(prefix))
    said = ", ".join(
        filter(None, (f"{place!r} in it" if place else "", f"names behind {prefix!r}" if prefix else ""))
    )
    return Choice(state, said, others)


def as_checkpoint(found: Checkpoint | Mapping[str, Tensor]) -> Checkpoint:
    """A plain table of tensors as a file that holds nothing else."""
    return found if isinstance(found, Checkpoint) else Checkpoint("the table of tensors", {"": dict(found)})


def _candidates(
    found: Checkpoint, wanted: Mapping[str, Tensor], translate: str
) -> Iterator[tuple[str, str, dict[str, Tensor]]]:
    """(place, prefix, tensors behind it) that may be meant, translated from another way to write names.

    translate: "own" names as they are, "flat" ones with "_" for a dot, or an architecture, whose family has
    key maps
    """
    for place, table in found.tables.items():
        if translate in ("own", "flat"):
            # timm's `features_only` nets write "stages_0" for "stages.0"
            ours = (
                {name.replace(".", "_"): name for name in wanted}
                if translate == "flat"
                else {name: name for name in wanted}
            )
            plain = (lambda name: name.replace(".", "_")) if translate == "flat" else str
            counts = Counter(name[:at] for name in table for at in _cuts(name) if plain(name[at:]) in ours)
            most = max(counts.values(), default=0)
            for prefix in (prefix for prefix, count in counts.items() if count == most):
                yield (
                    place,
                    prefix,
                    {ours.get(plain(name), name): value for name, value in _behind(table, prefix).items()},
                )
            continue
        for prefix in _first_words(table):
            state = _behind(table, prefix)
            if 2 * len(state) >= len(wanted):  # another library's names are about as many
                yield place, prefix, recognise(translate, state, set(wanted))


def _cuts(name: str) -> list[int]:
    return [0, *(at + 1 for at, letter in enumerate(name) if letter == ".")]


def _first_words(table: Mapping[str, Tensor]) -> list[str]:
    """Prefixes that a wrapper or a larger network may have put there: "", "module.", "module.encoder.",
    ..."""
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
    return min(
        (PREFERRED.index(word) for word in place.split(".") if word in PREFERRED), default=len(PREFERRED)
    )


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].data_ptr() == other[name].data_ptr() for name in one)


def _several(found: Checkpoint, places: list[str]) -> WeightsError:
    shown = ", ".join(repr(place or "the file itself") for place in places[:6]) + (
        ", ..." if len(places) > 6 else ""
    )
    return WeightsError(
        f"'{found.name}' holds several tables that could be meant: {shown}. Say which one behind a #: "
        f"'{found.name}#{next(filter(None, places))}'."
    )


def _no_such_place(found: Checkpoint) -> WeightsError:
    there = ", ".join(repr(place or "the file itself") for place in list(found.tables)[:8])
    return WeightsError(
        f"'{found.name}' has no weights of this model at {found.chosen!r}. Its tables: {there}."
    )


# --- whether they are sound --------------------------------------------------------------------------------


def examine(state: Mapping[str, Tensor], own: Mapping[str, Tensor], report: LoadReport) -> None:
    """Note in `report` what a reader of the answers must know of these tensors, which fit `own`.

    Raises WeightsError for tensors that can't be weights: complex numbers, and whole numbers or truth values
    where the model has fractions.
    """

    strange: dict[str, list[str]] = {}
    broken, kinds, matrices, empty = [], Counter(), 0, 0
    for name, value in state.items():
        if name not in own or not own[name].is_floating_point():
            continue
        if not value.is_floating_point():
            strange.setdefault(str(value.dtype).removeprefix("torch."), []).append(name)
            continue
        if value.dtype != own[name].dtype:
            kinds[value.dtype, own[name].dtype] += 1
        if value.is_meta or not value.numel():
            continue
        numbers = value.detach().to(own[name].dtype)
        total = numbers.sum()  # one pass: a sum that is finite has finite terms only
        if not total.isfinite() and not numbers.isfinite().all():
            broken.append(name)
        if numbers.ndim > 1:
            matrices += 1
            empty += bool(total == 0) and not bool(numbers.any())
    for kind, names in strange.items():
        what = {"bool": "truth values (bool)"}.get(
            kind, f"{'complex' if 'complex' in kind else 'whole'} numbers ({kind})"
        )
        raise WeightsError(
            f"The weights from {report.source} can't be used: {counted(len(names))} {what} where the model"
            f" has fractions, e.g. {names[0]}. Quantised or packed weights must be unpacked first: save"
            " float32."
        )
    report.adapted += [
        f"{counted(count)} {_kind(there)} numbers, made {_kind(here)}"
        for (there, here), count in kinds.items()
    ]
    if broken:
        report.noted.append(
            f"The weights are damaged: {counted(len(broken))} values that are no numbers (NaN or infinite), "
            f"e.g. {broken[0]}. What the model answers means nothing"
        )
    if matrices and empty == matrices:
        report.noted.append("All weights are zero: what the model answers means nothing")


def counted(count: int) -> str:
    return f"{count} tensor holds" if count == 1 else f"{count} tensors hold"


def _kind(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


# --- adapting and loading ------------------------------------------------------------------------------


def convert(name: str, state_dict: Mapping[str, Tensor], source: str = "timm") -> dict[str, Tensor]:
    """A foreign state dict with our parameter names.

    name: the architecture; source: "timm", "torchvision" or another that the family's file lists in
    `KEY_MAPS`.
    Raises ValueError for a source that the family does not know.
    """
    if source == "timm":  # our keys are timm's
        return dict(state_dict)
    maps = getattr(family_module(name), "KEY_MAPS", {})
    if source not in maps:
        raise ValueError(f"No key map from {source!r} for {name!r}. Known: {', '.join(['timm', *maps])}.")
    return maps[source](dict(state_dict), name)


def recognise(name: str, state: dict[str, Tensor], expected: set[str]) -> dict[str, Tensor]:
    """The state dict with our keys, whoever wrote it: the family's key map under which most names fit."""
    if expected <= state.keys():
        return state
    best = state
    for source in getattr(family_module(name), "KEY_MAPS", {}):
        try:
            mapped = convert(name, state, source)
        except (KeyError, IndexError, ValueError, RuntimeError):
            continue  # written by somebody else
        if len(expected & mapped.keys()) > len(expected & best.keys()):
            best = mapped
    return best


def adapt_input(weight: Tensor, in_chans: int) -> Tensor:
    """First convolution [O, C, kh, kw] for another number of input channels.

    Trained on RGB: one channel gets the sum of the three, which answers a grey photo exactly as before; more
    repeat R, G, B and shrink by 3 / in_chans, which keeps the strength of the answer.
    Raises WeightsError for weights that were not trained on 3 channels.
    """
    import math

    import torch

    trained = weight.shape[1]
    if trained == in_chans:
        return weight
    if trained != 3:
        raise WeightsError(
            f"These weights read {trained} channels, and the model {in_chans}: only weights for 3 channels can be"
            f" adapted to others. Leave in_chans out, or give in_chans={trained}."
        )
    weight = weight.float()
    if in_chans == 1:
        return weight.sum(1, keepdim=True)
    repeated = torch.cat([weight] * math.ceil(in_chans / 3), dim=1)[:, :in_chans]
    return repeated * (3 / in_chans)


def load_into(
    model: VisionModel, state: dict[str, Tensor], report: LoadReport, lacking: Sequence[str] = ()
) -> None:
    """Put a state dict with our keys into a model that was built on the `meta` device.

    lacking: names that may be missing, and are zero then

    Strict: a missing, unknown or misshapen tensor raises WeightsError with the first few names.
    """
    import torch

    config = model.config
    own = model.state_dict()
    names = (
        (config.first_conv,) if isinstance(config.first_conv, str) else config.first_conv
    )  # two with branches (RepVGG)
    for first in (f"{name}.weight" for name in names):
        if first in state and first in own and state[first].shape[1] != own[first].shape[1]:
            before = state[first].shape[1]
            state = {**state, first: adapt_input(state[first], own[first].shape[1])}
            report.adapted.append(f"{first}: from {before} to {own[first].shape[1]} input channels")
    adapt = getattr(model, "adapt_state_dict", None)  # e.g. position embeddings for another image size
    if adapt is not None:
        try:
            with torch.device("cpu"):  # where the tensors of the file are, whatever the caller's default is
                state = adapt(state, report)
        except ValueError as error:
            raise WeightsError(
                f"The weights from {report.source} don't fit {config.architecture!r}: {error}"
            ) from error
    may_lack = {name: value for name, value in own.items() if name in lacking and name not in state}
    check_fit(
        {name: value for name, value in own.items() if name not in may_lack},
        state,
        report.source,
        config.architecture,
    )
    examine(state, own, report)
    assign(model, state)
    report.loaded = len(state)


def channels_of(model: VisionModel, state: Mapping[str, Tensor]) -> int:
    """How many channels of a photo the trained first layer reads; the model's own number if it is not told."""
    name, own = next(
        ((name, value) for name, value in model.state_dict().items() if value.ndim == 4), ("", None)
    )
    given = state.get(name)
    if own is None or given is None or given.ndim != 4 or given.shape[0] != own.shape[0]:
        return model.in_chans
    channels, rest = divmod(
        given.shape[1] * model.in_chans, own.shape[1]
    )  # a stem may fold pixels into channels
    return channels if channels and not rest else model.in_chans


def room_for(found: Checkpoint | Mapping[str, Tensor]) -> Room:
    """How large a network that a stranger describes may be: in proportion to the tensors beside it."""
    from explorer.models.blank import Room

    tables = as_checkpoint(found).tables.values()
    return Room(
        tensors=4 * max(map(len, tables)) + 1000,
        numbers=4 * max(sum(value.numel() for value in table.values()) for table in tables) + 2**24,
    )


def rows_in(found: Checkpoint | Mapping[str, Tensor]) -> set[int]:
    """The first dimensions of all tensors: a classifier of so many classes has one of them."""
    return {
        value.shape[0]
        for table in as_checkpoint(found).tables.values()
        for value in table.values()
        if value.ndim
    }


class Head(NamedTuple):
    """What only a classifier has, in a model's own names.

    names: its tensors, norms that go with it included;  sized: those whose first dimension is the number of
    classes
    parts: the modules that hold them, with a dot behind: "head.", "fc."
    """

    names: frozenset[str]
    sized: tuple[str, ...]
    parts: tuple[str, ...]

    def classes(self, state: Mapping[str, Tensor]) -> int:
        """How many classes the classifier in `state` knows; 0 where it has none."""
        return max(
            (state[name].shape[0] for name in self.sized if name in state and state[name].ndim), default=0
        )

    def is_part(self, name: str) -> bool:
        """Whether a tensor belongs to a classifier, be it one of another make ("fc.1.weight" for
        "fc.weight")."""
        return name in self.names or name.startswith(self.parts)


def head_of(body: Mapping[str, Tensor], whole: Mapping[str, Tensor], classes: int) -> Head:
    """The head of a network, from its tensors without a classifier and with one of `classes`.

    No other layer may be as wide.
    """
    bare, full = ({name: value.shape for name, value in state.items()} for state in (body, whole))
    names = frozenset(name for name, shape in full.items() if bare.get(name) != shape)
    sized = tuple(name for name in full if name in names and full[name][:1] == (classes,))
    holders = {name.rpartition(".")[0] for name in sized}
    parts = tuple(
        f"{path}." for path in holders if path and not any(name.startswith(f"{path}.") for name in bare)
    )
    return Head(names, sized, parts)


def check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str, architecture: str) -> None:
    """Raise WeightsError with the first few names unless `state` has the tensors of `own`, and no others."""
    missing = sorted(k for k in own if k not in state and not k.endswith("num_batches_tracked"))
    unknown = sorted(k for k in state if k not in own)
    wrong = [
        f"{k} {tuple(state[k].shape)}, expected {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    for title, names in (("missing", missing), ("unknown", unknown), ("of another shape", wrong)):
        if names:
            raise WeightsError(
                f"The weights from {source} don't fit {architecture!r}: {len(names)} tensors are {title}, "
                f"e.g. {'; '.join(names[:3])}. Check that the name and the weights belong together."
            )


def fill(
    model: VisionModel,
    found: Checkpoint | Mapping[str, Tensor],
    report: LoadReport,
    *,
    in_chans: int | None = None,
) -> None:
    """Put the tensors of a file into a model that is built already; strict as `load_into`.

    in_chans: channels that the file was trained on, where the model may read another number
    """
    own = model.state_dict()
    # a wrapped model's own prefix, which would be taken for a wrapper's
    prefix = "module." if all(name.startswith("module.") for name in own) else ""
    choice = choose(found, {name.removeprefix(prefix): value for name, value in own.items()})
    state = {f"{prefix}{name}": value for name, value in choice.state.items()}
    report.found(choice)
    if in_chans is not None and in_chans != model.in_chans:
        for name, value in own.items():
            given = state.get(name)
            if (
                given is not None
                and given.ndim == 4
                and (given.shape[1], value.shape[1]) == (in_chans, model.in_chans)
            ):
                state[name] = adapt_input(given, model.in_chans)
                report.adapted.append(f"{name}: from {in_chans} to {model.in_chans} input channels")
    check_fit(own, state, report.source, model.config.architecture)
    examine(state, own, report)
    model.load_state_dict(state, strict=False)  # old files lack BatchNorm's counter
    report.loaded = len(state)


def assign(model: VisionModel, state: Mapping[str, Tensor]) -> None:
    """Make the tensors of `state` the model's own, without a copy of random weights in between.

    They go to torch's default device, as the parameters of a new model do.
    """
    import torch

    place, names = torch.get_default_device(), model.state_dict().keys()

    def ready(name: str, target: Tensor) -> Tensor:
        value = state.get(name)
        if value is None:  # old checkpoints lack BatchNorm's counter
            value = torch.zeros(target.shape, dtype=target.dtype)
        # detach: a file may hold frozen parameters, and a new model's learn
        return value.detach().to(device=place, dtype=target.dtype).contiguous()

    # What `load_state_dict(assign=True)` does, in a third of the time: the names are known to fit.
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            module.register_parameter(
                name, torch.nn.Parameter(ready(prefix + name, parameter), parameter.requires_grad)
            )
        for name, buffer in module.named_buffers(recurse=False):
            if prefix + name in names:  # the others are worked out from the shapes, and in no file
                setattr(module, name, ready(prefix + name, buffer))
