"""Features of many photos: right, in order, bounded, kept on disk, and never stale."""

from __future__ import annotations

import os
import shutil
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.datasets import open_data
from explorer.inspection.features import cache as on_disk
from explorer.inspection.features.cache import Chunks, StoreError, cache_size, clear_cache
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look import faster
from explorer.models.doors.wrapping import wrap
from tests.html import parse
from tests.models.oracle import randomise


def small_net(seed: int = 0, classes: int = 4) -> nn.Module:
    """A network that takes microseconds, with a BatchNorm to fold."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(6, classes))
    randomise(net)
    return wrap(net, input_size=(3, 24, 24)).eval()


@pytest.fixture
def model():
    return small_net()


@pytest.fixture
def folder(tmp_path):
    """Ten noisy photos, five in each of two class folders."""
    random = np.random.default_rng(0)
    for index in range(10):
        file = tmp_path / "photos" / ("cats" if index < 5 else "dogs") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (30, 26, 3), dtype=np.uint8)).save(file)
    return tmp_path / "photos"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def passes(model) -> list[int]:
    """A list that fills with the batch size of every pass through the model."""
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    inner = model.forward_features
    model.forward_features = lambda x: (sizes.append(len(x)), inner(x))[1]
    return sizes


def test_rows_are_those_of_a_look_at_each_photo(model, folder, cache):
    features = run_folder(model, folder, batch_size=4, cache_dir=cache)
    for index in range(len(features)):
        seen = explorer.look(model, features.open_photo(index))
        np.testing.assert_allclose(features.embeddings[index], seen.embedding, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(features.logits[index], seen.logits, rtol=1e-4, atol=1e-5)
    assert isinstance(features.embeddings, np.memmap) and features.embeddings.dtype == np.float32


def test_a_folder_is_read_as_it_is_described(model, folder, cache):
    """case A8: `Train/`, `Dev/` and `Test/` are parts, not classes; case A9: an empty folder is no class."""
    (folder / "empty").mkdir()
    assert run_folder(model, folder, cache_dir=cache).classes == ("cats", "dogs")
    parts = folder.parent / "parts"
    for part in ("Train", "Dev", "Test"):
        shutil.copytree(folder, parts / part)
    features = run_folder(model, parts, cache_dir=cache)
    assert features.classes == ("cats", "dogs") and features.held_out.tolist() == [False] * 10 + [True] * 20
    (folder / "loose.png").write_bytes((folder / "cats" / "0.png").read_bytes())
    whole = run_folder(model, folder, cache_dir=cache)
    assert len(whole) == 11 and whole.labels is None  # none is lost for having no class


def test_a_folder_of_class_folders_has_labels_and_names(model, folder, cache):
    features = run_folder(model, folder, cache_dir=cache)
    assert features.classes == ("cats", "dogs") and features.labels.tolist() == [0] * 5 + [1] * 5
    assert features.names[0] == "cats/0.png" and features.files[9] == folder / "dogs" / "9.png"
    assert features.held_out is None and features.class_names == ("class 0", "class 1", "class 2", "class 3")


def test_train_and_val_below_a_folder_are_kept_apart(model, cache):
    splits = open_data("flowers5_nano")
    features = run_folder(model, "flowers5_nano", cache_dir=cache)
    assert len(features) == len(splits.train) + len(splits.val)
    assert features.held_out.sum() == len(splits.val) and features.labels[-1] == splits.val.labels[-1]
    by_path = run_folder(model, explorer.data.assets_dir() / "data" / "flowers5_nano", cache_dir=cache)
    assert torch.equal(by_path.held_out, features.held_out) and by_path.classes == splits.classes


def test_a_list_without_files_has_features_too(model, folder, cache):
    files = sorted(folder.rglob("*.png"))
    photos = [Image.open(file) for file in files]
    features = run_folder(model, photos, cache_dir=cache)
    assert features.names == tuple(f"image {i}" for i in range(1, 11)) and features.labels is None
    np.testing.assert_allclose(features.embeddings, run_folder(model, files, cache_dir=cache).embeddings,
                               rtol=1e-5)
    assert run_folder(model, photos, cache_dir=cache).computed == 0


def test_what_is_known_is_not_computed_again_whatever_the_folder(model, folder, cache):
    first = run_folder(model, folder, cache_dir=cache)
    sizes = passes(model)
    again = run_folder(model, [folder / "dogs" / "7.png", folder / "cats" / "2.png"], cache_dir=cache)
    assert sizes == [1]  # the one that is looked at again
    assert again.computed == 0
    np.testing.assert_array_equal(again.embeddings, first.embeddings[[7, 2]])


def test_other_weights_or_another_preprocessing_are_other_features(model, folder, cache):
    run_folder(model, folder, cache_dir=cache)
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    assert run_folder(model, folder, cache_dir=cache).computed == 10
    model.config = model.config.with_(mean=(0.4, 0.4, 0.4))
    assert run_folder(model, folder, cache_dir=cache).computed == 10


def test_a_changed_photo_is_computed_again_and_only_that(model, folder, cache):
    run_folder(model, folder, cache_dir=cache)
    Image.new("RGB", (30, 30), "red").save(folder / "cats" / "3.png")
    assert run_folder(model, folder, cache_dir=cache).computed == 1


def test_a_model_whose_code_has_changed_is_noticed(model, folder, cache):
    before = run_folder(model, folder, cache_dir=cache)
    inner = model.forward_head
    model.forward_head = lambda x, pre_logits=False: inner(x, pre_logits) * 2  # the same weights and layers
    model.forward_vector_and_logits = lambda x: (model.forward_head(x, True), model.forward_head(x))
    after = run_folder(model, folder, cache_dir=cache)
    assert after.computed == 10
    np.testing.assert_allclose(after.logits, 2 * before.logits, rtol=1e-4)


def test_stopping_keeps_what_is_done_and_the_next_run_goes_on(model, folder, cache):
    seen = []
    stopped = run_folder(model, folder, batch_size=2, cache_dir=cache, should_stop=lambda: len(seen) == 2,
                         on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 10), (4, 10)] and len(stopped) == 4 and not stopped.complete
    rest = run_folder(model, folder, batch_size=2, cache_dir=cache)
    assert rest.computed == 6 and rest.complete
    np.testing.assert_array_equal(rest.embeddings[:4], stopped.embeddings)


def test_a_killed_run_loses_no_chunk_that_was_written(model, folder, cache, monkeypatch):
    monkeypatch.setattr(on_disk, "CHUNK_ROWS", 4)
    monkeypatch.setattr(Chunks, "flush", guarded(Chunks.flush, 2))
    with pytest.raises(KeyboardInterrupt):
        run_folder(model, folder, batch_size=2, cache_dir=cache)
    monkeypatch.undo()
    assert run_folder(model, folder, cache_dir=cache).computed == 6


def guarded(flush, allowed: int):
    """`flush` that is never reached again after the first `allowed - 1` times, as after a kill."""
    calls = []

    def once(self):
        calls.append(1)
        if len(calls) >= allowed:
            raise KeyboardInterrupt
        flush(self)
    return once


def test_broken_photos_are_named_and_left_out(model, folder, cache):
    (folder / "cats" / "1.png").write_bytes(b"no picture at all")
    (folder / "dogs" / "8.png").write_bytes((folder / "dogs" / "8.png").read_bytes()[:300])
    features = run_folder(model, folder, cache_dir=cache)
    assert [name for name, _ in features.problems] == ["cats/1.png", "dogs/8.png"]
    assert len(features) == 8 and features.labels.tolist() == [0] * 4 + [1] * 4
    assert features.names[1] == "cats/2.png"
    np.testing.assert_array_equal(np.asarray(features.open_photo(7)),
                                  np.asarray(Image.open(folder / "dogs" / "9.png")))


def test_no_photo_that_opens_is_a_sentence(model, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(ValueError, match="None of the 1 photos could be opened. The first, a.jpg:"):
        run_folder(model, tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match="holds no photos"):
        run_folder(model, tmp_path / "cache", cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match="There is no folder"):
        run_folder(model, tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [
    lambda data: data[:-20],                                    # cut off
    # one bit of a number, which the checksum finds
    lambda data: data[:400] + bytes([data[400] ^ 255]) + data[401:],
    lambda data: b"\x80\x04cposix\nsystem\n",                   # a pickle
], ids=["cut", "flipped", "pickle"])
def test_damaged_chunks_are_computed_again(model, folder, cache, damage):
    run_folder(model, folder, cache_dir=cache)
    chunk, = cache.glob("*/chunk-*.npz")
    chunk.write_bytes(damage(chunk.read_bytes()))
    assert run_folder(model, folder, cache_dir=cache).computed == 10


def test_a_chunk_with_python_objects_is_never_unpickled(model, folder, cache, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("hacked").mkdir, ())

    run_folder(model, folder, cache_dir=cache)
    chunk, = cache.glob("*/chunk-*.npz")
    np.savez(chunk, keys=np.array([Bomb()], dtype=object), embeddings=np.zeros((1, 6)),
             logits=np.zeros((1, 4)))
    assert run_folder(model, folder, cache_dir=cache).computed == 10
    assert not (tmp_path / "hacked").exists()


def header(text: str) -> bytes:
    """An .npy file that says so of itself, and holds nothing more."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("content", [
    header("(((\n"), header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**15, 32), }\n"),
    header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 32), }\n"),
    b"", b"\x93NUMPY",
])
def test_a_chunk_with_a_made_up_header_is_not_used(model, folder, cache, content):
    first = run_folder(model, folder, cache_dir=cache)
    file = next(cache.glob("*/chunk-*.npz"))
    with zipfile.ZipFile(file.with_name("chunk-0.npz"), "w") as archive:
        for name in ("keys.npy", "embeddings.npy", "logits.npy"):
            archive.writestr(name, content)
    again = run_folder(model, folder, cache_dir=cache)
    assert again.computed == 0 and np.array_equal(first.logits, again.logits)


