"""The panel "Inside the model": what each view shows,
what it costs, what it says, and what its lines give.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.attribution import rollout
from explorer.inspection.inside import channel_photos, components, filters, flow, statistics
from explorer.widgets.gallery import Gallery
from explorer.widgets.panels.inside.activations import activations_html
from explorer.widgets.panels.inside.attention import place_of
from explorer.widgets.panels.inside.channel import FOLDER, strongest_channel
from explorer.widgets.panels.inside.gradients import curves_of, group_of, ratio_text
from explorer.widgets.panels.inside.panel import BLOCKS, InsidePanel
from explorer.widgets.parts.photo_overlay import PhotoOverlay, checked_place
from explorer.widgets.session import Session
from tests.html import parse
from tests.inspection.small_models import RedNet, noise_photo, tiny
from tests.widgets.test_parts_base import from_browser
from tests.widgets.test_snippets import run

looking = importlib.import_module("explorer.inspection.look.looking")  # its function has the module's name
LABELS = ("tabby", "<b>dog</b>", "bus", "tulip", "cup")


def named(model):
    model.config = model.config.with_(labels=LABELS[:model.num_classes])
    return model


@pytest.fixture(scope="module")
def vit():
    return named(tiny("vit"))


@pytest.fixture(scope="module")
def convnet():
    return named(tiny("resnet"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four photos; the second of them is red in one place, and nothing else is."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        photo = Image.new("RGB", (64, 64), "grey") if number < 3 else noise_photo(64, 64)
        if number == 1:
            photo.paste("red", (40, 16, 48, 24))
        photo.save(folder / f"<i>{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def opened(sent, files):
    """A function that gives a panel with a model and the last of the photos."""
    made = []

    def open_panel(model, view="colours", *, front=True):
        session, photos = Session(), [(f"<i>{file.stem}", file) for file in files]
        session.open_model(model)
        session.open_image(*photos[3][::-1])
        session.wait()
        session.gallery = Gallery(photos)
        panel = InsidePanel(session)
        if front:
            panel.build()
            show(panel, view)
        made.append(panel)
        return panel

    yield open_panel
    for panel in made:
        panel.close()
        panel.session.close()


def show(panel, view):
    panel.view.value = view
    assert panel.wait()
    return panel.block


def press(panel, button):
    button.click()
    assert panel.wait()
    return panel.block


def next_photo(panel, number=0):
    title, source = panel.session.gallery[number]
    panel.session.open_image(source, title)
    panel.session.wait()
    assert panel.wait()


def ran(panel):
    """What the panel's lines give, and the names that they define."""
    return run(panel.code(), SimpleNamespace(session=panel.session))


def count_looks(monkeypatch):
    calls = []
    original = looking.look
    def counted(*args, **options):
        calls.append(args)
        return original(*args, **options)

    monkeypatch.setattr(looking, "look", counted)
    return calls


# --- the panel ------------------------------------------------------------------------------------------


def test_nothing_is_built_or_worked_out_before_it_is_looked_at(opened, convnet):
    panel = opened(convnet, front=False)
    assert panel.view is None and panel.code() == "" and panel.figure() is None
    panel.seen(False)
    panel.build()
    assert panel.wait() and panel.block.shown is None
    panel.seen(True)
    assert panel.wait() and panel.block.shown is not None


def test_only_the_chosen_view_is_made_and_follows_the_photo(opened, convnet):
    panel = opened(convnet)
    before = panel.block.shown
    assert list(panel.blocks) == ["colours"]
    next_photo(panel)
    assert panel.block.shown is not before
    show(panel, "activations")
    kept = panel.blocks["colours"].shown
    next_photo(panel, 1)
    assert panel.blocks["colours"].shown is kept and panel.blocks["activations"].shown is not None


def test_while_something_else_is_in_front_nothing_is_drawn(opened, convnet):
    panel = opened(convnet)
    before = panel.block.shown
    panel.seen(False)
    next_photo(panel)
    assert panel.block.shown is before
    panel.seen(True)
    assert panel.wait() and panel.block.shown is not before


def test_what_the_look_holds_costs_no_pass(opened, convnet):
    passes = []
    first = next(m for m in convnet.modules() if isinstance(m, nn.Conv2d))
    hook = first.register_forward_pre_hook(lambda *_: passes.append(1))
    panel = opened(convnet)
    assert passes  # the look's own
    passes.clear()
    for view in ("filters", "activations", "colours"):
        assert show(panel, view).shown is not None
    hook.remove()
    assert passes == []


