"""What a person gives to a public function, checked at its door.

The same name means the same thing everywhere in explorer: `batch_size` is a whole number from 1,
`on_progress` a function, `cache_dir` a folder. So the rules stand here once, by name, and a public function
says `@checked`:

    @checked
    def predict(model, images, *, topk=5, batch_size=32): ...

    @checked(photos=whole())
    def find_lr(model, data, *, photos=512): ...          # elsewhere `photos` are pictures

A wrong value is answered at the call, before anything runs, by one sentence that names the argument, the
value and what is expected. What only the function itself can judge (a model, a picture, a stage's name) it
judges itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, TypeVar, overload

Rule = Callable[[str, Any], None]
Public = TypeVar("Public", bound=Callable[..., Any])

MOST = 2**31 - 1  # of anything that is counted
MOST_SIDE = 65_535  # pixels of one side of a photo


def shown(value: Any) -> str:
    """A value as it is written in a sentence: whole where it is short, else its beginning or its type."""
    if getattr(value, "shape", None) is not None and hasattr(value, "dtype"):
        return f"a {type(value).__name__} of shape {list(value.shape)}"
    plain = (str, bytes, int, float, bool, list, tuple, dict, type(None))
    if isinstance(value, (list, tuple)) and value and not all(isinstance(one, plain) for one in value):
        return f"a {type(value).__name__} of {len(value)}, the first a {type(value[0]).__name__}"
    text = repr(value) if isinstance(value, plain) else \
        f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind_in_words(value: Any) -> str:
    """What somebody gave in a network's place: the name of its type; of a class how to make a network."""
    if isinstance(value, type):
        return f"the class {value.__name__}: make a network of it, {value.__name__}(...)"
    return type(value).__name__


def whole(least: int = 1, most: int = MOST) -> Rule:
    """A whole number, `least` to `most`."""
    def rule(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise _kind(value)(f"{name} is {shown(value)}: expected a whole number from {least}.")
        if not least <= value <= most:
            limits = f"from {least}" if value < least else f"of {most:,} at most"
            raise ValueError(f"{name} is {shown(value)}: expected a whole number {limits}.")
    return rule


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> Rule:
    """A finite number, `low` to `high`; above: `low` itself is too little."""
    def rule(name: str, value: Any) -> None:
        if above:
            wanted = f"a number above {low:g}".replace(" above 0", " above zero")
        else:
            wanted = f"a number from {low:g}" if low > -math.inf else "a number"
        wanted += f" to {high:g}" if high < math.inf else ""
        if isinstance(value, bool) or not isinstance(value, Real):
            raise _kind(value)(f"{name} is {shown(value)}: expected {wanted}.")
        if not math.isfinite(value) or not low <= value <= high or above and value == low:
            raise ValueError(f"{name} is {shown(value)}: expected {wanted}.")
    return rule


def numbers(name: str, value: Any) -> None:
    """A row of finite numbers, at least one."""
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable):
        raise _kind(value)(f"{name} is {shown(value)}: expected a list of numbers, such as (0, 0.1, 0.2).")
    for one in value if hasattr(value, "__len__") else ():
        if isinstance(one, (bool, str)) or not hasattr(one, "__float__") or not _finite(one):
            raise ValueError(f"{name} holds {shown(one)}: expected a list of numbers, such as (0, 0.1, 0.2).")


def counts(name: str, value: Any) -> None:
    """A row of whole numbers from 1, which may be empty."""
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable) or hasattr(value, "dtype"):
        raise _kind(value)(f"{name} is {shown(value)}: expected a list of whole numbers, such as (1, 2, 5).")
    for one in value:
        if isinstance(one, bool) or not isinstance(one, Integral) or not 1 <= one <= MOST:
            raise ValueError(f"{name} holds {shown(one)}: expected numbers of photos, from 1, "
                             "such as (1, 2, 5).")


def batch(name: str, value: Any) -> None:
    """Photos as a tensor [B, C, H, W]."""
    if getattr(value, "ndim", None) != 4 or not hasattr(value, "is_floating_point"):
        raise _kind(value)(f"{name} is {shown(value)}: expected photos as a tensor [B, C, H, W].")


def size(name: str, value: Any, *, sides: tuple[int, ...] = (1, 2, 3, 4)) -> None:
    """A photo's size: the side in pixels, (height, width) or (channels, height, width); some take a batch
    before it.
    """
    wanted = "(channels, height, width)"
    if sides != (3,):
        wanted = f"the side in pixels, (height, width) or {wanted}"
    row = (value,) if isinstance(value, Integral) else value
    if not isinstance(row, Iterable) or isinstance(row, (str, bytes, dict)) or hasattr(row, "dtype"):
        raise _kind(value)(f"{name} is {shown(value)}: expected {wanted}.")
    row = tuple(row)
    if len(row) not in sides or not all(isinstance(n, Integral) and not isinstance(n, bool)
                                        and 1 <= n <= MOST_SIDE for n in row):
        raise ValueError(f"{name} is {shown(value)}: expected {wanted}, "
                         f"whole numbers from 1 to {MOST_SIDE:,}.")


def photo_size(name: str, value: Any) -> None:
    """(channels, height, width)."""
    size(name, value, sides=(3,))


def flag(name: str, value: Any) -> None:
    """Yes or no: True, False, or 1 and 0."""
    if (not (isinstance(value, (bool, Integral)) or type(value).__name__ in ("bool", "bool_"))
        or value not in (0, 1)):
        raise _kind(value)(f"{name} is {shown(value)}: expected True or False.")


def function(name: str, value: Any) -> None:
    """Something that can be called."""
    if not callable(value) or isinstance(value, type):
        raise _kind(value)(f"{name} is {shown(value)}: expected a function, or None.")


