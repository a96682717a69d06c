"""Folders of runs that somebody else wrote: what can't be is a sentence or left out, and nothing in them is
trusted.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import save_file

import explorer
from explorer.models.weights.report import WeightsError
from explorer.training.loop.errors import TrainingError
from explorer.training.run import checkpoint
from explorer.training.run.loading import history_from, load_run
from explorer.training.run.past import past_runs
from explorer.widgets.panels.runs.table import table_of
from tests.html import parse
from tests.training.test_loading import NAME, colours, learn  # noqa: F401

ROW = {"epoch": 0, "loss": 1.0, "top1": 0.5, "val_loss": 1.0, "val_top1": 0.5, "lr": 0.1, "seconds": 1.0,
       "best": True}
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def original(colours, tmp_path_factory):  # noqa: F811
    place = tmp_path_factory.mktemp("original")
    learn(NAME, colours, place / "run", epochs=1).save(place / "saved")
    return place


@pytest.fixture
def saved(original, tmp_path):
    return shutil.copytree(original / "saved", tmp_path / "saved")


@pytest.fixture
def run_dir(original, tmp_path):
    return shutil.copytree(original / "run", tmp_path / "run")


def rewrite(path, change):
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


@pytest.mark.parametrize("rows", [None, "x", {"epoch": 0}, [5, None, [], HTML], [{**ROW, "epoch": HTML}],
                                  [{**ROW, "epoch": True}], [{**ROW, "epoch": -1}],
                                  [{**ROW, "epoch": 10**30}], [{**ROW, "val_top1": HTML}],
                                  [{**ROW, "loss": 10**400}], [{**ROW, "seconds": HTML}],
                                  [{key: value for key, value in ROW.items() if key != "val_loss"}]])
def test_an_epoch_whose_figures_are_none_is_left_out(saved, rows):
    rewrite(saved / "run.json", lambda facts: facts.update(history=rows))
    loaded = load_run(saved)
    assert loaded.history == [] and loaded.best is None and "img" not in parse(loaded._repr_html_()).tags
    columns, cells = table_of(past_runs(saved.parent))
    assert len(cells) == 1 and len(cells[0]) == len(columns)


def test_a_loss_that_is_no_number_is_kept_and_shown(saved):
    rewrite(saved / "run.json", lambda facts: facts.update(history=[{**ROW, "loss": float("nan")}]))
    assert "nan" in parse(load_run(saved)._repr_html_()).find("table").rows()[1]
    assert history_from([ROW]) == [ROW]


@pytest.mark.parametrize("facts", [[], "x", {"epochs": "many"}, {"epochs": 10**12}, {"mixup": "a"},
                                   {"augment": [HTML]}, {"optimizer": "__init__"}, {"threads": -1}])
def test_settings_that_cant_be_are_a_note_and_the_model_opens(saved, facts):
    rewrite(saved / "run.json", lambda run: run.update(recipe=facts))
    loaded = load_run(saved)
    assert loaded.model.num_classes == 3
    if facts != {"augment": [HTML]}:  # as a function of another program
        assert "how the model was trained is unknown" in loaded.notes[-1]
        assert past_runs(saved.parent) == []


def test_names_and_notes_of_a_stranger_stay_text(saved):
    rewrite(saved / "run.json", lambda run: run.update(name=HTML, data=HTML, notes=[HTML, 5]))
    rewrite(saved / "config.json", lambda facts: facts.update(label_names=[HTML, "../..", "=1+1"]))
    loaded = load_run(saved)
    assert loaded.labels == (HTML, "../..", "=1+1")
    page = parse(loaded._repr_html_())
    assert "img" not in page.tags and HTML in page.text
    look = parse(explorer.look(loaded.model, torch.zeros(3, 32, 32))._repr_html_())
    assert HTML in look.text and "onerror" not in look.attribute_names


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"[]", b"5"])
def test_a_run_json_of_something_else_is_as_none(saved, content):
    (saved / "run.json").write_bytes(content)
    assert load_run(saved).notes == ["The folder has no run.json: how the model was trained is unknown."]


@pytest.mark.parametrize(("key", "value"), [("input_size", "abc"), ("input_size", [3, 10**9, 10**9]),
                                            ("input_size", [3, 0, 32]), ("mean", [HTML]), ("std", [0, 0, 0]),
                                            ("std", 5), ("crop_pct", "a"), ("crop_pct", 0),
                                            ("crop_pct", float("nan")), ("interpolation", {}),
                                            ("classifier", 5), ("first_conv", [[]]), ("license", [1]),
                                            ("test_input_size", 224)])
def test_a_config_that_cant_be_is_a_sentence(saved, key, value):
    rewrite(saved / "config.json", lambda facts: facts["pretrained_cfg"].update({key: value}))
    with pytest.raises(WeightsError, match=f"does not describe a model.*{key} can't be"):
        load_run(saved)


@pytest.mark.parametrize("facts", [{"num_classes": True}, {"num_classes": 10**12}, {"num_classes": -1},
                                   {"pretrained_cfg": [1]}, {"architecture": []}])
def test_a_number_of_classes_or_a_name_that_cant_be_is_a_sentence(saved, facts):
    rewrite(saved / "config.json", lambda config: config.update(facts))
    with pytest.raises((WeightsError, ValueError)):
        explorer.create_model(f"local-dir:{saved}")


def test_labels_that_are_not_one_a_class_are_not_taken(saved):
    rewrite(saved / "config.json", lambda facts: facts["pretrained_cfg"].update(labels="abc"))
    rewrite(saved / "config.json", lambda facts: facts.update(label_names=["a"]))
    assert load_run(saved).labels == ("class 0", "class 1", "class 2")


# --- checkpoints --------------------------------------------------------------------------------------------


def good(loaded) -> dict[str, torch.Tensor]:
    return dict(loaded.kept.weights(1))


@pytest.mark.parametrize("change", [
    lambda weights: {}, lambda weights: {**weights, "elsewhere": torch.zeros(1)},
    lambda weights: {name: torch.zeros(7) for name in weights},
    lambda weights: {**weights, "big": torch.zeros(20 * 1024**2, dtype=torch.uint8)},
], ids=["empty", "more", "shapes", "huge"])
def test_a_checkpoint_of_another_model_is_a_sentence(saved, change):
    loaded = load_run(saved)
    save_file(change(good(loaded)), saved / "epochs" / "0001.safetensors")
    with pytest.raises(ValueError, match=r"The checkpoint .*(another model|of another one)"):
        loaded.model_at(1)
    assert loaded.model_at(0).num_classes == 3


def test_only_plain_files_with_a_runs_own_names_are_checkpoints(saved):
    epochs = saved / "epochs"
    for name in ("00001", "-001", "1e10", "..", "٠٠٠٣", "99999999999"):
        (epochs / f"{name}.safetensors").write_bytes(b"")
    (epochs / "0007.safetensors").mkdir()
    os.mkfifo(epochs / "0008.safetensors")  # reading it would wait for somebody who writes
    (epochs / "0009.safetensors").symlink_to("/no/such/file")
    assert load_run(saved).checkpoints == (0, 1)


def test_a_run_dir_whose_facts_cant_be_is_a_sentence(run_dir):
    for change in (lambda facts: facts.update(config={"input_size": "abc"}),
                   lambda facts: facts.update(config=[]), lambda facts: facts.update(labels=5),
                   lambda facts: facts.update(channels=HTML), lambda facts: facts.pop("by_name"),
                   lambda facts: facts.clear()):
        path = run_dir / checkpoint.MODEL
        before = path.read_text()
        rewrite(path, change)
        with pytest.raises(TrainingError, match="damaged"):
            load_run(run_dir)
        path.write_text(before)
    assert load_run(run_dir).checkpoints == (0, 1)


@pytest.mark.parametrize("change", [lambda facts: facts.update(channels=10**9),
                                    lambda facts: facts.update(labels=[str(i) for i in range(10**5)]),
                                    lambda facts: facts["config"].update(num_classes=10**9),
                                    lambda facts: facts["config"].update(input_size=[3, 10**9, 10**9])],
                         ids=["channels", "labels", "classes", "size"])
def test_sizes_that_the_checkpoint_does_not_have_take_no_memory(run_dir, change):
    """case B8: 10^9 channels were gigabytes, and the allocator's own text."""
    rewrite(run_dir / checkpoint.MODEL, change)
    if "num_classes" in str(change.__code__.co_consts):
        # The labels count, not what the settings say beside them.
        assert load_run(run_dir).model.num_classes < 10
    else:
        with pytest.raises(TrainingError, match="damaged"):
            load_run(run_dir)


