"""Labels and pictures of other people's datasets: rows of (picture, label), or of "image" and "label".

    labels, names = labels_of_rows(Subset(ImageFolder("pets"), [3, 1, 4]))      # (0, 0, 1), ('cat', 'dog')

A dataset that is made of others (Subset, random_split, ConcatDataset, a wrapper) has their names.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from explorer.data.folders import DataError, listed
from explorer.data.images import ImageError, load_image

# One class, or all that a photo shows (multi-label), or its numbers.
Label = int | tuple[int, ...] | tuple[float, ...]

PICTURE_KEYS = ("image", "img", "picture", "photo", "pixel_values", "x")
LABEL_KEYS = ("label", "labels", "target", "targets", "class", "category", "y", "fine_label", "coarse_label")
# Where a wrapper keeps what it wraps.
INSIDE = ("dataset", "subset", "base", "base_dataset", "ds", "data", "inner", "source")
MOST_CLASSES = 100_000


@dataclass(frozen=True)
class FromDataset:
    """Opens the picture of a row."""

    dataset: Any = field(repr=False)

    def __call__(self, index: int) -> Image.Image:
        try:
            picture = _of_row(self.dataset, index, PICTURE_KEYS, 0)
        except DataError as error:
            raise ImageError(str(error)) from error
        return load_image(picture)


def labels_of_rows(dataset: Any) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """(the label of each row, the names of all classes): "class 0", "class 1", ... where nobody names them.

    Raises DataError for what is no dataset, and for the first row whose label means no class.
    """
    kind = type(dataset).__name__
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        if hasattr(dataset, "__iter__") and not isinstance(dataset, (str, bytes)):
            raise DataError(f"{kind} is a stream of rows, whose number nobody knows: give a dataset with a "
                            "length, such as a list.")
        raise DataError(f"Expected a folder, a name or a dataset of (picture, class index), not {kind}.")
    try:
        count = len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise DataError(f"{kind} does not say how many rows it has ({error}): give a dataset with a "
                        "length.") from None
    found = _facts(dataset, range(count))
    highest = max((max(label, default=-1) if isinstance(label, tuple) else label for label in found.labels),
                  default=-1)
    names = found.names
    if names is None:
        if highest >= MOST_CLASSES:
            row = next(i for i, label in enumerate(found.labels) if label == highest)
            raise DataError(f"Row {row} of {kind} has the label {highest}: expected a class index, counted "
                            "from 0. Number the classes anew, or give their names as labels.")
        names = tuple(f"class {i}" for i in range(max(highest + 1, found.width)))
    if highest >= len(names):
        raise DataError(f"{kind} has the label {highest} and {len(names)} class names: labels count from 0.")
    if found.width and found.width != len(names):
        raise DataError(f"{kind} has rows of {found.width} numbers as labels and {len(names)} class names: "
                        "one number a class is expected.")
    return found.labels, names


@dataclass(frozen=True)
class _Facts:
    """labels: of the rows asked for;  names: of all classes, or None;  width: of rows of 0 and 1, else 0."""

    labels: tuple[Label, ...]
    names: tuple[str, ...] | None
    width: int = 0


def _facts(dataset: Any, rows: Sequence[int]) -> _Facts:
    """What a dataset says of some of its rows; what it is made of is asked first."""
    from torch.utils.data import ConcatDataset, Subset

    own_rows = type(dataset).__getitem__
    if hasattr(dataset, "open_one") and hasattr(dataset, "classes"):  # a PhotoSet
        return _Facts(tuple(dataset.labels[i] for i in rows), tuple(dataset.classes),
                      len(dataset.classes) if dataset.multi_label else 0)
    if isinstance(dataset, Subset) and own_rows is Subset.__getitem__:
        indices = _whole(dataset.indices)
        return _facts(dataset.dataset, [indices[i] for i in rows])
    if isinstance(dataset, ConcatDataset) and own_rows is ConcatDataset.__getitem__:
        return _joined(dataset, rows)
    names, given = _own_names(dataset), _given(dataset)
    if given is not None and _disagrees(dataset, given, rows):
        # rows are changed on the way out: what the dataset says of itself is of before
        return _understood(dataset, rows, _read(dataset, rows), None)
    raw = _read(dataset, rows) if given is None else [given[i] for i in rows]
    if names is None and all(isinstance(label, str) for label in raw) and given is not None:
        names = tuple(sorted({label.strip() for label in given if isinstance(label, str) and label.strip()}))
    found = _understood(dataset, rows, raw, names)
    return found if found.names is not None else _wrapped(dataset, rows, found)


def _joined(dataset: Any, rows: Sequence[int]) -> _Facts:
    """Several datasets behind each other: classes are told by name, where each has names."""
    starts = [0, *dataset.cumulative_sizes]
    of = [next(k for k, end in enumerate(dataset.cumulative_sizes) if i < end) for i in rows]
    members = [[place for place, k in enumerate(of) if k == number]
               for number in range(len(dataset.datasets))]
    parts = [_facts(part, [rows[place] - starts[number] for place in members[number]])
             for number, part in enumerate(dataset.datasets)]
    names = [part.names for part in parts]
    widths = {part.width for part, places in zip(parts, members) if places}
    if len(widths) > 1:
        raise DataError("The datasets that are joined have labels of different kinds: class indices, and "
                        "rows of 0 and 1, or rows of different lengths.")
    if any(one is None for one in names):
        if len({one for one in names if one is not None}) > 1:
            raise DataError("The datasets that are joined have different class names, and one of them has "
                            "none: name its classes too (an attribute `classes`).")
        union = next((one for one in names if one is not None), None)
    else:
        union = tuple(dict.fromkeys(name for one in names for name in one))
    labels: dict[int, Label] = {}
    for part, places in zip(parts, members):
        move = [] if part.names is None else [union.index(name) for name in part.names]
        for place, label in zip(places, part.labels):
            if union is None or part.names is None:
                labels[place] = label
            else:
                labels[place] = tuple(move[i] for i in label) if isinstance(label, tuple) else move[label]
    width = len(union) if union and any(widths) else max(widths, default=0)
    return _Facts(tuple(labels[place] for place in range(len(rows))), union, width)


def _wrapped(dataset: Any, rows: Sequence[int], found: _Facts) -> _Facts:
    """The names of a dataset inside, where the labels show that they are still its own."""
    for attribute in INSIDE:
        inner = getattr(dataset, attribute, None)
        rows_inside = hasattr(inner, "__getitem__") and not isinstance(inner, (str, bytes, Mapping))
        if inner is dataset or not rows_inside:
            continue
        indices = _whole(getattr(dataset, "indices", None))
        try:
            places = [indices[i] for i in rows] if indices is not None else list(rows)
            if indices is None and len(inner) != len(dataset):
                continue
            theirs = _facts(inner, places)
        except (DataError, TypeError, IndexError, KeyError):  # no dataset of photos
            continue
        if theirs.names is not None and theirs.labels == found.labels:
            return _Facts(found.labels, theirs.names, found.width)
    return found


def _own_names(dataset: Any) -> tuple[str, ...] | None:
    """Class names in index order, as libraries keep them."""
    for attribute in ("classes", "class_names", "categories", "vocab"):
        names = getattr(dataset, attribute, None)
        if isinstance(names, Sequence) and not isinstance(names, str) and len(names):
            return tuple(", ".join(map(str, name)) if isinstance(name, (tuple, list)) else str(name)
                         for name in names)
    index_of = getattr(dataset, "class_to_idx", None)
    if isinstance(index_of, Mapping) and sorted(index_of.values()) == list(range(len(index_of))) and index_of:
        return tuple(str(name) for name in sorted(index_of, key=index_of.__getitem__))
    feature = _label_feature(dataset)
    names = getattr(feature, "names", None) if feature is not None else None
    return tuple(map(str, names)) if names else None


def _label_key(dataset: Any) -> str:
    """The column of the labels, of a dataset that says what its columns are; else ""."""
    features = getattr(dataset, "features", None)
    if not isinstance(features, Mapping):
        return ""
    return next((key for key in LABEL_KEYS if key in features),
                next((str(key) for key, feature in features.items() if getattr(feature, "names", None)), ""))


def _label_feature(dataset: Any) -> Any:
    key = _label_key(dataset)
    return dataset.features[key] if key else None


def _given(dataset: Any) -> list[Any] | None:
    """The labels of all rows, where a dataset has them without opening a picture."""
    key = _label_key(dataset)
    candidates = [getattr(dataset, name, None) for name in ("targets", "labels")]
    if key and hasattr(dataset, "column_names"):
        candidates.append(dataset[key])
    for labels in candidates:
        labels = labels.tolist() if hasattr(labels, "tolist") else labels
        many = isinstance(labels, Collection) and not isinstance(labels, (str, bytes, Mapping))
        if many and len(labels) == len(dataset):
            change = getattr(dataset, "target_transform", None)
            return list(labels) if change is None else [change(label) for label in labels]
    return None


def _disagrees(dataset: Any, given: list[Any], rows: Sequence[int]) -> bool:
    """Whether the first row has another label than the list says: someone changes rows on the way out."""
    if not len(rows) or type(dataset).__module__.startswith("torchvision."):
        return False
    try:
        label = _of_row(dataset, rows[0], LABEL_KEYS, 1, _label_key(dataset))
        shown, listed_as = (_understood(dataset, rows[:1], [one], None) for one in (label, given[rows[0]]))
        return shown != listed_as
    except DataError:  # its own sentence comes when the row is needed
        return False


def _read(dataset: Any, rows: Sequence[int]) -> list[Any]:
    key = _label_key(dataset)
    return [_of_row(dataset, row, LABEL_KEYS, 1, key) for row in rows]


def _of_row(dataset: Any, row: int, keys: Sequence[str], place: int, key: str = "") -> Any:
    """The picture or the label of a row: by its key, or its place in a tuple. A DataError names the row."""
    called = f"Row {row} of {type(dataset).__name__}"
    try:
        item = dataset[row]
    except Exception as error:  # whatever somebody else's code raises
        raise DataError(f"{called} can't be read: {type(error).__name__}: {str(error)[:200]}") from error
    if isinstance(item, Mapping):
        found = next((one for one in (key, *keys) if one and one in item), None)
        if found is None:
            raise DataError(f"{called} has the keys {listed([str(one) for one in item])}: expected 'image' "
                            "and 'label'.")
        return item[found]
    if isinstance(item, (tuple, list)) and len(item) > 1:
        return item[place]
    raise DataError(f"{called} is {_kind(item)}: expected (picture, class index), or a dict with 'image' and "
                    "'label'.")


def _understood(dataset: Any, rows: Sequence[int], raw: Sequence[Any],
                names: tuple[str, ...] | None) -> _Facts:
    """Labels as class indices, or as tuples of them. Raises DataError for the first that is neither."""
    labels: list[Any] = []
    width = kind = None
    for row, value in zip(rows, raw):
        called = f"Row {row} of {type(dataset).__name__}"
        label, this_width = _label(value, called)
        if kind is not None and (type(label) is not kind or this_width != width):
            raise DataError(f"{called} has the label {value!r:.80}, of another kind or length than the rows "
                            "before it: expected class indices alone, names alone, or rows of 0 and 1 of "
                            "the same length.")
        kind, width = type(label), this_width
        labels.append(label)
    if kind is str:
        names = names or tuple(sorted(set(labels)))
        index_of = {name: i for i, name in enumerate(names)}
        for row, label in zip(rows, labels):
            if label not in index_of:
                raise DataError(f"Row {row} of {type(dataset).__name__} has the label {label!r}: the classes "
                                f"are {listed(names)}.")
        labels = [index_of[label] for label in labels]
    return _Facts(tuple(labels), names, width or 0)


def _label(value: Any, called: str) -> tuple[int | str | tuple[int, ...], int]:
    """(a class index, a name, or the classes of a row of 0 and 1; the length of that row, else 0)."""
    label = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(label, (list, tuple)) and len(label) == 1:
        label = label[0]
    if isinstance(label, (list, tuple)):
        if not label or not all(isinstance(one, (bool, int, float)) and one in (0, 1) for one in label):
            raise DataError(f"{called} has the label {label!r:.80}: expected a class index, or a row of 0 "
                            "and 1, one a class.")
        return tuple(i for i, one in enumerate(label) if one), len(label)
    if isinstance(label, str) and label.strip():
        return label.strip(), 0
    if label is None or label == "" or (isinstance(label, float) and math.isnan(label)):
        raise DataError(f"{called} has no label ({label!r}). Leave such rows out, for example with "
                        "torch.utils.data.Subset.")
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, float):
        raise DataError(f"{called} has the label {label!r}: expected a class index, a whole number from 0. "
                        "If the labels are numbers to be estimated, say so: outputs='numbers'.")
    if not isinstance(label, int):
        raise DataError(f"{called} has {_kind(label)} as its label: expected a class index, a class name, or "
                        "a row of 0 and 1, one a class.")
    if label < 0:
        raise DataError(f"{called} has the label {int(label)}: class indices count from 0. If it means that "
                        "the class is unknown, leave such rows out, for example with "
                        "torch.utils.data.Subset.")
    return int(label), 0


def _whole(indices: Any) -> list[int] | None:
    """The indices of a subset as a list, whatever holds them: a list, a range, an array, a tensor."""
    if indices is None or isinstance(indices, (str, bytes, Mapping)):
        return None
    indices = indices.tolist() if hasattr(indices, "tolist") else indices
    return [int(i) for i in indices] if hasattr(indices, "__iter__") else None


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
