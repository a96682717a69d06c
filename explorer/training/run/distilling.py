"""`distill`: a student learns from a teacher, which says more of a photo than its label does.

    run = distill("tf_efficientnet_lite0", my_teacher, "flowers5", train="all", epochs=5)
    run.wait().best
    run.save("small and taught")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from explorer.arguments import checked, number, shown, word
from explorer.data.photo_sets import Splits
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import Outputs
from explorer.training.loop.events import Event
from explorer.training.loop.hints import WEIGHTS, FeatureLoss
from explorer.training.loop.objective import kind_of
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.taught import Lesson
from explorer.training.run.finetuning import launch
from explorer.training.run.fingerprints import of_tensors
from explorer.training.run.given import data_for, task_of
from explorer.training.run.lessons import TaughtTraining
from explorer.training.run.pairing import check_features, check_names, paired
from explorer.training.run.plan import Taught, check_settings, make_plan
from explorer.training.run.run import Run
from explorer.training.run.teachers import lesson_of, opened_teacher


@checked(temperature=number(0, 1000, above=True), alpha=number(0, 1), beta=number(0, 1e6, above=True),
         name=word, batch_size=None, seed=None, device=None, input_size=None, on_event=None)
def distill(
    student: VisionModel | str,
    teacher: Any,
    data: Any,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    features: str | None = None,
    stages: Mapping[str, str | Sequence[str]] | None = None,
    beta: float | None = None,
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
    teacher: a model, a name, a run, a stack or an `explorer.Ensemble` that knows the data's classes, by their
             names. It stays as it is
    data:    whatever `explorer.data.open_data` takes: photos with one class or several, or numbers
    temperature: above 0: the higher, the more the classes count that the teacher holds for less likely.
             Nothing to numbers
    alpha:   0 to 1: the teacher's share of the loss; 0: labels alone, 1: the teacher alone. Photos to judge
             by are judged by their labels
    features: what else is learnt from, the maps inside of the teacher: "hints" (the student's map, through a
             1 x 1 convolution that learns too and is not saved, comes to be the teacher's) or "attention"
             (both are strong in the same places). Then with alpha=0 the teacher need not know the classes
    stages:  which of the student's stages learns from which of the teacher's, {"layer3": "blocks.5"}, also
             {"layer3": ["blocks.5", "blocks.6"]}; an ensemble's are called "member/stage". None: for each
             stride that both have the last stage of it, of hints the middle one of these strides alone
    beta:    the weight of that part of the loss; None: 1 of hints, 10 of attention
    the rest: as in `finetune`, further `settings` too. With a cached head or augment="none" the teacher looks
             at each photo once, prepared as it wants it; else, and for its maps, at the view that the student
             learns from

    The loss is (1 - alpha) * cross-entropy + alpha * temperature^2 * KL(teacher || student), and beta times
    what the features are off; its parts are told with each batch. Of several classes at once both terms are
    binary cross-entropies, the teacher's sigmoids being the targets; of numbers they are the labels' loss and
    the mean squared difference from the teacher's numbers. Raises as `finetune` does; TypeError or ValueError
    for a teacher that can't be one and for maps that don't go together, DataError where it does not know the
    data's classes. Sources: Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015; Romero
    et al., FitNets, 2015; Zagoruyko, Komodakis, Paying more attention to attention, 2017.
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
    check_settings(settings, ("temperature", "alpha", "features", "stages", "beta"), of="distill")
    recipe = Recipe(train=train, augment=augment, seed=seed, outputs=outputs,
                    **{key: value for key, value in settings.items() if key in ("views", "cache")})
    check_features(features, stages, beta, train)
    splits = data_for(student, data, recipe)  # its classes in the order that the student knows them in
    assert isinstance(splits, Splits)
    kind = kind_of(splits, recipe)
    net, called = opened_teacher(teacher, student)
    shares = float(temperature), float(alpha)
    if features is not None and not alpha:  # nobody asks what the photo shows
        lesson = Lesson(net, called, Outputs("one", ()), (), *shares)
    else:
        lesson = lesson_of(net, called, splits, kind, *shares)
    if recipe.cached and recipe.view_count > 1:
        raise ValueError("views varies photos whose features are cached, and the teacher looks at each of "
                         "them once: leave views out, or give cache=False.")
    if stages is not None:
        check_names(stages, student, net, called)
    weight = beta if beta is not None or features is None else WEIGHTS[features]
    taught = _told(lesson, features, stages, weight)
    plan = make_plan(student, splits, taught=taught, epochs=epochs, train=train, batch_size=batch_size,
                     augment=augment, seed=seed, outputs=outputs, run_dir=run_dir, resume=resume,
                     pretrained=pretrained, input_size=input_size, device=device, name=name, **settings)

    def work() -> TaughtTraining:
        channels = plan.net.in_chans, net.in_chans
        if channels[0] != channels[1]:
            raise ValueError(f"The student reads {channels[0]} channels, and the teacher {called} "
                             f"{channels[1]}: both see the same photos.")
        if isinstance(teacher, str):  # made here
            net.to(parameter_place(plan.net)["device"])
        if features is None or weight is None:
            return TaughtTraining.under(plan, lesson)
        pairs = paired(plan.net, net, called, features, stages)
        inside = FeatureLoss(features, pairs, weight, seed=plan.recipe.seed, place=parameter_place(plan.net))
        return TaughtTraining.under(plan, replace(lesson, inside=inside))

    return launch(plan, work, [on_event] if on_event else [])


def _told(lesson: Lesson, features: str | None, stages: Mapping[str, Any] | None,
          weight: float | None) -> Taught:
    """Who teaches and how, for a card, and what a resumed run is compared by."""
    net = lesson.teacher
    what = net.config.architecture or type(net).__name__
    facts = {"teacher": f"{what} ({of_tensors(net.state_dict())[:8]})",
             "temperature": lesson.temperature, "alpha": lesson.alpha}
    if features is None:
        return Taught(lesson.words, facts)
    named = {} if stages is None else {"stages": {own: theirs for own, theirs in stages.items()}}
    words = f"{lesson.words[:-1]}, {features} {weight:g})"
    return Taught(words, {**facts, "features": features, "beta": float(weight or 0), **named})
