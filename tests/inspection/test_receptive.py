"""Receptive fields: the box equals what a gradient finds in a network of positive weights without kinks."""

import copy

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import explorer
from explorer.inspection.receptive.asking import fields_of_stages
from explorer.models.watching import walk

SIDE = 64


class Straight(TorchFunctionMode):
    """Activations let all through, the largest becomes the mean, and what is pooled from all places is no way
    back if `gates` says so: so no path is cut but that.
    """

    LETS_THROUGH = {F.relu, F.gelu, F.silu, torch.relu, torch.relu_, F.relu6, F.hardtanh, Tensor.relu}

    def __init__(self, gates: bool):
        super().__init__()
        self.gates = gates

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.LETS_THROUGH:
            return args[0] * 1
        if func in (F.max_pool2d, torch.max_pool2d):
            names = ("kernel_size", "stride", "padding")
            given = {**dict(zip(names, args[1:])), **kwargs}
            return F.avg_pool2d(args[0], **{name: given[name] for name in names if name in given},
                                ceil_mode=given.get("ceil_mode", False))
        found = func(*args, **kwargs)
        return found.detach() if func is Tensor.mean and found.ndim == 4 and not self.gates else found


def by_gradient(model: nn.Module, cells: list[tuple[str, int, int]], *, gates: bool = True) -> list[tuple]:
    """The rectangles of all pixels that have a gradient, in a copy whose weights are all positive."""
    model = copy.deepcopy(model).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
        parameter.copy_((0.5 + torch.rand(parameter.shape, generator=generator, dtype=torch.float64)) / fan)
    photo = torch.rand(1, 3, SIDE, SIDE, generator=generator, dtype=torch.float64, requires_grad=True)
    maps, boxes = {}, []
    with Straight(gates):
        walk(model, photo * 1, after=lambda one, found: maps.setdefault(one.name, found.clone()))
    for stage, row, column in cells:
        (gradient,) = torch.autograd.grad(maps[stage][0, :, row, column].sum(), photo, retain_graph=True)
        there = gradient[0].abs().sum(0) > 0
        rows, columns = there.any(1).nonzero().flatten(), there.any(0).nonzero().flatten()
        boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    return boxes


def small(name: str) -> nn.Module:
    with torch.device("meta"):
        model = explorer.create_model(name, num_classes=0).eval()
    model.remove_head()  # VGG's weighs more than all the rest
    model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    model.config = model.config.with_(input_size=(3, SIDE, SIDE))
    return model


