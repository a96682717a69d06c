"""The graph of a network: its edges are torch.fx's where that traces, and found by watching elsewhere."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch
import torchvision
from torch import fx, nn

import explorer
from explorer.inspection.graph.chart import graph_figure
from explorer.inspection.graph.layered import Box, layered
from explorer.inspection.graph.nodes import INPUT, OUTPUT, Node
from explorer.inspection.graph.opening import first_sight
from explorer.inspection.graph.placing import Layout
from tests.html import parse

Pairs = set[tuple[str, str]]

#: Networks that torch.fx traces: torchvision's, and explorer's own.
FOREIGN = ("alexnet", "vgg11_bn", "resnet18", "densenet121", "inception_v3", "googlenet",
           "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "shufflenet_v2_x0_5",
           "mnasnet0_5", "swin_t")
OWN = ("resnet18", "convnext_atto", "dla34", "nf_resnet50", "googlenet", "poolformer_s12", "hgnet_tiny")


def foreign(name: str) -> nn.Module:
    build = getattr(torchvision.models, name)
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        return build(weights=None, **options).eval()


def own(name: str) -> nn.Module:
    with torch.device("meta"):
        return explorer.create_model(name).eval()


class Modules(fx.Tracer):
    """Down to the modules that hold no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


def by_fx(model: nn.Module) -> Pairs:
    """The edges between modules that torch.fx finds, functions between them left out."""
    traced = Modules().trace(model)
    calls: dict[str, int] = {}
    names: dict[fx.Node, str] = {}
    sources: dict[fx.Node, set[str]] = {}
    edges: Pairs = set()
    for node in traced.nodes:
        before = set().union(*(sources[one] for one in node.all_input_nodes))
        if node.op in ("placeholder", "output"):
            names[node] = INPUT if node.op == "placeholder" else OUTPUT
        elif node.op == "call_module":
            calls[node.target] = calls.get(node.target, 0) + 1
            count = calls[node.target]
            names[node] = node.target if count == 1 else f"{node.target}:{count}"
        if node in names:
            edges |= {(source, names[node]) for source in before}
            before = {names[node]}
        elif node.target == "size" or node.target is getattr and node.args[1] == "shape":
            before = set()  # numbers, and no tensor
        sources[node] = before
    return edges


def between_modules(graph: explorer.Graph) -> Pairs:
    """The same of a graph."""
    kinds = {node.path: node.operation for node in graph.nodes}
    before: dict[str, set[str]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, set()).add(edge.source)
    sources: dict[str, set[str]] = {}
    for path, operation in kinds.items():
        mine = set().union(*(sources[one] for one in before.get(path, ()))) if operation else {path}
        sources[path] = mine
    return {(source, target) for target, found in before.items() if not kinds[target]
            for one in found for source in sources[one]}


def edges_of(level) -> Pairs:
    return {(edge.source, edge.target) for edge in level.edges}


@pytest.mark.parametrize("name", FOREIGN)
def test_the_edges_of_torchvisions_networks_are_those_of_torch_fx(name):
    model = foreign(name)
    side = 96 if name == "inception_v3" else 64
    assert between_modules(explorer.graph(model, side)) == by_fx(model)


@pytest.mark.parametrize("name", OWN)
def test_the_edges_of_explorers_networks_are_those_of_torch_fx(name):
    model = own(name)
    assert between_modules(explorer.graph(model, 64)) == by_fx(model)


def test_a_residual_block_has_its_skip_connection():
    graph = explorer.graph(foreign("resnet18"), 64)
    level = graph.level("layer1.0")
    assert [node.name for node in level.nodes] == ["conv1", "bn1", "relu", "conv2", "bn2", "add", "relu:2"]
    add = "layer1.0/add"
    assert {edge.source for edge in graph.edges if edge.target == add} == {"layer1.0.bn2", "maxpool"}
    assert {edge.target for edge in level.entries} == {"layer1.0.conv1", add}
    assert {edge.source for edge in level.exits} == {"layer1.0.relu:2"}
    branch = graph.level("layer2.0")
    assert ("layer2.0.downsample", "layer2.0/add") in edges_of(branch)
    assert {edge.shape for edge in branch.edges if edge.target == "layer2.0/add"} == {(1, 128, 8, 8)}


def test_densenets_layers_read_all_before_them():
    graph = explorer.graph(foreign("densenet121"), 64)
    block = graph.level("features.denseblock1")
    layers = [node.path for node in block.nodes if node.kind == "_DenseLayer"]
    assert len(layers) == 6
    assert {(one, other) for i, one in enumerate(layers) for other in layers[i + 1:]} <= edges_of(block)
    inside = graph.level(layers[-1])
    assert next(node for node in inside.nodes if node.kind == "cat").shape == (1, 64 + 5 * 32, 16, 16)


