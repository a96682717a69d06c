"""What a weight file is: known by its content, told in a sentence, and nothing of it run."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from explorer.models.weights.choosing import read_state_dict
from explorer.models.weights.reading import read_checkpoint
from explorer.models.weights.report import WeightsError

W, OTHER = torch.arange(3.0), torch.zeros(3)


@pytest.fixture
def file(tmp_path):
    """file(content, name) -> the path of a file with these bytes, or with `torch.save` of anything else."""

    def write(content, name: str = "net.pth", **options) -> Path:
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return write


# --- checkpoints of training programs -----------------------------------------------------------------------


class Settings(dict):
    """Stands in for Lightning's and others' dict of settings, which live in packages that may be missing
    here."""


Settings.__module__, Settings.__qualname__ = "lightning_fabric.utilities.data", "AttributeDict"


@pytest.fixture
def settings(monkeypatch):
    """An object whose class a pickle finds under Lightning's name."""
    import sys
    import types

    for name in ("lightning_fabric", "lightning_fabric.utilities", Settings.__module__):
        monkeypatch.setitem(sys.modules, name, module := types.ModuleType(name))
    module.AttributeDict = Settings
    return Settings(lr=0.1)


def harmless(kind: str):
    hostile = argparse.Namespace(model="resnet18")
    hostile.__dict__.update({"__class__": "x", "__init__": 1, "__setstate__": None, "__dict__": 3})
    return {
        "namespace": argparse.Namespace(lr=0.1),
        "hostile namespace": hostile,
        "numpy number": np.float64(81.5),
        "numpy integer": np.int64(3),
        "numpy array": np.arange(4.0),
        "path": PurePosixPath("/data"),
        "list class": list,
        "defaultdict": defaultdict(list, a=[1]),
        "ordered": OrderedDict(a=1),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
    }[kind]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "kind",
    [
        "namespace",
        "hostile namespace",
        "numpy number",
        "numpy integer",
        "numpy array",
        "path",
        "list class",
        "defaultdict",
        "ordered",
        "size",
        "device",
    ],
)
def test_what_a_training_program_leaves_beside_the_tensors_does_no_harm(file, kind, legacy):
    """case C4: `args` of timm's own training script is a Namespace, its best metric a number of numpy's."""
    path = file(
        {"state_dict": {"w": W}, "beside": harmless(kind), "epoch": 3},
        _use_new_zipfile_serialization=not legacy,
    )
    assert torch.equal(read_state_dict(path)["w"], W)


def test_lightnings_settings_are_read_as_data(file, settings):
    """case C4: classes of packages that need not be installed."""
    path = file(
        {"state_dict": {"model.w": W}, "hyper_parameters": settings, "callbacks": {Settings: {"best": 1}}}
    )
    assert list(read_checkpoint(path).tables) == ["state_dict"]


def test_a_table_inside_a_harmless_dict_is_found(file, settings):
    table = defaultdict(list)
    table["w"] = W
    assert torch.equal(read_state_dict(file({"weights": table, "epoch": 1}))["w"], W)


@pytest.mark.parametrize(
    "content",
    [
        {"net": {"w": W}},
        {"model_state_dict": {"w": W}},
        {"model_state": {"w": W}},
        {"params": {"w": W}},
        {"weights": {"w": W}},
        {"params_ema": {"w": W}, "params": {"w": OTHER}},
        {"teacher": {"w": W}, "student": {"w": OTHER}},
        {"ema": {"model": {"w": W}}, "model": {"w": OTHER}},
        {"anything": {"w": W}, "optimizer": {"state": {0: {"m": OTHER}}}},
        {"checkpoint": {"inside": {"module.w": W}}},
    ],
    ids=lambda content: "+".join(content),
)
def test_the_table_of_weights_is_found_whatever_it_is_called(file, content):
    """case C4: `{"net": ...}`, `model_state_dict`, `teacher` and the like were "holds no tensors"."""
    state = read_state_dict(file(content))
    assert list(state) == ["w"] and torch.equal(state["w"], W)


def test_two_tables_that_could_be_meant_are_named_with_the_way_to_choose(file):
    """case C4: nothing is guessed."""
    path = file({"left": {"w": W}, "right": {"w": OTHER}})
    with pytest.raises(
        WeightsError, match=r"several tables that could be meant: 'left', 'right'.*'net.pth#left'"
    ):
        read_state_dict(path)
    assert torch.equal(read_state_dict(f"{path}#right")["w"], OTHER)
    with pytest.raises(
        WeightsError, match="no weights of this model at 'middle'. Its tables: 'left', 'right'"
    ):
        read_state_dict(f"{path}#middle")


def test_a_file_with_a_hash_in_its_name_is_that_file(file):
    assert torch.equal(read_state_dict(file({"w": W}, "run#3.pth"))["w"], W)


# --- what needs code to open
# -----------------------------------------------------------------------------------


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)


@pytest.mark.parametrize(
    "wrap", [lambda net: net, lambda net: {"model": net, "epoch": 1}], ids=["whole", "in a table"]
)
def test_a_whole_model_gets_our_sentence_alone(file, wrap):
    """case C6: a notebook showed torch's advice to set weights_only=False under our sentence."""
    with pytest.raises(
        WeightsError, match=r"whole model, whose classes are programs.*torch.save\(model.state_dict\(\), "
    ) as caught:
        read_checkpoint(file(wrap(Net())))
    assert "weights_only" not in str(caught.value)
    assert caught.value.__cause__ is None and (
        caught.value.__context__ is None or caught.value.__suppress_context__
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_the_class_that_was_refused_is_named_and_not_run(file, tmp_path, legacy):
    """case C4: the sentence names the class."""
    path = file({"w": W, "extra": Trap(tmp_path / "ran")}, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"opening it would run (builtins\.)?getattr") as caught:
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists() and caught.value.__suppress_context__


def test_nothing_stays_allowed_behind_a_file(file):
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(file({"w": W, "args": argparse.Namespace()}))
    assert set(torch.serialization.get_safe_globals()) == before


# --- what is no weight file
# --------------------------------------------------------------------------------------


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(3))
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


