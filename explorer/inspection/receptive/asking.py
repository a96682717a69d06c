"""Which pixels is this cell computed from? The theoretical receptive field, and the effective one.

    receptive_field("resnet18", "layer2", 14, 14)                       # a box, in the input's pixels
    receptive_field(model, "layer2.0.conv1", 3, 3, image="cat.jpg")     # and in the photo's
    receptive_field(model, "layer4", 3, 3, image="cat.jpg", effective=True).effective       # [H, W]

The box is of every pixel that can have a part in the cell, whatever the weights: it follows from kernels,
strides, padding and branches (`tracing.py`). How strongly a pixel does have a part is another matter: in a
trained network the middle counts most, and the outer part hardly.
Source of the effective field: Luo, Li, Urtasun and Zemel 2016, "Understanding the Effective Receptive Field
in Deep Convolutional Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, flag, whole
from explorer.data.transforms import create_transform, crop_box, resolve_data_config
from explorer.inspection.look.looking import photo_for, prepare
from explorer.inspection.look.model import as_model, evaluating, model_name
from explorer.inspection.look.passes import no_way_back, way_back
from explorer.inspection.look.spots import Source, cell_of, find_source, layout_of
from explorer.inspection.look.tail import ordinary
from explorer.inspection.receptive.field import Fields, ReceptiveField
from explorer.inspection.receptive.reach import Reach, small
from explorer.inspection.receptive.tracing import Noted, reach_of, trace
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.create import create_model
from explorer.models.doors.maps import Layout
from explorer.models.members import parameters_in
from explorer.models.surgery.inside import backbone, photo_size
from explorer.models.tasks import ASKED_BY
from explorer.models.watching import walk

DRAWS = 4  # pictures of noise that the effective field is the mean of, where no photo is given
ASK_BOX = "The box needs no gradient: leave effective out."


@checked(row=whole(0), column=whole(0), effective=flag, gates=flag)
def receptive_field(
    model: VisionModel | str, stage: str, row: int, column: int, *, effective: bool = False,
    image: Any = None, gates: bool = True,
) -> ReceptiveField:
    """Which part of the picture a cell of a map is computed from, all its channels together.

    model:     an explorer model or a name; the box needs no weights, so of a name none are loaded for it
    stage:     a stage's name, or the dotted path of any module that gives a map or tokens ("pool:2": its
               second call)
    row, column: of the cell, from 0
    effective: also how strongly each pixel moves it: the mean over photos of the absolute gradient of the sum
               of the cell's channels, summed over colours
    image:     a photo, or a list of them: the box is then in the (first) photo's pixels too, and the
               effective field is the mean over them. None: of four pictures of noise, the same each time
    gates:     squeeze and excitation multiplies each place by a number that was pooled from all places, so it
               reads everything. False leaves such numbers out: the field of the convolutions alone

    The result knows all cells of the map: `.at(row, column)` takes no further pass. Rows that a layer pads
    count as no pixels. A convolution is taken to read all under its kernel, attention all
    places of its window (the mask of shifted windows too), a normalisation by the photo's own statistics all
    of its channel, and one by known statistics nothing.
    Operations whose reach isn't known are taken to read all of what goes in, and are named in the notes.
    Raises ValueError for an unknown stage, a cell that the map has not, and a map without places.
    """
    model = as_model(model, task=None) if effective else _shapes_of(model)
    source = find_source(model, stage)
    asked = source.model
    photos = _photos(asked, image)
    config: dict[str, Any] = resolve_data_config({}, model=asked)
    channels, height, width = photo_size(asked)
    shape = (1, channels, height, width)

    edges, layout, noted = _edges(source, shape, gates=bool(gates))
    frame = None
    if photos:
        config = config | {"input_size": (channels, height, width)}
        frame = photos[0].size, crop_box(photos[0].size, config)
    fields = Fields(edges, (height, width), frame)
    fields.check(stage, row, column)
    found = ReceptiveField(model_name=model_name(asked), stage=stage, fields=fields, **fields.of(row, column))
    found.ungated = bool(noted.gates) and not gates
    found.notes = _notes(noted, gates=bool(gates), everything=found.everything)
    if photos:
        found.image = photos[0]
        found.seen, _ = prepare(photos[0], create_transform(**config))
    if effective:
        inputs = [prepare(photo, create_transform(**config))[1] for photo in photos] or _noise(shape[1:])
        cell = cell_of(layout, row, column)
        found.effective, found.photos = _effective(source, inputs, cell), len(photos)
        if not found.effective.any():
            found.notes += ("No pixel moves this cell by its gradient here: all of its channels are 0 behind "
                            "a ReLU. Ask for another cell, or give other photos.",)
    return found


def _shapes_of(model: VisionModel | str) -> VisionModel:
    """`as_model`, for what needs no weights: a name is built without, and a model may be on "meta"."""
    if isinstance(model, str):
        with torch.device("meta"):
            return create_model(model).eval()
    if isinstance(model, torch.nn.Module) and parameter_place(model)["device"].type == "meta":
        inside: Any = backbone(model)
        return inside
    return as_model(model, task=None)


def _edges(source: Source, shape: tuple[int, int, int, int], *, gates: bool) -> tuple[Tensor, Layout, Noted]:
    """What all channels of each cell of a map reach, [8, rows, columns]; its layout; what was met."""
    def read(tensor: Tensor) -> tuple[tuple[int, ...], Reach | None]:
        return tuple(tensor.shape), reach_of(tensor)

    found, noted = trace(source.model, shape, lambda network, photo, _: source.run(network, photo, read),
                         gates=gates)
    name = f"{source.name} of {model_name(source.model)}"
    if found is None:
        raise ValueError(f"{name} gives no tensor in a pass, or is not run in one: ask for a stage, or for "
                         "another module.")
    given, reach = found
    layout = layout_of(given, shape[2:])
    if layout is None:
        raise ValueError(f"{name} gives {list(given[1:])} for a photo, which has no rows and columns: ask "
                         "for a stage, or for a module before the pooling.")
    if reach is None:
        raise ValueError(f"{name} does not depend on the photo: its values are the same for every picture.")
    return _stacked(reach, layout), layout, noted


def _stacked(reach: Reach, layout: Layout) -> Tensor:
    return torch.stack([_over_channels(edge, layout) for edge in reach.edges])


def fields_of_stages(model: VisionModel, names: Sequence[str]) -> dict[str, tuple[Fields, bool]]:
    """{a stage's name: (the rectangles of all its cells, whether gates were left out of them)}, of one pass;
    of an ensemble one a member. Without stages whose maps have no places, or don't depend on the photo.

    The fields are those of the convolutions alone, as with `gates=False`. Raises ValueError for an unknown
    stage, and for a network that can't run.
    """
    wanted: dict[int, dict[str, Source]] = {}  # by the member that has them
    for name in names:
        source = find_source(_shapes_of(model), name)
        wanted.setdefault(id(source.model), {})[name] = source
    found: dict[str, tuple[Fields, bool]] = {}
    for sources in wanted.values():
        found |= _fields_of(sources)
    return {name: found[name] for name in names if name in found}


def _fields_of(sources: dict[str, Source]) -> dict[str, tuple[Fields, bool]]:
    """Those of some stages of one network, {name: source}."""
    asked = next(iter(sources.values())).model
    own = {source.name: name for name, source in sources.items()}
    count = 1 + max(source.stage or 0 for source in sources.values())
    height_and_width = photo_size(asked)[1:]

    def run(network: Any, photo: Tensor, noted: Noted) -> dict[str, tuple[Fields, bool]]:
        read = {}

        def note(stage: Any, tensor: Tensor) -> None:
            layout, reach = layout_of(tuple(tensor.shape), height_and_width), reach_of(tensor)
            if stage.name in own and layout is not None and reach is not None:
                fields = Fields(_stacked(reach, layout), height_and_width)
                read[own[stage.name]] = fields, bool(noted.gates)

        walk(network, photo, first=count, after=note)
        return read

    return trace(asked, (1, *photo_size(asked)), run, gates=False)[0]


def _over_channels(values: Tensor, layout: Layout) -> Tensor:
    """The largest of each cell's channels of one photo's map, [rows, columns]."""
    if layout.order == "NCHW":
        return small(values)[0].amax(0).expand(layout.grid)
    if layout.order == "NHWC":
        return small(values)[0].amax(-1).expand(layout.grid)
    return values[0, layout.prefix:].amax(-1).unflatten(0, layout.grid)


def _notes(noted: Noted, *, gates: bool, everything: bool) -> tuple[str, ...]:
    notes = []
    if noted.gates and not gates:
        notes.append("Without the numbers that are pooled from all places and multiplied to each, as in "
                     "squeeze and excitation: by way of them the cell reads everything.")
    elif noted.gates and everything:
        notes.append("A number that is pooled from all places is multiplied to each, as in squeeze and "
                     "excitation; gates=False gives the field without it.")
    if noted.unknown:
        notes.append(f"Taken to read all that goes in: {', '.join(sorted(noted.unknown))}. The field may be "
                     "smaller than is said here.")
    return tuple(notes)


def _photos(model: VisionModel, image: Any) -> list[Image.Image]:
    if image is None:
        return []
    if model.task != "classification":
        raise ValueError(f"{model_name(model)} finds {ASKED_BY[model.task][0]} and reads photos in many "
                         "shapes, so a receptive field is told in pixels of its input alone: leave image "
                         "out.")
    images = list(image) if isinstance(image, Sequence) and not isinstance(image, (str, bytes)) else [image]
    if not images:
        raise ValueError("image is an empty list: give a photo, several, or leave it out.")
    return [photo_for(model, one) for one in images]


def _noise(shape: Sequence[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for _ in range(DRAWS)]


def _effective(source: Source, inputs: Sequence[Tensor], cell: tuple[Any, ...]) -> Tensor:
    """Mean over inputs [C, H, W] of |d (sum of the cell's channels) / d pixel|, the most as 1: [H, W]."""
    model = source.model
    if any(parameter.is_inference() for parameter in parameters_in(model)):
        raise no_way_back(ASK_BOX)
    total = torch.zeros(inputs[0].shape[1:])
    for one in inputs:
        with evaluating(model), torch.inference_mode(False), torch.enable_grad(), way_back(ASK_BOX):
            photo = one[None].to(**parameter_place(model)).clone().requires_grad_()
            # copies: a first layer may write into the photo, the next one into the map
            score = source.run(model, photo.clone(), lambda tensor: tensor.clone()[cell].sum())
            if not score.requires_grad:
                raise no_way_back(ASK_BOX)
            (gradient,) = torch.autograd.grad(score, photo, allow_unused=True)
        if gradient is None:
            raise no_way_back(ASK_BOX)
        total += ordinary(gradient)[0].abs().sum(0).detach()
    total = torch.nan_to_num(total, nan=0.0, posinf=0.0, neginf=0.0)
    return total / total.max() if total.any() else total
