"""The picker: filters, list, card and drawing, the models to compare."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import traitlets
from ipywidgets.widgets.widget import _instances

from explorer.display.words import natural_key
from explorer.models.card import StageRow, StageRun, TagRow, model_card
from explorer.models.catalog import FAMILIES, FAMILY_OF
from explorer.models.names import list_models
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.panels.picker import panel as picker_module
from explorer.widgets.panels.picker.finding import (
    LICENCES,
    SIZES,
    Filters,
    all_cards,
    find_cards,
    fits,
    fitting_tags,
    licence_group,
    meant_by,
    what_to_loosen,
)
from explorer.widgets.panels.picker.panel import PickerPanel
from explorer.widgets.panels.picker.published import drawn_text, points
from explorer.widgets.panels.picker.words import COMPARED, comparison_row, tag_label
from explorer.widgets.parts.card import card_html, stages_figure, stages_svg
from explorer.widgets.parts.comparison import Comparison, markdown
from explorer.widgets.parts.model_chart import ModelChart
from explorer.widgets.parts.model_list import ModelList
from explorer.widgets.parts.search_field import LONGEST, SearchField
from explorer.widgets.parts.timeline import FamilyTimeline
from explorer.widgets.session import ExplorerError
from tests.html import parse


def names(sort: str = "name", **asked) -> list[str]:
    return [card.name for card in find_cards(Filters(**asked), sort=sort)]


@pytest.fixture
def picker(session):
    picker = PickerPanel(session)
    yield picker
    picker.close()


def tag(name: str, licence: str = "mit", **facts) -> TagRow:
    """A set of weights with made-up facts, under a name whose file is not on this computer."""
    return TagRow(tag=name, name="resnet50.tv_in1k", license=licence,
                  **{"num_classes": 1000, "input_size": (3, 224, 224), "top1": None, "top5": None, **facts})


def made_up(**facts):
    return replace(model_card("resnet50"), **facts)


# --- filters ---------------------------------------------------------------------------------------------


def test_a_plain_word_is_found_anywhere_and_a_pattern_is_a_pattern():
    assert "tf_efficientnet_lite0" in names(search="lite") and "resnet50" not in names(search="lite")
    assert names(search="resnet5?") == ["resnet50"]
    assert names(search="RESNET50D*") == ["resnet50d"]
    assert names(search="no such model") == []


def test_the_list_holds_every_architecture_once():
    assert names() == list_models() == sorted(list_models(), key=natural_key)


def test_filters_combine():
    found = names(search="50", family="resnet_d")
    assert found and set(found) == {n for n in FAMILIES["resnet_d"].names if "50" in n}
    assert names(search="resnet50", size="under 5 M") == []


def test_only_models_whose_weights_are_on_this_computer():
    here = names(here=True)
    assert {"tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"} <= set(here)
    assert len(here) < len(FAMILY_OF)


def test_the_sizes_leave_no_model_out_and_hold_none_twice():
    counted = [card for card in all_cards().values() if card.parameters is not None]
    for card in counted:
        assert sum(fits(card, Filters(size=size)) for size in SIZES) == 1, card.name


@pytest.mark.parametrize(("parameters", "size"), [
    (4_999_999, "under 5 M"), (5_000_000, "5 to 25 M"), (25_000_000, "25 to 100 M"),
    (100_000_000, "100 M and more"),
    (None, None),
])
def test_a_size_begins_where_the_one_before_ends(parameters, size):
    card = made_up(parameters=parameters)
    assert [name for name in SIZES if fits(card, Filters(size=name))] == ([size] if size else [])


@pytest.mark.parametrize(("licence", "group"), [
    ("apache-2.0", "commercial"), ("mit", "commercial"), ("bsd-3-clause", "commercial"),
    ("Apache-2.0", "commercial"),
    ("cc-by-nc-4.0", "non-commercial"), ("fair-noncommercial-research-license", "non-commercial"),
    ("apple-amlr", "non-commercial"), ("dinov3-license", "own terms"),
    ("nvidia-open-model-license", "own terms"),
    ("unknown", "not stated"), ("", "not stated"), (None, "not stated"),
])
def test_licences_are_grouped_by_what_they_allow(licence, group):
    assert licence_group(licence) == group and group in LICENCES


def test_a_model_fits_if_any_of_its_weights_has_the_licence():
    card = made_up(tags=(tag("first", "cc-by-nc-4.0"), tag("second", "mit")))
    assert [t.tag for t in fitting_tags(card, Filters(licence="commercial"))] == ["second"]
    assert fits(card, Filters(licence="non-commercial")) and not fits(card, Filters(licence="own terms"))
    assert not fits(made_up(tags=()), Filters(licence="not stated"))  # nothing published: nothing to license


def test_the_licence_and_the_place_must_hold_for_the_same_weights():
    lite = all_cards()["tf_efficientnet_lite0"]
    both = replace(lite, tags=(replace(lite.tags[0], license="cc-by-nc-4.0"), tag("elsewhere", "mit")))
    assert fits(both, Filters(here=True)) and fits(both, Filters(licence="commercial"))
    assert not fits(both, Filters(here=True, licence="commercial"))


def test_an_old_name_stands_for_one_set_of_weights():
    card = model_card("adv_inception_v3")
    assert [t.name for t in fitting_tags(card, Filters())] == ["inception_v3.tf_adv_in1k"]
    assert names(search="adv_inception_v3") == ["inception_v3"]


def test_a_task_is_the_familys():
    found = {name for name, card in all_cards().items() if card.family.task == "classification"}
    assert found and set(names(task="classification")) == found
    assert names(task="no such task") == []


@pytest.mark.parametrize(("sort", "value", "rising"), [
    ("year", lambda c: c.family.year, False), ("parameters", lambda c: c.parameters, True),
    ("macs", lambda c: c.macs, True), ("top1", lambda c: c.config.top1, False),
])
def test_sorting_puts_what_has_no_number_last(sort, value, rising):
    values = [value(card) for card in find_cards(sort=sort)]
    known = [v for v in values if v is not None]
    assert known and known == sorted(known, reverse=not rising)
    assert all(v is None for v in values[len(known):]) and len(values) == len(all_cards())


def test_a_search_for_another_librarys_names_says_how_to_open_them():
    for search in ("timm/*", "torchvision/resnet18", "hf-hub:x"):
        assert names(search=search) == []
        assert f"dash.session.model = '{search}'" in what_to_loosen(Filters(search=search))


def test_what_stands_in_the_way_is_named_with_what_it_would_free():
    filters = Filters(search="vgg", family="vgg", size="under 5 M")
    count = len(names(search="vgg", family="vgg"))
    assert names(search="vgg", family="vgg", size="under 5 M") == []
    assert f"without the size {count} do" in what_to_loosen(filters)
    assert "family" not in what_to_loosen(filters)  # loosening it would not help


def test_where_no_single_filter_helps_the_sentence_says_so():
    assert "clear them all" in what_to_loosen(Filters(search="zzz", family="lenet", size="100 M and more"))


# --- the card and its drawing -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet50", "vit_small_patch14_dinov2", "resnet50s",
                                  "tf_efficientnet_lite0"])
def test_a_card_says_where_the_weights_are(name):
    html = card_html(model_card(name))
    assert name in html
    assert any(words in html for words in ("on this computer", "to be downloaded", "none published"))


def test_a_card_names_paper_idea_preprocessing_and_the_weights_it_shows():
    html = card_html(model_card("tf_efficientnet_lite0"))
    assert 'href="https://arxiv.org/abs/' in html and "Tan" in html
    assert "Resize the short side to 256 pixels, bicubic." in html and "Cut 224 x 224 pixels" in html
    assert "apache-2.0" in html and "tf_efficientnet_lite0.in1k" in html
    old = card_html(model_card("adv_inception_v3"))
    assert "adv_inception_v3" in old and "inception_v3.tf_adv_in1k" in old and "Szegedy" in old


def test_text_from_outside_stays_text():
    evil = '"><script>alert(1)</script>'
    family = FAMILIES["resnet"]._replace(title=evil, idea=evil, paper=evil, url=evil)
    config = replace(model_card("resnet50").config, license=evil, interpolation=evil)
    stages = (StageRow(evil, 8, 2), StageRow("b", 16, 4))
    card = made_up(name=evil, family=family, config=config, stages=stages)
    html = card_html(card)
    assert "<script" not in html and html.count("&lt;script&gt;") >= 8
    ElementTree.fromstring(html.replace("&nbsp;", " "))  # nothing breaks out of an attribute either


def rects(svg: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag == "rect"]


def test_the_drawing_shows_sides_in_proportion_and_channels_as_a_logarithm():
    runs = [StageRun("a", "a", 1, 16, 2), StageRun("b", "b", 1, 64, 4), StageRun("c", "c", 1, 256, 8)]
    svg = stages_svg(runs, (3, 224, 224))
    heights = [float(r.get("height")) for r in rects(svg)]
    widths = [float(r.get("width")) for r in rects(svg)]
    assert [round(heights[0] / h) for h in heights] == [1, 2, 4]
    assert widths[1] - widths[0] == pytest.approx(widths[2] - widths[1], abs=0.2) and widths[1] > widths[0]
    assert all(label in svg for label in ("16 ch", "/2", "64 ch", "/4", "256 ch", "/8"))
    assert "maps of 112 × 112" in svg and "maps of 28 × 28" in svg


def test_a_plain_transformer_is_one_column_of_equal_blocks():
    svg = stages_svg(model_card("vit_base_patch16_224").stage_runs)
    labels = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag == "text"]
    assert labels == ["12 × 768 ch", "/16"]
    sizes = {(r.get("height"), r.get("width"), r.get("y")) for r in rects(svg)}
    assert len(sizes) == 1 and len(rects(svg)) == 12


def test_the_drawing_takes_its_colours_from_the_page_and_can_be_read_aloud():
    svg = stages_svg(model_card("resnet50").stage_runs)
    assert not re.search(r"#[0-9a-f]{3}|rgb\(|black|white", svg) and "currentColor" in svg
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and "layer4 2048 ch, /32" in root.get("aria-label")


def test_every_model_with_known_stages_can_be_drawn_inside_its_frame():
    for card in all_cards().values():
        if not card.stages:
            continue
        svg = stages_svg(card.stage_runs, card.config.input_size)
        width = float(ElementTree.fromstring(svg).get("width"))
        for rect in rects(svg):
            right = float(rect.get("x")) + float(rect.get("width"))
            assert float(rect.get("x")) >= 0 and right <= width and math.isfinite(right), card.name


def test_stages_that_the_table_does_not_know_are_a_sentence():
    assert "not in the table" in stages_figure(made_up(stages=()))


# --- the models to compare --------------------------------------------------------------------------------


def test_a_row_holds_what_the_card_knows():
    row = dict(zip(COMPARED, comparison_row("tf_efficientnet_lite0"), strict=True))
    assert row["year"] == "2020" and row["parameters"] == "4.65 M" and row["photo"] == "224 × 224"
    assert row["licence"] == "apache-2.0" and row["weights"] == "here" and row["last stage"] == "320 ch, /32"


def test_multiply_adds_of_another_size_say_for_which_they_were_counted():
    card = model_card("resnet50")
    other = next(t for t in card.tags if t.input_size != card.tags[0].input_size)
    assert card.macs is not None
    row = dict(zip(COMPARED, comparison_row(other.name), strict=True))
    assert row["multiply-adds"].endswith(f"at {card.tags[0].input_size[-1]} px")
    assert "px" not in comparison_row("resnet50")[3]


def test_another_librarys_model_has_a_row_too():
    row = comparison_row("timm/resnet50")
    assert row[0] == "timm/resnet50" and len(row) == len(COMPARED)


def test_the_copied_table_survives_bars_and_line_breaks():
    text = markdown(["model", "n"], [["a|b", "1\n2"], ["c", "3"]])
    assert text == "| model | n |\n|---|---|\n| a\\|b | 1 2 |\n| c | 3 |\n"


def test_a_row_that_does_not_fit_the_columns_is_refused(sent):
    part = Comparison()
    with pytest.raises(ValueError, match="2 texts does not fit 3 columns"):
        part.show(["a", "b", "c"], [["1", "2"]])
    part.close()


@pytest.mark.parametrize(("names", "words"), [
    (["resnet5O"], "Did you mean 'resnet50'"), ([50], "by name.*not as int"), (["resnet50"] * 2, "twice"),
    ("resnet50", "expected a tuple"), (["resnet50.no_such_tag"], "Unknown tag"),
])
def test_names_that_can_not_be_compared_are_refused_and_nothing_changes(session, names, words):
    session.compare = ["resnet18"]
    with pytest.raises(traitlets.TraitError, match=words):
        session.compare = names
    assert session.compare == ("resnet18",)


def test_at_most_eight_models_are_compared(session):
    many = list_models()
    session.compare = many[:MAX_COMPARED]
    assert session.compare == tuple(many[:MAX_COMPARED])
    with pytest.raises(traitlets.TraitError, match="At most 8"):
        session.toggle_compare(many[MAX_COMPARED])
    session.toggle_compare(many[0])
    session.toggle_compare(many[MAX_COMPARED])
    assert session.compare == tuple(many[1:MAX_COMPARED + 1])


def test_a_tick_a_chip_and_a_cell_change_the_same_models(picker, session):
    picker.select("resnet50")
    picker.actions.compare.click()
    assert session.compare == ("resnet50",) and picker.actions.compare.description == "Remove from compare"
    session.compare = ["resnet50", "resnet18"]
    assert repr(picker.comparison) == "Comparison(resnet50, resnet18)"
    picker.comparison._receive(None, {"kind": "remove", "name": "resnet50"}, [])
    assert session.compare == ("resnet18",) and picker.actions.compare.description == "Add to compare"


def test_a_set_of_weights_that_is_not_the_default_is_compared_by_its_full_name(picker, session):
    picker.select("resnet50.tv_in1k")
    picker.actions.compare.click()
    picker.select("resnet50")
    assert session.compare == ("resnet50.tv_in1k",)


def test_a_chip_leads_back_to_its_card_whatever_the_filters_hide(picker, session):
    session.compare = ["resnet50.tv_in1k"]
    picker.asking.search.value = "vit"
    picker.comparison._receive(None, {"kind": "pick", "name": "resnet50.tv_in1k"}, [])
    assert picker.models.value == "resnet50" and picker.tag.value == "resnet50.tv_in1k"
    picker.comparison._receive(None, {"kind": "pick", "name": "no such model"}, [])
    assert picker.models.value == "resnet50"


def test_with_eight_models_the_tick_says_why_it_does_nothing(picker, session):
    session.compare = [name for name in list_models() if name != "resnet50"][:MAX_COMPARED]
    picker.select("resnet50")
    button = picker.actions.compare
    assert button.disabled and "8 models are compared already" in button.description


# --- the panel ------------------------------------------------------------------------------------------


def choose(part, key, value):
    """As the browser does."""
    part._receive(part, {"kind": "choose", "key": key, "value": value}, [])


def test_a_click_on_the_timeline_shows_a_familys_models_and_a_second_one_all(picker):
    choose(picker.asking.timeline, "selected", "convnext")
    assert picker.models.names == tuple(sorted(FAMILIES["convnext"].names, key=natural_key))
    assert picker.asking.family.value == "convnext"
    assert f"{len(FAMILIES['convnext'].names)} of {len(list_models())} models" in picker.count.value
    choose(picker.asking.timeline, "selected", "")
    assert picker.models.names == tuple(list_models()) and picker.asking.family.value == ""


def test_the_timeline_fills_the_families_that_the_other_filters_leave(picker):
    picker.asking.search.value = "vgg"
    timeline = picker.asking.timeline
    shown = list(timeline._names)
    assert {shown[i] for i in timeline._lit} == {FAMILY_OF[n].name for n in list_models("*vgg*")}
    picker.asking.family.value = "resnet"  # its own choice leaves the others, so that one can go there
    assert "vgg" in {shown[i] for i in timeline._lit}


def test_the_timeline_knows_every_family_in_order_of_years(picker):
    years = [FAMILIES[name].year for name in picker.asking.timeline._names]
    assert years == sorted(years) and set(picker.asking.timeline._names) == set(FAMILIES)
    with pytest.raises(traitlets.TraitError, match="No family 'resnetz'"):
        picker.asking.timeline.selected = "resnetz"


def test_the_rows_travel_once_and_a_filter_sends_little(sent, session):
    picker = PickerPanel(session)
    tables = [d["state"]["_table"] for _, d, _ in sent if len(d.get("state", {}).get("_table", "")) > 10_000]
    assert len(tables) == 1 and len(tables[0]) < 200 * len(list_models())
    sent.clear()
    picker.asking.search.value = "vit"
    picker.asking.search.value = ""
    assert not any("_table" in d.get("state", {}) for _, d, _ in sent)
    orders = [d["state"]["_order"] for _, d, _ in sent if "_order" in d.get("state", {})]
    assert orders[-1] == list(range(len(list_models())))
    picker.close()


def test_a_filter_keeps_the_chosen_model_where_it_fits(picker):
    picker.select("resnet50")
    picker.asking.search.value = "resnet"
    assert picker.models.value == "resnet50"
    picker.asking.search.value = "vgg"
    assert picker.models.value == picker.models.names[0]


def test_nothing_that_fits_keeps_the_card_and_says_what_to_loosen(picker):
    picker.select("vgg13")
    card = picker.card.value
    picker.asking.search.value, picker.asking.family.value = "vgg", "resnet"
    assert picker.models.value is None and picker.card.value == card and "vgg13" in card
    assert not picker.actions.open_random.disabled and picker.chosen == picker.chart.chosen == "vgg13"
    assert "without the family" in picker.count.value and picker.chart._lit == []
    picker.asking.clear.click()
    assert picker.asking.filters == Filters() and picker.asking.clear.disabled
    assert len(picker.models.names) == len(list_models()) and picker.models.value == "vgg13"


def test_text_in_the_search_stays_text(picker):
    picker.asking.search.value = "timm/<script>"
    said = parse(picker.count.value)
    assert said.says("<script>") and not said.find_all("script")


@pytest.mark.parametrize(("name", "words"), [
    ("tf_efficientnet_lite0", "Open with trained weights"), ("resnet200", "No trained weights are published"),
    ("inception_v3", "Download trained weights and open"),
])
def test_the_button_says_what_the_card_says(picker, name, words):
    picker.asking.search.value = name
    picker.models.value = name
    assert picker.actions.open_trained.description == words
    assert picker.actions.open_trained.disabled == ("none published" in picker.card.value)


def test_the_chosen_set_of_weights_is_the_one_that_opens(picker, session, monkeypatch):
    asked = []
    monkeypatch.setattr(session, "open_model", lambda name, *, pretrained: asked.append((name, pretrained)))
    picker.select("resnet50")
    picker.actions.open_trained.click()
    picker.tag.value = "resnet50.tv_in1k"
    assert "resnet50.tv_in1k" in picker.card.value and "bsd-3-clause" in picker.card.value
    picker.actions.open_trained.click()
    picker.actions.open_random.click()
    default = model_card("resnet50").config.name
    assert asked == [(default, True), ("resnet50.tv_in1k", True), ("resnet50.tv_in1k", False)]


def test_a_licence_chooses_weights_that_have_it(picker):
    picker.select("resnet50")
    picker.asking.licence.value = "non-commercial"
    assert picker.models.value == "resnet50"
    shown = next(t for t in model_card("resnet50").tags if t.name == picker.tag.value)
    assert licence_group(shown.license) == "non-commercial"


def test_the_drop_down_says_what_sets_the_weights_apart():
    label = tag_label(tag("a", "unknown", top1=81.26, input_size=(3, 160, 160)))
    assert label == "a, 81.3 %, 160 px, not stated"


def test_a_card_that_can_not_be_drawn_is_a_sentence(picker, monkeypatch):
    def broken(card):
        raise ZeroDivisionError("<b>no such number</b>")

    monkeypatch.setattr(picker_module, "card_html", broken)
    picker.select("resnet50")
    card = parse(picker.card.value)
    assert card.says("could not be drawn") and card.says("<b>") and not card.find_all("b")
    assert not picker.actions.open_trained.disabled  # it can be opened all the same


def test_the_models_open_under_one_line_and_shut_when_one_is_there(picker, session):
    assert picker.layout.display == "none"
    picker.opener.click()
    assert picker.layout.display == "" and picker.opener.description.endswith("▴")
    picker.select("lenet5")
    picker.actions.open_random.click()
    session.wait()
    assert picker.layout.display == "none" and picker.opener.description == "lenet5 · 61.7 k ▾"


def test_why_a_model_could_not_be_opened_stands_by_the_button_and_not_above_as_well():
    import explorer

    dash = explorer.Dashboard(explorer.create_model("lenet5"))
    dash.wait()
    picker = dash.picker
    picker.opener.click()
    for _ in range(2):
        picker.select("resnet10t")  # whose weights are not on this computer
        picker.actions.open_trained.click()
        with pytest.raises(ExplorerError, match="not on this computer"):
            dash.wait()
        assert picker.layout.display == "" and picker.actions.problem.value.count('role="alert"') == 1
        assert "not on this computer" in picker.actions.problem.value and dash.message.value == ""
    picker.opener.click()
    picker.actions.open_trained.click()  # the list is shut: it would be said where nobody sees it
    with pytest.raises(ExplorerError, match="not on this computer"):
        dash.wait()
    assert picker.actions.problem.value == "" and "not on this computer" in dash.message.value
    picker.opener.click()
    picker.actions.open_random.click()
    dash.wait()
    assert picker.layout.display == "none" and picker.actions.problem.value == dash.message.value == ""
    dash.close()


def test_the_list_stays_open_until_what_was_asked_for_is_there(picker, session):
    picker.opener.click()
    picker.select("lenet5")
    with session.lock:  # nothing can be there yet
        picker.actions.open_random.click()
        session.compare = ["lenet5"]
        assert picker.layout.display == ""
    session.wait()
    assert picker.layout.display == "none"


def test_a_card_is_made_for_the_shown_model_only(session, monkeypatch):
    drawn = []
    monkeypatch.setattr(picker_module, "card_html", lambda card: drawn.append(card.name) or "")
    picker = PickerPanel(session)
    assert len(drawn) == 1
    picker.sort.value = "year"
    assert len(drawn) == 2
    picker.close()


# --- the views ------------------------------------------------------------------------------------

PARTS = [FamilyTimeline, ModelChart, ModelList, SearchField, Comparison]


@pytest.mark.parametrize("Part", PARTS)
def test_a_view_keeps_the_promises_of_all_views(sent, Part):
    with pytest.raises(TypeError, match=f"{Part.__name__} does not take 'colour'"):
        Part(colour="red")
    before = set(_instances)
    part = Part()
    assert "export default" in part.get_state()["_esm"] and ".vx-" in part.get_state()["_css"]
    assert "http://" not in part.get_state()["_esm"] and "https://" not in part.get_state()["_esm"]
    assert repr(part).startswith(Part.__name__ + "(") and "0x" not in repr(part)
    for content in (None, "text", {"kind": "nonsense"}, {"kind": ["pick"]}, {"kind": "remove", "name": ["x"]},
                    {"kind": "choose", "key": "_table", "value": "x"}):
        part._receive(part, content, [])
    part.close()
    part.close()
    assert set(_instances) == before


def test_the_list_takes_no_name_that_is_not_listed(sent):
    part = ModelList()
    part.load(["n"], [("a", ["x"]), ("b", ["y"])])
    part.show(["b"], value="b")
    choose(part, "value", "a")
    assert part.value == "b" and part.names == ("b",)
    with pytest.raises(traitlets.TraitError, match="among the 1 models"):
        part.value = "a"
    part.close()


def test_views_that_share_a_lock_change_in_one_step(picker, session):
    assert picker.asking.timeline._lock is picker.models._lock is picker.comparison._lock is session.lock


def test_the_name_that_was_typed_comes_first_then_those_that_begin_so(picker):
    picker.asking.search.value = "resnet18"
    assert picker.models.names[0] == "resnet18" and len(picker.models.names) > 1
    picker.asking.search.value = "vgg1"
    names = picker.models.names
    begins = [name.startswith("vgg1") for name in names]
    assert begins == sorted(begins, reverse=True) and begins[0]


def test_a_row_says_what_is_open_and_what_is_here_and_opens_by_a_double_click(picker, session):
    picker.opener.click()
    assert {"tf_efficientnet_lite0", "tf_efficientnet_lite2"} <= {
        picker.models.names[index] for index in picker.models._here}
    picker.select("tf_efficientnet_lite1")
    for strange in ("no such model", None, 3):
        picker.models._receive(None, {"kind": "open", "name": strange}, [])
    assert not session.busy
    picker.models._receive(None, {"kind": "open", "name": "tf_efficientnet_lite1"}, [])
    session.wait()
    assert session.model_name == "tf_efficientnet_lite1.in1k" and picker.layout.display == "none"
    picker.opener.click()
    assert picker.models._open == "tf_efficientnet_lite1"


# --- Enter in the search ----------------------------------------------------------------------------------


@pytest.fixture
def asked(session, monkeypatch):
    """What was asked to be opened: (name, with trained weights?)."""
    wishes = []
    monkeypatch.setattr(session, "open_model", lambda name, *, pretrained: wishes.append((name, pretrained)))
    return wishes


def enter(picker, text):
    """As the browser does: what stands in the field comes with the key."""
    picker.asking.search._receive(None, {"kind": "enter", "text": text}, [])


@pytest.mark.parametrize(("search", "meant"), [
    ("resnet50", "resnet50"), (" ResNet50 ", "resnet50"), ("resnet50.tv_in1k", "resnet50.tv_in1k"),
    ("adv_inception_v3", "inception_v3.tf_adv_in1k"), ("resnet5", ""), ("resnet50.no", ""),
    ("timm/resnet18", ""), ("*resnet50*", ""), ("", ""),
])
def test_a_search_may_be_the_name_of_a_model_or_of_its_weights(search, meant):
    assert meant_by(search) == meant


def test_enter_opens_the_very_name_with_the_weights_that_it_names(picker, asked):
    enter(picker, "resnet50")
    enter(picker, "resnet50.tv_in1k")
    enter(picker, "resnet200")  # no weights are published
    default = model_card("resnet50").config.name
    assert asked == [(default, True), ("resnet50.tv_in1k", True), ("resnet200", False)]
    assert picker.models.names[0] == "resnet200"


def test_enter_asks_first_where_several_models_fit_and_opens_the_first_at_the_second_time(picker, asked):
    enter(picker, "convnext")
    first = picker.models.names[0]
    assert asked == [] and f"Enter again opens {first}" in picker.count.value
    assert picker.models.value == picker.card_of == first
    enter(picker, "convnext_")  # another text is asked about anew
    assert asked == []
    enter(picker, "convnext_")
    assert asked == [(model_card(picker.models.names[0]).config.name, True)]


def test_enter_opens_the_only_model_that_fits_and_nothing_where_none_does(picker, asked):
    enter(picker, "lenet5*")
    assert asked == [("lenet5", False)]
    for nothing in ("no such model", "", "  "):
        enter(picker, nothing)
        enter(picker, nothing)
    assert len(asked) == 1


def test_a_search_that_is_no_text_or_endless_changes_nothing(picker, asked):
    picker.asking.search.value = "vgg"
    for text in (None, 3, ["vgg"], "x" * (LONGEST + 1)):
        enter(picker, text)
        choose(picker.asking.search, "value", text)
    assert picker.asking.search.value == "vgg" and asked == []


# --- the chart of all published models --------------------------------------------------------------------


def test_every_model_with_a_published_figure_is_a_point_and_no_other():
    cards = all_cards()
    drawn = {point[0]: point for point in points(cards.values())}
    assert set(drawn) == {name for name, card in cards.items() if card.config.top1 is not None}
    assert 500 < len(drawn) < len(cards)
    lite = drawn["tf_efficientnet_lite0"]
    assert lite[3:] == (74.83, 224) and lite[1] == 4_652_008
    assert all(point[1] and point[2] and 50 < point[3] < 100 for point in drawn.values())
    assert all(cards[name].config.num_classes == 1000 for name in drawn)  # ImageNet's, as the guide says


def test_the_sentence_counts_what_fits_and_is_drawn():
    total = len(all_cards())
    known = sum(card.config.top1 is not None for card in all_cards().values())
    assert drawn_text(find_cards(), total).startswith(f"{known} of {total} models have a published figure")
    assert drawn_text(find_cards(Filters(search="lenet5")), total).startswith("0 of 1 model that fits have")
    assert drawn_text([], total) == ""


def lit(picker) -> set[str]:
    names = list(picker.chart._names)
    return {names[index] for index in picker.chart._lit}


def test_the_chart_colours_what_the_filters_and_the_timeline_leave(picker):
    assert lit(picker) == set(picker.chart._names)
    choose(picker.asking.timeline, "selected", "convnext")
    assert lit(picker) == {name for name in FAMILIES["convnext"].names if name in picker.chart}
    picker.asking.search.value = "tiny"
    assert lit(picker) and all("convnext_tiny" in name for name in lit(picker))


def test_a_click_on_a_point_shows_its_card_even_if_the_filters_left_it_out(picker):
    picker.asking.search.value = "vgg"
    picker.chart._receive(None, {"kind": "pick", "name": "vgg16"}, [])
    assert picker.models.value == picker.chart.chosen == "vgg16" and picker.asking.search.value == "vgg"
    picker.chart._receive(None, {"kind": "pick", "name": "resnet50"}, [])
    assert picker.models.value == picker.chart.chosen == "resnet50" and picker.asking.search.value == ""
    for strange in ("no such model", None, 3, ["resnet18"]):
        picker.chart._receive(None, {"kind": "pick", "name": strange}, [])
    assert picker.models.value == "resnet50"
    picker.models.value = "resnet18"  # and the other way
    assert picker.chart.chosen == "resnet18"


def test_the_open_model_the_second_one_and_those_compared_have_their_signs(picker, session):
    def signs():
        names = list(picker.chart._names)
        return {names[index]: kind for index, kind in picker.chart._marks}

    session.compare = ["resnet50.tv_in1k", "tf_efficientnet_lite1", "lenet5"]
    assert signs() == {"resnet50": "compared", "tf_efficientnet_lite1": "compared"}  # lenet5 has no figure
    session.beside = "tf_efficientnet_lite1"
    assert signs()["tf_efficientnet_lite1"] == "second"
    session.open_model("tf_efficientnet_lite0")
    session.wait()
    assert signs() == {"resnet50": "compared", "tf_efficientnet_lite1": "second",
                       "tf_efficientnet_lite0": "open"}
    picker.unfold()
    assert picker.models._second == "tf_efficientnet_lite1"


def test_the_points_travel_once_and_the_axis_is_one_of_two(sent, session):
    picker = PickerPanel(session)
    tables = [d["state"]["_models"] for _, d, _ in sent if len(d.get("state", {}).get("_models", "")) > 1000]
    assert len(tables) == 1 and len(tables[0]) < 80 * len(picker.chart._names)
    for axis, then in (("macs", "macs"), ("year", "macs"), (None, "macs"), ("parameters", "parameters")):
        choose(picker.chart, "axis", axis)
        assert picker.chart.axis == then
    picker.close()


def test_show_code_of_the_picker_answers_the_page(picker, sent):
    picker.tools._receive(None, {"kind": "ask", "what": "code"}, [])
    assert picker._code_sent == picker.code()
