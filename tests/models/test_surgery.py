"""Freezing, rates by layer and gradient checkpointing, on one network of every family file."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

import explorer
from explorer.models.contract import VisionModel
from explorer.models.surgery.layer_order import find_layers
from explorer.models.surgery.rates import layer_ids
from tests.models.oracle import randomise
from tests.models.samples import ONE_A_FILE, empty, small

every_file = pytest.mark.parametrize("module", ONE_A_FILE)


def trainable(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def names(model: nn.Module, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def norms_that_learn(model: nn.Module) -> set[str]:
    return {path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and m.training}


# --- freezing ---------------------------------------------------------------------------------------------


@pytest.fixture
def resnet() -> VisionModel:
    model = explorer.create_model("resnet10t", num_classes=3)
    randomise(model)
    return model.train()


def test_freezing_leaves_the_classifier_to_learn(resnet):
    resnet.freeze()
    assert trainable(resnet) == {"fc.weight", "fc.bias"} and norms_that_learn(resnet) == set()


def test_freezing_up_to_a_stage_takes_all_that_the_photo_meets_before_its_end(resnet):
    resnet.freeze("layer3")
    assert trainable(resnet) == names(resnet, "layer4", "fc")
    explorer.unfreeze(resnet)
    explorer.freeze(resnet, "stem")
    assert trainable(resnet) == names(resnet, "layer", "fc")


def test_freezing_up_to_a_module_or_a_part_of_a_stage(resnet):
    resnet.freeze("layer2.0.conv1")  # the shortcut is computed before it
    behind = "layer2.0.bn1", "layer2.0.conv2", "layer2.0.bn2", "layer3", "layer4", "fc"
    assert trainable(resnet) == names(resnet, *behind)


def test_freezing_by_pattern_takes_exactly_what_matches(resnet):
    resnet.freeze(modules=["layer1", "*.bn2"])
    frozen = {name for name, _ in resnet.named_parameters()} - trainable(resnet)
    assert frozen == names(resnet, "layer1.") | {name for name in names(resnet, "layer") if ".bn2." in name}


def test_a_frozen_network_keeps_weights_and_statistics_through_a_training_step(resnet):
    resnet.freeze("layer2")
    before = {key: value.clone() for key, value in resnet.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in resnet.parameters() if p.requires_grad], lr=0.1)
    resnet.train()
    resnet(torch.randn(4, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    changed = {key for key, value in resnet.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {key for key in before if key.startswith(("layer3", "layer4", "fc"))}


def test_a_frozen_norm_stays_in_evaluation_whoever_calls_train(resnet):
    resnet.freeze("layer1")
    nn.Sequential(resnet).train()
    assert not resnet.bn1.training and not resnet.layer1[0].bn1.training and resnet.layer2[0].bn1.training
    copied = copy.deepcopy(resnet).train()
    assert not copied.bn1.training and copied.training


def test_unfreezing_takes_everything_back(resnet):
    resnet.freeze()
    resnet.unfreeze()
    assert trainable(resnet) == {name for name, _ in resnet.named_parameters()}
    everything = {path for path, m in resnet.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms_that_learn(resnet) == everything
    assert norms_that_learn(resnet.eval()) == set() and norms_that_learn(resnet.train()) == everything


def test_a_part_can_be_unfrozen(resnet):
    resnet.freeze()
    resnet.unfreeze(modules="layer4")
    assert trainable(resnet) == names(resnet, "layer4", "fc")
    assert norms_that_learn(resnet) == {path for path, m in resnet.named_modules()
                                        if isinstance(m, nn.BatchNorm2d) and path.startswith("layer4")}


def test_freezing_adds_to_what_is_frozen(resnet):
    resnet.freeze("layer1")
    resnet.freeze(modules="layer4")
    assert trainable(resnet) == names(resnet, "layer2", "layer3", "fc")


def test_an_unknown_stage_or_pattern_is_answered_with_what_there_is(resnet):
    sentence = r"no stage or module 'layer5'. Did you mean 'layer4'.* Its stages: stem, layer1"
    with pytest.raises(ValueError, match=sentence):
        resnet.freeze("layer5")
    sentence = "No module and no parameter matches 'leyer1'. Did you mean 'layer1'"
    with pytest.raises(ValueError, match=sentence):
        resnet.freeze(modules="leyer1")
    with pytest.raises(ValueError, match="not both"):
        resnet.freeze("layer1", modules="layer2")


def test_a_plain_module_is_told_to_be_wrapped():
    sentence = r"Linear has no stages that explorer knows: .* explorer.wrap\(module\)"
    with pytest.raises(TypeError, match=sentence):
        explorer.freeze(nn.Linear(2, 2))


def test_freezing_works_on_a_students_own_network():
    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2),
                           nn.Conv2d(4, 8, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(8, 10))
    model = explorer.wrap(module, input_size=(1, 28, 28))
    model.freeze()
    assert trainable(model) == {"module.6.weight", "module.6.bias"} and not model.train().module[1].training
    model.unfreeze()
    model.freeze(model.stage_table[0].name)
    assert trainable(model) == names(model, "module.3", "module.6")


@pytest.mark.parametrize(("name", "up_to", "left"), [
    ("torchvision/resnet18", "layer3", ("module.layer4", "module.fc")),
    ("timm/resnet18", "layer3", ("module.layer4", "module.fc")),
])
def test_freezing_works_through_the_doors(name, up_to, left):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    model = explorer.create_model(name, num_classes=3)
    model.freeze(up_to)
    assert trainable(model) == names(model, *left)


def test_freezing_works_inside_a_model_of_maps():
    model = explorer.create_model("resnet10t", features_only=True)
    explorer.freeze(model, "layer2")
    assert trainable(model) == names(model, "model.layer3", "model.layer4")


def test_freezing_twice_and_stages_that_end_inside_a_module():
    model = empty("xception41")
    model.freeze("blocks.1")  # this stage is the map before the last convolution of its block
    assert trainable(model) >= names(model, "blocks.1.stack.conv3", "blocks.2")
    assert not names(model, "blocks.0") & trainable(model)


@every_file
def test_freezing_all_stages_leaves_the_classifier(module):
    model = empty(ONE_A_FILE[module])
    head = {f"{path}.{name}" for path, m in model.named_modules() if m is model.get_classifier()
            for name, _ in m.named_parameters()}
    model.freeze(model.stage_table[-1].name)
    assert trainable(model) >= head
    # the greater part lies in the stages, but for VGG's kind with its large classifier
    assert len(trainable(model)) < len(list(model.parameters())) / 2


# --- the order of layers ----------------------------------------------------------------------------------


@every_file
def test_every_parameter_is_in_one_layer_and_in_one_group(module):
    model = empty(ONE_A_FILE[module])
    everything = [name for name, _ in model.named_parameters()]
    groups = explorer.parameter_groups(model, lr=0.01, weight_decay=0.05, layer_decay=0.8)
    ids = {name: group["layer"] for group in groups for name in group["param_names"]}
    highest = max(ids.values())
    assert set(ids.values()) | {highest - 1} == set(range(highest + 1))  # no number is left out
    last = [ids[f"{path}.{name}"] for path, m in model.named_modules() if m is model.get_classifier()
            for name, _ in m.named_parameters()]
    assert all(layer == highest for layer in last)
    assert sorted(name for group in groups for name in group["param_names"]) == sorted(everything)
    parameters = [id(p) for group in groups for p in group["params"]]
    assert len(parameters) == len(set(parameters))
    torch.optim.AdamW(groups)


def test_the_layers_of_a_resnet_are_stem_blocks_and_head():
    layers = find_layers(empty("resnet18"))
    assert layers.stem == ["conv1", "bn1"] and layers.head == ["fc"]
    assert layers.blocks == [[f"layer{i}.{j}"] for i in (1, 2, 3, 4) for j in (0, 1)]
    assert layers.block_stage == [1, 1, 2, 2, 3, 3, 4, 4]


def test_what_stands_beside_a_block_goes_with_it():
    layers = find_layers(empty("convnext_atto"))
    assert ["stages.1.downsample", "stages.1.blocks.0"] in layers.blocks
    layers = find_layers(empty("vit_tiny_patch16_224"))
    assert layers.stem == ["cls_token", "pos_embed", "patch_embed"]
    assert layers.blocks[-1] == ["blocks.11", "norm"]


def test_side_classifiers_that_only_training_runs_belong_to_the_head():
    layers = find_layers(empty("googlenet", aux_logits=True))
    assert set(layers.head) == {"fc", "aux1", "aux2"}


# families whose layers are the same as timm's; the others are cut a little finer or coarser
LIKE_TIMM = """
    vgg11 inception_v4 xception41 cspresnet50 vovnet39a resnet50 resnetrs50 skresnet18 res2net50_26w_4s
    resnest14d efficientnet_b0 tf_efficientnetv2_b0 mobilenetv3_large_100 convmixer_768_32 convnext_tiny
    mixer_s32_224 deit3_small_patch16_224 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256
    vit_base_patch16_224
