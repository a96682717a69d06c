"""VoVNet: numbers for each kind of block, and what only shows while training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.layers import EvoNorm2dS0
from tests.models.oracle import TOLERANCE, relative_error, same_weights

timm = pytest.importorskip("timm")


def photo(size: int = 64, chans: int = 3) -> torch.Tensor:
    return torch.randn(2, chans, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("in_chans", [1, 4])
def test_numbers_equal_timms_with_other_photos(in_chans):
    mine, theirs = (lib.create_model("ese_vovnet19b_slim", in_chans=in_chans) for lib in (ours, timm))
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(photo(32, in_chans)), theirs(photo(32, in_chans))) < TOLERANCE


def test_fresh_weights_give_logits_of_a_sane_size():
    torch.manual_seed(0)
    logits = ours.create_model("ese_vovnet19b_dw")(photo())
    assert torch.isfinite(logits).all() and 0.01 < logits.std() < 3


def test_stage_modules_keep_their_name_and_the_table_tells_of_them():
    model = ours.create_model("ese_vovnet19b_slim").eval()
    assert isinstance(model.stages, nn.Sequential) and len(model.stages) == 4
    seen = []
    third = model.get_submodule(model.stage_table[2].module)
    third.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    with torch.no_grad():
        maps = model.forward_intermediates(photo(), intermediates_only=True)
    assert torch.equal(seen[0], maps[2]) and maps[2].shape == (2, 256, 8, 8)


def test_only_blocks_with_a_shortcut_drop_their_path():
    """timm drops whole blocks without a shortcut too, and with them the photo."""
    model, theirs = (lib.create_model("ese_vovnet39b", drop_path_rate=0.2) for lib in (ours, timm))
    rates = {k: m.drop_prob for k, m in model.named_modules() if hasattr(m, "drop_prob")}
    assert rates == pytest.approx({"stages.2.blocks.1.drop_path": 0.12, "stages.3.blocks.1.drop_path": 0.2})
    assert rates == pytest.approx({k: theirs.get_submodule(k).drop_prob for k in rates})


def test_evonorm_normalises_every_photo_by_itself():
    norm = EvoNorm2dS0(64).requires_grad_(False)
    x = torch.randn(3, 64, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(norm(x)[1:2], norm(x[1:2]), atol=1e-6)
    theirs = timm.layers.EvoNorm2dS0(64).requires_grad_(False)
    same_weights(norm, theirs)
    assert relative_error(norm(x), theirs(x)) < TOLERANCE
    assert torch.equal(EvoNorm2dS0(64, apply_act=False)(x), x)


def test_evonorm_refuses_unequal_groups():
    with pytest.raises(ValueError, match="48 channels can't form 32 equal groups"):
        EvoNorm2dS0(48)
