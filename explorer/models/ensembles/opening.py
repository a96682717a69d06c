"""`Ensemble`: several models that answer together, as one model.

    team = explorer.Ensemble(["resnet18", "vit_tiny_patch16_224"])
    explorer.predict(team, "cat.jpg")
"""

from __future__ import annotations

from typing import Any

from explorer.arguments import checked
from explorer.models.contract import VisionModel
from explorer.models.create import create_model
from explorer.models.ensembles.assembling import assemble
from explorer.models.ensembles.combining import combination
from explorer.models.ensembles.given import Several
from explorer.models.ensembles.members import opened_members

LEARNT = ("stack", "stacking", "concat", "concatenate", "fuse", "fusion")  # they need a head of their own


@checked(models=None, weights=None)
def Ensemble(
    models: Several, *, combine: str = "mean",
    weights: Any = None,
) -> VisionModel:
    """Several models as one, which answers with what they say together.

    models:  models that you built, runs, or names, created with their trained weights; or {what to call it:
             one of these}. The members themselves are in it, not copies; of a run its model, called as the
             run is
    combine: "mean": the mean of their probabilities (soft voting), "logits": the mean of their logits,
             "vote": each votes for its likeliest class (hard voting), and of equal votes the probabilities
             decide. Numbers are averaged, in their own unit
    weights: how much each member counts: one number a member, in their order or {member: number}; or for each
             member a row with one a class. None: all the same. `explorer.fit_weights` finds them by photos

    What comes back is a `VisionModel`, which goes wherever a model goes: look, explain, predict, evaluate,
    compare, embed, the Dashboard. Each member sees the photo by its own preprocessing, whatever its input
    size. Its stages are called "member/stage", and members with one body share its pass.
    Classes are brought into the first one's order by their names. Detectors are joined by weighted box
    fusion, networks for masks by the mean of their probabilities.

    Raises TypeError or ValueError, with the member's name, for one that can't be had, has no weights, tells
    other classes or in another way, or is on another device; WeightsError where weights can't be had.
    """
    if isinstance(combine, str) and combine.strip().lower() in LEARNT:
        raise ValueError(f"combine is {combine!r}: a layer over the members' outputs has to be trained, and "
                         "it reads as many numbers as all members have classes together, not one a member. "
                         "explorer.fuse_features(models, num_classes=n) puts one new head on what the "
                         "members see, and explorer.finetune trains it.")
    how = combination(combine)
    members = opened_members(models, lambda name: create_model(name, pretrained=True).eval())
    return assemble(members, combine=how, weights=weights)