def path(name: str, value: Any) -> None:
    """A file or folder."""
    from explorer.files import given_path  # not above: a list of names needs no files, and is there sooner

    given_path(value, name)


def path_or_empty(name: str, value: Any) -> None:
    """A file or folder; "" is timm's word for none."""
    if not isinstance(value, str) or value:
        path(name, value)


def word(name: str, value: Any) -> None:
    """Text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: expected text, such as 'resnet50'."
                        if name in ("name", "family") else f"{name} is {shown(value)}: expected text.")


def words(name: str, value: Any) -> None:
    """Text, or a list of texts."""
    if isinstance(value, str):
        return
    if not isinstance(value, Iterable) or isinstance(value, (bytes, dict)) or hasattr(value, "dtype") \
            or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} is {shown(value)}: expected text, or a list of texts.")


def device(name: str, value: Any) -> None:
    """Where torch computes: "cpu", "cuda", "cuda:1", "mps", a torch.device; one that is here."""
    import torch

    if isinstance(value, torch.device):
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: expected 'cpu', 'cuda' or a torch.device.")
    try:
        found = torch.device(value)
    except RuntimeError:
        raise ValueError(f"{name} is {shown(value)}: expected 'cpu', 'cuda', 'cuda:0' or another of torch's "
                         "devices.") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{name} is {value!r}, and no GPU can be used here: take 'cpu'.")


def dtype(name: str, value: Any) -> None:
    """A type of torch's floating-point numbers."""
    import torch

    if not isinstance(value, torch.dtype) or not value.is_floating_point:
        raise _kind(value)(f"{name} is {shown(value)}: expected torch.float32, "
                           "torch.bfloat16 or another type of floating-point numbers.")


def network(name: str, value: Any) -> None:
    """A module of torch's."""
    import torch

    if not isinstance(value, torch.nn.Module):
        raise TypeError(f"{name} is {shown(value)}: expected a network, a torch.nn.Module.")


def _kind(value: Any) -> type[Exception]:
    """A word where a number belongs is another type; a number of the wrong size is another value."""
    return ValueError if isinstance(value, (int, float)) else TypeError


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


#: What each name stands for, wherever a public function has an argument of that name.
RULES: dict[str, Rule] = {
    **dict.fromkeys(("batch_size", "repeats", "steps", "draws", "cell", "columns", "limit", "max_pixels",
                     "count"), whole()),
    "warm_up": whole(0), "channels": whole(1, 8192), "seed": whole(0, 2**63 - 1), "epoch": whole(0),
    **dict.fromkeys(("on_progress", "should_stop", "on_event", "on_rate", "on_trial", "listener"), function),
    **dict.fromkeys(("pretrained", "features_only", "resume", "measure", "tta", "channels_last"), flag),
    **dict.fromkeys(("cache_dir", "run_dir", "checkpoint_path", "storage", "path"), path),
    **dict.fromkeys(("filter", "exclude_filters", "modules"), words),
    **dict.fromkeys(("family", "task", "up_to"), word),
    "input_size": size, "device": device, "dtype": dtype, "step": number(0, above=True), "timeout": number(0),
    "values": numbers,
}


@overload
def checked(public: Public, /) -> Public: ...


@overload
def checked(**own: Rule | None) -> Callable[[Public], Public]: ...


def checked(public: Callable[..., Any] | None = None, /, **own: Rule | None) -> Callable[..., Any]:
    """A public function whose arguments are checked by `RULES` first; own: rules of this function alone, None
    for none.

    None passes where it is the argument's default. Methods too: `self` has no rule.
    """
    if public is None:
        return functools.partial(checked, **own)

    @functools.cache
    def signature_and_rules() -> tuple[Any, dict[str, tuple[Rule, Any]]]:
        import inspect  # not above: a list of names needs none of it, and is there sooner

        signature, rules = inspect.signature(public), {}
        for parameter in signature.parameters.values():
            rule = own.get(parameter.name, RULES.get(parameter.name))
            if rule is not None:
                rules[parameter.name] = rule, parameter.default
        return signature, rules

    @functools.wraps(public)
    def function_at_its_door(*args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            return public()
        signature, rules = signature_and_rules()
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{public.__name__}: {error}. {_taken(signature, kwargs)}") from None
        for name, (rule, default) in rules.items():
            if name in given and given[name] is not default and not _is_none_too(given[name], default):
                rule(name, given[name])
        return public(*args, **kwargs)

    return function_at_its_door


def _taken(signature: Any, given: Iterable[str]) -> str:
    """What a function takes, as a sentence: by place, and by name alone."""
    from explorer.display.words import did_you_mean  # not above: a list of names is there sooner

    named = {one.name: one for one in signature.parameters.values() if one.name != "self"}
    by_name = [name for name, one in named.items() if one.kind is one.KEYWORD_ONLY]
    by_place = [name for name, one in named.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    unknown = next((name for name in given if name not in named), "")
    hint = did_you_mean(unknown, named) if unknown else ""
    also = f"{', and' if by_place else ''} by name {', '.join(by_name)}" if by_name else ""
    return f"It takes {', '.join(by_place)}{also}.{hint}" if named else "It takes nothing."


def _is_none_too(value: Any, default: Any) -> bool:
    """timm's callers say None for "as usual" where the default is something else, such as a rate of 0."""
    return value is None and (default is None or default is False or isinstance(default, float))


__all__ = ["MOST", "RULES", "batch", "checked", "counts", "device", "dtype", "flag", "function", "network",
           "number", "numbers", "path", "path_or_empty", "photo_size", "shown", "size", "whole", "word",
           "words"]
