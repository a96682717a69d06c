"""What is said of a run, while it learns and afterwards: plain functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from explorer.display.words import counted, seconds_text, sentence_of

FEW_EPOCHS = 5   # of fewer nothing is concluded
WIDE = 0.1       # so much better on its own photos is worth a sentence

SCARCE = ("There is not enough memory for that. Close other notebooks, or choose a smaller model or batch "
          "size.")
BY_HEART = ("it learns its photos by heart (overfitting). Fewer epochs, stronger augmentation or more photos "
            "help; the best epoch's weights are kept.")
STILL_FALLING = "Both losses were still falling at the end: more epochs may do better (underfitting so far)."
OWN_ONLY = ("part of what it learnt holds for its own photos only, though the judged loss does not rise. "
            "More photos or stronger augmentation help.")
LEVEL = ("The judged loss has levelled off and does not rise: no sign of learning by heart, and little to "
         "gain from more of the same epochs.")


def problem_text(error: BaseException) -> str:
    """What went wrong while a model learns, for a person; the traceback is in the log."""
    return sentence_of(error, scarce=SCARCE)


def figure_text(run: Any, row: dict[str, Any]) -> str:
    """"93.3 % right", or of numbers their mean absolute error, for the photos that an epoch was judged by."""
    from explorer.training.loop.measures import measure_of

    measure = measure_of(run)
    return measure.says(row.get(measure.judged))


def chart_title(measure: Any, labels: Any) -> str:
    """ "Right answers", or "Mean absolute error, age": that is in its own unit, so its name is told."""
    title = measure.name[0].upper() + measure.name[1:]
    if measure.share or not labels:
        return title
    return f"{title}, {labels[0]}" if len(labels) == 1 else f"{title}, mean of {len(labels)} numbers"


def how_far(run: Any) -> tuple[float, str]:
    """(share that is done, 0..1; a sentence) of a run in any state, also of one from a folder."""
    epochs, done, best = run.recipe.epochs, len(run.history), run.best
    state = getattr(run, "state", "finished")
    top = f" Best: {figure_text(run, best)} in epoch {best['epoch'] + 1}." if best else ""
    if state == "failed":
        return done / epochs, f"Failed after {done} of {epochs} epochs: {problem_text(run.error)}"
    if state == "finished":
        seconds = run.history[-1]["seconds"] if run.history else 0
        spent = f" in {seconds_text(seconds)} of learning" if seconds >= 1 else ""
        return 1.0, f"Finished: {counted(done, 'epoch')}{spent}.{top}"
    if state == "stopped":
        return done / epochs, f"Stopped after {done} of {epochs} epochs; Resume goes on from there.{top}"
    return _how_far_it_learnt(run)


def _how_far_it_learnt(run: Any) -> tuple[float, str]:
    epochs, batches, started = run.recipe.epochs, getattr(run, "batches", ()), getattr(run, "started", None)
    if started is None:
        progress = getattr(run, "progress", None)
        if progress is None:
            return 0.0, "Preparing: checking the photos."
        return 0.0, f"Preparing, {progress.what}: {progress.done} of {progress.total}."
    if not batches:
        return 0.0, "Learning from the first batch."
    last = batches[-1]
    share = (last.epoch + last.batch / max(started.batches, 1)) / epochs
    if run.asked_to_stop:
        return share, "Stopping behind this batch."
    left = f", about {seconds_text(run.eta)} left" if run.eta is not None else ""
    return share, (f"Epoch {last.epoch + 1} of {epochs}, batch {last.batch} of {started.batches}: "
                   f"{last.examples_per_second:,.0f} photos a second, learning rate {last.lr:.2g}{left}.")


def progress_html(run: Any) -> str:
    """The name, a bar and the sentence; a failure is an alert."""
    share, sentence = how_far(run)
    if getattr(run, "state", "finished") == "failed":
        said = f'<div class="vx-error" role="alert">{escape(sentence)}</div>'
    else:
        said = f'<span class="vx-soft">{escape(sentence)}</span>'
    bar = f'<progress max="1" value="{share:.3f}" aria-label="done">{share:.0%}</progress>'
    return f'<div class="vx-run-line"><b>{escape(run.name)}</b> {bar} {said}</div>'


def run_notes_html(notes: list[str]) -> str:
    shown = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="vx-run-notes" aria-label="Notes">{shown}</ul>' if shown else ""


def gap_note(history: list[dict[str, Any]]) -> str:
    """What the two loss curves say about learning by heart; nothing from fewer than `FEW_EPOCHS` epochs.

    The loss while learning is a mean over an epoch, of varied photos: it lags, and it is of harder photos. So
    only what the two do is compared, not how far apart they are.
    """
    if not history:
        return ""
    if len(history) < FEW_EPOCHS:
        return (f"Learning and judged loss after {counted(len(history), 'epoch')}: too few to tell whether "
                f"it learns by heart. From {FEW_EPOCHS} epochs on a sentence stands here.")
    learnt, judged = [row["loss"] for row in history], [row["val_loss"] for row in history]
    if not all(math.isfinite(value) for value in (*learnt, *judged)):
        return ""
    low = min(range(len(judged)), key=judged.__getitem__)
    since, rise = len(judged) - 1 - low, judged[-1] / max(judged[low], 1e-9) - 1
    if since >= 2 and rise > 0.05 and learnt[-1] < learnt[low]:
        return (f"Since epoch {low + 1} the judged loss has risen by {100 * rise:.0f} % while the loss of "
                f"learning fell: {BY_HEART}")
    if low == len(judged) - 1 and judged[-1] < 0.97 * judged[-3]:
        return STILL_FALLING
    known, others = history[-1].get("top1", 0.0), history[-1].get("val_top1", 0.0)
    if known - others > WIDE:
        return (f"It gets {100 * known:.0f} % of the photos right that it learns from, and "
                f"{100 * others:.0f} % of the others: {OWN_ONLY}")
    return LEVEL


def architecture_of(run: Any) -> str:
    return getattr(getattr(getattr(run, "model", None), "config", None), "architecture", "") or ""


def data_of(run: Any) -> str:
    return getattr(getattr(run, "data", None), "name", "") or getattr(run, "data_name", "")


def run_caption(run: Any) -> str:
    """Model, data, result and the settings that are not the usual ones, in sentences."""
    from explorer.training.loop.recipe import BATCH_SIZE, Recipe

    usual = Recipe(batch_size=BATCH_SIZE[run.recipe.task]).as_dict()
    facts = (("Run", run.name), ("Model", architecture_of(run)), ("Data", data_of(run)))
    parts = [f"{what}: {text}" for what, text in facts if text]
    if run.best:
        parts.append(f"Best: {figure_text(run, run.best)} after epoch {run.best['epoch'] + 1}")
    settings = {name: value for name, value in run.recipe.as_dict().items()
                if name != "task" and (value != usual[name] or name in ("epochs", "train", "seed"))}
    parts.append("Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items()))
    return ". ".join(parts) + "."


Points = list[tuple[float, float]]


def curves_of(run: Any) -> dict[str, dict[str, Points]]:
    """{what is measured: {name of a curve: points (epoch, value)}} of a run with a history."""
    from explorer.training.loop.measures import measure_of, part_words

    measure, started = measure_of(run), getattr(run, "started", None)
    batches, rows = list(getattr(run, "batches", [])) if started else [], list(run.history)
    charts = {}
    for what, learnt, judged in (("loss", "loss", "val_loss"), (measure.name, measure.key, measure.judged)):
        charts[what] = {}
        if learnt == "loss" or measure.learnt:
            each = [(b.epoch + b.batch / max(started.batches, 1), getattr(b, learnt)) for b in batches]
            over_epochs = [(row["epoch"] + 1, row[learnt]) for row in rows]
            charts[what] = {"each batch": each} if each else {"learning": over_epochs}
        charts[what]["judged"] = [(row["epoch"] + 1, row[judged]) for row in rows]
    parts = several_parts(rows)
    for key, text in (("parts", ""), ("val_parts", ", judged")):
        for name in parts:
            points = [(row["epoch"] + 1, row[key][name]) for row in rows if name in (row.get(key) or {})]
            charts.setdefault("parts of the loss", {})[part_words(name) + text] = points
    return charts


def several_parts(rows: Sequence[Any]) -> list[str]:
    """The names of the parts of a loss that is a sum of several; [] of one in one piece.

    rows: of a history, or batches
    """
    found: dict[str, None] = {}
    for row in rows:
        there = row.get("parts") if isinstance(row, dict) else row.parts
        found.update(dict.fromkeys(there or ()))
    return [*found] if len(found) > 1 else []
