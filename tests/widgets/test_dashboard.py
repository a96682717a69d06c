"""The dashboard without a browser: what it shows, what it says, what it leaves behind."""

from __future__ import annotations

import gc
import re
import threading
import weakref

import ipywidgets as W
import pytest
from ipywidgets.widgets import widget as registry
from traitlets import TraitError

import explorer
from explorer.widgets.gallery import gallery
from explorer.widgets.jobs import MOST
from explorer.widgets.panels import working
from explorer.widgets.session import ExplorerError
from tests.html import parse

PHOTOS = explorer.sample_photos()


@pytest.fixture
def dash():
    dash = explorer.Dashboard()
    dash.wait()
    yield dash
    dash.close()


def test_it_opens_with_trained_weights_and_a_photo_whose_heat_map_says_something(dash):
    assert repr(dash) == "Dashboard(tf_efficientnet_lite0.in1k, Beagle)"
    assert "weights from the package" in dash.status.value and "one pass" in dash.status.value
    assert len(dash.predictions.answers.rows) == 5
    assert dash.images.gallery.selected == 2
    assert dash.picker.models.value == "tf_efficientnet_lite0"
    assert dash.modules.tree.selected is None and "modules" in repr(dash.modules.tree)


def test_the_page_hears_what_is_being_done_only_where_it_takes_a_while(dash, monkeypatch):
    said, spoken = [], threading.Event()
    dash.working.observe(lambda change: (said.append(change["new"]), spoken.set()), "value")
    monkeypatch.setattr(working, "PATIENCE", 60)
    dash.session.image = PHOTOS[1]
    dash.wait()
    assert said == [] and dash.session.image_name == PHOTOS[1].title
    monkeypatch.setattr(working, "PATIENCE", 0)
    dash.session._publish(busy="opening a large model")
    assert spoken.wait(20)
    dash.session._publish(busy="looking with it")
    dash.session._publish(busy="")
    assert ["opening a large model" in said[0], "looking with it" in said[1], said[2:]] == [True, True, [""]]


def test_it_needs_few_widgets():
    before = len(registry._instances)
    dash = explorer.Dashboard()
    dash.wait()
    # Each costs a notebook about a millisecond and 4 kB.
    # Tabs that were not looked at yet are two: a box and its layout.
    assert len(registry._instances) - before < 170
    dash.close()


def test_close_leaves_no_widget_no_thread_and_no_model():
    before, threads = set(registry._instances), set(threading.enumerate())
    model = explorer.create_model("resnet10t", num_classes=3)
    dash = explorer.Dashboard(model, images=[PHOTOS[0]])
    dash.wait()
    session, alive = weakref.ref(dash.session), weakref.ref(model)
    working = [thread for thread in threading.enumerate() if thread not in threads]
    assert 0 < len(working) <= MOST
    dash.close()
    dash.close()
    assert set(registry._instances) == before
    for thread in working:
        thread.join(5)
        assert not thread.is_alive()
    del thread, working
    del model, dash
    gc.collect()
    assert alive() is None and session() is None


def test_more_predictions_and_logits_need_no_second_pass(dash):
    look = dash.session.look
    dash.predictions.topk.value = 10
    dash.predictions.logits.value = True
    assert len(dash.predictions.answers.rows) == 10
    assert all("logit" in answer.value for answer in dash.predictions.answers.rows)
    assert dash.session.look is look


def test_stage_buttons_follow_the_model_and_keep_the_depth(dash):
    dash.stages.stage.value = "blocks.6"
    dash.session.open_model("resnet10t", pretrained=False)
    dash.wait()
    assert tuple(dash.stages.stage.options) == ("stem", "layer1", "layer2", "layer3", "layer4")
    assert dash.stages.stage.value == "layer4"
    assert "layer4 of resnet10t" in repr(dash.stages.mosaic)