def test_inceptions_branches_meet_in_a_concatenation():
    graph = explorer.graph(foreign("inception_v3"), 96)
    level = graph.level("Mixed_5b")
    (cat,) = [node for node in level.nodes if node.kind == "cat"]
    assert len([edge for edge in level.edges if edge.target == cat.path]) == 4
    assert len({edge.target for edge in level.entries}) == 4


class Deciding(nn.Module):
    """Which way it goes depends on the numbers: torch.fx can't trace it, and meta tensors can't run it."""

    def __init__(self):
        super().__init__()
        self.conv, self.dark, self.light = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 5)

    def forward(self, x):
        found = self.conv(x)
        return found + (self.light(found) if x.mean() > 0.5 else self.dark(found))


def test_a_network_that_fx_cannot_trace_is_watched():
    model = Deciding()
    with pytest.raises(fx.proxy.TraceError):
        by_fx(model)
    graph = explorer.graph(model, (3, 16, 16))
    assert graph.measured_on == "cpu"
    assert edges_of(graph.level()) == {(INPUT, "conv"), ("conv", "dark"), ("conv", "/add"), ("dark", "/add"),
                                       ("/add", OUTPUT), (INPUT, "/mean"), ("/mean", "/gt")}
    assert not any(hasattr(one, "_explorer_from") for one in (*model.parameters(), *model.buffers()))


def test_a_part_of_a_tensor_that_is_overwritten_is_read_with_the_rest():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            found = self.a(x)
            found[:, :2] = self.b(x)
            return self.c(found)

    assert {("a", "c"), ("b", "c")} <= edges_of(explorer.graph(Written(), (3, 8, 8)).level())


def test_modules_that_do_nothing_are_nodes_and_not_drawn():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.Dropout(), nn.ReLU())
    graph = explorer.graph(model, (3, 8, 8))
    assert [node.kind for node in graph.children() if node.idle] == ["Identity", "Dropout"]
    assert {("0", "1"), ("1", "2"), ("2", "3")} <= {(edge.source, edge.target) for edge in graph.edges}
    assert [node.path for node in graph.level().nodes] == [INPUT, "0", "3", OUTPUT]
    assert edges_of(graph.level()) == {(INPUT, "0"), ("0", "3"), ("3", OUTPUT)}


def test_nodes_tell_kernel_stride_groups_shape_and_parameters():
    node = explorer.graph(foreign("mobilenet_v3_small"), 64).find("features.1.block.0.0")
    assert (node.kind, node.kernel, node.stride, node.groups) == ("Conv2d", (3, 3), (2, 2), 16)
    assert (node.shape, node.params, node.name) == ((1, 16, 16, 16), 16 * 9, "0")
    assert node.settings == "3 × 3, stride 2, 16 groups" and node.shape_text == "16 × 16 × 16"


def test_equal_blocks_in_a_chain_are_one_with_a_count():
    graph = explorer.graph("vit_tiny_patch16_224")
    (blocks,) = [node for node in graph.folded().nodes if node.times > 1]
    assert (blocks.times, blocks.path) == (12, "blocks.0")
    assert blocks.members == tuple(f"blocks.{i}" for i in range(12))
    assert {edge.source for edge in graph.folded().edges if edge.target == "norm"} == {"blocks.0"}
    times = {node.path: node.times for node in graph.folded(apart=["blocks.4"]).nodes}
    assert (times["blocks.0"], times["blocks.4"]) == (4, 8)


def test_blocks_whose_output_somebody_else_reads_are_not_folded():
    class Collecting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))

        def forward(self, x):
            found = [x := layer(x) for layer in self.layers]
            return torch.cat(found, 1)

    level = explorer.graph(Collecting(), (3, 8, 8)).folded()
    assert all(node.times == 1 for node in level.nodes)


def test_a_module_that_is_used_twice_has_two_nodes():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, x):
            return self.body(self.body(x))

    graph = explorer.graph(Twice(), (3, 8, 8))
    assert [node.path for node in graph.children("body:2")] == ["body.0:2", "body.1:2"]
    assert ("body", "body:2") in edges_of(graph.level())
    (folded,) = [node for node in graph.folded().nodes if node.kind == "Sequential"]
    assert folded.times == 2


