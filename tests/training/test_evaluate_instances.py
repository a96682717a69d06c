"""`evaluate` for networks that find a mask in each box: COCO's AP of masks, beside that of boxes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as codes
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import explorer
from explorer.data.folders import DataError
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import Boxes
from explorer.training.evaluation.box_evaluation import DetectionEvaluation
from explorer.training.evaluation.coco_tables import code_of, code_of_mask
from explorer.training.evaluation.place_figures import FoundBoxes

SIZE, PHOTOS = (90, 70), 5  # width, height


def ring(x: float, y: float, radius: float) -> list[float]:
    """A polygon around a point."""
    angles = np.linspace(0, 2 * math.pi, 9)[:-1]
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1).ravel().tolist()


@pytest.fixture(scope="module")
def outlined(tmp_path_factory):
    """(a COCO file with outlines of two classes, one of them a crowd as run lengths; COCO's own reading)."""
    draw, folder, things = np.random.default_rng(0), tmp_path_factory.mktemp("outlined"), []
    for photo in range(PHOTOS):
        Image.new("RGB", SIZE, (40 * photo, 90, 30)).save(folder / f"{photo}.png")
        for _ in range(photo):  # none in the first
            x, y, radius = draw.uniform(20, 70), draw.uniform(20, 50), draw.uniform(6, 18)
            shape = [ring(x, y, radius)] + ([ring(x + 4, y, radius)] if draw.random() < 0.3 else [])
            rle = codes.merge(codes.frPyObjects(shape, SIZE[1], SIZE[0]))
            things.append({"id": len(things) + 1, "image_id": photo, "category_id": int(draw.integers(3, 5)),
                           "bbox": codes.toBbox(rle).tolist(), "area": float(codes.area(rle)), "iscrowd": 0,
                           "segmentation": shape})
    inside = codes.decode(codes.frPyObjects([ring(30, 30, 20)], SIZE[1], SIZE[0])[0])
    flat = inside.T.ravel()
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    crowd = {"size": [SIZE[1], SIZE[0]], "counts": np.diff(ends).tolist()}
    things.append({"id": 99, "image_id": 1, "category_id": 3, "bbox": [10, 10, 40, 40], "iscrowd": 1,
                   "area": int(inside.sum()), "segmentation": crowd})
    images = [{"id": i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(PHOTOS)]
    names = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    file = folder / "things.json"
    file.write_text(json.dumps({"images": images, "annotations": things, "categories": names}))
    return file, COCO(str(file))


def in_codes(places) -> list[Boxes]:
    return [Boxes(one.boxes, one.labels, one.crowd, one.areas,
                  tuple(code_of(shape, SIZE[1], SIZE[0]) for shape in one.shapes or ()))
            for one in places.boxes]


def moved(truth: list[Boxes]) -> list[FoundBoxes]:
    """The true masks shifted a little, some of the other class, some missed."""
    draw, found = np.random.default_rng(1), []
    for one in truth:
        rows = []
        for label, shape in zip(one.labels, one.shapes):
            mask = np.roll(codes.decode(shape), tuple(draw.integers(-4, 5, 2)), (0, 1)) > 0
            if draw.random() < 0.85:
                rows.append((code_of_mask(mask), label if draw.random() < 0.9 else 1 - label))
        sides = np.array([codes.toBbox(code) for code, _ in rows]).reshape(-1, 4)
        found.append(FoundBoxes(np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], 1),
                                draw.random(len(rows)), np.array([label for _, label in rows], np.int64),
                                tuple(code for code, _ in rows)))
    return found