def program() -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), buffer)
    return buffer.getvalue()


STRANGERS = {
    "empty": (b"", "it is empty"),
    "web page": (b"\n<!DOCTYPE html><title>403</title>", "a web page.*download the file itself"),
    "xml": (b"<?xml version='1.0'?><Error/>", "a web page"),
    "text": (b"hello there", "a text file"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "git-lfs pointer.*git lfs pull",
    ),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "keras 3": (zipped(model_dot_weights_dot_h5=b"x"), "a Keras model"),
    "npz": (npz(), "npz file of numpy"),
    "npy": (b"\x93NUMPY" + bytes(99), "a numpy array"),
    "tar": (tar(), "a tar archive"),
    "gzip": (gzip.compress(b"x" * 99), "packed with gzip.*Unpack"),
    "zip": (zipped(readme=b"x"), "a zip archive.*Unpack"),
    "onnx": (b"\x08\x07\x12\x07pytorch" + bytes(99), "an ONNX model"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(99), "TensorFlow Lite"),
    "gguf": (b"GGUF" + bytes(99), "a GGUF file"),
    "picture": (b"\x89PNG\r\n", "a picture"),
    "noise": (bytes(range(1, 99)), "no file of a kind"),
    "torchscript": (script(), r"TorchScript.*torch.jit.load\(path\).state_dict"),
    "json": (b'{"w": [1, 2]}', "text file"),
    "pickle": (pickle.dumps([1, 2, 3]), "damaged|cut off|holds a list"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin", ".ckpt"])
@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_weight_file_is_told_what_it_is(file, kind, suffix):
    """case C4: by its content, whatever it is called."""
    content, sentence = STRANGERS[kind]
    with pytest.raises(WeightsError, match=sentence) as caught:
        read_checkpoint(file(content, f"net{suffix}"))
    assert caught.value.__cause__ is None


def test_an_exported_program_is_told_what_it_is(file):
    with pytest.raises(WeightsError, match="program of torch.export"):
        read_checkpoint(file(program(), "net.pt2"))


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".ckpt", ".tar", ".safetensors", ""])
def test_both_kinds_of_weight_files_are_known_under_any_suffix(file, suffix):
    assert torch.equal(read_state_dict(file(to_safetensors({"w": W}), f"a{suffix}"))["w"], W)
    assert torch.equal(read_state_dict(file({"w": W}, f"b{suffix}"))["w"], W)
    assert torch.equal(
        read_state_dict(file({"w": W}, f"c{suffix}", _use_new_zipfile_serialization=False))["w"], W
    )


# --- sizes
# ------------------------------------------------------------------------------------------------------


def test_a_tensor_that_claims_more_numbers_than_it_has_is_refused(file):
    """case B8: a classifier of a million classes with stride 0 is a few bytes on disk, gigabytes in a
    model."""
    path = file({"body": torch.ones(3), "fc.weight": torch.zeros(1).expand(1_000_000, 512)})
    with pytest.raises(WeightsError, match=r"'fc.weight' claims 512,000,000 numbers, and the file holds 1"):
        read_checkpoint(path)


def test_many_views_of_one_tensor_are_refused_and_tied_weights_are_not(file):
    """case B8: each view has as many numbers as it claims, all together they have not."""
    one = torch.zeros(2**18)
    assert len(read_state_dict(file({f"w{i}": one.view(512, 512) for i in range(3)}))) == 3
    with pytest.raises(WeightsError, match="its tensors claim 0.1 GB"):
        read_checkpoint(file({f"w{i}": one.view(512, 512) for i in range(100)}))


def test_an_archive_that_would_unpack_to_far_more_is_refused_before_it_is(file, tmp_path):
    """case B8: a zip bomb."""
    path = file({"w": torch.zeros(2**22)})
    with zipfile.ZipFile(path) as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match="would unpack to far more"):
        read_checkpoint(tmp_path / "small.pth")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
        torch.zeros(3, device="meta"),
    ],
    ids=["sparse", "quantised", "meta"],
)
def test_a_tensor_of_another_kind_is_named(file, tensor):
    with pytest.raises(WeightsError, match="its tensor 'w' is (sparse|quantised|without numbers)"):
        read_checkpoint(file({"w": tensor}))


def test_a_header_that_promises_too_much_is_a_sentence(file):
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    with pytest.raises(WeightsError, match="damaged, or was cut off"):
        read_checkpoint(file(len(header).to_bytes(8, "little") + header + bytes(16)))


@pytest.mark.parametrize("length", [0x80, 0x0280, 0x8B1F, 0x5A42, 0x1208])
def test_the_length_of_a_header_is_not_taken_for_another_kind_of_file(file, length):
    """A .safetensors file begins with a number, whose bytes may be those of a pickle, gzip or ONNX."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode().ljust(length)
    assert read_state_dict(file(length.to_bytes(8, "little") + header + bytes(16)))["w"].shape == (4,)
