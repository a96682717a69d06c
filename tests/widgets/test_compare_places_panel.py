"""The tab Compare with models that find boxes or masks: it follows them, and no slider asks a network."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import explorer
from explorer.widgets.panels.compare.views import PLACE_VIEWS, VIEWS
from tests.html import parse
from tests.models.oracle import randomise

LABELS = ("cat", "<b>dog</b>", "=HYPERLINK()")
NETS = {"boxes": "yolov5n", "masks": "lraspp_mobilenet_v3_large"}


def saved(folder, name: str, seed: int) -> str:
    """The name of a model with random numbers in a folder of its own."""
    torch.manual_seed(seed)
    model = explorer.create_model(name, num_classes=3)
    randomise(model)
    made = folder / f"{name}{seed}"
    made.mkdir()
    save_file(model.state_dict(), made / "model.safetensors")
    (made / "config.json").write_text(json.dumps({
        "architecture": name, "num_classes": 3, "label_names": LABELS,
        "pretrained_cfg": {**model.config.as_timm(), "input_size": [3, 64, 64], "url": "", "tag": ""}}))
    return f"local-dir:{made}"


@pytest.fixture(scope="module", params=NETS)
def compared(request, tmp_path_factory):
    """(boxes or masks, a dashboard that has compared two models on two photos)."""
    folder = tmp_path_factory.mktemp(request.param)
    names = tuple(saved(folder, NETS[request.param], seed) for seed in (0, 1))
    model = explorer.create_model(names[0], pretrained=True).eval()
    dash = explorer.Dashboard(model, images=explorer.sample_photos()[:2])
    dash.wait()
    dash.tabs.selected_index = dash.tabs.children.index(dash.compare)
    panel = dash.compare
    alone = panel.choice.names, panel.choice.about_models.value, panel.compare.disabled
    dash.session.compare = names
    panel.choice.source.value, panel.choice.several.value = "gallery", (0, 1)
    panel.compare.click()
    assert panel.wait()
    yield request.param, dash, alone
    dash.close()


def test_without_ticks_there_is_nothing_of_that_kind_and_that_is_said(compared):
    kind, dash, (names, about, disabled) = compared
    assert names == () and disabled and f"none that finds {kind}" in parse(about).text
    offered = dash.compare.choice.add.options
    assert NETS[kind] in offered and "resnet50" not in offered


def test_each_side_is_drawn_and_its_code_gives_it_again(compared):
    kind, dash, _ = compared
    panel, result = dash.compare, dash.compare.shown.result
    assert result.kind == kind and panel.views.view.options == PLACE_VIEWS and len(result.photos) == 2
    if kind == "boxes":
        panel.views.score.value = 0.1
    for _, view in PLACE_VIEWS:
        panel.views.view.value = view
        parse(panel.views.picture.value + panel.views.below.value)
        assert "<b>dog</b>" not in panel.views.picture.value
        if view == "agreement":
            scope = {"dash": dash}
            exec(panel.code(), scope)
            np.testing.assert_allclose(scope["result"].agreement, panel.drawn.seen(result).agreement)
        assert panel.figure() is not None
        assert (panel.views.score.layout.display == "") == (kind == "boxes" and view != "scatter")
    panel.views.view.value = "pictures"
    assert panel.views.picture.value.count("<img") == 2
    before = panel.views.picture.value
    panel.views.photo.value = 1
    assert panel.views.picture.value != before
    panel.views.photo.value = 0


def test_the_table_has_what_such_models_have(compared):
    kind, dash, _ = compared
    dash.compare.views.view.value = "table"
    columns = [title for title, _ in json.loads(dash.compare.views.table._table)["columns"]]
    assert {"boxes": "boxes found", "masks": "classes found"}[kind] in columns
    assert "right here" not in columns and "top-1 published" not in columns


def test_the_score_slider_chooses_anew_without_a_pass(compared):
    kind, dash, _ = compared
    if kind != "boxes":
        assert dash.compare.views.settings().score is None
        return
    panel, counted = dash.compare, []
    hooks = [model.model[0].register_forward_hook(lambda *_: counted.append(1))
             for model in panel.shown.result.models]
    panel.views.view.value, sent = "agreement", []
    panel.files.answer = lambda name, mime, content: sent.append(content)
    for score in (0.6, 0.05):
        panel.views.score.value = score
        wanted = panel.shown.result.at(score_threshold=score)
        assert f"above {score:.0%}" in parse(panel.views.picture.value).text
        panel._write("Answers as CSV", panel.shown, None)
        rows = [*csv.DictReader(io.StringIO(sent.pop().decode()))]
        assert [float(row["agreement"]) for row in rows] == [row.value for row in wanted.disagreements()]
    assert f"result.at(score_threshold={panel.views.score.value}" in panel.code()
    for hook in hooks:
        hook.remove()
    assert not counted


def test_another_kind_beside_it_is_a_sentence(compared):
    kind, dash, _ = compared
    names = dash.session.compare
    dash.session.compare = ("resnet50", NETS[kind])
    assert dash.compare.compare.disabled and f"finds {kind}" in dash.compare.compare.tooltip
    assert dash.compare.choice.task == "classification" and dash.compare.choice.own_name() == ""
    dash.session.compare = names


def test_a_comparison_of_classes_brings_its_own_sides_back(compared):
    _, dash, _ = compared
    panel, names, shown = dash.compare, dash.session.compare, dash.compare.shown
    dash.session.compare = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")
    panel.compare.click()
    assert panel.wait()
    assert panel.views.view.options == VIEWS and panel.shown.result.kind == "classes"
    assert panel.views.score.layout.display == "none"
    dash.session.compare = names
    panel._show(shown)
    assert panel.views.view.options == PLACE_VIEWS
