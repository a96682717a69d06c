"""The numbers inside a network: how they are spread, which channels are silent, what a channel answers to.

    activations(look("resnet50", "cat.jpg"))             # per stage: histogram, zeros, silent channels
    gradient_flow(model, "cat.jpg")                      # does the gradient reach the first layers?
    top_photos(model, "holiday/", "layer4", 17)          # what does channel 17 answer to?
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.transforms import create_transform, crop_box, resolve_data_config
from explorer.display import draw
from explorer.display.html import (
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    picture_html,
    table_html,
)
from explorer.display.words import counted, percent
from explorer.inspection.experiments.perturb import class_index, look_before, outlined
from explorer.inspection.features.store import collect
from explorer.inspection.look.frame import covered, covered_box
from explorer.inspection.look.looking import Look, as_model, evaluating, model_name, notes_on, prepare
from explorer.inspection.look.passes import no_way_back, way_back
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.surgery.inside import stages_in_words
from explorer.models.watching import Turn, watching

BINS = 64
ROWS_SHOWN = 60  # of a table in a notebook
THUMBNAIL = 320  # the longer side, in pixels, of the photos that `top_photos` keeps


# --- how a stage's values are spread ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StageActivations:
    """What one stage's maps hold, over all their channels and places, and over all photos.

    counts: int64 [64], how many finite values are in each bin;  edges: float64 [65], the bins' borders
    mean, std: of the finite values;  zeros: the share of all values that is exactly 0
    dead:   the channels that are nowhere above 0, in none of the photos. Behind a ReLU such a channel says
            nothing here; behind other functions (GELU, SiLU) or a sum it may, and the word is too strong
    nans, infinities: how many values are not finite;  values: how many there are;  channels: C
    """

    name: str
    channels: int
    values: int
    counts: np.ndarray
    edges: np.ndarray
    mean: float
    std: float
    zeros: float
    dead: tuple[int, ...]
    nans: int
    infinities: int


@dataclass(frozen=True, eq=False, repr=False)
class Activations:
    """The `StageActivations` of all stages, by name, in network order. photos: over how many photos."""

    model_name: str
    stages: dict[str, StageActivations]
    photos: int

    def __getitem__(self, stage: str) -> StageActivations:
        if stage not in self.stages:
            raise KeyError(f"{self.model_name} has no stage {stage!r}. {stages_in_words(self.stages)}")
        return self.stages[stage]

    @property
    def not_finite(self) -> int:
        """How many values of all stages are NaN or infinite."""
        return sum(stage.nans + stage.infinities for stage in self.stages.values())

    def __repr__(self) -> str:
        dead = sum(len(stage.dead) for stage in self.stages.values())
        broken = f", {self.not_finite} values not finite" if self.not_finite else ""
        return (f"Activations({self.model_name!r}, {len(self.stages)} stages, {counted(self.photos, 'photo')}, "
                f"{dead} channels never above 0{broken})")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{name_html(s.name)}{cell_html(histogram_html(s))}"
            + cells_html((f"{s.mean:.3g}", f"{s.std:.3g}", percent(s.zeros), f"{len(s.dead)} of {s.channels}",
                          str(s.nans + s.infinities))) + "</tr>"
            for s in self.stages.values())
        titles = ("stage", "histogram", "mean", "std", "zeros", "channels never above 0", "not finite")
        return (f"<div><p style='margin:.3em 0'><b>{escape(self.model_name)}</b>, {counted(self.photos, 'photo')}</p>"
                f"{table_html(titles, rows, left=1)}</div>")


def activations(looks: Look | Sequence[Look]) -> Activations:
    """How the values of every stage are spread, and which of its channels are never above zero.

    looks: one Look, or several of the same model: then everything is over all of their photos, and a channel
           counts as dead only where it is so in all of them. Nothing is run again.
    Raises ValueError for Looks of different models.
    Source (dead units): Maas et al. 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    looks = [looks] if isinstance(looks, Look) else list(looks) if isinstance(looks, (list, tuple)) else []
    if not looks or not all(isinstance(one, Look) for one in looks):
        raise ValueError("activations takes a Look, or several of one model: explorer.look(model, image).")
    first = looks[0]
    plan = {name: len(maps) for name, maps in first.stages.items()}
    for other in looks[1:]:
        if other.model_name != first.model_name or {n: len(maps) for n, maps in other.stages.items()} != plan:
            raise ValueError(f"These Looks are of different models, {first.model_name} and "
                             f"{other.model_name}: give Looks of one model at a time.")
    stages = {name: _stage_activations(name, [one.stages[name] for one in looks]) for name in plan}
    return Activations(first.model_name, stages, len(looks))


