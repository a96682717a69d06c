"""`create_model`: a name in, a model out.

Five steps, each a function in a file of its own:

    parse      what is asked for, checked                                        `models/request.py`
    enter      through which door: another library's model is built there        `models/plan.py`, `doors/`
    build      the network, on the `meta` device where trained numbers follow    `models/building.py`
    fit        the trained tensors                                               `models/trained.py`
    finish     what is the same for all: maps instead of logits, device, dtype
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from explorer.arguments import checked, number, path_or_empty, whole
from explorer.models.blank import uncollected
from explorer.models.body import OverBody
from explorer.models.building import build, check_room, see_at
from explorer.models.config import ModelConfig, options_to_keep
from explorer.models.contract import VisionModel
from explorer.models.doors.libraries import create_from_library
from explorer.models.doors.saved import open_saved
from explorer.models.doors.settings import open_door
from explorer.models.ensembles.saved import open_ensemble
from explorer.models.features import FeatureNet
from explorer.models.names import LIBRARIES, door_of, split_door
from explorer.models.plan import Plan, plan_behind_a_door, plan_by_name
from explorer.models.request import Request, parse
from explorer.models.trained import build_on_meta, fit_weights, train_body
from explorer.models.weights.places import fetch
from explorer.models.weights.reading import read_checkpoint

if TYPE_CHECKING:
    import torch


@overload
def create_model(
    name: str,
    pretrained: bool = False,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: Literal[False] = False,
    out_indices: int | Sequence[int] | None = None,
    output_stride: int | None = None,
    global_pool: str | None = None,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    img_size: int | tuple[int, int] | None = None,
    checkpoint_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> VisionModel: ...


@overload
def create_model(
    name: str, pretrained: bool = False, *, features_only: Literal[True], **options: Any
) -> FeatureNet: ...


@overload
def create_model(
    name: str, pretrained: bool = False, *, features_only: bool, **options: Any
) -> VisionModel | FeatureNet: ...


@checked(output_stride=whole(1, 64), drop_rate=number(), drop_path_rate=number(),
         checkpoint_path=path_or_empty, device=None)
def create_model(
    name: str,
    pretrained: bool = False,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    output_stride: int | None = None,
    global_pool: str | None = None,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    img_size: int | tuple[int, int] | None = None,
    checkpoint_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> VisionModel | FeatureNet:
    """A model by name, with random or with trained weights.

    name:            "resnet50", or with a tag "resnet50.a1_in1k"; see `list_models`. Also "torchvision/NAME",
                     "timm/NAME" (needs timm), "hf-hub:org/name" and "local-dir:folder" (timm's config.json
                     and weights)
    pretrained:      load the published weights; never silently random: raises WeightsError where they can't
                     be had
    num_classes:     size of the logits; None: as the weights have it; 0: pooled features instead of logits.
                     Another number than the weights' own puts a fresh classifier on top
    in_chans:        channels of the photo; None: as the weights have it, else what the architecture was made
                     for, 3 for all but LeNet-5 (1). Trained filters are adapted
    features_only:   return the maps of `out_indices` (see `explorer.models.features.FeatureNet`)
    output_stride:   32 (default), 16 or 8: trade stride for dilation, for dense prediction
    global_pool:     "avg", "max", "avgmax", "catavgmax", "" (none); transformers: "token", "avg"
    img_size:        side of the photo in pixels, or (height, width), where not the default: transformers are
                     built for it, and photos are prepared at that size for all
    checkpoint_path: your own .safetensors or PyTorch file, adapted exactly as published weights are. In a
                     training checkpoint the table of weights is found; "last.ckpt#teacher" says which
    options:         the family's own, e.g. `patch_size`; an unknown one raises TypeError

    Returns a `VisionModel` (or `FeatureNet`) in training mode, as PyTorch does: call `.eval()` to predict.
    Raises ValueError for an unknown name, with the nearest ones.
    """
    request = parse(Request(
        name, pretrained, num_classes=num_classes, in_chans=in_chans, features_only=features_only,
        out_indices=out_indices, output_stride=output_stride, global_pool=global_pool, drop_rate=drop_rate,
        drop_path_rate=drop_path_rate, img_size=img_size, checkpoint_path=checkpoint_path,
        cache_dir=cache_dir, device=device, dtype=dtype, own=options,
    ))
    plan = enter(request)
    if isinstance(plan, VisionModel):  # another library has built it
        return finish(plan, request)
    return finish(make(plan, request.img_size), request)


def make(plan: Plan, img_size: int | tuple[int, int] | None = None) -> VisionModel:
    """The network of a plan, with its weights, and described."""
    with uncollected(), plan.says_what_was_saved():
        if plan.trains_its_body:
            model = train_body(plan, build_untrained(plan))
        else:
            model = fit_weights(plan, build_on_meta(plan)) if plan.is_trained else build_untrained(plan)
    describe(model, plan, img_size)
    return model


def enter(request: Request) -> Plan | VisionModel:
    """Through the door that the name says:
    what is to be built here, or another library's model, ready made.
    """
    door, inside = door_of(request.name)
    if not door:
        return plan_by_name(request, stacklevel=4)  # this function, create_model, its check of arguments
    if door in LIBRARIES:
        return create_from_library(
            door, inside, request.pretrained, num_classes=request.num_classes,
            in_chans=3 if request.in_chans is None else request.in_chans, cache_dir=request.cache_dir,
            checkpoint_path=request.checkpoint_path, **request.network_options,
        )
    config, found = open_door(door, inside, request.cache_dir)
    if config.members:
        return open_ensemble(config, found, inside, request, lambda member, place: _saved_member(
            request, member, inside, place))
    library, _ = split_door(config.architecture)
    if library in LIBRARIES:
        return _saved_from_library(library, request, config, found, inside)
    return plan_behind_a_door(request, door, inside, config, found)


def _saved_member(request: Request, config: ModelConfig, inside: str, place: str) -> VisionModel:
    """A member of a saved ensemble. place: where its tensors are, "model.safetensors#members.0"."""
    plain = Request(request.name, request.pretrained, cache_dir=request.cache_dir)
    library, _ = split_door(config.architecture)
    if library in LIBRARIES:
        return _saved_from_library(library, plain, config, Path(f"{place}.module"), inside)
    return make(plan_behind_a_door(plain, "local-dir", inside, config, Path(place)))


def _saved_from_library(
    library: str, request: Request, config: ModelConfig, found: Path | None, inside: str
) -> VisionModel:
    """A saved model that had come through another library's door."""
    request.check_one_source()
    state, origin = None, f"'{inside}'"
    if request.pretrained and found is not None:
        state, origin = read_checkpoint(found), f"the file {found.name}"
    elif request.pretrained:
        state, origin = fetch(config, request.cache_dir)
    return open_saved(
        library, config, state, origin, num_classes=request.num_classes, in_chans=request.in_chans,
        cache_dir=request.cache_dir, checkpoint_path=request.checkpoint_path, **request.network_options,
    )


