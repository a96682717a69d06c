"""The contract that every backbone keeps, on networks of every make; each family's tests try its own."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn

import explorer
from explorer.models.backbones.vgg import ConvMlp
from explorer.models.catalog import FAMILIES
from explorer.models.contract import FeatureInfo, Stage, VisionModel, parameter_place, resolve_indices
from explorer.models.layers import ClassifierHead, create_classifier
from explorer.models.watching import walk
from tests.models.oracle import randomise, relative_error

# name -> (side of a photo that it takes, options that keep it small)
SMALL = {
    "resnet10t": (64, {}), "vgg11": (32, {}), "tinynet_e": (64, {}),
    "vit_tiny_patch16_224": (32, {"img_size": 32, "depth": 3}),
}
SIDE = {name: side for name, (side, _) in SMALL.items()}


def small(name: str, **options) -> VisionModel:
    if name != "vgg11":
        return explorer.create_model(name, **{**SMALL[name][1], **options})
    # Nine tenths of VGG are its first large layer: with a kernel of 1 in place of 7 it trains in a moment.
    with torch.device("meta"):
        created = explorer.create_model(name, **options)
        model = getattr(created, "model", created)
        model.pre_logits = ConvMlp(512, 4096, kernel_size=1, drop_rate=model.drop_rate)
    created = created.to_empty(device="cpu").to(options.get("dtype"))
    model.init_weights()
    return created


def photo(name: str, *, count: int = 2, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, SIDE[name], SIDE[name], generator=torch.Generator().manual_seed(1))


def run(model, x):
    with torch.no_grad():
        return model.eval()(x)


class Toy(VisionModel):
    """Three stages that add 1, 2 and 3; the head takes the mean."""

    def __init__(self, *, too_many: bool = False, too_few: bool = False):
        super().__init__()
        self.stages = (Stage("one", "a", 3, 1), Stage("two", "b", 3, 1), Stage("three", "c", 3, 1))
        self.ran, self.too_many, self.too_few = [], too_many, too_few

    def forward_stages(self, x):
        for step in (1, 2) if self.too_few else (1, 2, 3):
            self.ran.append(step)
            x = x + step
            yield x
        if self.too_many:
            yield x
        self.ran.append("end")
        return 10 * x


ZERO = torch.zeros(1, 3, 2, 2)


def values(maps) -> list[float]:
    return [float(m.mean()) for m in maps]


# --- FeatureInfo ------------------------------------------------------------------------------------------


@pytest.fixture
def info() -> FeatureInfo:
    stages = (Stage("stem", "act1", 8, 2), Stage("layer1", "layer1", 16, 4), Stage("layer2", "l2", 32, 8))
    return FeatureInfo(stages, (2, 0))


def test_the_table_of_stages_reads_as_timms(info):
    assert len(info) == 3
    assert info[1] == {"num_chs": 16, "reduction": 4, "module": "layer1"} and info[-1]["module"] == "l2"
    assert info[:2] == [info[0], info[1]] and list(info)[2] == info[2]
    with pytest.raises(IndexError):
        info[3]


def test_columns_follow_the_chosen_stages_or_an_index(info):
    assert (info.channels(), info.reduction(), info.module_name()) == ([32, 8], [8, 2], ["l2", "act1"])
    assert (info.channels(1), info.reduction(-1), info.module_name(0)) == (16, 8, "act1")
    assert info.channels([0, 1]) == [8, 16] and FeatureInfo(info.stages).channels() == [8, 16, 32]


def test_rows_can_be_restricted_to_some_keys(info):
    assert info.get_dicts() == [info[2], info[0]]
    assert info.get_dicts(["num_chs"]) == [{"num_chs": 32}, {"num_chs": 8}]


def test_the_table_prints_itself_for_a_reader(info):
    assert repr(info) == "FeatureInfo(stem 8ch /2, layer1 16ch /4, layer2 32ch /8)"


# --- resolve_indices, forward_intermediates ----------------------------------------------------------------


@pytest.mark.parametrize(("indices", "chosen"), [
    (None, (0, 1, 2)), (1, (2,)), (3, (0, 1, 2)), ((0, 2), (0, 2)), ((2, 0), (2, 0)), ((-1, -3), (2, 0)),
    ([1, 1], (1, 1)),
], ids=str)
def test_indices_keep_the_order_asked_for(indices, chosen):
    assert resolve_indices(indices, 3) == chosen


@pytest.mark.parametrize(("indices", "stages"), [
    (None, [1, 3, 6]), ((2, 0), [6, 1]), (2, [3, 6]), ((-2, -2), [3, 3]),
], ids=str)
def test_one_pass_keeps_the_maps_asked_for_and_the_features(indices, stages):
    model = Toy()
    features, maps = model.forward_intermediates(ZERO, indices)
    assert values(maps) == stages and float(features.mean()) == 60 and model.ran == [1, 2, 3, "end"]


@pytest.mark.parametrize(("indices", "ran"), [((0,), [1]), ((1, 0), [1, 2]), ((-1,), [1, 2, 3])], ids=str)
def test_stopping_early_runs_nothing_behind_the_deepest_map(indices, ran):
    model = Toy()
    maps = model.forward_intermediates(ZERO, indices, stop_early=True, intermediates_only=True)
    assert len(maps) == len(indices) and model.ran == ran


def test_timms_words_for_maps_are_understood():
    maps = Toy().forward_intermediates(ZERO, (0,), norm=False, output_fmt="NCHW", intermediates_only=True)
    assert values(maps) == [1]
    with pytest.raises(ValueError, match="Toy gives maps, so output_fmt is 'NCHW'; got 'NLC'"):
        Toy().forward_intermediates(ZERO, output_fmt="NLC")


def test_without_stopping_early_the_whole_network_runs():
    model = Toy()
    assert values(model.forward_intermediates(ZERO, (0,), intermediates_only=True)) == [1]
    assert model.ran == [1, 2, 3, "end"]
    model = Toy()
    features, _ = model.forward_intermediates(ZERO, (0,), stop_early=True)  # the features are wanted too
    assert float(features.mean()) == 60


def test_a_network_with_more_maps_than_stages_is_caught():
    with pytest.raises(RuntimeError, match="more maps than the model has stages"):
        Toy(too_many=True).forward_intermediates(ZERO)


@pytest.mark.parametrize("early", [False, True])
def test_a_network_with_fewer_maps_than_stages_is_caught(early):
    with pytest.raises(RuntimeError, match="fewer maps than the model has stages: none for 'three'"):
        Toy(too_few=True).forward_intermediates(ZERO, stop_early=early, intermediates_only=early)


def test_a_broken_contract_names_the_class_that_breaks_it():
    for broken in (Toy(too_many=True), Toy(too_few=True)):
        with pytest.raises(RuntimeError, match=r"^Toy\.forward_stages yielded"):
            broken.forward_intermediates(ZERO)


def lying(model: VisionModel) -> VisionModel:
    """Its table says 5 channels of the second stage, whose map has 3."""
    model.stages = (model.stages[0], Stage("two", "b", 5, 1), model.stages[2])
    return model


def test_a_table_of_stages_that_says_other_channels_than_the_map_has_is_caught():
    sentence = r"Toy\.forward_stages yielded a map of 3 channels for 'two', and the table of stages says 5"
    with pytest.raises(RuntimeError, match=sentence):
        lying(Toy()).forward_intermediates(ZERO)
    with pytest.raises(RuntimeError, match=r"write Stage\('two', 'b', 3, 1\)"):
        lying(Toy()).forward_intermediates(ZERO, (1,), intermediates_only=True, stop_early=True)


def test_tokens_in_a_maps_place_are_caught():
    model = Toy()
    model.forward_stages = lambda x: iter([x.flatten(2)] * 3)
    sentence = r"something of shape \[1, 3, 4\] for 'one': expected a map \[B, 3"
    with pytest.raises(RuntimeError, match=sentence):
        model.forward_intermediates(ZERO)


def test_a_walk_tells_what_comes_and_what_came_and_gives_the_features():
    model, seen = Toy(), []
    features = walk(model, ZERO, before=lambda stage: seen.append((stage.name, list(model.ran))),
                    after=lambda stage, found: seen.append((stage.name, float(found.mean()))))
    assert float(features.mean()) == 60 and model.ran == [1, 2, 3, "end"]
    assert seen == [("one", []), ("one", 1), ("two", [1]), ("two", 3), ("three", [1, 2]), ("three", 6)]


def test_a_walk_of_the_first_stages_runs_nothing_behind_them():
    model, seen = Toy(), []
    assert walk(model, ZERO, after=lambda _stage, found: seen.append(float(found.mean())), first=2) is None
    assert seen == [1, 3] and model.ran == [1, 2]


def test_stages_come_lazily():
    model = Toy()
    walk = model.forward_stages(ZERO)
    assert model.ran == [] and float(next(walk).mean()) == 1 and model.ran == [1]


def test_a_family_that_writes_too_little_is_told_what_is_missing():
    model = VisionModel()
    for call in (lambda: model(ZERO), lambda: model.forward_head(ZERO), model.get_classifier,
                 lambda: model.reset_classifier(3)):
        with pytest.raises(NotImplementedError, match="VisionModel must define"):
            call()
    with pytest.raises(NotImplementedError, match='get_classifier, or say where its last layer is.* "fc"'):
        model.get_classifier()


# --- a family of one's own --------------------------------------------------------------------------------


class Own(VisionModel):
    """What a reader writes: one convolution, a stage, and the place of the last layer."""

    classifier_path = "scores"

    def __init__(self, num_classes: int = 4, global_pool: str = "avg", drop_rate: float = 0.0):
        super().__init__()
        self.num_classes, self.in_chans, self.num_features, self.drop_rate = num_classes, 3, 6, drop_rate
        only = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.stages = nn.Sequential(only)  # a module by the name of `stages`
        self.stage_table = [Stage("only", "stages.0", 6, 2)]
        self.create_head(num_classes, global_pool)

    def create_head(self, num_classes, global_pool):
        self.global_pool, self.scores = create_classifier(6, num_classes, global_pool)

    def forward_stages(self, x):
        x = self.stages(x)
        yield x
        return x.relu()


class OwnHead(Own):
    """The same with a head that is one module."""

    classifier_path = "head.fc"

    def create_head(self, num_classes, global_pool):
        self.head = ClassifierHead(6, num_classes, global_pool, self.drop_rate)


class OwnMethods(Own):
    """The same with its own methods, as every family had them before `classifier_path`."""

    classifier_path = ""

    def forward_head(self, x, pre_logits=False):
        x = self.global_pool(x)
        return x if pre_logits else self.scores(x)

    def get_classifier(self):
        return self.scores

    def reset_classifier(self, num_classes, global_pool=None):
        self.scores = nn.Linear(6, num_classes) if num_classes else nn.Identity()
        self.num_classes = num_classes


EIGHT = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", [Own, OwnHead, OwnMethods])
def test_a_family_of_ones_own_has_all_that_follows_from_the_contract(family):
    model = family().eval()
    vector = model.stages(EIGHT).relu().mean((2, 3))
    last = model.get_classifier()
    assert torch.equal(model(EIGHT), last(vector))
    assert torch.equal(model.forward_head(model.forward_features(EIGHT), pre_logits=True), vector)
    assert model.feature_info.channels() == [6]
    assert model.forward_intermediates(EIGHT)[1][0].shape == (2, 6, 4, 4)
    model.reset_classifier(0)
    assert torch.equal(model(EIGHT), vector) and isinstance(model.get_classifier(), nn.Identity)
    model.reset_classifier(7)
    assert model(EIGHT).shape == (2, 7) and model.num_classes == 7
    with pytest.raises(ValueError, match="num_classes is -1: expected a whole number"):
        model.reset_classifier(-1)
    assert torch.equal(copy.deepcopy(model)(EIGHT), model(EIGHT))
    assert len(explorer.look(model, EIGHT[0].sigmoid()).stages) == 1


@pytest.mark.parametrize("family", [Own, OwnHead])
def test_the_contracts_head_pools_and_drops_as_it_is_told(family):
    model = family(drop_rate=0.5).eval()
    model.reset_classifier(0, "max")
    assert torch.equal(model(EIGHT), model.forward_features(EIGHT).amax((2, 3)))
    model.reset_classifier(0, "")
    assert torch.equal(model(EIGHT), model.forward_features(EIGHT))
    with pytest.raises(ValueError, match='use num_classes=0 with global_pool=""'):
        model.reset_classifier(3)
    model.reset_classifier(3, "catavgmax")
    assert model(EIGHT).shape == (2, 3) and model.get_classifier().in_features == 12
    model.reset_classifier(0, "avg")
    dropped = model.train()(EIGHT)
    assert (dropped == 0).sum() > (model.eval()(EIGHT) == 0).sum()


def test_a_subclass_of_a_family_may_change_its_head():
    class Twice(type(explorer.create_model("resnet10t"))):
        def forward_head(self, x, pre_logits=False):
            return 2 * super().forward_head(x, pre_logits)

    model = explorer.create_model("resnet10t").eval()
    with torch.no_grad():
        plain = model(photo("resnet10t"))
        model.__class__ = Twice
        assert torch.equal(model(photo("resnet10t")), 2 * plain)


@pytest.mark.parametrize("name", SMALL)
def test_all_ways_through_a_network_agree(name):
    model = small(name).eval()
    randomise(model)
    x = photo(name)
    with torch.no_grad():
        features, maps = model.forward_intermediates(x)
        assert torch.equal(features, model.forward_features(x))
        walked = list(model.forward_stages(x))
        assert all(torch.equal(a, b) for a, b in zip(walked, maps, strict=True))
        pre_logits = model.forward_head(features, pre_logits=True)
        assert pre_logits.shape == (2, model.head_hidden_size)
        assert torch.equal(model.forward_classifier(pre_logits), model(x))
        assert torch.equal(model.forward_head(features), model(x))


@pytest.mark.parametrize("name", SMALL)
def test_stages_tell_the_truth_about_their_maps(name):
    model = small(name).eval()
    with torch.no_grad():
        for stage, found in zip(model.stage_table, model.forward_stages(photo(name)), strict=True):
            side = SIDE[name] // stage.reduction
            assert found.shape == (2, stage.channels, side, side)
    reductions = [stage.reduction for stage in model.stage_table]
    assert model.pyramid == (reductions == sorted(set(reductions)))


# --- the classifier ----------------------------------------------------------------------------------------


def shapes(model) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in model.state_dict().items()}


POOLS = {"resnet10t": "catavgmax", "vgg11": "max", "tinynet_e": "avgmax", "vit_tiny_patch16_224": "avg"}


@pytest.mark.parametrize("name", SMALL)
def test_a_new_classifier_equals_that_of_a_model_created_with_it(name):
    for classes in (5, 0, 3):
        model, other = small(name), small(name, num_classes=classes)
        model.reset_classifier(classes)
        assert shapes(model) == shapes(other)
        assert model.num_classes == classes and type(model.get_classifier()) is type(other.get_classifier())
        randomise(model)
        other.load_state_dict(model.state_dict())
        assert torch.equal(run(model, photo(name)), run(other, photo(name)))


@pytest.mark.parametrize("name", SMALL)
def test_a_new_classifier_keeps_body_pooling_device_and_dtype(name):
    model = small(name, global_pool=POOLS[name], dtype=torch.float64)
    randomise(model)
    before = run_features(model, name)
    model.reset_classifier(5)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert torch.equal(run_features(model, name), before)
    model = model.to("meta")
    model.reset_classifier(7)
    assert all(p.is_meta for p in model.parameters()) and model.get_classifier().out_features == 7


def run_features(model, name):
    """The vector before the classifier, so with the pooling."""
    with torch.no_grad():
        x = photo(name).double()
        return model.eval().forward_head(model.forward_features(x), pre_logits=True)


@pytest.mark.parametrize("name", SMALL)
def test_a_new_classifier_may_pool_in_another_way(name):
    model = small(name)
    model.reset_classifier(5, POOLS[name])
    assert run(model, photo(name)).shape == (2, 5)
    kept = model.get_classifier().in_features
    model.reset_classifier(3)
    assert model.get_classifier().in_features == kept


@pytest.mark.parametrize("name", SMALL)
def test_a_new_classifier_leaves_the_model_in_evaluation(name):
    model = small(name, drop_rate=0.5).eval()
    model.reset_classifier(5)
    with torch.no_grad():
        assert torch.equal(model(photo(name)), model(photo(name)))


def test_the_place_of_a_module_is_where_its_parameters_are():
    place = parameter_place(nn.Linear(2, 2, dtype=torch.float64))
    assert place == {"device": torch.device("cpu"), "dtype": torch.float64}
    with torch.device("meta"):  # without parameters: where new ones would go
        assert parameter_place(nn.Identity()) == {"device": torch.device("meta"), "dtype": torch.float32}


# --- training, saving, copying -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient_and_one_step_changes_it(name):
    model = small(name, num_classes=5).train()
    randomise(model)  # fresh blocks start at zero, behind which there is no gradient
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(photo(name, count=4)), torch.tensor([0, 1, 2, 3])).backward()
    gradients = {key: value.grad for key, value in model.named_parameters()}
    assert [key for key, grad in gradients.items() if grad is None or not grad.abs().sum() > 0] == []
    optimizer.step()
    unchanged = [key for key, value in model.named_parameters() if torch.equal(value, before[key])]
    assert unchanged == []


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_state_gives_the_same_outputs(name, tmp_path):
    model = small(name)
    randomise(model)
    torch.save(model.state_dict(), tmp_path / "net.pth")
    other = small(name)
    other.load_state_dict(torch.load(tmp_path / "net.pth", weights_only=True), strict=True)
    assert torch.equal(run(other, photo(name)), run(model, photo(name)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("features_only", [False, True])
def test_a_copy_is_equal_and_independent(name, features_only):
    model = small(name, features_only=features_only)
    randomise(model)
    wanted = run(model, photo(name))
    for duplicate in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = run(duplicate, photo(name))
        for one, other in zip(found, wanted, strict=True):
            assert torch.equal(one, other)
        assert duplicate.config == model.config
        for parameter in duplicate.parameters():
            parameter.data.zero_()
    for one, other in zip(run(model, photo(name)), wanted, strict=True):
        assert torch.equal(one, other)


def test_the_children_of_a_resnet_but_the_last_give_the_pooled_vector():
    """How many a tutorial takes the head off."""
    model = explorer.create_model("resnet50").eval()
    body = torch.nn.Sequential(*list(model.children())[:-1])
    x = photo("resnet10t", count=1)
    with torch.no_grad():
        assert body(x).shape == (1, 2048)
        assert relative_error(model.fc(body(x)), model(x)) < 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_the_configuration_reads_as_timms(name):
    model = small(name)
    assert model.default_cfg == model.pretrained_cfg == model.config.as_timm()
    assert model.pretrained_cfg["architecture"] == name and model.pretrained_cfg["num_classes"] == 1000
    with pytest.raises(TypeError):
        model.config.with_(colour="red")


def test_a_configuration_is_read_from_plain_data():
    facts = {"architecture": "a", "mean": [0.5, 0.5, 0.5], "unheard_of": 1}
    config = explorer.models.ModelConfig.from_dict(facts)
    assert config.mean == (0.5, 0.5, 0.5) and config.name == "a" and config.with_(tag="b").name == "a.b"
    assert "top1" not in config.as_timm() and config.as_timm()["pool_size"] is None


# --- tools of torch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"features_only": True, "out_indices": (3, 1)}], ids=str)
def test_a_network_compiles_into_one_graph(options):
    model = explorer.create_model("resnet10t", **options).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        for one, other in zip(compiled(photo("resnet10t")), model(photo("resnet10t")), strict=True):
            assert torch.equal(one, other)


def test_a_network_exports_with_the_same_numbers():
    model = explorer.create_model("resnet10t").eval()
    x = photo("resnet10t")
    exported = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        assert relative_error(exported(x), model(x)) < 1e-5


def test_public_members_of_the_contract_are_documented():
    for name, member in vars(VisionModel).items():
        if callable(member) and not name.startswith("_") and name != "forward":
            assert inspect.getdoc(member), name


ONE_A_FILE = {family.module: family.names[0] for family in FAMILIES.values()}


@pytest.mark.parametrize("name", ONE_A_FILE.values(), ids=ONE_A_FILE)
def test_no_new_classifier_of_any_family_wakes_a_dropout_in_evaluation(name):
    with torch.device("meta"):
        model = explorer.create_model(name, drop_rate=0.5).eval()
        model.reset_classifier(5)
        assert [path for path, m in model.named_modules() if isinstance(m, nn.Dropout) and m.training] == []
        model.train().reset_classifier(6)
        assert all(m.training for m in model.modules() if isinstance(m, nn.Dropout))


# --- whose names they are -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_a_classifier_that_was_exchanged_by_hand_is_noticed_once(name):
    """case A5: names, kind and accuracy belong to the layer that was there when they were set."""
    model = small(name, num_classes=3)
    model.config = model.config.with_(labels=("a", "b", "c"), outputs="several", num_classes=3, top1=70.0)
    assert not model.notice_head() and model.config.labels == ("a", "b", "c")
    path = model.config.classifier if isinstance(model.config.classifier, str) else model.config.classifier[0]
    parent, _, last = path.rpartition(".")
    width = model.get_classifier().in_features
    setattr(model.get_submodule(parent), last, nn.Linear(width, 5))
    assert model.notice_head() and not model.notice_head()
    config = model.config
    assert (model.num_classes, config.labels, config.outputs, config.top1) == (5, (), "", None)


def test_a_config_changed_in_passing_does_not_name_a_new_classifier():
    """case A5: the size of photos says nothing of the scores."""
    model = small("resnet10t", num_classes=3)
    model.config = model.config.with_(labels=("a", "b", "c"), num_classes=3)
    model.fc = nn.Linear(512, 3)
    model.config = model.config.with_(input_size=(3, 64, 64))
    assert model.notice_head() and model.config.labels == ()
    model.fc = nn.Linear(512, 2)
    model.config = model.config.with_(labels=("x", "y"), num_classes=2)  # said of the new one
    assert not model.notice_head() and model.config.labels == ("x", "y")


def pickled(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, explorer.optimize],
                         ids=["deepcopy", "pickle", "optimize"])
def test_a_copy_keeps_the_names_of_its_classifier(copied):
    model = small("resnet10t", num_classes=3).eval()
    model.config = model.config.with_(labels=("a", "b", "c"), num_classes=3)
    again = copied(model)
    assert not again.notice_head() and again.config.labels == ("a", "b", "c")
    again.fc = nn.Linear(512, 3)
    assert again.notice_head() and not model.notice_head()


def test_a_classifier_that_was_taken_away_leaves_features():
    """case A5: fc = nn.Identity() gave five fishes."""
    model = small("resnet10t", num_classes=3)
    model.fc = nn.Identity()
    assert model.notice_head() and model.num_classes == 0
