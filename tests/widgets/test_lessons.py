"""The lessons of a dashboard: what each shows, what they take and refuse, and what closing one leaves."""

from __future__ import annotations

import copy

import pytest
from ipywidgets.widgets import widget as registry

import explorer
from explorer.widgets.lessons import LESSONS
from tests.html import parse

PHOTOS = explorer.sample_photos()


def small(*labels: str):
    """A model with random weights that knows its classes' names."""
    model = explorer.create_model("resnet10t", num_classes=3)
    model.config = model.config.with_(labels=labels or ("cat", "dog", "hen"), input_size=(3, 64, 64))
    return model.eval()


@pytest.fixture(scope="module")
def dash():
    dash = explorer.Dashboard()
    yield dash
    dash.close()


@pytest.fixture
def opened():
    """A function that opens a dashboard of its own, with small models."""
    made = []

    def open_one(*given, **options):
        made.append(explorer.Dashboard(*given, **options))
        made[-1].wait()
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def ready(dash):
    dash.wait()
    assert dash.tabs.children[dash.tabs.selected_index].wait()
    return dash


def choose(dash, name):
    """As a reader does in the menu."""
    dash.note.menu.value = name
    return ready(dash)


def state(dash):
    """What a lesson sets, and what came of it."""
    explain, session = dash.explain, dash.session
    found = {"lesson": dash.lesson, "menu": dash.note.menu.value, "model": session.model_name,
             "photo": session.image_name, "class": session.asked_class, "tab": dash.tabs.selected_index,
             "shown": explain.switch.value, "second": dash.second and dash.second.session.model_name,
             "says": dash.note.html()}
    if explain.what_if.built:
        fgsm, mask = explain.what_if.fgsm, explain.what_if.mask
        found |= {"epsilon": fgsm.epsilon.value, "fgsm": fgsm.says.value, "aim": fgsm.aim.value,
                  "box": mask.view.box, "fill": mask.how.value, "mask": mask.says.value,
                  "order": [[one.box for one in explain.what_if.blocks].index(box)
                            for box in explain.what_if.body.children]}
    if explain.heat_map.built:
        heat = explain.heat_map
        found |= {"method": heat.method.value, "beside": heat.beside.value, "asked": heat.target.value}
    return found


def answers(session):
    return [one.label for one in session.look.predictions]


def says(dash, *words):
    return all(parse(dash.note.text.value).says(one) for one in words)


# --- what each shows ---


def test_a_crop_changes_the_answer_of_one_network(dash):
    choose(dash, "why crops matter")
    first, second = dash.session, dash.second.session
    assert (answers(first)[0], answers(second)[0]) == ("academic gown", "military uniform")
    assert second.look.seen.getpixel((2, 112)) != first.look.seen.getpixel((2, 112))
    assert second.model.config.crop_mode == "border" and "whole photo" in dash.second.line.description
    assert first.asked_class == second.asked_class == "military uniform" and says(dash, "academic gown")


def test_one_step_of_255_fools_the_network(dash):
    choose(dash, "fool it")
    fgsm = dash.explain.what_if.fgsm
    assert dash.second is None and dash.explain.what_if.body.children[0] is fgsm.box
    before, now = fgsm.shown.answers
    assert (255 * fgsm.shown.epsilon, before.label, now.label) == (1, "tripod", "harmonica")
    assert before.probability > 0.9 and now.probability > 0.5


def test_a_shuttle_that_is_hidden_is_still_the_answer(dash):
    choose(dash, "spot the shortcut")
    mask = dash.explain.what_if.mask
    assert dash.explain.what_if.body.children[0] is mask.box and mask.found.fill == "grey"
    assert [one.label for one in mask.found.answers] == ["space shuttle"] * 2
    assert mask.found.answers[1].probability > 0.6
    assert mask.view.box == mask.found.box


