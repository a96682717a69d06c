"""`evaluate` for networks that find boxes: the figures are pycocotools' own, pairs are counted by hand."""

from __future__ import annotations

import builtins
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.data.folders import DataError
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import Boxes, PlaceSet
from explorer.training.evaluation.box_evaluation import DetectionEvaluation
from explorer.training.evaluation.place_figures import FoundBoxes, paired

COCO_MINI = Path(__file__).parent.parent / "data" / "places" / "coco_mini_boxes.json"


@pytest.fixture(scope="module")
def coco_mini(tmp_path_factory) -> PlaceSet:
    """Real boxes of 24 photos, with crowds made of some; the photos are blank. One photo has no box."""
    folder = tmp_path_factory.mktemp("coco")
    content = json.loads(COCO_MINI.read_text())
    for number, one in enumerate(content["annotations"]):
        one["iscrowd"] = int(number % 11 == 3)
    content["images"].append({"id": 1, "file_name": "images/empty.png", "width": 60, "height": 50})
    (folder / "images").mkdir()
    for one in content["images"]:
        Image.new("L", (one["width"], one["height"])).save(folder / one["file_name"])
    (folder / "boxes.json").write_text(json.dumps(content))
    return open_places(folder / "boxes.json", "detection")


def perturbed(truth: Boxes, classes: int, draw: np.random.Generator) -> FoundBoxes:
    """The true boxes moved a little, some missed, some of another class, and some where nothing is."""
    keep = draw.random(len(truth)) < 0.85
    boxes = truth.boxes[keep]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + draw.normal(0, 0.06, boxes.shape) * sides
    another = draw.random(len(boxes)) < 0.1
    labels = np.where(another, draw.integers(0, classes, len(boxes)), truth.labels[keep])
    corner = draw.random((3, 2)) * 200
    nothing = np.concatenate([corner, corner + draw.random((3, 2)) * 150 + 2], 1)
    return FoundBoxes(np.concatenate([boxes, nothing]), draw.random(len(boxes) + 3),
                      np.concatenate([labels, draw.integers(0, classes, 3)]))


