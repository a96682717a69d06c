"""The embeddings panel, driven as a browser drives it: what each button does, and what its lines give."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.photos import Collection
from explorer.inspection.features.filling import Filling
from explorer.widgets.gallery import Gallery
from explorer.widgets.panels.embeddings import panel as embeddings
from explorer.widgets.panels.embeddings.panel import EmbeddingsPanel
from explorer.widgets.panels.embeddings.sources import FOLDER, GALLERY
from explorer.widgets.panels.embeddings.words import possible_budgets, spread
from explorer.widgets.session import Session
from tests.html import parse
from tests.inspection.test_embeddings import features_of


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return explorer.wrap(nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                       nn.Flatten(), nn.Linear(8, 5)),
                         input_size=(3, 24, 24)).eval()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Twelve photos of each of two classes: reddish and bluish noise."""
    random = np.random.default_rng(0)
    for index in range(24):
        red = index < 12
        file = tmp_path / "data" / ("<b>red" if red else "blue") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        colour = np.array([200, 60, 60] if red else [60, 60, 200])
        pixels = np.clip(colour + random.normal(0, 50, (24, 24, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(file)
    return tmp_path / "data"


@pytest.fixture
def panel(sent, folder):
    session = Session()
    files = sorted(folder.rglob("*.png"))[:6]
    session.gallery = Gallery((f"<i>{file.stem}", file) for file in files)
    session.open_model(tiny())
    session.open_image(files[0])
    session.wait()
    one = EmbeddingsPanel(session)
    one.build()
    yield one
    one.close()
    session.close()


def press(panel, button) -> None:
    button.click()
    assert panel.wait(60)


def embed_folder(panel, folder) -> None:
    panel.data.value = FOLDER
    panel.folder.value = str(folder)
    press(panel, panel.go)
    assert panel.message.value == ""


def test_nothing_is_embedded_until_the_reader_asks(panel):
    assert panel.shown is None and panel.code() == "" and panel.figure() is None
    assert panel.judge.disabled and not panel.go.disabled


def test_a_folder_becomes_points_with_its_classes(panel, folder):
    embed_folder(panel, folder)
    assert len(panel.scatter) == 24 and panel.scatter._points["names"] == ["<b>red", "blue"]
    assert "24 photos" in panel.about.value and "variance" in panel.map_note.value
    assert not panel.judge.disabled and not panel.go.disabled
    assert panel.stop.disabled and panel.progress.value == ""


def test_the_gallery_has_points_without_classes(panel):
    panel.data.value = GALLERY
    press(panel, panel.go)
    assert panel.scatter._points["labels"] == [title for title, _ in panel.session.gallery]
    assert panel.scatter._points["names"] == []
    assert panel.judge.disabled and "no labels" in panel.judged.value


def test_a_click_shows_the_nearest_photos_and_marks_them(panel, folder):
    embed_folder(panel, folder)
    panel.scatter._receive(panel.scatter, {"kind": "pick", "index": 3, "generation": 1}, [])
    assert panel.wait(30)
    found = panel.shown.photos.nearest(3, 8)
    assert panel.scatter.selected == 3 and panel.scatter.marked == [one.index for one in found]
    assert [caption.title for caption in panel.near.strip.captions[1:]] == [one.name for one in found]
    assert panel.near.strip.captions[1].text == f"{found[0].label} {found[0].distance:.3f}"


def test_the_chosen_photo_opens_in_the_dashboard(panel, folder):
    embed_folder(panel, folder)
    panel.near.choose(20)
    assert panel.wait(30)
    panel.near.open.click()
    panel.session.wait()
    name = panel.shown.photos.features.names[20].rpartition("/")[2]
    assert panel.session.image_name == name
    assert panel.session.image_source == folder / panel.shown.photos.features.names[20]


def test_a_picture_travels_when_a_point_is_looked_at(panel, folder, sent):
    embed_folder(panel, folder)
    sent.clear()
    panel.scatter._receive(panel.scatter, {"kind": "hover", "index": 5, "generation": 1}, [])
    assert panel.near.painting.wait(30)
    (_, data, buffers), = [message for message in sent
                           if message[1].get("content", {}).get("kind") == "picture"]
    assert data["content"]["index"] == 5 and bytes(buffers[0])[:2] == b"\xff\xd8"


def test_another_map_is_drawn_from_the_same_vectors(panel, folder):
    embed_folder(panel, folder)
    panel.near.choose(2)
    assert panel.wait(30)
    panel.method.value = "tsne"
    assert panel.wait(60)
    assert panel.map.method == "tsne" and panel.scatter.title == "t-SNE of 24 photos"
    assert panel.scatter.selected == 2  # the choice outlives the map


def test_the_probe_shows_both_measures_and_the_curve(panel, folder):
    embed_folder(panel, folder)
    press(panel, panel.judge)
    features = panel.shown.photos.features
    wanted = explorer.linear_probe(features, labels_per_class=possible_budgets(features))
    assert panel.probe.accuracy == wanted.accuracy and wanted.sentence in panel.judged.value
    assert explorer.knn_accuracy(features).sentence in panel.judged.value
    points = sum(len(point.accuracies) + 1 for point in wanted.budget) + 1  # draws, their means, all labels
    assert panel.curve.layout.display == "" and len(panel.curve) == points
    judged = parse(panel.judged.value)
    assert judged.says("<b>red") and not judged.find_all("b")


def test_the_stages_of_two_models_become_a_table(panel, folder):
    panel.data.value = FOLDER
    panel.folder.value = str(folder)
    panel.other.value = "tf_efficientnet_lite0"
    press(panel, panel.match)
    assert panel.message.value == ""
    assert panel.alike.name_b == "tf_efficientnet_lite0.in1k" and panel.alike.photos == 24
    assert panel.matrix.value == panel.alike._repr_html_()


@pytest.mark.parametrize(("folder_text", "other", "words"), [
    ("", "", "Type the path of a folder"),
    ("/nowhere/at/all", "", "There is no folder"),
    ("", "resnet5O", "Type the path"),
])
def test_what_cant_be_embedded_is_a_sentence(panel, folder_text, other, words):
    panel.data.value = FOLDER
    panel.folder.value = folder_text
    press(panel, panel.go)
    assert words in panel.message.value and "Traceback" not in panel.message.value and not panel.go.disabled


def test_an_unknown_model_to_compare_with_is_a_sentence(panel):
    panel.data.value = GALLERY
    panel.other.value = "resnet5O"
    press(panel, panel.match)
    assert "resnet5" in panel.message.value and "Did you mean" in panel.message.value


def test_stop_keeps_what_is_done(panel, folder, monkeypatch):
    real = Filling.run

    def run(filling, _size, on_progress, should_stop):
        panel.stop.click()
        return real(filling, 4, on_progress, should_stop)

    monkeypatch.setattr(Filling, "run", run)
    embed_folder(panel, folder)
    assert len(panel.scatter) == 4 and "stopped before the end" in panel.about.value


def test_a_model_of_the_same_name_is_another_model(panel, folder):
    embed_folder(panel, folder)
    panel.session.open_model(tiny())
    panel.session.wait()
    assert "those of the model before" in panel.stale.value


def test_another_model_on_the_screen_is_said_beside_the_old_points(panel, folder):
    embed_folder(panel, folder)
    panel.session.open_model("tf_efficientnet_lite0", pretrained=False)
    panel.session.wait()
    assert "Press Embed for those of tf_efficientnet_lite0" in panel.stale.value
    assert panel.code().startswith("#")  # the model of these points has no name
    press(panel, panel.go)
    assert panel.stale.value == ""


def test_the_lines_give_the_same_numbers(panel, folder):
    embed_folder(panel, folder)
    press(panel, panel.judge)
    panel.near.choose(7)
    panel.other.value = "tf_efficientnet_lite0"
    press(panel, panel.match)
    code = panel.code()
    space = {"dash": type("Dash", (), {"session": panel.session})}
    results = []
    for step in ast.parse(code).body:  # the value of every expression
        if isinstance(step, ast.Expr):
            results.append(eval(ast.unparse(step), space))
        else:
            exec(ast.unparse(step), space)
    points, near, probe, knn, alike = results
    np.testing.assert_allclose(points.points, panel.map.points, rtol=1e-4, atol=1e-5)
    assert list(near) == list(panel.shown.photos.nearest(7, 8))
    assert probe.accuracy == panel.probe.accuracy and probe.budget == panel.probe.budget
    assert knn.accuracy == panel.knn.accuracy
    np.testing.assert_allclose(alike.matrix, panel.alike.matrix, rtol=1e-5)


def test_the_figure_and_its_caption_say_what_is_on_the_screen(panel, folder):
    embed_folder(panel, folder)
    press(panel, panel.judge)
    figure = panel.figure()
    assert len(figure.axes) == 2 and "PCA" in figure.axes[0].get_title()
    assert "24" in panel.caption() and panel.probe.sentence in panel.caption()
    assert panel.exported("svg").startswith(b"<?xml")


def test_many_photos_are_thinned_for_the_map_alone(panel, folder, monkeypatch):
    monkeypatch.setattr(embeddings, "MOST_MAPPED", 8)
    embed_folder(panel, folder)
    assert len(panel.scatter) == 8 and panel.near.rows == spread(24, 8) == [0, 3, 6, 9, 12, 15, 18, 21]
    assert "8 of 24 photos" in panel.map_note.value
    panel.scatter._receive(panel.scatter, {"kind": "pick", "index": 2, "generation": 1}, [])
    assert panel.wait(30)
    assert panel.near.strip.captions[0].title == panel.shown.photos.features.names[6]


def test_budgets_are_those_that_every_class_can_give():
    features = features_of(np.zeros((40, 2)), [0] * 30 + [1] * 10, "ab")
    assert possible_budgets(features) == [1, 2, 5]  # 8 of 10 are learnt from
    features.held_out = torch.zeros(40, dtype=torch.bool)
    assert possible_budgets(features) == [1, 2, 5]  # all 10, and 10 is the whole


def test_closing_while_it_works_ends_it(sent, folder):
    session = Session()
    session.open_model(tiny())
    session.wait()
    panel = EmbeddingsPanel(session)
    panel.build()
    panel.data.value = FOLDER
    panel.folder.value = str(folder)
    panel.go.click()
    panel.close()
    session.close()
    assert panel.shown is None and panel.wait(1)


def test_the_gallery_without_files_is_embedded_too(sent):
    session = Session()
    session.open_model(tiny())
    session.wait()
    random = np.random.default_rng(0)
    photos = [(f"p{i}", Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8)))
              for i in range(5)]
    session.gallery = Gallery(photos)
    panel = EmbeddingsPanel(session)
    panel.build()
    panel.data.value = GALLERY
    press(panel, panel.go)
    assert isinstance(panel.shown.source.photos, Collection) and len(panel.scatter) == 5
    assert "dash.session.gallery" in panel.code()
    panel.close()
    session.close()