def test_a_model_opened_from_a_cell_is_selected_in_the_list(dash):
    dash.session.model = "tf_efficientnet_lite2"
    dash.wait()
    assert dash.picker.models.value == "tf_efficientnet_lite2"


def test_what_goes_wrong_is_a_sentence_above_and_wait_raises_it(dash):
    dash.images.input._on_message("image", {"name": "<i>x</i>.png"}, [b"nothing"])
    with pytest.raises(ExplorerError):
        dash.wait()
    message = parse(dash.message.value)
    assert message.find_all(role="alert") and not message.says("Traceback")
    assert len(dash.predictions.answers.rows) == 5


def test_a_wrong_name_is_refused_before_anything_is_built():
    before = len(registry._instances)
    with pytest.raises(ValueError, match="Did you mean"):
        explorer.Dashboard("efficentnet_b0")
    with pytest.raises(TypeError, match="name such as"):
        explorer.Dashboard(42)
    assert len(registry._instances) == before


@pytest.mark.parametrize("options, error, words", [
    ({"labels": ["cat", "dog"]}, ValueError, "names 2 classes, but this model has 3"),
    ({"labels": "cat"}, TypeError, "list of class names"),
    ({"input_size": 224}, ValueError, "such as .3, 224, 224."),
    ({"input_size": (224, 224)}, ValueError, "such as .3, 224, 224."),
    ({"input_size": (3, 0, 224)}, ValueError, "such as .3, 224, 224."),
    ({"input_size": (3, 22.4, 224)}, ValueError, "such as .3, 224, 224."),
])
def test_options_that_can_not_fit_are_refused_in_words(options, error, words):
    model = explorer.create_model("resnet10t", num_classes=3)
    before = len(registry._instances)
    with pytest.raises(error, match=words):
        explorer.Dashboard(model, **options)
    assert len(registry._instances) == before


def test_labels_may_be_numbers():
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), labels=range(7, 10))
    dash.wait()
    assert {p.label for p in dash.session.look.predictions} == {"7", "8", "9"}
    dash.close()


def test_the_gallery_takes_any_series_of_photos(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PHOTOS[0].path.read_bytes())
    (tmp_path / "a.jpeg").write_bytes(PHOTOS[8].path.read_bytes())
    assert [title for title, _ in gallery(p for p in PHOTOS[:2])] == [PHOTOS[0].title, PHOTOS[1].title]
    assert [title for title, _ in gallery(tmp_path)] == ["a (1)", "a (2)"]  # a name marks one photo
    with (tmp_path / "a.jpg").open("rb") as file:
        assert len(gallery(file)) == 1
    assert gallery([]) == ()


