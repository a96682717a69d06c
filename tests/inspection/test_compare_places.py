"""Comparing networks for boxes, and networks for masks: agreement as IoU, pictures, tables, failures."""

from __future__ import annotations

import csv
import io
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchvision.ops import box_iou

import explorer
from explorer.data.places.place_set import PlaceSet
from explorer.inspection.compare import finding
from explorer.inspection.compare.comparing import compare
from explorer.inspection.compare.facts import AVERAGE_PRECISION, MEAN_IOU
from explorer.inspection.compare.overlaps import (
    MaskAgreement,
    Regions,
    boxes_by_class,
    masks_by_class,
    match_boxes,
    mean_of_masks,
    of_all_boxes,
)
from explorer.inspection.compare.sizes import published_of
from explorer.inspection.look.passes import Stopped
from explorer.models.segmentation.segmenter import WITHOUT_AUX
from explorer.models.weights.report import LoadReport
from explorer.widgets.panels.compare.views import PLACE_Y_AXES
from tests.html import parse
from tests.inspection.small_models import RedNet, noise_photo
from tests.models.oracle import randomise

PHOTOS = {"first": noise_photo(96, 80, 0), "<b>second": noise_photo(60, 100, 1),
          "third": noise_photo(70, 70, 2)}


def net(name: str, labels=("cat", "dog", "<i>owl"), seed: int = 0, **options):
    torch.manual_seed(seed)
    model = explorer.create_model(name, num_classes=len(labels), **options)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64), labels=labels)
    return model.eval()


@pytest.fixture(scope="module")
def boxes():
    """Two detectors that know two classes in common, each under other numbers."""
    return compare({"one": net("yolov5n"), "<u>two": net("yolov5n", ("dog", "Cat"), 1)}, PHOTOS,
                   measure=False).at(score_threshold=0.1)


@pytest.fixture(scope="module")
def masks():
    return compare({"one": net("unet", backbone="resnet18"),
                    "two": net("unet", ("dog", "cat"), 1, backbone="resnet18")}, PHOTOS, measure=False)


# --- the measures -------------------------------------------------------------------------------------------


def random_boxes(count: int, seed: int) -> torch.Tensor:
    numbers = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 20
    return torch.cat((numbers[:, :2], numbers[:, :2] + 12 + numbers[:, 2:]), dim=1)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_matched_as_the_best_of_all_matchings(seed):
    one, other = random_boxes(4, seed), random_boxes(5, seed + 100)
    overlaps = box_iou(one, other)
    overlaps[overlaps < 0.5] = 0
    best = max(float(sum(overlaps[row, column] for row, column in enumerate(chosen)))
               for chosen in permutations(range(5), 4))
    pairs = match_boxes(one, other)
    assert math.isclose(sum(overlap for *_, overlap in pairs), best, rel_tol=1e-5, abs_tol=1e-6)
    assert all(overlap >= 0.5 for *_, overlap in pairs)
    assert {(j, i) for i, j, _ in match_boxes(other, one)} == {(i, j) for i, j, _ in pairs}


def test_agreement_on_boxes_is_by_class_and_the_same_from_both_sides():
    one = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60], [5, 5, 5, 9.0]])
    other = torch.tensor([[0, 0, 10, 5], [50, 50, 60, 60.0]])
    parts = boxes_by_class(one, ["cat", "dog", "cat", "cat"], other, ["cat", "dog"])
    assert (parts["cat"].boxes, parts["cat"].pairs) == (3, 1)  # the one without area does not count
    assert parts["cat"].overlap == 0.5 and parts["dog"].pairs == 0
    whole = of_all_boxes(parts)
    assert whole.matched == 2 / 5 and whole.value == pytest.approx(whole.matched * whole.overlap)
    assert of_all_boxes(boxes_by_class(other, ["cat", "dog"], one, ["cat", "dog", "cat", "cat"])) == whole


def test_without_boxes_there_is_no_number():
    none = torch.zeros(0, 4)
    assert math.isnan(of_all_boxes(boxes_by_class(none, [], none, [])).value)
    assert of_all_boxes(boxes_by_class(random_boxes(2, 0), ["a", "b"], none, [])).value == 0


def test_agreement_on_masks_is_the_mean_iou_of_torchmetrics():
    draw = np.random.default_rng(0)
    one, other = (draw.integers(0, 4, (40, 50), dtype=np.uint8) for _ in range(2))
    parts = masks_by_class(Regions(one, tuple("abcd")), Regions(other, tuple("abcd")))
    wanted = multiclass_jaccard_index(torch.from_numpy(one).int(), torch.from_numpy(other).int(), 4)
    assert mean_of_masks(parts) == pytest.approx(float(wanted), rel=1e-5)


