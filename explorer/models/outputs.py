"""What the numbers at the end of a network mean: one class of several, yes or no, several, or numbers.

The same row of raw scores [B, W] can be read in four ways. Which one is right is a fact of the head, like the
names of its classes, and is kept beside them in the model's `config`; whoever shows, compares, explains or
judges an answer asks the `Outputs` of the model, and nobody else knows a softmax from a sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from torch import Tensor

#: kind -> what it says, in a word for a person
KINDS = {
    "one": "one of the classes (softmax)",
    "yes/no": "yes or no (one sigmoid)",
    "several": "several classes at once (a sigmoid for each)",
    "numbers": "numbers (regression)",
}


@dataclass(frozen=True)
class Outputs:
    """How to read the raw scores [..., W] of one head.

    kind:   one of `KINDS`
    labels: the K classes' names in index order, or the names of the numbers. K is W, but for "yes/no": there
            one score tells of two classes, (no, yes)
    named:  whether the names are the head's own; False where they only count ("class 0", "class 1", ...)
    mean, std: "numbers" alone: what a raw score of 0 stands for in the number's own unit, and a step of 1.
            One each
    """

    kind: str
    labels: tuple[str, ...]
    named: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __len__(self) -> int:
        """How many classes, or numbers: K."""
        return len(self.labels)

    @property
    def width(self) -> int:
        """How many raw scores: W."""
        return 1 if self.kind == "yes/no" else len(self.labels)

    @property
    def numbers(self) -> bool:
        return self.kind == "numbers"

    @property
    def noun(self) -> str:
        """What one of them is: "class" or "number"."""
        return "number" if self.numbers else "class"

    @property
    def squash(self) -> str:
        """What makes shares of the scores: "softmax", "sigmoid", or "" for numbers."""
        return {"one": "softmax", "numbers": ""}.get(self.kind, "sigmoid")

    @property
    def meaning(self) -> str:
        """What a reader of the answers must know of them, in a sentence; "" for the usual one of several
        classes.
        """
        if self.several:
            return ("Each class has a share of its own (sigmoid): several may be there at once, so the "
                    "shares don't add up to 100 %.")
        if self.kind == "yes/no":
            no, yes = self.labels
            return f"One score, made the share of “{yes}” by a sigmoid; the rest is that of “{no}”."
        if self.numbers:
            unit = ", in their own unit" if self.std else ""
            return f"Numbers that the model works out, not shares of classes{unit}."
        return ""

    @property
    def several(self) -> bool:
        return self.kind == "several"

    def probabilities(self, raw: Tensor) -> Tensor:
        """Raw scores [..., W] -> probabilities [..., K]; they add up to 1, but for "several".

        Raises ValueError for numbers, which have none.
        """
        return self.log_probabilities(raw).exp()

    def log_probabilities(self, raw: Tensor) -> Tensor:
        """The same in logarithms, which stay right where a probability would round to 0 or 1."""
        import torch
        from torch.nn import functional as F

        if self.numbers:
            raise ValueError("This model gives numbers, which have no probability: ask for `values`.")
        if self.several:
            return F.logsigmoid(raw)
        return F.logsigmoid(torch.cat((-raw, raw), -1)) if self.kind == "yes/no" else raw.log_softmax(-1)

    def log_contraries(self, raw: Tensor) -> Tensor:
        """log(1 - p) of each class, [..., K]: exact for a sigmoid.

        Of one of several classes the others together.
        """
        from torch.nn import functional as F

        if self.several:
            return F.logsigmoid(-raw)
        if self.kind == "yes/no":
            return self.log_probabilities(-raw)
        shares = raw.double().softmax(-1)  # in float32 a share near 1 would leave nothing to the others
        return (shares.sum(-1, keepdim=True) - shares).clamp_min(1e-30).log().to(raw.dtype)

    def evidence(self, raw: Tensor) -> Tensor:
        """Raw scores [..., W] -> [..., K]: for each class the score that grows with it, as heat maps ask for.

        Of a yes or no the score speaks for the yes, and its contrary for the no. Numbers are in their own
        unit.
        """
        import torch

        if self.kind == "yes/no":
            return torch.cat((-raw, raw), -1)
        return self.values(raw) if self.numbers else raw

    def likeliest(self, raw: Tensor) -> Tensor:
        """Raw scores [..., W] -> [...]: the index of the class that is shown when nobody asks for one; the
        first number.
        """
        import torch

        scores = self.evidence(raw)
        return torch.zeros_like(scores[..., 0], dtype=torch.long) if self.numbers else scores.argmax(-1)

    def log_odds(self, raw: Tensor, index: int) -> Tensor:
        """Raw scores [..., W] -> [...]: log(p / (1 - p)) of one class, exact where 1 - p would round to 0; a
        number as it is.

        It grows with the class's probability, and has a slope where a network is entirely sure.
        """
        import torch

        scores = self.evidence(raw)
        if self.kind != "one":
            return scores[..., index]
        others = torch.cat((scores[..., :index], scores[..., index + 1:]), -1)
        return scores[..., index] - others.logsumexp(-1)

    def values(self, raw: Tensor) -> Tensor:
        """Raw scores of "numbers" in their own unit, [..., K]. Raises ValueError for classes.

        In the precision of `raw`: a date in seconds has more digits than a float32.
        """
        if not self.numbers:
            raise ValueError("This model tells classes, which are no numbers: ask for `probabilities`.")
        if not self.std:
            return raw
        return raw * raw.new_tensor(self.std) + raw.new_tensor(self.mean)


@overload
def check_kind(kind: None, width: int | None = None) -> None: ...


@overload
def check_kind(kind: str, width: int | None = None) -> str: ...


def check_kind(kind: Any, width: int | None = None) -> str | None:
    """A kind of output as it is, None too.

    Raises ValueError for another word, or one that `width` scores can't be.
    """
    if kind is None:
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"outputs is {kind!r}: expected one of {', '.join(map(repr, KINDS))}.")
    if kind == "yes/no" and width not in (None, 1):
        raise ValueError(f"outputs='yes/no' is one score, and this model gives {width}: for a yes or no each "
                         "take 'several'.")
    if kind == "one" and width == 1:
        raise ValueError("outputs='one' tells several classes apart, and this model gives a single score: "
                         "take 'yes/no', or 'numbers' where it is a number.")
    return kind


def can_be(kind: Any, width: int) -> bool:
    """Whether a head of `width` scores can be of this kind."""
    try:
        return check_kind(kind, width) is not None
    except ValueError:
        return False


def check_labels(labels: Any, width: int | None, kind: str = "one") -> tuple[str, ...] | None:
    """Names for `width` scores as a tuple of strings; None stays None. Numbers become words.

    A yes or no takes two names, (no, yes), or the yes alone: ["cat"] stands for "not cat" and "cat".
    Raises TypeError for what is no row of names, ValueError for another count than the scores' or an empty
    name.
    """
    if labels is None:
        return None
    if isinstance(labels, (bytes, dict, set, frozenset)) or not hasattr(labels, "__iter__"):
        raise TypeError(f"labels is a list of class names in index order, not {type(labels).__name__}.")
    if isinstance(labels, str) and width != len(labels):  # "0123456789" is ten names of one sign
        raise TypeError(f"labels is a list of class names in index order, not one string ({labels!r}).")
    given = tuple(labels)
    names = tuple(str(label) for label in given)
    if empty := [index for index, name in enumerate(names) if given[index] is None or not name.strip()]:
        raise ValueError(f"labels has no name for index {empty[0]} ({given[empty[0]]!r}): give each class a "
                         "name.")
    if kind == "yes/no":
        if len(names) == 1:
            names = (f"not {names[0]}", names[0])
        if len(names) != 2:
            raise ValueError(f"labels names {len(names)} classes for a yes or no: give two, (no, yes), or "
                             "the yes alone.")
    elif width is not None and len(names) != width:
        raise ValueError(f"labels names {len(names)} classes, but this model has {width}: give one name for "
                         "each.")
    return names


def read_outputs(config: Any, width: int, standard: Sequence[str] | None = None) -> Outputs:
    """The `Outputs` of a head of `width` scores, by the facts in its config.

    standard: well-known names of that many classes, for a head that claims no names of its own
              (config.labels None)
    """
    kind = config.outputs or "one"
    if kind == "one" and width == 1:
        kind = "yes/no"  # a softmax of one score is 1 whatever it is
    count = 2 if kind == "yes/no" else width
    labels = config.labels
    if labels and len(labels) == count:
        named = True
    elif (labels is None and standard is not None and kind in ("one", "several")
          and config.num_classes == width == len(standard)):
        labels, named = tuple(standard), True
    else:
        labels, named = default_names(kind, width), False
    scale = len(config.number_mean) == len(config.number_std) == width and kind == "numbers"
    mean, std = (config.number_mean, config.number_std) if scale else ((), ())
    return Outputs(kind, tuple(labels), named, mean, std)


def default_names(kind: str, width: int) -> tuple[str, ...]:
    """What the outputs of a head without names are called."""
    if kind == "yes/no":
        return "no", "yes"
    if kind == "numbers":
        return ("number",) if width == 1 else tuple(f"number {index}" for index in range(width))
    return tuple(f"class {index}" for index in range(width))


__all__ = ["KINDS", "Outputs", "can_be", "check_kind", "check_labels", "default_names", "read_outputs"]
