"""One visual system: sizes, gaps and colours have names (`tokens.css`), motion is the reader's choice,
pictures have words. These tests read sheets and scripts; tests/browser/test_accessible.py asks a browser.
"""

from __future__ import annotations

import re

from explorer.display import views
from explorer.display.colours import CURVES
from explorer.display.views import SHARED_STYLE
from explorer.inspection.live.assembling import PAGE as LIVE
from explorer.widgets import parts
from explorer.widgets.dashboard import HERE, styles
from explorer.widgets.export import page_style
from explorer.widgets.parts.base import ExplorerPart


def texts_of(ending: str) -> dict[str, str]:
    """{a file below the widgets, in views/ of what a live page has too, in page/ of its own: its text}"""
    homes = {HERE: HERE, views.HERE: views.HERE.parent, LIVE: LIVE.parent}
    return {path.relative_to(above).as_posix(): path.read_text(encoding="utf-8")
            for home, above in homes.items() for path in sorted(home.rglob(f"*{ending}"))}


SHEETS, SCRIPTS = texts_of(".css"), texts_of(".js")

# Colours of data, which mean the same in both themes and in the figures: what they stand for.
DATA_COLOURS = {
    "panels/inside/style.css": {"#d93a3a", "#2e9e4a", "#3f6fe0"},  # the channels red, green and blue
    "panels/what_if/style.css": {"#9aa5b1"},                       # the answer before, beside the answer now
    # a box without a colour, words on a box, the dark edge of a line
    "views/photo_overlay.js": {"#ffffff", "#000", "#fff", "rgba(0"},
    # what a module does, as in the figures (inspection/graph/chart.py)
    "parts/graph_view.css": {"#3b82f6", "#94a3b8", "#eab308", "#f43f5e", "#a855f7", "#22c55e", "#06b6d4",
                             "#f97316", "#8a8f98"},
    "parts/number_view.css": {"#2f6fb7", "#c2601e"},               # what adds to a number, what takes away
    "parts/number_view.js": {"#5a5a5a", "rgb($", "#111", "#fff"},  # padding, a cell's strength, words on it
    "parts/confusion.js": {"rgba($"},                              # right and wrong, the more the stronger
}
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b(?!\{)|\b(?:rgb|hsl)a?\(\s*[\d$]"
                    r"|[:\s](?:white|black|gr[ae]y|silver|red|green|blue|orange|yellow)\s*[;}]")
# Its variables have names of JupyterLab; ipywidgets reads them.
FOR_IPYWIDGETS = re.compile(r"--jp-(?:widgets-[a-z-]+|brand-color1):")


def rules(text: str) -> str:
    """A sheet or script without its comments."""
    return re.sub(r"/\*(?s:.*?)\*/|^\s*//.*$", "", text, flags=re.MULTILINE)


def wrong(texts: dict[str, str], find) -> dict[str, object]:
    """{file: what find(its name, its rules) finds}, where it finds anything."""
    found = {name: find(name, rules(text)) for name, text in texts.items() if name != "views/tokens.css"}
    return {name: one for name, one in found.items() if one}


def classes() -> list[type[ExplorerPart]]:
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(parts.__path__):
        importlib.import_module(f"{parts.__name__}.{module.name}")
    return ExplorerPart.__subclasses__()


def test_a_colour_is_a_token_or_a_colour_of_data():
    def find(name, text):
        return {one.strip(" ;}:") for one in COLOUR.findall(text)} - DATA_COLOURS.get(name, set())

    assert wrong({**SHEETS, **SCRIPTS}, find) == {}, "name it in tokens.css, or list it as data here"


def test_no_colour_of_data_is_listed_that_is_gone():
    texts = {**SHEETS, **SCRIPTS}
    assert [(name, one) for name, few in DATA_COLOURS.items() for one in few if one not in texts[name]] == []


def test_type_comes_in_four_sizes():
    size = re.compile(r"font(?:-size)?:[^;}]*?[\d.]+(?:px|r?em|%|pt)")
    assert wrong(SHEETS, lambda name, text: size.findall(text)) == {}, "--vx-text-s, -text, -text-l, -title"


def test_a_canvas_writes_in_the_same_sizes():
    scale = set(re.findall(r"--vx-(?:text(?:-[sl])?|title): (\d+)px", SHEETS["views/tokens.css"]))
    assert len(scale) == 4
    size = re.compile(r"font = [`\"'][^`\"']*?(\d+)px")
    assert wrong(SCRIPTS, lambda name, text: set(size.findall(text)) - scale) == {}


def test_jupyterlab_is_asked_for_its_colours_in_one_place():
    def find(name, text):
        return re.findall(r"--jp-[a-z0-9-]+", FOR_IPYWIDGETS.sub("", text))

    assert wrong(SHEETS, find) == {}, "use what tokens.css makes of them"


def test_a_token_that_is_used_exists():
    everything = "\n".join([*SHEETS.values(), *SCRIPTS.values()])
    known = set(re.findall(r"(--[a-z0-9-]+)\s*:", everything))
    known |= set(re.findall(r"setProperty\(\"(--[a-z0-9-]+)\"", everything))
    used = re.compile(r"var\((--vx-[a-z0-9-]+)")
    assert wrong({**SHEETS, **SCRIPTS}, lambda name, text: set(used.findall(text)) - known) == {}


def test_both_themes_name_the_same_curves():
    light, dark = SHEETS["views/tokens.css"].split('body[data-jp-theme-light="false"]')
    curves = re.compile(r"--vx-c\d: (#[0-9a-f]{6});")
    assert len(curves.findall(light)) == len(curves.findall(dark)) == 8
    assert not set(curves.findall(light)) & set(curves.findall(dark))
    assert tuple(curves.findall(light)) == CURVES, "figures to keep have the colours of the page"


def test_an_exported_page_brings_the_tokens_for_light_and_dark():
    style = page_style()
    dark = style.split("@media (prefers-color-scheme:dark)")[1]
    assert style.startswith(SHARED_STYLE) and "--vx-c0: #6cb6ff" in dark and "--vx-scheme: dark" in dark
    assert style.count("{") == style.count("}")


def test_every_view_brings_the_tokens_along_and_so_does_the_dashboard():
    shown = classes()
    assert len(shown) > 15 and "--vx-accent:" in SHARED_STYLE and "prefers-reduced-motion" in SHARED_STYLE
    assert [one.__name__ for one in shown if not str(one._css).startswith(SHARED_STYLE)] == []
    assert styles().startswith(SHARED_STYLE)


# --- motion ------------------------------------------------------------------------------------------------

MOVES = re.compile(r"\.animate\(|setInterval\(|behavior:\s*[\"']smooth|startViewTransition")


def test_motion_in_the_sheets_stops_for_who_asked_for_none():
    quiet = SHEETS["views/kit.css"].split("@media (prefers-reduced-motion: reduce)")[1]
    for kind in ("animation: none", "transition: none", "scroll-behavior: auto"):
        assert f"{kind} !important" in quiet
    loud = re.compile(r"(?:animation|transition|scroll-behavior)[a-z-]*:[^;}]*!important")
    assert [name for name, text in SHEETS.items() if name != "views/kit.css" and loud.search(text)] == []
    script = SCRIPTS["views/kit.js"]
    assert 'classList.add("vx-part")' in script, "or the rule finds nobody"


def test_the_live_page_is_marked_for_it_too():
    assert 'class="vx-live vx-part"' in (LIVE / "page.html").read_text(encoding="utf-8")


def test_the_live_page_names_no_address_and_sends_nothing():
    page = {name: text for name, text in SCRIPTS.items() if name.startswith(("page/", "views/"))}
    assert len(page) > 12
    sends = re.compile(r"://|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|EventSource|import\(\s*[\"']")
    assert wrong(page, lambda name, text: sends.findall(text)) == {}


def test_what_a_script_moves_by_itself_asks_first():
    def find(name, text):
        return MOVES.findall(text) if "calm()" not in text else []

    assert wrong(SCRIPTS, find) == {}, "ask calm() of kit.js: true means no motion"


def test_every_view_is_marked_for_the_shared_sheet():
    shared = {"views/kit.js"} | {f"parts/{one._in_common}.js" for one in classes() if one._in_common}
    assert shared <= set(SCRIPTS) and "parts/plane.js" in shared
    views = {name: text for name, text in SCRIPTS.items() if name not in shared and name[:5] != "page/"}
    assert wrong(views, lambda name, text: "export default part(" not in text) == {}


# --- names -------------------------------------------------------------------------------------------------


def test_no_element_takes_a_place_of_its_own_in_the_order_of_tab():
    texts = [*SCRIPTS.values(), *(path.read_text(encoding="utf-8") for path in HERE.rglob("*.py"))]
    wrong = re.compile(r"tabindex=[\"']?[1-9]|tabIndex\s*=\s*[1-9]|tabindex:\s*[\"'][1-9]")
    assert [found for text in texts for found in wrong.findall(text)] == []


def test_every_picture_has_words_or_is_said_to_need_none():
    python = {path.name: path.read_text(encoding="utf-8") for path in HERE.parent.rglob("*.py")}
    assert [name for name, text in python.items() if re.search(r"<img (?![^>]*\balt=)", text)] == []
    # ipywidgets' Image has no text for a screen reader
    assert [name for name, text in python.items() if "W.Image(" in text] == [], "use picture_html"
    without = [name for name, text in SCRIPTS.items()
               if len(re.findall(r'make\("img"', text)) > len(re.findall(r"\.alt\s*=", text))]
    assert without == []