def by_pycocotools(found: list[FoundBoxes], places: PlaceSet):
    """COCO's own evaluation, with its twelve figures."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(of):
        return [{"id": 0, "image_id": image, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0]}
                for image, one in enumerate(of)
                for (x0, y0, x1, y1), label in zip(one.boxes.tolist(), one.labels)]

    truth, said = rows(places.boxes), rows(found)
    for number, (row, crowd, area) in enumerate(zip(
            truth, np.concatenate([one.crowd for one in places.boxes]),
            np.concatenate([one.areas for one in places.boxes])), 1):
        row |= {"id": number, "iscrowd": int(crowd), "area": float(area)}
    for row, score in zip(said, np.concatenate([one.scores for one in found])):
        row["score"] = float(score)
    oracle = COCO()
    oracle.dataset = {"info": {}, "images": [{"id": i} for i in range(len(found))], "annotations": truth,
                      "categories": [{"id": i} for i in range(len(places.classes))]}
    oracle.createIndex()
    judge = COCOeval(oracle, oracle.loadRes(said), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_pycocotools_own(coco_mini, seed):
    draw = np.random.default_rng(seed)
    found = [perturbed(one, len(coco_mini.classes), draw) for one in coco_mini.boxes]
    found[2] = FoundBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    result = DetectionEvaluation(coco_mini.classes, found, coco_mini.boxes)
    judge = by_pycocotools(found, coco_mini)
    assert [result.map, result.ap50, result.ap75] == pytest.approx(judge.stats[:3].tolist(), abs=1e-6)
    assert [*result.per_size.values()] == pytest.approx(judge.stats[3:6].tolist(), abs=1e-6)
    assert 0.05 < result.map < 0.95
    precision, recall = judge.eval["precision"], judge.eval["recall"]
    for k, name in enumerate(coco_mini.classes):
        one, table = result.per_class[name], precision[:, :, k, 0, -1]
        if not one.boxes:
            assert (table == -1).all() and np.isnan([one.ap, one.ap50, one.recall]).all()
            continue
        assert [one.ap, one.ap50, one.ap75] == pytest.approx([table.mean(), table[0].mean(), table[5].mean()],
                                                             abs=1e-6)
        assert one.recall == pytest.approx(recall[:, k, 0, -1].mean(), abs=1e-6)
        np.testing.assert_allclose(result.curve(name, 0.75).precision, table[5], atol=1e-6)


def test_the_truth_itself_is_perfect_and_classes_without_boxes_are_in_no_mean(coco_mini):
    found = [FoundBoxes(one.boxes, np.linspace(0.9, 0.8, len(one)), one.labels) for one in coco_mini.boxes]
    result = DetectionEvaluation(coco_mini.classes, found, coco_mini.boxes)
    bare = [name for name, one in result.per_class.items() if not one.boxes]
    assert result.map == pytest.approx(1) and bare
    off = result.confusion - np.diag(np.diag(result.confusion))
    assert not off.any() and all(row.f1 == 1 for row in result.rows)
    with pytest.raises(ValueError, match="no curve"):
        result.curve(bare[0])


def boxes(*rows, crowd=()) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 5)
    hidden = np.zeros(len(table), bool)
    hidden[list(crowd)] = True
    areas = np.prod(table[:, 2:4] - table[:, :2], axis=1)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), hidden, areas)


def said(*rows) -> FoundBoxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return FoundBoxes(table[:, :4], table[:, 5], table[:, 4].astype(np.int64))


def test_pairs_of_boxes_are_counted_as_by_hand():
    truth = boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 1), (40, 0, 50, 10, 0), (60, 0, 90, 30, 1), crowd=[3])
    found = said((0, 0, 10, 9, 0, .9),      # right
                 (0, 0, 10, 10, 0, .8),     # the same once more: nothing is left for it
                 (20, 0, 30, 10, 0, .7),    # of another class
                 (62, 2, 70, 10, 1, .6),    # on the crowd: counts neither way
                 (200, 0, 210, 10, 1, .5))  # where nothing is
    assert sorted(paired(found, truth), key=str) == sorted(
        [(0, 0), (1, 0), (0, None), (None, 0), (None, 1)], key=str)
    result = DetectionEvaluation(("a", "b"), [found], [truth], score=0.3)
    assert result.confusion.tolist() == [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    row = result.rows[0]
    assert (row.right, row.confused, row.missed, row.invented) == (1, 1, 1, 2)
    assert row.f1 == pytest.approx(2 / 7)


def test_a_box_of_the_same_class_is_preferred_to_one_that_overlaps_more():
    truth = boxes((0, 0, 10, 10, 0), (0, 0, 10, 9, 1))
    assert sorted(paired(said((0, 0, 10, 10, 1, .9), (0, 0, 10, 9, 0, .8)), truth)) == [(0, 0), (1, 1)]


def test_photos_without_things_are_right_without_boxes_and_worst_with_some():
    empty, one = boxes(), boxes((0, 0, 10, 10, 0))
    result = DetectionEvaluation(["a"], [said(), said((0, 0, 5, 5, 0, .9)), said((0, 0, 10, 10, 0, .9))],
                                 [empty, empty, one])
    assert [row.f1 for row in result.rows] == [1, 0, 1] and result.worst[0].index == 1
    nothing = DetectionEvaluation(["a"], [said()], [empty])
    assert nothing.map is None and nothing.per_size == {"small": None, "medium": None, "large": None}
    assert "mAP –" in repr(nothing) and nothing._repr_html_() and json.loads(nothing.to_json())["map"] is None


# --- with a network -----------------------------------------------------------------------------------------


def detector():
    torch.manual_seed(0)
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64).eval()
    model.config = model.config.with_(labels=("<b>cat</b>", "dog"))
    return model


def data(count: int = 3, classes: tuple[str, ...] = ("dog", "<b>cat</b>")) -> PlaceSet:
    pictures = [Image.new("RGB", (48, 40), (60 * i, 90, 30)) for i in range(count)]
    return PlaceSet(classes, tuple(f"<i>{i}</i>" for i in range(count)), pictures.__getitem__,
                    tuple(boxes((5, 5, 25, 30, i % 2)) for i in range(count)))


def test_evaluate_judges_a_detector_photo_by_photo_with_its_own_boxes():
    model, places, heard = detector(), data(), []
    with torch.no_grad():  # so that it finds something
        model.get_classifier().bias.fill_(-1.0)
    model.train()
    result = explorer.evaluate(model, places, on_progress=lambda *at: heard.append(at))
    assert isinstance(result, explorer.DetectionEvaluation) and model.training
    assert heard == [(1, 3), (2, 3), (3, 3)]
    model.eval()
    picture = torch.from_numpy(np.asarray(places.open_one(1)).copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        own = model([picture])[0]
    np.testing.assert_allclose(result.found[1].boxes, own["boxes"].numpy(), atol=1e-4)
    assert len(own["labels"]) and result.found[1].labels.tolist() == (1 - own["labels"]).tolist()  # by name


def test_it_shows_itself_escaped_and_whole(tmp_path):
    places = data()
    result = explorer.evaluate(detector(), places)
    page = result._repr_html_()
    assert "<b>cat" not in page and "<i>0" not in page and "&lt;b&gt;cat" in page
    assert "<script" not in page and "http" not in page.replace("data:image", "") and "src='data:" in page
    result.to_csv(tmp_path / "rows.csv")
    rows = list(csv.reader((tmp_path / "rows.csv").open()))
    assert rows[0][:3] == ["name", "file", "right"] and len(rows) == 4
    assert result.overlay(0).size == (48, 40) and result.plot(["dog"]).axes
    assert json.loads(result.to_json())["classes"] == list(places.classes) and "mAP" in str(result)


def test_another_score_counts_other_boxes_without_another_pass():
    truth = boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 1))
    found = said((0, 0, 10, 10, 0, .9), (20, 0, 30, 10, 1, .4), (50, 0, 60, 10, 1, .6))
    result = DetectionEvaluation(("a", "b"), [found], [truth])
    assert result.map == pytest.approx(0.75)
    assert (result.precision, result.recall, result.f1) == pytest.approx((2 / 3, 1, 0.8))
    sure = result.at(score=0.5)
    assert (sure.precision, sure.recall, sure.f1) == pytest.approx((0.5, 0.5, 0.5))
    assert sure.above_score["b"].precision == 0 and sure.above_score["b"].support == 1
    assert sure.averages is result.averages and sure.map == result.map and result.score == 0.3
    nothing = result.at(score=1)
    assert nothing.precision is None and nothing.recall == 0 and nothing.f1 == 0
    assert nothing.as_dict()["precision"] is None
    with pytest.raises(ValueError, match="score is 2"):
        result.at(score=2)
    with pytest.raises(TypeError, match="surprise"):
        DetectionEvaluation(("a",), [], [], surprise=1)


def test_a_stop_and_photos_that_cant_be_opened_are_said():
    places = data(4)

    def open_one(index):
        if index == 0:
            raise explorer.ImageError("It is broken: choose another.")
        return places.open_one(index)

    torn = PlaceSet(places.classes, places.names, open_one, places.boxes)
    result = explorer.evaluate(detector(), torn, should_stop=iter([False, False, True]).__next__)
    assert len(result) == 2 and result.broken == (("<i>0</i>", "It is broken: choose another."),)
    assert any("Stopped after 3 of 4" in note for note in result.notes)


@pytest.mark.parametrize("places, sentence", [
    (data(classes=("horse", "cow")), "none is the same"),
    (data(classes=("dog", "cow")), "but not 'cow'"),
    ([], "no data set of photos with boxes"),
    (None, "Give the photos to judge the model by"),
    ("no such folder", "There is no folder"),
])
def test_data_that_it_cant_be_judged_by_is_refused_in_a_sentence(places, sentence):
    with pytest.raises(DataError, match=sentence):
        explorer.evaluate(detector(), places)


def test_a_name_that_the_catalog_does_not_know_is_opened_to_see_its_task(monkeypatch):
    monkeypatch.setattr("explorer.inspection.look.model.create_model", lambda *_, **__: detector())
    assert isinstance(explorer.evaluate("local-dir:mine", data()), explorer.DetectionEvaluation)
    with pytest.raises(ValueError, match="this model finds boxes: give photos with boxes"):
        explorer.evaluate("local-dir:mine", "flowers5_nano")


def test_mirror_images_are_refused_and_other_classes_are_left_out():
    with pytest.raises(ValueError, match="tta"):
        explorer.evaluate(detector(), data(), tta=True)
    model = detector()
    with torch.no_grad():
        model.get_classifier().bias.fill_(-1.0)
    one = data(2, classes=("dog",))
    places = PlaceSet(("dog",), one.names, one.open_one, tuple(boxes((5, 5, 25, 30, 0)) for _ in range(2)))
    result = explorer.evaluate(model, places)
    assert any("of classes that the data does not have" in note for note in result.notes)
    assert all((found.labels == 0).all() for found in result.found)


def test_without_pycocotools_a_sentence_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name.startswith("pycocotools"):
            raise ImportError("No module named 'pycocotools'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match="pip install pycocotools"):
        explorer.evaluate(detector(), data())


def test_a_network_whose_scores_are_no_numbers_has_no_figures(coco_mini):
    for name, count in (("retinanet", len(coco_mini.classes)), ("unet", len(coco_mini.classes) + 1)):
        model = explorer.create_model(name, backbone="resnet18", num_classes=count)
        model.config = model.config.with_(input_size=(3, 64, 64), labels=None)
        next(model.body.parameters()).data.fill_(float("nan"))
        photos = coco_mini.subset([0])
        if name == "unet":
            photos = [(Image.new("RGB", (40, 30)), np.ones((30, 40), np.uint8))]
        with pytest.raises(ValueError, match="scores are not finite for"):
            explorer.evaluate(model, photos)
