"""How a number is computed: terms and steps give the cell, whatever kind of layer made it."""

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import explorer
from explorer.inspection.number.behind import input_of
from explorer.widgets.panels.number.telling import said

PHOTO = Image.effect_noise((48, 48), 90).convert("RGB")


class Zoo(nn.Module):
    """A layer of each kind, one behind the other."""

    def __init__(self):
        super().__init__()
        self.strided = nn.Conv2d(3, 8, 3, 2, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.dilated = nn.Conv2d(8, 6, 3, padding=2, dilation=2)
        self.oblong = nn.Conv2d(6, 8, (1, 3), padding=(0, 1))
        self.norm = nn.GroupNorm(1, 8)
        self.largest, self.mean = nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = F.silu(self.strided(x))
        x = self.act(self.bn(self.grouped(x))) + x
        x = self.oblong(F.relu6(self.dilated(self.depthwise(x)))) * 0.5
        x = self.mean(self.largest(F.pad(x, (0, 1, 0, 1))))
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = self.heads(tokens, tokens, tokens, need_weights=False)
        return self.fc((tokens + mixed).mean(1))


@pytest.fixture(scope="module")
def zoo() -> nn.Module:
    torch.manual_seed(0)
    model = explorer.wrap(Zoo(), input_size=(3, 32, 32)).eval()
    shaken(model)
    return model


def shaken(model: nn.Module) -> None:
    """No zeros and no fresh statistics, which would hide mistakes."""
    for tensor in model.parameters():
        tensor.data += 0.2 * torch.randn_like(tensor)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)


def check(number) -> None:
    """Terms and steps give the value, to 1e-5 of the largest number on the way."""
    largest = max([1.0, abs(number.value), float(number.terms.products.abs().sum())])
    assert abs(number.computed - number.value) <= 1e-5 * largest, repr(number)
    assert number._repr_html_()


@pytest.mark.parametrize("layer, kind", [
    ("strided", "convolution"), ("grouped", "convolution"), ("bn", "convolution"), ("act", "convolution"),
    ("depthwise", "depthwise convolution"), ("dilated", "convolution"), ("oblong", "convolution"),
    ("largest", "largest"), ("mean", "mean"), ("fc", "linear layer")])
