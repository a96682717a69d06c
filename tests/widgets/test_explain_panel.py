"""The heat map panel: what is drawn by itself,
what is asked for, and what is said where nothing can be drawn.
"""

from __future__ import annotations

import threading

import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.attribution import explaining as attribution
from explorer.inspection.look.passes import Passes
from explorer.widgets.panels.explain.panel import ExplainPanel
from explorer.widgets.session import Session
from tests.html import parse

LABELS = ("tabby, tabby cat", "<b>dog</b>", "tiger cat", "bus", "tulip")


def tiny(name="resnet10t", **options):
    torch.manual_seed(0)
    model = explorer.create_model(name, num_classes=5, **options).eval()
    return explorer.wrap(model, labels=LABELS, input_size=(3, 64, 64)) if not options else model


@pytest.fixture
def photo():
    return Image.effect_noise((96, 64), 80).convert("RGB")


@pytest.fixture
def panel(photo):
    session = Session(labels=LABELS, input_size=(3, 64, 64))
    session.open_model(tiny())
    session.open_image(photo, "noise.png")
    session.wait()
    panel = ExplainPanel(session)
    panel.build()
    assert panel.wait()
    yield panel
    panel.close()
    session.close()


def test_grad_cam_of_the_likeliest_class_is_there_at_once_and_costs_no_pass(panel):
    found, look = panel.shown, panel.session.look
    assert found.method == "gradcam" and found.passes == 0 and found.target == look.predictions[0].index
    assert panel.view._heat and "no further pass" in panel.facts.value
    assert panel.begin.layout.display == "none"


def test_a_part_of_a_name_chooses_the_class_and_names_are_escaped(panel):
    panel.target.value = "dog"
    assert panel.wait()
    assert panel.shown.target == 1
    facts = parse(panel.facts.value)
    assert facts.says("<b>dog</b>") and "dog" not in [one.text for one in facts.find_all("b")]


def test_a_class_that_there_is_not_is_a_sentence_and_the_old_map_goes(panel):
    panel.target.value = "zebra"
    assert panel.wait()
    assert "None of the 5 classes is called" in panel.problem.value
    assert panel.shown is None and not panel.view._heat and panel.code() == ""
    panel.target.value = ""
    assert panel.wait()
    assert panel.problem.value == "" and panel.shown is not None


def test_another_stage_is_drawn_from_that_stage(panel):
    panel.stage.value = "layer2"
    assert panel.wait()
    assert panel.shown.stage == "layer2" and panel.shown.raw.shape == (8, 8)


def test_a_method_with_many_passes_says_its_cost_and_waits_for_a_click(panel):
    panel.method.value = "occlusion"
    assert panel.wait()
    assert panel.shown is None and panel.begin.layout.display == "" and "passes" in panel.cost.value
    panel.own.fields["window"].value = "32"
    panel.go.click()
    assert panel.wait()
    assert panel.shown.method == "occlusion" and panel.shown.details["window"] == 32


def test_an_option_that_is_no_number_is_a_sentence(panel):
    panel.method.value = "occlusion"
    panel.own.fields["window"].value = "wide"
    assert panel.wait()
    assert "expected a whole number" in panel.problem.value


def test_stop_ends_a_long_method_with_what_is_done(panel, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    real = Passes.logits

    def slow(self, inputs):
        if self._done > 16:
            begun.set()
            go_on.wait(20)
        return real(self, inputs)

    monkeypatch.setattr(Passes, "logits", slow)
    panel.method.value = "occlusion"
    panel.own.fields["window"].value = "8"
    panel.go.click()
    assert begun.wait(20)
    assert panel.go.disabled and not panel.stop.disabled
    panel.stop.click()
    go_on.set()
    assert panel.wait()
    assert "Stopped early" in panel.facts.value and panel.stop.disabled and not panel.go.disabled


def test_nothing_is_computed_while_another_tab_is_in_front(panel, photo, monkeypatch):
    calls = []
    real = attribution.explain

    def counted(*args, **keys):
        calls.append(keys)
        return real(*args, **keys)

    monkeypatch.setattr(attribution, "explain", counted)
    panel.seen(False)
    panel.session.open_image(photo.rotate(90), "turned")
    panel.session.wait()
    assert panel.wait() and not calls
    panel.seen(True)
    assert panel.wait() and calls and panel.shown.image is panel.session.look.image


def test_the_likeliest_classes_stand_beside_each_other(panel):
    panel.beside.value = "classes"
    assert panel.wait()
    texts = [caption.text for caption in panel.strip.captions]
    assert len(texts) == 5 and texts[0].startswith(panel.session.look.predictions[0].label)


def test_the_quick_methods_stand_beside_each_other(panel):
    panel.beside.value = "methods"
    assert panel.wait()
    titles = {caption.text for caption in panel.strip.captions}
    assert {"Saliency", "Layer-CAM"} <= titles and "Grad-CAM" not in titles and "Occlusion" not in titles


def test_attention_of_a_network_without_any_is_a_sentence(panel):
    panel.method.value = "rollout"
    assert panel.wait()
    assert "has no attention layers" in panel.problem.value and panel.shown is None


@pytest.mark.parametrize("choose", [
    {}, {"target": "bus"}, {"method": "layercam", "stage": "layer2"}, {"method": "saliency"},
    {"method": "smoothgrad", "samples": "4"},
])
def test_show_code_gives_the_same_heat_map(panel, choose):
    for name, value in choose.items():
        control = getattr(panel, name, None) or panel.own.fields[name]
        control.value = value
    if panel.begin.layout.display != "none":
        panel.go.click()
    assert panel.wait()
    place = {"dash": type("Dash", (), {"session": panel.session})}
    exec(panel.code(), place)
    assert torch.equal(place["found"].heatmap, panel.shown.heatmap)
    width, height = panel.session.look.image.size  # a bar of the colours is below it
    assert panel.figure().width == width and panel.figure().height > height
    assert panel.shown.title in panel.caption() and "noise.png" in panel.caption()


def test_a_transformers_block_and_head_can_be_chosen(photo):
    session = Session()
    session.open_model(tiny("vit_tiny_patch16_224", img_size=64))
    session.open_image(photo)
    session.wait()
    panel = ExplainPanel(session)
    panel.build()
    try:
        panel.method.value = "attention"
        panel.own.fields["head"].value = "2"
        panel.own.fields["block"].value = "3"
        assert panel.wait()
        assert panel.shown is not None and panel.shown.raw.shape == (4, 4), panel.problem.value
        panel.own.fields["head"].value = "9"
        assert panel.wait()
        assert "has 3 heads" in panel.problem.value
    finally:
        panel.close()
        session.close()


def test_a_map_that_is_finished_too_late_does_not_come_back_over_the_sentence(panel, monkeypatch):
    drawn, go_on, explain = threading.Event(), threading.Event(), attribution.explain

    def late(*given, **options):
        found = explain(*given, **options)
        drawn.set()
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(attribution, "explain", late)
    panel.target.value = "bus"
    assert drawn.wait(10)
    panel.target.value = "zebra"
    go_on.set()
    assert panel.wait() and panel.shown is None and not panel.view._heat
    assert "zebra" in panel.problem.value


def test_a_method_that_the_model_does_not_take_names_those_that_it_does(photo):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 3))
    session = Session(input_size=(3, 8, 8))
    session.open_model(explorer.wrap(model, input_size=(3, 8, 8)))
    session.open_image(photo, "noise.png")
    session.wait()
    panel = ExplainPanel(session)
    panel.build()
    assert "no stages" in panel.problem.value and "Choose another method: Saliency" in panel.problem.value
    panel.close()
    session.close()


