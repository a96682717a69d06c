"""Doors: any PyTorch module, and every torchvision and timm model, behind the same contract.

A foreign model knows nothing of stages. It is run once on an empty photo while we watch: where the map's size
changes, a stage has ended, and the last layer that gives the scores is the head. From then on features, heat maps,
the module tree and training work with it as with our own.

    net = wrap(my_sequential, input_size=(1, 28, 28), labels="0123456789")
    net = create_model("torchvision/resnet50", pretrained=True)
    net = create_model("timm/resnet50d.ra2_in1k")
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from explorer.display.words import counted, meant, nearest
from explorer.models.blank import Room, TooLarge, blank
from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, VisionModel, evaluation, parameter_place
from explorer.models.endings import Squash, Squashes
from explorer.models.outputs import check_kind, check_labels
from explorer.models.surgery.surgery import look_through, photo_size
from explorer.models.watching import Turn, watching
from explorer.models.weights.choosing import choose, own_tensors, usual_table
from explorer.models.weights.downloading import download, download_url
from explorer.models.weights.loading import adapt_input, load_into
from explorer.models.weights.places import in_cache
from explorer.models.weights.reading import Checkpoint, read_checkpoint
from explorer.models.weights.report import LoadReport, WeightsError
from explorer.models.weights.shapes import room_for, rows_in
from explorer.models.weights.table import old_names

TIMM_MISSING = (
    "timm is not installed. Install it with: pip install 'vision-explorer[timm]', then try again."
)


def wrap(
    module: nn.Module,
    *,
    labels: Sequence[str] | None = None,
    outputs: str | None = None,
    input_size: int | Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    name: str = "",
) -> VisionModel:
    """Put any module that turns a batch of photos [B, C, H, W] into scores [B, K] behind explorer's contract.

    labels:     class names in index order, or the names of the numbers;  name: what to call it, by default its class
    outputs:    what the scores mean: "one" of K classes (softmax), "yes/no" (one score, sigmoid), "several" classes at once
                (K sigmoids) or "numbers"; None: found from a softmax or sigmoid at the end, else "one", of a single
                score "yes/no". Two names for a yes or no are (no, yes); one is the yes
    input_size: (C, H, W) or the side in pixels that it takes; by default C from its first layer, and 224, or
                the first of 96, 64, 32, 28 pixels that it can run on
    mean, std:  of the normalisation it was trained with, for pixels in 0..1; by default ImageNet's, 0.5 for grey

    torch's own wrappers (DataParallel, torch.compile's, AveragedModel) are looked through. Of a module whose
    body is one of explorer's models, photos are prepared as that body's are; one that normalises them itself
    gets them as they are.

    The module itself is kept in `.module` and not copied: training the wrapped model trains it. A softmax or sigmoid at
    its end is left out here, so that scores are logits as everywhere; `.module` still has it. Of "numbers" nothing is.
    A model that already keeps the contract is given back as it is; one that is told more of its photos,
    labels or outputs, with these in its config. Raises TypeError for what is no module, size, row of numbers or
    name; ValueError for those that can't be, and where the module can't be run, gives no scores, or others than
    `labels` or `outputs` say.
    """
    check_kind(outputs)
    if not isinstance(module, nn.Module):
        raise TypeError(f"wrap takes a torch.nn.Module, not {type(module).__name__}.")
    if not isinstance(name, str):
        raise TypeError(f"name is {short(name)}: expected what to call the module, a text.")
    module = look_through(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("wrap was given a TorchScript program (torch.jit), whose layers can't be watched: give the "
                        "torch.nn.Module that it was made from, with its weights.")
    if isinstance(module, VisionModel):
        module.notice_head()
        prepare_anew(module, input_size, mean, std, name)
        return _told(module, labels, outputs)
    body = body_of(module)
    size, watched = _first_run(module, size_given(input_size, module), body)
    prepared = preparation(module, body, size)
    config = prepared.with_(
        architecture=name or type(module).__name__, input_size=size, fixed_input_size=True,
        mean=channel_numbers("mean", mean, size[0]) if mean is not None else prepared.mean,
        std=channel_numbers("std", std, size[0]) if std is not None else prepared.std,
        outputs=_kind_of(watched, outputs), labels=(), num_classes=watched.scores,
    )
    model = WrappedModel(module, watched, config)
    if body is not None and body.num_classes and model.get_classifier() is body.get_classifier():
        body.notice_head()
        model.load_report = body.load_report  # the scores are the body's own
        kind = config.outputs or body.config.outputs
        model.config = model.config.with_(labels=body.config.labels, outputs=kind)
    return _told(model, labels, model.config.outputs)


def _kind_of(watched: Watched, outputs: str | None) -> str:
    """What the scores mean: as somebody says, or as the end of the network tells."""
    if outputs is not None:
        return _check_ending(check_kind(outputs, watched.scores), watched.squash)
    sigmoid = watched.ending == "sigmoid" or watched.squash is not None and watched.squash.name == "sigmoid"
    return ("several" if watched.scores > 1 else "yes/no") if sigmoid else ""


def _check_ending(kind: str, squash: Squash | None) -> str:
    if kind == "several" and squash is not None and squash.name == "softmax":
        raise ValueError("outputs='several' can't be: this module ends with a softmax, which shares 100 % out among "
                         "its classes. Take 'one', or a module without the softmax.")
    return kind


def _told(model: VisionModel, labels: Sequence[str] | None, outputs: str | None) -> VisionModel:
    """The model, which now knows these names for its outputs, or this kind."""
    if labels is None and outputs is None:
        return model
    model.notice_head()
    width = model.num_classes
    kind = check_kind(outputs, width) if outputs else model.config.outputs
    if isinstance(model, WrappedModel):
        _check_ending(kind, model.squash)
    shown = kind or ("yes/no" if width == 1 else "one")
    changes = {} if labels is None else {"labels": check_labels(labels, width, shown)}
    if kind != model.config.outputs:
        changes |= {"outputs": kind, "number_mean": (), "number_std": ()}
    model.config = model.config.with_(num_classes=width, **changes)
    if isinstance(model, WrappedModel) and "outputs" in changes:
        model.watch_again()  # of numbers nothing at the end is left out
    return model


# --- what it was given --------------------------------------------------------------------------------------

SIDES = (224, 96, 64, 32, 28)  # tried one after another where nobody says
MOST_NUMBERS = 2**26  # in a photo: 256 MB of memory


def size_given(input_size: Any, module: nn.Module) -> tuple[int, int, int] | None:
    """`input_size` as (C, H, W), None as it is.

    Raises TypeError for what are no whole numbers, ValueError for impossible ones.
    """
    if input_size is None:
        return None
    expected = "give (channels, height, width), or one side in pixels"
    one_side = isinstance(input_size, Integral)
    if not one_side and (isinstance(input_size, (str, bytes)) or not isinstance(input_size, Iterable)):
        raise TypeError(f"input_size is {short(input_size)}: {expected}.")
    sizes = [in_channels(module), input_size, input_size] if one_side else list(islice(input_size, 4))
    if any(isinstance(n, bool) or not isinstance(n, Integral) for n in sizes):
        raise TypeError(f"input_size is {short(input_size)}: {expected}, as whole numbers.")
    if len(sizes) != 3:
        raise ValueError(f"input_size is {short(input_size)}: {expected}.")
    if min(sizes) < 1 or math.prod(map(int, sizes)) > MOST_NUMBERS:
        raise ValueError(f"input_size is {short(input_size)}: {expected}, each from 1 and all together at "
                         f"most {MOST_NUMBERS:,} numbers.")
    return tuple(map(int, sizes))


def prepare_anew(model: VisionModel, input_size: Any, mean: Any, std: Any, name: str) -> None:
    """Let a model of explorer prepare photos as it is told. Its name stays: it is what it is built again by.

    Raises ValueError for a size that it is not built for, or another name.
    """
    config = model.config
    called = config.name or type(model).__name__
    if name not in ("", config.architecture, config.name):
        raise ValueError(f"{called} is a model of explorer and has a name: leave name= away.")
    changes: dict[str, Any] = {}
    if input_size is not None:
        channels, *sides = size_given(input_size, model)
        built_for = photo_size(model)
        if channels != model.in_chans or model.fixed_image_size and tuple(sides) != built_for[1:]:
            size = " x ".join(map(str, built_for))
            raise ValueError(f"{called} is built for photos of {size}; input_size is {short(input_size)}. "
                             "Create it with img_size= or in_chans=.")
        changes |= {"input_size": (channels, *sides), "test_input_size": None}
    for what, values in (("mean", mean), ("std", std)):
        if values is not None:
            changes[what] = channel_numbers(what, values, model.in_chans)
    told = config.with_(**changes)
    if isinstance(model, WrappedModel) and told.input_size != config.input_size:
        with running_at(told):
            watch(model.module, told.input_size)
        model.config = told
        model.watch_again()
    elif changes:
        model.config = told


def channel_numbers(what: str, values: Any, channels: int) -> tuple[float, ...]:
    """A mean or std as one finite number a channel, a std above 0; TypeError or ValueError for others."""
    expected = f"expected {counted(channels, 'number')}, one a channel, for pixels in 0..1"
    numbers = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else values
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Iterable):
        raise TypeError(f"{what} is {short(values)}: {expected}.")
    numbers = list(islice(numbers, channels + 1))
    if any(isinstance(n, bool) or not isinstance(n, Real) for n in numbers):
        raise TypeError(f"{what} is {short(values)}: {expected}.")
    if len(numbers) != channels or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what} is {short(values)}: {expected}.")
    if what == "std" and min(numbers) <= 0:
        raise ValueError(f"std is {short(values)}: pixels are divided by it, so give numbers above 0.")
    return tuple(map(float, numbers))


def short(value: Any) -> str:
    """A wrong value in an error sentence."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_channels(module: nn.Module) -> int:
    """How many channels a photo has for a module: what its first convolution reads, or else 3."""
    return next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)


