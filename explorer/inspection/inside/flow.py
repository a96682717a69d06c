"""How large the gradient is at each layer: does it reach the first ones?

    gradient_flow(model, "cat.jpg")
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.display.html import (
    LINE,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    table_html,
)
from explorer.inspection.experiments.before import look_before
from explorer.inspection.look.model import as_model, evaluating
from explorer.inspection.look.passes import no_way_back, way_back
from explorer.inspection.look.result import Look
from explorer.inspection.look.targets import class_index
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.watching import Turn, watching

ROWS_SHOWN = 60  # of a table in a notebook
FLOW = "How strongly each layer would learn is read from that gradient."


@dataclass(frozen=True)
class LayerGradient:
    """One layer's own parameters: its path and class, how many, and the mean of |d loss / d parameter|.

    frozen: whether training would leave all of them alone
    """

    path: str
    kind: str
    parameters: int
    mean_abs: float
    frozen: bool = False


@dataclass(frozen=True, repr=False)
class GradientFlow:
    """How large the gradient is at each layer, in the order in which a photo meets them.

    layers: all layers that have parameters of their own;  loss: -log p(target), natural logarithm, or the
            number itself
    target, label: the class that the loss is about, or the number;  number: whether it is one
    """

    model_name: str
    layers: tuple[LayerGradient, ...]
    loss: float
    target: int
    label: str
    notes: tuple[str, ...] = ()
    number: bool = False

    @property
    def what(self) -> str:
        """What the gradient is of, as it is written: "-log p(tabby)", or the number's name."""
        return self.label if self.number else f"-log p({self.label})"

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index):
        return self.layers[index]

    def __repr__(self) -> str:
        return (f"GradientFlow({self.model_name!r}, {len(self.layers)} layers, target {self.label!r}, "
                f"loss {self.loss:.3g})")

    def _repr_html_(self) -> str:
        rows_shown = min(ROWS_SHOWN, len(self.layers))
        shown = [self.layers[round(i)] for i in np.linspace(0, len(self.layers) - 1, rows_shown)]
        sizes = [layer.mean_abs for layer in self.layers if 0 < layer.mean_abs < math.inf]
        low, high = (math.log10(min(sizes)), math.log10(max(sizes))) if sizes else (0.0, 0.0)

        def bar(size: float) -> str:
            if not 0 < size < math.inf:
                return bar_html(0)
            return bar_html(0.05 + 0.95 * (math.log10(size) - low) / (high - low or 1))

        rows = "".join(
            f"<tr>{name_html(layer.path or '(the network itself)')}{cell_html(escape(layer.kind))}"
            f"{cell_html(bar(layer.mean_abs), style='width:12em')}"
            f"{cells_html([f'{layer.mean_abs:.2e}'])}</tr>"
            for layer in shown)
        table = table_html(("layer", "", "logarithmic", "mean |gradient|"), rows)
        some = f", {len(shown)} of {len(self.layers)} layers" if len(shown) < len(self.layers) else ""
        notes = notes_html(self.notes)
        return (f"<div><p style='{LINE}'><b>{escape(self.model_name)}</b>: gradient of "
                f"{escape(self.what)} = {self.loss:.3g}{some}</p>{notes}{table}</div>")


@checked
def gradient_flow(
    model: VisionModel | str, image: Any, *, target: int | str | None = None, look: Look | None = None
) -> GradientFlow:
    """The mean absolute gradient of every layer's parameters, from one photo and one backward pass.

    target: the class whose loss -log p is taken, by index or name; None: the likeliest one. Of numbers the
            one whose own gradient is taken; None: the first
    look:   the Look of this model at this photo, where there is one: saves a pass

    In evaluation mode: BatchNorm uses its statistics, and dropout is off. Frozen parameters take part as if
    they learnt. The model is as before: its flags, `requires_grad` and `.grad`. A network that learns well
    has gradients of like size at all depths; they fall towards the first layers where they vanish. For a
    photo that the network is sure of, all are small, because the loss is: compare the shape of the curve,
    not its height.
    Raises ValueError for an unknown class or a model without classifier.
    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks", figure 7.
    """
    model = as_model(model)
    before = look_before(model, image, look)
    index = class_index(target, before)
    layers = [(path, layer) for path, layer in model.named_modules() if _own_parameters(layer)]
    order: dict[str, int] = {}

    def note(turn: Turn, *_: Any) -> None:
        order.setdefault(turn.path, len(order))

    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        # Stand-ins for the parameters: neither .grad nor requires_grad of the model's own is ever written.
        named = {n: p for n, p in model.named_parameters(remove_duplicate=False) if p.is_floating_point()}
        twins = {id(p): p.detach().requires_grad_() for p in named.values()}
        stand_ins = {name: twins[id(p)] for name, p in named.items()}
        # A clone is an ordinary tensor, in whatever mode the Look was made.
        tensor = before.input[None].to(**parameter_place(model)).clone()
        with way_back(FLOW), watching(dict(model.named_modules()), before=note):
            logits = torch.func.functional_call(model, stand_ins, (tensor,))[0].float()
        outputs = before.outputs
        loss = outputs.values(logits)[index] if outputs.numbers else -outputs.log_probabilities(logits)[index]
        if not loss.requires_grad:
            raise no_way_back(FLOW)
        found = torch.autograd.grad(loss, list(twins.values()), allow_unused=True)
        gradients = dict(zip(twins, found))

    def met(path: str) -> int:
        """When a photo meets a layer: at its turn or, for one that is never called, that of what holds it."""
        while path and path not in order:
            path = path.rpartition(".")[0]
        return order.get(path, 0)

    layers.sort(key=lambda pair: met(pair[0]))
    rows = tuple(_layer_gradient(path, layer, gradients) for path, layer in layers)
    notes = before.notes
    cut_off = [path for path, layer in layers
               if path in order and all(gradients[id(p)] is None for p in _own_parameters(layer))]
    if cut_off:
        notes += (f"No gradient reaches {', '.join(cut_off[:3])}{', ...' * (len(cut_off) > 3)}: the model "
                  "runs such layers under torch.no_grad, detaches what they compute, or does not use it.",)
    if all(row.mean_abs == 0 for row in rows):
        why = ("this number depends on none of them." if outputs.numbers else
               "the model is entirely sure of this class. Try another.")
        notes += (f"The gradient is zero everywhere: {why}",)
    return GradientFlow(before.model_name, rows, loss.item(), index, before.labels[index], notes,
                        outputs.numbers)


def _own_parameters(layer: nn.Module) -> list[nn.Parameter]:
    return [p for p in layer.parameters(recurse=False) if p.is_floating_point()]


def _layer_gradient(path: str, layer: nn.Module, gradients: Mapping[int, Tensor | None]) -> LayerGradient:
    own = _own_parameters(layer)
    count = sum(p.numel() for p in own)
    # None: it takes no part
    found = [gradient for p in own if (gradient := gradients[id(p)]) is not None]
    total = sum(gradient.abs().sum(dtype=torch.float64).item() for gradient in found)
    frozen = not any(p.requires_grad for p in own)
    return LayerGradient(path, type(layer).__name__, count, total / max(1, count), frozen)