def _stage_activations(name: str, maps: Sequence[Tensor]) -> StageActivations:
    """maps: [C, H, W] of each photo."""
    alive = torch.zeros(len(maps[0]), dtype=torch.bool)
    zeros = nans = infinities = values = 0
    finite_maps = []
    for one in maps:
        alive |= ~(one <= 0).flatten(1).all(1)  # a NaN is not <= 0: such a channel is broken, not silent
        zeros, values = zeros + int((one == 0).sum()), values + one.numel()
        finite = one.isfinite()
        if not finite.all():
            nans, infinities = nans + int(one.isnan().sum()), infinities + int(one.isinf().sum())
            one = one[finite]
        finite_maps.append(one.numpy().ravel().astype(np.float64))
    kept = [one for one in finite_maps if one.size]
    low, high = (min(one.min() for one in kept), max(one.max() for one in kept)) if kept else (0.0, 0.0)
    edges = np.linspace(low, high, BINS + 1) if high > low else low + np.linspace(-0.5, 0.5, BINS + 1)
    counts = sum((np.histogram(one, edges)[0] for one in kept), np.zeros(BINS, np.int64))
    number = sum(one.size for one in kept)
    mean = sum(one.sum() for one in kept) / number if number else math.nan
    std = math.sqrt(sum(np.square(one - mean).sum() for one in kept) / number) if number else math.nan
    dead = tuple((~alive).nonzero().flatten().tolist())
    return StageActivations(
        name=name, channels=len(maps[0]), values=values, counts=counts, edges=edges, mean=float(mean),
        std=std, zeros=zeros / values, dead=dead, nans=nans, infinities=infinities,
    )


def histogram_html(stage: StageActivations, *, width: int = 192, height: int = 32) -> str:
    """A histogram as a small drawing; bars as high as the root of their counts: one would hide the rest."""
    heights = np.sqrt(stage.counts / max(1, stage.counts.max())) * height
    bar = width / BINS
    bars = [f"M{i * bar:.1f} {height}v-{h:.1f}h{bar:.1f}v{h:.1f}z" for i, h in enumerate(heights) if h > 0]
    low, high = stage.edges[0], stage.edges[-1]
    text = f"{stage.name}: values from {low:.3g} to {high:.3g}"
    zero = ""
    if low < 0 < high:
        zero = f"<path d='M{-low / (high - low) * width:.1f} 0v{height}' stroke='#d9804a'/>"
    return (f"<svg role='img' aria-label='{escape(text)}' width='{width}' height='{height}'>"
            f"<title>{escape(text)}</title><path d='{''.join(bars)}' fill='#4a8fd9'/>{zero}</svg>")