""".split()


@pytest.mark.parametrize("name", LIKE_TIMM)
def test_layers_are_numbered_as_in_timm(name):
    timm = pytest.importorskip("timm")
    mine, theirs = empty(name), None
    with torch.device("meta"):
        theirs = timm.create_model(name)
    own = timm.models.group_parameters(mine, mine.group_matcher(), reverse=True)
    assert own == layer_ids(mine)
    assert own == timm.models.group_parameters(theirs, theirs.group_matcher(coarse=False), reverse=True)


def test_timms_optimizer_groups_work_on_our_model():
    timm_optim = pytest.importorskip("timm.optim")
    timm = pytest.importorskip("timm")
    mine = empty("deit_tiny_patch16_224")
    with torch.device("meta"):
        theirs = timm.create_model("deit_tiny_patch16_224")
    grouped = timm_optim.param_groups_layer_decay
    groups = [grouped(m, 0.05, no_weight_decay_list=m.no_weight_decay(), layer_decay=0.7)
              for m in (mine, theirs)]
    facts = [[(g["lr_scale"], g["weight_decay"], len(g["params"])) for g in each] for each in groups]
    assert facts[0] == facts[1]


def test_a_coarse_order_has_one_layer_a_stage():
    model = empty("resnet18")
    assert len(model.group_matcher(coarse=True)["blocks"]) == 4 and len(model.group_matcher()["blocks"]) == 8
    pattern, _ = model.group_matcher(coarse=True)["blocks"][0]
    assert {name for name, _ in model.named_parameters() if re.match(pattern, name)} == names(model, "layer1")


def test_rates_fall_from_the_head_to_the_stem():
    model = empty("resnet18")
    groups = explorer.parameter_groups(model, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    rate = {name: group["lr"] for group in groups for name in group["param_names"]}
    assert rate["fc.weight"] == 1.0
    assert rate["layer4.1.conv1.weight"] == 0.5 and rate["layer4.0.conv1.weight"] == 0.25
    assert rate["conv1.weight"] == 0.5**9
    decay = {name: group["weight_decay"] for group in groups for name in group["param_names"]}
    assert decay["conv1.weight"] == 0.1 and decay["bn1.weight"] == decay["fc.bias"] == 0.0


def test_a_fresh_head_may_have_its_own_rate():
    groups = explorer.parameter_groups(empty("resnet18"), lr=1e-4, head_lr=1e-2)
    rates = {name: group["lr"] for group in groups for name in group["param_names"]}
    assert rates.pop("fc.weight") == rates.pop("fc.bias") == 1e-2 and set(rates.values()) == {1e-4}


def test_frozen_parameters_are_in_no_group_and_change_no_rate():
    model = empty("resnet18")
    groups = explorer.parameter_groups(model, lr=1.0, layer_decay=0.5)
    rate = {name: group["lr"] for group in groups for name in group["param_names"]}
    model.freeze("layer3")
    groups = explorer.parameter_groups(model, lr=1.0, layer_decay=0.5)
    found = {n: g["lr"] for g in groups for n in g["param_names"]}
    assert found == {name: rate[name] for name in names(model, "layer4", "fc")}


def test_positions_tokens_and_what_a_pattern_names_have_no_weight_decay():
    model = empty("vit_tiny_patch16_224")
    assert model.no_weight_decay() == {"cls_token", "pos_embed"}
    groups = explorer.parameter_groups(model, lr=1.0, weight_decay=0.1, no_weight_decay=["head.*"])
    decay = {name: group["weight_decay"] for group in groups for name in group["param_names"]}
    assert decay["pos_embed"] == decay["cls_token"] == decay["head.weight"] == 0
    assert decay["blocks.0.attn.qkv.weight"] == 0.1


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224",
                                  "swinv2_tiny_window8_256", "vit_base_patch16_224"])
def test_what_has_no_weight_decay_is_the_same_as_in_timm(name):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model(name)
    parameters = {name for name, _ in theirs.named_parameters()}
    assert empty(name).no_weight_decay() == theirs.no_weight_decay() & parameters


@pytest.mark.parametrize(("options", "message"), [
    ({"lr": -1}, "lr is -1"), ({"lr": 1, "layer_decay": 0}, "layer_decay is 0"),
    ({"lr": 1, "layer_decay": 2}, "layer_decay is 2"),
    ({"lr": 1, "no_weight_decay": ["heat"]}, "No module and no parameter matches 'heat'"),
])
def test_rates_that_can_not_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        explorer.parameter_groups(empty("resnet18"), **options)


# --- gradient checkpointing -------------------------------------------------------------------------------

PLAIN_CHAINS = ("lenet", "alexnet", "vgg")


def train_once(model: nn.Module, photos: torch.Tensor) -> tuple[torch.Tensor, int]:
    """(loss, bytes kept for the backward pass beside the parameters) of a step with fixed dropout."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(photos).square().mean()
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    size = sum(storage.nbytes() for place, storage in kept.items() if place not in own)
    loss.backward()
    return loss, size