def test_without_a_photo_every_view_says_what_to_do(sent, convnet):
    session = Session()
    session.open_model(convnet)
    session.wait()
    panel = InsidePanel(session)
    panel.build()
    for block in BLOCKS:
        assert "Choose a photo" in show(panel, block.name).problem.value and panel.code() == ""
    panel.close()
    session.close()


@pytest.mark.parametrize("view", [block.name for block in BLOCKS])
def test_what_goes_wrong_is_a_sentence(opened, vit, monkeypatch, view):
    def broken(*args, **options):
        raise RuntimeError("<b>bad</b>")

    for owner, name in ((components, "pca_rgb_many"), (statistics, "activations"), (flow, "gradient_flow"),
                        (channel_photos, "top_photos"), (rollout, "read_attention"),
                        (filters, "first_filters")):
        monkeypatch.setattr(owner, name, broken)
    panel = opened(vit, view)
    if hasattr(panel.block, "go"):
        press(panel, panel.block.go)
    said = parse(panel.block.problem.value)
    assert said.says("RuntimeError") and said.says("<b>bad") and not said.says("Traceback")
    assert panel.code() == "" and panel.figure() is None and not panel.block.running


def test_every_view_has_a_figure_and_a_caption(opened, vit):
    panel = opened(vit)
    for block in BLOCKS:
        shown = show(panel, block.name)
        if hasattr(shown, "go"):
            press(panel, shown.go)
        assert len(panel.exported("png")) > 1000 and panel.caption().endswith("."), block.name


def test_closing_ends_the_thread_and_lets_go_of_the_maps(opened, vit):
    panel = opened(vit, "attention")
    block = panel.block
    panel.close()
    assert block.maps == {} and panel._look is None
    assert panel.work.start(lambda job: pytest.fail("it runs")).stale and panel.wait(5)


# --- colours of a stage ---------------------------------------------------------------------------------


def test_the_colours_are_those_of_the_chosen_stage_and_the_lines_give_them(opened, convnet):
    panel = opened(convnet)
    panel.block.stage.value = panel.block.stage.options[1]
    assert panel.wait()
    found = panel.block.shown.pictures[0]
    assert found.stage == panel.block.stage.options[1]
    assert parse(panel.block.facts.value).says(f"{100 * found.explained[0]:.1f} %")
    again, _ = ran(panel)
    assert np.array_equal(again.scores, found.scores) and again.explained == found.explained


def test_photos_of_the_gallery_share_colours_and_each_is_looked_at_once(opened, convnet, monkeypatch):
    panel = opened(convnet)
    looks = count_looks(monkeypatch)
    shown = press(panel, panel.block.more).shown
    assert len(shown.pictures) == 4 and len(looks) == 3
    assert parse(panel.block.facts.value).says("over 4 photos together")
    assert not parse(panel.block.view.value).find_all("i")  # a file's name
    panel.block.stage.value = panel.block.stage.options[0]
    assert panel.wait() and len(looks) == 3 and len(panel.block.shown.pictures) == 4
    show(panel, "activations")
    press(panel, panel.block.more)
    assert len(looks) == 3 and panel.block.shown.activations.photos == 4
    show(panel, "colours")
    again, _ = ran(panel)
    for one, other in zip(again, panel.block.shown.pictures, strict=True):
        assert np.array_equal(one.scores, other.scores)


def test_another_photo_is_shown_alone_again(opened, convnet):
    panel = opened(convnet)
    press(panel, panel.block.more)
    next_photo(panel)
    assert len(panel.block.shown.pictures) == 1 and panel.block.alone.layout.display == "none"


def test_stop_keeps_the_photos_that_were_looked_at(opened, convnet, monkeypatch):
    panel = opened(convnet)
    original = looking.look

    def one_and_stop(*args, **options):
        panel.block.stop.click()
        return original(*args, **options)

    monkeypatch.setattr(looking, "look", one_and_stop)
    assert len(press(panel, panel.block.more).shown.pictures) == 2
    monkeypatch.setattr(looking, "look", original)
    assert len(ran(panel)[0]) == 2


