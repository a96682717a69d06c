"""The present state of a dashboard as plain HTML: no script, no widget, nothing to fetch."""

from __future__ import annotations

from html import escape

from explorer.widgets.session import Session


def snapshot_html(session: Session) -> str:
    """Model, photo, predictions, stages and module tree as HTML with embedded PNGs."""
    parts = []
    if session.look is not None:
        parts.append(session.look._repr_html_())
    elif session.model_name:
        parts.append(f"<p><b>{escape(session.model_name)}</b>, no photo yet</p>")
    else:
        parts.append("<p>Nothing is open yet.</p>")
    if session.tree is not None:
        parts.append(f"<details><summary>Modules</summary>{session.tree._repr_html_()}</details>")
    if session.image_name:
        parts.append(f"<p>Photo: {escape(session.image_name)}</p>")
    return f'<div class="vx-snapshot">{"".join(parts)}</div>'


def page_html(session: Session) -> str:
    """`snapshot_html` as a page of its own, in the reader's light or dark colours."""
    title = escape(f"{session.model_name or 'explorer'}: {session.image_name or 'no photo'}")
    style = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head>\n<body>{snapshot_html(session)}</body></html>\n"
    )
