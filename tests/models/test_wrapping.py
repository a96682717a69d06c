"""`wrap`: a student's own module behind the contract."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import explorer
from explorer.models.contract import VisionModel
from explorer.models.doors.first_run import watch
from explorer.models.doors.wrapped import WrappedModel
from explorer.models.doors.wrapping import wrap
from tests.models.samples import CifarNet, cifar_nets, net_without_maps, small


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 10),
    )


class TinyTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(32, 2, 64, batch_first=True) for _ in range(3))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


def photo(size=(2, 3, 64, 64)) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


# --- a student's own module ---------------------------------------------------------------------------------


def test_a_sequential_gets_stages_a_head_and_its_size():
    net = wrap(small_net(), labels="0123456789", name="TinyVGG")
    assert isinstance(net, VisionModel)
    assert net.config.input_size == (1, 28, 28)  # 224, 96, 64 and 32 do not fit its linear layer
    stages = [(stage.name, stage.channels, stage.reduction) for stage in net.stages]
    assert stages == [("1", 8, 1), ("4", 16, 2), ("5", 16, 4)]
    assert (net.num_classes, net.num_features, net.in_chans, net.pyramid) == (10, 784, 1, True)
    seen = explorer.look(net, explorer.sample_photos()[0])
    assert {p.label for p in seen.predictions} <= set("0123456789")
    assert {name: tuple(maps.shape) for name, maps in seen.stages.items()} == {
        "1": (8, 28, 28), "4": (16, 14, 14), "5": (16, 7, 7)}


def test_wrapping_changes_no_number_and_copies_nothing():
    module = small_net()
    net = wrap(module)
    x = photo((2, 1, 28, 28))
    assert net.module is module
    assert torch.equal(net(x), module(x))
    features = net.forward_features(x)
    assert torch.equal(net.forward_head(features), module(x))
    assert features.shape == (2, 784)
    assert wrap(net) is net


class Scaled(nn.Sequential):
    def forward(self, x):
        return 3 * super().forward(x)


@pytest.mark.parametrize("end", ["nothing", "softmax", "log softmax", "other"])
def test_look_and_predict_agree_whatever_follows_the_last_linear_layer(end):
    module = small_net()
    if end == "other":
        module = Scaled(*module)
    elif end != "nothing":
        module.append(nn.Softmax(1) if end == "softmax" else nn.LogSoftmax(1))
    net, photo = wrap(module, labels="0123456789").eval(), explorer.sample_photos()[0]
    seen = explorer.look(net, photo, topk=10)
    with torch.inference_mode():
        scores = module(seen.input[None])[0]
        assert torch.allclose(net(seen.input[None])[0], seen.logits, atol=1e-6)
    wanted = scores if end == "softmax" else scores.softmax(0)
    assert torch.allclose(seen.logits.softmax(0), wanted, atol=1e-6)
    assert [p.label for p in explorer.predict(net, photo, topk=10)] == [p.label for p in seen.predictions]
    net.reset_classifier(4)
    assert explorer.look(net, photo).logits.shape == (4,)


def test_stage_maps_are_what_hooks_see():
    module = small_net()
    net, x = wrap(module), photo((2, 1, 28, 28))
    seen = {}

    def keep(index: int):
        return lambda _module, _inputs, out: seen.__setitem__(index, out.clone())

    for index in (1, 4, 5):
        module[index].register_forward_hook(keep(index))
    for own, other in zip(net.forward_stages(x), (1, 4, 5), strict=True):
        assert torch.equal(own, seen[other])


# --- a module that runs several times ----------------------------------------------------------------------


def test_a_layer_that_runs_twice_gives_two_stages():
    """case A4: one pooling and one ReLU for the whole net."""
    shared, apart = cifar_nets()
    assert [(s.name, s.module, s.call, s.channels, s.reduction) for s in shared.stages] == [
        ("relu", "relu", 1, 6, 1), ("pool", "pool", 1, 6, 2),
        ("relu:2", "relu", 2, 16, 2), ("pool:2", "pool", 2, 16, 4)]
    assert [s.name for s in apart.stages] == ["relu1", "pool1", "relu2", "pool2"]
    assert shared.feature_info.channels() == [6, 6, 16, 16]
    assert shared.feature_info.reduction() == [1, 2, 2, 4]
    x = photo((2, 3, 32, 32))
    maps, twins = list(shared.forward_stages(x)), list(apart.forward_stages(x))
    assert [tuple(m.shape[1:]) for m in maps] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]
    assert all(torch.equal(one, other) for one, other in zip(maps, twins, strict=True))
    assert torch.equal(shared(x), apart(x))
    assert torch.equal(shared.forward_features(x), apart.forward_features(x))
    kept = shared.forward_intermediates(x, [-1, 1], intermediates_only=True)
    assert torch.equal(kept[0], twins[3]) and torch.equal(kept[1], twins[1])


class OneBlock(TinyTransformer):
    """A transformer whose one block is used for every layer, with tokens that stand for no patch."""

    def __init__(self, registers: int = 1):
        super().__init__()
        self.block, self.blocks = self.blocks[0], None
        self.token = nn.Parameter(torch.zeros(1, registers, 32))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1)
        for _ in range(3):
            x = self.block(x)
        return self.head(x[:, 0])


def test_a_transformer_with_one_block_for_all_layers_reports_every_layer():
    """case A4, for tokens; nine of them beside 4 x 4 patches must not be taken for a 5 x 5 map."""
    net = wrap(OneBlock(registers=9), input_size=32).eval()
    assert [(s.name, s.module, s.reduction) for s in net.stages] == [
        ("block", "block", 8), ("block:2", "block", 8), ("block:3", "block", 8)]
    maps = list(net.forward_stages(photo((1, 3, 32, 32))))
    assert [tuple(m.shape) for m in maps] == [(1, 32, 4, 4)] * 3 and not torch.equal(maps[0], maps[1])


def test_photos_that_are_not_square_have_stages_too():
    """case A17: for torchvision-like nets and for tokens, a rest of the photo left out."""
    body, head = (nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)), (nn.Flatten(), nn.Linear(16, 3))
    net = wrap(nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), *head), input_size=(3, 32, 48))
    assert [(s.name, s.channels, s.reduction) for s in net.stages] == [("0", 8, 2), ("1", 16, 4)]
    net = wrap(OneBlock(), input_size=(3, 36, 60)).eval()  # 4 x 7 patches of 8 pixels, and a rest of 4
    assert {s.reduction for s in net.stages} == {8}
    assert [tuple(m.shape) for m in net.forward_stages(photo((1, 3, 36, 60)))] == [(1, 32, 4, 7)] * 3


class Moody(CifarNet):
    """Leaves its second pooling out when told to, or gives something else than a map."""

    mood = ""

    def forward(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.relu(self.conv2(x))
        x = nn.functional.max_pool2d(x, 2) if self.mood == "shorter" else self.pool(x)
        if self.mood == "longer":
            x = self.pool(nn.functional.interpolate(x, scale_factor=2))
        if self.mood == "no head":
            return x.flatten(1)[:, :10]
        return self.fc2(self.relu(self.fc1(x.flatten(1))))


def test_a_net_that_takes_another_way_says_so():
    """case A4, neighbours: fewer calls than at first, none of the head; further calls are no stages."""
    net = wrap(Moody(), input_size=32).eval()
    names = [s.name for s in net.stages]
    net.module.mood = "longer"
    assert names == list(explorer.look(net, explorer.sample_photos()[0]).stages)
    for mood, missing in (("shorter", "pool:2"), ("no head", "fc2")):
        net.module.mood = mood
        with pytest.raises(ValueError, match=f"did not come by '{missing}'"):
            explorer.look(net, explorer.sample_photos()[0])


class Unlike(nn.Module):
    """The sum of two maps of unlike sizes."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.first(x)
        return x + self.second(x)


