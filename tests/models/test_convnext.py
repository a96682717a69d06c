"""ConvNeXt against timm and torchvision, and what its checkpoints and its training need."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models import weights
from explorer.models.layers.norm import GlobalResponseNorm, LayerNorm2d, create_norm2d
from tests.models.oracle import TOLERANCE, randomise, relative_error

timm = pytest.importorskip("timm")

SMALL = {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}


def photo(size: int = 64, chans: int = 3, count: int = 2) -> torch.Tensor:
    return torch.randn(count, chans, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["convnext_tiny", "convnextv2_atto"])
def test_a_gradient_reaches_every_parameter_of_a_fresh_network(name):
    model = ours.create_model(name, **SMALL, num_classes=3, drop_rate=0.1)
    nn.functional.cross_entropy(model(photo()), torch.tensor([0, 2])).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().max()] == []


@pytest.mark.parametrize("name", ["convnext_atto", "convnext_tiny", "convnextv2_atto"])
def test_a_fresh_network_starts_close_to_no_opinion(name):
    torch.manual_seed(0)
    with torch.no_grad():
        logits = ours.create_model(name).eval()(photo(64))
    assert torch.isfinite(logits).all() and 0.05 < float(logits.std()) < 2


def test_drop_path_grows_to_its_rate_as_timms_does():
    mine, theirs = (library.create_model("convnext_atto", drop_path_rate=0.3) for library in (ours, timm))
    rates = [[getattr(block.drop_path, "drop_prob", 0.0) for stage in model.stages for block in stage.blocks]
             for model in (mine, theirs)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == 0.3


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large"])
def test_torchvisions_names_all_have_a_place(name):
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"convnext_{name}")().state_dict()
        mine = ours.create_model(f"convnext_{name}").state_dict()
    mapped = weights.convert(f"convnext_{name}", theirs, "torchvision")
    assert {k: v.shape for k, v in mapped.items()} == {k: v.shape for k, v in mine.items()}


def test_torchvisions_file_gives_torchvisions_numbers(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.convnext_tiny(num_classes=7).eval()
    randomise(theirs)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    mine = ours.create_model("convnext_tiny", checkpoint_path=tmp_path / "theirs.pth").eval()
    assert mine.num_classes == 7 and mine.load_report.skipped == []
    with torch.no_grad():
        assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE


def test_a_name_that_torchvision_does_not_write_is_named():
    with pytest.raises(ValueError, match=r"'features\.1\.0\.extra\.weight' is no tensor of 'convnext_tiny'"):
        weights.convert("convnext_tiny", {"features.1.0.extra.weight": torch.ones(1)}, "torchvision")


@pytest.mark.parametrize("name", ["convnext_large_mlp", "convnext_tiny_hnf", "convnextv2_atto"])
def test_a_checkpoint_fills_every_tensor(name, tmp_path):
    saved = ours.create_model(name, **SMALL, num_classes=4)
    torch.save(saved.state_dict(), tmp_path / "mine.pth")
    model = ours.create_model(name, **SMALL, checkpoint_path=tmp_path / "mine.pth")
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    assert all(torch.equal(value, saved.state_dict()[key]) for key, value in model.state_dict().items())
    fresh = ours.create_model(name, **SMALL, checkpoint_path=tmp_path / "mine.pth", num_classes=9).eval()
    assert fresh(photo(32)).shape == (2, 9)


def test_a_new_classifier_stays_where_the_model_is():
    model = ours.create_model("convnext_large_mlp", **SMALL).to(torch.float64)
    model.reset_classifier(5, "max")
    assert model(photo().double()).dtype == torch.float64
    assert model.head.global_pool.pool_type == "max"
    model.reset_classifier(3)
    assert model.head.global_pool.pool_type == "max" and model.get_classifier().out_features == 3


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": "catavgmax"}, "catavgmax"), ({"global_pool": ""}, "num_classes=0"),
    ({"stem": "conv"}, "Unknown stem 'conv'. Known: patch"), ({"output_stride": 4}, "8, 16 and 32"),
    ({"norm_layer": "rms"}, "conv_mlp=True"),
    ({"norm_layer": "batch", "conv_mlp": True}, "Unknown norm 'batch'"),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("convnext_tiny", **SMALL, **options)


# --- the norms ---------------------------------------------------------------------------------------------


def test_layer_norm_of_a_map_normalises_each_place_by_itself():
    x = photo(5, chans=6) * 3 + 1
    wanted = nn.functional.layer_norm(x[:, :, 2, 3], (6,), eps=1e-6)
    with torch.no_grad():
        assert relative_error(LayerNorm2d(6)(x)[:, :, 2, 3], wanted) < TOLERANCE


def test_global_response_norm_starts_as_the_identity_and_prefers_the_strong():
    x = torch.ones(1, 2, 3, 3)
    x[:, 1] = 3.0
    norm = GlobalResponseNorm(2)
    assert torch.equal(norm(x), x)
    nn.init.ones_(norm.weight)
    # strengths 3 and 9, mean 6: shares 1/2 and 3/2, added to the identity
    assert torch.allclose(norm(x)[0, :, 0, 0], torch.tensor([1.5, 7.5]), atol=1e-5)


def test_global_response_norm_is_the_same_in_both_layouts():
    first, last = GlobalResponseNorm(6), GlobalResponseNorm(6, channels_last=True)
    randomise(first)
    last.load_state_dict(first.state_dict())
    x = photo(5, chans=6)
    assert relative_error(last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), first(x)) < TOLERANCE


@pytest.mark.parametrize(("kind", "divisor"), [("rms", 2.5**0.5), ("simple", 4.5**0.5)])
def test_rms_and_simple_norm_divide_by_their_own_size(kind, divisor):
    x = torch.tensor([-1.0, 2.0]).reshape(1, 2, 1, 1)  # mean square 2.5; variance (of a sample) 4.5
    assert torch.allclose(create_norm2d(kind, 2)(x), x / divisor, atol=1e-5)
