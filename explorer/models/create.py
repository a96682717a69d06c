"""Names in, models out: `list_models`, `is_model`, `create_model`.

Listing needs no torch; a family's file is imported when one of its models is created.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.arguments import checked, number, path_or_empty, whole
from explorer.display.words import meant, natural_key, nearest
from explorer.files import given_path
from explorer.models.catalog import FAMILIES, FAMILY_OF, family_module
from explorer.models.weights import entries as weights

if TYPE_CHECKING:
    import torch
    from torch import nn


#: Other people's models behind the same contract (see `explorer.models.doors.adapters`), and other places for weights.
LIBRARIES = ("torchvision", "timm")
DOORS = ("torchvision/", "timm/", "hf-hub:", "local-dir:")

# --- names ------------------------------------------------------------------------------------------------


@checked
def list_models(
    filter: str | Sequence[str] = "",
    *,
    pretrained: bool = False,
    exclude_filters: str | Sequence[str] = (),
    family: str = "",
    task: str = "",
) -> list[str]:
    """Names that `create_model` knows, in natural order.

    filter:          a wildcard pattern such as `"*resne*t*"`, or a list of them (any may match); one that begins with
                     "torchvision/" or "timm/" lists that library's names
    pretrained:      only names with published weights, one entry for each set: "resnet50.a1_in1k"
    exclude_filters: patterns whose matches are left out
    family, task:    only that family (see `list_families`) or task; an unknown one raises ValueError
    """
    library, _ = split_door(filter)
    if library in LIBRARIES:
        from explorer.models.doors.adapters import list_library

        if family or task:
            raise ValueError(f"family and task sort explorer's own names: leave them away with {filter!r}.")
        found = [name for name in list_library(library, pretrained) if fnmatchcase(name, filter)]
        return sorted((name for name in found if not _matches(name, _patterns(exclude_filters))), key=natural_key)
    families = _choose_families(family, task)
    names = [name for chosen in families for name in chosen.names]
    if pretrained:
        names = [f"{name}.{tag}" if tag else name for name in names for tag in weights.tags(name)]
    included, excluded = _patterns(filter), _patterns(exclude_filters)
    kept = [name for name in names if not included or _matches(name, included)]
    return sorted((name for name in kept if not _matches(name, excluded)), key=natural_key)


def list_pretrained(filter: str | Sequence[str] = "", **options: Any) -> list[str]:
    """`list_models(filter, pretrained=True, ...)`."""
    return list_models(filter, pretrained=True, **options)


@checked
def list_families(task: str = "") -> list[str]:
    """The families, by year of their paper."""
    return [family.name for family in sorted(_choose_families("", task), key=lambda f: (f.year, f.name))]


def is_model(name: str) -> bool:
    """Whether `create_model` knows the name; a tag, where there is one, must exist too."""
    architecture, tag = split_name(name) if isinstance(name, str) else ("", "")
    return architecture in FAMILY_OF and (not tag or tag in weights.tags(architecture))


def split_name(name: str) -> tuple[str, str]:
    """("resnet50", "a1_in1k") of "resnet50.a1_in1k"; of an old name, those of the present one."""
    architecture, _, tag = name.partition(".")
    today, _, meant = weights.old_names().get(architecture, architecture).partition(".")
    return today, tag or meant


def word_on_old_name(name: Any) -> str:
    """A sentence with the name of today, where explorer knows this one by an old name only; else ""."""
    if not isinstance(name, str) or name.strip().partition(".")[0] not in weights.old_names() or not is_model(name.strip()):
        return ""
    return f"{name.strip()!r} is an old name: the model is now called {'.'.join(filter(None, split_name(name.strip())))}."


def split_door(name: Any) -> tuple[str, str]:
    """("timm", "resnet50") of "timm/resnet50", ("hf-hub", "org/name") of "hf-hub:org/name"; ("", name) without a door."""
    if isinstance(name, str):
        name = re.sub(r"^\s*hf_hub:", "hf-hub:", name)  # timm's older spelling
        for door in DOORS:
            if name.strip().startswith(door):
                return door[:-1], name.strip().removeprefix(door)
    return "", name


def _choose_families(family: str, task: str):
    if family and family not in FAMILIES:
        raise ValueError(f"Unknown family {family!r}.{_nearest(family, FAMILIES)} Known: {', '.join(FAMILIES)}.")
    tasks = {known.task for known in FAMILIES.values()}
    if task and task not in tasks:
        raise ValueError(f"Unknown task {task!r}. Known: {', '.join(sorted(tasks))}.")
    return [f for f in FAMILIES.values() if family in ("", f.name) and task in ("", f.task)]


def _patterns(filters: str | Iterable[str]) -> list[str]:
    return [p for p in ([filters] if isinstance(filters, str) else filters) if p]


def _matches(name: str, patterns: list[str]) -> bool:
    # "resnet50" finds all of its tags too, as "resnet50.*" would.
    return any(fnmatchcase(name, p) or ("." not in p and fnmatchcase(name.partition(".")[0], p)) for p in patterns)


def _nearest(word: str, known: Iterable[str], old: Mapping[str, str] = {}, count: int = 3) -> str:
    """A hint with the names most like `word`; where one of the old names is among them, what it is called today."""
    near = nearest(word, [*known, *(name for name in old if is_model(name))], count)
    return meant(old.get(name, name) for name in near)


def check_name(name: str) -> tuple[str, str]:
    """(architecture, tag) of a known name.

    Raises ValueError with the nearest names for an unknown one, TypeError where it is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"A model's name is a string such as 'resnet50', not {type(name).__name__}.")
    architecture, tag = split_name(name.strip())
    if architecture not in FAMILY_OF:
        if architecture in weights.known_to_timm():
            raise ValueError(
                f"{architecture!r} is known to timm, and not yet to explorer itself: pip install 'vision-explorer[timm]', "
                f"then create_model('timm/{name.strip()}')."
            )
        hint = _nearest(architecture.lower(), FAMILY_OF, weights.old_names())
        raise ValueError(f"Unknown model {architecture!r}.{hint} See explorer.list_models().")
    if tag and tag not in weights.tags(architecture):
        known = weights.tags(architecture)
        hint = _nearest(tag, known)
        raise ValueError(f"Unknown tag {tag!r} of {architecture!r}.{hint} Known: {', '.join(known) or 'none'}.")
    return architecture, tag


