"""RegNet against timm and torchvision: the rule, the blocks, and what their training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.regnet import VARIANTS, plan_stages
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error

timm = pytest.importorskip("timm")


def test_drop_path_rates_equal_timms():
    mine, theirs = (library.create_model("regnety_002", drop_path_rate=0.3) for library in (ours, timm))
    rates = [[getattr(m, "drop_prob", 0.0) for key, m in model.named_modules() if key.endswith(".drop_path")]
             for model in (mine, theirs)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == pytest.approx(0.3)


def test_a_new_classifier_stays_where_the_model_is():
    model = ours.create_model("regnetx_002", global_pool="max").to(torch.float64)
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.head.global_pool.pool_type == "max"
    assert model(check.photos(64).double()).shape == (2, 3)
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


# --- the rule ----------------------------------------------------------------------------------------------


def test_the_rule_gives_the_network_that_the_paper_prints():
    """Table 8 of the paper: RegNetX-3.2GF has depths 2 6 15 2, widths 96 192 432 1008 and groups of 48."""
    plan = plan_stages(depth=25, w0=88, wa=26.31, wm=2.25, group_size=48)
    assert [stage.depth for stage in plan] == [2, 6, 15, 2]
    assert [stage.width for stage in plan] == [96, 192, 432, 1008]
    assert [stage.middle // stage.groups for stage in plan] == [48, 48, 48, 48]


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith(("regnetx", "regnety"))])
def test_the_rule_with_torchvisions_rounding_gives_torchvisions_stages(name):
    regnet = pytest.importorskip("torchvision.models.regnet")
    row = VARIANTS[name]
    theirs = regnet.BlockParams.from_init_params(
        depth=row["depth"], w_0=row["w0"], w_a=row["wa"], w_m=row["wm"], group_width=row["group_size"]
    )
    rule = {key: row[key] for key in ("depth", "w0", "wa", "wm", "group_size")}
    mine = plan_stages(**rule, round_limit=0.9)
    assert [stage.depth for stage in mine] == theirs.depths
    assert [stage.width for stage in mine] == theirs.widths
    assert [stage.middle // stage.groups for stage in mine] == theirs.group_widths


def test_a_level_line_is_one_stage():
    assert plan_stages(depth=5, w0=64, wa=0.0, wm=2.0, group_size=16) == [(5, 64, 64, 4)]


def test_groups_are_never_wider_than_the_block():
    assert plan_stages(depth=2, w0=24, wa=0.0, wm=2.0, group_size=100) == [(2, 24, 24, 1)]


@pytest.mark.parametrize("numbers", [{"w0": 20}, {"w0": 0}, {"wa": -1.0}, {"wm": 1.0}], ids=str)
def test_a_line_that_cannot_be_is_refused(numbers):
    with pytest.raises(ValueError, match="w0 must be a positive multiple of 8"):
        ours.create_model("regnetx_002", **numbers)


def test_a_shortcut_that_the_block_does_not_have_is_refused():
    with pytest.raises(ValueError, match="shortcut is 'avg'"):
        ours.create_model("regnetx_002", shortcut="avg")


# --- torchvision's files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "other"), [
    ("regnetx_008", "x_800mf"), ("regnetx_016", "x_1_6gf"), ("regnety_008_tv", "y_800mf"),
    ("regnety_016", "y_1_6gf"),
])
def test_torchvisions_names_all_have_a_place(name, other):
    torchvision = pytest.importorskip("torchvision")
    theirs = getattr(torchvision.models, f"regnet_{other}")().state_dict()
    with torch.device("meta"):
        mine = ours.create_model(name).state_dict()
    mapped = weights.convert(name, theirs, "torchvision")
    assert {k: v.shape for k, v in mapped.items()} == {k: v.shape for k, v in mine.items()}


@pytest.mark.parametrize(("name", "other"), [("regnetx_004_tv", "x_400mf"), ("regnety_004", "y_400mf")])
def test_torchvisions_file_gives_torchvisions_numbers(name, other, tmp_path):
    torchvision = pytest.importorskip("torchvision")
    theirs = getattr(torchvision.models, f"regnet_{other}")(num_classes=7).eval()
    randomise(theirs)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    mine = ours.create_model(name, checkpoint_path=tmp_path / "theirs.pth").eval()
    assert mine.num_classes == 7 and mine.load_report.skipped == []
    with torch.no_grad():
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


@pytest.mark.parametrize("key", ["trunk_output.block1.block1-0.f.d.0.weight", "stem.2.weight", "head.weight"])
def test_a_name_that_torchvision_does_not_write_is_named(key):
    with pytest.raises(ValueError, match=f"'{key}' is no tensor of 'regnetx_002'"):
        weights.convert("regnetx_002", {key: torch.ones(1)}, "torchvision")