def test_what_only_looks_like_a_chunk_is_neither_opened_nor_deleted(model, folder, cache):
    run_folder(model, folder, cache_dir=cache)
    place = next(cache.glob("*/chunk-*.npz")).parent
    (place / "chunk-folder.npz").mkdir()
    os.mkfifo(place / "chunk-pipe.npz")  # opening it would wait for somebody who writes
    assert run_folder(model, folder, cache_dir=cache).computed == 0
    assert clear_cache(cache) > 0 and (place / "chunk-folder.npz").is_dir() and cache_size(cache) == 0


def test_rows_of_other_widths_are_not_mixed_in(model, folder, cache):
    first = run_folder(model, folder, cache_dir=cache)
    file = next(cache.glob("*/chunk-*.npz"))
    with np.load(file) as chunk:
        parts = dict(chunk)
    parts["logits"] = np.ones((len(parts["keys"]), 9), np.float32)
    np.savez(file.with_name("chunk-zzz.npz"), **parts)
    again = run_folder(model, folder, cache_dir=cache)
    assert np.array_equal(first.logits, again.logits)
    np.savez(
        file.with_name("chunk-0.npz"), **parts
    )  # read first: what is kept differs from what the model says
    again = run_folder(model, folder, cache_dir=cache)
    assert again.computed == 10 and np.allclose(first.logits, again.logits, atol=1e-5)