def overlaps(layout: Layout) -> list[tuple[str, str]]:
    """Boxes of one depth that stand on each other."""
    return [(one.node.path, two.node.path) for i, one in enumerate(layout.boxes)
            for two in layout.boxes[i + 1:] if one.depth == two.depth
            and one.x < two.x + two.width and two.x < one.x + one.width
            and one.y < two.y + two.height and two.y < one.y + one.height]


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "inception_v3", "swin_t"])
def test_no_boxes_overlap_and_wires_run_down_from_box_to_box(name):
    graph = explorer.graph(foreign(name), 96)
    layout = graph.layout(open=[node.path for node in graph.nodes if node.opens][:12])
    assert overlaps(layout) == []
    boxes = {box.node.path: box for box in layout.boxes}
    for wire in layout.wires:
        assert all(before[1] <= after[1] for before, after in pairwise(wire.points))
        for x, y in wire.points:
            assert -0.01 <= x <= layout.width + 0.01 and -0.01 <= y <= layout.height + 0.01
    for box in layout.boxes:
        inside = boxes.get(box.node.parent)
        assert not box.depth or inside is not None and inside.opened
        if box.depth:
            assert inside.x <= box.x and box.x + box.width <= inside.x + inside.width + 0.01
            assert inside.y < box.y and box.y + box.height < inside.y + inside.height


def test_a_skip_connection_runs_beside_a_straight_main_path():
    graph = explorer.graph(foreign("resnet18"), 64)
    layout = graph.layout(open=["layer1.0"])
    inside = [box for box in layout.boxes if box.node.parent == "layer1.0"]
    assert len({round(box.x + box.width / 2, 3) for box in inside}) == 1
    middle = inside[0].x + inside[0].width / 2
    skip = next(wire for wire in layout.wires if wire.edge.target == "layer1.0/add"
                and wire.edge.source == "maxpool")
    assert max(x for x, _ in skip.points) > max(box.x + box.width for box in inside) - 1
    assert skip.points[0][0] == pytest.approx(middle)


def test_opening_a_block_opens_what_it_lies_in_and_only_that():
    graph = explorer.graph(foreign("resnet18"), 64)
    opened = {box.node.path for box in graph.layout(open=["layer2.1"]).boxes if box.opened}
    assert opened == {"layer2", "layer2.1"}
    seen = {box.node.path: box.node for box in graph.layout(open=["layer1.1.conv2"]).boxes}
    assert "layer1.1.conv2" in seen and seen["layer1.0"].times == 1


def test_a_block_that_is_all_there_is_stands_open():
    model = explorer.wrap(foreign("resnet18").to_empty(device="cpu"), input_size=(3, 64, 64))
    boxes = {box.node.path: box for box in explorer.graph(model).layout().boxes}
    assert boxes["module"].opened and boxes["module.layer1"].depth == 1


def test_boxes_in_one_layer_keep_their_distance_and_constants_stand_above_their_reader():
    boxes = {key: Box(40.0, 20.0) for key in ("in", "a", "b", "c", "constant", "sum")}
    wires = [("in", "a"), ("in", "b"), ("b", "c"), ("a", "sum"), ("c", "sum"), ("constant", "sum")]
    found = layered(boxes, wires)
    rows = {key: y for key, (_, y) in found.corners.items()}
    assert rows["in"] < rows["a"] == rows["b"] < rows["c"] == rows["constant"] < rows["sum"]
    assert abs(found.corners["a"][0] - found.corners["b"][0]) >= 60


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 3, width, padding="same"), nn.ReLU()

    def forward(self, x):
        return x + self.act(self.conv(x))


def test_three_thousand_modules_are_laid_out_one_by_one_or_as_one():
    blocks = nn.Sequential(*(Block(1 + 2 * (i % 2)) for i in range(1000)))  # none is equal to the next
    graph = explorer.graph(blocks, (3, 8, 8))
    assert len([node for node in graph.nodes if not node.operation]) == 3002
    assert len(graph.layout().boxes) == 1002
    assert len(graph.layout(open=[node.path for node in graph.nodes if node.opens]).boxes) == 4002
    alike = explorer.graph(nn.Sequential(*(Block(3) for _ in range(1000))), (3, 8, 8))
    assert [node.times for node in alike.folded().nodes] == [1, 1000, 1]


