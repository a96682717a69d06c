"""The picker's list and card."""

from __future__ import annotations

import pytest

from explorer.models.catalog import FAMILY_OF
from explorer.widgets.panels.picker import PickerPanel, card_html, entry, find_entries, list_line
from explorer.widgets.session import Session


def names(*args, **options):
    return [e.name for e in find_entries(*args, **options)]


def test_a_plain_word_is_found_anywhere_and_a_pattern_is_a_pattern():
    assert "tf_efficientnet_lite0" in names("lite") and "resnet50" not in names("lite")
    assert names("resnet5?") == ["resnet50"]
    assert names("RESNET50D*") == ["resnet50d"]
    assert names("no such model") == []


def test_filters_combine():
    found = find_entries("50", family="resnet_d")
    assert {e.name for e in found} == {"resnet50c", "resnet50d", "resnet50s", "resnet50t"}


def test_only_models_whose_weights_are_on_this_computer():
    assert {"tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"} <= set(names(here=True))
    assert len(names(here=True)) < len(FAMILY_OF)


def test_sorting_by_year_and_size():
    years = [e.family.year for e in find_entries(sort="year")]
    sizes = [e.parameters for e in find_entries(sort="parameters")]
    assert years == sorted(years) and sizes == sorted(sizes)


@pytest.mark.parametrize("name", ["resnet50", "vit_small_patch14_dinov2", "resnet50s", "tf_efficientnet_lite0"])
def test_a_card_says_where_the_weights_are(name):
    html = card_html(entry(name))
    assert name in html
    assert any(words in html for words in ("on this computer", "to be downloaded", "none published"))


def test_an_old_name_has_the_card_of_the_weights_it_means():
    html = card_html(entry("adv_inception_v3"))
    assert "adv_inception_v3" in html and "inception_v3.tf_adv_in1k" in html and "Szegedy" in html
    assert "adv_inception_v3" in names("adv_*")


def test_the_list_lines_up():
    lines = [list_line(e) for e in find_entries()]
    assert len({line.index("M") for line in lines}) == 1


def test_a_search_for_another_librarys_names_finds_none_and_does_not_fail():
    assert names("timm/*") == names("torchvision/resnet*") == names("hf-hub:x*") == []


@pytest.mark.parametrize(("name", "words"), [
    ("tf_efficientnet_lite0", "Open with trained weights"), ("resnet200", "No trained weights are published"),
    ("adv_inception_v3", "Download trained weights and open"),  # an old name: its weights have the present one's
])
def test_the_button_says_what_the_card_says(name, words):
    session = Session()
    picker = PickerPanel(session)
    picker.search.value = name
    picker.models.value = name
    assert picker.open_trained.description == words
    assert picker.open_trained.disabled == ("none published" in picker.card.value)
    picker.close()
    session.close()