def test_a_chunk_that_another_process_takes_away_meanwhile_is_a_sentence(model, folder, cache):
    run_folder(model, folder, cache_dir=cache)
    with pytest.raises(StoreError, match="taken away or changed while it was used.*run it again"):
        run_folder(
            model,
            folder,
            cache_dir=cache,
            batch_size=2,
            on_progress=lambda done, _all: done == 4 and clear_cache(cache),
        )


def test_two_at_once_give_the_same_rows(model, folder, cache):
    found = [run_folder(model, folder, cache_dir=cache / "alone")]
    others = [
        threading.Thread(
            target=lambda: found.append(run_folder(model, folder, cache_dir=cache / "shared", batch_size=2))
        )
        for _ in range(3)
    ]
    for one in others:
        one.start()
    for one in others:
        one.join()
    assert len(found) == 4 and all(np.allclose(found[0].logits, one.logits, atol=1e-5) for one in found)
    assert run_folder(model, folder, cache_dir=cache / "shared").computed == 0


def test_the_faster_copy_gives_the_same_numbers(model, folder, cache, monkeypatch):
    plain = run_folder(model, folder, batch_size=4, cache_dir=cache)
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    made = []
    monkeypatch.setattr(faster, "unproven_copy",
                        lambda net, _: made.append(explorer.optimize(net)) or made[-1])
    fast = run_folder(model, folder, batch_size=4, cache_dir=cache / "other")
    assert made[0].optimize_report.folded == 1
    np.testing.assert_allclose(fast.embeddings, plain.embeddings, rtol=1e-5, atol=1e-6)


