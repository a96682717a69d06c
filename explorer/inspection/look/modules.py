"""The modules of a model as a tree: parameters, output shapes and multiply-adds of each.

Shapes and FLOPs come from a forward pass on PyTorch's "meta" device, where tensors have a shape but no
content: nothing is computed, so a model of gigabytes takes milliseconds. The pass runs through a twin that
has the model's structure and none of its weights; the model itself is not touched, and may train or predict
in another thread meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from explorer.arguments import checked
from explorer.display.html import RichRepr
from explorer.display.words import did_you_mean
from explorer.inspection.look.measuring import Measured, Shape, measure, shape_text
from explorer.inspection.look.model import model_name
from explorer.models.create import create_model
from explorer.models.surgery.inside import look_through

COUNTED = "convolutions, matrix products and attention are counted; a multiply-add is two FLOPs"


@dataclass(eq=False, repr=False)
class ModuleNode(RichRepr):
    """One module of a model, with all that is below it.

    path:         dotted, as `model.get_submodule` takes it; "" for the model itself
    name:         its name in its parent; for the model itself, what the model is called
    kind:         the class, e.g. "Conv2d"
    params:       numbers in its parameters and those of all modules below it; what is shared counts once
    trainable:    how many of them are not frozen
    output_shape: of its (first) output, e.g. (1, 64, 56, 56); a list or dict of shapes where it returns
                  several tensors; None where it returned none, was never called, or nothing was measured
    later_shapes: what its further calls gave, where that differs: one pooling may serve several depths
    flops:        floating-point operations of it and all modules below it for this input, 2 a multiply-add;
                  convolutions, matrix products and attention only. None where nothing was measured
    children:     the modules in it, in the order in which they were defined
    own_flops:    the part of `flops` that it does itself, not in one of its children
    calls:        how often it ran in one forward pass
    share:        its part of the model's parameters, 0..1
    measured_on:  "meta", or the real device where a model can't run on meta; "" where nothing was measured
    input_shape:  of the pass that was measured, with the batch, e.g. (1, 3, 224, 224)
    """

    path: str
    name: str
    kind: str
    params: int
    trainable: int
    output_shape: Shape = None
    flops: int | None = None
    children: list[ModuleNode] = field(default_factory=list)
    own_flops: int | None = None
    calls: int = 0
    share: float = 0.0
    measured_on: str = ""
    input_shape: tuple[int, ...] | None = None
    later_shapes: tuple[Shape, ...] = ()

    def walk(self) -> Iterator[ModuleNode]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, path: str) -> ModuleNode:
        """The node at a dotted path below this one. Raises ValueError, with the nearest path, for another."""
        node = self
        for name in path.split(".") if path else ():
            below = {child.name: child for child in node.children}
            if name not in below:
                start = f"{self.path}." if self.path else ""
                known = [other.path.removeprefix(start) for other in self.walk()]
                hint = did_you_mean(path, known)
                raise ValueError(f"No module {path!r} among the {len(known)} of {self.name!r}.{hint}")
            node = below[name]
        return node

    @property
    def multiply_adds(self) -> int | None:
        """Half of `flops`: what people count where they compare networks, and what is shown everywhere."""
        return None if self.flops is None else self.flops // 2

    @property
    def shape_text(self) -> str:
        """The output's shape in words, e.g. "1 × 64 × 56 × 56"; behind "then" those of further calls."""
        texts = [text for shape in (self.output_shape, *self.later_shapes) if (text := shape_text(shape))]
        return ", then ".join(texts[:4]) + (" …" if len(texts) > 4 else "")

    def rows(self) -> list[list]:
        """[name, parent's row, kind, params, trainable, shape, flops] a node; the top's parent is -1."""
        rows: list[list] = []

        def add(node: ModuleNode, parent: int) -> None:
            index = len(rows)
            rows.append([node.name, parent, node.kind, node.params, node.trainable, node.shape_text,
                         node.flops])
            for child in node.children:
                add(child, index)

        add(self, -1)
        return rows

    def text(self, depth: int = 2) -> str:
        """The tree as aligned lines, `depth` levels below the top; "+12": 12 more modules are below it."""
        lines = [("module", "kind", "params", "share", "output", "multiply-adds")]

        def add(node: ModuleNode, level: int) -> None:
            hidden = sum(1 for _ in node.walk()) - 1 if level == depth else 0
            name = "  " * level + node.name + (f" +{hidden}" if hidden else "")
            lines.append((name, node.kind, f"{node.params:,}", f"{node.share:.1%}", node.shape_text,
                          _short(node.multiply_adds)))
            for child in node.children if level < depth else ():
                add(child, level + 1)

        add(self, 0)
        widths = [max(len(line[i]) for line in lines) for i in range(6)]
        right = (2, 3, 5)  # numbers
        table = ["  ".join(f"{text:>{w}}" if i in right else f"{text:<{w}}"
                           for i, (text, w) in enumerate(zip(line, widths))).rstrip() for line in lines]
        return "\n".join([*table, self._facts()])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        work = "" if self.flops is None else f", {_short(self.multiply_adds)} multiply-adds"
        return f"ModuleNode({self.path or self.name!r}, {self.kind}, {self.params:,} parameters{work})"

    def _facts(self) -> str:
        frozen = self.params - self.trainable
        facts = f"{self.params:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        if self.flops is None:
            return f"{facts}. For shapes and multiply-adds give input_size=(channels, height, width)."
        if self.input_shape:
            work, shape = _short(self.multiply_adds), shape_text(self.input_shape)
            facts += f"; {work} multiply-adds for an input of {shape} ({COUNTED})"
        if self.measured_on not in ("", "meta"):
            facts += f"; measured on {self.measured_on}, because it can't run without its weights"
        return f"{facts}."

    def _repr_html_(self) -> str:
        """A tree to open and close, in plain HTML without script."""
        facts = f"<p style='font-size:.85em'>{escape(self._facts())}</p>"
        return f"<div>{_node_html(self, opened=True)}{facts}</div>"


