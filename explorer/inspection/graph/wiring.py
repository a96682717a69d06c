"""One pass that follows each tensor from the node that made it to those that read it.

No program is read: the network runs, on torch's "meta" device where it can, and whatever it does is seen. So
a network with data-dependent branches has a graph too, that of this pass, and a module that is used twice has
two nodes. Each tensor carries the names of the nodes that it comes from as long as it lives, as it carries
its reach in `inspection.receptive.tracing`. Views, copies and changes of type are no nodes: the edge goes on
through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.inspection.graph.nodes import INPUT, OUTPUT, Edge, Node, settings_of
from explorer.inspection.look.measuring import shape_of, shortcut
from explorer.models.members import parameters_in
from explorer.models.watching import Turn, watching

NAME = "_explorer_from"  # where a tensor keeps which nodes it comes from
#: Operations that give what they got: as torch's views, they are no nodes.
COPIES = frozenset("clone _to_copy copy_ _unsafe_view lift_fresh contiguous _reshape_copy".split())
#: What torch calls some operations inside, as its users know them.
CALLED = {
    "mm": "matmul", "bmm": "matmul", "baddbmm": "matmul", "addmm": "linear", "convolution": "conv",
    "convolution_overrideable": "conv", "native_batch_norm": "batch_norm", "native_layer_norm": "layer_norm",
    "cudnn_batch_norm": "batch_norm", "native_batch_norm_legit_no_training": "batch_norm",
    "native_group_norm": "group_norm", "safe_softmax": "softmax",
    "max_pool2d_with_indices": "max_pool2d", "native_dropout": "dropout",
    "constant_pad_nd": "pad",
}


@dataclass(eq=False)
class _Call:
    """A call of a module that has begun. leaf: whether no module is in it; ran: whether an operation ran."""

    name: str
    leaf: bool
    ran: bool = False


class Wiring(TorchDispatchMode):
    """While it is on, and its `enter` and `leave` are told of the calls, `nodes` and `edges` come about."""

    def __init__(self, photo: Tensor):
        super().__init__()
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str], tuple[int, ...]] = {}
        self.running = [_Call("", leaf=False)]
        self.pass_ = object()  # what an earlier pass left on a tensor is not of this one
        self.nodes[INPUT] = Node(INPUT, "input", shape=tuple(photo.shape))
        self._mark(photo, frozenset([INPUT]))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = shortcut(func, args)
        if out is None:
            out = func(*args, **kwargs)
        self._follow(func, args, kwargs, out)
        return out

    # --- modules ------------------------------------------------------------------------------------

    def enter(self, turn: Turn, module: nn.Module, inputs: tuple, options: dict) -> None:
        above = self.running[-1]
        if above.leaf:  # it holds another one where torch does not see it
            self.running.append(above)
            return
        call = _Call(turn.name, leaf=all(child is None for child in module._modules.values()))
        self.running.append(call)
        self.nodes[call.name] = Node(
            call.name, type(module).__name__, above.name, params=_count(module), **settings_of(module))
        if above.name:
            self.nodes[above.name].opens = True
        if call.leaf:
            self._wire(tensors_in((inputs, options)), call.name)

    def leave(self, _turn: Turn, _module: nn.Module, inputs: tuple, output: Any) -> Any:
        call = self.running.pop()
        if call is self.running[-1]:
            return None
        node = self.nodes[call.name]
        node.shape = shape_of(output)
        if not call.leaf:
            node.idle = not node.opens  # nothing ran in it
            return None
        own = frozenset([call.name])
        if isinstance(output, Tensor) and self._sources(output) != own:
            node.idle = not call.ran and any(output is one for one in tensors_in(inputs))
            output = output.view_as(output)  # who reads what went in is told from who reads this
            self._mark(output, own)
            return output
        for one in tensors_in(output):
            self._mark(one, own)
        return None

    def finish(self, output: Any) -> None:
        """The answers are there."""
        self.nodes[OUTPUT] = Node(OUTPUT, "output", shape=shape_of(output))
        self._wire(tensors_in(output), OUTPUT)

    # --- operations ---------------------------------------------------------------------------------

    def _follow(self, func: Any, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        results, call = list(tensors_in(out)), self.running[-1]
        if not results:
            return
        call.ran = True
        kind = func._schema.name.rpartition("::")[2]
        copies = kind == "copy_"  # what the first tensor held before is gone
        operands = list(tensors_in((args[1:] if copies else args, kwargs)))
        sources = frozenset(name for one in operands for name in self._sources(one))
        if call.leaf:
            self._wire(operands, call.name)
            sources = frozenset([call.name])
        elif not sources:
            return  # of constants and weights alone
        elif kind not in COPIES and not _is_view(func):
            sources = frozenset([self._operation(kind, call, operands, results[0])])
        for one in results:
            self._mark(one, sources)
        if func._schema.is_mutable and args and isinstance(args[0], Tensor) and args[0]._base is not None:
            base = args[0]._base  # a tensor was written over by way of a view, or a part of it
            whole = base.numel() == args[0].numel()
            self._mark(base, sources if whole else self._sources(base) | sources)

    def _operation(self, kind: str, call: _Call, operands: list[Tensor], found: Tensor) -> str:
        kind = kind.strip("_")
        kind = CALLED.get(kind, "attention" if kind.startswith("scaled_dot_product") else kind)
        path, number = f"{call.name}/{kind}", 1
        while path in self.nodes:
            number += 1
            path = f"{call.name}/{kind}:{number}"
        self.nodes[path] = Node(path, kind, call.name, tuple(found.shape), operation=True)
        if call.name:
            self.nodes[call.name].opens = True
        self._wire(operands, path)
        return path

    # --- what tensors carry -------------------------------------------------------------------------

    def _sources(self, tensor: Tensor) -> frozenset[str]:
        pass_, names = getattr(tensor, NAME, (None, frozenset()))
        return names if pass_ is self.pass_ else frozenset()

    def _mark(self, tensor: Tensor, names: frozenset[str]) -> None:
        if not isinstance(tensor, nn.Parameter):
            setattr(tensor, NAME, (self.pass_, names))

    def _wire(self, tensors: Iterable[Tensor], target: str) -> None:
        for one in tensors:
            for name in self._sources(one):
                if name != target:
                    self.edges.setdefault((name, target), tuple(one.shape))


def wired(network: nn.Module, photo: Tensor) -> tuple[list[Node], list[Edge], str]:
    """(the nodes in the order in which they began, the edges, where it ran) of one pass."""
    wiring = Wiring(photo)
    modules = {path: module for path, module in network.named_modules() if path}
    with watching(modules, before=wiring.enter, after=wiring.leave), wiring:
        output = network(photo)
    wiring.finish(output)
    edges = [Edge(source, target, shape) for (source, target), shape in wiring.edges.items()]
    return list(wiring.nodes.values()), edges, str(photo.device)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module or an operation got or gave, however deep in lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and returns[0].alias_info is not None and not func._schema.is_mutable


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in parameters_in(module))
