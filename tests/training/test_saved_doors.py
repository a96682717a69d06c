"""A network of another library, or built with options, comes back from the folder that its run was saved in.
"""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

import explorer
from explorer.models.weights.report import WeightsError
from explorer.training.loop.errors import TrainingError
from explorer.training.run.loading import load_run
from tests.training.test_loading import COLOURS, SIZE, colours, learn, same_answers  # noqa: F401

DOORS = ["torchvision/shufflenet_v2_x0_5", "timm/test_resnet.r160_in1k", "timm/test_vit"]


@pytest.fixture(scope="module", params=DOORS)
def saved(request, colours, tmp_path_factory):  # noqa: F811
    run = learn(request.param, colours, epochs=1,
                **({} if "vit" not in request.param else {"input_size": (3, 160, 160)}))
    return run, run.save(tmp_path_factory.mktemp("runs") / "mine")


def test_a_model_of_a_library_comes_back_with_labels_preparation_and_answers(saved):
    run, folder = saved
    again = explorer.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert type(again) is type(run.model) and again.config.labels == tuple(COLOURS) and again.num_classes == 3
    for fact in ("architecture", "built_as", "input_size", "mean", "std", "crop_pct", "interpolation"):
        assert getattr(again.config, fact) == getattr(run.model.config, fact), fact
    side = run.model.config.input_size[1]
    assert explorer.look(again, torch.zeros(3, side, side)).input.shape == (3, side, side)
    mine, theirs = again.state_dict(), run.model.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert "model.safetensors" in again.load_report.source and again.load_report.loaded


def test_its_checkpoints_come_back_too(saved):
    run, folder = saved
    loaded = load_run(folder)
    assert loaded.checkpoints == run.checkpoints == (0, 1)
    for epoch in loaded.checkpoints:
        then, now = run.model_at(epoch).state_dict(), loaded.model_at(epoch).state_dict()
        assert all(torch.equal(now[key], then[key]) for key in then)


def test_it_takes_another_head_and_other_channels_as_published_weights_do(saved):
    run, folder = saved
    model = explorer.create_model(f"local-dir:{folder}", pretrained=True, num_classes=5, in_chans=1)
    assert model.num_classes == 5 and model.in_chans == 1 and model.config.labels is None
    assert model.load_report.adapted and "classifier of 3 classes" in model.load_report.skipped[0]
    grey = torch.rand(1, 1, *run.model.config.input_size[1:])
    ours, theirs = model.eval().forward_features(grey), run.model.forward_features(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_random_weights_of_a_saved_model_leave_its_file_alone(saved):
    run, folder = saved
    model = explorer.create_model(f"local-dir:{folder}", num_classes=2)
    assert model.num_classes == 2 and model.load_report is None


def test_without_timm_its_models_are_a_sentence(colours, tmp_path, monkeypatch):  # noqa: F811
    folder = learn("timm/test_resnet", colours, epochs=1).save(tmp_path / "mine")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"was saved from a model of timm\. timm is not installed"):
        explorer.create_model(f"local-dir:{folder}", pretrained=True)


def change(folder, **changes):
    path = folder / "config.json"
    facts = json.loads(path.read_text())
    facts["pretrained_cfg"].update(changes.pop("pretrained_cfg", {}))
    path.write_text(json.dumps({**facts, **changes}))


@pytest.mark.parametrize("changes", [
    {"pretrained_cfg": {"built_as": "timm/hf-hub:somebody/evil"}},
    {"architecture": "timm/hf-hub:somebody/evil"}, {"architecture": "local-dir:/elsewhere"},
    {"architecture": "hf-hub:somebody/evil"}, {"architecture": "timm/test_vit"},
    {"pretrained_cfg": {"build_options": [["checkpoint_path", "/etc/passwd"]]}}, {"num_classes": 4},
    {"pretrained_cfg": {"build_options": [["img_size", {}]]}}, {"pretrained_cfg": {"build_options": "ab"}},
])
def test_a_folder_that_asks_for_something_else_is_a_sentence(colours, tmp_path, changes):  # noqa: F811
    folder = learn("timm/test_resnet", colours, epochs=1).save(tmp_path / "mine")
    change(folder, **changes)
    with pytest.raises((WeightsError, ValueError)) as caught:
        explorer.create_model(f"local-dir:{folder}", pretrained=True)
    assert len(str(caught.value)) > 40


@pytest.mark.parametrize("options", [{"img_size": 32}, {"img_size": 32, "global_pool": "avg"}])
def test_options_that_a_network_was_built_with_are_kept_also_in_a_run_dir(
        colours, tmp_path, options):  # noqa: F811
    model = explorer.create_model("vit_tiny_patch16_224", num_classes=3, **options)
    run = learn(model, colours, tmp_path / "run", epochs=1, train="all")
    for folder in (run.save(tmp_path / "mine"), tmp_path / "run"):
        assert same_answers(load_run(folder).model, run.model)


def test_a_network_with_a_traded_stride_gives_the_same_answers_again(colours, tmp_path):  # noqa: F811
    run = learn(explorer.create_model("resnet10t", num_classes=3, output_stride=8), colours, epochs=1)
    assert same_answers(load_run(run.save(tmp_path / "mine")).model, run.model)


def test_a_model_of_a_library_that_was_given_as_a_model_is_built_again_from_its_run_dir(
        colours, tmp_path):  # noqa: F811
    run = learn(explorer.create_model("timm/test_resnet", num_classes=3), colours, tmp_path / "run", epochs=1,
                train="all")
    assert same_answers(load_run(tmp_path / "run").model, run.model)


def by_hand() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 3))


def test_a_model_built_by_hand_says_how_to_load_it_and_loads_so(colours, tmp_path):  # noqa: F811
    run = learn(explorer.wrap(by_hand(), input_size=SIZE), colours, tmp_path / "run", epochs=2, train="all")
    folder = run.save(tmp_path / "mine")
    for way in (lambda: explorer.create_model(f"local-dir:{folder}", pretrained=True),
                lambda: load_run(folder)):
        with pytest.raises(WeightsError, match=r"built by hand: build it again .*load_run\(.*model=model\)"):
            way()
    for place in (folder, tmp_path / "run"):
        loaded = load_run(place, model=by_hand())
        assert same_answers(loaded.model,
                            run.model) and loaded.labels == tuple(COLOURS) and loaded.checkpoints == (0, 1, 2)
        assert torch.equal(loaded.model_at(1).module[4].weight, run.model_at(1).module[4].weight)
    with pytest.raises(WeightsError, match="don't fit"):
        load_run(folder, model=nn.Sequential(*by_hand()[:4], nn.Dropout(), nn.Linear(8, 3)))


def test_an_option_that_no_file_holds_is_a_sentence(colours, tmp_path):  # noqa: F811
    run = learn(explorer.create_model("resnet10t", num_classes=3, act_layer=nn.GELU), colours, epochs=1)
    folder = run.save(tmp_path / "mine")
    with pytest.raises((WeightsError, TrainingError), match="'act_layer' of its own"):
        load_run(folder)
    again = explorer.create_model("resnet10t", num_classes=3, act_layer=nn.GELU)
    assert same_answers(load_run(folder, model=again).model, run.model)
