"""`explorer.detect`: boxes in the photo's own pixels, other thresholds without a pass, tables and files."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_masks
from torchvision.ops import batched_nms

import explorer
from explorer.inspection.detect.records import run_lengths
from tests.models.oracle import randomise

NAMES = ("<b>cat</b>", "=dog", "bird")


@pytest.fixture(scope="module")
def model():
    """A RetinaNet over a ResNet-18, with random numbers and three classes, for small photos."""
    torch.manual_seed(0)
    found = explorer.create_model("retinanet", backbone="resnet18", num_classes=3, img_size=(96, 160))
    randomise(found)
    found.config = found.config.with_(labels=NAMES)
    return found.eval()


@pytest.fixture
def passes(model):
    """How often the network ran: a list that grows."""
    ran: list[int] = []
    hook = model.body.register_forward_hook(lambda *_: ran.append(1))
    forward = model.body.forward_stages

    def counted(x):
        ran.append(1)
        return forward(x)

    model.body.forward_stages = counted
    yield ran
    hook.remove()
    del model.body.forward_stages


def test_it_finds_what_the_network_finds(model, photo):
    found = explorer.detect(model, photo, score_threshold=0.5)
    pixels = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        wanted = model([pixels])[0]
    above = wanted["scores"] > 0.5
    assert len(found) == int(above.sum()) > 10
    assert torch.allclose(found.boxes, wanted["boxes"][above], atol=1e-3)
    assert found.labels == [NAMES[label] for label in wanted["labels"][above]]
    assert not model.training and found.boxes[:, 2].max() <= 300 and found.masks is None


def test_other_thresholds_need_no_second_pass(model, photo, passes):
    found = explorer.detect(model, photo, score_threshold=0.9)
    assert len(passes) == 1
    for score, overlap in ((0.1, 0.5), (0.5, 0.1), (0.6, 0.9)):
        again = found.at(score_threshold=score, iou_threshold=overlap)
        assert again.scores.gt(score).all()
        assert len(batched_nms(again.boxes, again.scores, again.indices, overlap)) == len(again)
    assert len(passes) == 1
    fresh = explorer.detect(model, photo, score_threshold=0.1)
    assert torch.equal(found.at(score_threshold=0.1).boxes, fresh.boxes) and len(passes) == 2
    with pytest.raises(ValueError, match="score_threshold is 0.001"):
        found.at(score_threshold=0.001)


def test_it_shows_itself_and_what_is_written_is_escaped(model, photo):
    found = explorer.detect(model, photo, score_threshold=0.5)
    page = found._repr_html_()
    assert "<b>cat</b>" not in page and "<script" not in page and "data:image/jpeg;base64," in page
    assert "No weights were loaded" in page
    picture = found.overlay()
    assert picture.size == photo.size and picture.tobytes() != photo.tobytes()
    nothing = found.at(score_threshold=1.0)
    assert len(nothing) == 0 and "Nothing above" in nothing._repr_html_() and nothing.overlay().size
    assert "nothing" in repr(nothing) and "Detections(" in repr(found)


def test_json_and_coco(model, photo):
    found = explorer.detect(model, photo, score_threshold=0.5)
    rows = json.loads(found.to_json())
    assert len(rows) == len(found) and rows[0].keys() == {"label", "index", "score", "box"}
    record = json.loads(json.dumps(found.to_coco("a.png")))
    assert record["images"] == [{"id": 1, "file_name": "a.png", "width": 300, "height": 260}]
    left, top, wide, high = record["annotations"][0]["bbox"]
    assert np.allclose([left, top, left + wide, top + high], found.boxes[0], atol=1e-3)
    assert record["categories"] == [{"id": i, "name": name} for i, name in enumerate(NAMES)]


def test_run_lengths_are_cocos():
    mask = np.random.default_rng(0).random((13, 9)) > 0.5
    for one in (mask, ~mask, np.zeros((4, 3), bool), np.ones((4, 3), bool)):
        told = run_lengths(one)
        packed = coco_masks.frPyObjects(told, *told["size"])
        assert np.array_equal(coco_masks.decode(packed).astype(bool), one)


def test_a_folder_gives_a_table(model, photo, tmp_path):
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    photo.save(folder / "a.png")
    photo.rotate(90, expand=True).save(folder / "below" / "=b.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo")
    table = explorer.detect(model, folder, score_threshold=0.5)
    assert [row.name for row in table] == ["a.png", "below/=b.png", "broken.jpg"] and table.ignored == 1
    assert len(table.errors) == 1 and "1 could not be opened" in repr(table)
    one = explorer.detect(model, photo, score_threshold=0.5)
    assert torch.equal(table[0].found.boxes, one.boxes) and table[0].found.image is None
    assert table[0].found.overlay(photo).size == photo.size
    with pytest.raises(ValueError, match="holds no photos"):
        table[0].found.overlay()
    table.to_csv(tmp_path / "boxes.csv")
    with open(tmp_path / "boxes.csv", encoding="utf-8", newline="") as file:
        lines = [*csv.reader(file)]
    boxes = sum(len(row.found) for row in table if row.found)
    assert len(lines) == 1 + boxes + 1 and lines[-1][-1]
    assert not any(cell.startswith("=") for line in lines for cell in line)
    record = table.to_coco()
    assert len(record["images"]) == 2 and len(record["annotations"]) == boxes
    page = table._repr_html_()
    assert "<b>cat</b>" not in page and page.count("data:image/jpeg") == 2
    assert len(explorer.detect(model, [photo, photo])) == 2


def test_instance_masks_lie_over_the_photo_and_change_with_the_thresholds(photo):
    torch.manual_seed(0)
    model = explorer.create_model("maskrcnn_resnet50_fpn", num_classes=2, img_size=(64, 96)).eval()
    randomise(model.module)
    ran = []
    model.module.backbone.register_forward_hook(lambda *_: ran.append(1))
    found = explorer.detect(model, photo, score_threshold=0.2)
    assert len(found) and found.masks.shape == (len(found), 260, 300) and found.masks.dtype == torch.bool
    assert found.overlay().size == photo.size
    fewer = found.at(iou_threshold=0.1)
    assert len(fewer) <= len(found) and fewer.masks.shape == (len(fewer), 260, 300) and len(ran) == 1
    told = found.to_coco()["annotations"][0]["segmentation"]
    assert sum(told["counts"]) == 260 * 300 and told["size"] == [260, 300]


def test_a_model_of_another_task_is_refused_in_a_sentence(photo):
    with pytest.raises(TypeError, match="explorer.look"):
        explorer.detect(explorer.create_model("resnet18"), photo)
    with pytest.raises(TypeError, match="explorer.segment"):
        explorer.detect(explorer.create_model("unet_resnet18"), photo)
    with pytest.raises(TypeError, match="boxes"):
        explorer.detect(torch.nn.Linear(2, 2), photo)


@pytest.mark.parametrize("in_chans", [1, 2, 4])
def test_pictures_of_other_channels(in_chans, photo):
    model = explorer.create_model("retinanet", backbone="resnet10t", num_classes=3, in_chans=in_chans,
                                  img_size=(64, 96)).eval()
    values = np.random.default_rng(0).integers(0, 256, (40, 50, in_chans)).astype(np.uint8)
    picture = photo if in_chans == 1 else values
    found = explorer.detect(model, picture, score_threshold=0)
    assert len(found) and found.overlay().size == found.size
    assert explorer.look(model, picture).detections is not None
    table = explorer.detect(model, [photo])
    assert len(table.errors) == (in_chans != 1)


def test_a_backbone_built_for_one_size_sees_the_photo_inside_of_it():
    model = explorer.create_model("retinanet", backbone="swin_tiny_patch4_window7_224", num_classes=2).eval()
    batch, (place,) = model.prepare([torch.rand(3, 60, 90)])
    assert batch.shape[-2:] == (224, 224) and place.inside == (149, 224)
    edge = model.normalise(torch.tensor(model.config.mean)[:, None, None])
    assert torch.allclose(batch[0, :, 150:], edge.expand(3, 74, 224), atol=1e-5)
    found = explorer.detect(model, np.zeros((60, 90, 3), np.uint8), score_threshold=0)
    assert len(found) and found.boxes.amax(0)[3] <= 60


def test_a_network_without_its_last_layer_says_what_to_do(photo):
    model = explorer.create_model("retinanet", backbone="resnet10t", num_classes=0, img_size=(64, 96)).eval()
    for ask in (explorer.detect, explorer.look, lambda model, photo: model([torch.rand(3, 40, 50)])):
        with pytest.raises(ValueError, match="reset_classifier"):
            ask(model, photo)


def test_scores_that_are_no_numbers_are_said(photo):
    model = explorer.create_model("retinanet", backbone="resnet10t", num_classes=2, img_size=(64, 96)).eval()
    assert not any("NaN" in note for note in explorer.detect(model, photo).notes)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    assert "NaN" in explorer.detect(model, photo).notes[0] and "NaN" in explorer.look(model, photo).notes[0]


def test_no_threshold_is_no_number(model, photo):
    with pytest.raises(TypeError, match="score_threshold is None"):
        explorer.detect(model, photo, score_threshold=None)