@pytest.mark.parametrize("module", [module for module in ONE_A_FILE if module not in PLAIN_CHAINS])
def test_checkpointing_changes_no_number_and_keeps_less(module):
    model, photos = small(module)
    other = copy.deepcopy(model).train()
    model.train().set_grad_checkpointing()
    (loss, size), (plain_loss, plain_size) = train_once(model, photos), train_once(other, photos)
    assert torch.equal(loss, plain_loss) and size < 0.85 * plain_size
    for (name, mine), plain in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (mine.grad is None) == (plain.grad is None)
        assert mine.grad is None or torch.allclose(mine.grad, plain.grad, rtol=1e-5, atol=0), name
    for (name, mine), plain in zip(model.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(mine, plain), name  # statistics, counted once


@pytest.mark.parametrize("module", PLAIN_CHAINS)
def test_a_plain_chain_of_layers_says_that_it_can_not(module):
    sentence = "is a plain chain of layers, without blocks .* smaller batch or photo"
    with pytest.raises(ValueError, match=sentence):
        empty(ONE_A_FILE[module]).set_grad_checkpointing()


def test_checkpointing_with_dropout_computes_the_same_dropout_again():
    model, photos = small("vit", drop_path_rate=0.5, proj_drop_rate=0.3)
    other = copy.deepcopy(model).train()
    model.train().set_grad_checkpointing()
    assert torch.equal(train_once(model, photos)[0], train_once(other, photos)[0])
    assert all(torch.allclose(p.grad, q.grad) for p, q in zip(model.parameters(), other.parameters()))


def test_checkpointing_can_be_switched_off_copied_and_saved(tmp_path):
    model, photos = small("resnet")
    model.train().set_grad_checkpointing()
    _, small_size = train_once(model, photos)
    copied = copy.deepcopy(model)
    assert copied.layer1[0].forward.block is copied.layer1[0]
    assert model.state_dict().keys() == small("resnet")[0].state_dict().keys()
    torch.save(model, tmp_path / "model.pth")
    assert train_once(torch.load(tmp_path / "model.pth", weights_only=False), photos)[1] == small_size
    model.set_grad_checkpointing(False)
    assert "forward" not in vars(model.layer1[0]) and train_once(model, photos)[1] > small_size


def test_checkpointing_works_through_a_door():
    model = explorer.create_model("torchvision/resnet18", num_classes=3).train()
    other, photos = copy.deepcopy(model), torch.randn(2, 3, 64, 64)
    model.set_grad_checkpointing()
    (loss, size), (plain_loss, plain_size) = train_once(model, photos), train_once(other, photos)
    assert torch.equal(loss, plain_loss) and size < plain_size


def test_a_stage_of_a_foreign_net_that_no_module_ends_is_refused_and_freezes_nothing():
    model = explorer.create_model("timm/hrnet_w18_small")  # its stages are names in timm's table only
    with pytest.raises(ValueError, match="no stage or module 'stage1'"):
        explorer.freeze(model, "stage1")
    assert all(p.requires_grad for p in model.parameters())