def test_the_gallery_reads_paths_as_everybody_does(tmp_path, monkeypatch):
    """case B4: "" showed the folder that one happens to be in, and ~ was a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.jpg").write_bytes(PHOTOS[0].path.read_bytes())
    assert [title for title, _ in gallery("~/mine")] == ["a"]
    with pytest.raises(ValueError, match="images is ''"):
        gallery("")


def test_a_pick_that_fails_is_taken_back(tmp_path):
    photos = [tmp_path / name for name in ("good.jpg", "gone.jpg")]
    for path in photos:
        path.write_bytes(PHOTOS[8].path.read_bytes())
    dash = explorer.Dashboard(images=photos)
    dash.wait()
    photos[1].unlink()
    dash.images.gallery._receive(None, {"kind": "pick", "index": 1}, [])
    with pytest.raises(ExplorerError, match="gone"):
        dash.wait()
    assert dash.images.gallery.selected == 0
    dash.close()


def test_a_click_where_the_views_did_not_load_says_what_to_install(dash):
    dash.picker.actions.open_trained.click()  # from Python: no browser is there
    dash.wait()
    assert dash.message.value == ""
    dash.picker.actions.open_trained._handle_custom_msg({"event": "click"}, [])
    dash.wait()
    assert "pip install anywidget" in dash.message.value
    dash.images.gallery._receive(None, {"kind": "ready"}, [])
    assert dash.message.value == ""


def test_the_gallery_takes_a_folder_and_names_what_is_broken(tmp_path):
    (tmp_path / "good.jpg").write_bytes(PHOTOS[8].path.read_bytes())
    (tmp_path / "bad <b>.jpg").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("no picture, and not shown")
    dash = explorer.Dashboard(images=tmp_path)
    dash.wait()
    assert [title for title, _ in dash.session.gallery] == ["good"]
    note = parse(dash.images.note.value)
    assert note.says("bad <b>.jpg") and not note.find_all("b")
    assert dash.session.look.predictions[0].index in PHOTOS[8].imagenet_indices
    dash.close()


def test_the_gallery_is_state_of_the_session_that_every_panel_follows(tmp_path):
    model = explorer.create_model("resnet10t", num_classes=3)
    dash = explorer.Dashboard(model, images=[PHOTOS[0], PHOTOS[8]])
    dash.wait()
    dash.compare.build(), dash.embeddings.build()
    (tmp_path / "mine").mkdir()
    for number in range(3):
        (tmp_path / "mine" / f"photo {number}.jpg").write_bytes(PHOTOS[number].path.read_bytes())
    dash.session.gallery = tmp_path / "mine"
    titles = [f"photo {number}" for number in range(3)]
    assert [title for title, _ in dash.session.gallery] == titles
    assert dash.images.gallery._items["titles"] == titles
    assert dash.compare.choice.several.titles == titles
    dash.images.gallery._receive(None, {"kind": "pick", "index": 2}, [])
    dash.wait()
    assert dash.session.image_name == "photo 2"
    before = dash.session.gallery
    (tmp_path / "none").mkdir()
    with pytest.raises(TraitError, match="holds no pictures"):
        dash.session.gallery = tmp_path / "none"
    assert dash.session.gallery is before
    dash.close()


def test_an_empty_folder_is_refused_with_a_sentence(tmp_path):
    before = len(registry._instances)
    with pytest.raises(ValueError, match="holds no pictures"):
        explorer.Dashboard(images=tmp_path)
    assert len(registry._instances) == before


def test_two_dashboards_do_not_meet():
    one, two = explorer.Dashboard(), explorer.Dashboard(images=[PHOTOS[8]])
    one.wait(), two.wait()
    assert one.session.look.predictions[0].label != two.session.look.predictions[0].label
    two.close()
    one.load(PHOTOS[21])
    one.wait()
    assert one.session.look.predictions[0].label == "pizza"
    one.close()


def test_snapshot_and_page_are_plain_and_escaped(tmp_path):
    model = explorer.create_model("resnet10t", num_classes=2)
    dash = explorer.Dashboard(model, images=[PHOTOS[0]], labels=["<script>alert(1)</script>", "dog"])
    dash.wait()
    page = dash.export_html(tmp_path / "page.html").read_text(encoding="utf-8")
    for html in (dash.snapshot().data, page):
        assert "<script" not in html and "&lt;script&gt;" in html
        assert "data:image/png;base64," in html
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)  # nothing to fetch
    dash.close()


def test_large_pictures_travel_as_binary_buffers(sent):
    dash = explorer.Dashboard()
    dash.wait()
    for kind, data, _buffers in sent:
        for value in data.get("state", {}).values():
            assert not isinstance(value, str) or len(value) < 60_000, kind
    assert any(len(memoryview(b)) > 20_000 for _, _, buffers in sent for b in buffers)
    dash.close()


def test_every_control_has_a_label(dash):
    def controls(box):
        for child in box.children:
            if isinstance(child, W.Box):
                yield from controls(child)
            elif isinstance(child, (W.Text, W.Dropdown, W.Checkbox, W.Button)):
                yield child

    assert all(control.description for control in controls(dash))