def test_a_broken_photo_is_named_and_left_out(opened, convnet, tmp_path):
    panel = opened(convnet)
    broken = tmp_path / "<u>broken.png"
    broken.write_bytes(b"no picture")
    panel.session.gallery = Gallery([("<u>broken", broken), *panel.session.gallery])
    press(panel, panel.block.more)
    assert len(panel.block.shown.pictures) == 4 and parse(panel.block.facts.value).says("<u>broken")
    assert len(ran(panel)[0]) == 4


def test_maps_of_one_place_are_refused_with_a_sentence(opened):
    model = explorer.wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), input_size=(3, 8, 8))
    panel = opened(model)
    assert "nothing to compare" in panel.block.problem.value
    assert "no maps" in show(panel, "activations").problem.value
    assert "no convolution" in show(panel, "filters").problem.value


# --- filters, activations -------------------------------------------------------------------------------


def test_the_filters_are_the_first_layers_weights_and_the_lines_give_the_same_picture(opened, convnet):
    panel = opened(convnet, "filters")
    weights = next(m for m in convnet.modules() if isinstance(m, nn.Conv2d)).weight
    assert torch.equal(panel.block.shown.weights, weights)
    assert parse(panel.block.view.value).says(f"{len(weights)} filters")
    again, _ = ran(panel)
    assert again.picture.tobytes() == panel.block.shown.picture.tobytes()


def test_the_activations_are_the_looks_and_the_lines_give_them(opened, convnet):
    panel = opened(convnet, "activations")
    shown, look = panel.block.shown.activations, panel.session.look
    for name, maps in look.stages.items():
        assert shown[name].mean == pytest.approx(float(maps.mean()), rel=1e-4, abs=1e-6)
    again, _ = ran(panel)
    for name, one in shown.stages.items():
        assert np.array_equal(again[name].counts, one.counts) and again[name].dead == one.dead


def test_a_channel_that_only_another_photo_wakes_is_not_dead_over_the_gallery(opened):
    panel = opened(RedNet())
    next_photo(panel)  # grey: silent
    assert show(panel, "activations").shown.activations["colour"].dead == (0, 1)
    shown = press(panel, panel.block.more).shown.activations
    assert 0 not in shown["colour"].dead and shown.photos == 4
    again, _ = ran(panel)
    assert again["colour"].dead == shown["colour"].dead


def test_numbers_that_are_not_finite_are_flagged(opened, convnet):
    look = opened(convnet).session.look
    broken = {name: maps.clone() for name, maps in look.stages.items()}
    last = list(broken)[-1]
    broken[last][0, 0, 0] = torch.nan
    html = activations_html(statistics.activations(replace(look, stages=broken)))
    assert parse(html).says(f"1 numbers are NaN or infinite, first of all in {last}", role="alert")
    assert "alert" not in activations_html(statistics.activations(look))


# --- gradient flow --------------------------------------------------------------------------------------


def test_gradients_wait_for_a_click_and_the_lines_give_the_same(opened, convnet):
    panel = opened(convnet, "gradients")
    assert panel.block.shown is None and "as long as 3 passes" in panel.block.cost.value
    shown = press(panel, panel.block.go).shown.found
    assert ran(panel)[0].layers == shown.layers
    points = sum(len(points) for points in curves_of(shown).values())
    assert points == sum(layer.mean_abs > 0 for layer in shown.layers)
    assert set(curves_of(shown)) == {"weights", "normalisation"}


def test_the_gradients_class_is_found_by_a_part_of_its_name_and_escaped(opened, convnet):
    panel = opened(convnet, "gradients")
    panel.block.target.value = "dog"
    shown = press(panel, panel.block.go).shown.found
    said = parse(panel.block.facts.value)
    assert shown.target == 1 and said.says("<b>dog</b>")
    assert "dog" not in [one.text for one in said.find_all("b")]
    again, _ = ran(panel)
    assert again.layers == shown.layers and again.target == 1
    panel.block.target.value = "zebra"
    assert panel.wait() and "zebra" in panel.block.problem.value and panel.code() == ""


