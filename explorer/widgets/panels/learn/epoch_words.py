"""What is said of an epoch of a run: where the slider can stand, and the network's answers there."""

from __future__ import annotations

from html import escape
from typing import Any

from explorer.display.words import percent
from explorer.models.outputs import Outputs
from explorer.widgets.parts.photo_strip import Caption

NOW = -1          # a place on the slider: the weights of this moment
FEW_CLASSES = 10  # so many are all shown, in their order; of more the likeliest

STAYS = ("Only the classifier of this run learns. The maps of its body are the same after every epoch (they "
         "are under Feature maps); what changes is the answer to your photo.")
NO_MAPS = "This model makes no maps: it has no layer with places side by side."


# --- places on the slider -----------------------------------------------------------------------------------


def places_of(run: Any) -> list[int]:
    """Where the slider can stand: the epochs that are kept; NOW while it learns, or before one was over."""
    epochs = list(getattr(run, "checkpoints", ()))
    resting = not getattr(run, "running", False)
    return epochs if resting and run.best is not None and epochs else [*epochs, NOW]


def resting_place(run: Any, places: list[int]) -> int:
    """Where it stands when nobody has moved it: now, and in the end at the best epoch, the model's own."""
    if NOW in places:
        return NOW
    best = run.best["epoch"] + 1 if run.best else places[-1]
    return best if best in places else places[-1]


def when_text(run: Any, epoch: int) -> str:
    if epoch == NOW:
        batches = getattr(run, "batches", ())
        return f"in epoch {batches[-1].epoch + 1}" if batches else "before the first epoch"
    return f"after epoch {epoch}" if epoch else "before the first epoch"


def place_html(run: Any, epoch: int, places: list[int]) -> str:
    """Where the slider stands, in words."""
    resting = not getattr(run, "running", False)
    if epoch == NOW:
        text = "<b>Now</b>, before its first epoch was over" if resting else "<b>Now</b>, as it learns"
    elif epoch:
        text = f"<b>After epoch {epoch}</b> of {run.recipe.epochs}"
    else:
        text = "<b>Before the first epoch</b>"
    row = next((row for row in run.history if row["epoch"] + 1 == epoch), None)
    if row is not None:
        from explorer.training.loop.measures import measure_of

        measure = measure_of(run)
        text += f": {measure.says(row.get(measure.judged))}, loss {row['val_loss']:.3f} (validation)"
        text += "; the best, which the model has" if row is run.best and resting else ""
    kept = [place for place in places if place != NOW]
    if kept and kept != list(range(kept[0], kept[-1] + 1)):
        text += f'<br><span class="vx-soft">Kept, to save memory: {", ".join(map(str, kept))}.</span>'
    return text


# --- answers ------------------------------------------------------------------------------------------------


def caption(logits: Any, label: Any, outputs: Any, name: str = "") -> Caption:
    """What the network says to one photo, and whether that is right. logits: [W]

    label: an index, or several;  outputs: the run's, or names of classes
    """
    if isinstance(outputs, tuple):
        outputs = Outputs("several" if isinstance(label, tuple) else "one", outputs)
    if outputs.numbers:
        return number_caption(logits, label, outputs, name)
    labels, shares = outputs.labels, outputs.probabilities(logits)
    if isinstance(label, tuple):
        said = tuple(i for i, yes in enumerate((shares > 0.5).tolist()) if yes)
        text = ", ".join(labels[i] for i in said) or "nothing"
        true = ", ".join(labels[i] for i in label) or "nothing"
        return Caption(text, set(said) == set(label), f"{name}: it is {true}")
    best = int(outputs.likeliest(logits))
    share = float(shares[best])
    if share != share:  # a rate far too large makes NaN of everything
        return Caption(f"not a number, but it is {labels[label]}", False, name)
    text = f"{labels[best]} {100 * share:.0f}\N{NO-BREAK SPACE}%"
    return Caption(text if best == label else f"{text}, but it is {labels[label]}", best == label, name)


def number_caption(raw: Any, label: tuple[float, ...], outputs: Any, name: str = "") -> Caption:
    """What a network that gives numbers says to one photo, beside the truth. raw: [W]"""
    from explorer.display.words import number_text

    said = outputs.values(raw.double()).tolist()
    pairs = [f"{what} {number_text(value)}, true {number_text(true)}"
             for what, value, true in zip(outputs.labels, said, label)]
    return Caption("; ".join(pairs), title=name)


def captions(logits: Any, shadow: Any) -> list[Caption]:
    """Of the sample photos. logits: [B, W]"""
    return [caption(row, label, shadow.outputs, name)
            for row, label, name in zip(logits, shadow.truth, shadow.names)]


def said_text(said: list[Caption], when: str, *, numbers: bool) -> str:
    """The line above the sample photos."""
    right = "" if numbers else f": {sum(bool(one.right) for one in said)} of {len(said)} right"
    return f"What it says to photos that it does not learn from, {when}{right}."


def answer_html(logits: Any, outputs: Any) -> str:
    """Bars for the classes; a few stay in their order, so that they can be followed from epoch to epoch.

    logits: [W];  outputs: the run's `Outputs`; of numbers each stands as it is
    """
    rows = _number_rows(logits, outputs) if outputs.numbers else _class_rows(logits, outputs)
    return f'<ol class="vx-predictions" aria-label="What it says to this photo">{"".join(rows)}</ol>'


def _number_rows(logits: Any, outputs: Any) -> list[str]:
    from explorer.display.words import number_text

    return [f'<li><span class="vx-name">{escape(name)}</span>'
            f'<span class="vx-value"><b>{number_text(value)}</b></span></li>'
            for name, value in zip(outputs.labels, outputs.values(logits.double()).tolist())]


def _class_rows(logits: Any, outputs: Any) -> list[str]:
    labels, shares = outputs.labels, outputs.probabilities(logits)
    order = range(len(labels)) if len(labels) <= FEW_CLASSES else shares.topk(5).indices.tolist()
    best = int(outputs.likeliest(logits))
    rows = []
    for index in order:
        name, share = escape(labels[index]), float(shares[index])
        width = share if share == share else 0.0
        bar = f'<span class="vx-track"><span class="vx-bar" style="width:{width:.2%}"></span></span>'
        rows.append(f'<li><span class="vx-name">{f"<b>{name}</b>" if index == best else name}</span>'
                    f'<span class="vx-value">{percent(share)}</span>{bar}</li>')
    return rows


# --- the reader's photo and its maps ------------------------------------------------------------------------


def picture_html(image: Any, name: str) -> str:
    from explorer.display import draw

    source = draw.data_uri(draw.thumbnail(image, 128), format="JPEG")
    return (f'<div class="vx-epochs-photo"><img alt="" src="{source}"><span>Your photo<br>'
            f'<span class="vx-soft">{escape(name)}</span></span></div>')


def maps_note(run: Any, stages: dict[str, bool], stage: str | None) -> str:
    """Why the maps of a stage stay, or are not there; "" where they change. stages: whether each changes"""
    if run.recipe.train == "head":
        return STAYS
    if not stages:
        return NO_MAPS
    if stage is not None and not stages[stage]:
        return f"{stage} is frozen in this run: its maps stay as they are."
    return ""