# --- gradient flow ------------------------------------------------------------------------------------------


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
            f"{cell_html(bar(layer.mean_abs), style='width:12em')}{cells_html([f'{layer.mean_abs:.2e}'])}</tr>"
            for layer in shown)
        table = table_html(("layer", "", "logarithmic", "mean |gradient|"), rows)
        some = f", {len(shown)} of {len(self.layers)} layers" if len(shown) < len(self.layers) else ""
        notes = notes_html(self.notes)
        return (f"<div><p style='margin:.3em 0'><b>{escape(self.model_name)}</b>: gradient of "
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
    cut_off = [path for path, layer in layers if path in order and all(gradients[id(p)] is None for p in _own_parameters(layer))]
    if cut_off:
        notes += (f"No gradient reaches {', '.join(cut_off[:3])}{', ...' * (len(cut_off) > 3)}: the model runs such layers under "
                  "torch.no_grad, detaches what they compute, or does not use it.",)
    if all(row.mean_abs == 0 for row in rows):
        why = ("this number depends on none of them." if outputs.numbers else
               "the model is entirely sure of this class. Try another.")
        notes += (f"The gradient is zero everywhere: {why}",)
    return GradientFlow(before.model_name, rows, loss.item(), index, before.labels[index], notes,
                        outputs.numbers)


FLOW = "How strongly each layer would learn is read from that gradient."


def _own_parameters(layer: nn.Module) -> list[nn.Parameter]:
    return [p for p in layer.parameters(recurse=False) if p.is_floating_point()]


def _layer_gradient(path: str, layer: nn.Module, gradients: dict[int, Tensor | None]) -> LayerGradient:
    own = _own_parameters(layer)
    count = sum(p.numel() for p in own)
    found = [gradients[id(p)] for p in own if gradients[id(p)] is not None]  # None: it takes no part
    total = sum(gradient.abs().sum(dtype=torch.float64).item() for gradient in found)
    frozen = not any(p.requires_grad for p in own)
    return LayerGradient(path, type(layer).__name__, count, total / max(1, count), frozen)


# --- the photos that a channel answers to -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TopPhoto:
    """A photo and where in it a channel is strongest.

    name, file: of the photo (file None where it has none);  value: the channel's largest value
    box:     the place's own share of the photo, (left, top, right, bottom) in the photo's pixels. What the
             network looked at for it is wider; how much, grows with the depth
    size:    (width, height) of the photo;  thumbnail: a small copy of it
    """

    name: str
    file: Path | None
    value: float
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    thumbnail: Image.Image

    @property
    def place(self) -> tuple[float, float]:
        """The middle of the box, (x, y) in the photo's pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def marked(self, side: int = 224) -> Image.Image:
        """The small photo with a frame around the place."""
        x, y = (self.thumbnail.size[i] / self.size[i] for i in (0, 1))
        box = (self.box[0] * x, self.box[1] * y, self.box[2] * x, self.box[3] * y)
        return outlined(self.thumbnail, box, side=side)


@dataclass(frozen=True, eq=False, repr=False)
class TopPhotos(Sequence):
    """The photos that a channel answers to most, strongest first: a sequence of `TopPhoto`.

    seen: how many photos were looked at;  problems: [(name, why)] of those that could not be
    stopped: whether it ended before the last photo
    """

    model_name: str
    stage: str
    channel: int
    photos: tuple[TopPhoto, ...]
    seen: int
    problems: tuple[tuple[str, str], ...] = ()
    stopped: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index):
        return self.photos[index]

    @property
    def caption(self) -> str:
        """What is shown, in a line."""
        ends = ", stopped before the last one" if self.stopped else ""
        broken = f", {len(self.problems)} could not be looked at" if self.problems else ""
        return (f"{self.model_name}: {self.stage}, channel {self.channel}, strongest of {counted(self.seen, 'photo')}"
                f"{ends}{broken}")

    def __repr__(self) -> str:
        return f"TopPhotos({self.caption})"

    def _repr_html_(self) -> str:
        notes = notes_html(self.notes)
        shown = "".join(picture_html(one.marked(160), f"{one.value:.3g}: {one.name}", format="JPEG")
                        for one in self)
        broken = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in self.problems[:5])
        broken = f"<ul>{broken}</ul>" if broken else ""
        return (f"<div><p style='margin:.3em 0'><b>{escape(self.caption)}</b></p>{notes}"
                f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{shown}</div>{broken}</div>")


@checked
def top_photos(
    model: VisionModel | str,
    photos: Any,
    stage: str,
    channel: int,
    *,
    count: int = 9,
    batch_size: int = 32,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> TopPhotos:
    """The photos of a folder on which one channel of a stage reaches its highest values, and where in them.

    photos:  a folder, a list of photos, or a PhotoSet: what `run_folder` takes
    channel: its number in the stage's maps [C, H, W], from 0
    count:   how many to keep;  batch_size: how many photos are in memory and go through the network together

    The network runs only as far as the stage. A photo whose channel holds NaN everywhere is among the
    problems. on_progress(done, total) after each batch; should_stop() -> True ends it with what was found.

    The strongest photos show one end of what a channel does, and a few photos always have something in
    common: look at more than one folder before giving a channel a name.
    Raises ValueError for an unknown stage, a channel it does not have, or photos that there are not.
    Source: Zhou et al. 2015, "Object Detectors Emerge in Deep Scene CNNs"; Zeiler and Fergus 2014, figure 2.
    """
    for what, number in (("count", count), ("batch_size", batch_size)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{what} is {number!r}: expected a whole number from 1.")
    model = as_model(model)
    names = [one.name for one in model.stage_table]
    if stage not in names:
        raise ValueError(f"{model_name(model)} has no stage {stage!r}. {stages_in_words(names)}")
    depth = names.index(stage)
    channels = model.stage_table[depth].channels
    if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < channels:
        raise ValueError(f"There is no channel {channel!r}: stage {stage} has {channels}, so give 0 to "
                         f"{channels - 1}.")
    collection = collect(photos)
    config = resolve_data_config({}, model=model)
    transform = create_transform(**config)

    best: list[tuple[float, int, TopPhoto]] = []  # a heap, the weakest first; the earlier photo wins a tie
    problems: list[tuple[str, str]] = []
    done = seen = 0
    while done < len(collection) and not (should_stop and should_stop()):
        batch, tensors = [], []
        for index in range(done, min(done + batch_size, len(collection))):
            try:
                photo = collection.open_one(index)
                tensors.append(prepare(photo, transform)[1])
            except ImageError as error:
                problems.append((collection.names[index], str(error)))
                continue
            batch.append((index, photo.size, draw.thumbnail(photo, THUMBNAIL)))
        done = min(done + batch_size, len(collection))
        seen += len(batch)
        maps = _channel_maps(model, tensors, depth, channel) if tensors else []
        for (index, size, thumbnail), one in zip(batch, maps):
            if one.isnan().all():
                why = "The channel is not a number anywhere on this photo."
                problems.append((collection.names[index], why))
                continue
            place = int(one.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).argmax())
            value = float(one.flatten()[place])
            if len(best) < count or (value, -index) > best[0][:2]:
                stride = model.stage_table[depth].reduction
                covers = covered(tuple(one.shape), tensors[0].shape[-2:], [stride])
                box = _place_box(place, tuple(one.shape), covered_box(crop_box(size, config), covers), size)
                name, file = collection.names[index], collection.files[index]
                found = TopPhoto(name, file, value, box, size, thumbnail)
                (heapq.heappush if len(best) < count else heapq.heapreplace)(best, (value, -index, found))
        if on_progress:
            on_progress(done, len(collection))
    hits = tuple(found for _, _, found in sorted(best, key=lambda row: row[:2], reverse=True))
    return TopPhotos(
        model_name=model_name(model), stage=stage, channel=channel, photos=hits, seen=seen,
        problems=tuple(problems), stopped=done < len(collection), notes=notes_on(model),
    )


def _channel_maps(model: VisionModel, tensors: Sequence[Tensor], depth: int, channel: int) -> Tensor:
    """One channel of stage number `depth` for photos [C, H, W] -> [B, H, W], float32 on the CPU.

    No layer behind the stage runs.
    """
    batch = torch.stack(tuple(tensors)).to(**parameter_place(model))
    with evaluating(model), torch.inference_mode():
        walk = model.forward_stages(batch)
        for _ in range(depth):
            next(walk)
        maps = next(walk)[:, channel].float().cpu().clone()
        walk.close()
    return maps


def _place_box(
    place: int, shape: tuple[int, int], seen: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Place number `place` of a map [H, W] that covers `seen` of a photo of `size` -> its box in there."""
    row, column = divmod(place, shape[1])
    width, height = (seen[2] - seen[0]) / shape[1], (seen[3] - seen[1]) / shape[0]
    left, top = seen[0] + column * width, seen[1] + row * height
    corners = zip((left, top, left + width, top + height), (*size, *size))
    return tuple(float(min(max(0, corner), end)) for corner, end in corners)