def body_of(module: nn.Module) -> VisionModel | None:
    """The model of explorer's that is a part of a module and knows how photos are prepared, or None.

    Raises ValueError for two that want photos prepared in two ways.
    """
    bodies = [part for part in module.modules() if isinstance(part, VisionModel)]
    inside = {part for body in bodies for part in body.modules() if part is not body}
    outer = [body for body in bodies if body not in inside]
    if len({as_prepared(body.config) for body in outer}) > 1:
        raise ValueError(
            f"This {type(module).__name__} holds {len(outer)} models that see photos in different ways "
            "(size, crop, mean or std), so no one way to prepare them is right. Take the models one by one."
        )
    return outer[0] if outer else None


def as_prepared(config: ModelConfig) -> ModelConfig:
    """A configuration with nothing in it but how photos are prepared."""
    return ModelConfig(input_size=config.input_size, interpolation=config.interpolation, mean=config.mean,
                       std=config.std, crop_pct=config.crop_pct, crop_mode=config.crop_mode)


def preparation(module: nn.Module, body: VisionModel | None, size: tuple[int, int, int]) -> ModelConfig:
    """How photos are prepared for a module: as its body's are, but for what the module does to them itself.

    Without such a body the whole photo is resized, and normalised as for ImageNet; with 0.5 if not in colour.
    """
    usual = ModelConfig(crop_pct=1.0)
    if size[0] != 3:
        usual = usual.with_(mean=(0.5,) * size[0], std=(0.5,) * size[0])
    if body is None:
        return usual
    config = as_prepared(body.config)
    if len(config.mean) != size[0]:
        return config.with_(mean=usual.mean, std=usual.std)
    photo, reached = noise(size).to(**parameter_place(module)), []

    def keep_first(_turn: Turn, _part: nn.Module, inputs: tuple, _options: dict) -> None:
        if not reached and inputs and isinstance(inputs[0], Tensor):
            reached.append(inputs[0].clone())

    with evaluation(module), torch.no_grad(), watching(dict(body.named_modules()), before=keep_first):
        module(photo)
    mean, std = (torch.tensor(numbers).to(photo)[:, None, None] for numbers in (config.mean, config.std))
    if not reached or reached[0].shape != photo.shape:
        return config
    if torch.allclose(reached[0], (photo - mean) / std, rtol=1e-2, atol=1e-2):
        return config.with_(mean=(0.0,) * size[0], std=(1.0,) * size[0])  # the module normalises them
    return config