def test_a_kept_curve_stays_beside_the_next_models(opened, convnet, vit):
    panel = opened(convnet, "gradients")
    first = press(panel, panel.block.go).shown.found
    panel.block.keep.click()
    panel.session.open_model(vit)
    panel.session.wait()
    assert panel.wait()
    press(panel, panel.block.go)
    assert [one.found for one in panel.block.flows] == [first, panel.block.shown.found]
    assert len(panel.block.chart._curves) == len(curves_of(first)) + len(curves_of(panel.block.shown.found))
    again, _ = ran(panel)  # the first was built here: no line opens it again, and one says so
    assert [one.layers for one in again] == [panel.block.shown.found.layers] and "# not" in panel.code()
    panel.block.forget.click()
    assert len(panel.block.chart._curves) == len(curves_of(panel.block.shown.found))


def test_kinds_of_layers_are_told_apart_and_ratios_can_be_read():
    assert [group_of(kind) for kind in ("Conv2d", "BatchNorm2d", "LayerScale", "NormMlp")] == \
        ["weights", "normalisation", "other parameters", "normalisation"]
    assert ratio_text(250.4) == "250 times as much at the start as at the end"
    assert ratio_text(0.5) == "2.0 times as much at the end as at the start"


# --- attention ------------------------------------------------------------------------------------------


def test_every_head_of_the_block_is_drawn_from_one_pass(opened, vit, monkeypatch):
    passes = []
    original = rollout.read_attention
    monkeypatch.setattr(rollout, "read_attention", lambda *args: passes.append(1) or original(*args))
    panel = opened(vit, "attention")
    block = panel.block
    assert block.block.value == 2 and block.found.shape == (3, 4, 4)
    weights = [layer.weights[0] for layer in block.maps.values()]
    assert torch.equal(block.found.flatten(1), weights[2][:, 0, 1:])
    block.block.value = 0
    assert torch.equal(block.found.flatten(1), weights[0][:, 0, 1:]) and block.heads.value.count("<img") == 3
    assert block.head.label == "the mean of all heads"
    block.head.value = 1
    lowest, highest = block.grid._heat["low"], block.grid._heat["high"]
    assert (lowest, highest) == (float(block.found[1].min()), float(block.found[1].max()))
    show(panel, "filters")
    show(panel, "attention")
    assert passes == [1]
    next_photo(panel)
    assert passes == [1, 1]


def test_a_click_on_a_patch_asks_it_and_the_lines_give_the_same(opened, vit):
    panel = opened(vit, "attention")
    block = panel.block
    from_browser(block.grid, {"kind": "place", "place": [2, 3]})
    assert block.place.value == "2, 3" and block.query == (2, 3)
    assert torch.equal(block.found.flatten(1), list(block.maps.values())[2].weights[0, :, 1 + 2 * 4 + 3, 1:])
    again, names = ran(panel)
    assert torch.equal(torch.stack(again), block.found)
    assert torch.equal(names["positions"], block.position_similarity())
    block.token.click()
    assert block.query is None and block.grid.place == ()
    assert torch.equal(torch.stack(ran(panel)[0]), block.found)


def test_positions_are_compared_by_their_cosine(opened, vit):
    panel = opened(vit, "attention")
    panel.block.place.value = "1 2"
    places = vit.pos_embed.detach()[0, 1:].numpy()
    sizes = np.linalg.norm(places, axis=1)
    by_hand = places @ places[6] / (sizes * sizes[6])
    assert np.allclose(panel.block.position_similarity().numpy().ravel(), by_hand, atol=1e-5)


@pytest.mark.parametrize(("text", "words"), [
    ("9, 9", "4 rows and 4 columns; there is no place"), ("<b>", "expected a row and a column"),
    ("1", "such as 3, 5"),
])
def test_a_place_that_there_is_not_is_a_sentence(opened, vit, text, words):
    panel = opened(vit, "attention")
    panel.block.place.value = text
    said = parse(panel.block.problem.value)
    assert said.says(words) and not said.find_all("b") and panel.code() == ""
    panel.block.place.value = ""
    assert panel.block.problem.value == "" and panel.code()


def test_what_is_typed_as_a_place_is_read():
    assert place_of(" (3, 5) ") == (3, 5) and place_of("") is None
    with pytest.raises(ValueError, match="expected a row"):
        place_of("-1, 2")


def test_windows_are_put_together_and_no_place_can_be_asked(opened):
    panel = opened(tiny("swin"), "attention")
    block = panel.block
    block.block.value = 0
    assert block.found is not None and block.place.disabled and not block.grid.picks
    assert parse(block.facts.value).says("windows")
    assert torch.equal(torch.stack(ran(panel)[0]), block.found)


