"""Who can teach: a network that tells what the data asks for, by the same names."""

from __future__ import annotations

from typing import Any

from torch import nn

from explorer.data.folders import DataError
from explorer.data.photo_sets import Splits
from explorer.inspection.look.model import model_name, outputs_of
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.create import create_model
from explorer.models.ensembles.aligning import name_key
from explorer.models.ensembles.given import is_run
from explorer.models.outputs import KINDS, Outputs
from explorer.models.surgery.inside import look_through
from explorer.models.weights.report import WeightsError
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.taught import Lesson
from explorer.training.run.claim import teacher_of
from explorer.training.run.given import task_of

#: kind of what is to be learnt -> what a teacher of it does
WANTED = {"one": "tells one class", "yes/no": "tells one class", "several": "tells several classes at once",
          "numbers": "gives numbers"}


def opened_teacher(teacher: Any, student: Any) -> tuple[VisionModel, str]:
    """(the teacher's network, what it is called). Raises TypeError or ValueError for what can't teach."""
    if isinstance(teacher, str):
        if (task := task_of(teacher)) != "classification":
            raise ValueError(f"The teacher {teacher[:60]!r} is for {task}: give one that tells classes.")
        called = teacher.strip()
        try:
            net: Any = create_model(called, pretrained=True).eval()
        except (ValueError, TypeError, WeightsError) as error:
            raise type(error)(f"The teacher {called[:60]!r} can't be had. {error}") from error
    else:
        net = teacher.model if is_run(teacher) else teacher
        net = look_through(net) if isinstance(net, nn.Module) else net
        called = teacher.name if is_run(teacher) else ""
    if not isinstance(net, VisionModel):
        raise TypeError(f"teacher is a {type(net).__name__}: expected a model, its name, a run or an "
                        "explorer.Ensemble. A module of your own: explorer.wrap(module, labels=[...]).")
    called = called or model_name(net)
    if net.task != "classification":
        raise ValueError(f"The teacher {called} is for {net.task}: give one that tells classes.")
    if by := teacher_of(net):
        raise TrainingError(f"The teacher {called} is learning itself at present, taught by {by}: wait for "
                            "it first.")
    if isinstance(student, nn.Module):
        own = {id(parameter) for parameter in student.parameters()}
        if look_through(student) is net or own & {id(parameter) for parameter in net.parameters()}:
            raise ValueError(f"The teacher {called} and the student are one network, or share weights: give "
                             "another teacher, or a copy of it: copy.deepcopy(model).")
    if parameter_place(net)["device"].type == "meta":
        raise ValueError(f"The teacher {called} has shapes but no weights (it is on the 'meta' device): load "
                         "weights into it.")
    return net, called


def lesson_of(net: VisionModel, called: str, splits: Splits, kind: str, temperature: float,
              alpha: float) -> Lesson:
    """The teacher's classes or numbers in the data's order. Raises ValueError for other answers, DataError
    for other classes.

    kind: what is to be learnt, of `explorer.models.outputs`
    """
    net.notice_head()
    if not net.num_classes:
        raise ValueError(f"The teacher {called} has no classifier (num_classes=0), so it has nothing to say.")
    outputs: Outputs = outputs_of(net)
    if WANTED[outputs.kind] != WANTED[kind]:
        raise ValueError(f"The teacher {called} gives {KINDS[outputs.kind]}: give one that {WANTED[kind]}.")
    noun = "numbers" if kind == "numbers" else "classes"
    if not outputs.named:
        raise DataError(f"Nobody said what the {noun} of the teacher {called} are called, so they can't be "
                        f"told to be those of '{splits.name}': explorer.wrap(model, labels=[...]) names "
                        "them.")
    known = [name_key(label) for label in outputs.labels]
    if missing := [label for label in splits.classes if name_key(label) not in known]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"The teacher {called} does not know {missing[0][:60]!r}{more} of '{splits.name}': "
                        f"it must know all of the data's {noun}, by their names. finetune it on this data "
                        "first.")
    if twice := [label for label in splits.classes if known.count(name_key(label)) > 1]:
        raise DataError(f"The teacher {called} has two {noun} called {twice[0][:60]!r}: give each a name of "
                        "its own, explorer.wrap(model, labels=[...]).")
    order = tuple(known.index(name_key(label)) for label in splits.classes)
    return Lesson(net, called, outputs, order, temperature, alpha)