def test_mask_ap_is_pycocotools_own(outlined):
    file, oracle = outlined
    places = open_places(file, "detection")
    truth = in_codes(places)
    found = moved(truth)
    result = DetectionEvaluation(places.classes, found, truth)
    said = [{"image_id": photo, "category_id": int(label) + 3, "segmentation": code, "score": float(score)}
            for photo, one in enumerate(found) for label, score, code in
            zip(one.labels, one.scores, one.shapes)]
    judge = COCOeval(oracle, oracle.loadRes(said), "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert [result.mask_map, result.mask_ap50, result.mask_ap75] == \
        pytest.approx(judge.stats[:3].tolist(), abs=1e-9)
    assert 0.05 < result.mask_map < 0.95 and result.mask_map != result.map
    for k, name in enumerate(places.classes):
        wanted = judge.eval["precision"][:, :, k, 0, -1].mean()
        assert result.per_class[name].mask_ap == pytest.approx(wanted, abs=1e-9)
    assert "mask mAP" in str(result) and "mask AP" in result._repr_html_()


def test_both_figures_are_torchmetrics_own(outlined):
    from torchmetrics.detection import MeanAveragePrecision

    places = open_places(outlined[0], "detection")
    truth = in_codes(places)
    found = moved(truth)
    result = DetectionEvaluation(places.classes, found, truth)

    def told(one):
        masks = [codes.decode(shape) for shape in one.shapes] or np.zeros((0, SIZE[1], SIZE[0]))
        return {"boxes": torch.from_numpy(one.boxes), "labels": torch.from_numpy(one.labels),
                "masks": torch.from_numpy(np.array(masks, bool)),
                **({"scores": torch.from_numpy(one.scores)} if isinstance(one, FoundBoxes) else
                   {"iscrowd": torch.from_numpy(one.crowd.astype(np.int64)),
                    "area": torch.from_numpy(one.areas)})}

    metric = MeanAveragePrecision(
        iou_type=("bbox", "segm"), backend="pycocotools", iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
        rec_thresholds=np.linspace(0, 1, 101).tolist())
    metric.update([*map(told, found)], [*map(told, truth)])
    expected = metric.compute()
    assert result.map == pytest.approx(float(expected["bbox_map"]), abs=1e-6)
    assert result.mask_map == pytest.approx(float(expected["segm_map"]), abs=1e-6)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = explorer.create_model("maskrcnn_resnet50_fpn", num_classes=2, img_size=(64, 96)).eval()
    model.config = model.config.with_(labels=("cat", "dog"))
    model.score_threshold, model.max_boxes = 0.0, 6
    return model


def test_a_mask_rcnn_is_judged_by_its_boxes_and_by_its_masks(network, outlined):
    places = open_places(outlined[0], "detection").subset([1, 2])
    result = explorer.evaluate(network, places)
    photo = np.asarray(places.open_one(1)).transpose(2, 0, 1).copy()
    with torch.no_grad():
        own = network([torch.from_numpy(photo) / 255])[0]
    assert len(own["masks"]) and len(result.found[1].shapes) == len(own["masks"])
    for code, mask in zip(result.found[1].shapes, own["masks"]):
        assert np.array_equal(codes.decode(code) > 0, mask[0].numpy() > 0.5)
    assert result.mask_map is not None and result.as_dict()["mask_map"] == result.mask_map


def test_without_outlines_the_masks_are_not_judged_and_that_is_said(network, outlined):
    places = open_places(outlined[0], "detection").subset([1, 2])
    bare = [Boxes(one.boxes, one.labels, one.crowd, one.areas) for one in places.boxes]
    half = explorer.evaluate(network, type(places)(places.classes, places.names, places.open_one,
                                                   (places.boxes[0], bare[1])))
    assert half.mask_map is None and any("have no outline" in note for note in half.notes)
    none = explorer.evaluate(network, type(places)(places.classes, places.names, places.open_one,
                                                   tuple(bare)))
    assert none.mask_map is None and not any("outline" in note for note in none.notes)
    assert "mask mAP" not in str(none)


def test_masks_of_a_data_set_are_outlines():
    mask = np.zeros((2, 8, 10), np.uint8)
    mask[0, 2:5, 3:7] = mask[1, :, 0] = 1
    target = {"boxes": torch.tensor([[3., 2., 7., 5.], [0., 0., 1., 8.]]), "labels": torch.tensor([0, 1]),
              "masks": torch.from_numpy(mask)}
    places = open_places([(Image.new("RGB", (10, 8)), target)], "detection")
    kept = [codes.decode(code_of(shape, 8, 10)) for shape in places.boxes[0].shapes]
    assert np.array_equal(kept, mask)
    target["masks"] = target["masks"][:, :4]
    with pytest.raises(DataError, match="a mask a box"):
        open_places([(Image.new("RGB", (10, 8)), target)], "detection")