@checked
def module_tree(model: nn.Module | str, input_size: int | Sequence[int] | None = None) -> ModuleNode:
    """The tree of a model's modules, with parameters, output shapes and FLOPs.

    model:      any PyTorch module; or a name that `create_model` knows, for which no weights are loaded
    input_size: the side in pixels, (height, width), (channels, height, width) or with the batch in front; by
                default what the model's weights expect. A module that says nothing about its input gets a
                tree without shapes and FLOPs

    FLOPs are counted as torch.utils.flop_counter does: 2 for a multiply-add; convolutions, matrix products
    and attention only. Raises ValueError where the model can't run on such an input.
    """
    model = network_of(model)
    shape = input_shape(model, input_size)
    measured = Measured() if shape is None else _measured_once(model, shape)

    root, _ = _build(model, "", model_name(model), measured)
    total = max(1, root.params)
    for node in root.walk():
        node.share = node.params / total
    root.input_shape = shape
    return root


def network_of(model: nn.Module | str) -> nn.Module:
    """A module, seen through torch's wrappers; of a name that `create_model` knows one without weights.

    Raises TypeError for anything else, ValueError for one whose sizes are not known yet.
    """
    if isinstance(model, str):
        with torch.device("meta"):
            model = create_model(model)
    if not isinstance(model, nn.Module):
        raise TypeError(f"Expected a PyTorch module or a model's name, not {type(model).__name__}.")
    model = look_through(model)
    if any(is_lazy(p) for p in model.parameters()):
        raise ValueError("This model has lazy layers, whose sizes are not known yet: run it once on a batch.")
    return model


#: What was measured of each model last: (how it was built then, the input's shape), and the findings.
_measured: WeakKeyDictionary[nn.Module, tuple[tuple[Any, ...], Measured]] = WeakKeyDictionary()


