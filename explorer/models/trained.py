"""A network of the catalog with trained weights:
built on the `meta` device, where it costs nothing, then fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from explorer.models.blank import Room, TooLarge, blank
from explorer.models.building import build
from explorer.models.catalog import family_module
from explorer.models.contract import VisionModel
from explorer.models.features import tensors_read
from explorer.models.plan import Plan
from explorer.models.weights.choosing import choose
from explorer.models.weights.loading import load_into
from explorer.models.weights.places import fetch
from explorer.models.weights.reading import Checkpoint, read_checkpoint
from explorer.models.weights.report import LoadReport, WeightsError
from explorer.models.weights.shapes import Head, channels_of, head_of, room_for

#: Classes of a network that is built only to see which tensors depend on them: no layer is as wide.
UNUSUAL = 1009


class Blank(NamedTuple):
    """A network without numbers and without a classifier, and the weights that are to go in.

    body:  its tensors by name, on `meta`;  head: which tensors a classifier would have
    found: what the file of weights holds;  origin: where it is from, for a sentence
    room:  how large the network may be, where a stranger's file says what to build
    """

    model: VisionModel
    body: Mapping[str, Tensor]
    head: Head
    found: Checkpoint | Mapping[str, Tensor]
    origin: str
    room: Room | None


def build_on_meta(plan: Plan) -> Blank:
    """The network of the plan without numbers.

    Raises WeightsError where the weights can't be had or trusted.
    """
    if plan.checkpoint is not None:
        found, origin = read_checkpoint(plan.checkpoint), f"the file {Path(plan.checkpoint).name}"
    else:
        found, origin = fetch(plan.config, plan.cache_dir)
    room = room_for(found) if plan.config.build_options else None
    try:
        model, body, whole = _without_and_with_a_classifier(plan, room)
    except TooLarge as error:
        raise WeightsError(f"The settings beside {origin} ask for a {plan.architecture} of {error}, and the "
                           "file holds fewer: they don't belong together.") from None
    return Blank(model, body, head_of(body, whole, UNUSUAL), found, origin, room)


def _without_and_with_a_classifier(
    plan: Plan, room: Room | None
) -> tuple[VisionModel, Mapping[str, Tensor], Mapping[str, Tensor]]:
    """The network of the plan without a classifier, its tensors, and those of one with `UNUSUAL` classes.

    The classifier is that of a network which was built with it: what `reset_classifier` puts on need not be
    what was trained. It is taken off again where that leaves what is built without one, and half the time.
    """
    pool = plan.options["global_pool"]
    sheds = pool is None and room is None and family_module(plan.architecture).MODEL.sheds_its_head
    with blank(room):
        if sheds:
            model = build(plan.architecture, num_classes=UNUSUAL, **plan.options)
            whole = model.state_dict()
            model.reset_classifier(0)
            return model, model.state_dict(), whole
        model = build(plan.architecture, num_classes=0, **plan.options)
        options = plan.options | {"global_pool": pool or None}  # a head wants a pooling
        whole = build(plan.architecture, num_classes=UNUSUAL, **options).state_dict()
    return model, model.state_dict(), whole


def train_body(plan: Plan, model: VisionModel) -> VisionModel:
    """The network with the trained numbers of its backbone, where nobody has published any for the whole.

    Photos are prepared as the backbone's weights want it. Raises WeightsError where they can't be had.
    """
    if model.untrained_because:
        raise WeightsError(model.untrained_because)
    body = model.body
    config = body.config
    found, origin = fetch(config, plan.cache_dir)
    choice = choose(found, body.state_dict(), config.architecture)
    head_less = {name: value for name, value in choice.state.items() if name in body.state_dict()}
    report = LoadReport(source=origin, name=plan.architecture)
    load_into(body, head_less, report)
    report.skipped.append(f"the layers behind {config.name}: nobody has published any, so they are untrained")
    model.config = plan.config.with_(mean=config.mean, std=config.std, interpolation=config.interpolation)
    model.load_report = report
    return model


def fit_weights(plan: Plan, built: Blank) -> VisionModel:
    """The network with the trained tensors.

    Their classifier is used where it has as many classes as wanted, or where nobody says how many; otherwise
    the body is loaded without it, and a fresh one goes on top.
    """
    model, head, body = built.model, built.head, built.body
    choice = choose(built.found, body, plan.architecture)
    state = choice.state
    name = f"{plan.architecture} ({plan.whose})" if plan.whose else plan.config.name
    report = LoadReport(source=built.origin, name=name)
    report.found(choice.place, choice.others)
    channels = channels_of(body, model.in_chans, state)
    if plan.options["in_chans"] is None and channels != model.in_chans:  # as its weights have it
        with blank(built.room):
            model = build(plan.architecture, num_classes=0, **(plan.options | {"in_chans": channels}))

    # the classifier that the tensors themselves have, which may differ from the published one
    trained = head.classes(state)
    classes = trained if plan.num_classes is None else plan.num_classes
    strangers = [key for key in state if key not in body and head.is_part(key)]
    if said := _on_the_classifier(plan, trained, classes, strangers):
        report.skipped.append(said)
    keeps_theirs = bool(trained) and classes == trained
    with blank():
        if keeps_theirs:
            model.reset_classifier(trained)  # still on `meta`: room for the trained one
        if plan.maps is not False:
            model.remove_head()
    if not keeps_theirs:
        own = model.state_dict()
        state = {key: value for key, value in state.items()
                 if key in own or not (key in body or head.is_part(key))}

    model.config = plan.config.with_(num_classes=trained)
    lacking = () if plan.maps is False else _unneeded(model, state, plan.maps)
    load_into(model, state, report, lacking=lacking)
    if classes != trained and plan.maps is False:  # a net of maps has no head any more
        model.reset_classifier(classes)
    model.load_report = report
    return model


def _on_the_classifier(plan: Plan, trained: int, classes: int, strangers: Sequence[str]) -> str:
    """What is said of a trained classifier that is not used; "" where it is.

    trained: how many classes it has, 0 for none;  classes: how many are wanted
    strangers: names of a classifier that is built otherwise
    """
    if not trained and strangers:
        return f"the classifier of the file, which is of another make: {strangers[0][:80]}"
    if classes != trained:
        found = f"the classifier of {trained} classes" if trained else "the classifier: the weights have none"
        return f"{found}; the new one of {classes} is untrained" if classes else f"{found}: not asked for"
    if not trained and plan.config.num_classes and plan.num_classes is None:
        return "the classifier: the weights have none, so the model gives pooled features"
    return ""


def _unneeded(model: VisionModel, state: Mapping[str, Tensor], maps: int | Sequence[int] | None) -> list[str]:
    """Tensors that the weights lack and that these maps do without."""
    lacking = [key for key in model.state_dict() if key not in state]
    needed = tensors_read(model, maps) if lacking else set()
    return [key for key in lacking if key not in needed]