def test_a_network_without_attention_is_answered_with_a_sentence(opened, convnet):
    panel = opened(convnet, "attention")
    assert "no attention layers" in panel.block.problem.value and panel.code() == ""
    assert panel.block.pair.layout.display == "none"


@pytest.mark.parametrize("sent_place", [[4, 0], [0], [1.5, 2], [True, 1], ["1", 2], None, [float("nan"), 1],
                                        [-1, 0]])
def test_what_a_browser_sends_as_a_place_is_checked(sent, sent_place):
    assert checked_place(sent_place, (4, 4)) is None
    grid = PhotoOverlay()
    grid.show(Image.new("RGB", (8, 8)), grid=(4, 4))
    from_browser(grid, {"kind": "place", "place": sent_place})
    assert grid.place == ()


# --- photos of a channel --------------------------------------------------------------------------------


def test_the_strongest_channel_of_the_photo_is_offered(opened, convnet):
    panel = opened(convnet, "channel")
    block, look = panel.block, panel.session.look
    assert block.stage.value == list(look.stages)[-1] and block.shown is None
    assert look.stages[block.stage.value][block.channel.value].max() == look.stages[block.stage.value].max()
    assert strongest_channel(torch.tensor([[[1.0]], [[torch.nan]], [[3.0]], [[torch.inf]]])) == 2


def test_the_photo_that_a_channel_answers_to_comes_first_and_its_place_is_known(opened):
    panel = opened(RedNet(), "channel")
    block = panel.block
    block.stage.value, block.channel.value = "squares", 0
    top = press(panel, block.go).shown.top
    assert top[0].name == "<i>1.png" and top[0].box == (40, 16, 48, 24) and len(top) == 4
    titles = block.photos._items["titles"]
    assert titles[0].endswith("<i><i>1")  # the page sets it as text
    again, _ = ran(panel)
    same = [(one.name, one.value, one.box) for one in top]
    assert [(one.name, one.value, one.box) for one in again] == same
    assert not parse(block.facts.value).find_all("i")


def test_a_click_opens_a_photo_in_all_panels_and_the_answer_stays(opened):
    panel = opened(RedNet(), "channel")
    top = press(panel, panel.block.go).shown.top
    from_browser(panel.block.photos, {"kind": "pick", "index": 0})
    panel.session.wait()
    assert panel.session.image_name == f"<i>{top[0].file.stem}" and panel.wait()
    assert panel.block.shown.top is top


def test_a_folder_can_be_searched_and_stopped(opened, files, monkeypatch):
    panel = opened(RedNet(), "channel")
    block = panel.block
    block.source.value = FOLDER
    press(panel, block.go)
    assert "Type the path" in block.problem.value
    block.folder.value = "/there/is/none"
    press(panel, block.go)
    assert "no folder" in block.problem.value and block.shown is None and not block.go.disabled
    block.folder.value = str(files[0].parent)
    press(panel, block.go)
    assert block.problem.value == ""
    assert [one.value for one in ran(panel)[0]] == [one.value for one in block.shown.top]

    monkeypatch.setattr("explorer.widgets.panels.inside.channel.BATCH", 1)
    original = block.advance
    monkeypatch.setattr(block, "advance", lambda done, total: block.stop.click() or original(done, total))
    top = press(panel, block.go).shown.top
    assert top.stopped and top.seen == 1 and block.stop.disabled
    assert parse(block.facts.value).says("stopped before the last")


def test_another_view_ends_a_search_and_says_so(opened, vit, monkeypatch):
    panel = opened(vit, "channel")
    began, block = threading.Event(), panel.block

    def endless(*args, should_stop, **options):
        began.set()
        while not should_stop():
            threading.Event().wait(0.01)
        raise ValueError("never shown")

    monkeypatch.setattr(channel_photos, "top_photos", endless)
    block.go.click()
    assert began.wait(20)
    assert show(panel, "activations").shown is not None
    assert "stopped when another view was opened" in block.problem.value and not block.go.disabled


def test_another_model_clears_what_the_last_one_answered(opened, convnet):
    panel = opened(RedNet(), "channel")
    press(panel, panel.block.go)
    panel.session.open_model(convnet)
    panel.session.wait()
    assert panel.block.shown is None and panel.code() == ""
    assert panel.block.stage.value in panel.session.look.stages