def test_a_checkpoint_with_numbers_that_are_none_says_so(run_dir):
    """case A11: through a run's folder too."""
    content = torch.load(run_dir / checkpoint.LAST, weights_only=True)
    held = content["best_weights"] or content["network"]
    next(value for value in held.values() if value.is_floating_point()).view(-1)[0] = float("nan")
    torch.save(content, run_dir / checkpoint.LAST)
    assert "NaN" in load_run(run_dir).model.load_report.noted[0]


@pytest.mark.parametrize("content", [[], {"best_weights": [1]}, {"best_weights": {"a": 1}},
                                     {"best_weights": {1: torch.zeros(1)}},
                                     {"best_weights": {}, "network": {"a": HTML}}])
def test_a_checkpoint_of_a_run_dir_without_weights_is_a_sentence(run_dir, content):
    torch.save({"epoch": 1, "step": 1, **content} if isinstance(content, dict) else content,
               run_dir / checkpoint.LAST)
    with pytest.raises(TrainingError, match="damaged"):
        load_run(run_dir)


def test_lines_of_a_history_that_are_no_epochs_are_left_out(run_dir):
    with (run_dir / checkpoint.HISTORY).open("a", encoding="utf-8") as file:
        for line in ("[" * 100_000, HTML, json.dumps({"kind": "epoch", "epoch": HTML}),
                     json.dumps({"kind": "epoch", "epoch": 0.5}),
                     json.dumps({**ROW, "kind": "epoch", "epoch": -5})):
            file.write(line + "\n")
    assert [row["epoch"] for row in load_run(run_dir).history] == [0]
