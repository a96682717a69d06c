"""EfficientDet against effdet: keys, numbers, photos, boxes and loss."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.models import weights
from explorer.models.detection.efficientdet import assign
from explorer.models.weights.table import config_for, parameter_count, tags
from tests.models.learning_boxes import learn
from tests.models.oracle import photos, randomise, relative_error, without_initialisation

effdet = pytest.importorskip("effdet")
NAMES = [name for name in explorer.list_models("*efficientdet_*")]
SIZE = (128, 256)


def pair(name: str, size=SIZE, classes: int = 90, **options):
    """(ours, effdet's), in evaluation mode and with the same random numbers."""
    config = effdet.get_efficientdet_config(name)
    config.image_size, config.num_classes = size, classes
    with without_initialisation():
        theirs = effdet.EfficientDet(config, pretrained_backbone=False)
        mine = explorer.create_model(name, num_classes=classes, **options)
    randomise(theirs)
    mine.load_state_dict(theirs.state_dict(), strict=True)
    mine.config = mine.config.with_(input_size=(3, *size))
    return mine.eval(), theirs.eval()


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_and_facts_are_effdets(name):
    with torch.device("meta"), without_initialisation():
        theirs = effdet.create_model(name, pretrained_backbone=False)
        mine = explorer.create_model(name)
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (mine, theirs)]
    assert shapes[0] == shapes[1]
    config = effdet.get_efficientdet_config(name)
    ours = config_for(name)
    assert ours.input_size[1:] == tuple(config.image_size)
    assert mine.num_classes == len(ours.labels) == config.num_classes
    assert ours.mean == tuple(config.get("mean") or (0.485, 0.456, 0.406))
    assert mine.score_threshold == 0 and mine.max_boxes == config.max_det_per_image
    assert mine.most_candidates == config.max_detection_points
    assert (ours.url or "") == config.url and bool(tags(name)) == bool(config.url)
    if ours.url:
        assert ours.license == "apache-2.0" and ours.metrics[0][0] == "box AP"


def test_counts_are_the_published_ones():
    counts = {"efficientdet_d0": 3877763, "tf_efficientdet_d0": 3880067, "efficientdet_d1": 6622026,
              "tf_efficientdet_d1": 6625898, "efficientdet_d2": 8091215, "tf_efficientdet_d2": 8097039,
              "tf_efficientdet_lite0": 3243470}
    assert {name: parameter_count(name) for name in counts} == counts


@pytest.mark.parametrize("name, size", [
    ("efficientdet_d0", SIZE), ("efficientdet_d1", (128, 128)), ("efficientdet_d2", (128, 128)),
    ("efficientdet_d4", (128, 128)), ("tf_efficientdet_d0", (256, 128)), ("tf_efficientdet_d1", (128, 128)),
    ("tf_efficientdet_d2", (128, 128)), ("tf_efficientdet_lite0", (320, 320)),
])
def test_raw_maps_and_anchors_are_effdets(name, size):
    mine, theirs = pair(name, size)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-7)):
        x = photos(size, count=1).to(dtype)
        with torch.no_grad():
            raw, (classes, boxes) = mine.to(dtype).forward_raw(x), theirs.to(dtype)(x)
        for ours, other in zip((*raw["class_maps"], *raw["box_maps"]), (*classes, *boxes), strict=True):
            assert relative_error(ours, other) < tolerance
    anchors = mine.anchors([level.shape[-2:] for level in classes], size)
    assert torch.allclose(anchors[:, [1, 0, 3, 2]], theirs_anchors(theirs), atol=1e-3)


def theirs_anchors(model):
    return effdet.anchors.Anchors.from_config(model.config).boxes


