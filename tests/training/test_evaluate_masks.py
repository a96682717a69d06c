"""`evaluate` for networks that find masks: the figures are torchmetrics' own, of all pixels that count."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.data.folders import DataError
from explorer.data.places.place_set import IGNORED, PlaceSet
from explorer.inspection.segment.pixels import pixel_counts, totals_of
from explorer.training.evaluation.mask_evaluation import MaskEvaluation
from explorer.training.evaluation.mask_report import outline


def judged(said: list[np.ndarray], truth: list[np.ndarray], classes: int) -> MaskEvaluation:
    each = [pixel_counts(one, other, classes) for one, other in zip(said, truth)]
    totals = np.stack([totals_of(one) for one in each])
    return MaskEvaluation([f"c{i}" for i in range(classes)], sum(each), totals)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_torchmetrics_own(seed):
    from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

    draw, classes = np.random.default_rng(seed), 5  # nothing is of class 3, and nothing is taken for class 4
    truth = [draw.choice([0, 0, 1, 2, 4, IGNORED], (20 + i, 30)).astype(np.uint8) for i in range(4)]
    said = [np.where(draw.random(one.shape) < 0.7, np.where(one == IGNORED, 0, one), 1).astype(np.uint8)
            for one in truth]
    said = [np.where(one == 4, 0, one) for one in said]
    result = judged(said, truth, classes)
    flat = [torch.from_numpy(np.concatenate([one.ravel() for one in many]).astype(np.int64))
            for many in (said, truth)]
    how = {"num_classes": classes, "ignore_index": IGNORED}
    oracles = (MulticlassJaccardIndex(**how, average="macro"), MulticlassF1Score(**how, average="macro"),
               MulticlassAccuracy(**how, average="micro"))
    expected = [float(oracle(*flat)) for oracle in oracles]
    assert [result.miou, result.dice, result.accuracy] == pytest.approx(expected, abs=1e-6)
    each = MulticlassJaccardIndex(**how, average="none")(*flat)
    for k in (0, 1, 2, 4):
        assert result.per_class[f"c{k}"].iou == pytest.approx(float(each[k]), abs=1e-6)
    assert np.isnan(result.per_class["c3"].iou) and result.per_class["c3"].pixels == 0
    assert result.per_class["c4"].iou == 0


def test_a_photo_in_which_nothing_counts_has_no_figure_and_is_not_among_the_worst():
    blank = np.full((3, 4), IGNORED, np.uint8)
    result = judged([blank * 0, blank * 0], [blank, blank * 0], 2)
    assert result.miou == 1 and result.accuracy == 1 and np.isnan(result.rows[0].iou)
    assert [row.index for row in result.worst] == [1]
    nothing = judged([blank * 0], [blank], 2)
    assert nothing.miou is None and nothing.accuracy is None and "mIoU –" in repr(nothing)
    assert nothing._repr_html_() and json.loads(nothing.to_json())["miou"] is None


def test_a_photo_tells_the_iou_of_each_of_its_classes():
    truth, said = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    result = judged([said * 0, said], [truth * 0, truth], 3)
    of_one = result.per_class_of(result.worst[0])
    assert (of_one["c0"].iou, of_one["c1"].iou) == pytest.approx((1 / 2, 2 / 3))
    assert (of_one["c1"].pixels, of_one["c1"].precision, of_one["c1"].recall) == (2, pytest.approx(2 / 3), 1)
    assert np.isnan(of_one["c2"].iou) and result.per_class_of(0)["c0"].iou == 1
    with pytest.raises(ValueError, match="a number from 0 to 1"):
        result.per_class_of(2)


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \[3, 3\]"):
        MaskEvaluation(["a", "b", "c"], np.zeros((2, 2), np.int64), np.zeros((1, 3, 2), np.int64))


def test_an_outline_lies_where_classes_meet():
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 1:3] = 1
    edge = outline(mask)
    assert edge.sum() == 7 and not edge[0].any() and edge[1, 1] and edge[1, 3] and edge[3, 1]


# --- with a network -----------------------------------------------------------------------------------------


def segmenter(labels=("background", "<b>cat</b>")):
    torch.manual_seed(0)
    model = explorer.create_model("lraspp", backbone="mobilenetv3_small_050", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 32, 32), labels=labels)
    return model


def data(count: int = 3, classes=("background", "<b>cat</b>"), named: bool = True) -> PlaceSet:
    draw = np.random.default_rng(0)
    pictures = [Image.fromarray(draw.integers(0, 255, (40, 50 + i, 3), dtype=np.uint8)) for i in range(count)]
    masks = [draw.integers(0, 2, (40, 50 + i)).astype(np.uint8) for i in range(count)]
    return PlaceSet(classes, tuple(f"<i>{i}</i>" for i in range(count)), pictures.__getitem__,
                    open_mask=masks.__getitem__, named=named)


def test_evaluate_judges_a_network_for_masks_in_the_photos_own_frame():
    model, places, heard = segmenter(), data(), []
    result = explorer.evaluate(model, places, on_progress=lambda *at: heard.append(at))
    assert isinstance(result, explorer.MaskEvaluation) and heard[-1] == (3, 3)
    own = [explorer.segment(model, places.open_one(i)).mask.numpy() for i in range(3)]
    right = sum(int((own[i] == places[i][1]).sum()) for i in range(3))
    assert result.accuracy == right / sum(one.size for one in own)
    np.testing.assert_array_equal(result.masks[1], own[1])


def test_classes_are_told_by_name_or_else_by_their_order():
    places = data()
    turned = PlaceSet(places.classes[::-1], places.names, places.open_one,
                      open_mask=lambda index: 1 - places.open_mask(index))
    first, second = explorer.evaluate(segmenter(), places), explorer.evaluate(segmenter(), turned)
    assert first.confusion.tolist() == second.confusion.tolist()
    bare = explorer.evaluate(segmenter(), data(classes=("background", "foreground"), named=False))
    assert bare.confusion.tolist() == first.confusion.tolist()
    assert any("no names" in note for note in bare.notes)


def test_it_shows_itself_escaped_and_whole(tmp_path):
    result = explorer.evaluate(segmenter(), data())
    page = result._repr_html_()
    assert "<b>cat" not in page and "<i>0" not in page and "&lt;b&gt;cat" in page
    assert "<script" not in page and "http" not in page and "src='data:" in page
    result.to_csv(tmp_path / "rows.csv")
    rows = list(csv.reader((tmp_path / "rows.csv").open()))
    assert rows[0] == ["name", "file", "iou", "accuracy", "iou of background", "iou of <b>cat</b>"]
    assert len(rows) == 4
    assert result.overlay(result.worst[0]).size == (50 + result.worst[0].index, 40) and result.plot().axes
    assert json.loads(result.to_json())["photos"] == 3 and "mIoU" in str(result)
    assert json.loads(result.to_json())["per_class"]["<b>cat</b>"]["pixels"] == int(result.confusion[1].sum())


def test_a_mask_of_another_size_is_left_out_and_named():
    places = data()
    cut = lambda index: places.open_mask(index)[:, :30 if index == 1 else None]
    odd = PlaceSet(places.classes, places.names, places.open_one, open_mask=cut)
    result = explorer.evaluate(segmenter(), odd)
    assert len(result) == 2 and "30 x 40 pixels, and the photo 51 x 40" in result.broken[0][1]
    assert any(note.startswith("Left out, <i>1</i>") for note in result.notes)


@pytest.mark.parametrize("places, sentence", [
    (data(classes=("sky", "<b>cat</b>")), "but not 'sky'"),
    (data(classes=("sky", "sea")), "none is the same"),
    (None, "Give the photos to judge the model by"), ([], "no data set of photos"),
])
def test_data_that_it_cant_be_judged_by_is_refused_in_a_sentence(places, sentence):
    with pytest.raises(DataError, match=sentence):
        explorer.evaluate(segmenter(), places)


def test_a_set_of_boxes_is_refused_for_masks():
    boxes = PlaceSet(("a",), ("x",), lambda index: Image.new("RGB", (4, 4)), ())
    with pytest.raises(DataError, match="has boxes, and masks are wanted"):
        explorer.evaluate(segmenter(), boxes)


def test_only_masks_of_the_worst_photos_are_kept():
    result = explorer.evaluate(segmenter(), data(24))
    assert len(result.masks) == 20 and {row.index for row in result.worst} == set(result.masks)
    kept = next(index for index in range(24) if index not in result.masks)
    with pytest.raises(ValueError, match="was not kept"):
        result.overlay(kept)
