"""What the curves of a run say about learning by heart, and what would help: plain functions.

What is advised has an effect on the very run: a body that is frozen and sees each photo once, as it is, sees
no augmentation.
"""

from __future__ import annotations

import math
from typing import Any

from explorer.display.words import counted

FEW_EPOCHS = 5   # of fewer nothing is concluded
WIDE = 0.1       # so much better on its own photos is worth a sentence

STILL_FALLING = "Both losses were still falling at the end: more epochs may do better (underfitting so far)."
LEVEL = ("The validation loss has levelled off and does not rise: no sign of learning by heart "
         "(overfitting), and little to gain from more of the same epochs.")
USUAL = "stronger augmentation"


def augmentation_text(*, cached: bool, views: int, augment: str) -> str:
    """What augmentation does with these settings; "" where it is the usual: each photo anew in every epoch.

    cached: whether a frozen body looks at the photos before the first epoch;  views, augment: as in `Recipe`
    """
    if not cached:
        return ""
    if augment == "none":
        return "" if views == 1 else ("Without augmentation all views of a photo are the same: "
                                             "choose an augmentation, or one view.")
    if views > 1:
        times = "once varied" if views == 2 else f"{views - 1} times varied"
        return (f"The frozen body looks at each photo {views} times before the first epoch, once as it is "
                f"and {times}, which takes {views} times as long; the epochs take turns with what it saw.")
    return ("Augmentation changes nothing here: only the classifier learns, and the frozen body looks at "
            "each photo once, as it is. It counts with 2 or more views, or where the last stage learns too.")


def what_helps(recipe: Any, *, cached: bool) -> str:
    """What helps against learning by heart, beside fewer epochs and more photos.

    cached: whether the body was frozen and looked at each photo before the first epoch
    """
    if cached and recipe.view_count == 1:
        return "2 or more views of each photo (with one, augmentation changes nothing)"
    if recipe.augment == "none":
        return "augmentation"
    if recipe.augment == "strong" and not recipe.finds_places:
        return "more weight decay, label smoothing"
    return USUAL


def gap_note(history: list[dict[str, Any]], helps: str = USUAL) -> str:
    """What the two loss curves say about learning by heart; that it is too early for less than `FEW_EPOCHS`.

    The loss while learning is a mean over an epoch, of varied photos: it lags, and it is of harder photos. So
    only what the two do is compared, not how far apart they are.
    helps: as `what_helps` says
    """
    if not history:
        return ""
    if len(history) < FEW_EPOCHS:
        return (f"Learning and validation loss after {counted(len(history), 'epoch')}: too few to tell "
                f"whether it learns by heart (overfitting). From {FEW_EPOCHS} epochs on a sentence "
                "stands here.")
    learnt, judged = [row["loss"] for row in history], [row["val_loss"] for row in history]
    if not all(math.isfinite(value) for value in (*learnt, *judged)):
        return ""
    low = min(range(len(judged)), key=judged.__getitem__)
    since, rise = len(judged) - 1 - low, judged[-1] / max(judged[low], 1e-9) - 1
    if since >= 2 and rise > 0.05 and learnt[-1] < learnt[low]:
        return (f"Since epoch {low + 1} the validation loss has risen by {100 * rise:.0f} % while the "
                f"training loss fell: it learns its photos by heart (overfitting). Fewer epochs, {helps} or "
                "more photos help; the best epoch's weights are kept.")
    if low == len(judged) - 1 and judged[-1] < 0.97 * judged[-3]:
        return STILL_FALLING
    known, others = history[-1].get("top1", 0.0), history[-1].get("val_top1", 0.0)
    if known - others > WIDE:
        return (f"It gets {100 * known:.0f} % of the photos right that it learns from, and "
                f"{100 * others:.0f} % of the others: part of what it learnt holds for its own photos only, "
                f"though the validation loss does not rise. More photos or {helps} help.")
    return LEVEL
