"""Where models disagree: the divergence by other formulas, which models it is of, the order, the page."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

import explorer
from explorer.inspection.compare.comparing import compare
from explorer.inspection.compare.disagreeing import disagreements_of
from explorer.inspection.compare.divergence import jensen_shannon
from tests.html import parse
from tests.inspection.small_models import told
from tests.inspection.test_compare import LITE, colours, photos


def random_shares(models, photos=5, classes=7):
    return np.random.default_rng(models).dirichlet(np.full(classes, 0.3), (models, photos))


# --- the number -----------------------------------------------------------------------------------------


def test_of_two_it_is_the_square_of_scipys_distance():
    shares = random_shares(2)
    expected = [jensenshannon(*shares[:, j], base=2) ** 2 for j in range(5)]
    np.testing.assert_allclose(jensen_shannon(shares), expected, rtol=1e-12)


@pytest.mark.parametrize("models", [2, 3, 8])
def test_of_several_it_is_the_entropy_of_the_mean_less_the_mean_entropy(models):
    shares = random_shares(models)
    expected = entropy(shares.mean(0), base=2, axis=-1) - entropy(shares, base=2, axis=-1).mean(0)
    np.testing.assert_allclose(jensen_shannon(shares), expected, rtol=1e-10)


@pytest.mark.parametrize("models", [2, 3, 8])
def test_it_lies_between_nothing_and_the_logarithm_of_the_number_of_models(models):
    apart = np.eye(models)[:, None, :]
    assert jensen_shannon(apart)[0] == pytest.approx(math.log2(models))
    same = np.repeat(random_shares(1), models, axis=0)
    assert jensen_shannon(same) == pytest.approx(np.zeros(5), abs=1e-12)


def test_shares_that_are_nothing_or_nearly_nothing_add_nothing():
    tiny = np.array([[[1.0, 5e-324, 0.0]], [[1.0, 0.0, 0.0]]])
    assert jensen_shannon(tiny)[0] == 0.0


# --- of a comparison ------------------------------------------------------------------------------------


def test_photos_come_in_the_order_of_their_divergence_whatever_the_classes_order():
    other = colours(labels=("Blue", "red", "GREEN "), order=(2, 0, 1), confused=True)
    result = compare({"a": colours(), "b": other}, photos(), measure=False)
    rows = result.disagreements()
    order = [[("red", "green", "blue").index(label.strip().lower()) for label in labels]
             for labels in result.labels]
    for row in rows:
        first, second = (result.probabilities(i, row.photo) for i in range(2))
        aligned = np.empty(3)
        aligned[order[1]] = second
        assert row.bits == pytest.approx(jensenshannon(first, aligned, base=2) ** 2, rel=1e-4, abs=1e-9)
    bits = [row.bits for row in rows]
    assert bits == sorted(bits, reverse=True) and rows.most == 1.0 and rows.together == ("a", "b")
    assert len(rows) == 3 and rows[0] is rows.rows[0] and rows[:2] == rows.rows[:2]


def test_models_of_other_classes_are_named_and_left_out():
    few = {"a": colours(), "leaf": colours(labels=("red", "leaf", "blue")), "b": colours(confused=True),
           "headless": explorer.create_model("resnet18", num_classes=0).eval()}
    rows = compare(few, photos(), measure=False).disagreements()
    assert rows.together == ("a", "b") and rows.names == tuple(few)
    assert dict(rows.left_out) == {"leaf": "it knows other classes (3) than a (3).",
                                   "headless": "it has no classifier."}
    said = " ".join(rows.sentences)
    assert "leaf is left out of the bits: it knows other classes" in said and "at most 1 where" in said
    assert rows[0].answers[3] == "" and rows[0].shares[3] is None and rows[0].bits is not None


def test_without_two_of_the_same_classes_there_are_no_bits():
    result = compare([colours(), colours(labels=("red", "leaf", "blue"))], photos(), measure=False)
    rows = result.disagreements()
    assert [row.bits for row in rows] == [None] * 3 and rows.most == 0.0 and rows.together == ()
    assert "No two of the models know the same classes" in rows.sentences[0]
    assert rows[0].share == 1.0  # the photo of the class that only one knows


def test_right_and_wrong_stand_where_the_class_is_known():
    result = compare({"a": colours(), "b": colours(confused=True)}, photos(), measure=False)
    assert {row.right for row in result.disagreements()} == {(None, None)}
    known = replace(result, truth=(frozenset({"red"}), frozenset({"green"}), frozenset({"nothing"})))
    rows = {row.photo: row for row in disagreements_of(known)}
    one, two, three = (rows[name] for name in result.photos)
    assert one.right == (True, True) and two.right == (True, False) and three.right == (None, None)
    assert two.truth == ("green",) and three.truth == ("nothing",)


def test_a_page_a_figure_and_the_csv_hold_them(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    result = compare({"a": colours(), evil: colours(confused=True)},
                     dict(zip(("one", evil, "$x$"), photos())), measure=False)
    rows = result.disagreements()
    page = rows._repr_html_()
    assert evil not in page and len(parse(page).find_all("img")) == 3
    assert f"{rows[0].bits:.2f}" in parse(page).text and "Disagreements(3 photos, 2 models" in repr(rows)
    figure = result.figure("disagreements", limit=2)
    figure.savefig(tmp_path / "apart.svg")
    said = (tmp_path / "apart.svg").read_text(encoding="utf-8")
    assert said.count("<image") == 2
    lines = {line["photo"]: line for line in csv.DictReader(io.StringIO(result.to_csv(of="photos")))}
    assert {row.photo: row.bits for row in rows} == {
        name: float(line["divergence_bits"]) for name, line in lines.items()}


def test_the_beagle_divides_two_trained_networks():
    shown = [one for one in explorer.sample_photos() if one.title in ("Beagle", "School bus", "Pizza")]
    rows = compare(LITE, shown, measure=False).disagreements()
    assert rows[0].photo == "Beagle" and rows[0].bits > rows[1].bits
    assert rows[0].answers == ("Walker hound", "beagle") and rows[0].right == (False, True)
    assert rows[0].truth == ("English foxhound", "basset", "beagle")
    assert rows.picture("Beagle", 64).size[0] == 64


# --- what is no number ----------------------------------------------------------------------------------


def test_an_answer_that_is_no_number_has_no_bits_and_comes_last():
    result = compare({"a": colours(), "b": colours(confused=True)}, photos(), measure=False)
    result.logits[1][0] = np.nan
    rows = result.disagreements()
    assert [row.bits is None for row in rows] == [False, False, True] and rows[2].photo == result.photos[0]
    assert rows[0].bits >= rows[1].bits
    assert "–" in parse(rows._repr_html_()).text and rows.figure() is not None
    assert result.photos_csv().splitlines()[1].endswith(",")  # no bits


def test_a_grey_photo_is_grey_in_the_figure():
    rows = compare([colours(), colours(confused=True)], photos(), measure=False).disagreements()
    grey = replace(rows, _opens=lambda photo: Image.new("L", (8, 8), 200))
    assert grey.picture("any").convert("RGBA").getpixel((4, 4)) == (200, 200, 200, 255)
    assert grey.picture("any").mode == "RGB"


def test_models_that_give_numbers_are_apart_by_their_distance_and_that_is_said():
    models = {"a": told("numbers", ("redness",)), "b": told("numbers", ("Redness",), number_mean=(5.0,),
                                                            number_std=(2.0,))}
    rows = compare(models, photos(), measure=False).disagreements()
    assert rows.of_numbers and [row.bits for row in rows] == [None] * 3
    distances = [row.distance for row in rows]
    assert distances == sorted(distances, reverse=True) and distances[0] > distances[2]
    said, = rows.sentences
    assert "give numbers" in said and "first answers" not in said
