"""Every backbone that only torchvision has against torchvision: keys, shapes, numbers, feature tables and
configurations for all of them; and the few that have only a paper, against the paper's figures."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import explorer.models as ours
from explorer.data import create_transform, resolve_data_config, sample_photos
from explorer.models import plan, weights
from explorer.models.catalog import FAMILY_OF
from explorer.models.weights import places
from explorer.models.weights.downloading import url_target
from explorer.models.weights.report import WeightsError
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights

torchvision = pytest.importorskip("torchvision")

NAMES = [name for name, family in FAMILY_OF.items()
         if family.oracle == "torchvision" and family.task == "classification"]
PAPER = [name for name, family in FAMILY_OF.items()
         if family.oracle == "paper" and family.task == "classification"]


def theirs_of(name: str, **options) -> nn.Module:
    """torchvision's model, without its slow random numbers and its side classifiers unless asked for."""
    if name == "googlenet":
        options = {"init_weights": False, "aux_logits": False, "transform_input": False, **options}
    return torchvision.models.get_model(name, **options)


def photo(side: int = 64, channels: int = 3, count: int = 2) -> torch.Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def on_meta(build, name, **options):
    with torch.device("meta"):
        return build(name, **options)


def test_there_is_something_to_compare():
    assert {"alexnet", "googlenet", "squeezenet1_1", "shufflenet_v2_x1_0"} <= set(NAMES) and "lenet5" in PAPER


def test_the_families_held_against_torchvision_are_those_that_timm_lacks():
    timm = pytest.importorskip("timm")
    for name, family in FAMILY_OF.items():
        if family.task != "classification":
            continue
        known = {"timm": timm.is_model(name), "torchvision": name in torchvision.models.list_models(),
                 "paper": True}
        assert next(oracle for oracle, has in known.items() if has) == family.oracle, name


# --- keys and shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"num_classes": 7}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_keys_shapes_and_their_order_equal_torchvisions(name, options):
    mine, theirs = on_meta(ours.create_model, name, **options), on_meta(theirs_of, name, **options)
    table = [[(key, tuple(value.shape)) for key, value in model.state_dict().items()]
             for model in (mine, theirs)]
    assert table[0] == table[1]
    assert [key for key, _ in mine.named_parameters()] == [key for key, _ in theirs.named_parameters()]


# --- numbers ----------------------------------------------------------------------------------------------


def maps_by_hooks(model: nn.Module, paths: list[str], x: torch.Tensor) -> list[torch.Tensor]:
    """What the modules with these names give on the way."""
    found, hooks = {}, []
    for path in paths:
        def keep(_module, _inputs, output, path=path):
            found[path] = output.clone()  # a later in-place activation would change it
        hooks.append(model.get_submodule(path).register_forward_hook(keep))
    model(x)
    [hook.remove() for hook in hooks]
    return [found[path] for path in paths]


@pytest.mark.parametrize(("name", "side"), [(name, 97) for name in NAMES] + [
    (name, 224) for name in ("alexnet", "googlenet", "squeezenet1_1", "shufflenet_v2_x0_5")])
def test_logits_and_maps_equal_torchvisions(name, side):
    mine, theirs, x = ours.create_model(name), theirs_of(name), photo(side)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        features, maps = mine.forward_intermediates(x)
        for own, other in zip(maps, maps_by_hooks(theirs, [s.module for s in mine.stages], x), strict=True):
            assert relative_error(own, other) < TOLERANCE
        assert torch.equal(features, mine.forward_features(x)) and features.shape[1] == mine.num_features
        vector, logits = mine.forward_vector_and_logits(features)
        assert relative_error(logits, theirs(x)) < TOLERANCE
        assert torch.equal(vector, mine.forward_head(features, pre_logits=True))
        assert vector.shape == (2, mine.head_hidden_size)


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "squeezenet1_0", "shufflenet_v2_x0_5"])
def test_a_new_classifier_is_torchvisions_of_as_many_classes(name):
    mine, theirs, x = ours.create_model(name), theirs_of(name, num_classes=7), photo()
    mine.reset_classifier(7)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        mine.reset_classifier(0)
        assert mine(x).shape == (2, mine.head_hidden_size) and mine.num_classes == 0


@pytest.mark.parametrize(("name", "channels"), [
    ("alexnet", 1), ("googlenet", 1), ("googlenet", 4), ("squeezenet1_1", 1), ("squeezenet1_1", 4),
    ("shufflenet_v2_x0_5", 1), ("shufflenet_v2_x0_5", 4)])
def test_numbers_are_right_for_other_channels(name, channels):
    mine, theirs = ours.create_model(name, in_chans=channels), theirs_of(name)
    first = weights.config_for(name).first_conv
    conv = theirs.get_submodule(first)
    theirs.set_submodule(first, nn.Conv2d(
        channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=conv.bias is not None))
    same_weights(mine, theirs)
    x = photo(channels=channels)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