def test_classes_of_masks_are_joined_by_name():
    one = np.array([[0, 0, 1, 1]], np.uint8)
    parts = masks_by_class(Regions(one, ("cat", "dog")), Regions(1 - one, ("dog", "cat", "owl")))
    assert parts == {"cat": MaskAgreement(2, 2), "dog": MaskAgreement(2, 2)}
    other = masks_by_class(Regions(one, ("cat", "dog")), Regions(one, ("cat", "owl")))
    assert {key: part.value for key, part in other.items()} == {"cat": 1.0, "dog": 0.0, "owl": 0.0}


# --- what compare gives -------------------------------------------------------------------------------------


def test_the_boxes_are_those_of_detect(boxes):
    for model, row in zip(boxes.models, boxes.found):
        for photo, found in zip(PHOTOS.values(), row):
            alone = explorer.detect(model, photo, score_threshold=0.1)
            assert torch.equal(found.boxes, alone.boxes) and found.labels == alone.labels


def test_the_masks_are_those_of_segment(masks):
    for model, row in zip(masks.models, masks.found):
        for photo, found in zip(PHOTOS.values(), row):
            assert torch.equal(found.mask, explorer.segment(model, photo).mask) and found.scores is None


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_agreement_is_symmetric_and_whole_with_itself(kind, request):
    result = request.getfixturevalue(kind)
    assert np.array_equal(result.agreement, result.agreement.T)
    assert np.allclose(np.diag(result.agreement), 1)
    assert 0 <= result.agreement[0, 1] < 1
    values = [row.value for row in result.disagreements()]
    assert values == sorted(values) and {row.photo for row in result.disagreements()} == {*PHOTOS}
    assert {row.label for row in result.classes()} <= {"cat", "dog", "<i>owl"}


def test_agreement_is_what_is_shared_over_all_photos(boxes, masks):
    assert boxes.agreement[0, 1] == pytest.approx(np.nan_to_num(boxes.matched * boxes.overlap)[0, 1])
    sums: dict[str, np.ndarray] = {}
    for number in range(3):
        one, two = (row[number] for row in masks.found)
        for name in ("cat", "dog", "<i>owl"):
            first, second = (each.mask.numpy() == each.labels.index(name) if name in each.labels
                             else np.zeros(each.mask.shape, bool) for each in (one, two))
            sums[name] = sums.get(name, 0) + np.array([(first & second).sum(), (first | second).sum()])
    wanted = np.mean([shared / either for shared, either in sums.values() if either])
    assert masks.agreement[0, 1] == pytest.approx(wanted)


def test_other_thresholds_need_no_pass(boxes):
    model = boxes.models[0]
    counted: list[int] = []
    hook = model.model[0].register_forward_hook(lambda *_: counted.append(1))
    fewer = boxes.at(score_threshold=0.5)
    hook.remove()
    assert not counted and fewer.score_threshold == 0.5
    assert all(float(score) > 0.5 for row in fewer.found for one in row for score in one.scores)
    assert [row.found for row in fewer.rows] == [sum(map(len, row)) for row in fewer.found]


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_it_shows_itself(kind, request, tmp_path):
    result = request.getfixturevalue(kind)
    page = result._repr_html_()
    parse(page)
    assert page.count("<img") == 2 and "<u>two" not in page and "<b>second" not in page
    assert "Two that agree may both be wrong" in page
    for name in ("pictures", "agreement", "classes", "scatter"):
        result.figure(name).savefig(tmp_path / f"{name}.png")
    assert all(picture.size == PHOTOS["third"].size for picture in result.pictures("third"))
    assert f"{kind[:3]}" in result.to_markdown() or kind == "masks"
    rows = [*csv.DictReader(io.StringIO(result.to_csv(of="photos")))]
    assert [row["photo"] for row in rows] == [row.photo for row in result.disagreements()]
    assert 0 <= float(rows[0]["agreement"]) <= 1
    with pytest.raises(ValueError, match="expected one of pictures, agreement, classes, scatter"):
        result.figure("cams")


def test_speed_is_that_of_one_photo(masks):
    masks.measure(warm_up=0, repeats=1)
    assert all(row.latency is not None and row.throughput is None for row in masks.rows)
    assert "photos_per_second" not in masks.to_csv() and "Speed: " in masks.to_markdown()


# --- what is not as it should be ----------------------------------------------------------------------------


