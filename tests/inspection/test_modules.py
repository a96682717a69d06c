"""The module tree against hooks, against PyTorch's own counters, and against the model itself."""

from __future__ import annotations

import re
import threading

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import explorer
from explorer.inspection.look.modules import ModuleNode, module_tree
from tests.html import parse

FAMILIES = ["resnet18", "seresnext50_32x4d", "vgg11_bn", "efficientnet_b0", "tf_efficientnet_lite0",
            "vit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2"]


def observed(model: nn.Module, x: torch.Tensor) -> tuple[dict[str, tuple[int, ...] | None], int]:
    """What a real forward pass shows: (path -> shape, all FLOPs)."""
    shapes, handles = {}, []
    for path, module in model.named_modules():
        def keep(_, args, output, path=path):
            shapes.setdefault(path, tuple(output.shape) if isinstance(output, torch.Tensor) else None)

        handles.append(module.register_forward_hook(keep))
    # In plain steps: some versions of torch do not count the operations of a CPU's fused attention.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    for handle in handles:
        handle.remove()
    return shapes, counter.get_total_flops()


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_flops_and_parameters_are_those_of_a_real_pass(name):
    model = explorer.create_model(name, num_classes=5).eval()
    x = torch.zeros(1, *model.config.input_size)
    tree = module_tree(model)
    shapes, total = observed(model, x)
    assert tree.measured_on == "meta" and tree.input_shape == tuple(x.shape)
    assert [node.path for node in tree.walk()] == [path for path, _ in model.named_modules()]
    for node in tree.walk():
        module = model.get_submodule(node.path)
        assert node.kind == type(module).__name__
        assert node.params == sum(p.numel() for p in module.parameters())
        if node.path in shapes:
            assert node.output_shape == shapes[node.path], node.path
            assert node.calls == 1
        else:
            assert node.calls == 0
    assert tree.flops == total > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_modules_flops_are_its_own_and_its_childrens(name):
    tree = module_tree(name)
    for node in tree.walk():
        assert node.flops == node.own_flops + sum(child.flops for child in node.children)
        if not node.children and node.kind in ("BatchNorm2d", "ReLU", "Identity", "Dropout", "LayerNorm"):
            assert node.flops == 0


def test_flops_of_single_layers_follow_the_text_books():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Flatten(), nn.Linear(8 * 5 * 5, 4))
    tree = module_tree(model, 10)
    assert tree.find("0").flops == 2 * (3 * 3 * 3) * (8 * 5 * 5)
    assert tree.find("2").flops == 2 * (8 * 5 * 5) * 4
    assert tree.find("1").flops == 0


def test_attention_counts_and_belongs_to_its_module():
    tree = module_tree("vit_tiny_patch16_224")
    tokens, dim, heads = 197, 192, 3
    scores_and_values = 2 * 2 * heads * tokens * tokens * (dim // heads)
    assert tree.find("blocks.3.attn").own_flops == scores_and_values


def test_groups_divide_the_flops():
    dense, grouped = (module_tree(nn.Conv2d(8, 8, 3, groups=groups), (8, 6, 6)).flops for groups in (1, 8))
    assert dense == 8 * grouped


def test_the_batch_multiplies_the_flops_and_leads_the_shapes():
    model = nn.Conv2d(3, 4, 1)
    one, five = module_tree(model, (3, 6, 7)), module_tree(model, (5, 3, 6, 7))
    assert one.output_shape == (1, 4, 6, 7) and five.output_shape == (5, 4, 6, 7)
    assert five.flops == 5 * one.flops


@pytest.mark.parametrize("size, expected", [
    (64, (1, 3, 64, 64)), ((64, 96), (1, 3, 64, 96)), ((3, 64, 96), (1, 3, 64, 96)),
    ((2, 3, 64, 96), (2, 3, 64, 96)), (None, (1, 3, 224, 224)),
])
def test_the_input_may_be_given_in_every_usual_way(size, expected):
    assert module_tree("resnet18", size).input_shape == expected


def test_a_grey_model_is_measured_with_one_channel():
    assert module_tree(explorer.create_model("resnet18", in_chans=1)).input_shape == (1, 1, 224, 224)


@pytest.mark.parametrize("size", [0, (3,), (1, 2, 3, 4, 5), (3, -1, 4), (3.5, 2, 2)])
def test_an_input_that_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="input_size is"):
        module_tree("resnet18", size)


