"""What is said of a run, while it learns and afterwards: plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from explorer.display.words import counted, seconds_text, sentence_of
from explorer.widgets.panels.learn.setting_words import in_words, name_of

SCARCE = ("There is not enough memory for that. Close other notebooks, or choose a smaller model or batch "
          "size.")
FIRST = "The first batch is on its way."
#: the curve of the photos that a run does not learn from
VALIDATION = "validation"
STOPPING = "Stopping after the present batch …"


def problem_text(error: BaseException) -> str:
    """What went wrong while a model learns, for a person; the traceback is in the log."""
    return in_words(sentence_of(error, scarce=SCARCE))


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
    if run.asked_to_stop:
        return _share_of(run), STOPPING
    if started is None:
        progress = getattr(run, "progress", None)
        if progress is None:
            return 0.0, "Preparing: checking the photos."
        return 0.0, f"Preparing, {progress.what}: {progress.done} of {progress.total}."
    if not batches:
        return 0.0, "Learning from the first batch."
    last, share = batches[-1], _share_of(run)
    if last.batch == started.batches and len(run.history) <= last.epoch:
        learnt = counted(last.batch, "batch", "es")
        return share, (f"Epoch {last.epoch + 1} of {epochs}: all {learnt} learnt; "
                       "now the validation photos are looked at.")
    left = f", about {seconds_text(run.eta)} left" if run.eta is not None else ""
    return share, (f"Epoch {last.epoch + 1} of {epochs}, batch {last.batch} of {started.batches}: "
                   f"{last.examples_per_second:,.0f} photos a second, learning rate {last.lr:.2g}{left}.")


def _share_of(run: Any) -> float:
    """The share of its batches that a run has learnt from, 0..1."""
    if not run.batches or run.started is None:
        return 0.0
    last = run.batches[-1]
    return (last.epoch + last.batch / max(run.started.batches, 1)) / run.recipe.epochs


def prepared_share(run: Any) -> float | None:
    """How far the preparation of a run is, 0..1; None where it does not prepare (any more)."""
    if not getattr(run, "running", False) or run.started is not None:
        return None
    return run.progress.done / max(run.progress.total, 1) if run.progress is not None else 0.0


def waiting_text(run: Any) -> str:
    """What stands in a chart before the first point."""
    if prepared_share(run) is None:
        return FIRST
    if run.progress is None:
        return "It checks the photos first; then the curve begins."
    return f"{run.progress.done} of {run.progress.total} photos looked at; then the curve begins."


def progress_html(run: Any, origin: str = "") -> str:
    """The name, a bar and the sentence; a failure is an alert. origin: a few words on where it began"""
    share, sentence = how_far(run)
    stops = getattr(run, "running", False) and run.asked_to_stop
    if getattr(run, "state", "finished") == "failed":
        said = f'<div class="vx-error" role="alert">{escape(sentence)}</div>'
    else:
        said = f'<span class="vx-soft{" vx-busy" if stops else ""}">{escape(sentence)}</span>'
    prepared = prepared_share(run)
    label, share = ("done", share) if prepared is None else ("prepared", prepared)
    bar = f'<progress max="1" value="{share:.3f}" aria-label="{label}">{share:.0%}</progress>'
    where = f'<span class="vx-run-origin">{escape(origin)}</span>' if origin else ""
    return f'<div class="vx-run-line"><b>{escape(run.name)}</b>{where} {bar} {said}</div>'


def run_notes_html(notes: list[str]) -> str:
    shown = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="vx-run-notes" aria-label="Notes">{shown}</ul>' if shown else ""


def architecture_of(run: Any) -> str:
    found = getattr(getattr(getattr(run, "model", None), "config", None), "architecture", "")
    return found or getattr(run, "architecture", "")


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
    parts.append("Settings: " + ", ".join(f"{name_of(name)} {value}" for name, value in settings.items()))
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
        charts[what][VALIDATION] = [(row["epoch"] + 1, row[judged]) for row in rows]
    parts = several_parts(rows)
    for key, text in (("parts", ""), ("val_parts", f", {VALIDATION}")):
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