# --- models -----------------------------------------------------------------------------------------------


@checked(output_stride=whole(1, 64), drop_rate=number(), drop_path_rate=number(), checkpoint_path=path_or_empty,
         device=None)
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
) -> nn.Module:
    """A model by name, with random or with trained weights.

    name:            "resnet50", or with a tag "resnet50.a1_in1k"; see `list_models`. Also "torchvision/NAME",
                     "timm/NAME" (needs timm), "hf-hub:org/name" and "local-dir:folder" (timm's config.json and weights)
    pretrained:      load the published weights; never silently random: raises WeightsError where they can't be had
    num_classes:     size of the logits; None: as the weights have it; 0: pooled features instead of logits.
                     Another number than the weights' own puts a fresh classifier on top
    in_chans:        channels of the photo; None: as the weights have it, else what the architecture was made
                     for, 3 for all but LeNet-5 (1). Trained filters are adapted
    features_only:   return the maps of `out_indices` (see `explorer.models.features.FeatureNet`)
    output_stride:   32 (default), 16 or 8: trade stride for dilation, for dense prediction
    global_pool:     "avg", "max", "avgmax", "catavgmax", "" (none); transformers: "token", "avg"
    img_size:        side of the photo in pixels, or (height, width), where not the default: transformers are built for it,
                     and photos are prepared at that size for all
    checkpoint_path: your own .safetensors or PyTorch file, adapted exactly as published weights are. In a
                     training checkpoint the table of weights is found; "last.ckpt#teacher" says which
    options:         the family's own, e.g. `patch_size`; an unknown one raises TypeError

    Returns a `VisionModel` (or `FeatureNet`) in training mode, as PyTorch does: call `.eval()` to predict.
    Raises ValueError for an unknown name, with the nearest ones.
    """
    for option, value, least, most in (
        ("num_classes", num_classes, 0, weights.MOST_CLASSES), ("in_chans", in_chans, 1, weights.MOST_SIDE),
    ):
        if value is not None:
            _check_count(option, value, least, most)
    for option, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        if rate is not None and not 0 <= rate <= 1:  # None is timm's "as usual"
            raise ValueError(f"{option} is {rate}: it is a probability, so give 0 to 1.")
    if out_indices is not None and not features_only:
        raise ValueError("out_indices chooses the maps of features_only=True; add it, or leave out_indices away.")
    if device is not None:
        from explorer.models.contract import check_device

        check_device(device)
    cache_dir = None if cache_dir is None else given_path(cache_dir, "cache_dir")
    if global_pool is not None and not isinstance(global_pool, str):
        raise TypeError(f"global_pool is {global_pool!r}: give a word such as 'avg', not a {type(global_pool).__name__}.")
    img_size = _check_img_size(img_size)
    door, inside = split_door(name)
    if door in LIBRARIES:
        from explorer.models.doors.adapters import create_from_library

        model = create_from_library(
            door, inside, pretrained, num_classes=num_classes, in_chans=3 if in_chans is None else in_chans,
            cache_dir=cache_dir, checkpoint_path=checkpoint_path, output_stride=output_stride, global_pool=global_pool,
            drop_rate=drop_rate, drop_path_rate=drop_path_rate, img_size=img_size, **options)
        return _finish(model, features_only, out_indices, device, dtype)
    config = None
    if door:  # somebody's own configuration and weights, of an architecture that we know
        config, found = weights.open_door(door, inside, cache_dir)
        name = config.architecture
        library, _ = split_door(name)
        if library in LIBRARIES:
            model = _open_saved(library, config, found, pretrained, inside, num_classes=num_classes, in_chans=in_chans,
                                cache_dir=cache_dir, checkpoint_path=checkpoint_path, output_stride=output_stride,
                                global_pool=global_pool, drop_rate=drop_rate, drop_path_rate=drop_path_rate, img_size=img_size,
                                **options)
            return _finish(model, features_only, out_indices, device, dtype)
        _check_saved_name(name, door, inside)
        if in_chans is None and config.input_size[0] != 3:
            in_chans = config.input_size[0]  # as its weights have it
        if door == "local-dir" and pretrained:
            pretrained, checkpoint_path = False, found
    architecture, tag = check_name(name)
    if not door and (word := word_on_old_name(name)):
        warnings.warn(word, DeprecationWarning, stacklevel=2)
    checkpoint_path = checkpoint_path or None  # "" is timm's "none"
    whose = inside.rstrip("/\\").replace("\\", "/").rpartition("/")[2] if door == "local-dir" else inside if door else ""
    if pretrained and checkpoint_path is not None:
        raise ValueError("Give pretrained=True or checkpoint_path=, not both.")
    config = config.with_(architecture=architecture) if config else weights.config_for(architecture, tag)
    if not door and checkpoint_path is not None:
        config, whose = config.of_a_file(), Path(checkpoint_path).name
    elif not door and not pretrained:
        config = config.with_(build_options=())  # what the published weights need
    if features_only:  # no head, so no pooling that a head would need
        num_classes = 0
    wanted = dict(in_chans=in_chans, output_stride=output_stride, global_pool=global_pool, drop_rate=drop_rate,
                  drop_path_rate=drop_path_rate, img_size=img_size, **options)
    saved = dict(config.build_options)  # what a saved network was built with, unless something else is wanted now
    wanted |= {key: value for key, value in saved.items() if wanted.get(key) is None}
    if strange := [key for key in saved if wanted[key] is None]:
        raise weights.WeightsError(f"The network in '{inside}' was built with a {strange[0][:60]!r} of its own, which no file holds. "
                                   + _fill_it(inside))

    try:
        if pretrained or checkpoint_path is not None:
            model = _create_trained(architecture, config, num_classes, wanted, checkpoint_path, cache_dir,
                                    out_indices if features_only else False)
            if whose:  # no published weights: called by where they came from
                model.load_report.name = f"{architecture} ({whose})"
        else:
            classes = config.num_classes if num_classes is None else num_classes
            if door:
                check_room(architecture, inside, num_classes=config.num_classes, **(wanted | saved))
            model = _build(architecture, num_classes=classes, **wanted)
            model.config = config
    except Exception as error:
        if not saved or not door or isinstance(error, weights.WeightsError):
            raise
        asked = ", ".join(f"{key}={value!r}" for key, value in saved.items())[:200]
        raise weights.WeightsError(f"'{inside}' was saved from {architecture} built with {asked}, and it can't be built so here: "
                                   f"{error}") from error
    if model.num_classes != model.config.num_classes and (model.config.labels or model.config.outputs):
        model.config = model.config.without_head()  # they were those of a saved classifier
    model.config = model.config.with_(build_options=_options_to_keep(model, wanted))
    model.claim_head()
    if img_size is not None:
        _see_at(model, img_size)
    return _finish(model, features_only, out_indices, device, dtype)


