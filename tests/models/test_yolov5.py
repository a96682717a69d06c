"""YOLOv5 against its published figures: counts, keys, strides, anchors, shapes; the rules of its boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.models import weights
from explorer.models.detection.yolo_loss import duties, yolo_loss
from explorer.models.weights.report import WeightsError
from explorer.models.weights.table import config_for, mac_count, parameter_count, tags
from tests.models.learning_boxes import learn
from tests.models.oracle import without_initialisation

COUNTS = {"yolov5n": (1_872_157, 349, 4.5), "yolov5s": (7_235_389, 349, 16.5),
          "yolov5m": (21_190_557, 481, 49.0), "yolov5l": (46_563_709, 613, 109),
          "yolov5x": (86_749_405, 745, 206)}


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return explorer.create_model("yolov5n", num_classes=3).eval()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name):
    parameters, keys, billions = COUNTS[name]
    with torch.device("meta"), without_initialisation():
        model = explorer.create_model(name)
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == parameters == parameter_count(name)
    assert len(state) == keys and model.num_classes == 80 == len(config_for(name).labels)
    assert 2 * mac_count(name) / 1e9 == pytest.approx(billions, rel=0.02)
    assert len(model.model) == 25
    assert state["model.24.anchors"].shape == (3, 3, 2) and state["model.24.m.0.weight"].shape[0] == 255
    for key in ("model.0.conv.weight", "model.0.bn.running_mean", "model.2.cv1.conv.weight",
                "model.2.m.0.cv2.bn.weight", "model.9.cv2.conv.weight", "model.24.m.0.bias"):
        assert key in state


def test_settings_are_the_published_ones(tiny):
    norms = [module for module in tiny.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}
    assert (tiny.model[0].conv.kernel_size, tiny.model[0].conv.stride) == ((6, 6), (2, 2))
    assert (tiny.score_threshold, tiny.iou_threshold, tiny.max_boxes) == (0.25, 0.45, 1000)
    pixels = tiny.model[24].anchors * torch.tensor([8, 16, 32])[:, None, None]
    assert pixels.flatten().tolist() == [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119,
                                         116, 90, 156, 198, 373, 326]


def test_three_maps_and_25200_boxes():
    with without_initialisation():
        model = explorer.create_model("yolov5n").eval()
    with torch.no_grad():
        raw = model.forward_raw(torch.zeros(1, 3, 640, 640))
    assert [tuple(level.shape) for level in raw] == [(1, 3, side, side, 85) for side in (80, 40, 20)]
    assert model.decode(raw).shape == (1, 25200, 85)


def test_any_size_runs(tiny):
    with torch.no_grad():
        raw = tiny(torch.rand(1, 3, 70, 101))
    assert [level.shape[2] for level in raw] == [9, 5, 3]


def test_a_box_is_told_from_its_cell_and_anchor(tiny):
    raw = [torch.zeros(1, 3, side, side, 8) for side in (8, 4, 2)]
    raw[1][0, 2, 3, 1] = torch.tensor([0.3, -0.7, 0.5, -0.2, 1.0, -1, 2, 0])
    boxes = tiny.decode(raw)[0]
    index = 3 * 64 + 2 * 16 + 3 * 4 + 1
    s = [1 / (1 + math.exp(-value)) for value in (0.3, -0.7, 0.5, -0.2, 1.0, 2)]
    x, y = (2 * s[0] - 0.5 + 1) * 16, (2 * s[1] - 0.5 + 3) * 16
    w, h = (2 * s[2]) ** 2 * 59, (2 * s[3]) ** 2 * 119
    assert boxes[index, :4].tolist() == pytest.approx([x - w / 2, y - h / 2, x + w / 2, y + h / 2], abs=1e-3)
    (found,) = tiny.candidates(raw, (64, 64), [None], score_threshold=0.3)
    assert len(found) == 1 and found.anchors.item() == index and found.levels.item() == 1
    assert found.labels.item() == 1 and found.scores.item() == pytest.approx(s[4] * s[5])


def test_photos_lie_in_the_middle_of_grey_and_boxes_find_back(tiny):
    photos = [torch.rand(3, 200, 320), torch.rand(3, 320, 100)]
    batch, places = tiny.prepare(photos)
    assert batch.shape == (2, 3, 640, 640)
    assert places[0].inside == (400, 640) and places[0].corner == (120, 0)
    assert places[1].inside == (640, 200) and places[1].corner == (0, 220)
    assert torch.allclose(batch[0, :, 0], torch.tensor(114 / 255)) and batch[0, :, 320].std() > 0.1
    alone, (place,) = tiny.prepare(photos[:1])
    assert alone.shape == (1, 3, 416, 640) and place.corner == (8, 0)  # no more grey than strides need
    boxes = torch.tensor([[3.0, 4, 100, 190]])
    assert torch.allclose(place.out_of(place.into(boxes)), boxes, atol=1e-4)


def test_of_a_heap_of_one_class_the_best_stays(tiny):
    raw = [torch.full((1, 3, side, side, 8), -9.0) for side in (8, 4, 2)]
    for column, (there, label) in {3: (3.0, 0), 4: (2.0, 0), 5: (1.0, 1)}.items():
        raw[1][0, 0, 2, column % 4, :4] = 0
        raw[1][0, 0, 2, column % 4, 4] = there
        raw[1][0, 0, 2, column % 4, 5 + label] = 4
    raw[1][0, 0, 2, 0, 2:4] = raw[1][0, 0, 2, 1, 2:4] = 3.0  # large boxes, nearly one over the other
    (found,) = tiny.candidates(raw, (64, 64), [None])
    assert len(found) == 3
    kept = tiny.select(found, score_threshold=0.25, iou_threshold=0.45)
    assert len(kept) == 3 and sorted(kept.labels.tolist()) == [0, 0, 1]  # the heap is of two classes
    raw[1][0, 0, 2, 1, 5], raw[1][0, 0, 2, 1, 6] = 5, -9
    (found,) = tiny.candidates(raw, (64, 64), [None])
    assert len(tiny.select(found, score_threshold=0.25, iou_threshold=0.45)) == 2


def test_a_thing_is_asked_of_its_cell_and_the_two_nearest():
    anchors = torch.tensor([[2.0, 2.0], [9.0, 9.0]])
    truth = [{"boxes": torch.tensor([[16.0, 24, 32, 44]]), "labels": torch.tensor([1])}]
    found = duties(truth, anchors, (10, 10), 8)  # middle (3.0, 4.25), 2 x 2.5 cells
    assert found.anchor.tolist() == [0, 0, 0]    # the second anchor is more than four times as wide
    assert sorted(zip(found.column.tolist(), found.row.tolist())) == [(2, 4), (3, 3), (3, 4)]
    middles = found.boxes[:, :2] + torch.stack((found.column, found.row), dim=1)
    assert torch.allclose(middles, torch.tensor([3.0, 4.25]).expand(3, 2))
    assert found.labels.tolist() == [1, 1, 1] and found.photo.tolist() == [0, 0, 0]


def test_nothing_is_asked_outside_of_the_grid():
    truth = [{"boxes": torch.tensor([[0.0, 0, 4, 4], [76, 76, 80, 80]]), "labels": torch.tensor([0, 0])}]
    found = duties(truth, torch.tensor([[0.5, 0.5]]), (10, 10), 8)
    assert sorted(zip(found.column.tolist(), found.row.tolist())) == [(0, 0), (9, 9)]


def test_a_perfect_answer_costs_next_to_nothing(tiny):
    truth = [{"boxes": torch.tensor([[8.0, 8, 24, 24]]), "labels": torch.tensor([2])}]
    anchors, grids = tiny.model[24].anchors, [8, 4, 2]
    raw = [torch.full((1, 3, side, side, 8), -12.0) for side in grids]
    for level, shapes, stride in zip(raw, anchors, (8, 16, 32)):
        found = duties(truth, shapes, level.shape[2:4], stride)
        xy = (found.boxes[:, :2] + 0.5) / 2
        wh = (found.boxes[:, 2:] / shapes[found.anchor]).sqrt() / 2
        answer = torch.cat((xy, wh), dim=1).clamp(1e-6, 1 - 1e-6).logit()
        at = (found.photo, found.anchor, found.row, found.column)
        level[at] = torch.cat((answer, torch.tensor([[12.0, -12, -12, 12]]).expand(len(answer), 4)), dim=1)
    parts = yolo_loss(raw, anchors, (8, 16, 32), truth)
    assert set(parts) == {"box", "objectness", "classification"}
    assert sum(parts.values()) < 1e-3


def test_a_photo_without_things_teaches_silence_alone(tiny):
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    parts = tiny.loss([torch.rand(3, 64, 64)], [nothing])
    assert parts["box"] == 0 and parts["classification"] == 0 and parts["objectness"] > 0
    sum(parts.values()).backward()


def test_two_pictures_are_learned_in_some_steps():
    torch.manual_seed(0)
    model = explorer.create_model("yolov5n", num_classes=2, img_size=128, width=0.125)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.2  # some steps must do for the statistics
    model.score_threshold = 0.05
    learn(model, 60, 5e-3)


def test_detect_finds_what_the_network_finds(tiny):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8))
    found = explorer.detect(tiny, photo, score_threshold=0.0)
    assert len(found) and found.boxes[:, 2].max() <= 140 and found.boxes[:, 3].max() <= 90


@pytest.mark.parametrize("name", ["yolov5n", "efficientdet"])
def test_half_precision_does_not_round_boxes(name):
    torch.manual_seed(0)
    options = {} if name == "yolov5n" else {"backbone": "tinynet_e"}
    model = explorer.create_model(name, num_classes=2, img_size=128, dtype=torch.bfloat16, **options).eval()
    model.score_threshold = 0.0
    with torch.no_grad():
        (found,) = model([torch.rand(3, 90, 120)])
    assert len(found["boxes"]) and found["boxes"].dtype == found["scores"].dtype == torch.float32


def test_pretrained_says_why_there_are_none():
    assert tags("yolov5s") == ()
    with pytest.raises(WeightsError, match="AGPL-3.0.*checkpoint_path"):
        explorer.create_model("yolov5n", pretrained=True)


def test_a_state_dict_of_its_own_code_opens(tmp_path, tiny):
    state = {key: value + 0.01 if value.is_floating_point() else value
             for key, value in tiny.state_dict().items()}
    torch.save(state, tmp_path / "own.pt")
    model = explorer.create_model("yolov5n", checkpoint_path=tmp_path / "own.pt")
    assert model.num_classes == 3
    assert torch.equal(model.state_dict()["model.24.m.1.weight"], state["model.24.m.1.weight"])
    assert weights.convert("yolov5n", state, source="yolov5").keys() == model.state_dict().keys()
    other = explorer.create_model("yolov5n", checkpoint_path=tmp_path / "own.pt", num_classes=7)
    kept = other.model[24].m[0].weight.unflatten(0, (3, 12))[:, :5]
    assert torch.equal(kept, state["model.24.m.0.weight"].unflatten(0, (3, 8))[:, :5])


def test_surgery_and_features(tiny):
    model = explorer.create_model("yolov5n", num_classes=3)
    model.freeze()
    learning = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"model.24.m.0", "model.24.m.1", "model.24.m.2"}
    model.unfreeze()
    assert explorer.parameter_groups(model, lr=0.1, layer_decay=0.5)
    model.eval().reset_classifier(0)
    assert [m.shape[1] for m in model(torch.zeros(1, 3, 64, 64))] == [64, 128, 256]
    net = explorer.create_model("yolov5n", features_only=True).eval()
    maps = net(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == net.feature_info.channels()
    assert [64 // m.shape[-1] for m in maps] == net.feature_info.reduction()
    assert explorer.module_tree(tiny, (3, 64, 64)).flops > 0
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(tiny, fullgraph=True, backend="eager")(torch.ones(1, 3, 64, 64))
        assert torch.allclose(compiled[1], tiny(torch.ones(1, 3, 64, 64))[1], atol=1e-5)
    with pytest.raises(ValueError, match="output_stride"):
        explorer.create_model("yolov5n", output_stride=16)
    with pytest.raises(TypeError, match="no option 'backbone'"):
        explorer.create_model("yolov5n", backbone="resnet18")
