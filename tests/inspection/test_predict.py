"""One photo, a list, a folder: the predictions of `look`, in a table that survives broken files."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.look import faster
from explorer.inspection.look.looking import look
from explorer.inspection.look.predicting import ROWS_SHOWN, PredictionTable, predict
from explorer.inspection.look.tail import fingerprint
from tests.html import parse
from tests.inspection.small_models import noise_photo, red_and_blue, told
from tests.models.oracle import randomise


def net_with_a_norm() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )
    randomise(net)
    return explorer.wrap(net, input_size=(3, 24, 24)).eval()


@pytest.fixture
def photos() -> list[Image.Image]:
    noise = np.random.default_rng(3).integers(0, 256, (5, 50, 60, 3)).astype(np.uint8)
    return [Image.fromarray(pixels) for pixels in noise]


@pytest.fixture
def folder(tmp_path, photos):
    """Three pictures (one in a subfolder), a broken one, two files that are no pictures, and hidden ones."""
    photos[0].save(tmp_path / "photo10.png")
    photos[1].save(tmp_path / "photo2.PNG")
    (tmp_path / "sub").mkdir()
    photos[2].save(tmp_path / "sub" / "a.jpg")
    (tmp_path / "photo3.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".cache").mkdir()
    photos[3].save(tmp_path / ".cache" / "hidden.png")
    return tmp_path


def test_one_photo_gives_the_predictions_of_a_look(small_model, photo):
    assert predict(small_model, photo, topk=3) == look(small_model, photo, topk=3).predictions


@pytest.mark.parametrize("kind", ["PIL", "array", "tensor", "path", "bytes", "file"])
def test_one_photo_may_be_anything_that_load_image_takes(small_model, photo, tmp_path, kind):
    path = tmp_path / "photo.png"
    photo.save(path)
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    given = {"PIL": photo, "array": np.asarray(photo), "tensor": tensor, "path": path,
             "bytes": path.read_bytes(), "file": io.BytesIO(path.read_bytes())}[kind]
    assert predict(small_model, given, topk=1) == look(small_model, photo, topk=1).predictions


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_a_list_gives_each_photo_its_own_predictions_whatever_the_batch(small_model, photos, batch_size):
    table = predict(small_model, photos, topk=2, batch_size=batch_size)
    assert len(table) == 5 and [row.name for row in table] == [f"image {i}" for i in range(1, 6)]
    for row, photo in zip(table, photos):
        expected = look(small_model, photo, topk=2).predictions
        assert [p.index for p in row.predictions] == [p.index for p in expected]
        for shown, wanted in zip(row.predictions, expected, strict=True):
            assert shown.probability == pytest.approx(wanted.probability, rel=1e-4)


def test_photos_are_read_a_batch_ahead_at_most(small_model, photos):
    sizes, read = [], 0

    def source():
        nonlocal read
        for photo in photos:
            read += 1
            yield photo

    def remember(module, args):
        sizes.append((len(args[0]), read))

    handle = small_model.conv1.register_forward_pre_hook(remember)
    predict(small_model, source(), batch_size=2)
    handle.remove()
    assert [size for size, _ in sizes] == [2, 2, 1]
    assert sizes[0][1] <= 4


def test_of_many_photos_a_faster_copy_sees_most_and_says_the_same(monkeypatch):
    model, made, photos = net_with_a_norm(), [], [noise_photo(seed=seed) for seed in range(9)]
    plain = predict(model, photos, batch_size=4)
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 4)
    monkeypatch.setattr(faster, "unproven_copy",
                        lambda net, _: made.append(explorer.optimize(net)) or made[-1])
    for many in (photos, iter(photos)):  # of a generator nobody knows how many follow
        fast = predict(model, many, batch_size=4)
        for one, other in zip(plain, fast, strict=True):
            assert [p.index for p in one.predictions] == [p.index for p in other.predictions]
            assert [p.logit for p in one.predictions] == pytest.approx(
                [p.logit for p in other.predictions], rel=1e-4, abs=1e-5
            )
    assert len(made) == 1 and made[0].optimize_report.folded  # made for the first, and kept for the second
    before = fingerprint(model)
    predict(model, photos, batch_size=4)
    assert fingerprint(model) == before


def test_a_network_without_norms_is_not_copied(monkeypatch):
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    monkeypatch.setattr(faster, "unproven_copy", lambda *_: pytest.fail("there is nothing to fold"))
    net = explorer.create_model("lenet5").eval()
    assert len(predict(net, [noise_photo(seed=seed) for seed in range(4)], batch_size=2)) == 4


def test_a_folder_is_read_in_natural_order_with_its_subfolders(small_model, folder):
    table = predict(small_model, folder, topk=1)
    assert [row.name for row in table] == ["photo2.PNG", "photo3.jpg", "photo10.png", "sub/a.jpg"]
    assert table.ignored == 2
    assert predict(small_model, str(folder), topk=1).rows == table.rows


def test_a_broken_file_becomes_a_row_with_a_sentence(small_model, folder, photos):
    table = predict(small_model, folder, batch_size=2)
    (broken,) = table.errors
    assert broken.name == "photo3.jpg" and "broken" in broken.error and not broken.predictions
    good = [row for row in table if not row.error]
    for row, photo in zip(good[:2], (photos[1], photos[0])):
        assert row.predictions[0].index == look(small_model, photo).predictions[0].index


def test_a_list_of_broken_things_only_is_a_table_of_sentences(small_model):
    table = predict(small_model, [b"", "nowhere.png", 5], batch_size=2)
    assert len(table.errors) == 3 and all(row.error.endswith(".") for row in table)


def test_one_broken_photo_raises(small_model, tmp_path):
    with pytest.raises(explorer.ImageError):
        predict(small_model, tmp_path / "nowhere.png")


def test_an_empty_list_and_an_empty_folder_are_empty_tables(small_model, tmp_path):
    assert len(predict(small_model, [])) == 0
    table = predict(small_model, tmp_path)
    assert len(table) == 0 and "0 photos" in repr(table)
    page = parse(table._repr_html_())
    assert table.to_json() == "[]" and "0 photos" in page.text and page.find("table").rows() == []


def test_training_flags_are_put_back(small_model, photos):
    small_model.train()
    small_model.layer2.eval()
    flags = [m.training for m in small_model.modules()]
    predict(small_model, photos)
    assert [m.training for m in small_model.modules()] == flags


def test_without_a_classifier_there_is_nothing_to_predict(small_model, photo):
    small_model.reset_classifier(0)
    with pytest.raises(ValueError, match="embedding"):
        predict(small_model, photo)


@pytest.mark.parametrize("batch_size", [0, -3, 1.5, True])
def test_a_batch_size_that_is_no_count_is_refused(small_model, photos, batch_size):
    with pytest.raises(ValueError, match="batch_size is"):
        predict(small_model, photos, batch_size=batch_size)


def test_json_holds_every_number(small_model, folder):
    table = predict(small_model, folder, topk=2)
    rows = json.loads(table.to_json())
    assert [row["name"] for row in rows] == [row.name for row in table]
    for row, original in zip(rows, table):
        assert row["error"] == (original.error or None)
        assert [tuple(p.values()) for p in row["predictions"]] == [
            (p.label, p.index, p.probability, p.logit) for p in original.predictions]


def test_json_is_valid_even_where_a_score_is_not_a_number(small_model, photos):
    with torch.no_grad():
        small_model.fc.bias.fill_(float("nan"))

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    rows = json.loads(predict(small_model, photos[:1]).to_json(), parse_constant=refuse)
    assert rows[0]["predictions"][0]["probability"] is None


def test_csv_has_a_line_for_each_prediction_and_each_error(small_model, folder, tmp_path):
    small_model.config = small_model.config.with_(labels=tuple(f'with "quotes", comma {i}' for i in range(7)))
    table = predict(small_model, folder, topk=3)
    table.to_csv(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 3 + 1
    assert [line["name"] for line in lines if line["error"]] == ["photo3.jpg"]
    first = table[0].predictions[1]
    assert lines[1]["label"] == first.label and lines[1]["rank"] == "2"
    assert float(lines[1]["probability"]) == first.probability and float(lines[1]["logit"]) == first.logit


def test_the_html_names_every_photo_and_every_error_and_has_no_script(small_model, folder):
    table = predict(small_model, folder, topk=2)
    page = parse(table._repr_html_())
    assert page.tags <= set("div p b span br table tbody tr th td img".split())
    for row, (_picture, name, answer) in zip(table, page.find("table").rows(), strict=True):
        assert name == row.name and row.error in answer
        assert all(p.label in answer for p in row.predictions)
    assert "2 other files ignored" in page.text and "mean nothing" in page.text


def test_hostile_file_names_and_labels_do_not_become_html(small_model, tmp_path, photos):
    evil = "<script>alert(1)<img src=x onerror=boom>&"
    photos[0].save(tmp_path / "<img src=x onerror=boom>.png")
    (tmp_path / "<script>.png").write_bytes(b"broken")
    small_model.config = small_model.config.with_(architecture=evil, labels=(evil,) * 7)
    page = parse(predict(small_model, tmp_path)._repr_html_())
    assert "script" not in page.tags and "onerror" not in page.attribute_names
    assert evil in page.text and "<script>.png" in page.text


def test_a_long_table_shows_its_beginning_and_holds_all(small_model):
    small = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(ROWS_SHOWN + 5)]
    table = predict(small_model, small, topk=1)
    page = parse(table._repr_html_())
    assert len(table) == ROWS_SHOWN + 5 == len(json.loads(table.to_json()))
    assert len(page.find("table").rows()) == ROWS_SHOWN == len(page.find_all("img"))
    assert "and 5 more" in page.find_all("p")[-1].text


def test_the_text_is_short_in_a_notebook_and_whole_in_print(small_model, folder):
    table = predict(small_model, folder, topk=2)
    facts = "4 photos, 1 could not be opened, 2 other files ignored"
    assert repr(table) == f"PredictionTable('resnet18', {facts})"
    lines = str(table).splitlines()
    assert len(lines) == 3 + 4 and "mean nothing" in lines[1] and "7 classes are called" in lines[2]
    assert lines[3].startswith("photo2.PNG ") and table[0].predictions[1].label in lines[3]


def test_a_name_predicts_with_its_trained_weights():
    from explorer.data import sample_photos

    chosen = [p for p in sample_photos() if p.name in ("school_bus", "banana_pomegranate", "cat_tabby")]
    table = explorer.predict("tf_efficientnet_lite0", [p.path for p in chosen], topk=1)
    assert isinstance(table, PredictionTable) and table.notes == ()
    for photo, row in zip(chosen, table, strict=True):
        assert row.predictions[0].index in photo.imagenet_indices


def test_a_table_shows_file_names_without_their_folder_where_that_is_enough(small_model, tmp_path):
    for name in ("a/one.png", "b/one.png", "b/two.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    table = predict(small_model, [tmp_path / name for name in ("a/one.png", "b/one.png", "b/two.png")])
    names = [name for _picture, name, _answer in parse(table._repr_html_()).find("table").rows()]
    assert names == [str(tmp_path / "a/one.png"), str(tmp_path / "b/one.png"), "two.png"]


def test_a_table_of_numbers_has_values_and_no_percentages(tmp_path):
    model = told("numbers", ("weight", "=size"), number_mean=(100.0, 0.0), number_std=(10.0, 1.0))
    table = predict(model, [red_and_blue(), red_and_blue(32)])
    first = table[0].predictions
    assert table.numbers
    assert [one.value for one in first] == [
        pytest.approx(100 + 10 * first[0].logit),
        pytest.approx(first[1].logit),
    ]
    table.to_csv(tmp_path / "numbers.csv")
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open(encoding="utf-8")))
    assert list(rows[0]) == ["name", "label", "index", "value", "logit", "error"] and len(rows) == 4
    assert float(rows[0]["value"]) == first[0].value and rows[1]["label"] == "'=size"
    facts = json.loads(table.to_json())[0]["predictions"][0]
    assert facts["value"] == first[0].value and facts["probability"] is None
    shown = table._repr_html_() + str(table)
    assert " %" not in shown and first[0].text in shown


def test_a_table_of_classes_has_no_column_of_values(tmp_path):
    table = predict(told("several", ("red", "blue")), [red_and_blue()])
    table.to_csv(tmp_path / "classes.csv")
    assert (tmp_path / "classes.csv").read_text().splitlines()[
        0
    ] == "name,rank,label,index,probability,logit,error"
    assert "value" not in table.to_json()
