"""Which stage of a student learns from which stage of its teacher: named, or found by their strides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from explorer.arguments import shown
from explorer.data.transforms import resolve_data_config
from explorer.display.words import did_you_mean
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.stages import Stage
from explorer.models.surgery.inside import look_through
from explorer.models.watching import walk
from explorer.training.loop.hints import WEIGHTS, Pair
from explorer.training.loop.order import drawn_by
from explorer.training.run.trying import as_it_was

NAME_THEM = ('Name them: stages={"the student\'s stage": "the teacher\'s"}; maps of other sizes are brought '
             "to the smaller one.")


def check_features(features: Any, stages: Any, beta: Any, train: str) -> None:
    """Raises TypeError or ValueError for what `distill` can't take as features, stages and beta."""
    known = ", ".join(WEIGHTS)
    if features is None:
        for name, value in (("stages", stages), ("beta", beta)):
            if value is not None:
                raise ValueError(f"{name} is {shown(value)}, and says how maps are learnt from, which they "
                                 f"are not: give features too, one of {known}.")
        return
    if not isinstance(features, str) or features not in WEIGHTS:
        kind = ValueError if isinstance(features, str | int | float) else TypeError
        raise kind(f"features is {shown(features)}: expected one of {known}, or None.")
    if train == "head":
        raise ValueError(f"features={features!r} teaches stages of the student's body, and train='head' "
                         "leaves the body as it is: give train='last_stage' or 'all', or leave features "
                         "out.")
    if stages is None:
        return
    expected = "expected {the student's stage: the teacher's, or a list of them}"
    if not isinstance(stages, Mapping):
        kind = ValueError if isinstance(stages, str | int | float) else TypeError
        raise kind(f"stages is {shown(stages)}: {expected}.")
    if not stages or not all(isinstance(name, str) for name in _names(stages)):
        raise ValueError(f"stages is {shown(stages)}: {expected}, by their names.")


def check_names(stages: Mapping[str, Any], student: Any, teacher: VisionModel, called: str) -> None:
    """Raises ValueError for a stage that a network does not have, before a run has changed the student.

    student: one that is there already, or its name, of which nothing is known yet
    """
    for own, given in stages.items():
        if isinstance(student, nn.Module):
            net = look_through(student)
            _check_named(own, {stage.name: stage for stage in getattr(net, "stage_table", ())}, "student")
        for each in _listed(given):
            _check_named(each, {stage.name: stage for stage in teacher.stage_table}, f"teacher {called}")


def _names(stages: Mapping[Any, Any]) -> Iterator[Any]:
    for own, theirs in stages.items():
        yield own
        yield from _listed(theirs) or (None,)


def _listed(theirs: Any) -> Sequence[Any]:
    return theirs if isinstance(theirs, list | tuple) else (theirs,)


def paired(student: VisionModel, teacher: VisionModel, called: str, kind: str,
           stages: Mapping[str, Any] | None) -> tuple[Pair, ...]:
    """The pairs of stages; of an ensemble each member's.

    stages: as `distill` takes them; None: of each stride that both have the last stage, of hints the middle
            one of these strides alone, as in the paper
    Raises ValueError for stages that are not there, that do not learn, or where none go together.
    """
    ours, learning = maps_of(student, learns=True)
    theirs, _ = maps_of(teacher)
    if not learning:
        raise ValueError("No stage of the student learns by these settings, or it has none, so it can't "
                         "learn from the teacher's maps: leave features out.")
    if not theirs:
        raise ValueError(f"The teacher {called} has no stages whose maps could be learnt from: leave "
                         "features away.")
    if stages is None:
        names = _by_stride(student, teacher, called, kind, {name: ours[name] for name in learning}, theirs)
    else:
        names = [(own, each) for own, given in stages.items() for each in _listed(given)]
        for own, each in names:
            _check_named(own, ours, "student")
            _check_named(each, theirs, f"teacher {called}")
            if own not in learning:
                raise ValueError(f"The stage {own!r} of the student does not learn by these settings: give "
                                 f"train='all', or name one of {', '.join(learning)}.")
    pairs = tuple(Pair(own, each, ours[own], theirs[each]) for own, each in names)
    for pair in pairs:
        if kind == "attention" and pair.size == (1, 1):
            raise _one_place(pair.student, pair.teacher)
    return pairs


def _one_place(own: str, theirs: str) -> ValueError:
    return ValueError(f"The maps of {own!r} and {theirs!r} have one place in common, and attention says "
                      "which of several: name stages with larger maps, or give larger photos (input_size).")


def maps_of(model: VisionModel, *, learns: bool = False) -> tuple[dict[str, tuple[int, int, int]], list[str]]:
    """({stage: its map's [C, H, W]}, those of them that learn) of a model, by one pass.

    learns: whether somebody asks for the latter
    """
    sizes: dict[str, tuple[int, int, int]] = {}
    learning: list[str] = []

    def keep(stage: Stage, found: torch.Tensor) -> None:
        if found.ndim == 4:
            _, channels, height, width = found.shape
            sizes[stage.name] = channels, height, width
            if found.requires_grad:
                learning.append(stage.name)

    photo = torch.zeros(2, *resolve_data_config({}, model=model)["input_size"])
    with as_it_was(model), drawn_by(0), torch.set_grad_enabled(learns):
        walk(model.eval(), photo.to(**parameter_place(model)), after=keep)
    return sizes, learning


def _check_named(name: str, known: Mapping[str, Any], whose: str) -> None:
    if name not in known:
        raise ValueError(f"The {whose} has no stage {name[:60]!r}. Its stages: {', '.join(known) or 'none'}."
                         f"{did_you_mean(name, known)}")


def _by_stride(student: VisionModel, teacher: VisionModel, called: str, kind: str,
               ours: Mapping[str, tuple[int, int, int]],
               theirs: Mapping[str, tuple[int, int, int]]) -> list[tuple[str, str]]:
    """(student's stage, teacher's) of each stride that both have, in the order of the strides."""
    own = {stage.reduction: stage.name for stage in student.stage_table if stage.name in ours}
    members: dict[str, dict[int, str]] = {}  # an ensemble's stages are called "member/stage"
    for stage in teacher.stage_table:
        if stage.name in theirs:
            members.setdefault(stage.name.rpartition("/")[0], {})[stage.reduction] = stage.name
    found = []
    for member, stages in members.items():
        both = sorted(own.keys() & stages.keys())
        common = [stride for stride in both
                  if kind != "attention" or _places(ours[own[stride]], theirs[stages[stride]]) > 1]
        if both and not common:
            raise _one_place(own[both[-1]], stages[both[-1]])
        if not common:
            whose = f"the member {member} of the teacher {called}" if member else f"the teacher {called}"
            raise ValueError(f"The student's stages that learn have the strides {_text(own)}, and those of "
                             f"{whose} {_text(stages)}: none go together by themselves. {NAME_THEM}")
        chosen = common if kind == "attention" else [common[len(common) // 2]]
        found += [(own[stride], stages[stride]) for stride in chosen]
    return found


def _places(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return min(one[1], other[1]) * min(one[2], other[2])


def _text(strides: Mapping[int, str]) -> str:
    return ", ".join(map(str, sorted(strides)))
