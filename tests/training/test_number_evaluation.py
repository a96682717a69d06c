"""Judging numbers: figures held against scikit-learn, what is shown, what is kept, and what is refused."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

import explorer
from explorer.data.datasets import DataError, PhotoSet, Splits
from explorer.data.photo_tables import read_table
from explorer.training.evaluation.evaluating import evaluate
from explorer.training.evaluation.numbers import NumberEvaluation
from tests.html import parse
from tests.number_photos import bright, photo_set, prepared_for, table, tiny


def drawn(count: int = 50, names: tuple[str, ...] = ("age", "price"), **options) -> NumberEvaluation:
    """Made-up answers around the truth, the second number a thousand times as large."""
    draw = np.random.default_rng(0)
    truth = draw.normal(40, 10, (count, len(names))) * 1000.0 ** np.arange(len(names))
    predicted = truth + draw.normal(1, 6, truth.shape) * 1000.0 ** np.arange(len(names))
    return NumberEvaluation(names, torch.tensor(predicted), torch.tensor(truth),
                            tuple(f"photo {i}" for i in range(count)), **options)


def by_hand(*pairs: tuple[float, float], **options) -> NumberEvaluation:
    """An evaluation of (truth, answer)."""
    truth, predicted = (torch.tensor([[pair[i]] for pair in pairs]) for i in (0, 1))
    return NumberEvaluation(("age",), predicted, truth, tuple(f"photo {i}" for i in range(len(pairs))),
                            **options)


# --- figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("age",), ("age", "price"), ("a", "b", "c")])
def test_figures_equal_scikit_learns(names):
    result = drawn(names=names)
    truth, predicted = result.truth.numpy(), result.predicted.numpy()
    assert result.mae == pytest.approx(metrics.mean_absolute_error(truth, predicted), rel=1e-6)
    assert result.rmse == pytest.approx(metrics.root_mean_squared_error(truth, predicted), rel=1e-6)
    assert result.r2 == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-6)
    for i, name in enumerate(names):
        one = result.per_number[name]
        assert one.mae == pytest.approx(metrics.mean_absolute_error(truth[:, i], predicted[:, i]), rel=1e-6)
        assert one.rmse == pytest.approx(metrics.root_mean_squared_error(truth[:, i], predicted[:, i]),
                                         rel=1e-6)
        assert one.r2 == pytest.approx(metrics.r2_score(truth[:, i], predicted[:, i]), rel=1e-6)


def test_bias_and_guess_are_those_of_a_case_worked_out_by_hand():
    one = by_hand((1, 3), (5, 5), (9, 10)).per_number["age"]
    assert (one.mae, one.bias, one.guess) == (1.0, 1.0, pytest.approx(8 / 3))
    assert by_hand((1, 3), (5, 5), (9, 10)).residuals.flatten().tolist() == [2, 0, 1]


def test_large_numbers_close_together_lose_nothing():
    truth = torch.tensor([[1.7e9], [1.7e9 + 4]], dtype=torch.float64)
    assert NumberEvaluation(("time",), truth + 1, truth, ("a", "b")).per_number["time"].bias == 1.0


@pytest.mark.parametrize(("pairs", "why"), [(((3, 4),), "of one photo"),
                                            (((3, 4), (3, 2)), "the truth is the same for every photo")])
def test_r2_is_none_with_a_note_where_there_is_nothing_to_explain(pairs, why):
    result = by_hand(*pairs)
    assert result.r2 is None and result.per_number["age"].r2 is None
    assert f"R² of age is not defined: {why}." in result.notes
    assert json.loads(json.dumps(result.as_dict()))["r2"] is None and "R² –" in repr(result)


def test_the_worst_photos_are_those_furthest_off_in_standard_deviations():
    """Ten years off is more than a thousand euros off, where ages differ by ten and prices by a hundred
    thousand.
    """
    truth = torch.tensor([[40.0, 3e5], [30.0, 2e5], [50.0, 4e5]])
    said = truth + torch.tensor([[10.0, 0.0], [0.0, 1000.0], [1.0, 0.0]])
    result = NumberEvaluation(("age", "price"), said, truth, ("a", "b", "c"), scale=(10.0, 1e5))
    assert [row.name for row in result.worst] == ["a", "c", "b"]
    assert result.worst[0].error == 0.5 and result.worst[0].true == (40.0, 3e5)
    assert len(drawn().worst) == 20 and [row.index for row in drawn().rows] == list(range(50))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"do not fit: predicted \[2, 1\], truth \[2, 1\], 2 numbers"):
        NumberEvaluation(("a", "b"), torch.zeros(2, 1), torch.zeros(2, 1), ("x", "y"))
    with pytest.raises(ValueError, match="do not fit"):
        NumberEvaluation(("a",), torch.zeros(0, 1), torch.zeros(0, 1), ())


# --- judging a model ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    """Says about half of the level of a photo, in the number's own unit."""
    model = tiny(seed=3)
    prepared_for(model, Splits("levels", photo_set(bright(20)), photo_set(bright(8, seed=1))))
    return model.eval()