@pytest.mark.parametrize("name", ["resnet10t", "vgg11", "mobilenetv2_050", "convnext_atto", "dla34"])
def test_the_box_is_where_a_gradient_is(name):
    model = small(name)
    cells, boxes = [], []
    for stage in model.stage_table[:3]:
        last = SIDE // stage.reduction - 1
        whole_map = explorer.receptive_field(model, stage.name, 0, 0)
        for row, column in ((0, last), (last // 2, last // 2 + 1), (last, 1)):
            cells.append((stage.name, row, column))
            boxes.append(whole_map.at(row, column).box)
    assert boxes == by_gradient(model, cells)


def test_squeeze_and_excitation_reads_everything_and_may_be_left_out():
    model = small("efficientnet_b0")
    stage = model.stage_table[1].name
    cells = [(stage, 7, 8), (stage, 0, 15)]
    for gates in (True, False):
        found = explorer.receptive_field(model, stage, 7, 8, gates=gates)
        assert found.everything is gates and "squeeze" in found.notes[0]
        assert [found.box, found.at(0, 15).box] == by_gradient(model, cells, gates=gates)


# Araujo, Norris and Sim 2019, table of receptive fields: AlexNet 195, VGG-16 212, Inception v3 1311
@pytest.mark.parametrize("name, stage, side", [("alexnet", "pool5", 195), ("vgg16", "pool5", 212),
                                               ("inception_v3", "mixed7", 1311)])
def test_the_sizes_are_the_published_ones(name, stage, side):
    found = explorer.receptive_field(name, stage, 3, 3)  # a name: no weights are needed
    assert found.size == (side, side) and not found.everything


def test_attention_over_all_places_reads_everything_and_windows_read_theirs():
    with torch.device("meta"):
        vit = explorer.create_model("vit_tiny_patch16_224", img_size=64, depth=2)
        swin = explorer.create_model("swin_tiny_patch4_window7_224", depths=(2, 2, 2, 2))
    assert explorer.receptive_field(vit, "patch_embed", 1, 2).box == (32, 16, 48, 32)
    assert explorer.receptive_field(vit, "blocks.0.norm1", 1, 2).box == (32, 16, 48, 32)
    assert explorer.receptive_field(vit, "block0", 1, 2).everything
    found = explorer.receptive_field(swin, "layers.0.blocks.0", 8, 20)
    assert found.box == (56, 28, 84, 56) and not found.everything  # the window of 7 x 7 patches of 4


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return explorer.wrap(module, input_size=(3, 32, 32)).eval()


def test_a_module_in_a_wrapped_network_and_the_photos_own_pixels(plain):
    stage = plain.stage_table[-1].name
    photo = Image.new("RGB", (320, 160), "red")  # its middle square, resized to 32
    found = explorer.receptive_field(plain, stage, 8, 8, image=photo)
    assert found.box == found.unclipped == (13, 13, 20, 20)
    crop = explorer.look(plain, photo).config["crop_pct"]
    assert found.photo_box[2] - found.photo_box[0] == pytest.approx(7 / 32 * 160 * crop, rel=0.02)
    corner = found.at(0, 0)
    assert corner.box == (0, 0, 4, 4) and corner.unclipped == (-3, -3, 4, 4)
    assert "reaches over the edge" in corner.text and corner.overlay().size == (32, 32)


def test_the_effective_field_lies_in_the_box_and_is_strongest_in_it(plain):
    stage, photo = plain.stage_table[-1].name, Image.effect_noise((40, 40), 80)
    for image in (None, photo, [photo, photo.rotate(90)]):
        found = explorer.receptive_field(plain, stage, 8, 8, effective=True, image=image)
        left, top, right, bottom = (int(edge) for edge in found.box)
        inside = found.effective[top:bottom, left:right]
        assert inside.max() == 1 and found.effective_side <= 7
        assert found.effective.count_nonzero() == inside.count_nonzero()
        assert "<img" in found._repr_html_()
    assert all(parameter.grad is None for parameter in plain.parameters())


def test_stages_of_ensembles_and_detectors():
    both = explorer.Ensemble({"a": explorer.create_model("resnet10t", num_classes=3),
                              "b": explorer.create_model("mobilenetv2_050", num_classes=3)})
    alone = explorer.receptive_field(both.member("a"), "layer1", 3, 3)
    assert explorer.receptive_field(both, "a/layer1", 3, 3).box == alone.box
    detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64)
    assert explorer.receptive_field(detector, detector.stage_table[1].name, 3, 3).box
    with pytest.raises(ValueError, match="leave image out"):
        explorer.receptive_field(detector, "layer1", 3, 3, image=Image.new("RGB", (9, 9)))


def test_what_cannot_be_asked_is_said(plain):
    for stage, row, words in (("layer9", 0, "no stage and no module"), ("module.6", 0, "no rows and columns"),
                              (plain.stage_table[-1].name, 99, "from 0 to 15")):
        with pytest.raises(ValueError, match=words):
            explorer.receptive_field(plain, stage, row, 0)


@pytest.mark.parametrize("name", ["resnet10t", "efficientnet_b0", "swin_tiny_patch4_window7_224"])
def test_one_pass_gives_the_fields_of_all_stages(name):
    with torch.device("meta"):
        model = explorer.create_model(name).eval()
    names = [stage.name for stage in model.stage_table]
    found = fields_of_stages(model, names)
    assert list(found) == names
    for stage, (fields, ungated) in found.items():
        alone = explorer.receptive_field(model, stage, 0, 0, gates=False)
        torch.testing.assert_close(fields.edges, alone.fields.edges, rtol=0, atol=0, equal_nan=True)
        assert ungated == alone.ungated
    with pytest.raises(ValueError, match="no stage"):
        fields_of_stages(model, ["nothing"])


def test_a_normalisation_by_the_photos_own_statistics_reads_its_whole_channel():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = explorer.wrap(net, input_size=(3, 32, 32)).eval()
    assert explorer.receptive_field(model, "module.2", 0, 0).box == (0, 0, 5, 5)
    assert explorer.receptive_field(model, "module.3", 0, 0).everything
    model.module[1] = nn.BatchNorm2d(4, track_running_stats=False)
    assert explorer.receptive_field(model, "module.2", 0, 0).everything


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_making_a_map_smaller_without_steps_reads_all_below(mode):
    class Smaller(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x, size=(7, 7), mode=mode, antialias=True)

    net = nn.Sequential(Smaller(), nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = explorer.wrap(net, input_size=(3, 32, 32)).eval()
    for row, column in ((0, 6), (3, 2)):
        photo = torch.randn(1, 3, 32, 32, requires_grad=True)
        net[0](photo)[0, :, row, column].sum().backward()
        moved = photo.grad[0].abs().sum(0).nonzero()
        left, top, right, bottom = explorer.receptive_field(model, "module.0", row, column).box
        assert top <= moved[:, 0].min() and moved[:, 0].max() < bottom <= top + 4 * 32 / 7 + 2
        assert left <= moved[:, 1].min() and moved[:, 1].max() < right <= left + 4 * 32 / 7 + 2
