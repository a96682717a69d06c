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
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, VisionModel, evaluation, parameter_place
from explorer.models.endings import Squash, Squashes
from explorer.models.outputs import check_kind, check_labels
from explorer.models.weights import LoadReport, WeightsError, adapt_input, download, download_url, fill, in_cache

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

    The module itself is kept in `.module` and not copied: training the wrapped model trains it. A softmax or sigmoid at
    its end is left out here, so that scores are logits as everywhere; `.module` still has it. Of "numbers" nothing is.
    A model that already keeps the contract is given back as it is; one that is told more of its labels or outputs, with
    these in its config. Raises TypeError for what is no module, ValueError where it can't be run, gives no scores, or gives
    other scores than `labels` or `outputs` say.
    """
    check_kind(outputs)
    if isinstance(module, VisionModel):
        return _told(module, labels, outputs)
    if not isinstance(module, nn.Module):
        raise TypeError(f"wrap takes a torch.nn.Module, not {type(module).__name__}.")
    size, watched = _first_run(module, input_size)
    in_chans = size[0]
    grey = in_chans != 3
    config = ModelConfig(
        architecture=name or type(module).__name__, input_size=size, fixed_input_size=True, crop_pct=1.0,
        mean=tuple(mean) if mean is not None else (0.5,) * in_chans if grey else ModelConfig().mean,
        std=tuple(std) if std is not None else (0.5,) * in_chans if grey else ModelConfig().std,
        outputs=_kind_of(watched, outputs), labels=(), num_classes=watched.scores,
    )
    return _told(WrappedModel(module, watched, config), labels, config.outputs)


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


# --- watching a module run ----------------------------------------------------------------------------------


class Call(NamedTuple):
    """One module's turn: its path and class, and the shapes of what went in and came out (batch left out)."""

    path: str
    kind: type
    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]


class Watched(NamedTuple):
    """What one run showed."""

    calls: list[Call]
    input_size: tuple[int, int, int]
    scores: int  # K of the result [B, K]
    ending: str = ""  # what follows the last linear layer: "" nothing, "softmax", "sigmoid", or "other"
    squash: Squash | None = None  # what the result is of whatever came before it, where it is known


def _first_run(module: nn.Module, input_size: int | Sequence[int] | None) -> tuple[tuple[int, int, int], Watched]:
    """The input size that works, and what happened."""
    in_chans = next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)
    if input_size is None:
        sizes = [(in_chans, side, side) for side in (224, 96, 64, 32, 28)]
    elif isinstance(input_size, int):
        sizes = [(in_chans, input_size, input_size)]
    else:
        sizes = [tuple(int(n) for n in input_size)]
        if len(sizes[0]) != 3:
            raise ValueError(f"input_size is {tuple(input_size)}: give (channels, height, width), or one side in pixels.")
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
    calls: list[Call] = []
    linear: list[Tensor] = []  # what the last linear layer gave

    def note(path: str):
        def hook(part: nn.Module, inputs: tuple, output: Any) -> None:
            if isinstance(part, nn.Linear):
                linear[:] = [output.clone()]  # the next step may work in place
            if isinstance(output, Tensor):
                given = inputs[0].shape[1:] if inputs and isinstance(inputs[0], Tensor) else ()
                calls.append(Call(path, type(part), tuple(given), tuple(output.shape[1:])))
        return hook

    hooks = [m.register_forward_hook(note(path)) for path, m in module.named_modules() if path]
    noise = torch.rand(1, *input_size, generator=torch.Generator().manual_seed(0))
    try:
        with evaluation(module), torch.no_grad(), Squashes() as squashes:
            result = module(noise.to(**parameter_place(module)))
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(result, Tensor) or result.ndim != 2:
        found = f"of shape {list(result.shape)}" if isinstance(result, Tensor) else f"of type {type(result).__name__}"
        raise ValueError(
            f"{type(module).__name__} gives a result {found}; explorer needs one row of scores for each photo, [B, K]. "
            "Add a pooling and a linear layer, or wrap the classifying part."
        )
    ending = ending_of(result, linear[0]) if linear else ""
    return Watched(calls, input_size, result.shape[1], ending, squashes.behind(result))


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