def test_models_of_different_kinds_are_refused_before_anything_is_opened():
    with pytest.raises(ValueError, match=r"resnet50 finds classes, unet_resnet34 finds masks.*_stages"):
        compare(["resnet50", "unet_resnet34"], noise_photo())
    with pytest.raises(ValueError, match=r"yolov5n finds boxes, red_net finds classes"):
        compare([net("yolov5n"), RedNet()], noise_photo())


def test_one_that_fails_is_named_and_the_others_are_compared():
    headless = explorer.create_model("yolov5n", num_classes=0)
    result = compare({"a": net("yolov5n"), "b": net("yolov5n", seed=1), "none": headless}, PHOTOS,
                     measure=False)
    assert result.names == ("a", "b") and [who for who, _ in result.problems] == ["none"]
    deep = net("yolov5n", in_chans=5)
    result = compare({"a": net("yolov5n"), "deep": deep}, PHOTOS, measure=False)
    assert result.names == ("a",) and result.problems[0][0] == "deep"
    with pytest.raises(ValueError, match="None of the models can be compared"):
        compare({"deep": deep, "deeper": deep}, PHOTOS, measure=False)


def test_a_broken_photo_is_named(tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    models = [net("yolov5n"), net("yolov5n", seed=1)]
    result = compare(models, [*PHOTOS.values(), tmp_path / "broken.png"], measure=False)
    assert len(result.photos) == 3 and result.problems[0][0] == "broken.png"
    with pytest.raises(explorer.ImageError):
        compare(models, tmp_path / "broken.png", measure=False)


def test_stopped_it_keeps_the_photos_that_all_have_seen():
    models, asked = [net("yolov5n"), net("yolov5n", seed=1)], iter([False] * 7)
    result = compare(models, PHOTOS, measure=True, should_stop=lambda: next(asked, True))
    assert result.photos == ("first",)
    assert any("Stopped: 1 of 3 photos" in note for note in result.notes)
    with pytest.raises(Stopped):
        compare(models, PHOTOS, should_stop=lambda: True)


def test_of_many_photos_the_figures_are_kept_and_not_the_pictures(monkeypatch, masks):
    monkeypatch.setattr(finding, "FEW", 1)
    few = compare(dict(zip(masks.names, masks.models)), PHOTOS, measure=False)
    assert np.array_equal(few.agreement, masks.agreement)
    assert few.answer("two", "third") == masks.answer("two", "third")
    assert len(few.found[0]) == 1 and len(few.pictures("first")) == 2
    with pytest.raises(ValueError, match="The pictures of the first 1 photo are kept"):
        few.pictures("third")


def test_photos_whose_places_are_known_are_taken_as_photos():
    pictures = [*PHOTOS.values()]
    places = PlaceSet(classes=("cat",), names=("a", "b", "c"), open_one=pictures.__getitem__)
    result = compare([net("yolov5n"), net("yolov5n", seed=1)], places, measure=False)
    assert result.photos == ("a", "b", "c")
    assert any("explorer.evaluate" in note for note in result.notes)


def test_boxes_of_nothing_agree_about_nothing():
    model = net("yolov5n")
    result = compare([model, net("yolov5n", seed=1)], Image.new("L", (30, 40)), measure=False)
    nothing = result.at(score_threshold=1.0)
    assert np.isnan(nothing.agreement).all() and not nothing.classes()
    assert nothing.disagreements()[0].value == 1.0
    assert "nothing to agree about" in nothing._repr_html_()
    nothing.figure("classes"), nothing.figure("agreement")


def test_what_is_published_is_said_of_the_published_weights_alone():
    model = explorer.create_model("deeplabv3_resnet50")
    assert published_of(model) is None
    model.load_report = LoadReport("a file", skipped=[WITHOUT_AUX])
    assert published_of(model) == 66.4
    model.load_report = LoadReport("a file", skipped=["something else"])
    assert published_of(model) is None


@pytest.mark.parametrize(("name", "figure"),
                         [("unet_lite0.nuclei", "mIoU"), ("retinanet_lite0.bccd", "box AP")])
def test_weights_that_are_kept_as_float16_are_the_published_ones(name, figure):
    model = explorer.create_model(name, pretrained=True)
    assert "float16" in model.load_report.adapted[0]
    assert published_of(model) == dict(model.config.metrics)[figure]
    model.load_report.adapted.append("first: from 3 to 1 input channels")
    assert published_of(model) is None


def test_no_data_set_is_named_that_nobody_knows():
    titles = [axis.title for axes in (AVERAGE_PRECISION, MEAN_IOU) for axis in axes.values()]
    assert not any("COCO" in title for title in titles) and PLACE_Y_AXES == (("published", "published"),)
