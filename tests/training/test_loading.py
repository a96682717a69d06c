"""`load_run`: what was trained comes back from its folder, with the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet, Splits
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Epoch
from explorer.training.run import checkpoint
from explorer.training.run.finetuning import finetune
from explorer.training.run.loading import LoadedRun, load_run
from tests.html import parse

SIZE = (3, 32, 32)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 210)}
NAME = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def colours() -> Splits:
    def part(count: int) -> PhotoSet:
        labels = tuple(i % 3 for i in range(count))
        return PhotoSet(tuple(COLOURS), labels, tuple(f"photo {i}" for i in range(count)),
                        lambda i: Image.new("RGB", (40, 32), tuple(COLOURS.values())[labels[i]]))

    return Splits("colours", part(12), part(6))


def learn(model, data, folder=None, **settings):
    return finetune(model, data, **{"run_dir": folder, "input_size": SIZE, "augment": "none", "batch_size": 6,
                                    "epochs": 2, "device": "cpu", "threads": 1, "pretrained": False,
                                    **settings}).wait()


def same_answers(one, other) -> bool:
    """Every tensor is the same to the last bit; the answers may differ by where in memory it lies."""
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    photos = torch.rand(2, one.config.input_size[0], 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.allclose(one(photos), other(photos), rtol=1e-5, atol=1e-6)


def test_a_saved_run_comes_back_with_labels_history_settings_and_answers(colours, tmp_path):
    run = learn(NAME, colours, lr=0.02, seed=3, name="three colours")
    run.save(tmp_path / "mine")
    loaded = load_run(tmp_path / "mine")
    assert isinstance(loaded, LoadedRun) and not loaded.model.training
    assert (loaded.name, loaded.labels, loaded.data_name) == ("three colours", tuple(COLOURS), "colours")
    assert loaded.history == run.history and loaded.best == run.best and loaded.recipe == run.recipe
    assert loaded.model.config.input_size == SIZE
    assert same_answers(loaded.model, run.model)


@pytest.mark.parametrize("train", ["head", "last_stage", "all"])
def test_a_run_dir_comes_back_with_its_best_weights(colours, tmp_path, train):
    run = learn(NAME, colours, tmp_path / "run", train=train, lr=0.02)
    loaded = load_run(tmp_path / "run")
    assert same_answers(loaded.model, run.model) and not loaded.model.training
    assert (loaded.name, loaded.labels, loaded.data_name) == (run.name, tuple(COLOURS), "colours")
    assert loaded.history == run.history and loaded.best == run.best and loaded.recipe.train == train
    assert loaded.model.config == run.model.config
    assert explorer.look(loaded.model, colours.train[0][0]).notes == ()


def test_a_trained_body_that_was_frozen_comes_from_its_own_source(colours, tmp_path):
    run = learn("tf_efficientnet_lite0", colours, tmp_path / "run", pretrained=True, epochs=1)
    assert same_answers(load_run(tmp_path / "run").model, run.model)


def test_without_a_cache_the_checkpoint_has_the_whole_model(colours, tmp_path):
    run = learn(NAME, colours, tmp_path / "run", cache=False, epochs=1)
    assert same_answers(load_run(tmp_path / "run").model, run.model)


def test_averaged_weights_come_back(colours, tmp_path):
    run = learn(NAME, colours, tmp_path / "run", train="all", ema=0.5)
    assert same_answers(load_run(tmp_path / "run").model, run.model)


def test_a_model_of_ones_own_is_built_again_where_all_of_it_learnt(colours, tmp_path):
    torch.manual_seed(1)
    run = learn(explorer.create_model(NAME, num_classes=3), colours, tmp_path / "run", train="all")
    assert same_answers(load_run(tmp_path / "run").model, run.model)


def test_a_frozen_body_of_ones_own_must_be_given(colours, tmp_path):
    torch.manual_seed(1)
    model = explorer.create_model(NAME, num_classes=3)
    body = explorer.create_model(NAME, num_classes=10)
    body.load_state_dict({k: v for k, v in model.state_dict().items() if "classifier" not in k}, strict=False)
    run = learn(model, colours, tmp_path / "run")
    with pytest.raises(TrainingError,
                       match=r"only the classifier of a model of yours.*load_run\(path, model=...\)"):
        load_run(tmp_path / "run")
    assert same_answers(load_run(tmp_path / "run", model=body).model, run.model)


def saved_by_hand(model: nn.Module, folder: Path) -> Path:
    """A folder as `Run.save` writes it, without a run."""
    folder.mkdir()
    facts = {"architecture": model.config.architecture, "num_classes": model.num_classes}
    facts["pretrained_cfg"] = model.config.as_timm()
    (folder / "config.json").write_text(json.dumps(facts))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def test_a_model_of_other_channels_gets_saved_weights_adapted(tmp_path):
    """As `create_model` adapts published ones: a grey photo is answered as its three equal channels were."""
    colour = explorer.create_model(NAME, num_classes=3).eval()
    folder = saved_by_hand(colour, tmp_path / "mine")
    grey = load_run(folder, model=explorer.create_model(NAME, num_classes=3, in_chans=1)).model
    photos = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(grey(photos), colour(photos.expand(-1, 3, -1, -1)), atol=1e-5)
    assert grey.load_report.adapted == ["conv_stem.weight: from 3 to 1 input channels"]


def test_a_transformer_for_another_size_gets_saved_positions_adapted(tmp_path):
    name, photos = "vit_tiny_patch16_224", torch.rand(1, 3, 48, 48)
    small = explorer.create_model(name, num_classes=3, img_size=32)
    folder = saved_by_hand(small, tmp_path / "mine")
    large = load_run(folder, model=explorer.create_model(name, num_classes=3, img_size=48)).model
    again = explorer.create_model(name, checkpoint_path=folder / "model.safetensors", img_size=48).eval()
    with torch.inference_mode():
        assert torch.equal(large(photos), again(photos))
    assert large.load_report.adapted == again.load_report.adapted != []
    assert large.config.input_size == (3, 48, 48)
    assert explorer.look(large, explorer.sample_photos()[0]).input.shape == (3, 48, 48)


def test_another_model_is_refused(colours, tmp_path):
    learn(NAME, colours, tmp_path / "run", train="all", epochs=1)
    with pytest.raises(TrainingError, match="of another model"):
        load_run(tmp_path / "run", model=explorer.create_model("resnet18", num_classes=3))


def test_a_run_that_was_stopped_in_its_first_epoch_says_that_nobody_judged_it(colours, tmp_path):
    run = learn(NAME, colours, tmp_path / "run", train="all", epochs=1)
    path = tmp_path / "run" / checkpoint.LAST
    content = torch.load(path, weights_only=True)
    content.update(best_weights={}, epoch=0, step=1)
    torch.save(content, path)
    loaded = load_run(tmp_path / "run")
    assert loaded.history == [] and loaded.best is None
    assert loaded.notes == ["No epoch was over: these are the weights of step 1, which nobody has judged."]
    assert loaded.model.state_dict().keys() == run.model.state_dict().keys()


def test_one_channel_comes_back_from_both_kinds_of_folder(colours, tmp_path):
    run = learn(NAME, colours, tmp_path / "run", train="all", input_size=(1, 32, 32), epochs=1)
    run.save(tmp_path / "mine")
    assert run.model.config.input_size == (1, 32, 32)
    for folder in ("run", "mine"):
        assert same_answers(load_run(tmp_path / folder).model, run.model)


def test_an_augmentation_that_was_a_function_keeps_its_name_and_is_never_guessed(colours, tmp_path):
    def upside_down(picture):
        return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)

    learn(NAME, colours, tmp_path / "run", epochs=1, augment=upside_down)
    recipe = load_run(tmp_path / "run").recipe
    assert recipe.as_dict()["augment"] == "upside_down"
    with pytest.raises(TrainingError, match="'upside_down' was a function of the program"):
        recipe.augment(None)


@pytest.mark.parametrize("broken", [checkpoint.LAST, checkpoint.MODEL, checkpoint.RECIPE])
def test_a_damaged_file_is_a_sentence(colours, tmp_path, broken):
    learn(NAME, colours, tmp_path / "run", epochs=1)
    (tmp_path / "run" / broken).write_bytes(b"PK not much")
    with pytest.raises(TrainingError, match="a file in it is damaged"):
        load_run(tmp_path / "run")


def test_a_run_without_a_checkpoint_is_a_sentence(colours, tmp_path):
    learn(NAME, colours, tmp_path / "run", epochs=1)
    (tmp_path / "run" / checkpoint.LAST).unlink()
    with pytest.raises(TrainingError, match="has no last.pt: it was cut off before its first checkpoint"):
        load_run(tmp_path / "run")


def test_a_folder_of_something_else_is_a_sentence(tmp_path):
    with pytest.raises(TrainingError, match="holds no run: neither config.json"):
        load_run(tmp_path)
    with pytest.raises(TrainingError, match="is no folder"):
        load_run(tmp_path / "nowhere")


def test_code_in_a_checkpoint_is_not_run(colours, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    learn(NAME, colours, tmp_path / "run", epochs=1)
    torch.save({"best_weights": Evil()}, tmp_path / "run" / checkpoint.LAST)
    with pytest.raises(TrainingError, match="damaged"):
        load_run(tmp_path / "run")
    assert not (tmp_path / "touched").exists()


def test_it_shows_itself_with_the_best_epoch_marked_and_names_escaped(colours, tmp_path):
    run = learn(NAME, colours, name="<b>mine</b>")
    run.save(tmp_path / "mine")
    loaded = load_run(tmp_path / "mine")
    assert repr(loaded).startswith("LoadedRun('<b>mine</b>', 2 of 2 epochs, best ")
    assert "3 classes" in repr(loaded)
    page = parse(loaded._repr_html_())
    bold = [row for row in page.find_all("tr") if row.style.get("font-weight") == "bold"]
    assert len(bold) == 1 and "<b>mine</b>" in page.find("b").text


def test_a_saved_model_from_elsewhere_says_that_its_training_is_unknown(colours, tmp_path):
    learn(NAME, colours, epochs=1).save(tmp_path / "mine")
    (tmp_path / "mine" / "run.json").unlink()
    loaded = load_run(tmp_path / "mine")
    assert loaded.notes == ["The folder has no run.json: how the model was trained is unknown."]
    assert loaded.best is None


def test_a_setting_of_a_later_version_does_not_hinder(colours, tmp_path):
    learn(NAME, colours, tmp_path / "run", epochs=1)
    path = tmp_path / "run" / checkpoint.RECIPE
    path.write_text(json.dumps({**json.loads(path.read_text()), "dreams": 3}))
    assert load_run(tmp_path / "run").recipe.epochs == 1


def test_a_loaded_run_is_judged_and_teaches_again(colours, tmp_path):
    events = []
    run = learn(NAME, colours, tmp_path / "run", epochs=1)
    loaded = load_run(tmp_path / "run")
    assert explorer.evaluate(loaded, colours).top1 == pytest.approx(run.best["val_top1"])
    with pytest.raises(ValueError, match="holds no photos: give the data"):
        explorer.evaluate(loaded)
    learn(loaded.model, colours, on_event=events.append)
    assert sum(isinstance(event, Epoch) for event in events) == 2