def _open_saved(library, config, found, pretrained, inside, **options):
    """A saved model that came through another library's door."""
    from explorer.models.doors.adapters import open_saved

    state, origin = None, f"'{inside}'"
    if pretrained and options.get("checkpoint_path"):
        raise ValueError("Give pretrained=True or checkpoint_path=, not both.")
    if pretrained:
        state, origin = (weights.read_checkpoint(found), f"the file {found.name}") if found is not None else \
            weights.fetch(config, options["cache_dir"])
    return open_saved(library, config, state, origin, **options)


def _check_saved_name(architecture: str, door: str, inside: str) -> None:
    """Raise WeightsError for a folder whose network no name gives, with the way to open it all the same."""
    try:
        check_name(architecture)
    except ValueError as error:
        if door == "hf-hub":
            raise
        raise weights.WeightsError(f"{error} If it was built by hand: " + _fill_it(inside)) from error


def _fill_it(folder: str) -> str:
    return (f"build it again as it was, for example model = explorer.wrap(my_module), and explorer.load_run({folder!r}, "
            "model=model) puts the saved weights into it.")


def _options_to_keep(model, wanted):
    """What a saved model needs to be built again; a convolutional network takes photos of any size."""
    from explorer.models.doors.adapters import options_to_keep

    return options_to_keep({key: value for key, value in wanted.items() if key != "img_size" or type(model).fixed_image_size})