def _measured_once(model: nn.Module, shape: tuple[int, ...]) -> Measured:
    """`measure`, or what it found for the same model, built as it is now, and an input of that shape."""
    asked = (shape, *_structure(model))
    known = _measured.get(model)
    if known is not None and known[0] == asked:
        return known[1]
    found = measure(model, shape)
    _measured[model] = asked, found
    return found


def _structure(model: nn.Module) -> Iterator[tuple[Any, ...]]:
    """All that shapes and FLOPs can depend on: each module's class, settings and parameters' shapes."""
    waiting = [("", model)]
    while waiting:
        name, module = waiting.pop()
        settings = tuple((name, value) for name, value in vars(module).items()
                         if name != "training" and isinstance(value, (int, float, str, tuple, type(None))))
        tensors = tuple((name, tensor.shape, tensor.device.type) for name, tensor in
                        (*module._parameters.items(), *module._buffers.items()) if tensor is not None)
        yield name, len(module._modules), type(module), settings, tensors
        waiting += [(name, child) for name, child in module._modules.items() if child is not None]


def input_shape(model: nn.Module, input_size: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """[B, C, H, W] of the pass, or None where nobody says how large a photo is."""
    config = getattr(model, "config", None)
    usual = getattr(config, "input_size", None)
    channels = getattr(model, "in_chans", usual[0] if usual else 3)
    if input_size is None:
        return (1, channels, *usual[1:]) if usual else None
    sizes = (input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if not 2 <= len(sizes) <= 4 or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(f"input_size is {input_size!r}: expected the side in pixels, (height, width) or "
                         "(channels, height, width).")
    return (1, channels, 1, 1)[:4 - len(sizes)] + sizes


def _build(
    module: nn.Module, path: str, name: str, measured: Measured
) -> tuple[ModuleNode, dict[int, tuple[int, bool]]]:
    """(the node of a module, its parameters: id -> (how many numbers, trainable))."""
    parameters = {id(p): (p.numel(), p.requires_grad) for p in module._parameters.values() if p is not None}
    children = []
    for child_name, child in module._modules.items():
        if child is not None:
            node, below = _build(child, f"{path}.{child_name}" if path else child_name, child_name, measured)
            children.append(node)
            parameters |= below  # by identity: shared ones count once
    shapes, calls = measured.shapes.get(path, []), measured.calls.get(path, 0)
    shape = shapes[0] if shapes else None
    if not calls and children and type(module) is nn.Sequential:
        shape = children[-1].output_shape  # some models walk through the layers of a Sequential themselves
    own = flops = None
    if measured.device:  # where the pass was measured, no child lacks its FLOPs
        own = measured.flops.get(path, 0)
        flops = own + sum(child.flops or 0 for child in children)
    node = ModuleNode(
        path=path, name=name, kind=type(module).__name__, params=sum(n for n, _ in parameters.values()),
        trainable=sum(n for n, trains in parameters.values() if trains), output_shape=shape, flops=flops,
        children=children, own_flops=own, calls=calls, measured_on=measured.device,
        later_shapes=tuple(shapes[1:]),
    )
    return node, parameters


def _short(number: int | None) -> str:
    """8178368512 -> "8.18 G"; "" for None."""
    if number is None:
        return ""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * unit:
            return f"{number / unit:.3g} {name}"
    return str(number)


def _node_html(node: ModuleNode, *, opened: bool = False) -> str:
    facts = [escape(node.kind), f"{node.params:,} parameters ({node.share:.1%})" if node.params else "",
             escape(node.shape_text), f"{_short(node.multiply_adds)} multiply-adds" if node.flops else ""]
    line = f"<b>{escape(node.name)}</b> {' · '.join(fact for fact in facts if fact)}"
    if not node.children:
        return f"<div style='margin-left:1.2em'>{line}</div>"
    below = "".join(map(_node_html, node.children))
    return (f"<details{' open' * opened}><summary style='cursor:pointer'>{line}</summary>"
            f"<div style='margin-left:1.2em'>{below}</div></details>")
