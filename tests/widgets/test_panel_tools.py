"""Code, figure and guide of every panel: lines and files give what is shown, the page gets what it asks."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import ipywidgets as W
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import explorer
from explorer.training.run.finetuning import finetune
from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.learn.panel import FinetunePanel
from explorer.widgets.panels.picker.finding import SIZES
from explorer.widgets.panels.runs.panel import RunsPanel
from explorer.widgets.parts.panel_tools import PanelTools
from explorer.widgets.session import Session

from .test_finetune_panel import folder  # noqa: F401
from .test_parts_base import from_browser
from .test_snippets import NAME, NASTY, run, show, tiny

BUILT = ("images", "predictions", "picker", "stages", "modules")


@pytest.fixture(scope="module")
def dash():
    dash = explorer.Dashboard(NAME)
    dash.wait()
    yield dash
    dash.close()


@pytest.fixture
def ready(dash):
    """The dashboard with its own model and first photo, whatever a test before has asked for."""
    if dash.session.model_source != NAME:
        show(dash, model=NAME)
    title, source = dash.session.gallery[0]
    dash.session.open_image(source, title)
    dash.wait()
    return dash


def panels_of(box: W.Box):
    """The outermost panels: one inside another shares its bar."""
    for child in box.children:
        if isinstance(child, Panel):
            yield child
        elif isinstance(child, W.Box):
            yield from panels_of(child)


def all_in(box: W.Widget):
    """What is in a box, and in the boxes in it."""
    for child in getattr(box, "children", ()):
        yield child
        yield from all_in(child)


# --- every panel --------------------------------------------------------------------------------------------


def test_every_panel_of_the_dashboard_has_a_guide_with_a_paper_its_code_and_a_figure(dash):
    panels = list(panels_of(dash))
    assert len(panels) >= 7
    for panel in panels:
        if hasattr(panel, "build"):
            panel.build()
        name, kind = type(panel).__name__, type(panel)
        words = re.sub(r"<[^>]*>", " ", panel.guide).split()
        assert len(words) > 60, f"{name} needs a guide: what you see, what it does not prove, what to read"
        assert re.search(r'<a [^>]*href="https://', panel.guide), f"{name}'s guide needs a link to a paper"
        assert kind.code is not Panel.code, f"{name} needs code(): the lines that reproduce what it shows"
        assert kind.figure is not Panel.figure, f"{name} needs figure(): what it shows, to keep"
        bars = [child for child in all_in(panel) if child is panel.tools]
        assert len(bars) == 1, f"{name} has lost its bar"


@pytest.mark.parametrize("name", BUILT)
def test_the_lines_are_python_that_runs_without_the_dashboard_where_all_has_a_name(ready, name):
    assert run(getattr(ready, name).code())[0] is not None


@pytest.mark.parametrize("name", BUILT)
def test_every_figure_is_a_png_that_holds_its_title_and_caption(ready, name):
    panel = getattr(ready, name)
    with Image.open(io.BytesIO(panel.exported())) as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 200
        assert picture.info["Title"] == panel.heading()
        assert picture.info["Description"].startswith(panel.caption())
        assert explorer.__version__ in picture.info["Description"]


@pytest.mark.parametrize("name", ("predictions", "stages"))
def test_a_caption_names_model_photo_and_preprocessing(ready, name):
    caption = getattr(ready, name).caption()
    assert "tf_efficientnet_lite0.in1k" in caption and "Chelsea the cat" in caption and "224 × 224" in caption


def test_without_a_model_and_a_photo_there_is_neither_code_nor_figure():
    from explorer.widgets.panels.images import ImagesPanel
    from explorer.widgets.panels.modules.panel import ModulesPanel
    from explorer.widgets.panels.predictions import PredictionsPanel
    from explorer.widgets.panels.stages import StagesPanel

    session = Session()
    kinds = ImagesPanel, ModulesPanel, PredictionsPanel, StagesPanel
    for panel in [kind(session) for kind in kinds]:
        assert panel.code() == "" and panel.figure() is None and isinstance(panel.caption(), str)
        with pytest.raises(ValueError, match="Nothing is shown here yet"):
            panel.exported()
        panel.close()
    session.close()


# --- photos and predictions ---------------------------------------------------------------------------------


def test_the_photos_lines_open_the_photo_and_its_figure_names_who_took_it(ready):
    picture, _ = run(ready.images.code())
    assert np.array_equal(np.asarray(picture), np.asarray(ready.session.image))
    assert np.array_equal(np.asarray(ready.images.figure()), np.asarray(ready.session.image))
    assert "Stefan van der Walt, CC0" in ready.images.caption() and "451 × 300" in ready.images.caption()


def test_the_predictions_lines_give_the_predictions_on_the_screen(ready):
    panel = ready.predictions
    for count in (3, 10, 5):
        panel.topk.value = count
        found, names = run(panel.code())
        assert len(found) == count
        for one, other in zip(found, ready.session.look.predictions):  # to rounding: a faster copy may answer
            assert one.label == other.label and one.logit == pytest.approx(other.logit, rel=1e-4, abs=1e-4)
        assert [answer.name for answer in panel.answers.rows] == [one.label for one in found]
        assert "look.steps" not in panel.code()
    panel.prepared.value = True
    assert "look.steps" in panel.code()
    assert len(run(panel.code())[1]["look"].steps) == len(ready.session.look.steps)
    panel.prepared.value = False


def test_the_predictions_figure_has_a_bar_for_each_class_of_its_length(ready):
    ready.predictions.logits.value = True
    bars = ready.predictions.figure().axes[1]
    ready.predictions.logits.value = False
    best = ready.session.look.predictions
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([one.probability for one in best])
    assert [text.get_text() for text in bars.get_yticklabels()] == [one.label for one in best]
    assert len(bars.texts) == len(best)
    assert all(f"logit {one.logit:.2f}" in text.get_text() for one, text in zip(best, bars.texts))


def test_a_model_without_classifier_shows_its_photo_and_its_lines_give_the_vector(dash):
    show(dash, model=explorer.create_model("resnet10t", num_classes=0))
    found, _ = run(dash.predictions.code(), dash)
    assert np.array_equal(found, dash.session.look.embedding) and len(dash.predictions.figure().axes) == 1


@pytest.mark.parametrize("name", NASTY)
def test_any_name_of_a_photo_goes_into_figure_and_file_name(ready, tmp_path, name):
    Image.new("RGB", (40, 30), "teal").save(tmp_path / name, "PNG")
    show(ready, image=tmp_path / name)
    for panel in (ready.predictions, ready.images):
        assert panel.exported()[:4] == b"\x89PNG"
        assert re.fullmatch(r"[\w.-]+", panel._file_name())
    assert ready.predictions.exported("svg").startswith(b"<?xml")
    assert len(run(ready.predictions.code())[0]) == 5


# --- feature maps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"sort": "strength"}, {"scale": "shared", "colormap": "magma"},
    {"colormap": "coolwarm", "sort": "strength"},
])
def test_the_feature_maps_lines_give_the_mosaic_with_the_options_on_the_screen(ready, options):
    panel = ready.stages
    for number in (0, -1):
        panel.stage.value = panel.stage.options[number]
        for name, value in options.items():
            setattr(panel.mosaic, name, value)
        picture, names = run(panel.code())
        # to rounding, which is a level or two of 255 in a picture: a faster copy may answer
        assert picture.size == panel.figure().size
        levels = np.abs(np.asarray(picture, np.int16) - np.asarray(panel.figure(), np.int16))
        assert (levels <= 2).mean() > 0.999
        stage = panel.stage.value
        wanted = ready.session.look.stages[stage]
        assert (names["look"].stages[stage] - wanted).abs().max() <= 1e-4 * wanted.abs().max()
        for name, value in {"sort": "channel", "scale": "own", "colormap": "viridis", **options}.items():
            assert f'{name}="{value}"' in panel.code()
    for name, value in (("sort", "channel"), ("scale", "own"), ("colormap", "viridis")):
        setattr(panel.mosaic, name, value)


def test_the_exported_mosaic_shows_the_channels_that_the_page_shows(ready):
    """The same codes, undone: the picture's grey values are the maps' values, channel by channel."""
    panel = ready.stages
    panel.stage.value = panel.stage.options[-1]
    panel.mosaic.colormap = "grey"
    maps = ready.session.look.stages[panel.stage.value].numpy()
    options = panel._options()
    picture = np.asarray(panel.figure())[..., 0].astype(float) / 255
    panel.mosaic.colormap = "viridis"
    side = options["cell"] // maps.shape[1] * maps.shape[1]
    across = (picture.shape[1] + 1) // (side + 1)
    for channel in (0, 7, 200):
        top, left = channel // across * (side + 1), channel % across * (side + 1)
        zoom = side // maps.shape[1]
        shown = picture[top:top + side:zoom, left:left + side:zoom]
        low, high = maps[channel].min(), maps[channel].max()
        assert np.abs(shown - (maps[channel] - low) / (high - low)).max() < 0.01


def test_of_too_many_channels_the_strongest_are_in_the_lines_as_on_the_page(ready, monkeypatch):
    from explorer.widgets.parts import mosaic

    monkeypatch.setattr(mosaic, "MAX_BYTES", 20 * 49)
    panel = ready.stages
    panel.stage.value = panel.stage.options[0]
    panel.stage.value = panel.stage.options[-1]
    assert panel.mosaic.shown_channels == 20 and "limit=20" in panel.code()
    assert np.array_equal(np.asarray(run(panel.code())[0]), np.asarray(panel.figure()))
    assert "20 strongest of 320" in panel.caption()


def test_the_enlarged_channel_is_in_the_lines(ready):
    panel = ready.stages
    panel.stage.value = panel.stage.options[0]
    panel.mosaic.selected = 3
    assert '"].numpy' not in panel.code() and 'look.stages["blocks.0"][3]' in panel.code()
    panel.mosaic.selected = 5000  # not among those of this stage
    assert "enlarged" not in panel.code()
    panel.mosaic.selected = -1


# --- modules and models -------------------------------------------------------------------------------------


def test_the_modules_lines_give_the_tree_on_the_screen(ready):
    tree, names = run(ready.modules.code())
    assert tree.rows() == ready.session.tree.rows()
    ready.modules.tree.selected = "blocks.0.0"
    assert 'model.get_submodule("blocks.0.0")' in ready.modules.code()
    assert run(ready.modules.code())[0].rows() == tree.rows()
    ready.modules.tree.selected = None


def test_the_modules_figure_lists_whole_levels_with_their_numbers(ready):
    texts = [text.get_text() for text in ready.modules.figure().axes[0].texts]
    tree = ready.session.tree
    for node in (tree, tree.find("conv_stem"), tree.find("classifier")):
        assert f"{node.params:,}" in texts and node.shape_text in texts
    assert "of 271 modules" in ready.modules.caption()
    assert "multiply-add is two floating-point operations" in ready.modules.caption()


def test_a_model_of_layers_in_a_row_has_a_tree_to_export(dash):
    show(dash, model=tiny())
    assert run(dash.modules.code(), dash)[0].rows() == dash.session.tree.rows()
    assert "All 6 modules" in dash.modules.caption() or "modules" in dash.modules.caption()
    assert dash.modules.exported("svg").count(b"Conv2d") >= 1


@pytest.mark.parametrize("filters", [
    {}, {"search": "lite"}, {"search": "resnet*", "family": "resnet"}, {"task": "classification"},
    {"sort": "top1"},
    {"size": next(iter(SIZES)), "sort": "year"}, {"licence": "commercial", "search": "vit"}, {"here": True},
])
def test_the_pickers_lines_list_what_the_list_shows(ready, filters):
    picker = ready.picker
    tasks = {value for _, value in picker.asking.task.options}
    for name, value in filters.items():
        if name != "task" or value in tasks:
            getattr(picker if name == "sort" else picker.asking, name).value = value
    found, names = run(picker.code())
    assert found == list(picker.models.names)
    card, tag = names["card"], picker.tag.value
    assert card.config.name == tag if tag else card.name == picker.models.value
    picker.sort.value = "name"
    picker.asking.ask_for_nothing()


def test_a_search_that_is_code_stays_a_text(ready):
    ready.picker.asking.search.value = '") or exit("'
    assert run(ready.picker.code())[0] == [] == list(ready.picker.models.names)
    ready.picker.asking.ask_for_nothing()


def test_models_to_compare_are_in_the_lines_and_make_the_figure(ready):
    ready.session.compare = ["resnet18", "resnet50"]
    assert run(ready.picker.code())[1]["compared"] == ["resnet18", "resnet50"]
    texts = [text.get_text() for text in ready.picker.figure().axes[0].texts]
    assert {"resnet18", "resnet50", "11.7 M", "25.6 M"} <= set(texts)
    ready.session.compare = []


# --- training and runs --------------------------------------------------------------------------------------


@pytest.fixture
def trainer(folder):  # noqa: F811
    """A dashboard with a tiny model, its Train tab asked for the coloured photos."""
    dash = explorer.Dashboard(tiny(), input_size=(3, 32, 32))
    dash.wait()
    panel = dash.finetune
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(folder)
    fields = panel.fields
    fields.train.value, fields.batch_size.value, fields.advanced["threads"].value = "all", 8, "1"
    fields.epochs.value, fields.lr.value = 2, "0.05"
    assert panel.wait()
    yield dash
    if getattr(dash.session.run, "running", False):
        dash.session.run.stop()
    dash.close()


def test_before_the_train_tab_is_looked_at_there_are_no_lines():
    session = Session()
    for panel in (FinetunePanel(session), RunsPanel(session)):
        assert panel.code() == "" and panel.figure() is None and panel.caption() == ""
        panel.close()
    session.close()


def test_the_training_lines_learn_exactly_as_start_does(trainer):
    panel = trainer.finetune
    panel.fields.advanced["label_smoothing"].value = "0.1"
    panel.fields.balanced.value, panel.fields.seed.value = True, 3
    panel.start.click()
    assert panel.wait()
    mine = trainer.session.run.wait(60)
    best, names = run(panel.code(), trainer)
    figures = [[{key: row[key] for key in ("loss", "top1", "val_loss", "val_top1")} for row in one.history]
               for one in (mine, names["run"])]
    assert figures[0] == figures[1] and names["run"].recipe == mine.recipe
    assert best["val_top1"] == mine.best["val_top1"]
    # the one on the screen did not learn
    assert names["model"] is trainer.session.model and mine.model is not names["run"].model


def test_only_settings_that_are_not_the_usual_ones_are_in_the_training_lines(trainer):
    code = trainer.finetune.code()
    assert "optimizer" not in code and "augment" not in code and "batch_size=8" in code and "lr=0.05" in code


def test_a_model_from_the_catalog_is_trained_by_its_name_and_from_scratch_too(trainer):
    show(trainer, model=NAME)
    panel = trainer.finetune
    assert f'model = explorer.create_model("{NAME}", pretrained=True)' in panel.code()
    assert "dash" not in panel.code()
    panel.fields.scratch.value = True
    assert f'explorer.finetune("{NAME}",' in panel.code().replace("\n    ", "")
    assert "pretrained=False" in panel.code()


def test_settings_that_can_not_be_are_no_lines(trainer):
    trainer.finetune.fields.lr.value = 'x"); import os #'
    assert trainer.finetune.code().startswith("# These settings can't be used")


def test_the_curves_of_the_run_are_its_figure(trainer):
    panel = trainer.finetune
    with pytest.raises(ValueError, match="No run yet"):
        panel.exported()
    panel.start.click()
    assert panel.wait()
    done = trainer.session.run.wait(60)
    figure = panel.figure()
    judged = next(line for line in figure.axes[1].lines if line.get_label() == "validation")
    assert list(judged.get_ydata()) == [row["val_top1"] for row in done.history]
    assert done.name in panel.caption() and "batch size 8" in panel.caption()
    assert "% right after epoch" in panel.caption()


def test_the_runs_lines_draw_the_ticked_curves(trainer, folder, tmp_path):  # noqa: F811
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    def learn(name, **settings):
        return finetune(tiny_wrapped(), folder, train="all", threads=1, batch_size=8, epochs=2, name=name,
                        **settings).wait(60)

    panel = trainer.runs
    trainer.tabs.selected_index = trainer.tabs.children.index(panel)
    live, kept = learn("live"), learn("kept")
    kept.save(tmp_path / "kept runs" / "kept")
    learn("folder", run_dir=tmp_path / "kept runs" / "folder")
    trainer.session.run = live
    panel.folder.value = str(tmp_path / "kept runs")
    assert panel.wait() and len(panel.shown) == 3
    for ticked in ([0], [0, 1, 2], [2]):
        panel.table.ticked = ticked
        _, names = run(panel.code(), trainer)
        shown = [list(panel.shown[index].history) for index in ticked]
        drawn = panel.figure().axes[0]
        for axes, what in ((names["right"], "val_top1"), (names["loss"], "val_loss"), (drawn, "val_top1")):
            curves = [list(line.get_ydata()) for line in axes.lines]
            assert curves == [[row[what] for row in rows] for rows in shown]
        assert all(panel.shown[index].name in panel.caption() for index in ticked)
        plt.close(names["figure"])
    panel.table.ticked = []
    assert panel.code() == "" and panel.figure() is None


def tiny_wrapped():
    return explorer.wrap(tiny(), input_size=(3, 32, 32))


# --- the bar itself: no browser, no model -------------------------------------------------------------------


class Plain(Panel):
    title = "Plain"
    guide = "<p>words</p>"

    def __init__(self, session, picture=None):
        self.lines, self.picture = "import explorer", picture
        super().__init__(session, [W.HTML("below")])

    def code(self):
        if self.lines is None:
            raise RuntimeError("a mistake")
        return self.lines

    def figure(self):
        return self.picture

    def caption(self):
        return "A caption with <b>, & and $x^2$ in it."


@pytest.fixture
def plain(sent):
    session = Session()
    panel = Plain(session, Image.new("RGB", (64, 32), "teal"))
    sent.clear()
    yield panel
    panel.close()
    session.close()


def answers(sent):
    return [(data["content"], buffers) for kind, data, buffers in sent if data.get("method") == "custom"]


def ask(panel, what):
    from_browser(panel.tools, {"kind": "ask", "what": what})


def test_a_panel_with_a_title_alone_has_a_bar_without_buttons_and_one_without_has_none(sent):
    class Titled(Panel):
        title = "Only a title"

    session = Session()
    assert Titled(session, [W.HTML()]).tools.offers == []
    assert Panel(session, [W.HTML()]).tools is None and len(Panel(session, [W.HTML()]).children) == 1


def test_a_panel_that_is_built_later_has_its_bar_from_then_on(sent):
    panel = Plain.__new__(Plain)
    Panel.__init__(panel, Session())
    assert panel.tools is None and panel.children == ()
    panel.fill([W.HTML()])
    first = panel.tools
    panel.fill([W.HTML()])
    assert panel.tools is first and panel.children[0] is first


def test_what_fills_a_panel_stands_below_its_bar(plain):
    below = [W.HTML("a"), W.HTML("b")]
    plain.fill(below)
    assert list(plain.children) == [plain.tools, *below]


def test_guide_and_code_are_sent_when_the_page_asks_and_not_before(sent, plain):
    plain.changed()
    assert answers(sent) == []
    ask(plain, "guide")
    ask(plain, "code")
    assert [content["kind"] for content, _ in answers(sent)] == ["guide", "code"]
    assert answers(sent)[0][0]["html"] == plain.guide and answers(sent)[1][0]["text"] == "import explorer"


def test_lines_on_the_page_follow_what_is_shown_until_they_are_shut(sent, plain):
    ask(plain, "code")
    plain.changed()  # the same lines: nothing to send
    plain.lines = "another"
    plain.changed()
    ask(plain, "shut")
    plain.lines = "a third"
    plain.changed()
    assert [content["text"] for content, _ in answers(sent)] == ["import explorer", "another"]


def test_lines_that_can_not_be_written_are_a_comment_and_no_traceback(sent, plain):
    plain.lines = None
    ask(plain, "code")
    assert answers(sent)[0][0]["text"].startswith("# These lines could not be written")


def test_a_picture_goes_to_the_page_as_a_png_with_its_caption(sent, plain):
    ask(plain, "figure")
    assert plain.wait_export()
    (content, (data,)), = answers(sent)
    assert content["kind"] == "figure" and content["formats"] == ["png"] and content["name"] == "Plain.png"
    assert content["caption"].startswith(plain.caption()) and data[:4] == b"\x89PNG"


def test_a_chart_is_saved_as_svg_and_pdf_too_from_the_figure_on_the_page(sent, plain):
    figure = plain.picture = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 2])
    ask(plain, "figure")
    assert plain.wait_export()
    plain.picture = None  # what is shown has changed; the page still has the figure
    for format in ("svg", "pdf"):
        from_browser(plain.tools, {"kind": "save", "format": format})
        assert plain.wait_export()
    (first, _), *files = answers(sent)
    assert first["formats"] == ["png", "svg", "pdf"]
    named = [(content["kind"], content["name"]) for content, _ in files]
    assert named == [("file", "Plain.svg"), ("file", "Plain.pdf")]
    svg = files[0][1][0].decode()
    assert "A caption with &lt;b&gt;, &amp; and $x^2$ in it." in svg and files[1][1][0][:4] == b"%PDF"
    assert figure.texts == []  # the caption was the file's, not the figure's


def test_nothing_to_draw_and_a_drawing_that_fails_are_sentences(sent, plain, caplog):
    plain.picture = None
    ask(plain, "figure")
    assert plain.wait_export()
    plain.figure = lambda: 1 / 0
    ask(plain, "figure")
    assert plain.wait_export()
    assert [content["text"] for content, _ in answers(sent)] == [
        plain.nothing_yet, "The figure could not be drawn (ZeroDivisionError: division by zero)."]
    assert "no figure of Plain" in caplog.text


@pytest.mark.parametrize("message", [
    {"kind": "ask", "what": "secrets"}, {"kind": "ask"}, {"kind": "ask", "what": ["code"]},
    {"kind": "save", "format": "exe"}, {"kind": "save"}, {"kind": "choose", "key": "title", "value": "x"},
    {"kind": 3}, "code", None,
])
def test_a_page_can_ask_for_nothing_else(sent, plain, message):
    from_browser(plain.tools, message)
    assert answers(sent) == [] and plain._exporter is None and plain.title == "Plain"


def test_a_closed_bar_sends_nothing_and_its_panel_lets_go_of_the_figure(sent, plain):
    ask(plain, "figure")
    assert plain.wait_export()
    plain.tools.close()
    plain.close()
    count = len(answers(sent))
    plain.tools.answer("code", {"text": "late"})
    assert len(answers(sent)) == count and plain._exported is None


def test_a_bar_travels_with_its_script_and_little_else():
    tools = PanelTools(title="T", label="T", offers=["code"])
    state = tools.get_state()
    assert "export default" in state["_esm"] and ".vx-tools" in state["_css"]
    assert "openReadonly" not in state["_esm"]
    assert len(str(state)) < 20_000
    tools.close()


def test_no_module_that_draws_is_imported_before_somebody_asks():
    code = ("import os, sys, explorer; dash = explorer.Dashboard(); "
            "heavy = {'matplotlib', 'sklearn', 'captum', 'timm'}; "
            "print(sorted(heavy & {*sys.modules}), flush=True); os._exit(0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- files --------------------------------------------------------------------------------------------------


def test_a_picture_can_not_be_saved_as_svg(plain):
    with pytest.raises(ValueError, match="can be saved as png, not as 'svg'"):
        plain.exported("svg")


def test_a_figure_is_written_in_the_format_that_the_path_names(plain, tmp_path):
    assert plain.save_figure(tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    plain.picture = Figure()
    assert b"<svg" in plain.save_figure(str(tmp_path / "a.SVG")).read_bytes()


def test_a_long_caption_and_a_word_wider_than_the_picture_stay_inside_it():
    data = export.file_bytes(Image.new("RGB", (80, 40), "black"), title="x" * 300, caption="word " * 200)
    with Image.open(io.BytesIO(data)) as sheet:
        edge = np.asarray(sheet.convert("L"))[:, [0, 5, -6, -1]]
        assert edge.min() == 255 and sheet.height > 300


@pytest.mark.parametrize(("parts", "name"), [
    (("Feature maps", "resnet50.a1_in1k", "my cat.jpg"), "Feature-maps_resnet50.a1_in1k_my-cat"),
    (("../../etc", "", "a/b\\c\n.png"), "etc_a-b-c-.png"), (("..", ""), "figure"), (("x" * 300,), "x" * 100),
])
def test_a_file_name_is_plain(parts, name):
    assert export.file_name(*parts) == name