def test_an_input_that_does_not_fit_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="resnet18 can't run on an input of 1 × 4 × 64 × 64 .*input_size"):
        module_tree(explorer.create_model("resnet18"), (4, 64, 64))


def test_a_name_costs_no_weights_and_an_unknown_one_is_answered():
    tree = module_tree("vgg19")
    assert tree.name == "vgg19" and tree.params == 143_667_240
    with pytest.raises(ValueError, match="Did you mean 'resnet50'"):
        module_tree("resnet5O")
    with pytest.raises(TypeError, match="name"):
        module_tree(5)


def test_the_model_is_left_exactly_as_it_was(small_model):
    small_model.train()
    small_model.layer1.eval()
    calls = []
    handle = small_model.layer2.register_forward_hook(lambda *_: calls.append(1))
    flags = [m.training for m in small_model.modules()]
    tensors = {k: (v.data_ptr(), v.clone()) for k, v in small_model.state_dict().items()}
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in small_model.modules()]
    state = torch.get_rng_state()
    module_tree(small_model)
    assert not calls  # the pass went through the twin
    assert [m.training for m in small_model.modules()] == flags
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in small_model.modules()]
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in small_model.state_dict().items():
        assert value.data_ptr() == tensors[key][0] and torch.equal(value, tensors[key][1])
    handle.remove()


def test_another_thread_may_run_the_model_meanwhile(small_model):
    expected, total = small_model(torch.zeros(1, 3, 64, 64)), module_tree(small_model, 64).flops
    results, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            results.append(torch.equal(small_model(torch.zeros(1, 3, 64, 64)), expected))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        counts = {module_tree(small_model, 64).flops for _ in range(10)}
    finally:
        stop.set()
        thread.join()
    assert counts == {total} and results and all(results)


class Counting(nn.Module):
    """Needs the content of a tensor, which there is none of on meta."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) + x.sum().item()


def test_a_model_that_cant_run_on_meta_is_measured_on_its_device():
    model = Counting().train()
    tree = module_tree(model, 8)
    assert tree.measured_on == "cpu" and tree.find("conv").measured_on == "cpu"
    assert tree.flops == 2 * 3 * 4 * 64 and tree.find("conv").output_shape == (1, 4, 8, 8)
    assert "measured on cpu" in str(tree)
    assert model.training and not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_no_hook_stays_behind_when_the_pass_fails():
    model = Counting()
    with pytest.raises(ValueError, match="can't run"):
        module_tree(model, (5, 8, 8))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


class Uncopyable(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.lock = nn.Conv2d(3, 4, 1), threading.Lock()

    def forward(self, x):
        return self.conv(x)


def test_a_model_that_cant_be_copied_is_measured_on_its_device():
    assert module_tree(Uncopyable(), 8).measured_on == "cpu"


def test_weight_norm_by_hooks_is_no_obstacle():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    model(torch.zeros(1, 3, 8, 8))  # now its weight has a gradient history, which can't be copied
    tree = module_tree(model, 8)
    assert tree.measured_on == "meta" and tree.flops == 2 * 27 * 4 * 36


class Careful(nn.Module):
    """Tries one layer, and takes another where the first one can't read its input."""

    def __init__(self):
        super().__init__()
        self.fragile, self.plain = nn.Linear(5, 5), nn.Conv2d(3, 4, 1, bias=False)

    def forward(self, x):
        try:
            return self.fragile(x)
        except RuntimeError:
            return self.plain(x)


def test_a_layer_that_failed_inside_a_model_does_not_take_what_follows():
    tree = module_tree(Careful(), 8)
    assert tree.measured_on == "meta" and tree.output_shape == (1, 4, 8, 8)
    assert tree.find("fragile").output_shape is None and tree.find("fragile").flops == 0
    assert tree.find("plain").flops == tree.flops == 2 * 3 * 4 * 64


