"""What leaves the dashboard: its present state as plain HTML (no script, nothing to fetch), and figures."""

from __future__ import annotations

import base64
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol

from explorer import __version__
from explorer.display.colours import CURVES
from explorer.display.legend import text_font
from explorer.display.views import SHARED_STYLE
from explorer.widgets.session import Session
from explorer.widgets.status import weights_text


class Kept(Protocol):
    """A panel that says in HTML what it shows, "" where that is nothing."""

    def page_html(self) -> str: ...


def snapshot_html(*sessions: Session, panels: Sequence[Kept] = (), above: str = "") -> str:
    """Model, photo, predictions, stages and module tree as HTML with embedded PNGs; of two models side by
    side, one below the other. Then what each panel shows. above: HTML that comes first
    """
    states = "".join(f'<div class="vx-snapshot">{_state_html(session)}</div>' for session in sessions)
    return above + states + "".join(panel.page_html() for panel in panels)


def _state_html(session: Session) -> str:
    parts = []
    with session.lock:  # all of the same moment
        look, tree, model, photo = session.look, session.tree, session.model_name, session.image_name
    if look is not None:
        parts.append(look._repr_html_())
    elif model:
        parts.append(f"<p><b>{escape(model)}</b>, no photo yet</p>")
    else:
        parts.append("<p>Nothing is open yet.</p>")
    if tree is not None:
        parts.append(f"<details><summary>Modules</summary>{tree._repr_html_()}</details>")
    if photo:
        parts.append(f"<p>Photo: {escape(photo)}</p>")
    return "".join(parts)


def section_html(figure: Any, *, title: str, caption: str, code: str) -> str:
    """What a panel shows, as a section of a page: its figure, the settings behind it, the lines for it."""
    text = escape(caption)
    picture = f'<img alt="{text}" style="max-width:100%;background:#fff" src="{_address(figure)}">'
    below = f'<figcaption style="font-size:.85em;max-width:60em">{text}</figcaption>'
    pre = f"<pre>{escape(code)}</pre>"
    lines = f"<details><summary>The lines for this</summary>{pre}</details>"
    return (f'<section class="vx-shown"><h3>{escape(title)}</h3>'
            f'<figure style="margin:0">{picture}{below}</figure>{lines if code else ""}</section>')


def _address(figure: Any) -> str:
    """A PIL image or matplotlib Figure as an address that a page can hold."""
    from explorer.display.draw import data_uri

    if not hasattr(figure, "savefig"):
        return data_uri(figure.convert("RGB"))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def page_html(*sessions: Session, panels: Sequence[Kept] = (), above: str = "") -> str:
    """`snapshot_html` as a page of its own, in the reader's light or dark colours."""
    models = ", ".join(session.model_name for session in sessions if session.model_name)
    title = escape(f"{models or 'explorer'}: {sessions[0].image_name or 'no photo'}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{page_style()}</style></head>\n"
        f"<body>{snapshot_html(*sessions, panels=panels, above=above)}</body></html>\n"
    )


def page_style() -> str:
    """The dashboard's tokens for a page of its own, which is dark where the reader's system is."""
    dark = SHARED_STYLE.split('body[data-jp-theme-light="false"]', 1)[1].split("}", 1)[0]
    own = ("body{font:var(--vx-text)/1.5 var(--vx-font);color:var(--vx-ink);background:var(--vx-back);"
           "margin:var(--vx-gap-5) auto;max-width:70rem;padding:0 var(--vx-gap-4)}a{color:var(--vx-accent)}")
    return f"{SHARED_STYLE}@media (prefers-color-scheme:dark){{body{dark}}}}}{own}"


# --- figures to keep ----------------------------------------------------------------------------------------

FORMATS = ("png", "svg", "pdf")
ACCENT = CURVES[0]

Points = Sequence[tuple[float, float]]


def caption_of(session: Session, *, photo: bool = True) -> str:
    """Model, weights, photo and version, as a caption states them."""
    parts = []
    if session.model_name:
        parts.append(f"Model: {session.model_name} ({weights_text(session)})")
    if photo and session.look is not None:
        height, width = session.look.input.shape[-2:]
        parts.append(f"Photo: {session.image_name}, seen at {width} × {height} pixels")
    return "".join(f"{part}. " for part in parts).rstrip()


def formats_of(figure: Any) -> tuple[str, ...]:
    """The formats that a figure can be saved in: a picture of pixels as PNG, a chart as SVG and PDF too."""
    return FORMATS if hasattr(figure, "savefig") else ("png",)


def titled(figure: Any, title: str) -> Any:
    """A matplotlib Figure with a title, in which a dollar is a dollar: names are no formulas."""
    figure.suptitle(title, fontsize=12, parse_math=False)
    for place in figure.axes:
        for text in (*place.get_xticklabels(), *place.get_yticklabels(), *place.texts):
            text.set_parse_math(False)
        for text in place.get_legend().get_texts() if place.get_legend() else ():
            text.set_parse_math(False)
    return figure


