"""Numbers, and a yes or no, are learnt, stopped, resumed, saved and reopened as classes are. Small nets,
small photos.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

import explorer
from explorer.data.datasets import DataError, PhotoSet, Splits
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.models.contract import evaluation
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Epoch, Finished
from explorer.training.run.finetuning import finetune
from explorer.training.run.listeners import print_progress
from tests.html import parse
from tests.number_photos import bright, dots, photo_set, prepared_for, splits, table, tiny


def run(model, data, **settings):
    return finetune(model, data, **{"augment": "none", "batch_size": 8, "device": "cpu", "threads": 1,
                                    **settings})


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


# --- it learns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "least"), [(bright, 0.8), (dots, 0.8)])
def test_a_frozen_body_tells_how_bright_a_photo_is_and_how_many_dots_it_has(what, least):
    """Two to three seconds each; measured: an R² of 0.94 and 0.93."""
    done = run("tf_efficientnet_lite0", what(120, side=96), outputs="numbers", epochs=16, batch_size=32,
               input_size=(3, 64, 64)).wait()
    assert done.started.cached
    result = explorer.evaluate(done)
    assert result.r2 > least and len(result) == 24
    assert result.mae == pytest.approx(done.best["val_mae"], rel=1e-4)


def test_a_linear_head_learns_what_ridge_regression_gives_for_the_same_features():
    """The mean squared error plus half of weight_decay times the squared weights is Ridge's target with alpha
    = N * decay / 2.

    The bias is decayed too, so it is a feature that is always 1. Both have one minimum; gradient descent has
    come to within a thousandth of a standard deviation of it.
    """
    data = Splits("levels", photo_set(bright(24)), photo_set(bright(12, seed=1)))
    done = run(tiny(), data, epochs=150, batch_size=24, optimizer="sgd", schedule="constant", warmup=0.0,
               lr=0.2, weight_decay=0.02).wait()
    last = done.model_at(150)
    transform = create_transform(**resolve_data_config({}, model=last))

    def features(photos: PhotoSet) -> np.ndarray:
        with evaluation(last), torch.no_grad():
            x = torch.stack([transform(photo) for photo, _ in photos])
            vectors = last.forward_head(last.forward_features(x), pre_logits=True)
        return np.hstack([vectors.double().numpy(), np.ones((len(photos), 1))])

    levels = np.array(data.train.labels)[:, 0]
    ridge = Ridge(alpha=24 * 0.02 / 2, fit_intercept=False).fit(features(data.train),
                                                                (levels - levels.mean()) / levels.std())
    expected = ridge.predict(features(data.val)) * levels.std() + levels.mean()
    found = [explorer.predict(last, photo)[0].value for photo, _ in data.val]
    assert np.abs(np.array(found) - expected).max() < 1e-3 * levels.std()


@pytest.mark.parametrize("settings", [{"train": "all"}, {"train": "all", "loss": "l1", "ema": 0.5},
                                      {"train": "all", "loss": "huber"},
                                      {"train": "last_stage", "accumulate": 2, "clip": 1.0},
                                      {"train": "head", "views": 2},
                                      {"train": "all", "precision": "bfloat16", "augment": "light"}])
def test_every_way_to_train_lowers_the_loss_of_numbers(settings):
    torch.manual_seed(0)
    model = tiny() if settings["train"] != "last_stage" else explorer.create_model("mobilenetv3_small_050",
                                                                                   num_classes=1)
    done = run(model, splits(), **{"epochs": 4, "lr": 0.02, **settings}, input_size=(3, 32, 32)).wait()
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    assert done.history[-1]["mae"] < done.history[0]["mae"]


def test_the_scale_is_the_training_parts_and_each_number_is_told_in_its_own_unit():
    data = splits("tenfold", "flat")
    flat = [tuple((a, b, 5.0) for a, b, _ in part.labels) for part in (data.train, data.val)]
    data = Splits("levels", *(PhotoSet(p.classes, labels, p.names, p.open_one, numbers=True)
                              for p, labels in zip((data.train, data.val), flat)))
    done = run(tiny(3), data, train="all", epochs=1).wait()
    levels = np.array(data.train.labels)
    config = done.model.config
    assert config.outputs == "numbers" and config.labels == done.labels == ("level", "tenfold", "flat")
    assert config.number_mean == pytest.approx(levels.mean(0))
    assert config.number_std == pytest.approx([*levels.std(0)[:2], 1.0])
    said = explorer.look(done.model, data.val[0][0]).predictions
    with evaluation(done.model), torch.no_grad():
        raw = done.model(explorer.look(done.model, data.val[0][0]).input[None])[0].double().numpy()
    assert [p.value for p in said] == pytest.approx(raw * [*levels.std(0)[:2], 1.0] + levels.mean(0),
                                                    rel=1e-5)


def test_the_best_epoch_is_that_of_the_lowest_validation_loss_and_patience_waits_for_it():
    done = run(tiny(), splits(), train="all", epochs=30, lr=0.3, schedule="constant", patience=2).wait()
    losses = [row["val_loss"] for row in done.history]
    assert done.best["val_loss"] == min(losses) and done.state == "stopped"
    assert len(losses) == done.best["epoch"] + 3
    assert explorer.evaluate(done).mae == pytest.approx(done.best["val_mae"], rel=1e-4)


def test_what_a_model_of_somebody_said_before_it_says_until_it_has_learnt():
    """Its head gave the number itself; from now on the config says what its scores stand for."""
    model = tiny(outputs="numbers", labels=["level"])
    photo = bright(1)[0][0]
    before = explorer.look(model, photo).predictions[0].value
    assert prepared_for(model, splits()) is model and model.config.number_std
    assert explorer.look(model, photo).predictions[0].value == pytest.approx(before, rel=1e-4, abs=1e-3)


def test_a_model_of_numbers_goes_on_from_what_it_knows_with_other_photos():
    done = run(tiny(), splits(), train="all", epochs=1).wait()
    scale, photo = done.model.config.number_mean, bright(1, seed=5)[0][0]
    before = explorer.look(done.model, photo).predictions[0].value
    prepared_for(done.model, Splits("more", photo_set(bright(6, seed=7)), photo_set(bright(6, seed=8))))
    assert done.model.config.number_mean == scale
    assert explorer.look(done.model, photo).predictions[0].value == before
    assert prepared_for(done.model, splits("tenfold")).num_classes == 2  # other numbers: a fresh head


def test_a_loss_that_is_no_number_is_the_sentence_that_classes_get():
    with pytest.raises(TrainingError, match="The loss became .*tenth of the learning rate"):
        run(tiny(), splits(), train="all", epochs=2, lr=1e20, optimizer="sgd").wait()


def test_the_rate_finder_works_for_numbers():
    found = explorer.find_lr(tiny(), splits(), steps=8, batch_size=8, threads=1)
    assert len(found.losses) >= 5


# --- stopped, resumed, saved --------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"train": "all", "ema": 0.5, "augment": "light", "accumulate": 2},
                                      {"train": "head"}])
def test_a_run_of_numbers_that_was_cut_off_ends_in_the_very_weights_of_an_unbroken_one(tmp_path, settings):
    cut = run(tiny(), splits(), epochs=3, run_dir=tmp_path / "run", **settings)
    cut.listen(lambda event: isinstance(event, Epoch) and cut.stop(wait=False))
    cut.wait()
    assert cut.state == "stopped"
    resumed = run(tiny(), splits(), epochs=3, run_dir=tmp_path / "run", resume=True, **settings).wait()
    unbroken = run(tiny(), splits(), epochs=3, **settings).wait()
    assert equal_weights(resumed.model, unbroken.model)
    figures = [[(row["val_loss"], row["val_mae"]) for row in one.history] for one in (resumed, unbroken)]
    assert figures[0] == figures[1] and len(figures[0]) == 3


def test_other_numbers_another_loss_or_classes_are_another_run(tmp_path):
    run(tiny(), splits(), epochs=1, run_dir=tmp_path / "run").wait()
    other = splits()
    moved = PhotoSet(("level",), tuple((value + 1,) for value, in other.train.labels), other.train.names,
                     other.train.open_one, numbers=True)
    classes = PhotoSet(("a", "b"), (0, 1) * 12, other.train.names, other.train.open_one)
    for data, settings in ((Splits("levels", moved, other.val), {}), (other, {"loss": "l1"}),
                           (Splits("levels", classes, classes), {})):
        with pytest.raises(TrainingError, match="run_dir"):
            run(tiny(), data, epochs=2, run_dir=tmp_path / "run", resume=True, **settings)
    assert explorer.load_run(tmp_path / "run", model=tiny()).outputs.numbers


def test_events_history_and_words_have_the_mean_absolute_error_and_no_right_answers(tmp_path):
    events, said = [], io.StringIO()
    show = print_progress(said)
    done = run(tiny(), splits(), train="all", epochs=2, run_dir=tmp_path / "run",
               on_event=lambda e: (events.append(e), show(e))).wait()
    batch, epoch, end = (next(e for e in events if isinstance(e, kind)) for kind in (Batch, Epoch, Finished))
    assert batch.top1 is None and batch.mae > 0 and epoch.val_top1 is None
    assert end.val_mae == done.best["val_mae"]
    assert set(done.history[0]) == {"epoch", "step", "loss", "mae", "val_loss", "val_mae", "lr", "seconds",
                                    "best"}
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    written = [line["val_mae"] for line in lines if line["kind"] == "epoch"]
    assert written == [row["val_mae"] for row in done.history]
    assert done.outputs.numbers and done.outputs.labels == ("level",)
    page = parse(done._repr_html_())
    assert "best MAE" in repr(done) and "MAE, judged" in page.find("table").rows()[0] and "%" not in page.text
    assert "judged: loss" in said.getvalue() and "MAE" in said.getvalue() and "right" not in said.getvalue()


def test_a_class_run_has_the_keys_that_it_always_had():
    rows = [(photo, int(level > 127)) for photo, level in bright(24)]
    done = run(tiny(2), rows, train="all", epochs=1).wait()
    assert set(done.history[0]) == {"epoch", "step", "loss", "top1", "val_loss", "val_top1", "lr", "seconds",
                                    "best"}
    assert "mae" not in Batch(0, 1, 1, 0.5, 0.5, 0.1, 9.0).as_dict()


def test_a_saved_run_of_numbers_says_the_same_when_it_is_opened_again(tmp_path):
    path = table(tmp_path / "data", bright(24))
    torch.manual_seed(0)
    model = explorer.create_model("mobilenetv3_small_050", num_classes=1)
    done = run(model, path, epochs=2, run_dir=tmp_path / "run", input_size=(3, 32, 32)).wait()
    done.save(tmp_path / "saved")
    photo = bright(1, seed=9)[0][0]
    expected = explorer.predict(done.model, photo)[0]
    assert expected.label == "level" and expected.value is not None
    opened = explorer.load_run(tmp_path / "saved")
    assert explorer.predict(opened.model, photo)[0] == expected
    assert explorer.predict(explorer.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True),
                            photo)[0] == expected
    assert opened.outputs.numbers and opened.history == done.history and "best MAE" in repr(opened)
    assert "MAE" in parse(opened._repr_html_()).find("table").rows()[0]
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "Numbers, each in its own unit: level" in card and "Mean absolute error (MAE)" in card
    assert "Classes" not in card
    kept = explorer.load_run(tmp_path / "run", model=explorer.create_model("mobilenetv3_small_050",
                                                                           num_classes=1))
    assert kept.outputs.numbers and kept.model.config.number_mean == done.model.config.number_mean


@pytest.mark.parametrize("facts", [{"number_std": [0.0]}, {"number_std": ["x"]},
                                   {"number_mean": [float("nan")]}, {"outputs": ["one"]},
                                   {"outputs": "oracle"}, {"number_std": [-1.0]}])
def test_a_config_of_numbers_that_can_not_be_is_refused(tmp_path, facts):
    done = run(tiny(), splits(), epochs=1).wait()
    done.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    config["pretrained_cfg"].update(facts)
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    with pytest.raises(explorer.WeightsError, match=next(iter(facts))):
        explorer.load_run(tmp_path / "saved", model=tiny())


# --- asked for, and refused ---------------------------------------------------------------------------------


def test_a_contradiction_is_a_sentence_at_the_call(tmp_path):
    with pytest.raises(DataError, match="outputs='numbers' does not fit 'flowers5_nano', which has 5 "
                                        "classes"):
        run(tiny(), "flowers5_nano", outputs="numbers")
    with pytest.raises(ValueError, match="loss='huber' is for numbers"):
        run(tiny(), "flowers5_nano", loss="huber")
    with pytest.raises(DataError, match="has no column of numbers"):
        path = table(tmp_path / "data", [(photo, "dark" if level < 127 else "light") for photo,
                                         level in bright(6)], "file,shade")
        run(tiny(), path, outputs="numbers")


def test_a_table_of_words_is_learnt_as_classes(tmp_path):
    rows = [(photo, "dark" if level < 127 else "light") for photo, level in bright(24)]
    done = run(tiny(2), table(tmp_path / "data", rows, "file,shade"), train="all", epochs=3, lr=0.05).wait()
    assert done.labels == ("dark", "light") and done.best["val_top1"] > 0.6
    assert explorer.evaluate(done, tmp_path / "data" / "table.csv").top1 == done.best["val_top1"]


def test_a_yes_or_no_is_learnt_by_one_score(tmp_path):
    rows = [(photo, "dark" if level < 127 else "light") for photo, level in bright(40, side=48)]
    path = table(tmp_path / "data", rows, "file,shade")
    done = run("tf_efficientnet_lite0", path, outputs="yes/no", epochs=4, input_size=(3, 64, 64),
               run_dir=tmp_path / "run").wait()
    assert done.model.num_classes == 1 and done.outputs.kind == "yes/no"
    assert done.outputs.labels == ("dark", "light")
    assert done.best["val_top1"] > 0.8
    result = explorer.evaluate(done)
    assert result.classes == ("dark", "light") and result.top1 == done.best["val_top1"]
    assert result.loss == pytest.approx(done.best["val_loss"], rel=1e-4)
    assert torch.allclose(result.probabilities.sum(1), torch.ones(len(result)))
    first = explorer.predict(done.model, rows[0][0])
    assert {p.label for p in first} == {"dark", "light"} and sum(p.probability
                                                                 for p in first) == pytest.approx(1)
    done.save(tmp_path / "saved")
    for opened in (explorer.load_run(tmp_path / "saved"), explorer.load_run(tmp_path / "run")):
        assert opened.labels == ("dark", "light") and explorer.predict(opened.model, rows[0][0]) == first


def test_a_yes_or_no_may_be_mixed_and_weighed():
    rows = [(photo, int(level > 127)) for photo, level in bright(24)]
    done = run(tiny(), rows, outputs="yes/no", train="all", epochs=1, mixup=0.4, label_smoothing=0.1,
               class_weights=[1, 2]).wait()
    assert done.state == "finished" and done.outputs.kind == "yes/no"


def test_several_classes_at_once_stay_so_in_the_model(tmp_path):
    rows = [(photo, [int(level <= 160), int(level > 90)]) for photo, level in bright(24)]
    done = run(tiny(2), rows, train="all", epochs=1).wait()
    assert done.outputs.kind == "several" and done.model.config.outputs == "several"
    shares = explorer.look(done.model, rows[0][0]).probabilities
    assert torch.allclose(shares, explorer.look(done.model, rows[0][0]).logits.sigmoid())
    assert explorer.evaluate(done).multi_label