# --- feature tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES + PAPER)
def test_the_table_of_stages_tells_channels_and_strides_as_measured(name):
    """A photo larger by 64 pixels has a map larger by 64 / stride, whatever happens at the edges."""
    model = on_meta(ours.create_model, name).eval()
    with torch.device("meta"):
        photos = (torch.empty(1, model.in_chans, side, side) for side in (192, 256))
        small, large = (model.forward_intermediates(x, intermediates_only=True) for x in photos)
    for stage, one, other in zip(model.stages, small, large, strict=True):
        assert one.shape[1] == stage.channels
        assert [b - a for a, b in zip(one.shape[2:], other.shape[2:])] == [64 // stage.reduction] * 2, stage
    halving = all(b.reduction == 2 * a.reduction for a, b in zip(model.stages, model.stages[1:]))
    assert model.pyramid == halving


@pytest.mark.parametrize("name", NAMES + PAPER)
def test_features_only_gives_the_maps_of_all_stages_or_of_the_last_three(name):
    model = on_meta(ours.create_model, name, features_only=True).eval()
    stages = model.model.stages
    assert model.out_indices == (tuple(range(len(stages))) if model.model.pyramid else (2, 3, 4))
    with torch.device("meta"):
        maps = model(torch.empty(1, model.model.in_chans, 64, 64))
    wanted = [stages[i].channels for i in model.out_indices]
    assert [m.shape[1] for m in maps] == model.feature_info.channels() == wanted


# --- configurations and weights -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_tags_and_facts_are_torchvisions(name):
    published = torchvision.models.get_model_weights(name)
    assert len(weights.tags(name)) == len(published)
    config, w = weights.config_for(name), published.DEFAULT
    metrics = w.meta["_metrics"]["ImageNet-1K"]
    assert (config.url, config.top1, config.top5) == (w.url, metrics["acc@1"], metrics["acc@5"])
    assert config.tag == ("tv_in1k" if w.name.endswith("V1") else "tv2_in1k")
    assert config.license == "bsd-3-clause"
    assert weights.parameter_count(name) == w.meta["num_params"]
    assert config.num_classes == len(w.meta["categories"]) and not config.hf_hub_id
    model = on_meta(ours.create_model, name)
    assert model.get_submodule(config.classifier) is model.get_classifier()
    assert model.get_submodule(config.first_conv).in_channels == 3


def pictures() -> list[Image.Image]:
    noise = torch.Generator().manual_seed(2)
    made = [Image.fromarray(torch.randint(0, 256, (h, w, 3), generator=noise, dtype=torch.uint8).numpy())
            for h, w in ((224, 224), (257, 301), (500, 333), (100, 900), (64, 64), (233, 1001))]
    return made + [Image.open(sample.path).convert("RGB") for sample in sample_photos()[:3]]


@pytest.mark.parametrize("name", NAMES)
def test_photos_are_prepared_as_torchvisions_preset_does_to_the_last_pixel(name):
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    config = resolve_data_config({}, model=on_meta(ours.create_model, name))
    transform = create_transform(**config)
    for picture in pictures():
        mine, theirs = transform(picture), preset(picture)
        if name == "googlenet":  # torchvision's model does the rest, see `transform_input`
            mean, std = (torch.tensor(v)[:, None, None] for v in (preset.mean, preset.std))
            assert torch.allclose(mine, (theirs * std + mean - 0.5) / 0.5, atol=1e-6)
        else:
            assert torch.equal(mine, theirs)


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Put a file in the place of torchvision's, named as there: with the first digits of its checksum."""
    def put(name: str, model: nn.Module, checksum: str = "") -> Path:
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        file = tmp_path / f"{name}-{checksum or hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
        file.write_bytes(buffer.getvalue())
        config = weights.config_for(name).with_(url=file.as_uri())
        for reader in (plan, weights):
            monkeypatch.setattr(reader, "config_for", lambda *_: config)
        monkeypatch.setattr(places, "reachable", lambda url, timeout=5: True)
        return file

    return put


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "googlenet"])
def test_torchvisions_own_file_gives_torchvisions_numbers_and_is_kept(name, publish, tmp_path):
    theirs = theirs_of(name, **({"aux_logits": True} if name == "googlenet" else {}))  # as published
    randomise(theirs)
    theirs.eval()
    file, cache = publish(name, theirs), tmp_path / "cache"
    assert weights.in_cache(weights.config_for(name), cache) is None
    for _ in range(2):
        mine = ours.create_model(name, pretrained=True, cache_dir=cache).eval()
        with torch.no_grad():
            assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE
        file.unlink(missing_ok=True)  # the second time it is on this computer
    assert weights.in_cache(weights.config_for(name), cache) == cache / file.name
    assert mine.load_report.source == mine.config.url and mine.num_classes == 1000
    assert not any(tensor.is_meta for tensor in [*mine.parameters(), *mine.buffers()])


