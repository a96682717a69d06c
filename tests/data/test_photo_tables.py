"""A table of photos: what is read from it, what is left out by its line, and what is refused in a
sentence.
"""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset

from explorer.data import read_table
from explorer.data.datasets import DataError, PhotoSet, Splits, open_data
from explorer.data.images import ImageError
from explorer.data.number_rows import numbers_of_rows, spread_over
from explorer.data.photo_tables import read_table_for


@pytest.fixture
def folder(tmp_path):
    """Ten photos, 0.png to 9.png."""
    for i in range(10):
        Image.new("RGB", (6, 6), (20 * i, 20 * i, 20 * i)).save(tmp_path / f"{i}.png")
    return tmp_path


def write(folder, text: str | bytes, name: str = "table.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(*numbers: object, head: str = "file,price", sign: str = ",") -> str:
    return "\n".join([head, *(f"{i}.png{sign}{number}" for i, number in enumerate(numbers))]) + "\n"


def prices(path, **options) -> list[float]:
    return [label[0] for label in read_table(path, **options).labels]


# --- what is read -------------------------------------------------------------------------------------------


def test_a_column_of_numbers_beside_files_is_learnt_and_the_photos_are_found_beside_the_table(folder):
    table = read_table(write(folder, rows(1, 2.5, -3e2)))
    assert (table.kind, table.classes, table.labels) == ("numbers", ("price",), ((1.0,), (2.5,), (-300.0,)))
    assert table.files[2] == folder / "2.png" and table.names == ("0.png", "1.png",
                                                                  "2.png") and table.notes == ()


@pytest.mark.parametrize(("text", "expected"), [
    (rows("1,5", "2,25", head="file;price", sign=";"), [1.5, 2.25]),           # a German spreadsheet
    (rows("1.5", "2.25", head="file\tprice", sign="\t"), [1.5, 2.25]),
    ("\ufeff" + rows(1, 2), [1, 2]),                                           # with a byte order mark
    (rows(1, 2).replace("\n", "\r\n"), [1, 2]),
    ('"file","price"\n"0.png","1,5"\n1.png,"2,5"\n', [1.5, 2.5]),
    ("\n" + rows(1, 2) + "\n\n", [1, 2]),                                      # lines without anything
    (rows(" 1 ", "  2"), [1, 2]),
])
def test_every_usual_way_to_write_a_table_gives_the_same_numbers(folder, text, expected):
    assert prices(write(folder, text)) == expected


def test_utf_16_is_read_and_an_older_programs_encoding_is_read_with_a_note(folder):
    assert prices(write(folder, rows(1, 2).encode("utf-16"))) == [1, 2]
    table = read_table(write(folder, rows(1, 2, head="file,größe").encode("cp1252")))
    assert table.classes == ("größe",) and "Windows-1252" in table.notes[0]


@pytest.mark.parametrize("head", ["file", "FileName", "image_path", "Photo", "img", "whatever"])
def test_the_column_of_files_is_told_by_its_name_or_by_its_words(folder, head):
    assert prices(write(folder, rows(1, 2, head=f"{head},price"))) == [1, 2]


def test_all_columns_of_numbers_are_learnt_and_what_is_left_out_is_said(folder):
    text = ",file,price,rooms,street\n0,0.png,1,2,Elm\n1,1.png,3,4,Oak\n"  # the first is pandas' own counter
    table = read_table(write(folder, text))
    assert table.classes == ("price", "rooms") and table.labels == ((1.0, 2.0), (3.0, 4.0))
    assert "street" in table.notes[0] and "target=" in table.notes[0]
    assert read_table(folder / "table.csv", target="rooms").labels == ((2.0,), (4.0,))
    assert read_table(folder / "table.csv", target=["rooms", "price"]).classes == ("rooms", "price")


def test_a_column_of_words_is_classes_and_one_called_label_too_unless_numbers_are_wanted(folder):
    table = read_table(write(folder, rows("cat", "dog", "cat", head="file,animal")))
    assert (table.kind, table.classes, table.labels) == ("one", ("cat", "dog"), (0, 1, 0))
    digits = write(folder, rows(7, 10, 7, head="file,label"))
    table = read_table(digits)
    assert (table.kind, table.classes, table.labels) == ("one", ("7", "10"),
                                                         (0, 1, 0)) and "outputs='numbers'" in table.notes[0]
    assert read_table(digits, outputs="numbers").labels == ((7.0,), (10.0,), (7.0,))
    assert read_table(write(folder, rows(1, 2, 1)), outputs="yes/no").classes == ("1", "2")


def test_columns_of_0_and_1_are_several_classes_where_that_is_wanted(folder):
    path = write(folder, "file,red,big\n0.png,1,0\n1.png,1,1\n2.png,0,0\n")
    table = read_table(path, outputs="several")
    assert (table.kind, table.classes, table.labels) == ("several", ("red", "big"), ((0,), (0, 1), ()))
    more = path.read_text() + "".join(f"{i}.png,1,0\n" for i in range(3, 8))
    assert open_data(write(folder, more), outputs="several").train.multi_label
    with pytest.raises(DataError, match="line 2: 'price' is '3', expected 0 or 1"):
        read_table(write(folder, rows(3)), outputs="several")


def test_a_data_frame_is_read_as_its_file_would_be(folder):
    frame = pd.DataFrame({"file": [folder / f"{i}.png" for i in range(4)], "price": [1, 2.5, None, 4]})
    table = read_table(frame)
    assert table.labels == ((1.0,), (2.5,), (4.0,)) and "row 2" in table.notes[0]
    names = pd.DataFrame({"file": ["0.png", "1.png"], "price": [1, 2]})
    assert read_table(names, root=folder).files == (folder / "0.png", folder / "1.png")


def test_a_split_column_is_obeyed_and_test_rows_stay_untouched(folder):
    split = ["Train", "train", "validation", "TEST", "train"]
    text = "file,price,split\n" + "".join(f"{i}.png,{i},{name}\n" for i, name in enumerate(split))
    found = open_data(write(folder, text))
    assert (found.train.names, found.val.names) == (("0.png", "1.png", "4.png"), ("2.png",))
    assert any("1 photos are for a test" in note for note in found.notes)
    only_test = open_data(write(folder, text.replace("validation", "train")))
    assert only_test.val.names == ("3.png",)


# --- what is left out, and what is refused ------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["", " ", "NaN", "n/a", "NULL", "-", "?"])
def test_a_row_whose_number_is_not_known_is_left_out_by_its_line(folder, cell):
    table = read_table(write(folder, rows(1, cell, 3)))
    assert table.names == ("0.png", "2.png") and table.notes == ("Left out of 'table.csv', since a cell is "
                                                                 "empty: line 3.",)


def test_a_missing_photo_is_left_out_by_its_line_and_if_all_are_it_is_said_where_they_were_sought(folder):
    table = read_table(write(folder, rows(*range(12))))  # 10.png and 11.png are not there
    assert len(table) == 10 and "no such file: line 12, line 13" in table.notes[0]
    other = folder / "elsewhere"
    other.mkdir()
    path = write(other, rows(1, 2))
    with pytest.raises(DataError, match=r"such as '0.png' \(line 2\).*sought in '.*elsewhere'.*root="):
        read_table(path)
    assert prices(path, root=folder) == [1, 2]


@pytest.mark.parametrize(("text", "sentence"), [
    (rows(1, "many", 3), "line 3: 'price' is 'many', expected a number"),
    (rows(1, 2, "inf"), "line 4: 'price' is 'inf', expected a number"),
    (rows(1, 2, "1e400"), "too large"),
    (rows(1, 2, "3 kg"), "without a unit"),
    (rows(1, '"1,234"'), "thousands or be a decimal comma"),
    (rows(1, '"1.234,5"', 2), "expected a number|thousands"),
    (rows(1, "2,3"), "line 3: 3 cells, but line 1 names 2 columns"),
    ("file,price,price\n0.png,1,2\n", "two columns called 'price'"),
    ("file,price\n", "has no rows"),
    ("", "is empty"),
    ("\n\n", "is empty"),
    ("0.png,1\n1.png,2\n", "begins with '0.png', not with the names"),
    ("file\n0.png\n", "has one column, 'file'"),
    ("a,b\n1,2\n", "has no column of files"),
    (rows(1, 2) + "1.png,5\n", "two things of '1.png', in line 3 and line 4"),
    (rows(1, 2) + "./1.png,5\n", "two things of './1.png'"),
    ("file,price,split\n0.png,1,train\n1.png,2,val\n2.png,3,later\n", "line 4: 'split' is 'later', expected "
                                                                      "train, val or test"),
    ("file,when,who\n0.png,May,Ann\n1.png,June,Bo\n", "several columns that could be learnt: when, "
                                                      "who.*target="),
    (rows("a", "b", "c", head="file,name"), "another word in each row of 'name'"),
    (b"PK\x03\x04 a spreadsheet", "no text.*Save it as CSV"),
    (b"file,price\n0.png,\x00\n", "no text"),
    (b"file,price\n0.png,\x81\x8d\n", "neither UTF-8 nor Windows-1252"),
    ('file,price\n0.png,"' + 200_000 * "9" + '"\n', "can't be read as a table: field larger"),
])
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused_by_its_line(folder, text, sentence):
    with pytest.raises(DataError, match=sentence):
        found = read_table(write(folder, text))
        raise AssertionError(found)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"target": "cost"}, "no column 'cost' for target: its columns are file, price"),
    ({"target": "file"}, "is the column of the files"), ({"target": 3}, "target is 3"),
    ({"target": []}, "target is"),
    ({"file": "picture"}, "no column 'picture' for file"), ({"split": "part"}, "no column 'part' for split"),
    ({"outputs": "maybe"}, "outputs is 'maybe': expected one of 'one', 'yes/no', 'several', 'numbers'"),
])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(folder, options, sentence):
    with pytest.raises(DataError, match=sentence):
        read_table(write(folder, rows(1, 2)), **options)