def shortened(text: str, most: int = 40) -> str:
    """A long name without its end, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most - 1]}…"


def curves_figure(charts: Mapping[str, Mapping[str, Points]], *, title: str) -> Any:
    """Charts side by side as a matplotlib Figure: {what is measured: {name of a curve: (epoch, value)}}.

    A curve with the same name has the same colour in all charts; one whose name ends in "each batch" is thin.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(charts), 3.6), layout="constrained")
    names = list(dict.fromkeys(name for curves in charts.values() for name in curves))
    places = figure.subplots(1, len(charts), squeeze=False)[0]
    for place, (what, curves) in zip(places, charts.items(), strict=True):
        for name, points in curves.items():
            thin = {"alpha": 0.4, "linewidth": 0.8, "marker": ""}
            look = thin if name.endswith("each batch") else {"alpha": 1, "linewidth": 1.8, "marker": "."}
            colour = CURVES[names.index(name) % len(CURVES)]
            place.plot(*zip(*points), color=colour, label=shortened(name, 30), **look)
        place.set(xlabel="epoch", ylabel=what)
        place.xaxis.get_major_locator().set_params(integer=True)
        place.grid(alpha=0.3)
        place.spines[["top", "right"]].set_visible(False)
        if curves:
            place.legend(fontsize=8, frameon=False)
    return titled(figure, title)


def table_figure(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str,
                 right: Sequence[int] = ()) -> Any:
    """A table as a matplotlib Figure. right: numbers of the columns that are set flush right."""
    from matplotlib.figure import Figure

    rows = [[one[: len(one) - len(one.lstrip())] + shortened(one, 44) for one in row] for row in rows]
    widths = [max(map(len, column)) + 2 for column in zip(columns, *rows, strict=True)]
    wide, high = 0.085 * sum(widths), 0.2 * (len(rows) + 2)
    figure = Figure(figsize=(max(wide, 4), high))
    place = figure.add_axes((0, 0, 1, 1 - 0.35 / (high + 0.35)))
    place.set(xlim=(0, sum(widths)), ylim=(len(rows) + 0.6, -0.6))
    place.set_axis_off()
    for number, (name, width) in enumerate(zip(columns, widths, strict=True)):
        start, flush = sum(widths[:number]), number in right
        at = {"x": start + width - 2 if flush else start, "ha": "right" if flush else "left", "va": "center"}
        place.text(y=0, s=name, weight="bold", fontsize=9, **at)
        for line, row in enumerate(rows, 1):
            place.text(y=line, s=row[number], fontsize=9, parse_math=False, **at)
    place.axhline(0.5, color="#999999", linewidth=0.8)
    return titled(figure, title)


def file_bytes(figure: Any, format: str = "png", *, title: str, caption: str) -> bytes:
    """A PIL image or matplotlib Figure as the bytes of a file, its caption below it and in the metadata.

    Raises ValueError for a format that the figure can't be saved in.
    """
    if format not in formats_of(figure):
        raise ValueError(f"This figure can be saved as {', '.join(formats_of(figure))}, not as {format!r}.")
    if hasattr(figure, "savefig"):
        return _chart_bytes(figure, format, title, caption)
    return _picture_bytes(figure, title, caption)


def file_name(*parts: str) -> str:
    """A name for a file, without an ending: letters, digits, dots and dashes of what the parts say."""
    words = (re.sub(r"[^\w.-]+", "-", part.replace(".jpg", "")).strip("-._") for part in parts if part)
    return "_".join(filter(None, words))[:100] or "figure"


def _chart_bytes(figure: Any, format: str, title: str, caption: str) -> bytes:
    import matplotlib

    width, high = figure.get_size_inches()
    below = "\n".join(textwrap.wrap(caption, max(30, round(width * 15))))
    text = figure.text(0.5, -0.1 / high, below, ha="center", va="top", fontsize=8, color="#555555",
                       parse_math=False)
    about = {"png": {"Title": title, "Description": caption, "Software": software()},
             "svg": {"Title": title, "Description": caption, "Creator": software()},
             "pdf": {"Title": title, "Subject": caption, "Creator": software()}}[format]
    buffer = io.BytesIO()
    try:
        with matplotlib.rc_context({"svg.fonttype": "none"}):  # text stays text, to search and to edit
            figure.savefig(buffer, format=format, dpi=144, bbox_inches="tight", pad_inches=0.15,
                           facecolor="white", metadata=about)
    finally:
        text.remove()
    return buffer.getvalue()


def _picture_bytes(picture: Any, title: str, caption: str) -> bytes:
    """A picture on a white sheet with its title above and its caption below."""
    from PIL import Image, ImageDraw, PngImagePlugin

    picture = picture.convert("RGB")
    side, gap = max(picture.width, 480), 12
    fonts = text_font(18), text_font(13)
    above, below = (_wrapped(text, font, side) for text, font in zip((title, caption), fonts, strict=True))
    heights = [round(1.35 * font.size) for font in fonts]
    top = gap + heights[0] * len(above) + gap // 2
    end = top + picture.height + gap
    sheet = Image.new("RGB", (side + 2 * gap, end + heights[1] * len(below) + gap), "white")
    sheet.paste(picture, (gap, top))
    pen = ImageDraw.Draw(sheet)
    title_place, caption_place = (gap, fonts[0], heights[0], "black"), (end, fonts[1], heights[1], "#555555")
    for lines, (y, font, height, colour) in ((above, title_place), (below, caption_place)):
        for number, line in enumerate(lines):
            pen.text((gap, y + number * height), line, font=font, fill=colour)
    about = PngImagePlugin.PngInfo()
    for key, value in (("Title", title), ("Description", caption), ("Software", software())):
        about.add_itxt(key, value)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """Lines of at most `width` pixels; a word that is wider is cut."""
    lines = [""]
    for word in text.split():
        while word:
            line = f"{lines[-1]} {word}".strip()
            if font.getlength(line) <= width:
                lines[-1], word = line, ""
            elif lines[-1]:
                lines.append("")
            else:
                fits = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
                lines[-1], word = word[:fits], word[fits:]
                lines.append("")
    return [line for line in lines if line]


def software() -> str:
    """explorer and its version, as captions and metadata name it."""
    return f"explorer {__version__}"
