"""The card of one model as HTML, with its stages as a drawing; plain functions, no widget.

Colours come from the page (`currentColor` and the dashboard's variables), so that one card serves light and
dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from explorer.models.card import ModelCard, StageRun, count_text

HEIGHT = 84  # pixels of the largest map in the drawing; the others in proportion
GAP = 10     # pixels between two stages
LETTER = 5.9  # pixels that a character of a label takes, about


def card_html(card: ModelCard) -> str:
    """Idea, paper, drawing, facts and preprocessing of one model. All text is escaped."""
    f = card.family
    paper = f'<a href="{escape(f.url)}" target="_blank" rel="noopener">{escape(f.paper)}</a>'
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in facts(card))
    return (
        f'<div class="vx-card"><div class="vx-card-name"><b>{escape(card.name)}</b> '
        f'<span class="vx-soft">{escape(f.title)}, {f.year}</span></div>'
        f"<p>{escape(f.idea)}</p><p>{paper}</p>{stages_figure(card)}"
        f"<dl>{rows}</dl></div>"
    )


def facts(card: ModelCard) -> list[tuple[str, str]]:
    """(label, text) of what the tables know of a model; what they don't know is left out or said."""
    c = card.config
    rows = [("task", f.task) for f in [card.family] if f.task != "classification"]
    rows.append(("parameters", count_text(card.parameters) or "not counted"))
    if card.macs is not None:
        rows.append(("multiply-adds", f"{count_text(card.macs)} for a photo of {pixels(default_size(card))}"))
    if c.top1 is not None:
        top5 = f", {c.top5:.1f} % top-5" if c.top5 is not None else ""
        rows.append(("accuracy", f"{c.top1:.1f} % top-1{top5} on ImageNet, as published"))
    if card.measured:
        rows.append(("measured", f"{card.measured} %, as published"))
    other = ", no other" if c.fixed_input_size else ""
    rows.append(("photo size", f"{pixels(c.input_size)} pixels{other}"))
    if card.published:
        classes = f"{c.num_classes} classes" if c.num_classes else "no classifier"
        where = "on this computer" if card.here else "to be downloaded"
        rows.append(("weights", f"{c.name}: {classes}, {where}"))
        if card.class_names:
            rows.append(("classes", card.class_names))
        if card.told:
            rows.append(("about them", card.told))
        rows.append(("licence", stated(c.license)))
    else:
        rows.append(("weights", "none published"))
    rows.append(("preparation", " ".join(card.preprocessing)))
    return rows


def stated(licence: str | None) -> str:
    return licence if licence and licence != "unknown" else "not stated"


def pixels(size: Sequence[int]) -> str:
    """(3, 224, 224) -> "224 × 224"."""
    return " × ".join(map(str, size[1:]))


def default_size(card: ModelCard) -> tuple[int, ...]:
    """(C, H, W) that the multiply-adds are counted for:
    the default weights', whichever tag the card shows.
    """
    return card.tags[0].input_size if card.tags else card.config.input_size


# --- the drawing ----------------------------------------------------------------------------------------


def stages_figure(card: ModelCard) -> str:
    """The stages from left to right; a sentence where they are not known."""
    runs = card.stage_runs
    if not runs:
        return '<p class="vx-soft">The stages of this model are not in the table: open it to see them.</p>'
    size = card.config.input_size
    note = "Height: the map's side, /2 is half of the photo's. Width: its channels (ch), on a log scale."
    return (f'<figure class="vx-drawing">{stages_svg(runs, size)}'
            f"<figcaption>{escape(note)}</figcaption></figure>")


def run_label(run: StageRun) -> str:
    """Such as "256 ch, /4"; "12 x 768 ch, /16" for twelve equal blocks."""
    times = f"{run.count} × " if run.count > 1 else ""
    return f"{times}{run.channels} ch, /{run.reduction}"


def stages_svg(runs: Sequence[StageRun], size: Sequence[int] = (3, 224, 224)) -> str:
    """Blocks as high as the stage's map (in proportion) and as wide as the logarithm of its channels.

    Equal stages in a row, such as the blocks of a plain transformer, are thin blocks side by side with one
    label.
    """
    finest = min(run.reduction for run in runs)
    middle, bottom = HEIGHT / 2 + 2, HEIGHT + 4
    shapes, labels, links, left, before = [], [], [], 2.0, None
    for run in runs:
        height = max(4.0, HEIGHT * finest / run.reduction)
        wide = max(6.0, 4 * math.log2(run.channels))
        # of equal blocks all are drawn, the thinner the more there are
        pitch = wide + 3 if run.count == 1 else min(wide, max(3.0, 150 / run.count))
        drawn = pitch * run.count - 3 if run.count == 1 else pitch * run.count
        channels, stride = run_label(run).split(", ")
        slot = max(drawn, LETTER * len(channels))
        start, top = left + (slot - drawn) / 2, middle - height / 2
        side = " × ".join(str(math.ceil(n / run.reduction)) for n in size[1:])
        title = f"{run.label}: {run_label(run)}, maps of {side}"
        thin = pitch * 0.72 if run.count > 1 else drawn
        blocks = "".join(
            f'<rect x="{start + pitch * i:.1f}" y="{top:.1f}" width="{thin:.1f}" height="{height:.1f}" '
            'rx="1.5"/>' for i in range(run.count))
        shapes.append('<g fill="currentColor" fill-opacity=".55" stroke="currentColor">'
                      f"<title>{escape(title)}</title>{blocks}</g>")
        if before is not None:
            x, half = before
            links.append(f"M{x:.1f} {middle - half:.1f}L{start:.1f} {top:.1f}V{top + height:.1f}"
                         f"L{x:.1f} {middle + half:.1f}Z")
        before = (start + (drawn if run.count == 1 else pitch * (run.count - 1) + thin), height / 2)
        centre = f"{left + slot / 2:.1f}"
        labels.append(f'<text x="{centre}" y="{bottom + 12}">{escape(channels)}</text>'
                      f'<text x="{centre}" y="{bottom + 25}">{escape(stride)}</text>')
        left += slot + GAP
    width, full = left - GAP + 2, bottom + 30
    spoken = "Stages: " + "; ".join(f"{run.label} {run_label(run)}" for run in runs)
    return (
        f'<svg viewBox="0 0 {width:.0f} {full}" width="{width:.0f}" height="{full}" role="img" '
        f'aria-label="{escape(spoken)}"><path d="{"".join(links)}" fill="currentColor" fill-opacity=".15"/>'
        f'{"".join(shapes)}<g class="vx-drawing-text" font-size="10.5" text-anchor="middle">'
        f'{"".join(labels)}</g></svg>'
    )