def test_the_same_row_twice_counts_once(folder):
    table = read_table(write(folder, rows(1, 2) + "1.png,2\n"))
    assert table.names == ("0.png", "1.png") and "an earlier row says the same: line 4" in table.notes[0]


def test_a_path_that_leads_outside_is_opened_as_a_picture_or_not_at_all(folder):
    inside = folder / "inside"
    inside.mkdir()
    secret = folder / "secret.txt"
    secret.write_text("password")
    places = ["../0.png", "../secret.txt", folder / "1.png", "/dev/zero", "http://a/b.png"]
    path = write(inside, "file,price\n" + "".join(f"{place},{i}\n" for i, place in enumerate(places)))
    found = open_data((path, path))
    assert found.train.names == ("../0.png", "../secret.txt", str(folder / "1.png"))  # no device, no address
    with pytest.raises(ImageError) as told:
        found.train[1]
    assert "password" not in str(told.value)
    assert found.train[2][0].getpixel((0, 0)) == (20, 20, 20)


def test_a_large_file_is_refused_before_it_is_read(folder, monkeypatch):
    from explorer.data import table_cells

    monkeypatch.setattr(table_cells, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="is larger than"):
        read_table(write(folder, rows(1, 2)))
    monkeypatch.setattr(table_cells, "MOST_BYTES", 10_000)
    monkeypatch.setattr(table_cells, "MOST_ROWS", 3)
    with pytest.raises(DataError, match="more than 3 rows"):
        read_table(write(folder, rows(1, 2, 3, 4)))


