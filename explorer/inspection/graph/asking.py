"""The network as a drawing: its blocks, with branches and skip connections.

    explorer.graph("resnet50")                             # in a notebook: the top level, repeats folded
    wiring = explorer.graph(model, input_size=64)
    print(wiring.as_text(open=["layer1.0"]))
    wiring.level("layer1.0").edges                         # what flows in that block
    wiring.layout(open=["layer1.0"])                       # where each node stands, for who draws it

One pass is watched (`wiring.py`), so whatever runs has a graph, also what torch.fx can't trace; of what it
can trace the edges are the same (`tests/inspection/test_graph.py` holds the two against each other).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from explorer.arguments import checked
from explorer.inspection.graph.result import Graph
from explorer.inspection.graph.wiring import wired
from explorer.inspection.look.measuring import on_meta
from explorer.inspection.look.model import model_name
from explorer.inspection.look.modules import input_shape, network_of


@checked
def graph(model: nn.Module | str, input_size: int | Sequence[int] | None = None) -> Graph:
    """What flows where in a network: its modules and the operations between them, nested by blocks.

    model:      any PyTorch module; or a name that `create_model` knows, for which no weights are loaded
    input_size: the side in pixels, (height, width), (channels, height, width) or with the batch in front; by
                default what the model's weights expect

    The network runs once, in evaluation mode, on torch's "meta" device, where nothing is computed; one that
    can't runs on its own device, on a black photo. What a data-dependent network would do for another photo
    is not seen. Raises ValueError where it can't run on such an input, and where nobody says how large it is.
    """
    network = network_of(model)
    shape = input_shape(network, input_size)
    if shape is None:
        raise ValueError(f"input_size is None, and {model_name(network)} does not say what it takes: give "
                         "input_size=(channels, height, width).")
    nodes, edges, device = on_meta(network, shape, wired)
    return Graph(model_name(network), tuple(nodes), tuple(edges), shape, device)