def test_a_copy_with_other_numbers_is_not_used(model, folder, cache, monkeypatch):
    plain = run_folder(model, folder, batch_size=4, cache_dir=cache)
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 1)
    monkeypatch.setattr(faster, "unproven_copy", lambda *_: small_net(seed=1))
    other = run_folder(model, folder, batch_size=4, cache_dir=cache / "other")
    np.testing.assert_allclose(other.logits, plain.logits, rtol=1e-5)


def test_a_subset_has_its_rows_in_the_order_asked_for(model, folder, cache):
    features = run_folder(model, folder, cache_dir=cache)
    some = features.subset([7, 2])
    assert some.names == ("dogs/7.png", "cats/2.png") and some.labels.tolist() == [1, 0] and len(some) == 2
    np.testing.assert_array_equal(some.embeddings, features.embeddings[[7, 2]])
    assert some.open_photo(0).tobytes() == features.open_photo(7).tobytes()


def test_a_model_without_classifier_has_embeddings_alone(folder, cache):
    net = explorer.create_model("lenet5", num_classes=0).eval()
    features = run_folder(net, folder, cache_dir=cache)
    assert features.logits.shape == (10, 0) and features.embeddings.shape == (10, net.head_hidden_size)


def test_memory_does_not_grow_with_the_number_of_photos(model, cache):
    def peak(count: int) -> int:
        photos = open_data("flowers5_nano").train.subset([i % 80 for i in range(count)])
        # no files: opened each time
        photos = type(photos)(photos.classes, photos.labels, photos.names, photos.open_one)
        tracemalloc.start()
        try:
            run_folder(model, photos, batch_size=8, cache_dir=cache)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)
    few, many = peak(40), peak(160)
    assert many < few + 400_000  # bytes; 120 more photos of 24 x 24 as float32 alone would be 829,440


def test_a_folder_that_cant_be_written_is_a_sentence(model, folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be kept in"):
        run_folder(model, folder, cache_dir=tmp_path / "file")


def test_without_a_place_to_keep_them_there_are_features_and_a_note(model, folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    features = run_folder(model, folder)
    assert len(features) == 10 and features.cache_dir is None and "can't be written" in features.notes[-1]


def test_a_usual_place_that_is_there_but_read_only_gives_features_and_a_note(
    model, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run_folder(model, folder)
    real = on_disk.tempfile.TemporaryFile

    def refused(*args, dir, **options):
        if str(dir).startswith(str(tmp_path / "explorer")):
            raise PermissionError(13, "Permission denied")
        return real(*args, dir=dir, **options)

    monkeypatch.setattr(on_disk.tempfile, "TemporaryFile", refused)
    features = run_folder(model, folder)
    assert features.computed == 10 and any("not kept for the next time" in note for note in features.notes)


def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(model, folder, cache, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(on_disk.np, "savez", full)
    with pytest.raises(StoreError, match="No space left.*make room"):
        run_folder(model, folder, cache_dir=cache)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_the_cache_lies_where_the_user_keeps_caches_and_can_be_cleared(model, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    features = run_folder(model, folder)
    assert features.disk == cache_size() > 0
    assert features.cache_dir == tmp_path / "mine" / "explorer" / "features"
    assert "kept for this model" in repr(features)
    assert clear_cache() == features.disk and cache_size() == 0
    assert not any(features.cache_dir.iterdir())
    assert features.embeddings[0].shape == (6,)  # these stay readable


def test_names_are_text_in_html(model, folder, cache):
    (folder / "cats" / "<b>.png").write_bytes(b"text")
    page = parse(run_folder(model, folder, cache_dir=cache)._repr_html_())
    assert page.find("li").text.startswith("cats/<b>.png: ")
