"""Labels of other people's datasets: names are followed, and a row that means no class is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, random_split

from explorer.data.datasets import DataError, as_photos, open_data
from explorer.data.images import ImageError


def picture(index: int = 0) -> Image.Image:
    return Image.new("RGB", (8, 8), (index, 3, 9))


def rows(*labels):
    return [(picture(i), label) for i, label in enumerate(labels)]


class Named(Dataset):
    classes = ["cat", "dog", "eel"]

    def __init__(self, labels):
        self.targets = labels

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return picture(index), self.targets[index]


class Foreign(Named):
    classes = ["dog", "fox"]


class Nameless(Named):
    classes = None


class Wrapper(Dataset):
    """Of the kind that people write to add a transform."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        photo, label = self.dataset[index]
        return photo, self.relabelled(label)

    def relabelled(self, label):
        return label


class IsCat(Wrapper):
    def relabelled(self, label):
        return int(label == 0)


class Table:
    """Rows by name, and columns that say what they are, as the Hugging Face library has them."""

    def __init__(self, labels, key="label"):
        self.rows, self.key, self.opened = labels, key, 0
        self.features = {"img": None, key: type("ClassLabel", (), {"names": ["cat", "dog"]})()}
        self.column_names = ["img", key]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        if isinstance(index, str):
            return self.rows
        self.opened += 1
        return {"img": picture(index), self.key: self.rows[index]}


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "classes", "labels"), [
    (lambda: Subset(Named([0, 1, 2, 1]), [2, 1]), ("cat", "dog", "eel"), (2, 1)),
    (lambda: Subset(Subset(Named([0, 1, 2, 1]), torch.tensor([3, 2])), np.array([1])), ("cat", "dog", "eel"),
     (2,)),
    (lambda: ConcatDataset([Named([0]), Named([2, 1])]), ("cat", "dog", "eel"), (0, 2, 1)),
    (lambda: Subset(ConcatDataset([Named([0]), Named([2, 1])]), (2, 0)), ("cat", "dog", "eel"), (1, 0)),
    (lambda: ConcatDataset([Named([0, 2]), Foreign([0, 1])]), ("cat", "dog", "eel", "fox"), (0, 2, 1, 3)),
    (lambda: ConcatDataset([Named([0, 2]), Nameless([1])]), ("cat", "dog", "eel"), (0, 2, 1)),
    (lambda: Wrapper(Subset(Named([0, 1, 2]), [2, 1])), ("cat", "dog", "eel"), (2, 1)),
    (lambda: Wrapper(Wrapper(Named([0, 2]))), ("cat", "dog", "eel"), (0, 2)),
    (lambda: IsCat(Named([0, 1, 2])), ("class 0", "class 1"), (1, 0, 0)),
    (lambda: Subset(Table([0, 1, 1]), [2, 0]), ("cat", "dog"), (1, 0)),
    (lambda: Table([0, 1], key="animal"), ("cat", "dog"), (0, 1)),
])
def test_names_are_followed_through_what_a_dataset_is_made_of(make, classes, labels):
    """case A14: `Subset`s that lose their names."""
    photos = as_photos(make())
    assert (photos.classes, photos.labels) == (classes, labels)


def test_a_random_split_keeps_its_names_and_opens_nothing():
    """case A14: names followed through random_split."""
    table = Table([0, 1] * 5)
    train, val = random_split(table, [6, 4], generator=torch.Generator().manual_seed(0))
    splits = open_data((train, val))
    assert splits.classes == ("cat", "dog") and len(splits.train) == 6
    assert table.opened == 2  # one row each, to see that the list of labels is of these rows
    assert [splits.val[i][1] for i in range(4)] == [i % 2 for i in val.indices]


def test_torchvisions_own_folder_keeps_its_names_and_its_change_of_labels(tmp_path):
    from torchvision.datasets import ImageFolder

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        picture().save(tmp_path / name / "1.png")
    photos = as_photos(Subset(ImageFolder(tmp_path), [1, 0]))
    assert (photos.classes, photos.labels) == (("cat", "dog"), (1, 0)) and photos[0][0].size == (8, 8)
    assert as_photos(ImageFolder(tmp_path, target_transform=lambda label: 1 - label)).labels == (1, 0)


def test_labels_that_are_changed_on_the_way_out_are_read_from_the_rows():
    class Turned(Named):
        def __getitem__(self, index):
            return picture(index), 1 - self.targets[index]

    photos = as_photos(Turned([0, 1]))
    assert (photos.classes, photos.labels) == (("class 0", "class 1"), (1, 0))


def test_a_pair_is_joined_by_names_and_a_foreign_class_refused():
    pair = open_data((Named([0, 1, 2]), Foreign([0, 0])))
    assert pair.val.classes == ("cat", "dog", "eel") and pair.val.labels == (1, 1)
    with pytest.raises(DataError, match="unknown elsewhere .fox."):
        open_data((Named([0, 1, 2]), Foreign([0, 1])))
    assert open_data((Nameless([0, 1, 2]), Nameless([0, 1]))).val.classes == ("class 0", "class 1", "class 2")


def test_a_dict_of_splits_is_a_split():
    splits = open_data({"train": Table([0, 1]), "validation": Table([1])})
    assert (len(splits.train), len(splits.val), splits.classes) == (2, 1, ("cat", "dog"))
    with pytest.raises(DataError, match="has the keys a: expected 'train'"):
        open_data({"a": Table([0])})


def test_a_class_that_is_named_and_has_no_photos_is_said():
    assert any("no photo of eel" in note for note in open_data((Named([0, 1]), Named([0, 1]))).notes)