def test_who_judges_numbers_takes_the_columns_of_their_names(folder):
    path = write(folder, "file,label,price\n0.png,3,1\n1.png,4,2\n")
    assert read_table_for(path, ["price"]).labels == ((1.0,), (2.0,))
    assert read_table_for(path, ["label"]).labels == ((3.0,), (4.0,))
    assert read_table_for(path, ["number"]).classes == ("label", "price")


# --- data sets, and parts -----------------------------------------------------------------------------------


def test_a_data_set_of_numbers_is_told_by_its_fractions_or_by_what_is_wanted():
    photo = Image.new("RGB", (4, 4))
    found = open_data([(photo, i / 2) for i in range(10)])
    assert found.train.numbers and found.classes == ("number",) and repr(found).endswith("number number)")
    counts = [(photo, i) for i in range(10)]
    assert not open_data([(photo, i % 2) for i in range(10)]).train.numbers
    assert open_data(counts, outputs="numbers").train.numbers
    pairs = open_data([(photo, [i, -i]) for i in range(10)])
    assert pairs.classes == ("number 0", "number 1")


def test_tensors_and_subsets_of_them_are_data_sets_of_numbers():
    data = TensorDataset(torch.rand(10, 3, 4, 4), torch.linspace(0, 1, 10))
    found = open_data(Subset(data, range(0, 10, 2)))
    assert [*sorted(found.train.labels + found.val.labels)] == [(pytest.approx(i / 9),)
                                                                for i in range(0, 10, 2)]
    assert found.train[0][0].size == (4, 4)


