"""What a graph is made of: a `Node` for each call of a module and each operation between modules, and an
`Edge` for each tensor that one gives to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.inspection.look.measuring import Shape, shape_text

INPUT, OUTPUT = "/input", "/output"  # no module's name begins so

#: What a node does, in a word: by parts of the names that classes and operations have; the first that fits.
SORTS = (
    ("normalisation", ("norm", "frn", "affine")),
    ("attention", ("attention", "attn")),
    ("pooling", ("pool",)),
    ("activation", ("relu", "elu", "silu", "swish", "sigmoid", "tanh", "mish", "activ", "softmax",
                    "softplus")),
    ("convolution", ("conv",)),
    ("linear", ("linear", "matmul", "mlp")),
    ("resampling", ("upsample", "interpol", "shuffle", "resize")),
)
#: Blocks that are known for what they do as a whole; other blocks are "block".
WHOLE = (("normalisation", ("batchnorm", "layernorm", "groupnorm")), ("pooling", ("pool2d",)),
         ("attention", ("attention", "attn")))


@dataclass(eq=False)
class Node:
    """One call of a module, or one operation between modules.

    path:   unique in the graph. Of a module its dotted path, from its second call on with the number
            ("layer1.0.relu:2"), as `look(at=...)` takes it; of an operation that of the block, a slash and
            its name ("layer1.0/add", "layer1.0/add:2"); of the photo and the answers "/input" and "/output"
    kind:   a module's class, "Conv2d"; an operation's name in torch, "add"
    parent: path of the block that it runs in; "" for the network itself
    shape:  of its output, with the batch, as `module_tree` gives it; None where it gave no tensor
    params: numbers in its parameters and in those of all that is in it; what is shared counts once
    kernel, stride: (height, width) of a convolution's or a pooling's; None where it has none
    groups: of a convolution; None where it has none
    opens:  whether there are nodes in it
    operation: whether it is an operation, and no module
    idle:   whether it gave back what it got, as Identity and Dropout do when nobody trains
    times:  of a fold of equal nodes in a chain, how many they are;  members: the paths of all of them
    """

    path: str
    kind: str
    parent: str = ""
    shape: Shape = None
    params: int = 0
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    groups: int | None = None
    opens: bool = False
    operation: bool = False
    idle: bool = False
    times: int = 1
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its path as seen from its block: "conv1" in "layer1.0"; of its second addition "add:2"."""
        if self.operation or self.path in (INPUT, OUTPUT):
            return self.path.rpartition("/")[2]
        above = f"{self.parent.partition(':')[0]}."
        return self.path.removeprefix(above) if self.parent else self.path

    @property
    def sort(self) -> str:
        """What it does, in a word: "convolution"; "block" of what holds others, "data" of photo and answers.

        By its class's or operation's name; "operation" or "other" where that says nothing.
        """
        if self.path in (INPUT, OUTPUT):
            return "data"
        kind = self.kind.lower()
        known = WHOLE if self.opens else SORTS
        found = next((sort for sort, parts in known if any(part in kind for part in parts)), "")
        return found or ("block" if self.opens else "operation" if self.operation else "other")

    @property
    def settings(self) -> str:
        """Kernel, stride and groups in words: "3 × 3, stride 2, 32 groups"; without what is 1."""
        words = [" × ".join(map(str, self.kernel))] if self.kernel else []
        if self.stride and set(self.stride) != {1}:
            words.append(f"stride {_one_or_all(self.stride)}")
        if self.groups is not None and self.groups > 1:
            words.append(f"{self.groups:,} groups")
        return ", ".join(words)

    @property
    def shape_text(self) -> str:
        """The output's shape, without a batch of one: "64 × 56 × 56"."""
        return without_batch(self.shape)


@dataclass(frozen=True)
class Edge:
    """A tensor that goes from one node to another; shape: as the second one gets it, with the batch."""

    source: str
    target: str
    shape: tuple[int, ...]

    @property
    def shape_text(self) -> str:
        """Without a batch of one: "64 × 56 × 56"."""
        return without_batch(self.shape)


def without_batch(shape: Shape) -> str:
    """A shape, or several, in words; of one photo without the 1 that counts it."""
    if isinstance(shape, tuple):
        return shape_text(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)
    return shape_text(shape)


def settings_of(module: Any) -> dict[str, Any]:
    """Kernel, stride and groups of a convolution or a pooling, as a `Node` has them."""
    kernel, groups = _pair(getattr(module, "kernel_size", None)), getattr(module, "groups", None)
    return {"kernel": kernel, "stride": _pair(getattr(module, "stride", None)) if kernel else None,
            "groups": groups if kernel and isinstance(groups, int) else None}


def _pair(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if isinstance(value, (tuple, list)) and value and all(isinstance(one, int) for one in value):
        return tuple(value)
    return None


def _one_or_all(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else " × ".join(map(str, values))
