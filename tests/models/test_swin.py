"""Swin and Swin V2: what the general parity tests do not reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones import swin, swinv2
from explorer.models.backbones.swin import SwinTransformer, WindowAttention
from explorer.models.backbones.swinv2 import CosineWindowAttention, SwinTransformerV2
from explorer.models.layers.relative_position import resize_bias_table
from explorer.models.layers.windows import (
    relative_position_index,
    shifted_window_mask,
    window_partition,
    window_reverse,
)
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights

timm = pytest.importorskip("timm")

ONE, TWO = "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"
NARROW = {"embed_dim": 12, "depths": (2, 2, 2, 2)}


def small(name: str = ONE, **options):
    """Four stages of two narrow random blocks in evaluation mode; for 64 x 64 unless told otherwise."""
    model = ours.create_model(name, **{"img_size": 64, **NARROW, **options}).eval()
    randomise(model)
    return model


def both(name: str, **options):
    return tuple(library.create_model(name, **{**NARROW, **options}) for library in (ours, timm))


def photo(height: int = 64, width: int | None = None, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, height, width or height, generator=torch.Generator().manual_seed(1))


# --- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ONE, TWO])
def test_a_photo_that_is_no_square_gives_timms_numbers(name):
    mine, theirs = both(name, img_size=(64, 128))
    same_weights(mine, theirs)
    x = photo(64, 128)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(maps, theirs.forward_intermediates(x, intermediates_only=True), strict=True):
            assert relative_error(own, other) < TOLERANCE
    assert maps[0].shape == (2, 12, 16, 32)


@pytest.mark.parametrize("name", [ONE, TWO])
def test_without_pooling_the_map_stays_channels_last_as_in_timm(name):
    mine, theirs = both(name, img_size=64, num_classes=0, global_pool="")
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(photo()).shape == (2, 2, 2, 96)
        assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    blocks = [block for layer in model.layers for block in layer.blocks]
    return {
        "heads": [b.attn.num_heads for b in blocks],
        "windows": [(tuple(b.window_size), tuple(b.shift_size)) for b in blocks],
        "masks": [b.attn_mask is not None for b in blocks],
        "coordinates": [b.attn.relative_coords_table.flatten()[0].item() for b in blocks
                        if hasattr(b.attn, "relative_coords_table")],
        "img_size": tuple(model.patch_embed.img_size), "patch_size": tuple(model.patch_embed.patch_size),
        "eps": [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)],
    }


@pytest.mark.parametrize("name", [*swin.VARIANTS, *swinv2.VARIANTS])
def test_settings_that_no_shape_shows_equal_timms(name):
    heads = {**swin.VARIANTS, **swinv2.VARIANTS}[name]["num_heads"]
    mine, theirs = both(name, embed_dim=heads[0] * 2)
    found, wanted = _settings(mine), _settings(theirs)
    assert found.pop("coordinates") == pytest.approx(wanted.pop("coordinates"), rel=1e-6)
    assert found == wanted


def test_drop_path_rates_equal_timms_and_evaluation_drops_nothing():
    options = dict(img_size=64, drop_path_rate=0.3, drop_rate=0.2, proj_drop_rate=0.1, attn_drop_rate=0.1)
    for name in (ONE, TWO):
        mine, theirs = both(name, **options)
        rates = [[getattr(b.drop_path1, "drop_prob", 0) for layer in m.layers for b in layer.blocks]
                 for m in (mine, theirs)]
        assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == pytest.approx(0.3)
        first = mine.layers[0].blocks[0]
        assert (first.attn.attn_drop.p, first.mlp.drop1.p, first.attn.proj_drop.p) == (0.1, 0.1, 0.1)
        assert mine.head.drop.p == 0.2
        with torch.no_grad():
            randomise(mine)
            assert not torch.equal(mine(photo()), mine(photo()))
            same_weights(mine, theirs)
            assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE


def test_windows_heads_and_depths_of_different_length_are_refused():
    sentence = r"depths \(2, 2\), num_heads \(3, 6, 12, 24\).*one entry for each stage"
    with pytest.raises(ValueError, match=sentence):
        SwinTransformer(depths=(2, 2))


def test_a_photo_of_another_size_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="64 x 64 pixels; got 96 x 96.*img_size=.96, 96..$"):
        small()(photo(96))


# --- windows ------------------------------------------------------------------------------------------------


def test_windows_are_cut_row_by_row_and_come_together_again():
    x = torch.arange(4 * 6.0).reshape(1, 4, 6, 1)
    windows = window_partition(x, (2, 3))
    assert windows.shape == (1, 4, 6, 1)
    assert windows[0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11]
    assert torch.equal(window_reverse(windows, (2, 3), (4, 6)), x)


def test_offsets_in_a_window_are_numbered_row_by_row():
    index = relative_position_index((2, 3))
    assert index.shape == (6, 6)
    assert index.diagonal().unique().tolist() == [7]  # no offset: the middle of 3 x 5
    assert index[0, 5] == 0 and index[5, 0] == 14  # the corners
    assert index[1, 0] == 8 and index[3, 0] == 12  # one to the right, one down


def test_a_shift_hides_what_is_no_neighbour_in_the_photo():
    assert shifted_window_mask((4, 4), (2, 2), (0, 0)) is None
    mask = shifted_window_mask((4, 4), (2, 2), (1, 1))
    assert mask.shape == (4, 4, 4) and mask.dtype == torch.bool
    assert not mask[0].any()  # far from the seam all see each other
    corners = [[i != j for j in range(4)] for i in range(4)]
    assert mask[3].tolist() == corners  # four corners of the photo meet
    edges = [[i % 2 != j % 2 for j in range(4)] for i in range(4)]
    assert mask[1].tolist() == edges  # left and right edge meet


def test_nothing_that_is_no_neighbour_reaches_a_patch():
    """The gradient of one output place on the photo: at most two windows wide."""
    block = small(img_size=112).layers[0].blocks[1]
    x = torch.randn(1, 28, 28, 12, generator=torch.Generator().manual_seed(2)).requires_grad_()
    block(x)[0, 0, 0].sum().backward()
    reached = x.grad.abs().sum(-1)[0].nonzero()
    assert reached.max() < 7 and len(reached) == 3 * 3  # shifted by 3, the corner window holds 3 x 3 places


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layer", [WindowAttention, CosineWindowAttention])
def test_attention_weights_are_those_that_forward_uses(layer, masked):
    attention = layer(24, 3, (2, 3)).eval()
    randomise(attention)
    mask = shifted_window_mask((4, 6), (2, 3), (1, 1)) if masked else None
    x = torch.randn(2, 4, 6, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        matrix = attention.attention_weights(x, mask)
        assert matrix.shape == (2, 4, 3, 6, 6)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 4, 3, 6))
        if masked:
            assert not matrix.movedim(2, 0)[:, :, mask].any()
        value = attention.queries_keys_values(x)[2]
        by_hand = attention.proj((matrix @ value).transpose(2, 3).flatten(3))
        assert relative_error(attention(x, mask), by_hand) < TOLERANCE


@pytest.mark.parametrize("layer", [WindowAttention, CosineWindowAttention])
def test_channels_that_heads_can_not_share_are_refused(layer):
    with pytest.raises(ValueError, match="24 channels can't be shared by 5 heads"):
        layer(24, 5, (2, 2))


def test_the_scale_of_a_cosine_is_limited():
    attention = CosineWindowAttention(8, 2, (2, 2))
    with torch.no_grad():
        attention.logit_scale.fill_(50.0)
        query, key, _ = attention.queries_keys_values(torch.randn(1, 1, 4, 8))
        assert query.norm(dim=-1).allclose(torch.tensor(100.0))
        assert key.norm(dim=-1).allclose(torch.tensor(1.0))


# --- trained weights ----------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """Write a model's tensors to a file; the path."""
    def save(model_or_state):
        state = model_or_state.state_dict() if isinstance(model_or_state, nn.Module) else model_or_state
        torch.save(state, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"
    return save


@pytest.mark.parametrize("name", [ONE, TWO])
def test_trained_weights_load_completely(saved, name):
    source = small(name)
    mine = ours.create_model(name, checkpoint_path=saved(source), img_size=64, **NARROW).eval()
    assert not any(tensor.is_meta for tensor in (*mine.parameters(), *mine.buffers()))
    assert mine.load_report.adapted == [] and mine.load_report.skipped == []
    with torch.no_grad():
        assert torch.equal(mine(photo()), source(photo()))


@pytest.mark.filterwarnings("ignore::UserWarning:timm")
@pytest.mark.parametrize("options", [
    {"img_size": 96, "window_size": 12}, {"img_size": 64, "window_size": 4}, {"img_size": 64},
    {"img_size": (32, 64)},
], ids=str)
def test_weights_for_other_windows_are_adapted_as_timm_does(saved, options):
    path = saved(small(img_size=224, depths=(1, 1, 1, 1)))
    options = {**NARROW, "depths": (1, 1, 1, 1), **options}
    mine = ours.create_model(ONE, checkpoint_path=path, **options).eval()
    theirs = timm.create_model(ONE, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **options)
    size = options["img_size"]
    x = photo(*((size, size) if isinstance(size, int) else size))
    with torch.no_grad():
        assert relative_error(mine(x), theirs.eval()(x)) < TOLERANCE
    adapted = mine.load_report.adapted
    assert adapted and all("from windows of 7 x 7 patches to" in sentence for sentence in adapted)


def test_weights_of_windows_that_are_no_squares_load_at_the_same_size_only(saved):
    source = small(img_size=(32, 64))
    path = saved(source)
    same = ours.create_model(ONE, checkpoint_path=path, img_size=(32, 64), **NARROW).eval()
    with torch.no_grad():
        assert torch.equal(same(photo(32, 64)), source(photo(32, 64)))
    assert same.load_report.adapted == []
    with pytest.raises(ours.WeightsError, match="form no square"):
        ours.create_model(ONE, checkpoint_path=path, img_size=64, **NARROW)


def test_a_window_of_one_patch_knows_one_bias_for_all():
    table = torch.tensor([[3.0, -1.0]])
    assert torch.equal(resize_bias_table(table, (2, 2)), table.expand(9, 2))


def test_v2_answers_for_larger_windows_without_a_change_of_its_weights(saved):
    path = saved(small(TWO, window_size=4))
    options = dict(img_size=128, window_size=8, pretrained_window_sizes=(4, 4, 4, 2), **NARROW)
    mine = ours.create_model(TWO, checkpoint_path=path, **options).eval()
    overlay = {"file": str(path)}
    theirs = timm.create_model(TWO, pretrained=True, pretrained_cfg_overlay=overlay, **options).eval()
    assert mine.load_report.adapted == []
    with torch.no_grad():
        assert relative_error(mine(photo(128)), theirs(photo(128))) < TOLERANCE


@pytest.mark.parametrize("name", [ONE, TWO])
def test_files_with_the_papers_own_names_load(saved, name):
    source = small(name)
    state = {}
    for key, value in source.state_dict().items():
        part = key.split(".")
        if part[2:3] == ["downsample"]:
            key = ".".join(["layers", str(int(part[1]) - 1), *part[2:]])
        state[key.replace("head.fc.", "head.")] = value
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(9, 49, 49)
    assert "layers.0.downsample.reduction.weight" in state and "head.bias" in state
    mine = ours.create_model(name, checkpoint_path=saved({"model": state}), img_size=64, **NARROW).eval()
    with torch.no_grad():
        assert torch.equal(mine(photo()), source(photo()))


@pytest.mark.parametrize(("name", "window"), [(ONE, 7), (TWO, 8)])
def test_torchvision_weights_give_torchvisions_numbers(saved, name, window):
    torchvision = pytest.importorskip("torchvision")
    from torchvision.models import swin_transformer as tv

    parts = {} if name == ONE else {"block": tv.SwinTransformerBlockV2, "downsample_layer": tv.PatchMergingV2}
    theirs = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=12, depths=[2, 2, 2, 2], num_heads=[3, 6, 12, 24],
        window_size=[window, window], num_classes=7, **parts)
    tables = {key: value.clone() for key, value in theirs.state_dict().items()
              if key.endswith("coords_table")}
    randomise(theirs)
    theirs.load_state_dict(tables, strict=False)  # no parameters, though they are in the file
    theirs.eval()
    size = 32 * window
    mine = ours.create_model(name, checkpoint_path=saved(theirs), img_size=size, **NARROW).eval()
    with torch.no_grad():
        assert relative_error(mine(photo(size)), theirs(photo(size))) < TOLERANCE


# --- training and tools of torch ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ONE, TWO])
def test_fresh_weights_give_moderate_logits(name):
    model = ours.create_model(name, img_size=64, embed_dim=24, depths=(2, 2, 2, 2)).eval()
    with torch.no_grad():
        assert 0.01 < model(photo()).std() < 2
    for key, parameter in model.named_parameters():
        if key.endswith("bias") and not key.startswith("patch_embed.proj"):
            assert not parameter.any(), key
        elif key.endswith("bias_table") or ".qkv." in key or ".fc" in key:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.15), key
    if name == TWO:
        blocks = [block for layer in model.layers for block in layer.blocks]
        assert not any(block.norm1.weight.any() or block.norm2.weight.any() for block in blocks)


@pytest.mark.parametrize("name", [ONE, TWO])
def test_a_model_built_on_meta_runs_there(name):
    with torch.device("meta"):
        model = ours.create_model(name).eval()
        assert model(torch.empty(1, *model.config.input_size)).shape == (1, 1000)


def test_the_classes_are_public():
    assert (ours.SwinTransformer, ours.SwinTransformerV2) == (SwinTransformer, SwinTransformerV2)