def test_terms_and_steps_give_the_number(zoo, layer, kind):
    number = explorer.explain_number(zoo, PHOTO, f"module.{layer}", channel=2)
    assert number.terms.kind == kind
    check(number)
    if number.remembered.layout is not None:
        rows, columns = number.remembered.layout.grid
        for row, column in ((0, columns - 1), (rows - 1, columns // 2)):
            check(number.at(row, column, channel=1))


def test_the_patch_the_kernel_and_the_products_are_the_layers(zoo):
    seen = []
    layer = zoo.module.grouped
    hook = layer.register_forward_hook(lambda module, given, out: seen.append((given[0], out)))
    number = explorer.explain_number(zoo, PHOTO, "module.grouped", channel=5, row=0, column=7)
    hook.remove()
    given, out = seen[0]
    patch = F.pad(given, (1, 1, 1, 1))[0, 4:6, 0:3, 7:10]  # channel 5 is in the third group of two
    assert torch.equal(number.terms.first.float(), patch) and number.terms.numbers == (4, 5)
    assert torch.equal(number.terms.second.float(), layer.weight[5])
    assert number.terms.inside[0].tolist() == [False] * 3 and number.terms.corner == (-1, 6)
    assert number.value == float(out[0, 5, 0, 7])
    strongest = [abs(value) for _, value in number.products]
    assert strongest == sorted(strongest, reverse=True) and number.picture().height > 60


def test_what_is_done_to_the_sum_is_told_in_order(zoo):
    number = explorer.explain_number(zoo, PHOTO, "module.act", channel=1, row=3, column=3)
    assert [step.name for step in number.steps] == ["batch normalisation", "ReLU"]
    assert number.steps[-1].value == number.computed and "ReLU" in number.formula


# stems, shortcuts, gates, concatenation, layer norm and scale, windows, tokens, folded norms
@pytest.mark.parametrize("name, module, kind", [
    ("resnet10t", "layer2", "convolution"), ("efficientnet_b0", "blocks.1", "convolution"),
    ("efficientnet_b0", "blocks.0.0.se", "depthwise convolution"),
    ("convnext_atto", "stages.1", "convolution"),
    ("tf_efficientnet_lite0", "conv_stem", "convolution"), ("swin_tiny_patch4_window7_224", "layers0",
                                                            "linear layer"),
    ("vit_tiny_patch16_224", "patch_embed", "convolution"),
    ("vit_tiny_patch16_224", "block0", "linear layer"),
    ("vit_tiny_patch16_224", "blocks.0.norm1", "convolution")])
def test_numbers_of_published_networks(name, module, kind):
    sized = {"img_size": 64, "depth": 1} if name.startswith("vit") else {}
    torch.manual_seed(0)
    model = explorer.create_model(name, num_classes=0, **sized).eval()
    if not name.startswith(("swin", "vit")):
        model.config = model.config.with_(input_size=(3, 64, 64))
    shaken(model)
    number = explorer.explain_number(model, PHOTO, module, channel=7, row=1, column=2)
    assert number.terms.kind == kind
    check(number)
    check(number.at(0, 0))


def test_a_folded_normalisation_is_in_the_kernel():
    torch.manual_seed(0)
    model = explorer.create_model("resnet10t", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 64, 64))
    shaken(model)
    plain = explorer.explain_number(model, PHOTO, "layer1", channel=3, row=4, column=5)
    folded = explorer.optimize(model, example=torch.zeros(1, 3, 64, 64))
    number = explorer.explain_number(folded, PHOTO, "layer1", channel=3, row=4, column=5)
    check(number)
    assert "batch normalisation" in {step.name for step in plain.steps} - {step.name for step in number.steps}
    assert number.terms.bias and number.value == pytest.approx(plain.value, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_shows_the_row_of_weights_and_the_values_it_mixes(fused):
    torch.manual_seed(0)
    model = explorer.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=0).eval()
    shaken(model)
    attention = model.blocks[0].attn
    attention.fused_attn = fused
    number = explorer.explain_number(model, PHOTO, "blocks.0.attn", channel=3, row=1, column=2)
    check(number)
    mixed, strongest = number.mixed, number.products[0][0]
    given = dict(zip(number.terms.numbers, number.terms.first.flatten().tolist()))
    assert float(mixed.first.sum()) == pytest.approx(1) and len(mixed.numbers) == 17
    assert mixed.total == pytest.approx(given[strongest], abs=1e-5)


def test_what_cannot_be_asked_is_said(zoo):
    for module, more, words in (("module.act", {"channel": 99}, "8 channels"),
                                ("module.act", {"row": 99}, "16"),
                                ("module.nothing", {}, "no stage and no module"),
                                ("module.heads", {"row": 50}, "rows")):
        with pytest.raises(ValueError, match=words):
            explorer.explain_number(zoo, PHOTO, module, **more)


class Rare(nn.Module):
    """Layers that not many networks have."""

    def __init__(self):
        super().__init__()
        self.mirrored = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.prelu, self.celu = nn.PReLU(8), nn.CELU(0.5)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.conv = nn.Conv2d(8, 6, 3)
        self.own = nn.BatchNorm2d(6, track_running_stats=False)
        self.mean = nn.AvgPool2d(5, ceil_mode=True, padding=1)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = self.instance(self.celu(self.prelu(self.mirrored(x))))
        return self.fc(self.mean(self.own(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize("layer, steps", [
    ("prelu", ["PReLU"]), ("celu", ["PReLU", None]),
    ("instance", ["PReLU", None, "batch normalisation"]), ("own", ["batch normalisation"]), ("mean", [])])
def test_numbers_of_rare_layers(layer, steps):
    torch.manual_seed(0)
    model = explorer.wrap(Rare(), input_size=(3, 32, 32)).eval()
    shaken(model)
    number = explorer.explain_number(model, PHOTO, f"module.{layer}", channel=2)
    rows, columns = number.remembered.layout.grid
    for row, column in ((0, 0), (rows // 2, 1), (rows - 1, columns - 1)):
        found = number.at(row, column, channel=3)
        check(found)
        assert found.agrees and len(found.steps) == len(steps)
        assert all(step.name == name for step, name in zip(found.steps, steps) if name)
    if layer == "prelu":  # under the kernel lies the photo, mirrored at its edges
        assert input_of(number, 0, 0, 0).row == 1


def test_a_part_that_was_written_over_is_said():
    class Written(nn.Conv2d):
        def forward(self, x):
            x = super().forward(x)
            x[:, :, 5:] = 7.0
            return x

    net = nn.Sequential(Written(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = explorer.wrap(net, input_size=(3, 32, 32)).eval()
    number = explorer.explain_number(model, PHOTO, "module.0", row=3)
    check(number)
    assert number.agrees and number.apart == ""
    over = number.at(8, 3)
    assert over.value == 7 and not over.agrees and over.apart in over._repr_html_().replace("&#x27;", "'")
    assert "the number is 7" in over.apart and "not told here" in said(over)