def map_layout(shape: tuple[int, ...]) -> str:
    """"NCHW" or "NHWC" for the shape of a map without its batch, "" for what is no map with more than one place.

    The run is on a square photo: the two equal numbers are height and width.
    """
    if len(shape) != 3:
        return ""
    if shape[1] == shape[2] and shape[1] > 1:
        return "NCHW"
    return "NHWC" if shape[0] == shape[1] and shape[0] > 1 else ""


def find_stages(watched: Watched) -> tuple[list[Stage], list[str]]:
    """(stages, the layout of each one's map).

    A stage is what the outermost module gives just before the map shrinks, and at the very end. A transformer's map
    never shrinks: there every block is a stage.
    """
    side_in = max(watched.input_size[1:])
    found: list[tuple[Stage, str, int]] = []
    for call in watched.calls:
        layout = map_layout(call.shape_out)
        if not layout:
            continue
        # [C, H, W] or [H, W, C]
        channels, side = call.shape_out[0 if layout == "NCHW" else 2], call.shape_out[1]
        if found and side > found[-1][2]:
            continue  # a map that grows again is no further stage of a backbone
        if found and side == found[-1][2]:
            if call.path.count(".") > found[-1][0].module.count("."):
                continue  # the first layers inside the next stage, before that one shrinks the map
            found.pop()
        found.append((Stage(call.path, call.path, channels, reduction(side_in, side)), layout, side))
    if len(found) < 2 and (blocks := find_blocks(watched)):
        return blocks, ["NLC"] * len(blocks)
    return [stage for stage, _, _ in found], [layout for _, layout, _ in found]


def reduction(side_in: int, side: int) -> int:
    """The stride between two sides; unpadded layers lose a few pixels, so 299 to 35 is a stride of 8."""
    return side_in // side if side_in % side == 0 else 2 ** round(math.log2(side_in / side))


def is_pyramid(stages: Sequence[Stage]) -> bool:
    """Whether each stage's map is smaller than the one before."""
    return bool(stages) and len({stage.reduction for stage in stages}) == len(stages)


def find_blocks(watched: Watched) -> list[Stage]:
    """The blocks of a transformer: the longest row of equal modules that turn tokens [N, C] into as many tokens."""
    rows: dict[tuple, list[Call]] = {}
    for call in watched.calls:
        if len(call.shape_out) == 2 and call.shape_in == call.shape_out and call.shape_out[0] > 3:
            rows.setdefault((call.path.rpartition(".")[0], call.kind, call.shape_out), []).append(call)
    blocks = max(rows.values(), key=len, default=[])
    if len(blocks) < 2:
        return []
    tokens, channels = blocks[0].shape_out
    stride = reduction(max(watched.input_size[1:]), math.isqrt(tokens))
    return [Stage(call.path, call.path, channels, stride) for call in blocks]


