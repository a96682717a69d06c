"""A file that `explorer.export` wrote gives the network's numbers without explorer, or is not written."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import explorer
from explorer.files import DiskError
from explorer.inspection.export.formats import OnnxFile, TorchFile
from explorer.inspection.export.narrowing import Narrowed, fits
from tests.inspection.small_models import noise_photo, tiny
from tests.models.oracle import randomise
from tests.models.samples import CifarNet

PHOTO = noise_photo()
SIDE = 32
NETS = {"resnet10t": {}, "vit_tiny_patch16_224": {"img_size": SIDE, "depth": 2}, "convnext_atto": {}}
JSON = ("labels", "preprocessing", "results", "stages", "notes")


def net(name: str = "resnet10t", classes: int = 4, **options: Any) -> explorer.VisionModel:
    """A network with random weights for photos of 32 x 32, in evaluation mode."""
    model = explorer.create_model(name, num_classes=classes, **NETS.get(name, {}), **options)
    randomise(model)
    model.config = model.config.with_(input_size=(model.in_chans, SIDE, SIDE), license="apache-2.0",
                                      labels=tuple(f"kind {index}" for index in range(classes)))
    return model.eval()


def run(path: Path, photos: torch.Tensor) -> dict[str, np.ndarray]:
    """What the file gives, without explorer."""
    if path.suffix == ".pt2":
        found = torch.export.load(path).module()(photos)
        return {name: value.detach().numpy() for name, value in found.items()}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert [given.name for given in session.get_inputs()] == ["image"]
    return dict(zip(names, session.run(names, {"image": photos.numpy()})))


def facts_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".pt2":
        extra = {"explorer.json": ""}
        torch.export.load(path, extra_files=extra)
        return json.loads(extra["explorer.json"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict(session.get_modelmeta().custom_metadata_map)
    return found | {key: json.loads(found[key]) for key in JSON if key in found}


def assert_same(given: Any, wanted: torch.Tensor) -> None:
    """To 1e-4 of the largest number."""
    wanted = wanted.detach()
    np.testing.assert_allclose(given, wanted.numpy(), rtol=0, atol=1e-4 * max(1, float(wanted.abs().max())))


@pytest.fixture(scope="module")
def model() -> explorer.VisionModel:
    return net()


@pytest.fixture(scope="module")
def files(model, tmp_path_factory) -> dict[str, Path]:
    """The same network in both kinds of file, with all maps."""
    folder = tmp_path_factory.mktemp("exported")
    return {end: explorer.export(model, folder / f"net{end}", maps="all") for end in (".onnx", ".pt2")}


@pytest.mark.parametrize("name", NETS)
def test_onnx_gives_the_logits_the_vector_and_every_map_that_look_shows(name, tmp_path):
    model = net(name)
    seen = explorer.look(model, PHOTO)
    found = run(explorer.export(model, tmp_path / "net.onnx", maps="all"), seen.input[None])
    assert list(found) == ["logits", "embedding", *(f"maps.{stage}" for stage in seen.stages)]
    assert_same(found["logits"][0], seen.logits)
    assert_same(found["embedding"][0], seen.embedding)
    for stage, shown in seen.stages.items():
        assert_same(found[f"maps.{stage}"][0], shown)


def test_a_program_of_torch_gives_them_too(model, files):
    seen = explorer.look(model, PHOTO)
    found = run(files[".pt2"], seen.input[None])
    assert_same(found["logits"][0], seen.logits)
    for stage, shown in seen.stages.items():
        assert_same(found[f"maps.{stage}"][0], shown)


@pytest.mark.parametrize("end", [".onnx", ".pt2"])
def test_the_file_says_how_to_use_it(end, model, files):
    told = facts_of(files[end])
    assert told["explorer_version"] == explorer.__version__
    assert (told["name"], told["licence"], told["task"], told["outputs"]) == \
        ("resnet10t", "apache-2.0", "classification", "one")
    assert told["labels"] == ["kind 0", "kind 1", "kind 2", "kind 3"]
    wanted = explorer.look(model, PHOTO).config
    assert told["preprocessing"] == json.loads(json.dumps(wanted))
    assert told["preprocessing"].keys() == {"input_size", "mean", "std", "interpolation", "crop_pct",
                                            "crop_mode"}
    assert told["stages"] == {stage.name: f"maps.{stage.name}" for stage in model.stages}
    assert told["results"]["logits"] == [1, 4]
    assert told["notes"] and "No weights were loaded" in told["notes"][0]


@pytest.mark.parametrize("end", [".onnx", ".pt2"])
def test_the_file_does_not_tell_of_this_computer(end, files):
    held = files[end].read_bytes()
    for place in (str(Path(explorer.__file__).parent), "site-packages"):
        assert place.encode() not in held


def test_onnx_is_a_sound_file(files):
    onnx.checker.check_model(onnx.load(str(files[".onnx"])), full_check=True)


def test_chosen_maps_and_several_photos_at_once(model, tmp_path):
    path = explorer.export(model, str(tmp_path / "net.PT2"), maps=["layer3", "layer1"], batch_size=3)
    photos = torch.randn(3, 3, SIDE, SIDE)
    found = torch.export.load(io.BytesIO(path.read_bytes())).module()(photos)
    assert list(found) == ["logits", "embedding", "maps.layer3", "maps.layer1"]
    assert_same(found["logits"].detach(), model(photos))
    with pytest.raises(ValueError, match="layer9.*Its stages: stem"):
        explorer.export(model, tmp_path / "other.pt2", maps=["layer1", "layer9"])


@pytest.mark.parametrize("end", [".onnx", ".pt2"])
def test_any_number_of_photos_at_once(end, model, tmp_path):
    path = explorer.export(model, tmp_path / f"net{end}", maps=["layer2"], batch_size=None)
    for count in (1, 2, 5):
        photos = torch.randn(count, 3, SIDE, SIDE)
        found = run(path, photos)
        assert_same(found["logits"], model(photos))
        assert found["maps.layer2"].shape[0] == count
    assert facts_of(path)["results"]["logits"] == [None, 4]
    if end == ".onnx":
        assert onnxruntime.InferenceSession(str(path)).get_inputs()[0].shape[0] == "batch"


@pytest.mark.parametrize("end", [".onnx", ".pt2"])
def test_weights_in_float16_halve_the_file(end, model, files, tmp_path):
    path = explorer.export(model, tmp_path / f"net{end}", precision="float16")
    assert path.stat().st_size < 0.55 * files[end].stat().st_size
    photos = torch.randn(1, 3, SIDE, SIDE)
    found, wanted = run(path, photos)["logits"], model(photos).detach().numpy()
    assert found.dtype == np.float32
    assert 0 < np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()
    with pytest.raises(ValueError, match="precision is 'int8': expected 'float32' or 'float16'"):
        explorer.export(model, path, precision="int8")


@pytest.mark.parametrize(("weight", "kept"), [
    (torch.full((64, 64), 1e5), True), (torch.full((64, 64), 1e-9), True), (torch.randn(8, 8), True),
    (torch.randn(4096), True), (torch.randn(64, 64), False),
], ids=["too large", "too small", "few", "of a norm", "usual"])
def test_a_weight_that_float16_can_not_hold_stays(weight, kept):
    part = nn.Linear(1, 1)
    part.weight = nn.Parameter(weight)
    stored = next(tensor for tensor in Narrowed(part).buffers() if tensor.shape == weight.shape)
    assert (stored.dtype == torch.float32) == kept
    assert fits(weight.numpy()) != kept


def test_the_model_stays_as_it_was(tmp_path):
    model = net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explorer.export(model, tmp_path / "net.pt2", maps="all")
    assert all(part.training for part in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_half_precision_leaves_in_float32(tmp_path):
    model = net().to(torch.bfloat16)
    found = run(explorer.export(model, tmp_path / "net.pt2"), torch.randn(1, 3, SIDE, SIDE))
    assert found["logits"].dtype == np.float32
    assert next(model.parameters()).dtype == torch.bfloat16


# --- what may be exported -----------------------------------------------------------------------------------


def test_a_module_behind_wrap(tmp_path):
    module = CifarNet()
    randomise(module)
    photos = torch.randn(1, 3, 32, 32)
    path = explorer.export(explorer.wrap(module, input_size=32), tmp_path / "mine.onnx", maps="all")
    found = run(path, photos)
    assert_same(found["logits"], module.eval()(photos))
    assert any(name.startswith("maps.") for name in found)
    with pytest.raises(TypeError, match=r"explorer\.wrap\(module\) first"):
        explorer.export(module, tmp_path / "mine.pt2")


def test_a_run(tmp_path):
    folder = tmp_path / "photos"
    for kind in ("dark", "light"):
        for number in range(3):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            noise_photo(seed=number).point(lambda v, k=kind: v // 3 + (170 if k == "light" else 0)).save(
                folder / kind / f"{number}.png")
    run_ = explorer.finetune(net(), folder, epochs=1, name="by light").wait()
    path = explorer.export(run_, tmp_path / "run.pt2")
    told = facts_of(path)
    assert (told["name"], told["labels"]) == ("by light", ["dark", "light"])
    photos = torch.randn(1, 3, SIDE, SIDE)
    assert_same(run(path, photos)["logits"], run_.model.eval()(photos))


def test_an_ensemble_gives_the_combined_scores(tmp_path):
    second = net(classes=4)
    second.config = second.config.with_(crop_pct=0.95, interpolation="bilinear", mean=(0.5,) * 3)
    first = net()
    first.config = first.config.with_(crop_pct=0.95, interpolation="bilinear")
    team = explorer.Ensemble({"a": first, "b": second})
    path = explorer.export(team, tmp_path / "team.pt2", maps=["a/layer1"])
    seen = explorer.look(team, PHOTO)
    found = run(path, seen.input[None])
    assert_same(found["logits"][0], seen.logits)
    assert_same(found["maps.a/layer1"][0], seen.stages["a/layer1"])
    assert facts_of(path)["preprocessing"]["std"] == [1.0, 1.0, 1.0]  # each member's own is in the file
    second.config = second.config.with_(crop_pct=0.8)
    with pytest.raises(ValueError, match="several sizes or crops"):
        explorer.export(explorer.Ensemble({"a": first, "b": second}), tmp_path / "no.onnx")


def test_maps_alone_and_a_model_without_classifier(tmp_path):
    photos = torch.randn(1, 3, SIDE, SIDE)
    maps = explorer.create_model("resnet10t", features_only=True, out_indices=(3, 1)).eval()
    maps.model.config = maps.config.with_(input_size=(3, SIDE, SIDE))
    found = run(explorer.export(maps, tmp_path / "maps.pt2"), photos)
    assert list(found) == ["maps.layer3", "maps.layer1"]
    for given, wanted in zip(found.values(), maps(photos)):
        assert_same(given, wanted)
    bare = net()
    bare.reset_classifier(0)
    found = run(explorer.export(bare, tmp_path / "bare.pt2"), photos)
    assert list(found) == ["embedding"]
    assert_same(found["embedding"], bare(photos))


def test_a_network_for_masks(tmp_path):
    model = explorer.create_model("lraspp", backbone="mobilenetv3_small_050", num_classes=2)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64), labels=("ground", "cat"))
    path = explorer.export(model, tmp_path / "masks.pt2")
    photos = torch.randn(1, 3, 64, 64)
    assert_same(run(path, photos)["scores"], model.eval()(photos))
    told = facts_of(path)
    assert (told["task"], told["labels"]) == ("segmentation", ["ground", "cat"])
    assert told["preprocessing"]["crop_mode"] == "whole"
    assert (told["preprocessing"]["short"], told["preprocessing"]["placing"]) == (64, "resized")


def test_what_can_not_leave_says_why(model, tmp_path):
    with pytest.raises(ValueError, match=r"explorer\.optimize made"):
        explorer.export(explorer.optimize(model), tmp_path / "fast.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_torchs_exporter_does_not_manage_is_a_sentence(tmp_path):
    class Undecided(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            x = self.conv(x).mean((2, 3))
            return self.fc(x if x.sum().item() > 0 else -x)

    model = explorer.wrap(Undecided(), input_size=16)
    with pytest.raises(ValueError, match=r"Undecided can't be written as .*exporter does not manage it"):
        explorer.export(model, tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


# --- the file takes its place only when it is right ---------------------------------------------------------


@pytest.mark.parametrize("kind", [OnnxFile, TorchFile])
def test_a_file_that_says_something_else_is_thrown_away(kind, model, files, tmp_path, monkeypatch):
    end = ".onnx" if kind is OnnxFile else ".pt2"
    there = tmp_path / f"net{end}"
    there.write_bytes(files[end].read_bytes())
    honest = kind.run

    def lying(self, path, photos, names):
        found = honest(self, path, photos, names)
        return found | {"logits": found["logits"].flip(-1)}

    monkeypatch.setattr(kind, "run", lying)
    with pytest.raises(ValueError, match=r"does not say what the network says \(its logits differ"):
        explorer.export(model, there)
    with pytest.raises(ValueError, match=r"rounded to float16 \(its logits differ.*give precision='float32'"):
        explorer.export(model, there, precision="float16")
    assert there.read_bytes() == files[end].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [there.name]


def test_broken_weights_are_not_exported(tmp_path):
    model = net()
    with torch.no_grad():
        model.fc.bias[0] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        explorer.export(model, tmp_path / "net.pt2")


@pytest.mark.parametrize("end", [".onnx", ".pt2"])
def test_its_own_file_is_replaced_and_no_other(end, model, files, tmp_path):
    path = tmp_path / f"net{end}"
    path.write_bytes(files[end].read_bytes())
    explorer.export(tiny("lenet"), path)
    assert facts_of(path)["name"] == "lenet5"
    for content in (b"a letter", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(FileExistsError, match=r"explorer\.export did not write it"):
            explorer.export(model, path)
        assert path.read_bytes() == content


def test_hostile_paths_are_sentences(model, tmp_path):
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(FileExistsError, match="is no file"):
        explorer.export(model, tmp_path / "folder.pt2")
    (tmp_path / "nowhere.pt2").symlink_to(tmp_path / "gone" / "net.pt2")
    with pytest.raises(FileExistsError, match="is no file"):
        explorer.export(model, tmp_path / "nowhere.pt2")
    with pytest.raises(DiskError, match="There is no folder"):
        explorer.export(model, tmp_path / "gone" / "net.pt2")
    for name in ("net", "net.pth", "net.onnx.gz", ".onnx"):
        with pytest.raises(ValueError, match=r"expected a file that ends in \.onnx or \.pt2"):
            explorer.export(model, tmp_path / name)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(package, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'vision-explorer\[live\]'.*\.pt2"):
        explorer.export(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_onnx_itself_checks_the_file(tmp_path, monkeypatch):
    model = tiny("lenet")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert explorer.export(model, tmp_path / "net.onnx", maps="all").is_file()
