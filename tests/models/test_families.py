"""What every family must do, for each row of the table of cases: timm's numbers first of all."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import explorer.models as ours
from explorer.models.catalog import FAMILIES
from tests.models import cases_attention, cases_convolutional, cases_mobile
from tests.models import family_checks as check
from tests.models.cases import CHECKS, Case
from tests.models.oracle import check_gradients_equal, check_numbers, check_same_start

pytest.importorskip("timm")

CASES: dict[str, tuple[Case, ...]] = {
    **cases_attention.CASES, **cases_convolutional.CASES, **cases_mobile.CASES,
}


def each(what: str):
    """The test runs for every case of which `what` is held."""
    found = [case for cases in CASES.values() for case in cases if what in case.checks]
    return pytest.mark.parametrize("case", found, ids=str)


@each("numbers")
def test_numbers_equal_timms(case):
    check_numbers(*case.pair(), case.size)


@pytest.mark.parametrize(
    "options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
@each("inputs")
def test_numbers_equal_timms_with_other_inputs_and_outputs(case, options):
    check.check_other_channels(*case.pair(**options), case.size)


@each("unpooled")
def test_unpooled_features_equal_timms(case):
    check.check_other_channels(*case.pair(num_classes=0, global_pool=""), case.size)


@each("step")
def test_a_training_step_leaves_the_same_gradients_and_statistics_as_timms(case):
    # some of timm's networks drop a share of the vector unless told otherwise; ours drop what is asked for
    check_gradients_equal(*case.pair(num_classes=3, drop_rate=0.0), case.size)


@each("start")
def test_fresh_weights_are_drawn_as_timms_are(case):
    torch.manual_seed(0)
    check_same_start(case.ours(), case.theirs())


@each("gradients")
def test_a_gradient_reaches_every_parameter(case):
    check.check_gradients(case.ours(num_classes=5), case.size)


@each("fresh")
def test_a_new_network_can_start_to_learn(case):
    check.check_fresh(case.ours(), case.size)


@each("compiles")
def test_it_compiles_into_one_graph(case):
    check.check_compiles(case.ours(), case.size)


@each("saved")
def test_a_saved_file_gives_the_same_network_back(case, tmp_path):
    check.check_loads(case.name, case.size, tmp_path, **case.options)


@each("maps")
def test_the_maps_are_as_the_table_promises(case):
    check.check_features(case.name, case.size, **case.options)


@each("head")
def test_a_new_classifier_keeps_its_place(case):
    check.check_new_classifier_keeps_its_place(case.ours())


# --- the table itself ---------------------------------------------------------------------------------------


def test_cases_stand_in_the_file_of_their_family_and_once():
    of_file = {name: family.module for family in FAMILIES.values() for name in family.names}
    assert [str(case) for file, cases in CASES.items() for case in cases if of_file[case.name] != file] == []
    rows = Counter((str(case), check) for cases in CASES.values() for case in cases for check in case.checks)
    assert [row for row, count in rows.items() if count > 1] == []


def test_every_family_of_timms_has_numbers_in_the_table():
    files = {family.module for family in FAMILIES.values() if family.oracle == "timm"}
    assert {file for file, cases in CASES.items() if any("numbers" in case.checks for case in cases)} == files
    assert {check for cases in CASES.values() for case in cases for check in case.checks} == set(CHECKS)
    assert ours.is_model(next(iter(CASES["resnet"])).name)
