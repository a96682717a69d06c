"""Class activation maps are those of pytorch-grad-cam and captum, and say what they can't do."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from explorer.inspection.attribution.explaining import explain
from explorer.inspection.look.looking import look
from explorer.inspection.look.passes import Stopped
from tests.inspection.small_models import noise_photo, tiny
from tests.models.oracle import relative_error

captum = pytest.importorskip("captum.attr")
grad_cam = pytest.importorskip("pytorch_grad_cam")

PHOTO = noise_photo()
TARGET = 3
#: family file -> stages, early and deep
NETWORKS = {
    "resnet": ("layer2", "layer4"),
    "efficientnet": ("blocks.6",),
    "vit": ("block1",),
    "swin": ("layers2",),
}
CASES = [(module, stage) for module, stages in NETWORKS.items() for stage in stages]


@pytest.fixture(scope="module")
def networks():
    return {module: tiny(module) for module in NETWORKS}


def place(model, stage) -> nn.Module:
    return model.get_submodule(next(row.module for row in model.stage_table if row.name == stage))


def as_map(output: torch.Tensor, channels: int) -> torch.Tensor:
    """Tokens [B, 1 + N, C] or a map [B, H, W, C] -> [B, C, H, W]."""
    if output.ndim == 3:
        side = int((output.shape[1] - 1) ** 0.5)
        return output[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    return output if output.shape[1] == channels else output.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("module", "stage"), CASES)
@pytest.mark.parametrize(("method", "theirs"), [
    ("gradcam", "GradCAM"), ("gradcam++", "GradCAMPlusPlus"), ("layercam", "LayerCAM")])
def test_the_map_is_that_of_pytorch_grad_cam(networks, module, stage, method, theirs):
    model = networks[module]
    channels = next(row.channels for row in model.stage_table if row.name == stage)
    found = explain(model, PHOTO, method=method, stage=stage, target=TARGET)
    x, targets = look(model, PHOTO).input[None], [lambda logits: logits[TARGET]]
    with getattr(grad_cam, theirs)(
        model, [place(model, stage)], lambda output: as_map(output, channels)
    ) as cam:
        cam(x, targets)
        seen = cam.activations_and_grads
        wanted = cam.get_cam_image(
            x, None, targets, seen.activations[0].numpy(), seen.gradients[0].numpy(), False
        )[0]
    assert relative_error(found.raw, torch.from_numpy(wanted)) < 1e-4


@pytest.mark.parametrize("stage", ["layer1", "layer4"])
def test_the_signed_map_is_that_of_captum(networks, stage):
    model = networks["resnet"]
    found = explain(model, PHOTO, stage=stage, target=TARGET)
    x = look(model, PHOTO).input[None].requires_grad_()
    wanted = captum.LayerGradCam(model, place(model, stage)).attribute(x, target=TARGET)[0, 0]
    assert (found.raw < 0).any() and relative_error(found.raw, wanted.detach()) < 1e-4


def test_score_cam_is_that_of_pytorch_grad_cam(networks, monkeypatch):
    # It stretches masks so that corners meet corners; the rest of explorer, and torch by default, meet edges
    # to edges.
    monkeypatch.setattr(
        nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear", align_corners=False)
    )
    model = copy.deepcopy(networks["resnet"])
    with torch.no_grad():
        model.fc.weight.mul_(60)  # so that the channels' scores are far apart, and each mask counts
    found = explain(model, PHOTO, method="scorecam", target=TARGET, stage="layer2")
    with grad_cam.ScoreCAM(model, [model.layer2]) as cam:
        wanted = cam(look(model, PHOTO).input[None], [lambda logits: logits[TARGET]])[0]
    mine = found.raw.relu().numpy()[None]
    for _ in range(2):  # it scales the map before and after it is made larger
        mine = grad_cam.utils.image.scale_cam_image(mine, wanted.shape[::-1])
    assert np.abs(mine[0] - wanted).max() < 1e-3 and found.passes == 1 + 128


def test_score_cam_may_take_some_channels_and_says_so(networks):
    found = explain(networks["resnet"], PHOTO, method="scorecam", channels=5, batch_size=2)
    assert found.passes == 1 + 5 and "the 5 channels whose values spread most, of 512" in found.notes[0]


def test_score_cam_that_is_stopped_keeps_the_channels_that_are_done(networks):
    steps = []
    found = explain(
        networks["resnet"],
        PHOTO,
        method="scorecam",
        batch_size=4,
        should_stop=lambda: len(steps) > 2,
        on_progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(0, 512), (4, 512), (8, 512)] and "Stopped early: the 8 channels" in found.notes[0]
    partial = explain(networks["resnet"], PHOTO, method="scorecam", channels=8)
    assert torch.equal(found.raw, partial.raw)
    with pytest.raises(Stopped, match="before the first channel"):
        explain(networks["resnet"], PHOTO, method="scorecam", should_stop=lambda: True)


def test_a_map_of_one_place_says_that_it_shows_no_place():
    found = explain(tiny("lenet"), PHOTO, stage="C5", target=1)
    assert found.raw.shape == (1, 1) and any("a single place" in note for note in found.notes)


def test_a_stage_that_is_a_copy_of_what_goes_on_is_watched_where_it_is_made():
    """Xception shows its maps behind a ReLU of their own; the network works on with another one's."""
    model = tiny("xception")
    name = model.stage_table[2].name
    found = explain(model, PHOTO, stage=name, target=TARGET)
    x = look(model, PHOTO).input[None].requires_grad_()
    wanted = captum.LayerGradCam(model, place(model, name)).attribute(x, target=TARGET)[0, 0]
    assert relative_error(found.raw, wanted.detach()) < 1e-4


def test_a_class_token_s_last_block_has_no_places_that_count():
    model = tiny("vit")
    found = explain(model, PHOTO, stage="block2", target=TARGET)
    assert not found.heatmap.any() and "zero everywhere" in found.notes[-1]
    assert explain(model, PHOTO, target=TARGET).stage == "block1"
