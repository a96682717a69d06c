"""RetinaNet, held against torchvision's: counts, keys, raw numbers, boxes, losses, published weights."""

from __future__ import annotations

import re

import pytest
import torch
from torchvision.models import detection, resnet50
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d

import explorer
from explorer.models import trained
from explorer.models.weights import convert
from tests.models.detection_oracle import check_found, photos, small_retinanet, targets
from tests.models.oracle import randomise, relative_error, without_initialisation
from tests.models.samples import empty

V1, V2 = "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"


def ours_like(theirs, **options):
    """Our RetinaNet over a ResNet-18 with the numbers of torchvision's, for photos of the same sizes."""
    with without_initialisation():
        model = explorer.create_model("retinanet", backbone="resnet18", num_classes=5, **options).eval()
    model.load_state_dict(theirs.state_dict(), strict=True)
    model.config = model.config.with_(input_size=(3, 96, 160))
    return model.to(next(theirs.parameters()).dtype)


def published() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Torchvision's network as it is built for its COCO_V1 weights, and a state dict as that file has it."""
    body = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
    backbone = _resnet_fpn_extractor(body, 5, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
    model = detection.RetinaNet(backbone, 91, min_size=64, max_size=96)
    overwrite_eps(model, 0.0)
    randomise(model)
    old = {}
    for key, value in model.state_dict().items():
        key = re.sub(r"(inner|layer)_blocks\.(\d+)\.0\.", r"\1_blocks.\2.", key)
        key = re.sub(r"_head\.conv\.(\d)\.0\.", lambda m: f"_head.conv.{2 * int(m[1])}.", key)
        old[key] = value
    return model.eval(), old


@pytest.mark.parametrize(("name", "options", "numbers", "keys"), [
    (V1, {}, 34_068_119, 354), (V1, {"frozen_norm": True}, 34_014_999, 301), (V2, {}, 38_198_935, 362),
])
def test_parameters_and_keys_are_as_many_as_torchvisions(name, options, numbers, keys):
    model = empty(name, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == numbers
    assert len(model.state_dict()) == keys
    assert model.num_classes == 91 and len(model.config.labels) == 91
    assert model.config.labels[0] == "background" and model.config.labels[1] == "person"


@pytest.mark.parametrize("name", [V1, V2])
def test_raw_numbers_equal_torchvisions(name):
    torch.manual_seed(0)
    theirs = getattr(detection, name)(weights=None, weights_backbone=None)
    randomise(theirs)
    with without_initialisation():
        mine = explorer.create_model(name).eval()
    mine.load_state_dict(theirs.eval().state_dict(), strict=True)
    x = torch.randn(2, 3, 97, 161, generator=torch.Generator().manual_seed(1))
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-7)):
        with torch.no_grad():
            raw = mine.to(dtype).forward_raw(x.to(dtype))
            wanted = theirs.to(dtype).head([*theirs.backbone(x.to(dtype)).values()])
        assert all(relative_error(raw[key], wanted[key]) < tolerance for key in wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boxes_equal_torchvisions(dtype):
    theirs = small_retinanet().to(dtype)
    mine = ours_like(theirs)
    with torch.no_grad():
        check_found(mine(photos(dtype)), theirs(photos(dtype)), swapped=2 if dtype == torch.float32 else 0)


def test_boxes_of_the_second_version_equal_torchvisions():
    theirs = detection.retinanet_resnet50_fpn_v2(weights=None, weights_backbone=None, min_size=64,
                                                 max_size=96)
    randomise(theirs)
    with without_initialisation():
        mine = explorer.create_model(V2, img_size=(64, 96)).eval()
    mine.load_state_dict(theirs.eval().state_dict(), strict=True)
    with torch.no_grad():
        check_found(mine(photos()), theirs(photos()), swapped=2)


@pytest.mark.parametrize("kind", ["l1", "giou"])
def test_loss_and_its_gradients_equal_torchvisions(kind):
    theirs = small_retinanet().double()
    theirs.head.regression_head._loss_type = kind
    mine = ours_like(theirs, box_loss=kind)
    found = mine.loss(photos(torch.float64), targets())
    theirs.training = True  # its losses, with BatchNorm as it is
    wanted = theirs(photos(torch.float64), [{**t, "boxes": t["boxes"].double()} for t in targets()])
    assert found.keys() == wanted.keys()
    assert all(relative_error(found[key].detach(), wanted[key].detach()) < 1e-7 for key in wanted)
    sum(found.values()).backward()
    sum(wanted.values()).backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in mine.named_parameters():
        if gradients[name].requires_grad:  # torchvision freezes the first layers of a backbone
            assert relative_error(parameter.grad, gradients[name].grad) < 1e-6, name


def test_published_weights_are_loaded_as_they_were_trained(monkeypatch):
    theirs, file = published()
    monkeypatch.setattr(trained, "fetch", lambda config, cache_dir: (file, config.url))
    mine = explorer.create_model(V1, pretrained=True, img_size=(64, 96)).eval()
    assert len(mine.state_dict()) == 301 and mine.config.metrics == (("box AP", 36.4),)
    assert "eeacb38b" in mine.load_report.source and not mine.load_report.skipped
    with torch.no_grad():
        check_found(mine(photos()), theirs(photos()), swapped=2)


def test_another_number_of_classes_puts_a_fresh_layer_on_and_says_so(monkeypatch):
    _, file = published()
    monkeypatch.setattr(trained, "fetch", lambda config, cache_dir: (file, config.url))
    model = explorer.create_model(V1, pretrained=True, num_classes=3)
    assert model.get_classifier().weight.shape[0] == 27
    assert model.load_report.skipped == [
        "the classifier of 91 classes; the new one of 3 is untrained"]
    body = model.body.conv1.weight
    assert torch.equal(body, file["backbone.body.conv1.weight"])


def test_names_from_before_are_translated():
    _, file = published()
    own = empty(V1, frozen_norm=True).state_dict()
    assert convert(V1, file, source="torchvision").keys() == own.keys()


def test_it_stands_over_any_backbone_that_halves_its_maps():
    model = explorer.create_model("retinanet", backbone="convnext_tiny", num_classes=3, img_size=64)
    assert [stage.name for stage in model.stages][-5:] == ["p5", "p4", "p3", "p6", "p7"]
    losses = model.loss([torch.rand(3, 70, 90)], [{"boxes": torch.tensor([[4.0, 5, 40, 50]]),
                                                    "labels": torch.tensor([2])}])
    sum(losses.values()).backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert all(".head." in name for name in silent)  # a norm of the backbone's own head
    raw = model.forward_raw(torch.randn(1, 3, 64, 96))
    assert raw["cls_logits"].shape == (1, raw["bbox_regression"].shape[1], 3)


def test_smaller_anchors_may_be_asked_for_where_things_are_small():
    plain, fine = (explorer.create_model("retinanet", backbone="resnet18", num_classes=2, **options)
                   for options in ({}, {"anchor_scale": 2.0}))
    of_both = [model.anchors([(4, 4), (2, 2)], (32, 32))[0] for model in (plain, fine)]
    (left, _, right, _), (small_left, _, small_right, _) = (level[4] for level in of_both)  # square
    assert (right - left, small_right - small_left) == (40, 20)
    assert dict(explorer.create_model("retinanet", backbone="resnet18", anchor_scale=2.0)
                .config.build_options)["anchor_scale"] == 2.0


def test_a_backbone_of_a_fixed_size_sees_every_photo_at_that_size():
    model = explorer.create_model("retinanet", backbone="swin_tiny_patch4_window7_224", num_classes=2,
                                  img_size=224).eval()
    batch, (wide, high) = model.prepare([torch.rand(3, 100, 200), torch.rand(3, 90, 30)])
    assert batch.shape == (2, 3, 224, 224) and wide.inside == (112, 224) and high.inside == (224, 75)
    with torch.no_grad():
        assert model.forward_raw(batch)["cls_logits"].shape[0] == 2


def test_a_backbone_without_the_strides_is_refused():
    with pytest.raises(ValueError, match="one size"):
        explorer.create_model("retinanet", backbone="vit_tiny_patch16_224")
    with pytest.raises(ValueError, match="strides 8, 16 and 32"):
        explorer.create_model("retinanet", backbone="resnet18", output_stride=8)


def test_stages_are_the_backbones_and_then_the_levels_as_they_are_made():
    model = ours_like(small_retinanet())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        levels, maps = model.forward_intermediates(x)
        assert [tuple(m.shape[1:]) for m in maps] == [
            (s.channels, -(-64 // s.reduction), -(-64 // s.reduction)) for s in model.stage_table]
        assert all(torch.equal(maps[-5 + at], levels[level])
                   for level, at in enumerate((2, 1, 0, 3, 4)))
    net = explorer.create_model("retinanet", backbone="resnet18", features_only=True, out_indices=(-3, -4))
    assert [m.shape[1] for m in net(x)] == [256, 256]


def test_one_step_learns_and_frozen_parts_stay():
    torch.manual_seed(0)
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=5, img_size=(96, 160),
                                  box_loss="giou", head_norm=True)
    explorer.freeze(model, "layer2")
    learns = [p for p in model.parameters() if p.requires_grad]
    assert 0 < len(learns) < len([*model.parameters()])
    optimizer = torch.optim.AdamW(learns, lr=1e-4)
    before, first = model.body.conv1.weight.clone(), None
    for _ in range(6):
        losses = model.train()(photos(), targets())
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        first = total.item() if first is None else first
    assert total.item() < first
    assert torch.equal(model.body.conv1.weight, before)