# --- labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labels", "classes", "understood"), [
    ([np.int64(0), np.float32(1), np.uint8(1)], ("class 0", "class 1"), (0, 1, 1)),
    ([torch.tensor(1), torch.tensor([0]), torch.tensor(1.0)], ("class 0", "class 1"), (1, 0, 1)),
    ([True, False, True], ("class 0", "class 1"), (1, 0, 1)),
    ([0.0, 1.0, 1.0], ("class 0", "class 1"), (0, 1, 1)),
    (["dog", "cat", "dog "], ("cat", "dog"), (1, 0, 1)),
    ([[0, 1], (1, 1), np.array([0.0, 0.0])], ("class 0", "class 1"), ((1,), (0, 1), ())),
])
@pytest.mark.parametrize("listed", [False, True])
def test_labels_of_every_usual_type_are_understood(labels, classes, understood, listed):
    """case C9: float, bool, strings, numpy and torch scalars."""
    photos = as_photos(Nameless(labels) if listed else rows(*labels))
    assert (photos.classes, photos.labels) == (classes, understood)
    assert all(type(label) in (int, tuple) for label in photos.labels)


@pytest.mark.parametrize(("labels", "sentence"), [
    ([0, 1, -1], "Row 2 of .* has the label -1: class indices count from 0"),
    ([0, 1, float("nan")], r"Row 2 of .* has no label \(nan\)"),
    ([None, 1, 0], r"Row 0 of .* has no label \(None\)"),
    (["a", "", "b"], "Row 1 of .* has no label"),
    ([0, 0.5, 1], "Row 1 of .* has the label 0.5: expected a class index"),
    ([0, 1, float("inf")], "Row 2 of .* has the label inf"),
    ([[0, 1], [1, 0, 1], [1, 1]], r"Row 1 of .* has the label \[1, 0, 1\], of another kind or length"),
    ([0, [1, 0], 1], "Row 1 of .* of another kind or length"),
    (["a", 1, "b"], "Row 1 of .* of another kind or length"),
    ([[], [0, 1], [1, 0]], "Row 0 of .* expected a class index, or a row of 0 and 1"),
    ([[2, 5], [1, 0], [1, 0]], "Row 0 of .* expected a class index, or a row of 0 and 1"),
    ([10**9, 1, 0], "Row 0 of .* has the label 1000000000"),
    ([{"id": 3}, 1, 0], "Row 0 of .* has a dict as its label"),
    ([b"a", b"b", b"c"], "Row 0 of .* has a bytes as its label"),
])
@pytest.mark.parametrize("listed", [False, True])
def test_a_label_that_means_no_class_is_named_at_the_call(labels, sentence, listed):
    """case C9: labels -1, NaN, rows of 0 and 1 of different lengths, ids that are no list."""
    with pytest.raises(DataError, match=sentence):
        open_data(Nameless(labels) if listed else rows(*labels))


def test_a_name_that_is_no_class_is_named():
    with pytest.raises(DataError, match="Row 1 of Named has the label 'fox': the classes are cat, dog and "
                                        "eel"):
        as_photos(Named(["cat", "fox"]))


def test_rows_of_another_length_than_the_names_are_refused():
    with pytest.raises(DataError, match="rows of 2 numbers as labels and 3 class names"):
        as_photos(Named([[0, 1], [1, 1]]))


# --- rows ---------------------------------------------------------------------------------------------------


def test_rows_may_be_dicts_and_of_several_kinds():
    """case C9: mixed dict rows."""
    mixed = [{"image": picture(1), "label": 1}, (picture(2), 0), {"img": picture(3), "target": 1, "id": "x"}]
    photos = as_photos(mixed)
    assert photos.labels == (1, 0, 1) and [photos[i][0].getpixel((0, 0))[0] for i in range(3)] == [1, 2, 3]
    assert len(as_photos(mixed[:2])) == 2  # and two rows are no pair of datasets:
    with pytest.raises(DataError, match="no photos to judge by"):
        open_data(mixed[:2])


@pytest.mark.parametrize(("row", "sentence"), [
    ({"img": picture(), "klass": 0}, "Row 2 of list has the keys img and klass: expected 'image' and "
                                     "'label'"),
    (picture(), "Row 2 of list is an Image: expected .picture, class index."),
    ((picture(),), "Row 2 of list is a tuple: expected"),
    (3, "Row 2 of list is an int: expected"),
])
def test_a_row_that_is_none_is_named_at_the_call(row, sentence):
    with pytest.raises(DataError, match=sentence):
        open_data([*rows(0, 1), row])


@pytest.mark.parametrize(("data", "sentence"), [
    ((row for row in rows(0, 1)), "generator is a stream of rows"),
    (3, "Expected a folder, a name or a dataset"),
    (None, "Expected a folder, a name or a dataset"), ([], "no photos to learn from"),
])
def test_what_is_no_dataset_is_a_sentence(data, sentence):
    with pytest.raises(DataError, match=sentence):
        open_data(data)


def test_somebody_elses_failure_is_told_with_its_row():
    class Failing(Named):
        def __getitem__(self, index):
            raise KeyError("gone")

    class Unlisted(Failing):
        targets = property(lambda self: None, lambda self, value: None)

        def __len__(self):
            return 2

    with pytest.raises(DataError, match="Row 0 of Unlisted can't be read: KeyError: 'gone'"):
        as_photos(Unlisted([0, 1]))
    photos = as_photos(Failing([0, 1]))
    with pytest.raises(ImageError, match="Row 1 of Failing can't be read"):  # left out like a broken file
        photos.open_one(1)
