"""The losses of masks equal torch's, torchvision's and segmentation-models-pytorch's own."""

from __future__ import annotations

import pytest
import torch
from segmentation_models_pytorch import losses as smp
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from explorer.models.segmentation.losses import IGNORED, LOSSES, mask_loss


@pytest.fixture
def given():
    """Scores [2, 4, 5, 7], and masks with pixels that do not count and a class, 3, that no pixel has."""
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 5, 7))
    target[torch.rand(2, 5, 7) < 0.3] = IGNORED
    return (3 * torch.randn(2, 4, 5, 7, dtype=torch.float32)).requires_grad_(), target


def check_equal(name, given, theirs):
    scores, target = given
    ours = mask_loss(scores, target, loss=name)[name]
    wanted = theirs(scores, target)
    torch.testing.assert_close(ours, wanted)
    torch.testing.assert_close(torch.autograd.grad(ours, scores)[0], torch.autograd.grad(wanted, scores)[0])


def test_cross_entropy_is_torchs(given):
    check_equal("ce", given, lambda scores, target: F.cross_entropy(scores, target, ignore_index=IGNORED))


def test_dice_is_smps_of_several_classes_over_the_batch(given):
    check_equal("dice", given, smp.DiceLoss("multiclass", ignore_index=IGNORED))


def test_focal_of_two_classes_is_smps_and_torchvisions_of_one_score(given):
    scores, target = given
    pair = scores.detach()[:, :2].clone().requires_grad_()
    target = target.where(target != 2, IGNORED)

    def single(scores, target):
        return smp.FocalLoss("binary", ignore_index=IGNORED)(scores[:, 1] - scores[:, 0], target)

    def torchvisions(scores, target):
        counted = target != IGNORED
        score = (scores[:, 1] - scores[:, 0])[counted]
        return sigmoid_focal_loss(score, target[counted].float(), alpha=-1, gamma=2, reduction="mean")

    check_equal("focal", (pair, target), single)
    check_equal("focal", (pair, target), torchvisions)


def test_parts_stand_side_by_side_and_an_auxiliary_head_counts_two_fifths(given):
    scores, target = given
    beside = torch.randn_like(scores)
    parts = mask_loss({"out": scores, "aux": beside}, target, loss="focal + ce+dice")
    assert [*parts] == ["focal", "ce", "dice", "aux"]
    alone = sum(mask_loss(beside, target, loss="focal+ce+dice").values())
    torch.testing.assert_close(parts["aux"], 0.4 * alone)
    torch.testing.assert_close(parts["dice"], mask_loss(scores, target, loss="dice")["dice"])


@pytest.mark.parametrize("name", LOSSES)
def test_where_no_pixel_counts_the_loss_is_0_and_so_is_its_gradient(name, given):
    scores, target = given
    cost = mask_loss(scores, torch.full_like(target, IGNORED), loss=name)[name]
    cost.backward()
    assert cost.item() == 0 and torch.equal(scores.grad, torch.zeros_like(scores))


def test_half_precision_scores_are_summed_in_single(given):
    scores, target = given
    coarse = scores.detach().bfloat16()
    for name, cost in mask_loss(coarse, target, loss="ce+dice+focal").items():
        torch.testing.assert_close(cost, mask_loss(coarse.float(), target, loss=name)[name])


@pytest.mark.parametrize("loss", ["", "iou", "ce+", "ce+ce", None])
def test_another_loss_is_refused_in_a_sentence(loss, given):
    with pytest.raises(ValueError, match="for masks give ce, dice, focal, or several"):
        mask_loss(*given, loss=loss)


def test_masks_of_another_size_kind_or_class_are_refused_in_a_sentence(given):
    scores, target = given
    with pytest.raises(ValueError, match=r"give int64 \[2, 5, 7\], a class for each pixel"):
        mask_loss(scores, target[:, :4])
    with pytest.raises(ValueError, match=r"torch.uint8 \[2, 5, 7\]"):
        mask_loss(scores, target.byte())
    target[0, 0, 0] = 4
    with pytest.raises(ValueError, match="A mask has the class 4: this network has 4 classes, so masks hold "
                                         "0 to 3"):
        mask_loss(scores, target)