@pytest.mark.parametrize(("module", "sentence"), [
    (nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(3136, 5)),
     r"its part '2', Linear\(in_features=3136, .*\), got \[1, 1024\] \(mat1 and mat2"),
    (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 4, 1))),
     r"its part '1\.1', Conv2d\(8, 4, .*\), got \[1, 4, 32, 32\]"),
    (Unlike(), r"in its own forward, where 'first' gave \[1, 8, 32, 32\] and 'second' gave \[1, 8, 16"),
    (nn.Sequential(nn.Identity(), Unlike()),
     r"in the forward of its part '1', where '1\.first' gave \[1, 8, 32, 32\] and '1\.second' gave"),
], ids=["linear", "inside", "own", "part"])
def test_shapes_that_do_not_fit_at_the_size_given_name_the_part_and_its_shapes(module, sentence):
    with pytest.raises(ValueError, match=f"3 x 32 x 32: .*{sentence}") as told:
        wrap(module, input_size=32)
    assert "Give input_size" not in str(told.value)
    with pytest.raises(ValueError, match=r"Give input_size=\(channels, height, width\)\.$"):
        wrap(module)


class Pairs(nn.Module):
    """Its layers hand on tuples and dicts of maps."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = Pair(3, 4), Pair(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.second(self.first(x)["map"])["map"].mean((2, 3)))


class Pair(nn.Module):
    def __init__(self, channels: int, out: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, 2, 1)

    def forward(self, x):
        return {"map": self.conv(x), "size": x.shape}


def test_of_modules_that_give_dicts_the_layers_inside_are_stages():
    net = wrap(Pairs(), input_size=16)
    assert [s.name for s in net.stages] == ["first.conv", "second.conv"]
    assert len(explorer.look(net, explorer.sample_photos()[0]).stages) == 2


def test_a_net_without_maps_has_no_stages_and_all_else():
    """case C2: Flatten -> Linear -> ReLU -> Linear."""
    net = net_without_maps()
    assert net.stages == () and net.feature_info.channels() == [] and net.default_out_indices == ()
    assert net.forward_features(photo((2, 3, 32, 32))).shape == (2, 16)
    assert net.forward_intermediates(photo((2, 3, 32, 32)), intermediates_only=True) == []
    with pytest.raises(IndexError, match="no stages"):
        explorer.models.features.FeatureNet(net)


# --- wrappers, and our models inside of others -------------------------------------------------------------


@pytest.fixture(scope="module")
def known() -> VisionModel:
    """A small model with a preparation and labels of its own."""
    model, _ = small("resnet")
    model.config = model.config.with_(input_size=(3, 64, 64), mean=(0.2, 0.3, 0.4), std=(0.5, 0.6, 0.7),
                                      crop_pct=0.8, interpolation="bicubic", labels=tuple("abcde"))
    return model.eval()


WRAPPERS = {
    "DataParallel": nn.DataParallel, "torch.compile": torch.compile, "AveragedModel": AveragedModel,
    "nested": lambda model: nn.DataParallel(torch.compile(AveragedModel(model))),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_torchs_wrappers_are_looked_through(wrapper, known):
    """case A10: the same configuration, labels and answers as the model in it, from every function."""
    outer, picture = WRAPPERS[wrapper](known), explorer.sample_photos()[0]
    assert wrap(outer).config == known.config
    wanted, seen = explorer.look(known, picture), explorer.look(outer, picture)
    assert (seen.config, seen.notes) == (wanted.config, wanted.notes)
    assert [one.label for one in seen.predictions] == [one.label for one in wanted.predictions]
    # to rounding: from the third look on a faster copy answers
    assert torch.allclose(seen.logits, wanted.logits, rtol=1e-5, atol=1e-5)
    assert torch.allclose(explorer.explain(outer, picture).heatmap, explorer.explain(known, picture).heatmap,
                          atol=1e-4)
    assert explorer.module_tree(outer).input_shape == (1, 3, 64, 64)
    assert isinstance(explorer.optimize(outer), type(known))
    copied = WRAPPERS[wrapper](copy.deepcopy(known))
    explorer.freeze(copied, "layer1")
    assert not all(p.requires_grad for p in copied.parameters())


def test_wrappers_of_ones_own_net_are_looked_through():
    """case A10, neighbours: stages have the names that the net itself gives them."""
    inner = CifarNet()
    net = wrap(nn.DataParallel(torch.compile(inner)), input_size=32)
    assert net.module is inner and [s.name for s in net.stages] == ["relu", "pool", "relu:2", "pool:2"]


def test_what_is_no_model_is_told_to_be_wrapped():
    """case A10: any other module gets one sentence from all that take a model."""
    for name in ("look", "predict", "explain", "gradient_flow", "embed"):
        function = getattr(explorer, name)
        with pytest.raises(TypeError, match=r"explorer\.wrap\(module\)"):
            function(CifarNet(), explorer.sample_photos()[0])
    with pytest.raises(TypeError, match=r"explorer\.wrap\(module\)"):
        explorer.optimize(nn.DataParallel(CifarNet()))


class Normalised(nn.Module):
    """A model that normalises its photos itself."""

    def __init__(self, body: VisionModel):
        super().__init__()
        self.body = body
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(body.config, name))[:, None, None])

    def forward(self, x):
        return self.body((x - self.mean) / self.std)


def test_a_net_with_our_model_as_its_body_sees_photos_as_that_does(known):
    """case A10: Sequential(our backbone, Linear): the body's preparation, the outer head's classes."""
    net, picture = wrap(nn.Sequential(known, nn.Linear(5, 2))), explorer.sample_photos()[0]
    mine, body = net.config, known.config
    assert (mine.input_size, mine.mean, mine.std, mine.crop_pct, mine.interpolation) == (
        body.input_size, body.mean, body.std, body.crop_pct, body.interpolation)
    assert net.num_classes == 2 and not mine.labels and net.load_report is None
    assert torch.equal(explorer.look(net, picture).input, explorer.look(known, picture).input)
    told = wrap(nn.Sequential(known, nn.Linear(5, 2)), mean=[0] * 3, std=[1] * 3, input_size=32).config
    assert (told.input_size, told.mean, told.std) == ((3, 32, 32), (0, 0, 0), (1, 1, 1))


def test_a_net_that_gives_its_bodys_scores_has_the_bodys_labels(known):
    """case A10, neighbours: with a normalisation of its own, which is not done twice."""
    picture = explorer.sample_photos()[0]
    wanted = explorer.look(known, picture)
    for module in (nn.Sequential(known), Normalised(known)):
        seen = explorer.look(wrap(module), picture)
        assert [p.label for p in seen.predictions] == [p.label for p in wanted.predictions]
        assert torch.allclose(seen.logits, wanted.logits, atol=1e-4)


class Both(nn.Module):
    def __init__(self, *bodies):
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x):
        return sum(body(x) for body in self.bodies)


def test_two_bodies_that_see_photos_differently_are_refused(known):
    other = copy.deepcopy(known)
    assert wrap(Both(known, other)).config.mean == known.config.mean
    other.config = other.config.with_(mean=(0.5,) * 3)
    with pytest.raises(ValueError, match="in different ways"):
        wrap(Both(known, other))


# --- what wrap was given -----------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
WRONG = {
    "mean": [([NAN] * 3, ValueError), ([0.5, 0.5], ValueError), ([0.5] * 4, ValueError), ("0.5", TypeError),
             (0.5, TypeError), (["a"] * 3, TypeError), ([True] * 3, TypeError), ([], ValueError),
             (np.ones((3, 3)), TypeError), ([INF] * 3, ValueError), ({}, ValueError)],
    "std": [([0, 1, 1], ValueError), ([-1.0] * 3, ValueError), ([NAN] * 3, ValueError), ([1], ValueError),
            ("abc", TypeError), (list, TypeError)],
    "input_size": [((0, 32, 32), ValueError), (0, ValueError), (-32, ValueError), ((3, -1, 32), ValueError),
                   (10**9, ValueError), ((3, 10**6, 10**6), ValueError), (True, TypeError), (32.0, TypeError),
                   ((3, 32.0, 32), TypeError), ("32", TypeError), ("332", TypeError), ((32, 32), ValueError),
                   ((), ValueError), ((3, 32, 32, 1), ValueError), (object(), TypeError),
                   (range(10**12), ValueError)],
    "name": [(5, TypeError), (None, TypeError), (["a"], TypeError), (b"net", TypeError)],
}


@pytest.mark.parametrize("argument", WRONG)
def test_what_wrap_can_not_use_is_refused_in_a_sentence(argument):
    """case A7: mean, std, input_size and name."""
    for value, kind in WRONG[argument]:
        with pytest.raises(kind, match=f"^{argument} is ") as told:
            wrap(CifarNet(), **({"input_size": 32} | {argument: value}))
        assert len(str(told.value)) < 300


def test_numbers_in_any_usual_form_are_taken():
    plain = [0.1, 0.2, 0.3]
    for numbers in (plain, tuple(plain), np.array(plain), torch.tensor(plain, dtype=torch.float64)):
        config = wrap(CifarNet(), input_size=np.int64(32), mean=numbers, std=numbers).config
        assert config.mean == config.std == (0.1, 0.2, 0.3) and config.input_size == (3, 32, 32)


def test_what_a_model_of_ours_is_told_of_its_photos_is_obeyed_or_refused(known):
    """case A7, neighbours: nothing that wrap is given is ignored, also for a model of ours."""
    model, picture = copy.deepcopy(known), explorer.sample_photos()[0]
    assert wrap(model, input_size=(3, 48, 80), mean=[0] * 3, std=[1] * 3) is model
    assert explorer.look(model, picture).input.shape == (3, 48, 80) and model.config.mean == (0, 0, 0)
    assert model.config.labels == known.config.labels
    for wrong in (dict(name="x"), dict(input_size=(1, 64, 64)), dict(mean=[0]), dict(std=[0] * 3)):
        with pytest.raises((ValueError, TypeError)):
            wrap(model, **wrong)
    with pytest.raises(ValueError, match="built for photos of 3 x 64 x 64"):
        wrap(small("vit")[0], input_size=96)
    net = wrap(CifarNet(), input_size=32)
    with pytest.raises(ValueError, match="can't run on photos of 20 x 20"):
        wrap(net, input_size=20)
    assert net.config.input_size == (3, 32, 32)


def test_a_transformer_reports_its_blocks():
    net = wrap(TinyTransformer(), input_size=64)
    stages = [(stage.name, stage.channels, stage.reduction) for stage in net.stages]
    assert stages == [("blocks.0", 32, 8), ("blocks.1", 32, 8), ("blocks.2", 32, 8)]
    assert not net.pyramid and net.num_features == 32
    assert [tuple(m.shape) for m in net.eval().forward_stages(photo())] == [(2, 32, 8, 8)] * 3


def test_the_classifier_can_be_exchanged_and_removed():
    net = wrap(small_net().half())
    net.reset_classifier(3)
    assert net.get_classifier().weight.dtype == torch.float16 and net.module[7].out_features == 3
    net = wrap(small_net())
    net.reset_classifier(0)
    assert net(photo((2, 1, 28, 28))).shape == (2, 784)
    with pytest.raises(ValueError, match="pooling"):
        net.reset_classifier(3, global_pool="max")


def test_training_flags_and_hooks_are_as_before():
    module = small_net()
    module[1].eval()
    flags = [m.training for m in module.modules()]
    net = wrap(module)
    list(net.forward_stages(photo((2, 1, 28, 28))))
    assert [m.training for m in module.modules()] == flags
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_features_only_wants_a_pyramid_from_a_wrapped_module():
    net = explorer.models.FeatureNet(wrap(small_net()), (0, 2))
    assert [tuple(m.shape) for m in net(photo((1, 1, 28, 28)))] == [(1, 8, 28, 28), (1, 16, 7, 7)]


@pytest.mark.parametrize(("module", "match"), [
    (nn.Conv2d(3, 8, 3), "one row of scores"),
    (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), "Give input_size"),
    ("resnet50", "torch.nn.Module"),
])
def test_what_can_not_be_wrapped_is_named_with_the_fix(module, match):
    with pytest.raises((ValueError, TypeError), match=match):
        wrap(module)


def test_a_wrapped_module_works_in_the_dashboard():
    dash = explorer.Dashboard(small_net(), labels=list("abcdefghij"), images=[explorer.sample_photos()[0]])
    dash.wait()
    assert dash.session.model_name == "Sequential"
    assert tuple(dash.stages.stage.options) == ("1", "4", "5")
    assert {p.label for p in dash.session.look.predictions} <= set("abcdefghij")
    dash.close()


def test_a_network_of_linear_layers_only_works_too_and_says_that_it_has_no_maps():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    dash = explorer.Dashboard(net, input_size=(1, 28, 28), images=[explorer.sample_photos()[0]])
    dash.wait()
    assert dash.session.look.stages == {} and len(dash.session.look.predictions) == 5
    assert "no maps" in dash.stages.mosaic._maps["message"]
    assert "Sequential" in dash.snapshot().data and "Sequential" in dash.session.look._repr_html_()  # case C2
    dash.session.model = "tf_efficientnet_lite0"
    dash.wait()
    assert dash.stages.stage.value == "blocks.0"
    assert wrap(net, input_size=(1, 28, 28)).forward_intermediates(photo((2, 1, 28, 28)))[1] == []
    dash.close()


def test_watch_writes_down_each_part_once_in_order():
    seen = watch(small_net(), (1, 28, 28))
    assert [call.path for call in seen.calls] == [str(i) for i in range(8)]
    assert isinstance(wrap(small_net()), WrappedModel)


# --- what the outputs mean ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options, error, words", [
    ({"labels": ["a"]}, ValueError, "names 1 classes, but this model has 10"),
    ({"labels": "cat"}, TypeError, "not one string"),
    ({"labels": 10}, TypeError, "not int"),
    ({"labels": set("0123456789")}, TypeError, "in index order, not set"),
    ({"labels": ["a"] * 9 + [None]}, ValueError, "no name for index 9"),
    ({"labels": ["", *"123456789"]}, ValueError, "no name for index 0"),
    ({"outputs": "softmax"}, ValueError, "expected one of"), ({"outputs": "yes/no"}, ValueError, "gives 10")])
def test_names_and_kinds_that_are_not_the_nets_are_refused(options, error, words):
    """case A7: one name for ten classes was ignored, in the Dashboard refused."""
    with pytest.raises(error, match=words):
        wrap(small_net(), **options)
    with pytest.raises(error, match=words):
        wrap(wrap(small_net()), **options)


def test_scores_without_an_axis_of_their_own_are_told_what_took_it():
    """case A6, neighbour: a yes or no that ends with a squeeze gives [B]."""
    yes = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1))
    with pytest.raises(ValueError, match=r"of shape \[1\].*Leave out the squeeze"):
        wrap(nn.Sequential(yes, nn.Flatten(0)), input_size=32)


def traced(net: nn.Module):
    return torch.jit.trace(net, torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("made", [torch.jit.script, traced])
def test_a_torchscript_program_is_refused_by_name(made):
    """case A10, neighbour: its layers can't be watched, and there is no table of modules to search."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    program = made(net.eval())
    with pytest.raises(TypeError, match="TorchScript program.*torch.nn.Module that it was made from"):
        wrap(program, input_size=32)
    with pytest.raises(TypeError, match=r"explorer\.wrap\(module\)"):
        explorer.look(program, torch.zeros(3, 32, 32))


