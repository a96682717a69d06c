"""What a reader may ask a dashboard for, checked before anything is opened."""

from __future__ import annotations

from typing import Any

from explorer.arguments import kind_in_words

MAX_COMPARED = 8  # more do not fit beside each other on a screen


def check_model(model: Any, input_size: Any = None) -> Any:
    """A known name as it is; any module behind explorer's contract.
    Raises ValueError or TypeError with the fix.
    """
    if isinstance(model, str):
        from explorer.models.names import check_name, split_door

        if not split_door(model)[0]:  # what is behind a door is known when it is opened
            check_name(model)
        return model.strip()
    from torch import nn

    from explorer.models.doors.wrapping import wrap

    if not isinstance(model, nn.Module):
        raise TypeError("A model is a name such as 'resnet50' or a torch.nn.Module that you built, not "
                        f"{kind_in_words(model)}.")
    return wrap(model, input_size=input_size)


def check_second(model: Any, input_size: Any) -> Any:
    """`check_model` for a second model: of the first one's input size where it can take that, else of its
    own, as it may read other channels.
    """
    try:
        return check_model(model, input_size)
    except ValueError:
        return check_model(model)


def check_two(model: Any, models: Any) -> tuple[Any, Any]:
    """(the first model, the second or None) of what a Dashboard was given. Raises ValueError for more."""
    if models is None:
        return model, None
    given = list(models) if isinstance(models, (list, tuple)) else [models]
    if not 1 <= len(given) <= 2:
        raise ValueError(f"models= takes two models to put side by side, not {len(given)}: tick more than "
                         "two for the tab Compare.")
    return given[0], given[1] if len(given) == 2 else None


def check_compared(names: Any) -> tuple[str, ...]:
    """Names of models to compare, checked. Raises ValueError or TypeError with the fix."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError("Models to compare are given by name, such as 'resnet50', not as "
                            f"{type(name).__name__}.")
    names = tuple(check_model(name) for name in names)
    if len(names) > MAX_COMPARED:
        raise ValueError(f"At most {MAX_COMPARED} models are compared at a time, not {len(names)}: "
                         "take some away.")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is there twice: name each model once.")
    return names


def check_labels(labels: Any, model: Any) -> tuple[str, ...] | None:
    """Class names as a tuple of strings. Raises ValueError or TypeError where they can't be the model's."""
    from explorer.models import outputs

    # a row of names that is one word is a slip, even where it has as many letters
    if isinstance(labels, str):
        raise TypeError(f"labels is a list of class names in index order, not one string ({labels!r}).")
    if isinstance(model, str):
        from explorer.models.names import check_name, split_door
        from explorer.models.weights.table import config_for

        if split_door(model)[0]:  # what is behind a door is known when it is opened
            return outputs.check_labels(labels, None)
        return outputs.check_labels(labels, config_for(*check_name(model)).num_classes or None)
    if model is None:
        return outputs.check_labels(labels, None)
    model.notice_head()
    width = model.num_classes
    return outputs.check_labels(labels, width, model.config.outputs or ("yes/no" if width == 1 else "one"))