class Tied(nn.Module):
    """One layer in two places, one weight in two layers, one layer never used, one used three times."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
        self.second = nn.Sequential(self.first[0], nn.ReLU())
        self.twin = nn.Conv2d(3, 3, 1, bias=False)
        self.twin.weight = self.first[0].weight
        self.unused = nn.Linear(10, 10)
        self.again = nn.Conv2d(3, 3, 1, bias=False)

    def forward(self, x):
        x = self.twin(self.second(self.first(x)))
        for _ in range(3):
            x = self.again(x[:, :, 1:])
        return x


def test_what_is_shared_counts_once_and_what_runs_often_counts_often():
    model = Tied()
    tree = module_tree(model, 8)
    assert tree.params == sum(p.numel() for p in model.parameters()) == 9 + 110 + 9
    assert tree.find("first.0").params == tree.find("second.0").params == tree.find("twin").params == 9
    once = 2 * 9 * 64
    assert tree.find("first").flops == tree.find("second").flops == tree.find("twin").flops == once
    assert tree.find("again").calls == 3 and tree.find("again").flops == 2 * 9 * 8 * (7 + 6 + 5)
    assert tree.find("again").output_shape == (1, 3, 7, 8)  # of the first call
    unused = tree.find("unused")
    assert (unused.calls, unused.output_shape, unused.shape_text, unused.flops) == (0, None, "", 0)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 8, 8))
    assert tree.flops == counter.get_total_flops()


class Many(nn.Module):
    def forward(self, x):
        return {"boxes": x[:, :1], "more": [x, (x, None)], "name": "text"}


def test_several_outputs_have_several_shapes():
    tree = module_tree(Many(), (3, 4, 5))
    more = [(1, 3, 4, 5), [(1, 3, 4, 5), None]]
    assert tree.output_shape == {"boxes": (1, 1, 4, 5), "more": more, "name": None}
    assert tree.shape_text == "boxes: 1 × 1 × 4 × 5; more: 1 × 3 × 4 × 5; 1 × 3 × 4 × 5"


def test_frozen_parameters_are_told_apart():
    model = explorer.create_model("resnet18")
    model.layer1.requires_grad_(False)
    tree = module_tree(model)
    frozen = sum(p.numel() for p in model.layer1.parameters())
    assert tree.trainable == tree.params - frozen
    assert tree.find("layer1").trainable == 0 and tree.find("layer2").trainable == tree.find("layer2").params
    assert f"{frozen:,} of them frozen" in str(tree)


def test_shares_are_parts_of_the_whole():
    tree = module_tree("resnet18")
    assert tree.share == 1
    assert sum(child.share for child in tree.children) == pytest.approx(1)
    assert tree.find("fc").share == tree.find("fc").params / tree.params


def test_a_module_that_says_nothing_about_its_input_has_parameters_only():
    tree = module_tree(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    assert (tree.params, tree.flops, tree.output_shape, tree.measured_on) == (112, None, None, "")
    assert "input_size" in str(tree) and tree.rows()[1][5:] == ["", None]


def test_a_module_without_parameters_has_a_tree():
    tree = module_tree(nn.Sequential(nn.ReLU(), nn.Identity()), (3, 4, 4))
    assert (tree.params, tree.share, tree.flops) == (0, 0, 0)
    assert tree.find("1").shape_text == "1 × 3 × 4 × 4"


def test_lazy_layers_are_answered_with_a_sentence():
    with pytest.raises(ValueError, match="run it once"):
        module_tree(nn.LazyLinear(4), 8)


def test_features_only_models_have_a_tree():
    tree = module_tree(explorer.create_model("resnet18", features_only=True))
    assert tree.output_shape[-1] == (1, 512, 7, 7) and len(tree.output_shape) == 5
    assert tree.find("model.layer1.0.conv1").flops > 0


def test_counting_also_works_inside_inference_mode():
    expected = module_tree("vit_tiny_patch16_224").flops
    model = explorer.create_model("vit_tiny_patch16_224")
    with torch.inference_mode():
        assert module_tree(model).flops == expected


def test_rows_are_what_the_tree_view_takes():
    from explorer.widgets.parts.tree import ModuleTree

    tree = module_tree("vit_tiny_patch16_224")
    rows, nodes = tree.rows(), list(tree.walk())
    assert rows[0] == ["vit_tiny_patch16_224", -1, "VisionTransformer", tree.params, tree.params, "1 × 1000",
                       tree.flops]
    paths = []
    for (name, parent, kind, params, trainable, shape, flops), node in zip(rows, nodes, strict=True):
        above = paths[parent] if parent > 0 else ""
        paths.append("" if parent < 0 else f"{above}.{name}".strip("."))
        assert (paths[-1], kind, shape, flops) == (node.path, node.kind, node.shape_text, node.flops)
        assert (params, trainable) == (node.params, node.trainable)
    view = ModuleTree()
    view.show(rows)
    view.selected = "blocks.3.attn.qkv"
    view.close()


def test_find_takes_a_dotted_path_and_answers_a_wrong_one():
    tree = module_tree("resnet18")
    assert tree.find("layer4.1.conv2").path == "layer4.1.conv2"
    assert tree.find("") is tree and tree.find("layer4").find("1.conv2").path == "layer4.1.conv2"
    with pytest.raises(ValueError, match="Did you mean 'layer4.1.conv2'"):
        tree.find("layer4.1.conv3x")


def test_the_text_is_aligned_and_ends_at_its_depth():
    tree = module_tree("resnet18")
    lines = tree.text(1).splitlines()
    assert len(lines) == 1 + 1 + len(tree.children) + 1
    column = lines[0].index("kind")
    assert [line[column:].split()[0] for line in lines[2:-1]] == [node.kind for node in tree.children]
    below = sum(1 for _ in tree.find("layer1").walk()) - 1
    assert f"layer1 +{below}" in lines[6] and "147,968" in lines[6]
    assert str(tree) == tree.text(2)
    assert repr(tree) == "ModuleNode('resnet18', ResNet, 11,689,512 parameters, 1.81 G multiply-adds)"


def test_the_html_nests_and_has_no_script():
    tree = module_tree("resnet18")
    page = parse(tree._repr_html_())
    assert page.tags == {"div", "p", "b", "details", "summary"}
    assert len(page.find_all("details")) == sum(1 for node in tree.walk() if node.children)
    assert [name.text for name in page.find_all("b")] == [node.name for node in tree.walk()]
    assert "11,689,512 parameters" in page.find_all("summary")[0].text
    assert "1 × 64 × 112 × 112" in page.text


def test_hostile_names_do_not_become_html():
    model = nn.Sequential()
    model.add_module("<script>alert(1)</script>", type("<img src=x onerror=boom>", (nn.Identity,), {})())
    page = parse(module_tree(model, 4)._repr_html_())
    assert not {"script", "img"} & page.tags and "<script>" in page.text


def test_a_deep_model_is_a_long_tree():
    model = nn.Identity()
    for _ in range(150):
        model = nn.Sequential(model, nn.ReLU())
    tree = module_tree(model, 4)
    assert sum(1 for _ in tree.walk()) == 301 and len(tree.rows()) == 301
    assert re.search(r"\+29\d", tree.text(2)) and isinstance(tree, ModuleNode)


def test_shapes_are_measured_once_for_a_model_as_it_is(monkeypatch):
    from explorer.inspection.look import modules

    measured = []
    real = modules.measure
    monkeypatch.setattr(modules, "measure", lambda model, shape: measured.append(shape) or real(model, shape))
    model = explorer.create_model("resnet10t")
    first, again = explorer.module_tree(model, 64), explorer.module_tree(model, 64)
    assert measured == [(1, 3, 64, 64)] and str(first) == str(again) and first is not again
    model.train()
    model.layer1.requires_grad_(False)  # neither changes a shape
    assert explorer.module_tree(model, 64).trainable < first.trainable and len(measured) == 1
    assert explorer.module_tree(model, 96).input_shape == (1, 3, 96, 96) and len(measured) == 2
    model.conv1[0].stride = (1, 1)
    assert explorer.module_tree(model, 96).flops != first.flops and len(measured) == 3
    model.reset_classifier(7)
    assert explorer.module_tree(model, 96).output_shape == (1, 7) and len(measured) == 4
