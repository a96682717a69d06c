"""Code, caption and figure speak of what ran, whatever the controls ask for by now."""

from __future__ import annotations

import numpy as np
import pytest

import explorer

PHOTOS = explorer.sample_photos()[:3]


@pytest.fixture(scope="module")
def dash():
    model = explorer.create_model("resnet10t", num_classes=3)
    dash = explorer.Dashboard(model, images=PHOTOS)
    dash.wait()
    yield dash
    dash.close()


def said(panel) -> tuple:
    return panel.code(), panel.caption(), panel.heading(), pixels(panel.figure())


def pixels(figure) -> bytes:
    """What a picture or a chart shows."""
    if hasattr(figure, "savefig"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return bytes(canvas.buffer_rgba())
    return np.asarray(figure).tobytes()


def stays(panel, change) -> None:
    """That what `panel` says is the same after `change`, until the new result is there; then another one."""
    before = said(panel)
    assert before[0]
    with panel.session.lock:  # no result is shown meanwhile
        change()
        assert said(panel) == before
    assert panel.wait(60) and panel.code() != before[0]


def test_a_heat_map(dash):
    dash.tabs.selected_index = dash.tabs.children.index(dash.explain)
    panel = dash.explain.heat_map
    assert panel.wait(60)
    stays(panel, lambda: setattr(panel.stage, "value", panel.stage.options[2]))
    panel.seen(False)
    before = said(panel)
    dash.load(PHOTOS[1])
    dash.wait()
    assert said(panel) == before  # nobody has asked for another one yet
    panel.seen(True)
    assert panel.wait(60) and panel.code() != before[0]


def test_a_spoilt_photo(dash):
    panel = dash.explain.what_if
    panel.seen(True)
    panel.robust.strength.index = 2
    assert panel.wait(60)
    stays(panel, lambda: setattr(panel.robust.strength, "index", 3))
    panel.fgsm.epsilon.index = 2
    assert panel.wait(60) and "fgsm" in panel.code()
    del panel.fgsm.found[panel.fgsm.epsilon.options[3][1]]  # as where the sweep was stopped before it
    stays(panel, lambda: setattr(panel.fgsm.epsilon, "index", 3))


@pytest.mark.parametrize("view", ["colours", "filters", "activations", "gradients", "channel"])
def test_a_view_inside_the_model(dash, view):
    panel = dash.explain.inside
    panel.seen(True)
    panel.view.value = view
    if view in ("gradients", "channel"):
        panel.block.go.click()
    assert panel.wait(60)
    before = said(panel)
    assert before[0]
    panel.seen(False)
    names = [title for title, _ in dash.session.gallery]
    title, source = dash.session.gallery[(names.index(dash.session.image_name) + 1) % 3]
    dash.session.open_image(source, title)
    dash.wait()
    assert said(panel) == before
    panel.seen(True)
    assert panel.wait(60)
    if view in ("filters", "channel"):  # these do not hang on the photo
        assert said(panel) == before
    elif view != "gradients":  # which begins anew on a click
        assert panel.code() != before[0]


def test_a_comparison(dash):
    panel = dash.compare
    panel.build()
    dash.session.compare = ("tf_efficientnet_lite0",)
    choice, views = panel.choice, panel.views
    choice.own.value, choice.source.value, choice.several.value = True, "gallery", (0, 1)
    panel.compare.click()
    assert panel.wait(120)
    before = said(panel)
    choice.several.value, choice.own.value = (2,), False
    assert said(panel) == before and "Press Compare" in panel.stale.value
    dash.session.gallery = PHOTOS[:2]
    assert said(panel) == before
    views.view.value = "cams"
    assert panel.wait(60)
    stays(panel, lambda: setattr(views.photo, "value", 1))


def test_embeddings(dash):
    panel = dash.embeddings
    panel.build()
    panel.data.value = "the gallery"
    panel.go.click()
    assert panel.wait(120)
    before = panel.code(), panel.caption(), panel.heading()
    panel.data.value, panel.folder.value = "a folder", "elsewhere"
    dash.session.gallery = PHOTOS[:1]
    assert (panel.code(), panel.caption(), panel.heading()) == before
    with panel.session.lock:
        panel.method.value = "tsne"
        assert (panel.code(), panel.caption(), panel.heading()) == before
    assert panel.wait(60)
