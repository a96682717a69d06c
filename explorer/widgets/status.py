"""The line beside the model: which weights it has, where it runs, and what a pass of it takes."""

from __future__ import annotations

from html import escape

from explorer.display.words import counted, megabytes
from explorer.widgets.session import Session


def weights_text(session: Session) -> str:
    """Where the weights of the model on the screen come from. Of one that was built in a cell nobody knows
    whether it was trained there.
    """
    report = session.model.load_report
    if report:
        return f"weights from {report.source}"
    return "random weights" if session.random_weights else "weights as given"


def status_html(session: Session) -> str:
    parts = []
    if session.model_name:
        parts.append(escape(weights_text(session)))
    if session.look is not None:
        from explorer.inspection.look.faster import copies

        timing = session.look.timing
        count, seconds = timing.get("threads"), timing["forward"]
        threads = f", {counted(count, 'thread')}" if count else ""
        taken = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        parts.append(f"{escape(timing['device'])}{threads}: one pass {taken}")
        count, size = copies()
        if count:
            parts.append(f"faster copies of {counted(count, 'model')}: {megabytes(size)}")
    spans = "".join(f"<span>{part}</span>" for part in parts)
    return f'<div class="vx-status" role="status" aria-live="polite">{spans}</div>'