def _finish(model, features_only, out_indices, device, dtype):
    """What is done to every model at last, whichever door it came through."""
    if features_only:
        from explorer.models.features import FeatureNet

        model = FeatureNet(model, out_indices)
    if device is not None or dtype is not None:
        model = model.to(device=device, dtype=dtype)
    return model


def _check_count(option: str, value: Any, least: int, most: int) -> None:
    """Raise TypeError or ValueError unless `value` is a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{option} is {value!r}: give a whole number, not a {type(value).__name__}.")
    if value < least:
        raise ValueError(f"{option} is {value}: give {least} or more.")
    if value > most:
        raise ValueError(f"{option} is {value}: give {most:,} at most.")


def _check_img_size(size: Any) -> int | tuple[int, int] | None:
    """A side or (height, width) in pixels. Raises TypeError or ValueError for anything else."""
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if any(isinstance(side, bool) or not isinstance(side, Integral) for side in sides):
        raise TypeError(f"img_size is {size!r}: give the side of the photo in whole pixels, or (height, width).")
    if len(sides) != (2 if isinstance(size, (tuple, list)) else 1):
        raise ValueError(f"img_size is {size!r}: give one side in pixels, or (height, width).")
    if not all(1 <= side <= weights.MOST_SIDE for side in sides):
        raise ValueError(f"img_size is {size!r}: a side is from 1 to {weights.MOST_SIDE} pixels.")
    return tuple(map(int, sides)) if len(sides) == 2 else int(sides[0])


def _see_at(model: Any, size: int | tuple[int, int]) -> None:
    """Have photos prepared at that size. Raises ValueError where the network can't run on them.

    Tried without numbers: a network that is not built for one size may still shrink a small map to nothing.
    """
    import torch

    from explorer.models.blank import blank
    from explorer.models.contract import evaluation

    height, width = (size, size) if isinstance(size, int) else size
    if not type(model).fixed_image_size:
        shapes = {name: value.to("meta") for name, value in (*model.named_parameters(), *model.named_buffers())}
        try:
            with blank(), evaluation(model), torch.no_grad():
                torch.func.functional_call(model, shapes, (torch.empty(1, model.in_chans, height, width),))
        except RuntimeError:
            raise ValueError(f"{model.config.architecture} can't run on photos of {width} x {height} pixels: give a larger "
                             f"img_size, such as {model.config.input_size[1]}.") from None
    model.config = model.config.with_(input_size=(model.config.input_size[0], height, width), test_input_size=None)


def _build(architecture: str, /, **wanted: Any):
    """The family's class with the variant's row and what the user wants on top."""
    module = family_module(architecture)
    given = {key: value for key, value in wanted.items() if value is not None}
    if not module.MODEL.supports_output_stride:
        stride = given.pop("output_stride", 32)
        if stride != 32:
            raise ValueError(
                f"{architecture} can't trade stride for dilation: output_stride={stride} is not possible. "
                "Families that can: resnet and its relatives, efficientnet, mobilenetv3, regnet, convnext."
            )
    if "img_size" in given and not module.MODEL.fixed_image_size:
        del given["img_size"]  # a convolutional network takes any size
    try:
        return module.MODEL(**{**module.VARIANTS[architecture], **given})
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None or unknown[1] not in given:
            raise
        raise TypeError(f"{architecture} has no option {unknown[1]!r}. Its options: {_options(module.MODEL)}.") from None


def _options(model_class: type) -> str:
    """The options of a class, and of those above it that it hands the rest to."""
    import inspect

    names: dict[str, None] = {}  # keeps the order
    for each in model_class.__mro__:
        parameters = inspect.signature(each.__init__).parameters.values()
        names |= {p.name: None for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return ", ".join(names)


def check_room(name: str, inside: str, **wanted: Any) -> None:
    """Raise WeightsError where a stranger's settings ask for a network out of all proportion to its name.

    name:   an architecture, or one of a library, "timm/resnet18";  inside: where the settings are from
    wanted: the options of the network
    """
    from explorer.models.blank import TooLarge, blank

    if split_door(name)[0] in LIBRARIES:
        from explorer.models.doors import adapters

        return adapters.check_room(name, f"'{inside}'", None, **wanted)
    architecture, _ = check_name(name)
    try:
        with blank():
            usual = _build(architecture)
        with blank(weights.room_for(usual.state_dict())):
            _build(architecture, **wanted)
    except TooLarge as error:
        raise weights.WeightsError(f"The settings in '{inside}' ask for a {architecture} of {error}, which is "
                                   "out of all proportion: they are damaged, or not to be trusted.") from None


def _create_trained(architecture, config, num_classes, wanted, checkpoint_path, cache_dir, maps):
    """Build without numbers, then give the model the trained tensors.

    Their classifier is used where it has as many classes as wanted, or where nobody says how many; otherwise the
    body is loaded without it, and a fresh one goes on top.

    maps: the `out_indices` of a `features_only` net, which does without tensors that none of them needs;
          False for a whole model
    """
    from explorer.models.blank import TooLarge, blank

    if checkpoint_path is not None:
        found, origin = weights.read_checkpoint(checkpoint_path), f"the file {Path(checkpoint_path).name}"
    else:
        found, origin = weights.fetch(config, cache_dir)
    most = weights.room_for(found) if config.build_options else None  # a stranger's file says what to build
    try:
        with blank(most):
            model = _build(architecture, num_classes=0, **wanted)
            # another one: what `reset_classifier` puts on need not be what was trained; a head wants a pooling
            pool = wanted["global_pool"] or None
            whole = _build(architecture, num_classes=1009, **(wanted | {"global_pool": pool}))
    except TooLarge as error:
        raise weights.WeightsError(f"The settings beside {origin} ask for a {architecture} of {error}, and the "
                                   "file holds fewer: they don't belong together.") from None
    body = model.state_dict()
    head = weights.head_of(body, whole.state_dict(), 1009)
    choice = weights.choose(found, body, architecture)
    state, report = choice.state, weights.LoadReport(source=origin, name=config.name)
    report.found(choice)
    if wanted["in_chans"] is None and (channels := weights.channels_of(model, state)) != model.in_chans:
        wanted["in_chans"] = channels  # as its weights have it
        with blank(most):
            model = _build(architecture, num_classes=0, **wanted)

    # the classifier that the tensors themselves have, which may differ from the published one
    trained = head.classes(state)
    classes = trained if num_classes is None else num_classes
    if not trained and (others := [key for key in state if key not in body and head.is_part(key)]):
        report.skipped.append(f"the classifier of the file, which is of another make: {others[0][:80]}")
    elif classes != trained:
        found = f"the classifier of {trained} classes" if trained else "the classifier: the weights have none"
        report.skipped.append(f"{found}; the new one of {classes} is untrained" if classes else f"{found}: not asked for")
    elif not trained and config.num_classes and num_classes is None:
        report.skipped.append("the classifier: the weights have none, so the model gives pooled features")
    with blank():
        if classes == trained and trained:
            model.reset_classifier(trained)  # still on `meta`: room for the trained one
        if maps is not False:
            model.remove_head()
    own = model.state_dict()
    if classes != trained or not trained:
        state = {key: value for key, value in state.items()
                 if key in own or not (key in body or head.is_part(key))}

    model.config = config.with_(num_classes=trained)
    lacking = [key for key in model.state_dict() if key not in state] if maps is not False else []
    if lacking:
        from explorer.models.features import tensors_read

        needed = tensors_read(model, maps)
        lacking = [key for key in lacking if key not in needed]
    weights.load_into(model, state, report, lacking)
    if classes != trained:
        model.reset_classifier(classes)
    model.load_report = report
    return model
