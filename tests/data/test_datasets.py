"""Photos with labels: folders, bundled sets, other people's datasets, CIFAR-10."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data import assets_dir
from explorer.data.checks import broken_photos, duplicates, ordered_as, without_broken
from explorer.data.collection import describe
from explorer.data.datasets import BUNDLED, DataError, PhotoSet, Splits, as_photos, cifar10, open_data
from explorer.data.photo_sets import joined
from explorer.training.run.waiting_photos import opened_once


def paint(path, colour=(200, 30, 30), size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Ten red and five blue pictures, in folders of their classes."""
    for i in range(10):
        paint(tmp_path / "red" / f"photo{i}.png", (200, i, 0))
    for i in range(5):
        paint(tmp_path / "blue" / f"photo{i}.png", (0, i, 200))
    return tmp_path


class Tiny:
    """A PyTorch dataset, as torchvision's are."""

    classes = ["cat", "dog"]

    def __init__(self, labels):
        self.targets = labels

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return Image.new("RGB", (8, 8), (index, 0, 0)), self.targets[index]


@pytest.mark.parametrize("name", BUNDLED)
def test_nothing_is_left_out_of_what_comes_along(name):
    assert describe(assets_dir() / "data" / name).left_out == ()


def test_the_bundled_flowers_are_split_as_they_came():
    splits = open_data("flowers5")
    assert splits.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (len(splits.train), len(splits.val)) == (375, 125)
    assert set(splits.train.counts().values()) == {75}
    photo, label = splits.train[0]
    assert (photo.mode, label) == ("RGB", 0)


def test_a_folder_is_split_in_each_class_and_by_the_seed_alone(folder):
    splits = open_data(folder, seed=3)
    assert splits.val.counts() == {"blue": 1, "red": 2}
    assert not set(splits.train.names) & set(splits.val.names)
    assert open_data(folder, seed=3).val.names == splits.val.names
    assert any(open_data(folder, seed=other).val.names != splits.val.names for other in range(4, 8))
    assert "seed 3" in " ".join(splits.notes)


def test_train_and_val_folders_are_kept_apart(tmp_path):
    for part, count in (("train", 4), ("valid", 2)):
        for name in ("a", "b"):
            for i in range(count):
                paint(tmp_path / part / name / f"{i}.jpg",
                      (60 * i, 200 * (name == "a"), 200 * (part == "train")))
    splits = open_data(tmp_path)
    assert (len(splits.train), len(splits.val), splits.notes) == (8, 4, ())


def test_a_class_that_only_one_part_has_is_a_sentence(tmp_path):
    for part, name in (("train", "a"), ("train", "b"), ("val", "a"), ("val", "c")):
        paint(tmp_path / part / name / "0.jpg")
    with pytest.raises(DataError, match="unknown elsewhere .c."):
        open_data(tmp_path)


def test_what_is_no_picture_is_counted_and_what_is_broken_is_named(folder):
    (folder / "red" / "notes.txt").write_text("hello")
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    splits = open_data(folder)
    assert any("no picture" in note for note in splits.notes)
    whole = without_broken(splits)
    assert any("red/broken.jpg" in note for note in whole.notes)
    assert len(whole.train) + len(whole.val) == 15
    assert not broken_photos(whole.train)


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda path: path / "nowhere", "no folder"),
    (lambda path: path, "no class folders"),
])
def test_a_folder_that_can_not_be_learnt_from_is_a_sentence(tmp_path, make, sentence):
    with pytest.raises(DataError, match=sentence):
        open_data(make(tmp_path))


def test_one_class_is_nothing_to_tell_apart(tmp_path):
    for i in range(4):
        paint(tmp_path / "only" / f"{i}.png")
    with pytest.raises(DataError, match="nothing to tell apart"):
        open_data(tmp_path)


def test_a_dataset_of_torchvisions_kind_and_a_pair_of_them(folder):
    photos = as_photos(Tiny([0, 1, 1]))
    assert isinstance(photos, PhotoSet) and photos.classes == ("cat", "dog") and photos.labels == (0, 1, 1)
    pair = open_data((Tiny([0, 1]), Tiny([1, 0, 0])))
    assert (len(pair.train), len(pair.val)) == (2, 3)
    assert open_data((folder, folder)).train.classes == ("blue", "red")