@pytest.mark.parametrize(("labels", "sentence"), [
    ([1.5, float("nan")], "Row 1 of list has nan"), ([1.5, float("inf")], "Row 1 .* inf"),
    ([1.5, 1e31], "above 1e"),
    ([1.5, "two"], "Row 1 of list has two"), ([[1.5, 2], [3]], "Row 1 of list has 1 numbers, and the rows "
                                                               "before it 2"), ([], "no rows"),
])
def test_a_row_without_a_number_is_refused_by_its_place(labels, sentence):
    with pytest.raises(DataError, match=sentence):
        numbers_of_rows([(None, label) for label in labels])


def test_what_is_held_out_is_spread_over_the_whole_range_and_drawn_by_the_seed(folder):
    path = write(folder, rows(*range(10)))
    first, again, other = (open_data(path, seed=seed, val_share=0.3) for seed in (0, 0, 4))
    assert first.val.names == again.val.names != other.val.names
    low, middle, high = (label[0] for label in first.val.labels)
    assert low < 10 / 3 <= middle + 1 and middle < 20 / 3 <= high + 1
    assert "whole range of price" in first.notes[0]
    import random

    drawn = [len(spread_over(list(range(n)), 0.2, random.Random(0))) for n in (0, 1, 2, 10, 99)]
    assert drawn == [0, 0, 1, 2, 20]


def test_one_row_is_too_few_to_hold_any_out(folder):
    with pytest.raises(DataError, match="no photos to judge by"):
        open_data(write(folder, rows(1)))


def test_two_tables_are_a_pair_whose_columns_are_told_by_name(folder):
    first = write(folder, "file,a,b\n0.png,1,2\n1.png,3,4\n")
    second = write(folder, "file,b,a\n2.png,5,6\n", "val.csv")
    assert open_data((first, second)).val.labels == ((6.0, 5.0),)
    animals = write(folder, rows("dog", "cat", "dog", head="file,animal"))
    more = write(folder, "file,animal\n3.png,dog\n", "val.csv")
    assert open_data((animals, more)).val.labels == (1,)
    first = write(folder, "file,a,b\n0.png,1,2\n1.png,3,4\n")
    with pytest.raises(DataError, match="different kinds: numbers a, b, and 2 classes"):
        open_data((first, write(folder, "file,kind\n0.png,x\n1.png,x\n2.png,y\n", "kinds.csv")))
    with pytest.raises(DataError, match="no row whose split is train"):
        open_data(write(folder, "file,price,split\n0.png,1,val\n"))


def test_a_photo_set_of_numbers_counts_joins_and_cuts_as_others_do():
    photos = PhotoSet(("a", "b"), ((1.0, 2.0), (3.0, 4.0)), ("x", "y"), lambda i: Image.new("RGB", (4, 4)),
                      numbers=True)
    assert photos.subset([1]).labels == ((3.0, 4.0),) and photos.subset([1]).numbers
    assert (photos.kind, photos.multi_label, photos.counts()) == ("numbers", False, {"a": 2, "b": 2})
    assert repr(Splits("it", photos, photos)) == "Splits('it', 2 to learn from, 2 to judge by, numbers a, b)"
