"""`fuse_features`: several bodies under one new head.

    both = explorer.fuse_features(["resnet18", "vit_tiny_patch16_224"], num_classes=5)
    explorer.finetune(both, "flowers5")          # the bodies look at each photo once, the head learns
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from explorer.arguments import checked, whole
from explorer.display.words import did_you_mean
from explorer.models.contract import VisionModel
from explorer.models.create import create_model
from explorer.models.ensembles.fused import FusedModel
from explorer.models.ensembles.given import Several
from explorer.models.ensembles.members import check_members, opened_members
from explorer.models.ensembles.parts_head import HOW
from explorer.models.surgery.inside import stages_in_words


@checked(models=None, stages=None, num_classes=whole(0, 10**6))
def fuse_features(
    models: Several, stages: Any = None, *,
    how: str = "concat", num_classes: int = 0,
) -> VisionModel:
    """A new network: the features of several bodies, side by side, under one head.

    models: models, runs, or names, created with their trained weights; or {what to call it: one of these}.
            The bodies are copies without a classifier: the models given stay as they are
    stages: where each body's features are read: None, the vector in front of its classifier; the name of a
            stage of all of them; or one a body, in their order or by name: the stage's map, averaged
    how:    "concat": the vectors in a row under a linear layer; "attend": a learnt query says how much each
            body counts for a photo
    num_classes: of the head, which is untrained; 0: the vectors in a row. `explorer.finetune` gives it what
            its data need

    Each body sees the photo by its own preprocessing. Raises TypeError or ValueError, with the name of the
    body, for one that can't be had or has no such stage; WeightsError where weights can't be had.
    """
    if not isinstance(how, str) or how not in HOW:
        raise ValueError(f"how is {str(how)[:60]!r}: expected one of {', '.join(map(repr, HOW))}.")
    found = opened_members(models, lambda name: create_model(name, pretrained=True, num_classes=0).eval())
    check_members(found, heads=False)
    if wrong := next((name for name, model in found.items() if model.task != "classification"), ""):
        raise ValueError(f"The member {wrong} is for {found[wrong].task}: fuse networks that classify.")
    taken = _stages(stages, found)
    bodies = {name: _without_head(name, model) for name, model in found.items()}
    return FusedModel(bodies, taken=taken, how=how, num_classes=num_classes)


def _without_head(name: str, model: VisionModel) -> VisionModel:
    body = copy.deepcopy(model)
    try:
        body.reset_classifier(0)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(f"The member {name} can't do without its classifier. {error}") from error
    body.notice_head()
    return body


def _stages(stages: Any, members: Mapping[str, VisionModel]) -> list[str]:
    """The stage of each body, "" for its vector. Raises TypeError or ValueError for no such choice."""
    wanted = "None, the name of a stage, or one (or None) for each body"
    if stages is None or isinstance(stages, str):
        chosen = [stages] * len(members)
    elif isinstance(stages, Mapping):
        if unknown := [name for name in stages if name not in members]:
            raise ValueError(f"stages has {str(unknown[0])[:60]!r}, which is no member: they are "
                             f"{', '.join(members)}.")
        chosen = [stages.get(name) for name in members]
    elif isinstance(stages, (list, tuple)):
        chosen = list(stages)
        if len(chosen) != len(members):
            raise ValueError(f"stages has {len(chosen)} names for {len(members)} bodies: give {wanted}.")
    else:
        kind = ValueError if isinstance(stages, (int, float, bytes)) else TypeError
        raise kind(f"stages is {str(stages)[:60]!r}: expected {wanted}.")
    found = []
    for stage, (name, model) in zip(chosen, members.items()):
        rows = [row.name for row in model.stage_table]
        if stage is not None and stage not in rows:
            hint = did_you_mean(str(stage), rows)
            raise ValueError(f"The member {name} has no stage {str(stage)[:60]!r}.{hint} "
                             f"{stages_in_words(rows)} Expected as stages: {wanted}.")
        found.append(stage or "")
    return found
