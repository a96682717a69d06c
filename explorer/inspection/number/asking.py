"""How is this number computed? The sum that it comes from, term by term, and what is done to the sum.

    explain_number("resnet18", "cat.jpg", "layer1", channel=5, row=20, column=30)
    number = explain_number(model, photo, "conv1", channel=3, row=40, column=40)
    number.terms.first, number.terms.second       # the patch under the kernel and the kernel, [C, h, w]
    number.products[:3]                           # the input channels that weigh most
    number.at(40, 41)                             # the next place: no further pass

One pass remembers which of torch's operations made each tensor, and of what (`recording.py`). From the number
the way goes back (`chain.py`) over activations, normalisation, additions and views to the last operation that
joined many numbers: a convolution, a linear layer, attention, a pooling (`terms.py`). Nothing is read from
the modules, so networks that fold, fuse or share layers are told as they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from explorer.arguments import checked, whole
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look.looking import photo_for, prepare
from explorer.inspection.look.model import as_model, evaluating, model_name, weight_notes
from explorer.inspection.look.spots import Source, find_source, layout_of
from explorer.inspection.number.explained import ExplainedNumber, Remembered, explained
from explorer.inspection.number.recording import GIVEN, Ended, forget_behind, recording
from explorer.inspection.number.terms import ends
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.surgery.inside import photo_size


@checked(channel=whole(0), row=whole(0), column=whole(0))
def explain_number(
    model: VisionModel | str, image: Any, module: str, *, channel: int = 0, row: int = 0, column: int = 0,
) -> ExplainedNumber:
    """How one number of a map is computed, for one photo.

    model:  an explorer model or a name;  image: anything `load_image` takes
    module: a stage's name, or the dotted path of any module that gives a map, tokens or a vector ("relu:2":
            its second call); of an ensemble's member with its name in front, "member/conv1"
    channel, row, column: of the number, from 0; a vector has channels alone

    The model runs once, in evaluation mode. Where a number is the sum of two branches, the way goes back
    along the one with a layer nearer, and the other adds its number. What the result shows is of this pass:
    the map and what it was made of stay in memory as long as it does.
    Raises ValueError for an unknown module, and for a number that it has not.
    """
    model = as_model(model, task=None)
    source = find_source(model, module, argument="module")
    asked = source.model
    channels, height, width = photo_size(asked)
    config: dict[str, Any] = resolve_data_config({}, model=asked) | {"input_size": (channels, height, width)}
    _, inputs = prepare(photo_for(asked, image), create_transform(**config))
    with evaluating(asked), recording(asked) as ended:
        photo = inputs[None].to(**parameter_place(asked)).clone()
        setattr(photo, GIVEN, "")
        found: Tensor | None = source.run(asked, photo, lambda tensor: tensor)
    if found is None:
        raise ValueError(f"{module} of {model_name(asked)} gives no tensor in a pass, or is not run in one: "
                         "ask for a stage, or for another module.")
    layout = layout_of(tuple(found.shape), (height, width))
    if layout is None and found.ndim != 2:
        raise ValueError(f"{module} of {model_name(asked)} gives {list(found.shape[1:])} for a photo, "
                         "neither a map nor a vector: ask for a stage, or for another module.")
    forget_behind(found, ends)
    layers = _layers(source, ended) if source.stage is not None else ()
    remembered = Remembered(found, layout, (height, width), layers)
    return explained(model_name(asked), module, remembered, channel, row, column,
                     weight_notes(asked, "numbers"))


def _layers(source: Source, ended: Sequence[Ended]) -> tuple[str, ...]:
    """The layers of a stage that give maps, as they ran: those that came after the stage before it."""
    table, number = source.model.stage_table, source.stage or 0
    before = table[number - 1].module if number else ""
    ends_before = [place for place, one in enumerate(ended) if before and one.name == before]
    own = ended[ends_before[-1] + 1:] if ends_before else ended
    return tuple(one.name for one in own if _is_layer(one.module) and len(one.shape) > 2)


def _is_layer(module: nn.Module) -> bool:
    """Whether it computes something itself, or is attention, whose parts say little alone."""
    if isinstance(module, (nn.Identity, nn.Dropout)):
        return False
    return not any(True for _ in module.children()) or "Attention" in type(module).__name__