def test_the_checksum_in_the_files_name_is_checked(publish, tmp_path):
    publish("squeezenet1_1", theirs_of("squeezenet1_1"), checksum="0123abcd")
    with pytest.raises(WeightsError, match="The download of squeezenet1_1-0123abcd.pth is damaged"):
        ours.create_model("squeezenet1_1", pretrained=True, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", ["alexnet", "googlenet.tv_in1k"])
def test_offline_the_download_is_a_sentence_that_says_what_to_do(name, monkeypatch, tmp_path):
    monkeypatch.setattr(places, "reachable", lambda url, timeout=5: False)
    sentence = ("not on this computer and could not be downloaded .no connection to "
                "https://download.pytorch.org/")
    with pytest.raises(WeightsError, match=f"{sentence}.*tf_efficientnet_lite0.*checkpoint_path="):
        ours.create_model(name, pretrained=True, cache_dir=tmp_path)


def test_the_folder_of_downloads_is_torchs_with_and_without_torch(monkeypatch, tmp_path):
    import sys

    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = weights.config_for("alexnet").url
    wanted = Path(torch.hub.get_dir(), "checkpoints", "alexnet-owt-7be5be79.pth")
    assert url_target(url) == wanted and wanted.is_relative_to(tmp_path)
    monkeypatch.delitem(sys.modules, "torch.hub")
    assert url_target(url) == wanted
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    assert url_target(url).parent == tmp_path / "elsewhere" / "hub" / "checkpoints"


@pytest.mark.parametrize("options", [{"num_classes": 5}, {"num_classes": 0}, {"in_chans": 1}], ids=str)
@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5", "googlenet"])
def test_trained_weights_are_adapted_to_other_classes_and_channels(name, options, tmp_path):
    source = theirs_of(name)
    randomise(source)
    torch.save(source.state_dict(), tmp_path / "net.pth")
    mine = ours.create_model(name, checkpoint_path=tmp_path / "net.pth", **options).eval()
    x = photo()
    with torch.no_grad():
        if options == {"in_chans": 1}:
            grey = x[:, :1]
            assert relative_error(mine(grey), source.eval()(grey.expand(-1, 3, -1, -1))) < TOLERANCE
        else:
            last = mine.stages[-1].module
            (wanted,) = maps_by_hooks(source.eval(), [last], x)
            (found,) = mine.forward_intermediates(x, [-1], intermediates_only=True)
            assert relative_error(found, wanted) < TOLERANCE
            assert mine.num_classes == options["num_classes"]


# --- training and torch's tools -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "squeezenet1_1", "shufflenet_v2_x0_5", *PAPER])
def test_fresh_weights_answer_sensibly_and_every_parameter_learns(name):
    torch.manual_seed(0)
    model = ours.create_model(name, num_classes=5).train()
    logits = model(photo(channels=model.in_chans, count=8))
    assert logits.isfinite().all() and 0.01 < float(logits.detach().std()) < 10
    logits.square().mean().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "squeezenet1_1", "shufflenet_v2_x0_5", *PAPER])
def test_it_compiles_into_one_graph_and_exports(name):
    model = ours.create_model(name).eval()
    x = photo(channels=model.in_chans)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        assert relative_error(compiled(x), model(x)) < TOLERANCE
        assert relative_error(torch.export.export(model, (x,)).module()(x), model(x)) < TOLERANCE


@pytest.mark.parametrize(("name", "pools", "refused"), [
    ("alexnet", ("max", "avg"), ("catavgmax", "")), ("squeezenet1_1", ("max", "avgmax"), ("catavgmax", "")),
    ("shufflenet_v2_x0_5", ("max", "catavgmax"), ("", "mean")),
    ("googlenet", ("avgmax", "catavgmax"), ("", "mean")), ("lenet5", ("max", "avgmax"), ("catavgmax", "")),
])
def test_pooling_is_chosen_by_name_and_what_cannot_be_is_refused(name, pools, refused):
    for pool in pools:
        model = ours.create_model(name, global_pool=pool).eval()
        other = ours.create_model(name).eval()
        other.reset_classifier(model.num_classes, pool)
        other.load_state_dict(model.state_dict())
        x = photo(channels=model.in_chans)
        with torch.no_grad():
            assert torch.equal(model(x), other(x)) and model(x).shape == (2, model.num_classes)
    for pool in refused:
        with pytest.raises(ValueError, match="global_pool|pooling"):
            ours.create_model(name, global_pool=pool)


def test_the_logits_of_squeezenet_do_not_follow_from_one_vector():
    model = ours.create_model("squeezenet1_1")
    with pytest.raises(ValueError, match="classifies each place .*forward_vector_and_logits"):
        model.forward_classifier(torch.zeros(1, 512))


@pytest.mark.parametrize("name", NAMES + PAPER)
def test_there_are_no_paths_to_drop(name):
    with pytest.raises(ValueError, match="no residual branches to drop"):
        ours.create_model(name, drop_path_rate=0.1)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1", "shufflenet_v2_x0_5", "googlenet", "lenet5"])
def test_dropout_acts_while_training_only(name):
    model = ours.create_model(name, drop_rate=0.9).eval()
    randomise(model)
    x = photo(channels=model.in_chans)
    with torch.no_grad():
        features = model.forward_features(x)
        assert torch.equal(model.forward_head(features), model.forward_head(features))
        model.train()
        assert not torch.equal(model.forward_head(features), model.forward_head(features))
