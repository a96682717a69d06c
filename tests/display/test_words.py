"""Shares, counts, durations and hints read as people say them; names are in the order of their numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from explorer.display.words import (
    counted,
    did_you_mean,
    megabytes,
    milliseconds,
    natural_key,
    number_text,
    percent,
    seconds_text,
)

NAN = float("nan")


@pytest.mark.parametrize(("share", "text"), [
    (0.6132, "61.3 %"), (0, "0.0 %"), (1, "100.0 %"), (NAN, "not a number"), (None, "not a number")])
def test_a_share_is_read_in_percent(share, text):
    assert percent(share) == text


def test_what_is_not_defined_may_have_a_word_of_its_own():
    assert percent(NAN, missing="–") == percent(None, missing="–") == "–"


@pytest.mark.parametrize(("value", "text"), [
    (12.345, "12.35"), (0.001234, "0.001234"), (1234567, "1.235e+06"), (NAN, "not a number")])
def test_a_number_has_four_digits(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(("given", "text"), [
    ((0, "photo"), "0 photos"), ((1, "photo"), "1 photo"), ((1234, "photo"), "1,234 photos"),
    ((1, "pass", "es"), "1 pass"), ((2, "pass", "es"), "2 passes")])
def test_one_thing_is_counted_without_an_s(given, text):
    assert counted(*given) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0.01 s"), (0.04, "0.04 s"), (12.4, "12 s"), (89, "89 s"), (300, "5 min"), (5400, "1.5 h")])
def test_a_wait_is_told_roughly(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0214, "21.4 ms"), (0.5, "500 ms"), (2.5, "2.50 s")])
def test_times_are_read_as_people_say_them(seconds, text):
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(18_576_032, "18.6 MB"), (2_340_000_000, "2.34 GB"), (None, "")])
def test_sizes_are_read_as_people_say_them(count, text):
    assert megabytes(count) == text


def test_a_hint_names_the_nearest_words_once():
    assert did_you_mean("resnet5O", ["resnet50", "resnet18", "vit"]) == " Did you mean 'resnet50'?"
    assert did_you_mean("layer", ["layer1", "layer2", "layer2"], 3).count("layer2") == 1
    assert did_you_mean("zzz", ["resnet50"]) == ""


def test_names_with_numbers_are_in_the_order_of_the_numbers():
    assert sorted(["b10", "B9", "b", "10", "9", "b²"], key=natural_key) == ["9", "10", "b", "B9", "b10", "b²"]


def test_words_need_no_heavy_library():
    code = "import sys, explorer.display.words, explorer.display.html; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert {"torch", "numpy", "PIL", "matplotlib"} & set(run.stdout.split()) == set()