def test_a_drawing_names_what_it_shows_and_escapes_it():
    class Bad(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<script>alert(1)</script>", nn.Conv2d(3, 4, 3))

        def forward(self, x):
            return next(self.children())(x)

    page = parse(explorer.graph(Bad(), (3, 8, 8))._repr_html_())
    assert not page.find_all("script") and "<script>alert(1)</script>" in page.text
    drawn = page.find("svg")
    assert drawn.attributes["role"] == "img" and "Bad" in drawn.attributes["aria-label"]
    colours = {value for element in drawn.all() for name, value in element.attributes.items()
               if name in ("fill", "stroke")}
    assert colours == {"currentColor", "none"}
    assert "4 × 6 × 6" in page.text and "Conv2d, 3 × 3" in page.text


def test_a_long_level_is_drawn_in_part_and_says_so():
    blocks = nn.Sequential(*(Block(1 + 2 * (i % 2)) for i in range(250)))
    page = parse(explorer.graph(blocks, (3, 8, 8))._repr_html_())
    assert "The first 200 of 252 nodes" in page.text
    assert len([one for one in page.find_all("g") if "data-path" in one.attributes]) == 200


def test_as_text_says_what_each_node_reads():
    text = explorer.graph(foreign("resnet18"), 64).as_text(open=["layer1.1"])
    lines = text.splitlines()
    assert "resnet" in lines[0].lower() or "ResNet" in lines[0]
    (add,) = [line for line in lines if re.match(r" +add ", line) and "layer1.0" in line]
    assert "bn2" in add
    assert [line for line in lines if line.startswith("layer2 ") and line.rstrip().endswith("layer1")]


def test_a_path_that_is_not_there_gets_the_nearest():
    graph = explorer.graph(foreign("resnet18"), 64)
    with pytest.raises(ValueError, match="Did you mean 'layer1.0.conv2'"):
        graph.level("layer1.0.cnv2")
    with pytest.raises(TypeError, match="open is 'layer1': expected a list of paths"):
        graph.layout(open="layer1")


def test_a_module_that_does_not_say_what_it_takes_is_asked_for_a_size():
    with pytest.raises(ValueError, match="give input_size=\\(channels, height, width\\)"):
        explorer.graph(nn.Conv2d(3, 4, 1))


def test_a_model_on_meta_and_a_name_have_the_same_graph():
    one, two = explorer.graph(own("resnet10t")), explorer.graph("resnet10t")
    assert one.edges == two.edges and one.measured_on == "meta" and one.input_shape == (1, 3, 176, 176)


def test_a_detector_has_a_graph_with_a_call_of_the_head_a_level():
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64)
    graph = explorer.graph(model)
    assert any(node.path.endswith(":5") for node in graph.nodes)
    assert any(edge.target == OUTPUT for edge in graph.edges)


# --- what a drawing tells at first sight ----------------------------------------------------------------


def test_skip_connections_are_edges_beside_a_longer_way():
    wiring = explorer.graph("resnet18", 64)
    same, halved = wiring.level("layer2.1"), wiring.level("layer2.0")
    assert {target for _, target in same.skips} == {"layer2.1/add"} and len(same.skips) == 1
    assert not halved.skips  # two ways, and none of them has nothing on it
    skipped = [wire.edge.target for wire in wiring.layout(["layer2.1"]).wires if wire.skips]
    assert skipped == ["layer2.1/add"]
    assert len(explorer.graph("unet", 64).level().skips) >= 3  # from the encoder's depths to the decoder's


@pytest.mark.parametrize("kind, sort", [
    ("Conv2dSame", "convolution"), ("BatchNormAct2d", "normalisation"), ("ReLU", "activation"),
    ("Linear", "linear"), ("MaxPool2d", "pooling"), ("softmax", "activation"), ("Attention", "attention"),
    ("Upsample", "resampling"), ("Whatever", "other"),
])
def test_what_a_node_does_is_known_by_its_class(kind, sort):
    assert Node("a", kind).sort == sort


def test_blocks_and_operations_are_told_from_modules():
    assert Node("a", "ConvNeXtStage", opens=True).sort == "block"
    assert Node("a", "BatchNormAct2d", opens=True).sort == "normalisation"
    assert Node("a/add", "add", operation=True).sort == "operation" and Node(INPUT, "input").sort == "data"


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "densenet121"])
def test_at_first_sight_a_block_with_a_skip_connection_is_open_and_few_boxes_are_drawn(name):
    wiring = explorer.graph(name)
    layout = wiring.layout(first_sight(wiring))
    assert any(wire.skips for wire in layout.wires) and len(layout.boxes) <= 60


def test_of_a_long_level_the_first_nodes_are_drawn():
    net = nn.Sequential(*(nn.Conv2d(1, 1, 1 + 2 * (i % 2), padding=i % 2) for i in range(30)))
    wiring = explorer.graph(net, (1, 8, 8))
    assert len(wiring.layout(most=10).boxes) == 10 and len(wiring.layout().boxes) == 32


def test_the_chart_of_a_graph_has_its_names_and_shapes():
    wiring = explorer.graph("resnet18", 64)
    figure = graph_figure(wiring.layout(), title="resnet18")
    texts = [text.get_text() for text in (*figure.axes[0].texts, *figure.texts)]
    assert {"conv1", "64 × 32 × 32", "resnet18"} <= set(texts)


def test_the_blocks_around_a_node_are_named_from_the_inside():
    wiring = explorer.graph("resnet18", 64)
    assert wiring.around("layer1.0.conv1") == ("layer1.0", "layer1") and wiring.around("conv1") == ()