def test_each_photo_gets_the_answer_that_look_gives_it(net):
    photos = photo_set(bright(7, seed=2))
    result = evaluate(net, photos, batch_size=3)
    assert isinstance(result, explorer.NumberEvaluation) and result.numbers == ("level", )
    assert result.data_name == "PhotoSet"
    expected = [explorer.look(net, photo).predictions[0].value for photo, _ in photos]
    assert result.predicted.flatten().tolist() == pytest.approx(expected, abs=1e-6 * net.config.number_std[0])
    assert result.truth.flatten().tolist() == [label[0] for label in photos.labels]
    assert result.scale == net.config.number_std and result.throughput.device == "cpu"
    assert result.open_photo(result.rows[2]) is photos[2][0]


def test_the_mirror_image_is_averaged(net):
    gradient = Image.fromarray(np.tile(np.linspace(0, 255, 32, dtype=np.uint8), (32, 1))).convert("RGB")
    photos = PhotoSet(("level",), ((127.0,),), ("it",), lambda i: gradient, numbers=True)
    plain, mirrored = evaluate(net, photos), evaluate(net, PhotoSet(
        ("level",), ((127.0,),), ("it",), lambda i: gradient.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        numbers=True))
    both = evaluate(net, photos, tta=True)
    assert abs(float(plain.predicted - mirrored.predicted)) > 1e-3
    assert float(both.predicted) == pytest.approx(float(plain.predicted + mirrored.predicted) / 2, rel=1e-6)
    assert "mirror image" in str(both)


def test_a_table_is_judged_by_the_columns_that_are_called_as_the_models_numbers_are(net, tmp_path):
    path = table(tmp_path / "data", bright(10), "file,level")
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0] + ",label", *(f"{line},7" for line in text[1:])]) + "\n")
    held_out, everything = evaluate(net, path), evaluate(net, path, split="all")
    assert len(held_out) == 2 and len(everything) == 10 and everything.numbers == ("level", )
    assert everything.split == "all"
    other = table(tmp_path / "other", bright(10), "file,brightness")
    result = evaluate(net, read_table(other), split="all")
    assert any("taken to be the model's level" in note for note in result.notes)
    assert result.files[0] == tmp_path / "other" / "0.png"


def test_whole_numbers_of_a_data_set_are_numbers_for_a_model_of_numbers(net):
    result = evaluate(net, [(photo, int(level)) for photo, level in bright(10)], split="all")
    assert sorted(result.truth.flatten().tolist()) == sorted(float(int(level)) for _, level in bright(10))


def test_photos_that_can_not_be_opened_are_left_out_by_name(net, tmp_path):
    path = table(tmp_path / "data", bright(6))
    (tmp_path / "data" / "2.png").write_bytes(b"no picture")
    result = evaluate(net, path, split="all")
    assert len(result) == 5 and result.broken[0][0] == "2.png" and any("Left out, 2.png" in note
                                                                       for note in result.notes)
    assert [row.true[0] for row in result.rows] == [pytest.approx(level) for i,
                                                    (_, level) in enumerate(bright(6)) if i != 2]


def test_a_stop_judges_what_was_done_so_far(net):
    result = evaluate(net, photo_set(bright(9)), batch_size=3, should_stop=lambda: True)
    assert len(result) == 3 and any("Stopped after 3 of 9" in note for note in result.notes)