def test_the_light_moves_with_the_class(dash):
    choose(dash, "where it looks")
    heat = dash.explain.heat_map
    assert answers(dash.session)[0] == "banana" and heat.shown.label == "pomegranate"

    def on_the_fruit():
        found = heat.shown.heatmap  # [H, W]
        height, width = found.shape
        fruit = found[int(0.48 * height):int(0.85 * height), int(0.3 * width):int(0.7 * width)]
        return float(fruit.sum() / found.sum())

    red = on_the_fruit()
    dash.session.asked_class = "banana"
    assert heat.wait() and heat.shown.label == "banana"
    assert red > 0.45 > 0.35 > on_the_fruit()


def test_two_networks_give_a_flower_two_wrong_names(dash):
    choose(dash, "two that disagree")
    assert [answers(one.session)[0] for one in (dash, dash.second)] == ["daisy", "honeycomb"]
    assert says(dash, "Daisy", "honeycomb")


# --- how they are chosen ---


@pytest.mark.parametrize("name", ["why crops matter", "fool it"])
def test_the_menu_and_the_argument_give_the_same_state(opened, name):
    by_argument = ready(opened(lesson=name.title()))
    by_menu = opened()
    assert state(choose(by_menu, name)) == state(by_argument)
    assert by_argument.lesson == name


def test_an_unknown_lesson_is_refused_with_the_nearest_name(opened):
    before = len(registry._instances)
    with pytest.raises(ValueError, match=r"Unknown lesson 'fol it'\. Did you mean 'fool it'\?"):
        explorer.Dashboard(lesson="fol it")
    with pytest.raises(ValueError, match="There are: why crops matter, fool it"):
        explorer.Dashboard(lesson=7)
    assert len(registry._instances) == before


@pytest.mark.parametrize("given, words", [
    ({"lesson": "fool it", "models": ["resnet18", "resnet34"]}, "is about one model: give model="),
    ({"lesson": "two that disagree", "model": "resnet18"}, r"is about two models: give models="),
    ({"lesson": "two that disagree", "models": ["resnet18"]}, r"is about two models: give models="),
    ({"lesson": "two that disagree", "models": 5}, r"is about two models: give models="),
])
def test_another_number_of_models_is_refused_in_words(given, words):
    before = len(registry._instances)
    with pytest.raises(ValueError, match=words):
        explorer.Dashboard(**given)
    assert len(registry._instances) == before


def test_nothing_of_a_lesson_is_made_until_one_is_chosen(opened):
    dash = opened(small(), images=[PHOTOS[0]])
    assert dash.lesson is None and dash.note.children == () and dash.note.text is None
    assert [label for label, _ in dash.note.menu.options] == ["none", *LESSONS]


# --- with what the reader brings ---


@pytest.mark.parametrize("name", [name for name, one in LESSONS.items() if len(one.models) == 1])
def test_photos_and_a_model_of_ones_own_take_the_place_of_the_lessons(opened, name):
    model = small()
    dash = ready(opened(model, images=[PHOTOS[5], PHOTOS[0]], lesson=name))
    assert dash.session.model is model and dash.session.image_name == PHOTOS[5].title
    assert dash.session.asked_class == "" and not dash.session.error
    assert dash.lesson == name and says(dash, LESSONS[name].do, LESSONS[name].elsewhere)
    assert dash.tabs.titles[dash.tabs.selected_index] == "Explain"
    if name == "spot the shortcut":
        assert dash.explain.what_if.mask.view.box == ()  # it would be a box of the shuttle


def test_a_model_that_reads_no_single_crop_is_not_put_there_twice(opened):
    dash = ready(opened(explorer.Ensemble([small(), small()]), images=[PHOTOS[0]], lesson="why crops matter"))
    assert dash.second is None and says(dash, "does not read one crop", "single network for classes")


def test_two_models_of_ones_own_take_the_place_of_the_two(opened):
    dash = ready(opened(models=[small(), small()], lesson="two that disagree"))
    assert [one.model_name for one in dash._sessions()] == ["resnet10t"] * 2
    assert dash.session.image_name == "Dahlia" and says(dash, LESSONS["two that disagree"].elsewhere)