# --- watching a module run ----------------------------------------------------------------------------------


class Call(NamedTuple):
    """One module's turn: its class, and the shapes of what went in and came out (batch left out)."""

    turn: Turn
    kind: type
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]

    @property
    def path(self) -> str:
        return self.turn.path


class Watched(NamedTuple):
    """What one run showed; `larger`: of one on a photo larger by GROWTH pixels, as far as it came, if any."""

    calls: list[Call]
    input_size: tuple[int, int, int]
    scores: int  # K of the result [B, K]
    larger: dict[Turn, Call] = {}
    ending: str = ""  # what follows the last linear layer: "" nothing, "softmax", "sigmoid", or "other"
    squash: Squash | None = None  # what the result is of whatever came before it, where it is known


def _first_run(
    module: nn.Module, input_size: tuple[int, int, int] | None, body: VisionModel | None
) -> tuple[tuple[int, int, int], Watched]:
    """The input size that works, and what happened."""
    sizes = [photo_size(body)] if body is not None else []
    sizes += [(in_channels(module), side, side) for side in SIDES]
    if input_size is not None:
        sizes = [input_size]
    problem: Exception | None = None
    for size in sizes:
        try:
            return size, watch(module, size)
        except (RuntimeError, IndexError, AssertionError) as error:  # a layer that does not fit this size
            problem = problem or error
    tried = ", ".join(" x ".join(map(str, size)) for size in sizes)
    raise ValueError(
        f"{type(module).__name__} can't be run on a photo of {tried}: {problem}. Give input_size=(channels, height, width)."
    ) from problem


def watch(module: nn.Module, input_size: tuple[int, int, int]) -> Watched:
    """Run a module once on a photo of noise, in evaluation mode, and write down what each of its parts did.

    Raises ValueError where the result is not one row of scores for each photo.
    """
    with Squashes() as squashes:
        calls, linear, result = record(module, input_size)
    if not isinstance(result, Tensor) or result.ndim != 2:
        found = f"of shape {list(result.shape)}" if isinstance(result, Tensor) else f"of type {type(result).__name__}"
        raise ValueError(
            f"{type(module).__name__} gives a result {found}; explorer needs one row of scores for each photo, [B, K]. "
            + ("Leave out the squeeze or flatten at its end that takes the scores' axis away."
               if isinstance(result, Tensor) and result.ndim < 2 else
               "Add a pooling and a linear layer, or wrap the classifying part.")
        )
    photo, larger = input_size[1:], []
    maps = [sides_of(call, photo) for call in calls if map_layout(call.shape_out, photo)]
    if any(side % part for sides in maps for side, part in zip(photo, sides)):  # no padding: see `stride_of`
        larger, _, _ = record(module, (input_size[0], *(side + GROWTH for side in photo)), to_the_end=False)
    return Watched(calls, input_size, result.shape[1], {call.turn: call for call in larger},
                   ending_of(result, linear[0]) if linear else "", squashes.behind(result))