def test_names_that_are_numbers_become_words():
    """case A7: labels=[1, ...] was an AttributeError in the HTML."""
    model = wrap(small_net(), labels=range(10))
    assert model.config.labels == tuple("0123456789")
    explorer.look(model, explorer.sample_photos()[0])._repr_html_()


def test_a_model_can_be_told_what_it_means_afterwards():
    """case A6: wrap(..., outputs=) of a model that keeps the contract already."""
    model = explorer.create_model("resnet10t", num_classes=3)
    assert wrap(model, labels=["a", "b", "c"], outputs="several") is model
    assert (model.config.outputs, model.config.labels) == ("several", ("a", "b", "c"))
    assert wrap(model).config.outputs == "several"
    assert wrap(model, outputs="one").config.labels == ("a", "b", "c")
    with pytest.raises(ValueError, match="a single score"):
        wrap(explorer.create_model("resnet10t", num_classes=1), outputs="one")


def test_a_yes_or_no_takes_the_yes_alone():
    model = wrap(explorer.create_model("resnet10t", num_classes=1), labels=["cat"])
    assert model.config.labels == ("not cat", "cat")


def test_a_head_that_was_exchanged_inside_a_wrapped_net_is_noticed():
    """case A5: the names, the number of classes and the classifier's place follow what stands there now."""
    net = small_net()
    model = wrap(net, labels="0123456789")
    net[7] = nn.Linear(16 * 7 * 7, 4)
    seen = explorer.look(model, explorer.sample_photos()[0])
    assert model.num_classes == 4
    assert {one.label for one in seen.predictions} == {"class 0", "class 1", "class 2", "class 3"}


def look_at_black(net):
    return explorer.look(net, np.zeros((8, 8, 3)))


@pytest.mark.parametrize("ask", [wrap, explorer.Dashboard, look_at_black])
def test_a_class_in_place_of_a_network_is_told_how_to_make_one(ask):
    with pytest.raises(TypeError, match="the class TinyTransformer: make a network of it"):
        ask(TinyTransformer)