def test_a_photo_that_is_on_the_screen_stays_where_the_lessons_own_is_not_at_hand(opened):
    dash = opened(small(), images=PHOTOS[:2])
    dash.session.open_image(PHOTOS[1].path, PHOTOS[1].title)
    choose(dash, "where it looks")
    assert dash.session.image_name == PHOTOS[1].title and dash.session.model_name.startswith("tf_eff")


# --- and afterwards ---


def test_everything_can_be_changed_afterwards_and_is_not_set_again(opened):
    dash = ready(opened(small(), lesson="fool it"))
    fgsm = dash.explain.what_if.fgsm
    fgsm.epsilon.index = 5
    dash.session.open_image(PHOTOS[0].path, PHOTOS[0].title)
    ready(dash)
    assert fgsm.epsilon.index == 0 and dash.lesson == "fool it"
    dash.explain.switch.value = "Heat map"
    dash.session.open_image(PHOTOS[12].path, PHOTOS[12].title)  # the lesson's photo
    ready(dash)
    assert dash.explain.switch.value == "Heat map" and fgsm.epsilon.index == 0


def test_the_sentence_on_what_to_see_is_about_the_photo_on_the_screen(dash):
    choose(dash, "two that disagree")
    assert says(dash, "honeycomb")
    dash.session.open_image(PHOTOS[0].path, PHOTOS[0].title)
    dash.wait()
    assert says(dash, LESSONS["two that disagree"].elsewhere) and not says(dash, "honeycomb")


def test_who_chooses_another_photo_before_the_lesson_is_there_is_left_alone(opened):
    dash = opened(small())
    with dash.session.lock:
        dash.lesson = "spot the shortcut"
        dash.session.open_model(small())
        dash.session.open_image(PHOTOS[0].path, PHOTOS[0].title)
    dash.wait()
    assert dash.session.image_name == PHOTOS[0].title
    assert dash.tabs.selected_index == 0 and not dash.explain.what_if.built
    assert says(dash, LESSONS["spot the shortcut"].elsewhere)
    dash.session.open_model("tf_efficientnet_lite0")
    dash.session.open_image(PHOTOS[20].path, PHOTOS[20].title)
    dash.wait()
    assert dash.session.image_name == "Space shuttle" and not dash.explain.what_if.built


def test_a_look_that_was_under_way_is_not_taken_for_the_lessons(opened):
    dash = opened(images=[PHOTOS[0]])
    with dash.session.lock:  # the lesson's own look can't come in between
        dash.lesson = "fool it"
        dash.session._publish(look=copy.copy(dash.session.look))
        assert not dash.explain.what_if.built
    assert ready(dash).explain.what_if.fgsm.epsilon.value == 1 / 255


def test_closing_a_lesson_takes_its_sentences_away_and_nothing_else(opened, monkeypatch):
    dash, renewed = ready(opened(small(), images=PHOTOS, lesson="fool it")), []
    monkeypatch.setattr(dash.saved, "later", lambda *_: renewed.append("the saved picture"))
    before = state(dash)
    assert "stays as it is" in dash.note.shut.description
    dash.note.shut.click()
    after = state(dash)
    assert (dash.lesson, dash.note.menu.value, dash.note.children, dash.note.html()) == (None, "", (), "")
    assert renewed == ["the saved picture"]
    gone = ("lesson", "menu", "says")
    assert {key: after[key] for key in after if key not in gone} == \
        {key: before[key] for key in before if key not in gone}


def test_a_snapshot_and_the_saved_picture_say_what_the_lesson_is_about(opened):
    dash = opened(small(), images=PHOTOS, lesson="fool it")
    for html in (dash.snapshot().data, dash.saved._picture()):
        assert parse(html).says("Move epsilon up and down")


def test_close_leaves_no_widget_of_a_lesson():
    before = set(registry._instances)
    dash = ready(explorer.Dashboard(small(), lesson="why crops matter"))
    dash.close()
    assert set(registry._instances) == before
    with pytest.raises(RuntimeError, match="closed"):
        dash.lesson = "fool it"
    assert set(registry._instances) == before