def to_map(output: Tensor, layout: str) -> Tensor:
    """A copy of a stage's output as a map [B, C, H, W]; of tokens the last square number are the patches."""
    if layout == "NHWC":
        output = output.permute(0, 3, 1, 2)
    elif layout == "NLC":
        side = math.isqrt(output.shape[1])
        output = output[:, -side * side:].transpose(1, 2).unflatten(2, (side, side))
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
        hook = self.get_classifier().register_forward_hook(lambda _module, _inputs, output: scores.append(output.clone()))
        try:
            self.module(x)
        finally:
            hook.remove()
        return scores[-1]

    def _unsquashed(self, result: Tensor) -> Tensor:
        return result if self._undone is None else self._undone.undo(result)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        """The maps of one whole run: a foreign module can't be stopped half-way, but it runs only once."""
        kept: dict[str, Tensor] = {}

        def keep_map(path: str, layout: str):
            def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
                kept[path] = to_map(output, layout)
            return hook

        hooks = [
            self.module.get_submodule(stage.module).register_forward_hook(keep_map(stage.name, layout))
            for stage, layout in zip(self.stages, self._layouts)
        ]
        if self.classifier_path and self._ending != "other":
            hooks.append(self.get_classifier().register_forward_pre_hook(
                lambda _module, inputs: kept.__setitem__("", inputs[0])))
        try:
            scores = self._unsquashed(self.module(x))
        finally:
            for hook in hooks:
                hook.remove()
        for stage in self.stages:
            yield kept[stage.name]
        return kept.get("", scores)

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
    if options.pop("checkpoint_path", None) is not None:
        raise ValueError(f"checkpoint_path is for explorer's own families. Load the file into {library}/{name} yourself.")
    model = create(name, pretrained, num_classes=num_classes, in_chans=in_chans, **options)
    model.config = model.config.with_(built_as=f"{library}/{name}", build_options=options_to_keep(options))
    return model


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
    try:
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
    fill(model, state, model.load_report, in_chans=trained)
    return _with_classes(model, num_classes)


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
        import difflib

        near = difflib.get_close_matches(architecture, known, n=3)
        hint = f" Did you mean {' or '.join(repr(f'torchvision/{n}') for n in near)}?" if near else ""
        raise ValueError(f"torchvision has no classifier {architecture!r}.{hint}")
    published = models.get_model_weights(architecture)
    if tag and tag not in published.__members__:
        raise ValueError(f"Unknown tag {tag!r} of torchvision/{architecture}. Known: {', '.join(published.__members__)}.")
    entry = published[tag] if tag else published.DEFAULT
    config = _torchvision_config(architecture, entry)
    report = None
    with torch.random.fork_rng(devices=[], enabled=pretrained):
        module = models.get_model(architecture, weights=None, num_classes=config.num_classes, **_plain(options, architecture))
    if pretrained:
        state = download_url(entry.url, cache_dir)  # kept where torchvision keeps it; read as tensors only
        module.load_state_dict({k: v for k, v in state.items() if k in module.state_dict()}, strict=True)
        report = LoadReport(f"torchvision's {entry}", name=config.name, loaded=len(state))
    if in_chans != 3:
        first = _adapt_first_conv(module, in_chans)
        config = config.with_(input_size=(in_chans, *config.input_size[1:]))
        if report:
            report.adapted.append(f"{first}: from 3 to {in_chans} input channels")
    model = WrappedModel(module, watch(module, config.input_size), config)
    model.load_report = report
    return _with_classes(model, num_classes)


def _plain(options: dict[str, Any], architecture: str) -> dict[str, Any]:
    """The options that were given, without explorer's own that a foreign model does not know."""
    given = {key: value for key, value in options.items() if value not in (None, 0.0)}
    for key in ("output_stride", "global_pool", "drop_path_rate", "img_size"):
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
    given = {key: value for key, value in options.items() if value is not None and value != 0.0}
    if num_classes is not None:
        given["num_classes"] = num_classes
    cfg = timm.get_pretrained_cfg(name)
    config = ModelConfig.from_dict(cfg.to_dict()) if cfg is not None else ModelConfig()
    config = config.with_(architecture=f"timm/{name.partition('.')[0]}")
    if pretrained and config.hf_hub_id:  # fetched first, so that being offline is a sentence, at once
        in_cache(config, cache_dir) or download(config, cache_dir)
        given["cache_dir"] = cache_dir
    module = timm.create_model(name, pretrained=pretrained, in_chans=in_chans, **given)
    size = tuple(module.pretrained_cfg.get("input_size", config.input_size))
    labels = config.labels if module.num_classes == config.num_classes else ()  # a fresh head's classes have no names
    config = config.with_(input_size=(in_chans, *size[1:]), num_classes=module.num_classes, labels=labels)
    tells = tells_its_stages(module, config.input_size)
    model = TimmModel(module, config) if tells else WrappedModel(module, watch(module, config.input_size), config)
    if pretrained:
        model.load_report = LoadReport(f"timm's {cfg.hf_hub_id or cfg.url}", name=config.name,
                                       loaded=len(module.state_dict()))
    return model


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
    model.config = model.config.without_head()
    model.claim_head()
    return model