def test_a_model_of_numbers_and_photos_with_classes_do_not_fit_nor_the_other_way_round(net, tmp_path):
    with pytest.raises(DataError, match=r"The model gives numbers \(level\), and the photos have 5 classes: "
                                        r"give a table"):
        evaluate(net, "flowers5_nano")
    with pytest.raises(DataError, match="The model tells 3 classes, and the photos have no classes but the "
                                        "number level"):
        evaluate(tiny(3), table(tmp_path / "data", bright(6)))
    with pytest.raises(DataError, match=r"gives 1 number \(level\), and the photos have numbers level, ten"):
        evaluate(net, photo_set(bright(3), "ten"))


def test_scores_that_are_not_finite_are_refused(net):
    broken = tiny()
    prepared_for(broken, Splits("levels", photo_set(bright(4)), photo_set(bright(4))))
    torch.nn.init.constant_(broken.module.fc.bias, float("nan"))
    with pytest.raises(ValueError, match="not finite for 3 of 3 photos"):
        evaluate(broken, photo_set(bright(3)))


# --- what is shown and kept ---------------------------------------------------------------------------------

NASTY = "<script>alert(1)</script>$x^2$"


def test_the_page_has_figures_a_chart_and_photos_and_no_script(net):
    photos = photo_set(bright(4, seed=3))
    nasty = PhotoSet((NASTY,), photos.labels, (f"=1+1{NASTY}", "b", "c", "d"), photos.open_one, numbers=True)
    result = evaluate(net, nasty)
    result.numbers, result.model_name = (NASTY,), NASTY
    del result.per_number
    page = parse(result._repr_html_())
    assert "script" not in page.tags and NASTY in page.text
    kinds = [one.attributes["src"].partition(";")[0] for one in page.find_all("img")]
    assert kinds == ["data:image/png"] + ["data:image/jpeg"] * 4
    assert page.find_all("img")[0].attributes["alt"].startswith("Predicted against true")
    assert all("standard deviations" in one.text for one in page.find_all("figcaption"))
    assert result._repr_mimebundle_()["text/plain"] == repr(result)
    result.plot()._repr_png_()  # a name is no formula


def test_the_text_says_how_far_off_and_what_guessing_would_be():
    result = by_hand((1, 3), (5, 5), (9, 10), model_name="ages", data_name="people.csv")
    text = str(result)
    assert text.startswith("ages on people.csv: 3 photos, MAE 1, RMSE 1.291, R² 0.844\n")
    assert ("age: off by 1 on average. Guessing the mean of these photos every time would be off by 2.667."
            in text)
    assert re.search(r"photo 0\s+1\s+3", text)
    assert repr(result) == "NumberEvaluation('ages', 'people.csv', 3 photos, MAE 1, RMSE 1.291, R² 0.844)"
    assert "means over the 2 numbers" in str(drawn())


def test_the_chart_draws_each_number_and_refuses_one_that_is_not_there():
    assert len(drawn().plot().axes) == 2 and len(drawn().plot(["price"]).axes) == 1
    assert len(drawn().plot("age").axes) == 1
    many = drawn(names=tuple(f"n{i}" for i in range(12)))
    (picture,) = parse(many._repr_html_()).find_all("img")
    assert len(many.plot().axes) == 9 and picture.attributes["src"].startswith("data:image/png")
    (axes,) = by_hand((1, 3), (5, 5), (9, 10)).plot().axes
    assert axes.get_xlabel() == "true age" and axes.get_xlim() == axes.get_ylim()
    with pytest.raises(ValueError, match="There is no number 'size': there are age, price"):
        drawn().plot(["size"])


def test_the_csv_has_a_line_a_photo_and_no_formula(tmp_path):
    result = NumberEvaluation(("=age",), torch.tensor([[3.0], [5.0]]), torch.tensor([[1.0], [5.5]]),
                              ("=cmd", "b.png"))
    result.to_csv(tmp_path / "out.csv")
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["'=cmd", "b.png"]
    assert [float(rows[0][f"{what} =age"]) for what in ("true", "predicted", "difference")] == [1.0, 3.0, 2.0]
    assert float(rows[1]["difference =age"]) == -0.5


def test_all_figures_are_plain_json(net):
    facts = json.loads(json.dumps(evaluate(net, photo_set(bright(5))).as_dict(), allow_nan=False))
    assert {"mae", "rmse", "r2", "per_number", "worst", "photos", "numbers"} <= facts.keys()
    assert set(facts["per_number"]["level"]) == {"mae", "rmse", "r2", "bias", "guess"}