def test_the_first_anchors_of_d0_are_the_published_ones():
    model = explorer.create_model("efficientdet_d0", device="meta")
    grids = [(512 // stride, 512 // stride) for stride in model.strides]
    with torch.device("cpu"):
        anchors = explorer.create_model("efficientdet", backbone="tinynet_e").anchors(grids, (512, 512))
    assert len(anchors) == 49104
    wanted = torch.tensor([[-12, -12, 20, 20], [-18.4, -7.2, 26.4, 15.2]])
    assert torch.allclose(anchors[:2], wanted, atol=1e-4)


def test_an_odd_size_runs_and_keeps_the_grids():
    model = explorer.create_model("tf_efficientdet_lite0", num_classes=2).eval()
    with torch.no_grad():
        raw = model(torch.rand(1, 3, 101, 67))
    assert [tuple(level.shape[1:]) for level in raw["class_maps"]] == [
        (18, 13, 9), (18, 7, 5), (18, 4, 3), (18, 2, 2), (18, 1, 1)]


@pytest.mark.parametrize("height, width", [(97, 181), (300, 200), (128, 256)])
def test_photos_are_prepared_as_effdet_does(height, width):
    from effdet.data.transforms import ResizePad

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    model = explorer.create_model("efficientdet", backbone="tinynet_e")
    model.config = model.config.with_(input_size=(3, *SIZE))
    photo = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    canvas, place = model.place(photo)
    theirs, facts = ResizePad(SIZE, interpolation="bilinear", fill_color=(124, 116, 104))(picture, {})
    difference = canvas - torch.from_numpy(np.array(theirs)).permute(2, 0, 1) / 255
    assert difference.abs().max() < 1.01 / 255  # Pillow rounds twice
    assert place.scale == pytest.approx((1 / facts["img_scale"],) * 2)
    batch, _ = model.prepare([photo])
    assert batch.shape == (1, 3, *SIZE) and batch[0, :, -1, -1].abs().max() < 0.02 or (height, width) == SIZE


@pytest.mark.parametrize("name, size", [("efficientdet_d0", SIZE), ("tf_efficientdet_lite0", (320, 320))])
def test_boxes_behind_the_choice_are_effdets(name, size, monkeypatch):
    mine, theirs = pair(name, size)
    photo = torch.rand(3, 90, 170, generator=torch.Generator().manual_seed(0))
    batch, (place,) = mine.prepare([photo])
    # noise in place of maps: a random network's neighbours have the same score, and ties go either way;
    # some boxes become larger than other detectors allow
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        raw = {key: [2 * torch.randn(level.shape, generator=noise) for level in levels]
               for key, levels in mine.forward_raw(batch).items()}
    monkeypatch.setattr(mine, "see", lambda *_: raw)
    monkeypatch.setattr(theirs, "forward", lambda _: (raw["class_maps"], raw["box_maps"]))
    facts = {"img_scale": torch.tensor([1 / place.scale[0]]), "img_size": torch.tensor([[170.0, 90.0]])}
    (wanted,) = effdet.DetBenchPredict(theirs)(batch, facts)
    (found,) = mine([photo])
    (candidates,) = mine.candidates(raw, batch.shape[-2:], [place])
    assert len(candidates) == 5000 and candidates.scores.diff().max() <= 0
    assert found["boxes"].shape == (100, 4)
    assert (found["scores"] - wanted[:, 4]).abs().max() < 1e-4
    assert (found["boxes"] - wanted[:, :4]).abs().max() < 0.1
    assert torch.equal(found["labels"] + 1, wanted[:, 5].long())


def test_candidates_say_which_anchor_and_level_they_are_from():
    mine, _ = pair("efficientdet_d0", classes=3)
    batch, places = mine.prepare([torch.rand(3, 128, 256)])
    with torch.no_grad():
        raw = mine.forward_raw(batch)
    (found,) = mine.candidates(raw, batch.shape[-2:], places, score_threshold=0.5)
    assert len(found) and found.scores.min() > 0.5
    flat = torch.cat([level[0].unflatten(0, (9, 3)).permute(2, 3, 0, 1).reshape(-1, 3)
                      for level in raw["class_maps"]])
    assert torch.equal(flat[found.anchors, found.labels].sigmoid(), found.scores)
    counts = torch.tensor([level[0, 0].numel() * 9 for level in raw["class_maps"]])
    assert torch.equal(torch.arange(5).repeat_interleave(counts)[found.anchors], found.levels)


def test_the_loss_is_effdets():
    mine, theirs = pair("efficientdet_d0", (128, 128), classes=5)
    targets = [
        {"boxes": torch.tensor([[10.0, 20, 60, 90], [12, 22, 64, 88], [100, 3, 104, 6]]),
         "labels": torch.tensor([0, 4, 2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
    ]
    padded = {"bbox": torch.zeros(2, 3, 4), "cls": torch.full((2, 3), -1.0)}
    padded["bbox"][0] = targets[0]["boxes"][:, [1, 0, 3, 2]]
    padded["cls"][0] = targets[0]["labels"] + 1.0
    bench = effdet.DetBenchTrain(theirs, create_labeler=True)
    bench.training = True  # that it gives the loss alone; BatchNorm stays in evaluation
    images = [torch.rand(3, 128, 128), torch.rand(3, 128, 128)]
    batch, _ = mine.prepare(images)
    wanted, found = bench(batch, padded), mine.loss(images, targets)
    assert found["classification"].item() == pytest.approx(wanted["class_loss"].item(), rel=1e-4)
    assert found["bbox_regression"].item() == pytest.approx(50 * wanted["box_loss"].item(), rel=1e-4)
    sum(found.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mine.fpn.parameters())


def test_two_boxes_of_which_both_want_one_anchor():
    anchors = torch.tensor([[0.0, 0, 10, 10], [100, 100, 120, 120]])
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 3, 3], [100, 100, 120, 119]])
    assert assign(boxes, anchors).tolist() == [0, 2]
    assert assign(boxes[:0], anchors).tolist() == [-1, -1]


def small(**options):
    torch.manual_seed(0)
    model = explorer.create_model("efficientdet", backbone="tinynet_e", num_classes=2, width=32, cells=1,
                                  depth=1, **options)
    model.config = model.config.with_(input_size=(model.in_chans, 128, 128))
    return model


def test_two_pictures_are_learned_in_some_steps():
    model = small()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.2  # some steps must do for the statistics
    learn(model, 50, 3e-3)


@pytest.mark.parametrize("backbone", ["convnext_atto", "resnet10t", "swin_tiny_patch4_window7_224",
                                      "mobilenetv3_small_050", "hrnet_w18_small"])
def test_any_pyramid_stands_under_it(backbone):
    size = 224 if "swin" in backbone else 128
    model = explorer.create_model("efficientdet", backbone=backbone, num_classes=3, img_size=size).eval()
    with torch.no_grad():
        (found,) = model([torch.rand(3, 100, 140)])
    assert found["boxes"].shape == (100, 4) and found["labels"].max() < 3
    maps = model.forward_intermediates(torch.rand(1, 3, size, size), intermediates_only=True)
    assert [m.shape[1] for m in maps] == model.feature_info.channels()
    assert [size // m.shape[-1] for m in maps[-5:]] == ([8, 16, 32, 64, 128] if size == 128
                                                        else [8, 16, 32, 56, 112])


def test_a_dilated_body_gives_fewer_maps_and_the_pyramid_makes_the_rest():
    with without_initialisation():
        model = explorer.create_model("efficientdet", backbone="resnet10t", output_stride=16).eval()
    assert len(model.levels) == 2 and list(model.fpn.resample) == ["2", "3", "4"]
    assert model(torch.zeros(1, 3, 64, 64))["class_maps"][2].shape[-1] == 2


def test_effdets_own_files_are_read(tmp_path):
    _, theirs = pair("efficientdet_d0", classes=7)
    torch.save({"state_dict": effdet.DetBenchPredict(theirs).state_dict()}, tmp_path / "theirs.pth")
    model = explorer.create_model("efficientdet_d0", checkpoint_path=tmp_path / "theirs.pth")
    assert model.num_classes == 7
    assert torch.equal(model.box_net.predict.conv_pw.weight, theirs.box_net.predict.conv_pw.weight)
    other = explorer.create_model("efficientdet_d0", checkpoint_path=tmp_path / "theirs.pth", num_classes=3)
    assert other.class_net.predict.conv_pw.out_channels == 27 and "untrained" in str(other.load_report)
    assert torch.equal(other.box_net.predict.conv_pw.weight, theirs.box_net.predict.conv_pw.weight)
    grey = explorer.create_model("efficientdet_d0", checkpoint_path=tmp_path / "theirs.pth", in_chans=1)
    assert grey.backbone.conv_stem.weight.shape[1] == 1
    converted = weights.convert("efficientdet_d0", theirs.state_dict(), source="effdet")
    assert converted.keys() == grey.state_dict().keys()


def test_surgery_and_features():
    model = small()
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model.eval(), fullgraph=True, backend="eager")(photos(128))
        assert relative_error(compiled["box_maps"][1], model(photos(128))["box_maps"][1]) < 1e-5
    model.freeze()
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning == ["class_net.predict.conv_pw.weight", "class_net.predict.conv_pw.bias"]
    model.unfreeze()
    assert explorer.parameter_groups(model, lr=0.1, layer_decay=0.5)
    model.eval().reset_classifier(5)
    assert model.num_classes == 5 and model(torch.zeros(1, 3, 64, 64))["class_maps"][0].shape[1] == 45
    with pytest.raises(ValueError, match="pools nothing"):
        model.reset_classifier(5, "avg")
    net = explorer.create_model("efficientdet", backbone="tinynet_e", features_only=True,
                                out_indices=(-5, -1)).eval()
    assert [m.shape[-1] for m in net(torch.zeros(1, 3, 128, 128))] == [16, 1]
    assert not any(name.startswith(("class_net", "box_net")) for name in net.state_dict())
    assert explorer.module_tree(model, (3, 128, 128)).flops > 0


def test_a_trained_body_stands_under_it_where_the_whole_has_no_weights():
    model = explorer.create_model("efficientdet", backbone="tf_efficientnet_lite0", pretrained=True,
                                  num_classes=3)
    body = explorer.create_model("tf_efficientnet_lite0", pretrained=True)
    assert torch.equal(model.backbone.blocks[6][0].conv_pwl.weight, body.blocks[6][0].conv_pwl.weight)
    assert "untrained" in str(model.load_report) and model.config.mean == (0.5, 0.5, 0.5)
    found = explorer.detect(model, Image.new("RGB", (200, 120), "red"), score_threshold=0.0)
    assert len(found) == 100 and found.boxes[:, 2].max() <= 200 and found.boxes[:, 3].max() <= 120


def test_a_saved_folder_opens_with_its_own_backbone(tmp_path):
    model = small()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    facts = {"architecture": "efficientdet", "num_classes": 2, "label_names": ["cat", "dog"],
             "pretrained_cfg": {"build_options": model.config.build_options}}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    again = explorer.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert again.config.labels == ("cat", "dog")
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_no_class_of_another_network_is_a_backbone():
    with pytest.raises(ValueError, match="no backbone"):
        explorer.create_model("efficientdet", backbone="efficientdet_d0")
    with pytest.raises(ValueError, match="one size"):
        explorer.create_model("efficientdet", backbone="vit_tiny_patch16_224")
    with pytest.raises(TypeError, match="has no option 'widht'"):
        explorer.create_model("efficientdet", backbone="tinynet_e", widht=3)