def test_a_row_of_0_and_1_means_several_classes():
    dataset = Tiny(torch.tensor([[1, 1], [0, 1]]))
    assert as_photos(dataset).labels == ((0, 1), (1,))
    assert as_photos(dataset).multi_label


def test_a_label_without_a_name_is_a_sentence():
    with pytest.raises(DataError, match="label 2 and 2 class names"):
        as_photos(Tiny([0, 2]))


def test_a_photo_in_both_parts_is_found(folder, tmp_path):
    twin = paint(tmp_path / "other" / "red" / "twin.png", (200, 3, 0))
    paint(tmp_path / "other" / "blue" / "new.png", (1, 2, 3))
    (tmp_path / "other").rename(tmp_path.parent / "judged")
    splits = open_data((folder, tmp_path.parent / "judged"))
    assert duplicates(splits) == [("red/photo3.png", f"red/{twin.name}")]


def test_a_local_copy_of_cifar10_is_read_only_where_it_is_the_published_one(tmp_path):
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    rows = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (batches / name).write_bytes(pickle.dumps(rows))
    # a pickle that is not the published one stays closed
    with pytest.raises(DataError, match="could not be downloaded"):
        cifar10(tmp_path, download=False)


def test_a_local_copy_of_cifar10_is_opened_with_its_class_names(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    rows = {"data": np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072), "labels": [3, 1]}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (batches / name).write_bytes(pickle.dumps(rows))
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)  # the published files are 170 MB
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    splits = cifar10(tmp_path)
    assert (len(splits.train), len(splits.val), splits.classes[3]) == (10, 2, "cat")
    photo, label = splits.train[0]
    assert photo.size == (32, 32) and label == 3


# --- in other processes -------------------------------------------------------------------------------------


def same(a: PhotoSet, b: PhotoSet) -> bool:
    return (a.classes, a.labels, a.names, a.files) == (b.classes, b.labels, b.names, b.files) and \
        all(a[i][0].tobytes() == b[i][0].tobytes() for i in range(len(a)))


def test_photo_sets_go_through_pickle_and_deepcopy_however_they_were_made(folder):
    """case C9: `pickle.dumps(open_data("flowers5_nano").train)`."""
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    splits = open_data(folder)
    once = opened_once(splits)
    broken_photos(once.train)  # some wait, open
    rows = as_photos(Tiny([0, 1, 1]))
    sets = [open_data("flowers5_nano").train.subset(range(3)), without_broken(splits).train,
            without_broken(once).val, rows,
            rows.subset([2, 0]), rows.subset([2, 0]).subset([1]), joined(rows, rows.subset([1]))]
    for photos in sets:
        assert same(pickle.loads(pickle.dumps(photos)), photos)
        assert same(copy.deepcopy(photos), photos)
    assert isinstance(pickle.loads(pickle.dumps(once)), Splits)


def test_a_subset_of_files_carries_no_other_files(folder):
    photos = open_data(folder).train
    assert len(pickle.dumps(photos.subset([0]))) < len(pickle.dumps(photos)) / 2


def test_workers_of_a_data_loader_open_the_photos(folder):
    """case C9: workers that are started anew. Takes as long as starting a Python does."""
    from torch.utils.data import DataLoader

    photos = open_data(folder).train
    loader = DataLoader(photos, batch_size=4, num_workers=1, multiprocessing_context="spawn", collate_fn=list)
    found = [row for batch in loader for row in batch]
    assert [label for _, label in found] == list(photos.labels)
    assert found[0][0].tobytes() == photos[0][0].tobytes()


# --- the order of the classes -------------------------------------------------------------------------------


def test_classes_take_another_order_by_name_alone():
    """case A14: names decide, not the order."""
    splits = Splits("two", as_photos(Tiny([0, 1, 1])), as_photos(Tiny([1, 0])))
    turned = ordered_as(("Dog", "cat"), splits)
    assert turned.classes == ("Dog", "cat")
    assert turned.train.labels == (1, 0, 0) and turned.val.labels == (0, 1)
    assert ordered_as(("dog", "cow"), splits) is splits and ordered_as((), splits) is splits
