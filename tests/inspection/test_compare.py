"""Comparing models: answers joined by name, agreement, maps at equal stride, the front, many photos,
failures.
"""

from __future__ import annotations

import csv
import io
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.samples import sample_photos
from explorer.inspection.compare import joining
from explorer.inspection.compare.comparing import compare
from explorer.inspection.compare.facts import ModelRow, pareto_front
from explorer.inspection.compare.page import maps_html
from explorer.inspection.compare.speed import Speed
from explorer.inspection.look.passes import Stopped
from explorer.models.weights.report import WeightsError
from tests.html import parse
from tests.inspection.small_models import RedNet, red_and_blue, told
from tests.inspection.test_speed import a_speed

LITE = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]
SIZE = (3, 32, 32)
RED, GREEN, BLUE = (220, 40, 40), (40, 200, 60), (40, 60, 210)


class Colour(nn.Module):
    """Says which of three colours fills the photo, in its labels' order; `confused` mixes up the last two."""

    def __init__(self, order: tuple[int, ...], confused: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(3, len(order), 1, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        with torch.no_grad():
            self.conv.weight.zero_()
            for place, channel in enumerate(order):
                self.conv.weight[place, channel % 3] = 5.0 + place / 10
            if confused:
                self.conv.weight[1:] = self.conv.weight[1:].flip(0).clone()

    def forward(self, x):
        return self.pool(self.conv(x)).flatten(1)


def colours(labels=("red", "green", "blue"), order=(0, 1, 2), **options):
    return explorer.wrap(Colour(order, **options), labels=labels, input_size=SIZE)


def photos() -> list[Image.Image]:
    return [Image.new("RGB", (40, 36), colour) for colour in (RED, GREEN, BLUE)]


@pytest.fixture
def folder(tmp_path):
    """Photos of three colours in three folders, and a broken one."""
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (30, 24), tuple(min(c + i, 255) for c in colour)).save(
                tmp_path / "colours" / name / f"{i}.png"
            )
    return tmp_path / "colours"


def two(**options):
    return compare(
        {"right": colours(), "confused": colours(confused=True)}, photos(), **{"measure": False, **options}
    )


@pytest.fixture(scope="module")
def trained():
    """Two trained models and two bundled photos."""
    return compare(LITE, sample_photos()[:2], measure=False)


# --- answers ------------------------------------------------------------------------------------------------


def test_the_answers_are_those_of_predict(trained):
    for name in LITE:
        table = explorer.predict(name, sample_photos()[:2])
        for j, row in enumerate(table):
            assert trained.answer(name, j) == row.predictions[0].label
            assert trained.probabilities(name, j).max() == pytest.approx(
                row.predictions[0].probability, rel=1e-4
            )


def test_all_models_answer_on_one_axis(trained):
    rows = trained.predictions(1, topk=3)
    expected = {p.label for i in range(2) for p in trained.looks[i][1].predictions[:3]}
    assert {row.label for row in rows} == expected and len(rows) == len(expected)
    for row in rows:
        for i, share in enumerate(row.shares):
            seen = trained.looks[i][1]
            assert share == pytest.approx(
                float(seen.logits.softmax(0)[seen.labels.index(row.label)]), rel=1e-4
            )
    best = [max(row.shares) for row in rows]
    assert best == sorted(best, reverse=True)
    assert {row.label for row in rows if row.right} <= {"tabby", "tiger cat", "Egyptian cat"}
    assert any(row.right for row in rows)


def test_classes_are_joined_by_name_whatever_their_numbers():
    other = colours(labels=("Blue", "red", "GREEN "), order=(2, 0, 1))
    result = compare([colours(), other], photos(), measure=False)
    assert [result.answer(1, j) for j in range(3)] == ["red", "GREEN ", "Blue"]
    assert result.agreement.tolist() == [[1, 1], [1, 1]]
    assert all(None not in row.shares for row in result.predictions(0)) and len(result.predictions(0)) == 3
    assert not any("different classes" in note for note in result.notes)


def test_a_class_that_only_one_model_knows_is_said_and_is_no_agreement():
    other = colours(labels=("red", "leaf", "blue"))
    result = compare([colours(), other], photos(), measure=False)
    shares = {row.label: row.shares for row in result.predictions(1)}
    assert shares["leaf"][0] is None and shares["green"][1] is None and None not in shares["red"]
    assert result.agreement[0, 1] == pytest.approx(2 / 3)
    assert any("know different classes" in note and "2 have the same name" in note for note in result.notes)


def test_two_classes_of_one_name_stay_two():
    result = compare(
        [colours(labels=("red", "red", "blue")), colours(labels=("red", "red", "blue"))],
        photos(),
        measure=False,
    )
    assert len(result.predictions(1)) == 3


def test_photos_are_sorted_by_how_far_the_models_are_apart():
    one, other = colours(), colours(confused=True)
    result = compare({"a": one, "b": other, "c": one}, photos())
    rows = result.disagreements()
    assert [row.share for row in rows] == [pytest.approx(2 / 3), pytest.approx(2 / 3), 0]
    assert rows[2].photo == result.photos[0] and rows[2].answers == ("red", "red", "red")
    assert set(rows[0].answers) == {"green", "blue"} and rows[0].confidence >= rows[1].confidence
    assert all(0 < row.confidence <= 1 and row.distance == 0 for row in rows)


def test_agreement_is_the_share_of_photos_with_the_same_answer():
    result = two()
    assert [result.answer("right", j) for j in range(3)] == ["red", "green", "blue"]
    assert [result.answer("confused", j) for j in range(3)] == ["red", "blue", "green"]
    np.testing.assert_allclose(result.agreement, [[1, 1 / 3], [1 / 3, 1]])


def test_a_model_without_classifier_is_compared_without_answers():
    result = compare(
        [explorer.create_model("resnet18", num_classes=0).eval(), colours()], photos()[:1], measure=False
    )
    assert result.answer(0) == "" and np.isnan(result.agreement[0, 1]) and result.agreement[1, 1] == 1
    assert [row.shares[0] for row in result.predictions(0)] == [None] * 3
    assert result.maps(32)[0] is not None
    bars = parse(result._repr_html_()).find_all(role="img")
    assert {bar.text for bar in bars if bar.attributes["title"].startswith(result.names[0])} == \
        {"does not know this class"}
    assert "–" in texts(result.figure("agreement"))


# --- facts about the models --------------------------------------------------------------------------------


def test_the_table_has_the_published_facts(trained):
    from explorer.models.card import model_card

    for name, row in zip(LITE, trained.rows):
        card = model_card(name)
        assert (row.parameters, row.published) == (card.parameters, card.config.top1)
        assert row.macs == pytest.approx(card.macs, rel=0.01) and row.input_size == card.config.input_size


def test_weights_that_are_not_the_published_ones_have_no_published_accuracy(small_model):
    head = explorer.create_model(LITE[0], pretrained=True, num_classes=5).eval()
    result = compare([small_model, head], photos()[:1], measure=False)
    assert [row.published for row in result.rows] == [None, None]
    points, left_out = result.points("parameters", "published")
    assert points == [] and [name for name, _ in left_out] == list(result.names)
    assert all("no accuracy is published" in why for _, why in left_out)


def test_what_weights_do_not_mean_is_said_for_the_model_it_concerns(small_model):
    result = compare([small_model, colours()], photos()[:1], measure=False)
    assert any(note.startswith("resnet18: No weights were loaded") for note in result.notes)


def test_bundled_photos_know_what_they_show(trained):
    for i, row in enumerate(trained.rows):
        labels = explorer.data.labels.imagenet_labels()
        right = sum(trained.answer(i, j) in [labels[k] for k in photo.imagenet_indices]
                    for j, photo in enumerate(sample_photos()[:2]))
        assert (row.right, row.judged) == (right, 2)
    assert any("judged by 2 of 2 photos" in note and "Fewer than 20" in note for note in trained.notes)


def test_a_folder_of_classes_judges_the_models_that_know_them(folder, tmp_path):
    models = {
        "right": colours(),
        "confused": colours(confused=True),
        "others": colours(labels=("a", "b", "c")),
    }
    result = compare(models, folder, measure=False, cache_dir=tmp_path / "cache")
    assert [(row.right, row.judged) for row in result.rows] == [(24, 24), (8, 24), (None, 0)]
    assert result.rows[0].measured == 100 and result.rows[2].measured is None
    assert result.accuracy == "published"  # one of them was not judged
    points, left_out = result.points("parameters", "measured")
    assert [point.y for point in points] == pytest.approx([100, 100 / 3])
    assert left_out[0][0] == "others" and "by name" in left_out[0][1]


def test_a_folder_is_read_as_it_is_described(folder, tmp_path):
    """case A8: `Train/` + `Test/` are no classes; case A9: what is left out is said."""
    models = {"one": colours(), "two": colours(confused=True)}
    (folder / "__MACOSX").mkdir()
    result = compare(models, folder, measure=False, cache_dir=tmp_path / "cache")
    assert any("__MACOSX is left out" in note for note in result.notes)
    for part in ("Train", "Test"):
        shutil.copytree(folder, tmp_path / "both" / part)
    result = compare(models, tmp_path / "both", measure=False, cache_dir=tmp_path / "cache")
    assert (result.rows[0].right, result.rows[0].judged) == (24, 24)
    result = compare(models, tmp_path / "colours" / "red", measure=False, cache_dir=tmp_path / "cache")
    assert len(result.photos) == 8 and not result.rows[0].judged


def test_folders_that_could_be_classes_or_not_are_looked_at_without_classes(folder, tmp_path):
    for part in ("fold1", "fold2"):
        shutil.copytree(folder, tmp_path / "folds" / part)
    result = compare([colours(), colours(confused=True)], tmp_path / "folds", measure=False,
                     cache_dir=tmp_path / "cache")
    assert len(result.photos) == 48 and not result.rows[0].judged
    assert any("all hold the same folders" in note for note in result.notes)


def test_accuracy_is_the_measured_one_where_every_model_was_judged_by_enough(folder, tmp_path):
    result = compare([colours(), colours(confused=True)], folder, measure=False, cache_dir=tmp_path / "cache")
    assert result.accuracy == "measured" and result.names == ("Colour", "Colour (2)")


# --- maps and heat maps -------------------------------------------------------------------------------------


def test_maps_are_those_of_the_deepest_stage_at_a_stride(trained):
    for stride in trained.strides:
        for i, found in enumerate(trained.maps(stride, 1)):
            stages = [stage for stage in trained.models[i].stage_table if stage.reduction == stride]
            name, maps = found
            assert name == stages[-1].name and torch.equal(maps, trained.looks[i][1].stages[name])


def test_a_model_without_a_stage_at_a_stride_has_no_map_there():
    result = compare([explorer.create_model("resnet18").eval(), colours()], photos()[:1], measure=False)
    assert result.strides == (1, 2, 4, 8, 16, 32)
    assert result.maps(32)[1] is None and result.maps(1)[0] is None
    shown, missing = parse(maps_html(result, 32)).find_all("figure")
    assert shown.find("img").attributes["alt"].startswith(result.names[0])
    assert not missing.find_all("img") and missing.texts == ["Colour", "has no map at stride 32"]
    assert "No map at this stride: Colour." in texts(result.figure("maps", stride=32))
    with pytest.raises(ValueError, match="No model has a map at stride 64. There are maps at 1, 2, 4, 8, 16, "
                                         "32"):
        result.maps(64)


def test_heat_maps_come_from_the_looks_without_a_further_pass(trained):
    from explorer.inspection.attribution.explaining import explain

    passes = []
    handles = [model.register_forward_pre_hook(lambda *_: passes.append(1)) for model in trained.models]
    stems = [next(m for m in model.modules() if isinstance(m, nn.Conv2d)) for model in trained.models]
    handles += [stem.register_forward_pre_hook(lambda *_: passes.append(1)) for stem in stems]
    found = trained.cams(1, target="tabby")
    for handle in handles:
        handle.remove()
    assert passes == []
    for i, one in enumerate(found):
        direct = explain(trained.models[i], sample_photos()[1], method="gradcam", target="tabby")
        np.testing.assert_allclose(one.heatmap, direct.heatmap, atol=1e-4)
    assert trained.cams(1, target="tabby")[0] is found[0]  # kept


def test_a_class_that_a_model_does_not_know_is_a_sentence_in_its_place():
    result = compare([colours(), colours(labels=("red", "leaf", "blue"))], photos()[:1], measure=False)
    found = result.cams(0, target="leaf")
    assert found[0] == "Colour has no class 'leaf'." and not isinstance(found[1], str)


def test_stopping_the_heat_maps_keeps_those_that_are_there(trained):
    heard = []
    found = trained.cams(
        0, on_progress=lambda *facts: heard.append(facts), should_stop=lambda: len(heard) == 1
    )
    assert len(found) == 1 and heard[0][:2] == (0, 2)


# --- speed, front -------------------------------------------------------------------------------------------


def test_the_front_is_what_no_other_beats():
    points = [(1, 50), (2, 60), (3, 55), (2, 60), (4, 60), (5, 70), (0.5, 40)]
    assert pareto_front(points) == {0, 1, 3, 5, 6}  # equal points do not beat each other
    assert pareto_front([]) == set() and pareto_front([(1, 1)]) == {0}


def with_rows(result, rows):
    result.rows[:] = rows
    return result


def row(name: str, parameters: int, published: float | None, latency: Speed | None = None) -> ModelRow:
    return ModelRow(name, parameters, 10**9, 4 * parameters, SIZE, 3, published=published, latency=latency)


def test_points_say_who_is_on_the_front_and_who_is_not_placed():
    result = with_rows(two(), [row("right", 10_000_000, 70.0), row("confused", 5_000_000, None)])
    points, left_out = result.points()
    assert [(p.name, p.x, p.y, p.front) for p in points] == [("right", 10.0, 70.0, True)]
    assert left_out == [("confused", "no accuracy is published for its weights as they are here")]
    figure = texts(result.figure("scatter"))
    assert "Not placed: confused, because no accuracy is published" in figure
    assert "million parameters" in figure


def test_latency_is_the_axis_once_it_was_measured():
    slow, quick = a_speed(passes=(0.2,)), a_speed(passes=(0.01,))
    result = with_rows(two(), [row("right", 10, 70.0, slow), row("confused", 20, 71.0, quick)])
    points, _ = result.points()
    assert [(p.x, p.front) for p in points] == [(200.0, False), (10.0, True)]
    with pytest.raises(ValueError, match="x is 'price': expected one of latency, parameters"):
        result.points("price")


def test_speed_is_measured_in_turns_with_progress_and_shown_with_its_spread():
    heard = []
    result = two()
    assert result.conditions == "" and result.rows[0].latency is None
    result.measure(warm_up=0, repeats=2, many=3, on_progress=lambda *facts: heard.append(facts))
    for one in result.rows:
        assert one.latency.batch_size == 1 and len(one.latency.passes) == 2 and one.latency.beside == 2
        assert one.throughput.batch_size == 3 and one.latency.peak_memory > one.weight_bytes
    assert heard[-1] == (6, 6, "timing passes over 3 photos")
    assert (1, 6, "timing passes over 1 photo") in heard
    columns, rows = result.table()
    assert "one photo, median (quartiles)" in columns and "2 models taking turns" in result.to_markdown()


def test_measuring_can_be_stopped():
    heard = []
    result = two()
    result.measure(
        warm_up=0,
        repeats=50,
        on_progress=lambda *facts: heard.append(facts),
        should_stop=lambda: len(heard) >= 5,
    )
    assert [len(one.latency.passes) for one in result.rows] == [2, 1] and result.rows[0].throughput is None


def test_a_model_that_cannot_be_timed_is_named_and_the_others_are():
    class Only(nn.Module):
        """Takes one photo at a time."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            if len(x) > 1:
                raise RuntimeError("one at a time")
            return self.conv(x).mean((2, 3))

    result = compare([colours(), explorer.wrap(Only(), input_size=SIZE)], photos()[:1], warm_up=0, repeats=1)
    assert all(one.latency for one in result.rows)
    assert result.rows[0].throughput and not result.rows[1].throughput
    assert [(who, "one at a time" in why) for who, why in result.problems] == [("Only", True)]


# --- many photos --------------------------------------------------------------------------------------------


def test_many_photos_give_the_answers_of_few_and_keep_no_looks(folder, tmp_path):
    models = {"right": colours(), "confused": colours(confused=True)}
    many = compare(models, folder, measure=False, cache_dir=tmp_path / "cache", batch_size=5)
    assert len(many.photos) == 24 and many.looks == () and isinstance(many.logits[0], np.memmap)
    few = compare(models, [folder / many.photos[0], folder / many.photos[9]], measure=False)
    for name in models:
        for j, k in enumerate((0, 9)):
            assert many.answer(name, k) == few.answer(name, j)
            np.testing.assert_allclose(many.probabilities(name, k), few.probabilities(name, j), rtol=1e-4)
    assert many.predictions("red/1.png")[0].right is not None
    for look_needed in (lambda: many.maps(32), lambda: many.cam(0)):
        with pytest.raises(ValueError, match="kept for at most 16 photos"):
            look_needed()


def test_first_answers_are_found_a_part_at_a_time(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "CHUNK", 7)
    result = compare([colours(), colours(confused=True)], folder, measure=False, cache_dir=tmp_path / "cache")
    assert [result.answer(0, j) for j in range(24)] == ["blue"] * 8 + ["green"] * 8 + ["red"] * 8
    assert result.agreement[0, 1] == pytest.approx(1 / 3)


def test_a_broken_photo_among_many_is_named_once_and_the_others_are_compared(folder, tmp_path):
    (folder / "red" / "bad.png").write_bytes(b"no picture")
    result = compare([colours(), colours(confused=True)], folder, measure=False, cache_dir=tmp_path / "cache")
    assert len(result.photos) == 24 and [who for who, _ in result.problems] == ["red/bad.png"]
    assert result.rows[0].right == 24


def test_stopped_among_many_photos_the_models_that_are_done_are_kept(folder, tmp_path):
    heard = []
    result = compare(
        {"first": colours(), "second": colours(confused=True)},
        folder,
        measure=True,
        batch_size=8,
        cache_dir=tmp_path / "cache",
        on_progress=lambda *facts: heard.append(facts),
        should_stop=lambda: any(what == "second looks" for _, _, what in heard),
    )
    assert result.names == ("first",) and len(result.photos) == 24 and result.rows[0].latency is None
    assert any("Stopped: 1 model of 2" in note for note in result.notes)


def test_bundled_data_are_judged_by_what_they_keep_back(tmp_path):
    result = compare(
        [colours(), colours(confused=True)], "flowers5_nano", measure=False, cache_dir=tmp_path / "cache"
    )
    assert len(result.photos) == len(explorer.data.datasets.open_data("flowers5_nano").val)
    assert any("keeps to judge by" in note for note in result.notes)
    assert any("no model knows a class of these names" in note for note in result.notes)


# --- what fails ---------------------------------------------------------------------------------------------


def test_weights_that_cannot_be_had_leave_the_others():
    result = compare([LITE[0], "resnet50", colours()], photos()[:1], measure=False)
    assert result.names == (LITE[0], "Colour")
    assert [(who, "not on this computer" in why) for who, why in result.problems] == [("resnet50", True)]
    page = parse(result._repr_html_())
    assert "resnet50" in result.to_markdown()
    assert any(one.text.startswith("resnet50: ") for one in page.find_all("p"))


def test_where_no_model_can_be_had_the_reasons_are_given():
    with pytest.raises(WeightsError, match="None of the models.*resnet50: .*resnet18: "):
        compare(["resnet50", "resnet18"], photos()[:1])


def test_a_wrong_name_leaves_the_others():
    result = compare(["resnet5O", colours()], photos()[:1], measure=False)
    assert result.names == ("Colour",) and "Did you mean 'resnet50'" in result.problems[0][1]


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.broken = False

    def forward(self, x):
        if self.broken:
            raise RuntimeError("cable unplugged")
        return self.conv(x).mean((2, 3))


def test_a_model_that_fails_on_the_way_leaves_the_others():
    broken = Broken()
    wrapped = explorer.wrap(broken, input_size=SIZE)
    broken.broken = True
    result = compare([wrapped, colours()], photos()[:1], measure=False)
    assert result.names == ("Colour",) and result.problems == [("Broken", "RuntimeError: cable unplugged")]
    with pytest.raises(ValueError, match="None of the models can be compared.*Broken: RuntimeError: cable"):
        compare([wrapped, "resnet5O"], photos()[:1])


def test_a_broken_photo_leaves_the_others(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    result = compare([colours(), colours()], [tmp_path / "bad.jpg", photos()[0]], measure=False)
    assert result.photos == ("photo 2",) and result.problems[0][0] == "bad.jpg"
    with pytest.raises(explorer.ImageError):
        compare([colours(), colours()], tmp_path / "bad.jpg")


@pytest.mark.parametrize(("models", "sentence"), [
    ("resnet50", "at least 2 models, as a list"), (["resnet50"], "2 to 8 models, not 1"),
    ([], "2 to 8 models, not 0"),
    ([f"resnet{n}" for n in range(9)], "2 to 8 models, not 9"),
    (["resnet50", " resnet50 "], "'resnet50' is there twice"),
])
def test_a_number_of_models_that_cannot_be_is_refused_in_a_sentence(models, sentence):
    with pytest.raises(ValueError, match=sentence):
        compare(models, photos())


def test_no_photo_is_refused():
    with pytest.raises(ValueError, match="There is no photo to compare"):
        compare([colours(), colours()], [])


def test_stopped_before_anything_is_done_there_is_nothing():
    with pytest.raises(Stopped):
        compare([colours(), colours()], photos(), should_stop=lambda: True)


def test_stopped_among_few_photos_the_models_that_are_done_are_kept():
    heard = []
    result = compare(
        {"a": colours(), "b": colours()},
        photos(),
        on_progress=lambda *facts: heard.append(facts),
        should_stop=lambda: heard[-1:] != [] and heard[-1][:2] == (3, 6),
    )
    assert result.names == ("a",) and (2, 6, "a looks") in heard and result.rows[0].latency is None


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.answer("nobody"),
        lambda r: r.answer(5),
        lambda r: r.predictions("nowhere.jpg"),
        lambda r: r.predictions(True),
    ],
)
def test_an_unknown_model_or_photo_is_refused_with_those_that_are_there(ask):
    with pytest.raises(ValueError, match="There is no (model|photo) .* in this comparison. It has (right, "
                                         "confused|photo 1)"):
        ask(two())


# --- on paper -----------------------------------------------------------------------------------------------


def test_the_csv_has_full_numbers_under_names_with_units(tmp_path):
    result = two(measure=True, warm_up=0, repeats=2)
    text = result.to_csv(tmp_path / "it.csv")
    assert (tmp_path / "it.csv").read_text(encoding="utf-8") == text
    first, _ = csv.DictReader(io.StringIO(text))
    assert first["model"] == "right" and int(first["parameters"]) == 9
    assert first["published_top1_percent"] == ""
    assert float(first["latency_ms"]) == 1000 * result.rows[0].latency.latency and first["threads"] == "1"


def test_the_csv_of_photos_has_every_first_answer():
    rows = list(csv.DictReader(io.StringIO(two().to_csv(of="photos"))))
    assert [row["confused"] for row in rows] == ["red", "blue", "green"]
    assert [float(row["right probability"]) for row in rows] == pytest.approx(
        [two().probabilities("right", j).max() for j in range(3)])


def test_markdown_survives_bars_in_names():
    text = compare({"a|b": colours(), "c": colours()}, photos(), measure=False).to_markdown()
    lines = text.splitlines()
    assert lines[2].startswith("| a\\|b | ") and lines[0].count("|") == lines[3].count("|")
    assert "Compared with 3 photos." in text


def texts(figure) -> str:
    from matplotlib.text import Text

    return " ".join(" ".join(found.get_text().split()) for found in figure.findobj(Text))


@pytest.mark.parametrize("kind", ["scatter", "predictions", "agreement", "maps", "cams"])
def test_every_figure_saves_as_png_and_svg(trained, kind):
    figure = trained.figure(kind)
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=30)
    figure.savefig(svg, format="svg")
    assert Image.open(png).width > 50 and ET.fromstring(svg.getvalue()).tag.endswith("svg")
    assert all(name in texts(figure) for name in LITE)


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="kind is 'pie': expected one of scatter, predictions"):
        two().figure("pie")


def test_a_dollar_in_a_name_is_a_dollar():
    result = compare(
        {"a $x$ b": colours(labels=("$red", "$green$", "blue")), "c": colours()}, photos(), measure=False
    )
    for kind in ("scatter", "predictions", "agreement", "maps"):
        out = io.BytesIO()
        result.figure(kind).savefig(out, format="svg")
        assert all(not text.get_parse_math() for text in result.figure(kind).texts)


def test_html_escapes_the_names_of_models_classes_and_photos(tmp_path):
    evil = "<script>alert(1)</script>"
    Image.new("RGB", (40, 36), RED).save(tmp_path / "a&b.png")
    result = compare(
        {evil: colours(labels=(evil, "b", "c")), "c": colours()},
        [tmp_path / "a&b.png", *photos()],
        measure=False,
    )
    page = parse(result._repr_html_())
    assert "script" not in page.tags
    assert page.find("h4", style="margin:10px 0 0").text == "Predictions for a&b.png"
    assert evil in {row[0] for row in page.find_all("table")[0].rows()}
    assert evil in {group.attributes["aria-label"] for group in page.find_all(role="group")}


def test_html_and_text_say_what_is_there(trained):
    page = parse(trained._repr_html_())
    columns, *rows = page.find_all("table")[0].rows()
    assert columns == trained.table()[0] and rows == trained.table()[1]
    assert page.find(role="region", aria_label="Agreement of the models").find("table").rows()[0] == [
        "",
        *LITE,
    ]
    assert any("tabby" in group.attributes["aria-label"] for group in page.find_all(role="group"))
    assert repr(trained) == "Comparison(tf_efficientnet_lite0, tf_efficientnet_lite1; 2 photos)"


def test_measured_accuracy_moves_the_front(trained):
    rows = [replace(one, right=right, judged=30) for one, right in zip(trained.rows, (27, 20))]
    result = replace(trained, rows=rows)
    assert result.accuracy == "measured"
    points, _ = result.points("parameters")
    assert [(p.y, p.front) for p in points] == [(pytest.approx(90.0), True), (pytest.approx(200 / 3), False)]


# --- what the scores mean -----------------------------------------------------------------------------------


def test_models_of_different_kinds_are_joined_by_name():
    """case A6: a yes or no, several classes and one of K agree by the name of what they say."""
    yes, several = told("yes/no", ("blue", "red")), told("several", ("red", "blue"))
    with torch.no_grad():
        yes.fc.bias.fill_(0.5)
        several.fc.bias.copy_(torch.tensor([0.4, 0.1]))
    result = compare(
        {"yes": yes, "several": several, "one": RedNet().eval()},
        [red_and_blue(), Image.new("RGB", (64, 64), (255, 0, 0))],
        measure=False,
    )
    assert [result.answer(i, 1) for i in range(3)] == ["red"] * 3
    assert result.agreement[0, 1] == 1 and [row.num_classes for row in result.rows] == [2, 2, 2]
    assert result.probabilities("several").sum() > 1 and result.probabilities("yes").sum() == pytest.approx(1)
    assert any("several tells several classes at once" in note for note in result.notes)


def test_numbers_differ_and_do_not_agree():
    plain, other = (
        told("numbers", ("redness", "blueness")),
        told("numbers", ("Redness",), number_mean=(5.0,), number_std=(1.0,)),
    )
    result = compare(
        {"plain": plain, "<b>": other}, [red_and_blue(), Image.new("RGB", (64, 64))], measure=False
    )
    assert np.isnan(result.agreement).all()
    assert result.differences[0, 1] == pytest.approx(5, rel=1e-4) and result.differences[0, 0] == 0
    first, second = result.numbers()
    assert first.label == "redness" and first.values[1] - first.values[0] == pytest.approx(5, rel=1e-4)
    assert second.values[1] is None
    page = parse(result._repr_html_())
    assert page.find_all("h4")[-1].text == "Differences" and "Agreement" not in page.text
    assert "b" not in page.tags and "<b>" in page.text
    assert result.answer(0).startswith("redness ") and "redness" in result.to_csv(of="photos")
    assert result.predictions() == [] and result.cam(0, target="blueness").label == "blueness"
    for kind in ("predictions", "agreement", "cams"):
        assert result.figure(kind) is not None


def test_numbers_beside_classes_are_said_to_have_nothing_in_common():
    result = compare(
        {"number": told("numbers", ("redness",)), "one": RedNet().eval()}, red_and_blue(), measure=False
    )
    assert any("nothing in common" in note for note in result.notes) and np.isnan(result.agreement[0, 1])
    assert {row.label for row in result.predictions()} == {"red", "blue"}
    assert result.predictions()[0].shares[0] is None


# --- whether they really differ -----------------------------------------------------------------------------


def answered(rights, names=None, *, known=True):
    """A comparison of models that are right about these photos: [M, N] of 0 and 1, of two classes."""
    from explorer.inspection.compare.comparison import Comparison
    from explorer.inspection.compare.facts import ModelRow
    from explorer.models.outputs import Outputs

    rights = np.asarray(rights)
    count = rights.shape[1]
    truth = np.arange(count) % 2
    logits = tuple(np.eye(2, dtype=np.float32)[np.where(row, truth, 1 - truth)] * 4 for row in rights)
    names = names or tuple("abcdefgh"[:len(rights)])
    rows = [ModelRow(name, 1, 1, 1, (3, 8, 8), 2, right=int(row.sum()), judged=count if known else 0)
            for name, row in zip(names, rights)]
    return Comparison(rows=rows, photos=tuple(f"{i}.png" for i in range(count)), problems=[], notes=(),
                      models=(), outputs=(Outputs("one", ("cat", "dog")),) * len(rights), logits=logits,
                      looks=(), truth=tuple(frozenset({("cat", "dog")[t]}) for t in truth) if known else ())


def test_two_models_are_held_against_each_other_as_evaluations_are():
    from tests.training.test_difference import judged

    random = np.random.default_rng(0)
    a, b = random.random(200) < 0.7, random.random(200) < 0.85
    result = answered([a, b])
    found, wanted = result.differ(), explorer.differ(judged(a, "a"), judged(b, "b"))
    assert (found.test, found.first, found.second, found.difference) == \
        (wanted.test, wanted.first, wanted.second, wanted.difference)
    assert found.only_first == tuple(row.name for row in wanted.only_first)
    assert result.standing == (wanted.sentence,) == tuple(result.captions[-1:]) and wanted.better == "b"
    assert result.differ("b", 0).test.first == found.test.second
    values = np.random.default_rng(9).integers(0, 200, (4000, 200))
    low, high = np.quantile((b.astype(float) - a)[values].mean(1), [0.025, 0.975])
    assert (found.difference.low, found.difference.high) == (pytest.approx(low, abs=0.01),
                                                             pytest.approx(high, abs=0.01))


def test_of_several_the_best_is_tested_against_each_with_corrected_p_values():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    random = np.random.default_rng(1)
    rights = [random.random(80) < share for share in (0.95, 0.86, 0.5, 0.72)]
    assert "as often as b, and is really better than" in answered(rights).standing[0]  # 75 of 80, both
    rights[1][np.flatnonzero(rights[1])[:3]] = False
    result = answered(rights)
    exact = [result.differ(0, i).test.exact for i in (1, 2, 3)]
    assert result.rows[0].right == max(row.right for row in result.rows)
    corrected = dict(zip("bcd", multitest.multipletests(exact, method="holm")[1]))
    [told] = result.standing
    really, perhaps = told.split("may be ahead")
    for name, p in corrected.items():
        assert f"{name} (p = " in (really if p < 0.05 else perhaps), name
        if p >= 0.001:
            assert f"{name} (p = {p:.3f})" in told
    assert "is really better than" in really and told.endswith("corrected for 3 tests (Holm).")


def test_where_no_class_is_known_nothing_is_tested():
    result = answered(np.ones((2, 30)), known=False)
    assert result.standing == ()
    with pytest.raises(ValueError, match="no photo whose right class is known to both a and b"):
        result.differ()
    few = answered(np.array([[1, 1, 0], [1, 0, 0]]))
    assert few.standing == () and few.differ().test.first == 1  # too few to say so unasked
    with pytest.raises(ValueError, match="a was given twice"):
        few.differ("a", 0)
    with pytest.raises(ValueError, match="There is no model 'z'"):
        few.differ("z")
    with pytest.raises(ValueError, match="draws"):
        few.differ(draws=0)
    with pytest.raises(ValueError, match="there are no two"):
        answered(np.ones((1, 30))).differ()


def test_photos_whose_class_one_model_does_not_know_do_not_count():
    result = answered([[1, 1, 0, 1], [0, 1, 1, 1]])
    result.truth = (frozenset({"cat"}), frozenset({"bird"}), frozenset({"cat"}), frozenset({"dog"}))
    assert np.isnan(result.right("a")[1]) and result.differ().photos == 3