def record(
    module: nn.Module, input_size: tuple[int, int, int], *, to_the_end: bool = True
) -> tuple[list[Call], list[Tensor], Any]:
    """(what ran, what the last linear layer gave, the result) for a photo of noise, in evaluation mode.

    to_the_end: whether a layer that does not fit the photo is an error, or ends the run without a result
    """
    calls: list[Call] = []
    linear: list[Tensor] = []

    def note(turn: Turn, part: nn.Module, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            if isinstance(part, nn.Linear):
                linear[:] = [output.clone()]  # the next step may work in place
            given = inputs[0].shape[1:] if inputs and isinstance(inputs[0], Tensor) else ()
            calls.append(Call(turn, type(part), tuple(given), tuple(output.shape[1:])))

    parts = {path: part for path, part in module.named_modules() if path}
    result = None
    with evaluation(module), torch.no_grad(), watching(parts, after=note):
        try:
            result = module(noise(input_size).to(**parameter_place(module)))
        except Exception:  # anybody's code; a first linear layer, or a check of the photo's size
            if to_the_end:
                raise
    return calls, linear, result


def noise(size: tuple[int, int, int]) -> Tensor:
    """A photo [1, C, H, W] of noise, the same each time."""
    return torch.rand(1, *size, generator=torch.Generator().manual_seed(0))


def ending_of(result: Tensor, linear: Tensor) -> str:
    """What a module does to the scores [1, K] of its last linear layer.

    "" is nothing, then there are "softmax" (or its log), "sigmoid" (or its log), and "other".
    """
    if result.is_meta or result.shape != linear.shape or not result.isfinite().all():
        return ""  # there is nothing to compare
    result, linear = result.float(), linear.float()
    if torch.allclose(result, linear, rtol=1e-3, atol=1e-6):
        return ""
    usual = {"sigmoid": (linear.sigmoid(), linear.sigmoid().log())}
    if result.shape[1] > 1:  # that of one score is 1, whatever the score
        usual["softmax"] = (linear.softmax(1), linear.log_softmax(1))
    return next((name for name, ways in usual.items()
                 if any(torch.allclose(result, one, rtol=1e-2, atol=1e-6) for one in ways)), "other")


class Layout(NamedTuple):
    """How a stage's output lies in memory: "NCHW", "NHWC", or "NLC": tokens, `prefix` before the `grid`."""

    order: str
    grid: tuple[int, int] = (1, 1)
    prefix: int = 0


def map_layout(shape: tuple[int, ...], photo: tuple[int, int]) -> str:
    """"NCHW" or "NHWC" for the shape of a map without its batch, "" for what is no map with more than one place.

    photo: (height, width) of the run. Rows and columns are the two numbers that are to each other as those.
    """
    if len(shape) != 3:
        return ""
    for order, (rows, columns) in (("NCHW", shape[1:]), ("NHWC", shape[:2])):
        if max(rows, columns) > 1 and has_form(rows, columns, photo):
            return order
    return ""


def has_form(rows: int, columns: int, photo: tuple[int, int]) -> bool:
    """Whether a grid is as high to wide as the photo: exactly for a square one, else to within a row."""
    if photo[0] == photo[1] or not rows or not columns:
        return rows == columns > 0
    down, across = photo[0] / rows, photo[1] / columns
    return abs(down - across) * min(rows, columns) <= max(down, across)


def find_stages(watched: Watched) -> tuple[list[Stage], list[Layout]]:
    """(stages, the layout of each one's map).

    A stage is what the outermost module gives just before the map shrinks, and at the very end; a module that
    runs several times gives a stage a call. A transformer's map never shrinks: there every block is a stage.
    """
    photo = watched.input_size[1:]
    found: list[tuple[Stage, Layout, int]] = []
    for call in watched.calls:
        layout = map_layout(call.shape_out, photo)
        if not layout:
            continue
        # [C, H, W] or [H, W, C]
        channels, side = call.shape_out[0 if layout == "NCHW" else 2], max(sides_of(call, photo))
        if found and side > found[-1][2]:
            continue  # a map that grows again is no further stage of a backbone
        if found and side == found[-1][2]:
            if call.path.count(".") > found[-1][0].module.count("."):
                continue  # the first layers inside the next stage, before that one shrinks the map
            found.pop()
        found.append((stage_of(call, channels, stride_of(call, watched)), Layout(layout), side))
    if len(found) < 2 and (blocks := find_blocks(watched)):
        return blocks
    return [stage for stage, _, _ in found], [layout for _, layout, _ in found]


def stage_of(call: Call, channels: int, reduction: int) -> Stage:
    return Stage(call.turn.name, call.path, channels, reduction, call.turn.call)


def sides_of(call: Call, photo: tuple[int, int]) -> tuple[int, ...]:
    """Rows and columns of the map that a call gave."""
    return call.shape_out[1:] if map_layout(call.shape_out, photo) == "NCHW" else call.shape_out[:2]


#: By how many pixels a photo is made larger to see how many places a map gains; strides are divisors of it.
GROWTH = 96


def stride_of(call: Call, watched: Watched) -> int:
    """The total stride of a map: how much larger a photo must be for one place more, where that was tried."""
    photo = watched.input_size[1:]
    side, other = max(sides_of(call, photo)), watched.larger.get(call.turn)
    if other is not None and map_layout(other.shape_out, tuple(n + GROWTH for n in photo)):
        gained = max(sides_of(other, tuple(n + GROWTH for n in photo))) - side
        if gained > 0 and GROWTH % gained == 0:
            return GROWTH // gained
    return reduction(max(photo), side)


def reduction(side_in: int, side: int) -> int:
    """The stride between two sides; unpadded layers lose a few pixels, so 299 to 35 is a stride of 8."""
    return side_in // side if side_in % side == 0 else 2 ** round(math.log2(side_in / side))


def is_pyramid(stages: Sequence[Stage]) -> bool:
    """Whether each stage's map is smaller than the one before."""
    return bool(stages) and len({stage.reduction for stage in stages}) == len(stages)


def find_blocks(watched: Watched) -> tuple[list[Stage], list[Layout]] | None:
    """The blocks of a transformer: the longest row of equal modules that turn tokens [N, C] into as many.

    Not a row inside of such modules: two dropouts in a block that runs twelve times are no layers.
    """
    rows: dict[tuple, list[Call]] = {}
    for call in watched.calls:
        if len(call.shape_out) == 2 and call.shape_in == call.shape_out and call.shape_out[0] > 3:
            rows.setdefault((call.path.rpartition(".")[0], call.kind, call.shape_out), []).append(call)
    rows = {key: calls for key, calls in rows.items() if len(calls) > 1}
    inside = tuple(f"{call.path}." for calls in rows.values() for call in calls)
    outer = [calls for (parent, *_), calls in rows.items() if not f"{parent}.".startswith(inside)]
    blocks = max(outer, key=len, default=[])
    if not blocks:
        return None
    tokens, channels = blocks[0].shape_out
    photo = watched.input_size[1:]
    grid = find_grid(watched.calls[:watched.calls.index(blocks[0])], tokens, photo)
    if grid is None:
        return None
    layout = Layout("NLC", grid, tokens - grid[0] * grid[1])
    return [stage_of(call, channels, patch_side(photo, grid)) for call in blocks], [layout] * len(blocks)


def find_grid(before: Sequence[Call], tokens: int, photo: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of patches among so many tokens: of the map that became them, or else by their number.

    before: what ran in front of the blocks. Of tokens the last ones are the patches.
    """
    maps = [call for call in before if map_layout(call.shape_out, photo)]
    grids = [sides_of(call, photo) for call in maps]
    fitting = [grid for grid in grids if tokens / 2 <= grid[0] * grid[1] <= tokens]
    if fitting:
        return max(fitting, key=math.prod)
    for patches in range(tokens, tokens // 2, -1):
        rows = max(1, round(math.sqrt(patches * photo[0] / photo[1])))
        if patches % rows == 0 and has_form(rows, patches // rows, photo):
            return rows, patches // rows
    return None


def patch_side(photo: tuple[int, int], grid: tuple[int, int]) -> int:
    """The side of the patches of which a photo holds so many rows and columns, and perhaps a rest."""
    sides = range(1, max(photo) + 1)
    fitting = [side for side in sides if (photo[0] // side, photo[1] // side) == tuple(grid)]
    if not fitting:
        return reduction(max(photo), max(grid))
    whole = [side for side in fitting if photo[0] % side == photo[1] % side == 0]
    usual = [side for side in fitting if side & (side - 1) == 0]  # a power of two
    return (whole or usual or fitting)[-1]


def to_map(output: Tensor, layout: Layout) -> Tensor | None:
    """A copy of a stage's output as a map [B, C, H, W], of tokens the last ones. None for what is no map."""
    if output.ndim != (3 if layout.order == "NLC" else 4):
        return None
    if layout.order == "NHWC":
        output = output.permute(0, 3, 1, 2)
    elif layout.order == "NLC":
        patches, grid = output.shape[1] - layout.prefix, layout.grid
        if patches != grid[0] * grid[1]:  # a photo of another size: of tokens alone only a square is known
            grid = (math.isqrt(max(0, patches)),) * 2
        if patches < 1 or grid[0] * grid[1] != patches:
            return None
        output = output[:, layout.prefix:].transpose(1, 2).unflatten(2, grid)
    return output.clone()  # the next layer may work in place


def find_head(module: nn.Module, watched: Watched) -> str:
    """Path of the last linear layer, the one that gives the scores; "" where the scores come from elsewhere."""
    for call in reversed(watched.calls):
        part = module.get_submodule(call.path)
        if isinstance(part, nn.Linear) and call.shape_out == (watched.scores,):
            return call.path
    return ""


# --- the adapters --------------------------------------------------------------------------------------------


class WrappedModel(VisionModel):
    """Somebody else's module behind the contract; see `wrap`. The module itself is `.module`."""

    def __init__(self, module: nn.Module, watched: Watched, config: ModelConfig):
        super().__init__()
        self.module = module
        stages, self._layouts = find_stages(watched)
        self.stages = tuple(stages)
        self.pyramid = is_pyramid(self.stages)
        self.classifier_path = find_head(module, watched)
        self._ending = watched.ending if self.classifier_path else ""
        self.squash = watched.squash
        if config.outputs == "numbers" and self._ending:
            self._ending = "other"  # a number between 0 and 1 is a number, not the share of a class
        # Where the scores in front of it are not the last linear layer's, the squash is undone.
        elsewhere = config.outputs != "numbers" and self._ending not in ("softmax", "sigmoid")
        self._undone = self.squash if elsewhere else None
        head = self.get_classifier()
        self.num_classes = watched.scores
        self.num_features = head.in_features if isinstance(head, nn.Linear) and self._ending != "other" else watched.scores
        self.in_chans = watched.input_size[0]
        self.config = config.with_(num_classes=watched.scores, classifier=self.classifier_path)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, K]: what the module gives, without a softmax or sigmoid at its end."""
        if self._ending not in ("softmax", "sigmoid"):
            return self._unsquashed(self.module(x))
        scores: list[Tensor] = []

        def keep(_turn: Turn, _head: nn.Module, _inputs: tuple, output: Tensor) -> None:
            scores.append(output.clone())

        with watching({"": self.get_classifier()}, after=keep):
            self.module(x)
        if not scores:
            raise self._goes_another_way(self.classifier_path)
        return scores[-1]

    def _unsquashed(self, result: Tensor) -> Tensor:
        return result if self._undone is None else self._undone.undo(result)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        """The maps of one whole run: a foreign module can't be stopped half-way, but it runs only once."""
        kept: dict[str, Tensor | None] = {}
        vectors: list[Tensor] = []
        layouts = {stage.name: layout for stage, layout in zip(self.stages, self._layouts)}
        parts = {stage.module: self.module.get_submodule(stage.module) for stage in self.stages}
        head = self.get_classifier() if self.classifier_path and self._ending != "other" else None

        def keep_vector(_turn: Turn, _head: nn.Module, inputs: tuple, options: dict) -> None:
            vectors.extend([*inputs, *options.values()][:1])

        def keep_map(turn: Turn, _part: nn.Module, _inputs: tuple, output: Any) -> None:
            if turn.name in layouts and isinstance(output, Tensor):
                kept[turn.name] = to_map(output, layouts[turn.name])

        heads = {"": head} if head is not None else {}
        with watching(heads, before=keep_vector), watching(parts, after=keep_map):
            scores = self._unsquashed(self.module(x))
        if head is not None and not vectors:
            raise self._goes_another_way(self.classifier_path)
        for stage in self.stages:
            if kept.get(stage.name) is None:
                raise self._goes_another_way(stage.name)
            yield kept[stage.name]
        return vectors[-1] if vectors else scores

    def _goes_another_way(self, missing: str) -> ValueError:
        return ValueError(
            f"{self.config.architecture} did not come by {missing!r} with these photos as it did when it was "
            "wrapped: it takes another way, or its maps have another form. Features, heat maps and training "
            "need a module that does the same with every photo: wrap the part of it that does."
        )

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """x: the vector [B, D] in front of the last layer, as `forward_features` gives it.

        Where the module changes the scores behind its last linear layer, that vector is the scores themselves.
        """
        return x if pre_logits or not self.classifier_path or self._ending == "other" else self.get_classifier()(x)

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        if self._ending == "other":
            raise ValueError("This module changes its scores behind its last linear layer, in a way that only it knows.")
        return self.get_classifier()(pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.module.get_submodule(self.classifier_path) if self.classifier_path else nn.Identity()

    def _count_scores(self, head: nn.Module | None) -> int:
        if isinstance(head, nn.Identity):
            return 0
        self.watch_again()
        return self.num_classes

    def watch_again(self) -> None:
        """Find stages, classifier and scores anew: where the module was rebuilt by hand, they stand elsewhere."""
        training = self.training
        self.__init__(self.module, watch(self.module, self.config.input_size), self.config)
        self.training = training

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Exchange the last linear layer. Raises ValueError where there is none, or for another pooling."""
        if global_pool is not None:
            raise ValueError("The pooling of a wrapped model is part of it: leave global_pool away.")
        if not self.classifier_path:
            raise ValueError(f"{self.config.architecture} has no last linear layer that could be exchanged.")
        old = self.get_classifier()
        width = old.in_features if isinstance(old, nn.Linear) else self.num_features
        new = nn.Linear(width, num_classes, **parameter_place(self)) if num_classes else nn.Identity()
        parent, _, name = self.classifier_path.rpartition(".")
        setattr(self.module.get_submodule(parent), name, new.train(old.training))
        self.num_classes = num_classes


class TimmModel(VisionModel):
    """A timm model behind the contract: it tells its own stages. The model itself is `.module`."""

    def __init__(self, module: nn.Module, config: ModelConfig):
        super().__init__()
        self.module = module
        rows = list(module.feature_info)
        self.stages = tuple(Stage(row["module"], row["module"], row["num_chs"], row["reduction"]) for row in rows)
        self.pyramid = is_pyramid(self.stages)
        self.num_classes, self.num_features = module.num_classes, module.num_features
        self.in_chans = config.input_size[0]
        self.config = config

    @property
    def head_hidden_size(self) -> int:
        return getattr(self.module, "head_hidden_size", self.num_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.module.forward_features(x)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        features, maps = self.module.forward_intermediates(x)
        yield from maps
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.num_classes:
            return self.module.forward_head(x, pre_logits=pre_logits)
        try:
            return self.module.forward_head(x)
        except NotImplementedError:  # the eyes of a language model: timm gives them no pooling, so it is the mean here
            channels = x.ndim - 1 if x.shape[-1] == self.num_features else 1  # tokens or [B, H, W, C]; [B, C, H, W]
            return x.movedim(channels, -1).flatten(1, -2).mean(1)

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Some of timm's heads have two classifiers: so each result comes from timm's own function."""
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def get_classifier(self) -> nn.Module:
        return self.module.get_classifier() if self.num_classes else nn.Identity()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        place = parameter_place(self)
        self.module.reset_classifier(num_classes, *(() if global_pool is None else (global_pool,)))
        self.module.to(**place)
        self.num_classes = num_classes


# --- libraries -------------------------------------------------------------------------------------------------


def create_from_library(
    library: str, name: str, pretrained: bool, *, num_classes: int | None, in_chans: int, **options: Any
) -> VisionModel:
    """`create_model("torchvision/NAME")` and `create_model("timm/NAME")`; NAME may carry a tag behind a dot."""
    create = {"torchvision": from_torchvision, "timm": from_timm}[library]
    if library == "timm":
        name = old_names().get(name, name)
    path = options.pop("checkpoint_path", None) or None
    if path is None:
        model = create(name, pretrained, num_classes=num_classes, in_chans=in_chans, **options)
    elif pretrained:
        raise ValueError("Give pretrained=True or checkpoint_path=, not both.")
    else:
        found = read_checkpoint(path)
        model = _from_file(create, name, found, Path(path).name, num_classes, in_chans, options)
    model.config = model.config.with_(built_as=f"{library}/{name}", build_options=options_to_keep(options))
    return model


def _from_file(create: Any, name: str, found: Checkpoint, file: str, num_classes: int | None, in_chans: int,
               options: dict[str, Any]) -> VisionModel:
    """Another library's model with the tensors of a file, whose classifier says how many classes it has."""
    with torch.random.fork_rng(devices=[]):  # the first numbers of the network are thrown away
        model = create(name, False, num_classes=None, in_chans=in_chans, **options)
        own, head = model.state_dict(), model.get_classifier()
        prefix = "module." if all(key.startswith("module.") for key in own) else ""
        weight = getattr(head, "weight", None)
        last = next((key for key, value in model.named_parameters() if value is weight), "")
        state = choose(found, {key.removeprefix(prefix): value for key, value in own.items()}).state
        trained = state.get(last.removeprefix(prefix))
        if trained is not None and trained.ndim and trained.shape[0] != own[last].shape[0]:
            model = create(name, False, num_classes=trained.shape[0], in_chans=in_chans, **options)
    model.config = model.config.with_(num_classes=model.num_classes, labels=None)
    model.load_report = LoadReport(f"the file {file}", name=model.config.name)
    state = own_tensors(model, found, model.load_report)
    load_into(model, state, model.load_report, trained_chans=3)
    return _with_classes(model, num_classes)


#: Options of another library's network that a saved folder may ask for; others could make it open files or fetch some.
SAVED_OPTIONS = ("img_size", "patch_size", "dynamic_img_size", "global_pool", "output_stride")


def open_saved(
    library: str, config: ModelConfig, state: dict[str, Tensor] | None, origin: str, *, num_classes: int | None,
    in_chans: int | None, **options: Any
) -> VisionModel:
    """A model that came through a door, was trained and saved: its library builds it again, the file's tensors go in.

    config: as saved;  state: the tensors, None for random weights;  origin: where they are from
    Raises WeightsError where they don't fit or the folder asks for what it may not, ImportError without the library.
    """
    name = config.built_as or config.architecture
    if name.partition(".")[0] != config.architecture:
        raise WeightsError(f"{origin} names two architectures, {config.architecture[:60]!r} and {name[:60]!r}: it is damaged.")
    saved = dict(config.build_options)
    if strange := sorted(saved.keys() - {*SAVED_OPTIONS}):
        raise WeightsError(f"{origin} was saved from {name} built with {strange[0][:60]!r}, which only a program can give: build it so "
                           "again, then explorer.load_run(folder, model=model) fills it.")
    given = saved | {key: value for key, value in options.items() if value is not None and key != "cache_dir"}
    trained = config.input_size[0]
    classes = config.num_classes if state is not None or num_classes is None else num_classes
    if state is not None and classes and classes not in rows_in(state):
        raise WeightsError(f"{origin} knows no classifier of {classes:,} classes, as the config.json beside it "
                           "says: they don't belong together.")
    try:
        check_room(name, origin, None if state is None else room_for(state), num_classes=config.num_classes,
                   in_chans=trained, **saved)
        with torch.random.fork_rng(devices=[], enabled=state is not None):  # its first numbers are thrown away
            model = create_from_library(library, name.partition("/")[2], False, num_classes=classes,
                                        in_chans=trained if in_chans is None else in_chans, **given)
    except ImportError as error:
        raise ImportError(f"{origin} was saved from a model of {library}. {error}") from error
    own = model.config
    if classes != config.num_classes:
        config = config.without_head()
    model.config = config.with_(input_size=(own.input_size[0], *config.input_size[1:]), num_classes=classes,
                                classifier=own.classifier, first_conv=own.first_conv, build_options=own.build_options)
    if state is None:
        return model
    model.load_report = LoadReport(origin, name=config.name)
    tensors = own_tensors(model, state, model.load_report)
    load_into(model, tensors, model.load_report, trained_chans=trained)
    return _with_classes(model, num_classes)


def check_room(name: str, origin: str, room: Room | None, **wanted: Any) -> None:
    """Raise WeightsError where a stranger's settings ask for a larger network than there is room for.

    room: None for what is in proportion to the network of that name as it usually is
    """
    library, _, inside = name.partition("/")
    if library == "timm":
        try:
            from timm import create_model as create
            from timm import is_model as known
        except ImportError as error:
            raise ImportError(TIMM_MISSING) from error
    else:
        from torchvision import models

        inside = inside.partition(".")[0]
        known = models.list_models(module=models).__contains__
        # it has no other options that a file could ask for
        wanted = {"weights": None, "num_classes": wanted["num_classes"]}
        create = models.get_model
    if not known(inside):
        return  # the sentence for that follows
    try:
        if room is None:
            with blank():
                usual = create(inside)
            room = room_for(usual.state_dict())
        with blank(room):
            create(inside, **wanted)
    except TooLarge as error:
        raise WeightsError(f"The settings beside {origin} ask for a {name} of {error}, which is out of all "
                           "proportion: they are damaged, or not to be trusted.") from None


def options_to_keep(options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The options of `create_model` that a saved model needs to be built again, as `ModelConfig.build_options`.

    Rates of dropout are no part of a trained network; None stands for a value that JSON does not know.
    """
    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            found = tuple(map(plain, value))
            return None if None in found else found
        return value if isinstance(value, (bool, int, float, str)) else None

    left_out = {"drop_rate", "drop_path_rate", "in_chans", "cache_dir", "checkpoint_path"}
    return tuple((key, plain(value)) for key, value in options.items()
                 if value is not None and key not in left_out and (key, value) != ("output_stride", 32))


def list_library(library: str, pretrained: bool = False) -> list[str]:
    """The names behind a door, "torchvision/resnet50", or with `pretrained` its sets of weights. Needs the library."""
    if library == "torchvision":
        from torchvision import models

        names = models.list_models(module=models)
        if pretrained:
            names = [f"{name}.{entry.name}" for name in names for entry in models.get_model_weights(name)]
        return [f"torchvision/{name}" for name in names]
    try:
        import timm
    except ImportError as error:
        raise ImportError(TIMM_MISSING) from error
    return [f"timm/{name}" for name in timm.list_models(pretrained=pretrained)]


def from_torchvision(name: str, pretrained: bool, *, num_classes: int | None, in_chans: int,
                     cache_dir: str | None = None, **options: Any) -> VisionModel:
    """A torchvision classifier, with its own weights, labels and preprocessing. NAME.TAG: e.g. "IMAGENET1K_V1"."""
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = models.list_models(module=models)
    if architecture not in known:
        hint = meant(f"torchvision/{name}" for name in nearest(architecture, known, 3))
        raise ValueError(f"torchvision has no classifier {architecture!r}.{hint}")
    size = photo_sides(options.pop("img_size", None))
    published = models.get_model_weights(architecture)
    if tag and tag not in published.__members__:
        raise ValueError(f"Unknown tag {tag!r} of torchvision/{architecture}. Known: {', '.join(published.__members__)}.")
    entry = published[tag] if tag else published.DEFAULT
    config = _torchvision_config(architecture, entry)
    if size is not None and size != config.input_size[1:]:
        options |= _torchvision_size(architecture, size, pretrained)
        config = config.with_(input_size=(3, *size))
    report = None
    with torch.random.fork_rng(devices=[], enabled=pretrained):
        module = models.get_model(architecture, weights=None, num_classes=config.num_classes, **_plain(options, architecture))
    if pretrained:
        found = download_url(entry.url, cache_dir)  # kept where torchvision keeps it; read as tensors only
        state = usual_table(found).state
        module.load_state_dict({k: v for k, v in state.items() if k in module.state_dict()}, strict=True)
        report = LoadReport(f"torchvision's {entry}", name=config.name, loaded=len(state))
    if in_chans != 3:
        first = _adapt_first_conv(module, in_chans)
        config = config.with_(input_size=(in_chans, *config.input_size[1:]))
        if report:
            report.adapted.append(f"{first}: from 3 to {in_chans} input channels")
    with running_at(config):
        model = WrappedModel(module, watch(module, config.input_size), config)
    model.load_report = report
    return _with_classes(model, num_classes)


def photo_sides(img_size: Any) -> tuple[int, int] | None:
    """`img_size` as (height, width), None as it is. Raises TypeError or ValueError for what is no size."""
    if img_size is None:
        return None
    sides = (img_size, img_size) if isinstance(img_size, Integral) else img_size
    expected = f"img_size is {short(img_size)}: give one side in pixels, or (height, width)"
    whole = isinstance(sides, (tuple, list)) and all(isinstance(n, Integral) for n in sides)
    if not whole or any(isinstance(n, bool) for n in sides):
        raise TypeError(f"{expected}, as whole numbers.")
    if len(sides) != 2 or min(sides) < 1 or 3 * math.prod(map(int, sides)) > MOST_NUMBERS:
        raise ValueError(f"{expected}, from 1 and at most {MOST_NUMBERS // 3:,} pixels together.")
    return int(sides[0]), int(sides[1])


def _torchvision_size(architecture: str, size: tuple[int, int], pretrained: bool) -> dict[str, Any]:
    """The options by which torchvision builds a network for photos of another size; most run on any.

    Raises ValueError where its trained weights are for their own size alone, or where only squares are taken.
    """
    option = next((option for family, option in (("vit_", "image_size"), ("maxvit", "input_size"))
                   if architecture.startswith(family)), None)
    if option is None:
        return {}
    if pretrained:
        raise ValueError(f"torchvision's weights for {architecture} are for photos of their own size: leave "
                         "img_size away, or take explorer's own transformer, which fits its weights.")
    if option == "image_size" and size[0] != size[1]:
        raise ValueError(f"img_size is {size}, but torchvision's {architecture} takes squares: give a side.")
    return {option: size[0] if option == "image_size" else size}


@contextmanager
def running_at(config: ModelConfig) -> Iterator[None]:
    """What a network says of a photo of that size, if it can't take one, as a sentence on the size."""
    try:
        yield
    except (RuntimeError, IndexError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        height, width = config.input_size[1:]
        raise ValueError(f"{config.architecture} can't run on photos of {height} x {width} pixels: give a larger "
                         f"size, or leave it away ({reason}).") from error


def _plain(options: dict[str, Any], architecture: str) -> dict[str, Any]:
    """The options that were given, without explorer's own that a foreign model does not know."""
    given = {key: value for key, value in options.items() if value not in (None, 0.0)}
    for key in ("output_stride", "global_pool", "drop_path_rate"):
        if key in given:
            raise ValueError(f"{key} can't be set through the door for {architecture}: leave it away.")
    if "drop_rate" in given:
        given["dropout"] = given.pop("drop_rate")
    return given


def _torchvision_config(architecture: str, entry: Any) -> ModelConfig:
    """What torchvision says of a set of weights, in our words."""
    preset, meta = entry.transforms(), entry.meta
    side, resized = preset.crop_size[0], preset.resize_size[0]
    metrics = meta.get("_metrics", {}).get("ImageNet-1K", {})
    return ModelConfig(
        architecture=f"torchvision/{architecture}", tag=entry.name, input_size=(3, side, side), crop_pct=side / resized,
        interpolation=preset.interpolation.value, mean=tuple(preset.mean), std=tuple(preset.std),
        num_classes=len(meta["categories"]), labels=tuple(meta["categories"]), url=entry.url, license="bsd-3-clause",
        top1=metrics.get("acc@1"), top5=metrics.get("acc@5"),
    )


def _adapt_first_conv(module: nn.Module, in_chans: int) -> str:
    """Give the first convolution another number of input channels; its path."""
    path, old = next((p, m) for p, m in module.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(in_chans, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, old.groups,
                    bias=old.bias is not None, padding_mode=old.padding_mode)
    with torch.no_grad():
        new.weight.copy_(adapt_input(old.weight, in_chans))
        if old.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, new)
    return path


def from_timm(name: str, pretrained: bool, *, num_classes: int | None, in_chans: int,
              cache_dir: str | None = None, **options: Any) -> VisionModel:
    """A model of an installed timm, with its own weights and preprocessing."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(TIMM_MISSING) from error
    if not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no model {name!r}. See explorer.list_models('timm/*').")
    sides = photo_sides(options.get("img_size"))
    given = {key: value for key, value in options.items() if value is not None and value != 0.0}
    if num_classes is not None:
        given["num_classes"] = num_classes
    cfg = timm.get_pretrained_cfg(name)
    config = ModelConfig.from_dict(cfg.to_dict()) if cfg is not None else ModelConfig()
    config = config.with_(architecture=f"timm/{name.partition('.')[0]}")
    if pretrained and config.hf_hub_id:  # fetched first, so that being offline is a sentence, at once
        in_cache(config, cache_dir) or download(config, cache_dir)
        given["cache_dir"] = cache_dir
    module = _build_with_timm(name, pretrained, in_chans, given)
    size = sides or tuple(module.pretrained_cfg.get("input_size", config.input_size))[1:]
    labels = config.labels if module.num_classes == config.num_classes else ()  # a fresh head's classes have no names
    config = config.with_(input_size=(in_chans, *size), num_classes=module.num_classes, labels=labels)
    if sides is not None:
        config = config.with_(test_input_size=None)
    with running_at(config):
        if tells_its_stages(module, config.input_size):
            model = TimmModel(module, config)
        else:
            model = WrappedModel(module, watch(module, config.input_size), config)
    if pretrained:
        model.load_report = LoadReport(f"timm's {cfg.hf_hub_id or cfg.url}", name=config.name,
                                       loaded=len(module.state_dict()))
    return model


def _build_with_timm(name: str, pretrained: bool, in_chans: int, given: dict[str, Any]) -> nn.Module:
    """timm's model; raises TypeError or ValueError with a sentence for options that it does not take."""
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=in_chans, **given)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None or unknown[1] not in given:
            raise
        if unknown[1] != "img_size":
            raise TypeError(f"timm/{name} has no option {unknown[1]!r}: leave it away.") from None
        # a convolutional network takes photos of any size
        return _build_with_timm(name, pretrained, in_chans, {key: value for key, value in given.items() if key != "img_size"})
    except AssertionError as error:
        asked = ", ".join(f"{key}={value!r}" for key, value in given.items() if key != "cache_dir")
        why = f" ({error})" if str(error) else ""
        raise ValueError(f"timm/{name} can't be built with {asked or 'these options'}{why}: leave away what it can't do.") from None


def tells_its_stages(module: nn.Module, input_size: tuple[int, int, int]) -> bool:
    """Whether timm's `forward_intermediates` gives one map for each row of the model's feature table."""
    rows = getattr(module, "feature_info", None)
    if not rows or not hasattr(module, "forward_intermediates"):
        return False
    x = torch.zeros(1, *input_size, **parameter_place(module))
    with evaluation(module), torch.no_grad():
        maps = module.forward_intermediates(x, intermediates_only=True)
    return [m.shape[1] for m in maps] == [row["num_chs"] for row in rows]


def _with_classes(model: VisionModel, num_classes: int | None) -> VisionModel:
    """The model with a fresh classifier, where another number of classes is wanted."""
    if num_classes is None or num_classes == model.num_classes:
        return model
    if model.load_report is not None:
        found = f"the classifier of {model.num_classes} classes"
        model.load_report.skipped.append(
            f"{found}; the new one of {num_classes} is untrained" if num_classes else f"{found}: not asked for")
    model.reset_classifier(num_classes)
    model.config = model.config.without_head().with_(labels=None)  # told apart by the count of the weights
    model.claim_head()
    return model


