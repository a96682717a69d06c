"""The card of a model: the tables' facts, put together and into words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import explorer.models as ours
from explorer.data import create_transform
from explorer.models import weights
from explorer.models.card import (
    StageRow,
    count_text,
    draw_stages,
    fold_stages,
    model_card,
    preprocessing_sentences,
)
from explorer.models.catalog import FAMILIES, FAMILY_OF
from explorer.models.config import ModelConfig

ONE_OF_EACH = [family.names[0] for family in FAMILIES.values()]


def test_a_card_has_the_facts_of_the_default_weights():
    card = model_card("resnet50")
    assert (card.name, card.architecture, card.tag) == ("resnet50", "resnet50", "a1_in1k")
    assert card.family is FAMILIES["resnet"] and card.parameters == 25_557_032
    assert card.config == weights.config_for("resnet50") and card.published
    assert [(s.name, s.channels, s.reduction) for s in card.stages] == [
        ("stem", 64, 2), ("layer1", 256, 4), ("layer2", 512, 8), ("layer3", 1024, 16), ("layer4", 2048, 32)]


def test_a_tag_has_its_own_card_with_all_tags_on_it():
    card = model_card("resnet50.tv_in1k")
    assert card.tag == "tv_in1k" and card.config.license == "bsd-3-clause"
    assert (card.config.top1, card.config.top5) == (76.13, 92.858)
    assert tuple(row.tag for row in card.tags) == weights.tags("resnet50") and card.tags[0].tag == "a1_in1k"


def test_an_old_name_has_the_card_of_what_it_means():
    card = model_card("adv_inception_v3")
    assert (card.name, card.architecture, card.tag) == ("adv_inception_v3", "inception_v3", "tf_adv_in1k")


def test_a_model_without_weights_says_so():
    card = model_card("lenet5")
    assert not card.published and not card.here and card.tags == () and card.tag == ""
    assert "none published" in card.as_text()


@pytest.mark.parametrize("name", ["resnet5O", "resnet50.nonsense", "tnt_s_legacy_patch16_224", ""])
def test_an_unknown_name_gets_the_sentence_of_create_model(name):
    with pytest.raises(ValueError) as of_card:
        model_card(name)
    with pytest.raises(ValueError) as of_model:
        ours.create_model(name)
    assert str(of_card.value) == str(of_model.value)


def test_another_librarys_model_has_no_card_and_is_told_what_to_do():
    with pytest.raises(ValueError, match="create_model\\('timm/resnet50'\\)"):
        model_card("timm/resnet50")


# --- stages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "densenet121", "vit_tiny_patch16_224",
                                  "efficientnet_b0", "swin_tiny_patch4_window7_224", "convnext_atto"])
def test_the_cards_stages_are_the_models(name):
    import torch

    with torch.device("meta"):
        model = ours.create_model(name)
    assert [(s.name, s.channels, s.reduction) for s in model.stage_table] == \
        [(s.name, s.channels, s.reduction) for s in model_card(name).stages]


def rows(*names: str, channels: int = 8, reduction: int = 4) -> tuple[StageRow, ...]:
    return tuple(StageRow(name, channels, reduction) for name in names)


def test_three_and_more_equal_stages_whose_names_count_on_are_folded():
    [run] = fold_stages(rows("blocks.9", "blocks.10", "blocks.11"))
    assert (run.label, run.count, run.channels, run.reduction) == ("blocks.9 ... blocks.11", 3, 8, 4)


@pytest.mark.parametrize("stages", [
    rows("block0", "block1"), rows("block0", "block2", "block4"), rows("a", "b", "c"),
    rows("block0") + rows("block1", channels=16) + rows("block2", channels=16),
    rows("block0") + rows("block1", reduction=8) + rows("block2", reduction=8),
])
def test_stages_that_differ_stand_alone(stages):
    runs = fold_stages(stages)
    assert [run.label for run in runs] == [stage.name for stage in stages]
    assert all(run.count == 1 for run in runs)


def test_a_bar_is_as_long_as_the_map_is_wide():
    bars = [line.count("#") for line in draw_stages(model_card("resnet50").stages)]
    assert bars == [24, 12, 6, 3, 2]


def test_a_transformers_blocks_are_one_line():
    [line] = draw_stages(model_card("vit_base_patch16_224").stages)
    assert line.split("#")[0].strip() == "block0 ... block11" and "768 channels, stride 16" in line


# --- what is done to a photo --------------------------------------------------------------------------------


def every_preprocessing() -> list[ModelConfig]:
    """One config for each combination of what decides about the geometry."""
    found = {}
    for name in FAMILY_OF:
        for tag in weights.tags(name):
            config = weights.config_for(name, tag)
            found[(config.input_size, config.crop_pct, config.crop_mode, config.interpolation)] = config
    return list(found.values())


def test_the_sentences_have_the_transforms_own_numbers():
    for config in every_preprocessing():
        resize, crop = create_transform(
            config.input_size, interpolation=config.interpolation, crop_pct=config.crop_pct,
            crop_mode=config.crop_mode, mean=config.mean, std=config.std).transforms[:2]
        told = " ".join(preprocessing_sentences(config))
        height, width = resize.size
        scaled = f"short side to {height} pixels" if resize.fit == "short" else f"{width} x {height} pixels"
        assert scaled in told and resize.interpolation in told, config
        if resize.size != crop.size or resize.fit != "exact":  # else there is nothing left to cut
            assert f"{crop.size[1]} x {crop.size[0]} pixels from the middle" in told, config


def test_a_border_and_a_grey_photo_are_told():
    config = ModelConfig(input_size=(1, 64, 96), crop_mode="border", crop_pct=1.0, mean=(0.5,), std=(0.25,))
    assert preprocessing_sentences(config) == (
        "Make one grey channel of the three colours.",
        "Resize the photo to fit into 96 x 64 pixels, bilinear.",
        "Put it on the middle of 96 x 64 pixels of the mean colour.",
        "Divide by 255, so that 0..255 becomes 0..1.",
        "Subtract the mean (0.5) and divide by the standard deviation (0.25).")


# --- as text, as JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [48, 80])
def test_no_line_is_wider_than_the_terminal(width):
    for name in [*ONE_OF_EACH, "adv_inception_v3", "xception"]:
        for line in model_card(name).as_text(width).splitlines():
            words = line.split()
            one_word = bool(words) and len(words[-1]) > width - 20  # an address can't be broken
            assert len(line) <= width or one_word, f"{name}: {line!r}"


def test_the_text_tells_idea_numbers_paper_and_every_set_of_weights():
    card = model_card("swin_tiny_patch4_window7_224")
    text = " ".join(card.as_text().split())
    for part in (*card.family.sentences, card.family.url, "28.3 M", "4.49 G for one photo",
                 *card.preprocessing, *(row.tag for row in card.tags), "layers3", "licence mit"):
        assert part in text


@pytest.mark.parametrize("name", ["resnet50", "lenet5", "vit_base_patch16_224"])
def test_the_card_as_json_reads_back(name):
    card = model_card(name)
    read = json.loads(json.dumps(card.as_dict()))
    assert read == card.as_dict() and read["parameters"] == card.parameters
    assert len(read["stages"]) == len(card.stages) and len(read["tags"]) == len(card.tags)


@pytest.mark.parametrize(("number", "text"), [
    (None, ""), (7, "7"), (61_706, "61.7 k"), (999_499, "999 k"), (999_999, "1 M"), (25_557_032, "25.6 M"),
    (714_188_480, "714 M"), (4_089_184_256, "4.09 G"), (1_234_000_000_000, "1.23 T"),
])
def test_counts_have_three_digits_and_a_unit(number, text):
    assert count_text(number) == text


def test_a_card_needs_no_torch():
    code = "import sys; from explorer.models.card import model_card; model_card('resnet50').as_text(); " \
           "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
