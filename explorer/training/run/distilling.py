"""`distill`: a student learns from a teacher, which says more of a photo than its label does.

    run = distill("tf_efficientnet_lite0", my_teacher, "flowers5", train="all", epochs=5)
    run.wait().best
    run.save("small and taught")
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from explorer.arguments import checked, number, shown, word
from explorer.data.datasets import open_data
from explorer.data.folders import DataError
from explorer.data.photo_sets import Splits, of_what
from explorer.inspection.look.model import model_name, outputs_of
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.create import create_model
from explorer.models.ensembles.aligning import name_key
from explorer.models.outputs import KINDS, Outputs
from explorer.models.surgery.inside import look_through
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Event
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.taught import Lesson
from explorer.training.run.claim import teacher_of
from explorer.training.run.finetuning import launch
from explorer.training.run.fingerprints import of_tensors
from explorer.training.run.given import task_of
from explorer.training.run.lessons import TaughtTraining
from explorer.training.run.loading import LoadedRun
from explorer.training.run.plan import Taught, make_plan
from explorer.training.run.run import Run


@checked(temperature=number(0, 1000, above=True), alpha=number(0, 1), name=word, batch_size=None, seed=None,
         device=None, input_size=None, on_event=None)
def distill(
    student: VisionModel | str,
    teacher: Any,
    data: Any,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    epochs: int = 3,
    train: str = "head",
    batch_size: int | None = None,
    augment: str | Callable[..., Any] = "light",
    seed: int = 0,
    outputs: str | None = None,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
    pretrained: bool = True,
    input_size: tuple[int, int, int] | None = None,
    device: str | torch.device | None = None,
    name: str = "",
    **settings: Any,
) -> Run:
    """Teach a student what a teacher says of the photos, beside their labels; returns at once, as `finetune`
    does, and the run is one like any other.

    student: the model that learns, or its name (pretrained=False: from scratch)
    teacher: a model, a name, a run or an `explorer.Ensemble` that knows the data's classes, by their names.
             It stays as it is
    data:    whatever `explorer.data.open_data` takes, with one class a photo
    temperature: above 0: the higher, the more the classes count that the teacher holds for less likely
    alpha:   0 to 1: the teacher's share of the loss; 0: labels alone, 1: the teacher alone. Photos to judge
             by are judged by their labels
    the rest: as in `finetune`, further `settings` too. With a cached head or augment="none" the teacher looks
             at each photo once, prepared as it wants it; else at the view that the student learns from

    The loss is (1 - alpha) * cross-entropy + alpha * temperature^2 * KL(teacher || student); its parts are
    told with each batch. Raises as `finetune` does; TypeError or ValueError for a teacher that can't be one,
    DataError where it does not know the data's classes. Source: Hinton, Vinyals, Dean, Distilling the
    knowledge in a neural network, 2015.
    """
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event is {on_event!r}: give a function of one event, such as "
                        "explorer.training.print_progress().")
    if not isinstance(student, str | nn.Module):
        raise TypeError(f"student is {shown(student)}: expected a model or its name. A module of your own: "
                        "explorer.wrap(module).")
    if (task := task_of(student)) != "classification":
        raise ValueError(f"The student is for {task}: what a teacher says of whole photos teaches networks "
                         "that tell classes. explorer.finetune teaches this one.")
    recipe = Recipe(train=train, augment=augment, seed=seed, outputs=outputs,
                    **{key: value for key, value in settings.items() if key in ("views", "cache")})
    splits = _data(data, seed, outputs)
    net, called = _teacher(teacher, student)
    lesson = _lesson(net, called, splits, float(temperature), float(alpha))
    if recipe.cached and recipe.view_count > 1:
        raise ValueError("views varies photos whose features are cached, and the teacher looks at each of "
                         "them once: leave views away, or give cache=False.")
    taught = Taught(lesson.words, {
        "teacher": f"{net.config.architecture or type(net).__name__} ({of_tensors(net.state_dict())[:8]})",
        "temperature": lesson.temperature, "alpha": lesson.alpha})
    plan = make_plan(student, splits, taught=taught, epochs=epochs, train=train, batch_size=batch_size,
                     augment=augment, seed=seed, outputs=outputs, run_dir=run_dir, resume=resume,
                     pretrained=pretrained, input_size=input_size, device=device, name=name, **settings)

    def work() -> TaughtTraining:
        channels = plan.net.in_chans, net.in_chans
        if channels[0] != channels[1]:
            raise ValueError(f"The student reads {channels[0]} channels, and the teacher {called} "
                             f"{channels[1]}: both see the same photos.")
        if not isinstance(teacher, nn.Module | Run | LoadedRun):  # made here, by its name
            net.to(parameter_place(plan.net)["device"])
        return TaughtTraining.under(plan, lesson)

    return launch(plan, work, [on_event] if on_event else [])


def _data(data: Any, seed: int, outputs: str | None) -> Splits:
    """The photos, with one class each. Raises DataError for others."""
    splits = open_data(data, seed=seed, outputs=outputs)
    kind = outputs or splits.train.kind
    if kind in ("several", "numbers"):
        raise DataError(f"distill teaches one class a photo, and this is about {KINDS[kind]}: '{splits.name}'"
                        f" has {of_what(splits.train)}. explorer.finetune learns these.")
    return splits


def _teacher(teacher: Any, student: Any) -> tuple[VisionModel, str]:
    """(the teacher's network, what it is called). Raises TypeError or ValueError for what can't teach."""
    if isinstance(teacher, str):
        if (task := task_of(teacher)) != "classification":
            raise ValueError(f"The teacher {teacher[:60]!r} is for {task}: give one that tells classes.")
        net: Any = create_model(teacher, pretrained=True).eval()
        called = teacher.strip()
    else:
        net = teacher.model if isinstance(teacher, Run | LoadedRun) else teacher
        net = look_through(net) if isinstance(net, nn.Module) else net
        called = teacher.name if isinstance(teacher, Run | LoadedRun) else ""
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


def _lesson(net: VisionModel, called: str, splits: Splits, temperature: float, alpha: float) -> Lesson:
    """The teacher's classes in the data's order. Raises ValueError for other answers, DataError for other
    classes.
    """
    net.notice_head()
    if not net.num_classes:
        raise ValueError(f"The teacher {called} has no classifier (num_classes=0), so it has nothing to say.")
    outputs: Outputs = outputs_of(net)
    if outputs.kind not in ("one", "yes/no"):
        raise ValueError(f"The teacher {called} gives {KINDS[outputs.kind]}: give one that tells one class.")
    if not outputs.named:
        raise DataError(f"Nobody said what the classes of the teacher {called} are called, so they can't be "
                        f"told to be those of '{splits.name}': explorer.wrap(model, labels=[...]) names "
                        "them.")
    known = [name_key(label) for label in outputs.labels]
    if missing := [label for label in splits.classes if name_key(label) not in known]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"The teacher {called} does not know {missing[0][:60]!r}{more} of '{splits.name}': "
                        "it must know all of the data's classes, by their names. finetune it on this data "
                        "first.")
    if twice := [label for label in splits.classes if known.count(name_key(label)) > 1]:
        raise DataError(f"The teacher {called} has two classes called {twice[0][:60]!r}: give each a name of "
                        "its own, explorer.wrap(model, labels=[...]).")
    order = tuple(known.index(name_key(label)) for label in splits.classes)
    return Lesson(net, called, outputs, order, temperature, alpha)
