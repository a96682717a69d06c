"""What is said of a method of explanation, and of a heat map."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from explorer.widgets.panels.work import notes_html

if TYPE_CHECKING:
    from explorer.inspection.attribution.methods import Method
    from explorer.inspection.attribution.result import Attribution
    from explorer.inspection.look.result import Look


def method_html(method: Method) -> str:
    """What a method does and does not prove, and where it comes from."""
    link = f'<a href="{escape(method.link)}" target="_blank" rel="noopener">{escape(method.source)}</a>'
    return (f'<p>{escape(method.idea)}</p><p class="vx-soft">{escape(method.limits)}</p>'
            f'<p class="vx-soft">{link}</p>')


def others(model: Any) -> str:
    """Which methods this model takes, for one that it does not; "" where there is none."""
    from explorer.inspection.attribution.methods import METHODS

    fit = [method.title for method in METHODS.values() if not method.refuses(model)]
    return f"Choose another method: {', '.join(fit)}." if fit else ""


def facts_html(found: Attribution, look: Look) -> str:
    """One heat map in words; names of classes are untrusted."""
    from explorer.inspection.attribution.methods import METHODS
    from explorer.inspection.attribution.place_result import PlaceAttribution
    from explorer.inspection.look.answers import top_predictions

    parts = []
    if isinstance(found, PlaceAttribution):
        parts.append(escape(found.asked))
    elif found.target is not None:
        every = top_predictions(look.logits, look.outputs, len(look.outputs))
        answers = {one.index: one.text for one in every}
        parts.append(f"<b>{escape(found.label)}</b> {answers[found.target]}")
    if found.stage:
        parts.append(f"from {escape(found.stage)}")
    passes = "no further pass" if not found.passes else f"{found.passes} pass{'es' * (found.passes != 1)}"
    taken = f"{1000 * found.seconds:.0f} ms" if found.seconds < 1 else f"{found.seconds:.1f} s"
    parts.append(f"{passes}, {taken}")
    # random weights, a photo that was squeezed: true of the map, too
    notes = notes_html(dict.fromkeys([*look.notes, *found.notes]))
    return f'<p>{" · ".join(parts)}</p>{notes}{method_html(METHODS[found.method])}'
