"""Photos of one burst are never split: which belong together, and every place that splits a set."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data.bursts import bursts_of, held_back, units_of
from explorer.data.datasets import DataError, open_data
from explorer.data.photo_sets import FromFiles, PhotoSet
from explorer.data.places.place_set import PlaceSet, held_out
from explorer.inspection.features.judging import stratified
from explorer.training.choosing.folds import fold_parts

TWO = {"cup": {1: 6, 2: 6, 3: 6}, "pen": {1: 6, 2: 6, 3: 6}}


def collected(folder: Path, classes: dict[str, dict[int, int]], single: int = 0) -> Path:
    """A folder as Teach writes it: {class: {burst: frames}}, and as many single photos of each."""
    number = 0
    for name, bursts in classes.items():
        (folder / name).mkdir(parents=True)
        for burst, frames in bursts.items():
            for frame in range(frames):
                number += 1
                at = folder / name / f"burst-{burst}-{frame + 1}.png"
                Image.new("RGB", (8, 8), (number, burst, 0)).save(at)
        for frame in range(single):
            number += 1
            Image.new("RGB", (8, 8), (number, 0, 99)).save(folder / name / f"photo {frame}.png")
    return folder


def bursts_in(photos: PhotoSet) -> set[tuple[str, str]]:
    return {(file.parent.name, file.stem.rsplit("-", 1)[0]) for file in photos.files}


def test_a_burst_is_a_folder_and_a_number_and_other_photos_are_by_themselves():
    names = ["cup/burst-1-1.jpg", "cup/IMG_1.jpg", "pen/burst-1-1.jpg", "cup/burst-01-12.JPG",
             "cup/burst-1.jpg", "cup/burst-2-1.jpg", "cup/my burst-1-2.jpg", "burst-1-3.png/x.jpg"]
    assert units_of(names) == [[0, 3], [1], [2], [4], [5], [6], [7]]
    assert bursts_of(names) == [0, 1, 2, 0, 3, 4, 5, 6]
    files = [Path("a/burst-1-1.jpg"), Path("b/burst-1-2.jpg"), None]
    assert bursts_of(["burst-1-1.jpg", "burst-1-2.jpg", "photo 3"], files) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_a_folder_is_split_by_burst_and_each_class_is_in_both_parts(tmp_path, seed):
    splits = open_data(collected(tmp_path / "mine", TWO), seed=seed)
    learnt, judged = bursts_in(splits.train), bursts_in(splits.val)
    assert learnt.isdisjoint(judged) and len(learnt) == 4 and len(judged) == 2
    assert splits.val.counts() == {"cup": 6, "pen": 6}
    assert any("36 photos are of 6 bursts" in note and "never split" in note for note in splits.notes)


def test_the_share_is_met_as_nearly_as_whole_bursts_allow_and_most_photos_are_learnt_from(tmp_path):
    folder = collected(tmp_path / "mine", {"cup": {1: 12, 2: 3}, "pen": {1: 4}}, single=4)
    for seed in range(4):
        splits = open_data(folder, seed=seed)
        assert bursts_in(splits.train).isdisjoint(bursts_in(splits.val))
        assert 3 <= splits.val.counts()["cup"] <= 5 and splits.val.counts()["pen"] in (2, 4)


def test_without_bursts_the_same_photos_are_held_out_as_ever():
    for count in (1, 2, 3, 10, 31):
        for share in (0.1, 0.2, 0.5, 0.9):
            for seed in range(3):
                group = list(range(count))
                random.Random(seed).shuffle(group)
                wanted = group[:max(round(share * count), int(count > 1))]
                assert held_back([[i] for i in group], share) == wanted
    labels = np.array([0] * 10 + [1] * 7)
    generator = np.random.default_rng(3)
    wanted = [generator.permutation(np.flatnonzero(labels == one))[:n] for one, n in ((0, 2), (1, 1))]
    assert stratified(labels, 0.2, 3).tolist() == sorted(np.concatenate(wanted).tolist())


def test_a_class_of_one_burst_is_learnt_from_and_its_score_is_not_made_up(tmp_path):
    splits = open_data(collected(tmp_path / "mine", {"cup": {1: 9}, "pen": {1: 5, 2: 5}}))
    assert splits.train.counts() == {"cup": 9, "pen": 5} and splits.val.counts() == {"cup": 0, "pen": 5}
    assert any("All photos of cup are of one burst" in note and "can't be known" in note
               for note in splits.notes)
    with pytest.raises(DataError, match="one burst of photos.*add another burst"):
        open_data(collected(tmp_path / "few", {"cup": {1: 9}, "pen": {1: 9}}))


def test_folds_hold_whole_bursts_and_say_what_they_can_not(tmp_path):
    folder = collected(tmp_path / "mine", {"cup": {1: 4, 2: 4, 3: 4}, "pen": {1: 4}}, single=0)
    photos = open_data((folder, folder)).train
    parts, notes = fold_parts(photos, 3, seed=0)
    assert sorted(i for part in parts for i in part) == list(range(len(photos))) and all(parts)
    held = [bursts_in(photos.subset(part)) for part in parts]
    assert sum(map(len, held)) == len(set.union(*held)) == 4
    assert any("All photos of pen are of one burst" in note for note in notes)
    with pytest.raises(DataError, match="4 bursts, which are never split.*5 folds"):
        fold_parts(photos, 5, seed=0)


def test_a_file_that_is_in_two_bursts_keeps_both_together(tmp_path):
    folder = collected(tmp_path / "mine", TWO)
    (folder / "cup" / "burst-2-1.png").write_bytes((folder / "cup" / "burst-1-1.png").read_bytes())
    photos = open_data((folder, folder)).train
    parts, notes = fold_parts(photos, 3, seed=1)
    cup = [{burst for name, burst in bursts_in(photos.subset(part)) if name == "cup"} for part in parts]
    assert any({"burst-1", "burst-2"} <= found for found in cup)
    assert any(note.startswith("2 files have the same contents") for note in notes)


def test_photos_with_boxes_are_held_out_by_burst():
    names = tuple(f"burst-{burst}-{frame}.jpg" for burst in range(5) for frame in range(4))
    blank = Image.new("RGB", (8, 8))
    places = PlaceSet(("cup",), names, lambda i: blank, boxes=tuple([] for _ in names))
    splits = held_out("mine", places, 0.2, 0)
    assert len(splits.val) == 4 and len({name.rsplit("-", 1)[0] for name in splits.val.names}) == 1
    with pytest.raises(DataError, match="one burst"):
        held_out("mine", places.subset(range(4)), 0.2, 0)


def test_numbers_are_held_out_by_burst():
    names = tuple(f"ruler/burst-{burst}-{frame}.png" for burst in range(10) for frame in range(3))
    files = tuple(map(Path, names))
    rows = tuple((float(index // 3),) for index in range(30))
    from explorer.data.datasets import _held_out

    splits = _held_out("rulers", PhotoSet(("cm",), rows, names, FromFiles(files), files, numbers=True), 0.2,
                       0, ())
    assert len(splits.val) == 6 and bursts_in(splits.val).isdisjoint(bursts_in(splits.train))


@pytest.mark.parametrize("seed", range(4))
def test_of_photos_with_boxes_too_most_are_learnt_from(seed):
    names = (*(f"burst-1-{frame}.png" for frame in range(30)), "a.png", "b.png", "c.png")
    places = PlaceSet(("cup",), names, lambda i: Image.new("RGB", (8, 8)), boxes=tuple([] for _ in names))
    splits = held_out("mine", places, 0.2, seed)
    assert set(names[:30]) <= set(splits.train.names) and len(splits.val)


def test_folds_that_twins_leave_empty_are_said(tmp_path):
    folder = collected(tmp_path / "mine", {"cup": {1: 4, 2: 4}, "pen": {1: 4}})
    for burst in ("cup/burst-2-1.png", "pen/burst-1-1.png"):
        (folder / burst).write_bytes((folder / "cup" / "burst-1-1.png").read_bytes())
    with pytest.raises(DataError, match="1 group of the same burst or with the same contents.*3 folds"):
        fold_parts(open_data((folder, folder)).train, 3, seed=0)