def test_a_method_without_class_or_stage_hides_those_fields_alone(panel):
    panel.method.value = "rollout"
    controls = (panel.method, panel.target, panel.stage, panel.stop)
    shown = [control.layout.display != "none" for control in controls]
    assert shown == [True, False, False, True]
    panel.method.value = "occlusion"
    shown = [control.layout.display != "none" for control in controls[:3]]
    assert shown == [True, True, False]


def test_what_a_slow_method_takes_is_not_judged_by_the_models_first_pass(panel):
    panel.session.look.timing["forward"] = 60.0  # a cold start
    panel.method.value = "occlusion"
    assert panel.wait() and "passes" in panel.cost.value
    assert "min" not in panel.cost.value and " h" not in panel.cost.value, panel.cost.value


def test_another_photo_while_a_slow_map_is_drawn_leaves_the_start_button_free(panel, photo, monkeypatch):
    begun, explain = threading.Event(), attribution.explain

    def slow(*given, should_stop, **options):
        begun.set()
        while not should_stop():
            pass
        return explain(*given, should_stop=should_stop, **options)

    monkeypatch.setattr(attribution, "explain", slow)
    panel.method.value = "occlusion"
    panel.go.click()
    assert begun.wait(10) and panel.go.disabled and not panel.stop.disabled
    panel.session.open_image(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored.png")
    panel.session.wait()
    assert panel.wait() and not panel.go.disabled and panel.stop.disabled
    assert panel.shown is None and panel.progress.value == ""


def test_what_the_look_has_to_note_stands_beside_the_map(panel):
    panel.session.open_model("resnet10t", pretrained=False)
    panel.session.wait()
    assert panel.wait() and panel.shown is not None
    assert panel.facts.value.count("No weights were loaded") == 1


def test_occlusion_shows_its_square_its_map_and_its_curve_while_it_goes_on(panel):
    panel.method.value = "occlusion"
    seen = []
    for trait in ("_sweep", "_heat"):
        panel.view.observe(lambda change: seen.append((change["name"], change["new"])), trait)
    panel.go.click()
    assert panel.wait()
    swept = [value["boxes"] for name, value in seen if name == "_sweep" and value.get("boxes")]
    squares = [box for boxes in swept for box in boxes]
    drawn = [value for name, value in seen if name == "_heat" and value]
    assert len(swept) > 1 and [value["ends"][1] for value in drawn[:-1]] == ["the most so far"] * len(swept)
    assert drawn[-1]["ends"] == ("no effect", "most")
    curve = panel.covering.chart.points("a square covered")
    assert [x for x, _ in curve] == [*range(1, len(squares) + 1)]
    assert panel.covering.chart.layout.display == "" and not panel.view._sweep["boxes"]  # it has arrived
    panel.method.value = "gradcam"
    assert panel.wait()
    assert panel.covering.chart.layout.display == "none" and not panel.covering.chart.names


def test_an_exported_heat_map_has_a_bar_and_the_frame_of_what_was_seen(panel):
    figure, found = panel.figure(), panel.shown
    assert figure.width == found.image.width and figure.height > found.image.height
    left = round(found.seen_box[0])
    assert left > 1 and figure.getpixel((left, found.image.height // 2)) == (255, 255, 255)