def build_untrained(plan: Plan) -> VisionModel:
    """The network of the plan with random numbers."""
    classes = plan.config.num_classes if plan.num_classes is None else plan.num_classes
    if plan.inside:
        described = plan.options | plan.saved_options | {"num_classes": plan.config.num_classes}
        check_room(plan.architecture, plan.inside, **described)
    model = build(plan.architecture, num_classes=classes, **plan.options)
    model.config = plan.config
    return model


def describe(model: VisionModel, plan: Plan, img_size: int | tuple[int, int] | None) -> None:
    """Let the model's config say what was built: it is saved and built again by it."""
    config = model.config
    if model.num_classes != config.num_classes and (config.labels or config.outputs):
        config = config.without_head()  # they were those of a saved classifier
    built = model.body if isinstance(model, OverBody) else model
    if isinstance(model, OverBody) and model.only_size:
        config = config.with_(input_size=(config.input_size[0], *model.only_size))
    keep_size = type(built).fixed_image_size  # a convolutional network takes photos of any size
    kept = {key: value for key, value in plan.options.items() if key != "img_size" or keep_size}
    model.config = config.with_(build_options=options_to_keep(kept))
    model.claim_head()
    if img_size is not None:
        see_at(model, img_size)


def finish(model: VisionModel, request: Request) -> VisionModel | FeatureNet:
    """What is done to every model at last, whichever door it came through."""
    net = FeatureNet(model, request.out_indices) if request.features_only else model
    if request.device is not None or request.dtype is not None:
        net = net.to(device=request.device, dtype=request.dtype)
    return net
