"""The panel that trains: what it says beforehand, the run it starts, what a reader can do with it."""

from __future__ import annotations

import json
import math
import shutil
import threading
from types import SimpleNamespace

import ipywidgets as W
import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as registry
from PIL import Image
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet, Splits
from explorer.models.outputs import Outputs
from explorer.training.loop.events import Batch, Epoch
from explorer.training.loop.recipe import Recipe
from explorer.training.run.beside import between_batches, copy_of_model
from explorer.training.run.finetuning import finetune
from explorer.widgets.panels.learn.advice import gap_note, what_helps
from explorer.widgets.panels.learn.epoch_words import NOW, answer_html, caption
from explorer.widgets.panels.learn.fields import number
from explorer.widgets.panels.learn.run_words import how_far, progress_html, waiting_text
from explorer.widgets.panels.learn.setting_words import in_words
from explorer.widgets.panels.learn.started import known_runs, next_name
from explorer.widgets.panels.learn.what_learns import planned_rates, what_learns
from explorer.widgets.parts.data_card import card_html, duplicates_text, imbalance, spread
from tests.html import parse
from tests.training.test_identity import contents

SIZE = (3, 32, 32)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 210)}


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return small_net(8)


def small_net(width: int) -> nn.Module:
    body = nn.Conv2d(3, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return explorer.wrap(nn.Sequential(*body, nn.Linear(width, 3)), input_size=SIZE)


@pytest.fixture
def folder(tmp_path):
    """Photos of three colours in three folders."""
    for name, colour in COLOURS.items():
        place = tmp_path / "colours" / name
        place.mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (30, 24), tuple(min(c + 3 * i, 255) for c in colour)).save(place / f"{i}.png")
    return tmp_path / "colours"


@pytest.fixture
def dash():
    dash = explorer.Dashboard(tiny())
    dash.wait()
    yield dash
    if getattr(dash.session.run, "running", False):
        dash.session.run.stop()
    dash.close()


@pytest.fixture
def panel(dash, folder):
    """The open panel, asked for the folder, with an everything-learns run of three epochs."""
    panel = dash.finetune
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(folder)
    panel.fields.train.value, panel.fields.batch_size.value = "all", 8
    panel.fields.lr.value, panel.fields.advanced["threads"].value = "0.05", "1"
    assert panel.wait()
    return panel


def alert(line):
    """The sentence of an alert, which is all that there is."""
    return parse(line.value).find(role="alert").text


def start(panel):
    panel.start.click()
    assert panel.wait()
    assert not parse(panel.problem.value).find_all(role="alert"), panel.problem.value
    return panel.session.run


def finished(panel):
    run = start(panel).wait(60)
    assert panel.view.wait()
    return run


# --- before anything learns ---------------------------------------------------------------------------------


def test_the_panel_costs_nothing_until_it_is_looked_at(dash):
    before = len(registry._instances)
    dash.tabs.selected_index = dash.tabs.children.index(dash.finetune)
    assert len(registry._instances) > before + 40
    assert dash.finetune.wait()


def test_the_data_card_counts_measures_and_shows_photos_of_each_class(panel):
    card = parse(panel.previews.card.value)
    assert "24 photos to learn from, 6 to judge by, 3 classes" in card.text and "30 × 24 pixels" in card.text
    assert [value.text for value in card.find_all("span", "vx-value")] == ["8 + 2"] * 3
    assert [one.text for one in panel.previews.samples.captions] == ["blue", "green", "red"] * 4


def test_broken_files_are_named_before_a_run_starts(panel, folder):
    (folder / "red" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00")
    panel.fields.seed.value = 1  # another split: the folder is read again
    panel.wait()
    assert "torn.jpg" in panel.previews.card.value


def test_the_data_card_says_what_was_taken_and_what_was_left_out(panel, folder):
    """cases A8 and A9: the card shows what `describe` says."""
    for name in ("__MACOSX", "empty", "Test", "Train"):
        (folder / name).mkdir()
    for part in ("Train", "Test"):
        for name in ("red", "green", "blue"):
            shutil.copytree(folder / name, folder / part / name)
    for name in ("red", "green", "blue"):
        shutil.rmtree(folder / name)
    (folder / "notes <b>.txt").write_text("x")
    panel.fields.seed.value = 1
    panel.wait()
    card = parse(panel.previews.card.value).text
    assert "photos to learn from (in Train), 30 to judge by (in Test), 3 classes" in card
    for sentence in ("__MACOSX is left out: what macOS adds to an archive.",
                     "empty is left out: it holds no photo.",
                     "notes <b>.txt is left out: no picture by name.",
                     "in more than one part, byte for byte"):
        assert sentence in card
    shutil.rmtree(folder / "Train")
    (folder / "Train").mkdir()
    panel.fields.seed.value = 2
    panel.wait()
    assert "holds no photo: there is nothing to learn from" in panel.previews.card.value


def test_names_of_classes_are_text(panel, folder):
    (folder / "red").rename(folder / "<b onclick=x>")
    panel.fields.seed.value = 1
    panel.wait()
    card = parse(panel.previews.card.value)
    assert "<b onclick=x>" in card.text and "onclick" not in card.attribute_names


def test_duplicates_across_the_parts_are_found_on_request(panel, folder):
    assert "both parts" not in panel.previews.card.value
    panel.previews.find_duplicates.click()
    panel.wait()
    assert "No photo is in both parts" in panel.previews.card.value
    assert duplicates_text([("a/1", "a/9")]) == "1 photo is in both parts, and judge nothing: a/1 = a/9."


@pytest.mark.parametrize("train, learns", [("head", 27), ("all", 251)])
def test_it_says_how_many_numbers_learn(panel, train, learns):
    panel.fields.train.value = train
    panel.wait()
    assert parse(panel.previews.learns.value).text.startswith(f"{learns} of 251 numbers learn")


def test_counting_what_learns_agrees_with_the_run_and_leaves_the_model_alone():
    model = explorer.create_model("resnet10t", num_classes=7)
    learns, total, frozen = what_learns(model, "last_stage", 3)
    assert model.num_classes == 7 and all(p.requires_grad for p in model.parameters())
    assert frozen == "all up to and including layer3"
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (6, 24, 24, 3), generator=draw).byte().numpy()
    pictures = [Image.fromarray(one) for one in pixels]
    photos = PhotoSet(("a", "b", "c"), (0, 1, 2) * 2, tuple("uvwxyz"), lambda i: pictures[i])
    noise = Splits("noise", photos, photos)
    run = finetune(model, noise, epochs=1, train="last_stage", input_size=SIZE, threads=1).wait()
    assert run.started.learns == learns and sum(p.numel() for p in run.model.parameters()) == total


def test_the_preview_draws_the_rates_that_the_run_then_uses(panel):
    panel.fields.epochs.value = 2
    panel.wait()
    drawn = panel.previews.rates.points("learning rate")
    used = [batch.lr for batch in finished(panel).batches]
    assert len(drawn) == len(used) == 6
    assert [rate for _, rate in drawn] == pytest.approx(used, rel=1e-6)


def test_an_empty_rate_is_the_recommended_one_and_says_which(panel):
    panel.fields.lr.value = ""
    panel.fields.optimizer.value = "sgd"
    assert "0.05 for the classifier (recommended), 0.005 for the body" in panel.previews.rate_note.value
    panel.fields.lr.value = "0,02"
    assert "0.02 for the classifier (yours)" in panel.previews.rate_note.value


def test_augmentation_is_shown_on_one_photo(panel):
    panel.fields.augment.value = "strong"
    panel.wait()
    assert len(panel.previews.variants.captions) == 8
    assert "TrivialAugment" in panel.previews.preview_note.value
    panel.fields.augment.value = "none"
    panel.wait()
    assert len(panel.previews.variants.captions) == 1


def test_augmentation_that_changes_nothing_is_said_and_views_are_offered(panel):
    fields, losses = panel.fields, {}
    assert fields.views.layout.display == "none" and fields.varies.value == ""  # everything learns
    fields.train.value = "head"
    for augment, views in (("light", 1), ("strong", 1), ("strong", 2)):
        fields.augment.value, fields.views.value = augment, views
        assert panel.wait() and fields.views.layout.display == ""
        says_nothing = "Augmentation changes nothing here" in fields.varies.value
        losses[augment, views] = [row["loss"] for row in finished(panel).history]
        assert says_nothing == (views == 1)
        assert len(panel.previews.variants.captions) == (0 if views == 1 else views)
    assert losses["light", 1] == losses["strong", 1] != losses["strong", 2]
    assert "looks at each photo 2 times before the first epoch" in fields.varies.value
    assert "sees each photo 2 times" in panel.previews.learns.value and "views=2" in panel.code()
    fields.augment.value = "none"
    assert "all views of a photo are the same" in fields.varies.value
    fields.cache.value = False
    assert fields.varies.value == "" and "views" not in fields.settings()


@pytest.mark.parametrize("settings, cached, words", [
    ({"train": "head"}, True, "2 or more views"),
    ({"train": "head", "views": 2}, True, "stronger augmentation"),
    ({"train": "head"}, False, "stronger augmentation"),
    ({"train": "all", "augment": "none"}, False, "augmentation"),
    ({"train": "all", "augment": "strong"}, False, "more weight decay"),
])
def test_what_is_advised_has_an_effect(settings, cached, words):
    helps = what_helps(Recipe(**settings), cached=cached)
    assert helps.startswith(words)
    history = rows([1, 0.6, 0.4, 0.2, 0.1, 0.05], [1, 0.7, 0.6, 0.65, 0.7, 0.8])
    assert f"Fewer epochs, {helps} or more photos help" in gap_note(history, helps)


@pytest.mark.parametrize("text, said", [
    ("lr is -1.0: give a number above 0.", "learning rate is -1.0: give a number above 0."),
    ("Give another run_dir, or empty this one.", "Give another checkpoint folder, or empty this one."),
    ("add cache=False, or train='last_stage'.",
     "take the tick at “cache” away, or let the last stage learn too."),
    ("There is no folder 'a/lr'. See lr.txt", "There is no folder 'a/lr'. See lr.txt"),
])
def test_sentences_of_the_core_are_told_without_arguments(text, said):
    assert in_words(text) == said


@pytest.mark.parametrize("control, value, words", [
    ("epochs", 0, "epochs is 0"), ("lr", "fast", "write a number such as 0.001"), ("lr", "-1", "above 0"),
    ("seed", -1, "seed"),
])
def test_settings_that_cant_be_are_a_sentence_and_the_rest_stays(panel, control, value, words):
    getattr(panel.fields, control).value = value
    assert words in alert(panel.problem)
    panel.start.click()
    panel.wait()
    assert panel.session.run is None and words in panel.problem.value
    assert panel.fields.folder.value.endswith("colours") and not panel.start.disabled


@pytest.mark.parametrize("name, value, words", [
    ("patience", "1.5", "whole number"), ("mixup", "-1", "mixup"), ("ema", "2", "share")])
def test_advanced_settings_are_checked_too(panel, name, value, words):
    panel.fields.advanced[name].value = value
    assert words in panel.problem.value


def test_a_folder_that_is_not_there_is_a_sentence(panel, tmp_path):
    panel.fields.folder.value = str(tmp_path / "nowhere")
    panel.wait()
    assert "There is no folder" in panel.previews.card.value
    panel.start.click()
    panel.wait()
    assert "There is no folder" in panel.problem.value and panel.session.run is None


def test_cifar10_is_not_downloaded_to_be_looked_at(panel, monkeypatch):
    asked = []

    def cifar10(**options):
        asked.append(options)
        raise ValueError("not here")

    monkeypatch.setattr("explorer.data.datasets.cifar10", cifar10)
    panel.fields.data.value = "cifar10"
    panel.wait()
    assert asked and all(options == {"download": False} for options in asked)
    assert "Start downloads it" in panel.previews.card.value


def _raise(error):
    raise error


# --- a run --------------------------------------------------------------------------------------------------


def test_a_run_draws_its_batches_and_its_epochs_and_marks_the_best(panel):
    run = finished(panel)
    view = panel.view
    assert run.state == "finished" and run.name.startswith("my run ")
    places, losses = zip(*view.loss.points("each batch"))
    assert places == pytest.approx([b.epoch + b.batch / 3 for b in run.batches])
    assert losses == pytest.approx([b.loss for b in run.batches])
    epochs, judged = zip(*view.right.points("validation"))
    assert epochs == (1, 2, 3) and judged == pytest.approx([row["val_top1"] for row in run.history])
    assert view.loss.marks == [[run.best["epoch"] + 1, "best"]]
    assert "Finished: 3 epochs" in view.progress.value
    assert view.stop.disabled and view.resume.disabled


def test_the_model_on_the_screen_is_not_the_one_that_learns(panel):
    model = panel.session.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run = finished(panel)
    assert run.model is not model
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_photos_get_the_answers_of_the_present_network(panel):
    run = finished(panel)
    captions = panel.view.photos.captions
    assert len(captions) == len(run.data.val) == 6
    assert sum(one.right for one in captions) == round(run.best["val_top1"] * 6)
    for i, one in enumerate(captions):
        best = explorer.predict(run.model, run.data.val[i][0])[0]
        assert one.text.startswith(f"{best.label} {100 * best.probability:.0f}")


def test_cached_answers_are_those_of_the_whole_network(panel):
    panel.fields.train.value = "head"
    run = finished(panel)
    assert run.started.cached
    for i, one in enumerate(panel.view.photos.captions):
        best = explorer.predict(run.model, run.data.val[i][0])[0]
        assert one.text.startswith(f"{best.label} {100 * best.probability:.0f}")


def test_stop_and_resume_lose_nothing(panel):
    panel.fields.epochs.value = 400
    run = start(panel)
    hold = threading.Event()
    run.listen(lambda event: hold.set() if isinstance(event, Epoch) else None)
    assert hold.wait(60)
    panel.view.stop.click()
    run.wait(60)
    panel.view.wait()
    assert run.state == "stopped" and "Resume goes on from there" in panel.view.progress.value
    assert not panel.view.resume.disabled and panel.view.stop.disabled
    stopped_at = len(run.batches)
    assert len(panel.view.loss.points("each batch")) == stopped_at
    again = threading.Event()

    def hear(event):
        if isinstance(event, Batch) and len(run.batches) > stopped_at + 5:
            again.set()

    run.listen(hear)
    panel.view.resume.click()
    assert panel.view.wait() and again.wait(60)
    panel.view.stop.click()
    run.wait(60)
    assert len(panel.view.loss.points("each batch")) == len(run.batches) > stopped_at
    assert [b.step for b in run.batches] == list(range(1, len(run.batches) + 1))


def test_another_start_while_one_learns_is_a_sentence(panel):
    panel.fields.epochs.value = 100_000
    run = start(panel)
    panel.start.click()
    panel.wait()
    assert "is learning. Stop it first" in panel.problem.value and panel.session.run is run


def test_start_rests_while_a_run_learns_and_old_messages_go(panel):
    assert not panel.start.disabled
    finished(panel)
    panel.view.path.value = ""
    panel.view.save.click()
    assert panel.wait() and "Give the name of a folder" in panel.view.message.value
    panel.fields.epochs.value = 100_000
    run = start(panel)
    assert panel.start.disabled and run.name in panel.start.tooltip
    assert panel.view.message.value == panel.problem.value == ""
    run.stop()
    assert not panel.start.disabled and panel.start.tooltip == ""


def test_stop_is_answered_at_once_though_the_batch_goes_on(panel):
    panel.fields.epochs.value = 100_000
    run, held, go_on = start(panel), threading.Event(), threading.Event()

    def hold(event):
        if isinstance(event, Batch):
            held.set()
            go_on.wait(60)

    run.listen(hold)
    assert held.wait(60)
    panel.view.stop.click()
    assert "Stopping after the present batch" in panel.view.progress.value and run.running
    assert panel.view.stop.disabled and panel.view.stop.description == "Stopping …"
    go_on.set()
    run.wait(60)
    panel.view.wait()
    assert panel.view.stop.description == "Stop" and "Stopped after" in panel.view.progress.value


def test_use_this_model_makes_it_the_dashboards_under_the_runs_name(panel, dash):
    run = finished(panel)
    panel.view.use.click()
    panel.wait()
    dash.wait()
    assert dash.session.model_name.endswith(run.name) and run.name in dash.status.value
    assert {p.label for p in dash.session.look.predictions} == set(COLOURS)
    assert all(torch.equal(a, b) for a, b in zip(dash.session.model.parameters(), run.model.parameters()))
    assert dash.session.look.notes == ()


def test_a_copy_is_made_between_two_batches_while_it_learns(panel):
    panel.fields.epochs.value = 100_000
    run = start(panel)
    box = []
    between_batches(run, lambda: box.append(threading.current_thread()))
    assert box == [run._thread]
    model = copy_of_model(run)
    assert model is not run.model and not model.training and run.running


def test_what_goes_wrong_between_two_batches_is_raised_and_the_run_goes_on(panel):
    panel.fields.epochs.value = 100_000
    run = start(panel)
    with pytest.raises(OSError, match="full"):
        between_batches(run, lambda: _raise(OSError("the disk is full")))
    assert run.running


def test_save_writes_a_folder_that_opens_again(panel, tmp_path):
    run = finished(panel)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("do not lose me")
    panel.view.path.value = str(tmp_path / "other")
    panel.view.save.click()
    panel.wait()
    assert "something else" in alert(panel.view.message)
    panel.view.path.value = str(tmp_path / "saved")
    panel.view.save.click()
    panel.wait()
    assert "Saved in" in panel.view.message.value
    assert (tmp_path / "saved" / "model.safetensors").is_file() and run.labels == ("blue", "green", "red")


def test_a_failed_run_is_a_sentence_and_the_settings_stay(panel):
    fields = panel.fields
    fields.lr.value, fields.optimizer.value, fields.schedule.value = "1e30", "sgd", "constant"
    fields.advanced["warmup"].value = "0"
    run = start(panel)
    with pytest.raises(explorer.training.TrainingError):
        run.wait(60)
    panel.view.wait()
    assert "tenth of the learning rate" in alert(panel.view.progress)
    assert panel.fields.lr.value == "1e30"


def test_checkpoints_go_on_where_a_folder_was_cut_off(panel, tmp_path):
    panel.fields.run_dir.value = str(tmp_path / "kept")
    first = finished(panel)
    panel.fields.epochs.value = 5
    second = finished(panel)
    assert [row["epoch"] for row in second.history] == [0, 1, 2, 3, 4]
    assert second.history[0]["val_loss"] == first.history[0]["val_loss"]


def test_another_model_for_the_folder_of_a_run_is_a_sentence(panel, dash, tmp_path):
    """case A1: the model was changed and the folder kept; the run went on with the other one's weights."""
    panel.fields.run_dir.value = str(tmp_path / "kept")
    first = finished(panel)
    before = contents(tmp_path / "kept")
    dash.session.model = small_net(9)
    assert dash.session.wait() is not False and panel.wait()
    panel.start.click()
    assert panel.wait()
    assert "was started with layers" in alert(panel.problem)
    assert "Give another checkpoint folder, or empty this one." in alert(panel.problem)
    assert panel.session.run is first and contents(tmp_path / "kept") == before


def test_a_model_that_a_cell_teaches_is_not_copied_in_mid_step(panel, dash, folder):
    """case B6"""
    run = finetune(dash.session.model, str(folder), epochs=100_000, train="all", threads=1, name="of a cell",
                   device="cpu")
    try:
        panel.start.click()
        assert panel.wait()
        assert "of a cell is teaching the model on the screen at present" in panel.problem.value
    finally:
        run.stop()


# --- going through the epochs -------------------------------------------------------------------------------


def move(panel, place):
    """The reader drags the slider."""
    epochs = panel.view.epochs
    epochs.slider.value = epochs._places.index(place)
    assert epochs.place == place and panel.view.wait()
    return epochs


def bars(html):
    """{class: percent} of the answer to the reader's photo."""
    return {row.find(cls="vx-name").text: float(row.find(cls="vx-value").text.removesuffix(" %"))
            for row in parse(html).find("ol", "vx-predictions").find_all("li")}


def shares(model, image):
    """What `bars` should say."""
    return {p.label: round(100 * p.probability, 1) for p in explorer.look(model, image).predictions}


def test_every_epochs_answers_are_those_that_its_model_gives(panel):
    run = finished(panel)
    assert panel.view.epochs.slider.max == 3 and panel.view.epochs.place == run.best["epoch"] + 1
    for epoch in (0, 2, 3):
        view, model = move(panel, epoch), run.model_at(epoch)
        for i, one in enumerate(view.photos.captions):
            best = explorer.predict(model, run.data.val[i][0])[0]
            assert one.text.startswith(f"{best.label} {100 * best.probability:.0f}")
        expected = shares(model, panel.session.image)
        assert bars(view.answer.value) == pytest.approx(expected, abs=0.11)
    assert "after epoch 3" in view.about.value
    assert parse(view.where.value).text.startswith("After epoch 3 of 3")


def test_curves_can_be_kept_in_the_first_epoch(panel):
    run = finished(panel)
    run.history = []  # as it is before the first epoch was over
    assert run.batches and panel.exported("png").startswith(b"\x89PNG")


def test_answers_that_are_no_number_are_told_as_that():
    """A rate far too large makes NaN of every answer."""
    labels, nan = ("red", "green", "blue"), torch.full((3,), math.nan)
    one = caption(nan, 0, labels)
    assert (one.text, one.right) == ("not a number, but it is red", False)
    page = answer_html(nan, Outputs("one", labels))
    assert "nan" not in page and page.count("not a number") == 3


def test_what_fails_beside_a_run_is_told_without_the_programs_own_names(panel):
    error = KeyError("fc.weight")
    panel.previews._no_count(error)
    panel.modules._failed(error)
    panel.view.epochs._failed(panel.view._run, error)
    for said in (panel.previews.learns, panel.modules.note, panel.view.epochs.about):
        assert parse(said.value).text.startswith("That did not work (KeyError")
    panel.previews._no_count(ValueError("train='head' with cache=True is taken"))
    assert "cache=True" not in panel.previews.learns.value


def test_the_maps_of_a_stage_are_those_of_the_chosen_epoch(folder):
    torch.manual_seed(0)
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), input_size=(3, 64, 64))
    dash.wait()
    panel = dash.finetune
    panel.build()
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(folder)
    panel.fields.train.value = "last_stage"
    panel.fields.epochs.value, panel.fields.lr.value, panel.fields.advanced["threads"].value = 1, "0.1", "1"
    run = finished(panel)
    view = panel.view.epochs
    assert view.stage.value == "layer4" and ("layer1 (frozen)", "layer1") in view.stage.options
    shown = {}
    for epoch in (0, 1):
        maps = move(panel, epoch).mosaic._maps
        channels = np.frombuffer(maps["channels"], "<i4")
        seen = explorer.look(run.model_at(epoch), dash.session.image).stages["layer4"].numpy()[channels]
        assert np.allclose(np.frombuffer(maps["hi"], "<f4"), seen.max(axis=(1, 2)), rtol=1e-4, atol=1e-6)
        shown[epoch] = channels.tolist(), maps["hi"]
    assert shown[0][0] == shown[1][0] and shown[0][1] != shown[1][1]  # the same channels, with other values
    view.stage.value = "layer1"
    panel.view.wait()
    assert "layer1 is frozen" in view.maps_note.value and view.mosaic._maps["title"].startswith("layer1")
    dash.close()


def test_a_head_only_run_says_that_its_maps_stay_and_shows_the_answer(panel):
    panel.fields.train.value = "head"
    run = finished(panel)
    view = panel.view.epochs
    assert "same after every epoch" in view.maps_note.value
    assert view.mosaic.layout.display == view.stage.layout.display == "none"
    before, after = bars(move(panel, 0).answer.value), bars(move(panel, 3).answer.value)
    expected = shares(run.model_at(3), panel.session.image)
    assert after == pytest.approx(expected, abs=0.11) and before != after


def test_another_photo_is_answered_at_the_chosen_epoch(panel, dash):
    run = finished(panel)
    move(panel, 1)
    dash.load(Image.new("RGB", (50, 40), (10, 230, 30)))
    dash.wait()
    panel.wait()
    expected = shares(run.model_at(1), dash.session.image)
    assert bars(panel.view.epochs.answer.value) == pytest.approx(expected, abs=0.11)


def test_a_run_is_looked_at_while_it_learns_and_an_epoch_that_was_chosen_stays(panel):
    panel.fields.epochs.value, panel.fields.lr.value = 100_000, "0.05"
    run = start(panel)
    view = panel.view.epochs
    first = threading.Event()
    view.about.observe(lambda _change: first.set(), "value")
    assert first.wait(60) and view.place == NOW and view.photos.captions
    said, changed = view.answer.value, threading.Event()
    view.answer.observe(lambda change: changed.set() if change["new"] not in ("", said) else None, "value")
    assert changed.wait(60)  # by itself
    move(panel, 0)
    between_batches(run, lambda: None)
    assert view.place == 0 and "before the first epoch:" in view.about.value
    run.stop()
    panel.view.wait()
    assert view.place == 0 and "before the first epoch:" in view.about.value
    assert view.slider.max == len(view._places) - 1 > 0 and not panel.view.resume.disabled


def test_mean_weights_give_the_answers_of_an_averaged_run(panel):
    panel.fields.advanced["ema"].value, panel.fields.epochs.value = "0.9", 2
    run = finished(panel)
    view = move(panel, 2)
    assert sum(one.right for one in view.photos.captions) == round(run.history[1]["val_top1"] * 6)


def test_an_earlier_epochs_model_becomes_the_dashboards(panel, dash):
    run = finished(panel)
    move(panel, 1).use.click()
    panel.wait()
    dash.wait()
    assert dash.session.model_name.endswith(f"{run.name}, epoch 1") and "after epoch 1" in dash.status.value
    pairs = zip(dash.session.model.parameters(), run.model_at(1).parameters())
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_epoch_that_is_shown_is_marked_in_the_curves(panel):
    run = finished(panel)
    other = 3 - run.best["epoch"]
    move(panel, other)
    assert [float(other), "shown"] in panel.view.loss.marks
    assert panel.view.loss.marks == panel.view.right.marks
    panel.view.epochs.play.value = 0
    assert panel.view.epochs.place == 0 and panel.view.wait()


def test_a_run_from_a_folder_is_gone_through_too(panel, dash, tmp_path, folder):
    model = explorer.create_model("resnet10t", num_classes=3)
    done = finetune(model, folder, epochs=2, input_size=SIZE, threads=1, name="kept").wait(60)
    dash.session.run = explorer.load_run(done.save(tmp_path / "kept"))
    assert panel.wait() and panel.view.epochs.slider.max == 2
    expected = shares(done.model_at(1), dash.session.image)
    assert bars(move(panel, 1).answer.value) == pytest.approx(expected, abs=0.11)
    assert panel.view.photos.captions == ()


def test_a_checkpoint_that_was_taken_away_is_a_sentence(panel, tmp_path):
    panel.fields.run_dir.value = str(tmp_path / "run")
    finished(panel)
    (tmp_path / "run" / "epochs" / "0001.safetensors").write_bytes(b"cut off")
    assert "damaged" in move(panel, 1).about.value


# --- what learns, the rate, and a second run ----------------------------------------------------------------


def test_the_trees_show_what_would_learn_and_what_does(panel):
    panel.fields.train.value = "head"
    panel.modules.selected_index = 0
    panel.wait()
    assert "27 of 251 parameters learn" in panel.modules.note.value
    rows = json.loads(panel.modules.tree._tree)["rows"]
    assert [row[4] for row in rows if row[2] in ("Conv2d", "Linear")] == [0, 27]
    panel.fields.train.value = "all"
    panel.wait()
    assert "251 of 251" in panel.modules.note.value
    finished(panel)
    panel.fields.train.value = "head"
    panel.view.modules.selected_index = 0
    panel.wait()
    assert "251 of 251" in panel.view.modules.note.value and "27 of 251" in panel.modules.note.value


def test_a_rate_is_found_drawn_and_used(panel):
    before = {key: value.clone() for key, value in panel.session.model.state_dict().items()}
    panel.fields.lr.value, finder = "", panel.finder
    places = (finder.find, finder.stop, finder.use, finder.chart)
    shown = [control.layout.display != "none" for control in places]
    assert shown == [True, False, False, False]
    panel.finder.find.click()
    panel.wait()
    assert finder.found.suggestion is not None, finder.note.value
    xs, losses = zip(*finder.chart.points("loss, smoothed"))
    assert xs == pytest.approx([math.log10(rate) for rate in finder.found.rates], abs=1e-5)
    assert losses == pytest.approx(finder.found.losses)
    assert finder.chart.marks == [[math.log10(finder.found.suggestion), f"{finder.found.suggestion:.2g}"]]
    assert "24 photos" in finder.note.value and "as it was" in finder.note.value
    finder.use.click()
    assert panel.fields.settings()["lr"] == pytest.approx(finder.found.suggestion, rel=0.05)
    assert "(yours)" in panel.previews.rate_note.value
    assert all(torch.equal(value, before[key]) for key, value in panel.session.model.state_dict().items())


def test_finding_a_rate_is_stopped_and_waits_for_no_run(panel, monkeypatch):
    import explorer.training.run.lr_finder as module

    true, begun, pressed = module.find_lr, threading.Event(), threading.Event()

    def slow(*args, on_rate, **options):
        return true(*args, on_rate=lambda *point: (on_rate(*point), begun.set(), pressed.wait(30)), **options)

    monkeypatch.setattr(module, "find_lr", slow)
    panel.finder.find.click()
    assert begun.wait(60) and not panel.finder.stop.disabled
    panel.finder.stop.click()
    pressed.set()
    panel.wait()
    assert "Stopped after 1 rate," in panel.finder.note.value and panel.finder.use.disabled
    panel.fields.epochs.value = 100_000
    start(panel)
    panel.finder.find.click()
    panel.wait()
    assert "is learning. Stop it first" in panel.finder.note.value and not panel.finder.find.disabled


def test_a_rate_that_was_found_goes_with_the_model_and_the_photos_it_was_found_for(panel, dash):
    panel.finder.find.click()
    assert panel.wait() and panel.finder.found is not None
    panel.fields.train.value = "head"
    assert panel.finder.found is None and panel.finder.note.value == ""
    assert panel.finder.chart.layout.display == "none"
    panel.finder.find.click()
    assert panel.wait() and panel.finder.found is not None
    dash.session.open_model(tiny())
    dash.wait()
    assert panel.wait() and panel.finder.found is None and not panel.finder.chart.names


def test_a_number_that_cant_be_leaves_no_note_about_the_one_before(panel):
    assert "0.05 for the classifier" in panel.previews.rate_note.value
    panel.fields.lr.value = "fast"
    assert panel.previews.rate_note.value == "" and "fast" in panel.problem.value


def test_what_nobody_expected_says_so_and_points_to_the_log(panel, monkeypatch):
    import explorer.training.run.lr_finder as module

    monkeypatch.setattr(module, "find_lr", lambda *_args, **_options: {}["rate"])
    panel.finder.find.click()
    assert panel.wait()
    assert alert(panel.finder.note).startswith("That did not work (KeyError: 'rate'). The log")


def test_also_from_scratch_runs_twice_and_lies_in_runs_side_by_side(folder):
    dash = explorer.Dashboard("tf_efficientnet_lite0", input_size=SIZE)
    dash.wait()
    panel = dash.finetune
    panel.build()
    panel.fields.data.value, panel.fields.folder.value, panel.fields.epochs.value = "a folder", str(folder), 1
    panel.fields.both.value, panel.fields.advanced["threads"].value = True, "1"
    assert "pretrained=False" in panel.code() and panel.code().endswith("run.best, scratch.wait().best")
    first = start(panel)
    second = threading.Event()
    dash.session.observe(lambda change: second.set() if change["new"] is not first else None, "run")
    assert dash.session.run is not first or second.wait(120)
    again = dash.session.run.wait(120)
    assert again.name == f"{first.name} from scratch" and again.recipe == first.recipe
    assert again.data.val.names == first.data.val.names
    mine, theirs = (run.model.get_parameter("conv_stem.weight") for run in (first, again))
    assert torch.equal(mine, dash.session.model.get_parameter("conv_stem.weight"))
    assert not torch.equal(mine, theirs)
    dash.runs.build()
    assert dash.runs.right.names == (first.name, again.name) and dash.runs.table.ticked == [0, 1]
    dash.close()


def test_a_stopped_run_is_not_followed_by_the_one_from_scratch(panel):
    heard = []
    panel._begin = heard.append
    panel._then(SimpleNamespace(name="first"), {}, SimpleNamespace(kind="stopped"))
    panel.wait()
    assert heard == []
    panel._then(SimpleNamespace(name="first"), {"second": 2}, SimpleNamespace(kind="finished"))
    panel.wait()
    assert heard == [{"second": 2}]


def rows(learnt, judged):
    return [{"epoch": i, "loss": a, "val_loss": b} for i, (a, b) in enumerate(zip(learnt, judged))]


@pytest.mark.parametrize("learnt, judged, words", [
    ([1, 0.9, 0.8], [1, 0.9, 0.8], "too few to tell"),
    ([1, 0.6, 0.4, 0.2, 0.1, 0.05], [1, 0.7, 0.6, 0.65, 0.7, 0.8],
     "Since epoch 3 the validation loss has risen by 33 %"),
    ([1, 0.9, 0.8, 0.7, 0.6], [1, 0.9, 0.8, 0.7, 0.6], "more epochs may do better"),
    ([1, 0.5, 0.4, 0.4, 0.4, 0.4], [1, 0.5, 0.41, 0.4, 0.4, 0.4], "levelled off"),
    ([1, 0.5, 0.4, 0.4, 0.9], [1, 0.5, 0.4, 0.5, 0.9], "levelled off"),
    ([], [], ""),
])
def test_the_gap_between_the_curves_is_put_into_words(learnt, judged, words):
    text = gap_note(rows(learnt, judged))
    assert words in text and bool(text) == bool(words)


def test_knowing_its_own_photos_far_better_is_said_where_the_judged_loss_stays():
    losses = rows([1, 0.3, 0.1, 0.05, 0.02], [1, 0.5, 0.45, 0.44, 0.44])
    history = [row | {"top1": 1.0, "val_top1": 0.8} for row in losses]
    assert "100 % of the photos right that it learns from, and 80 % of the others" in gap_note(history)


# --- the session --------------------------------------------------------------------------------------------


def test_a_run_of_a_cell_is_shown_by_setting_it(dash, panel, folder):
    done = finetune(tiny(), folder, epochs=2, train="all", threads=1, name="from a cell").wait()
    dash.session.run = done
    panel.wait()
    assert len(panel.view.loss.points("validation")) == 2 and "from a cell" in panel.view.progress.value
    assert any(one is done for one in dash.session.runs)
    dash.session.run = None
    assert panel.view.loss.names == () and panel.view.body.layout.display == "none"


def test_what_is_no_run_is_refused(dash):
    with pytest.raises(Exception, match="what explorer.finetune or load_run gives, not str"):
        dash.session.run = "my run"
    with pytest.raises(Exception, match="is a result"):
        dash.session.runs = ()


def test_closing_the_dashboard_does_not_stop_a_run_and_a_new_one_shows_it(folder):
    before = set(registry._instances)
    dash = explorer.Dashboard(tiny())
    dash.wait()
    panel = dash.finetune
    panel.build()
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(folder)
    panel.fields.train.value = "all"
    panel.fields.epochs.value, panel.fields.advanced["threads"].value = 100_000, "1"
    run = start(panel)
    dash.close()
    assert set(registry._instances) == before
    assert run.running and not any(getattr(one, "func", None) is not None for one in run._listeners)
    late = explorer.Dashboard(tiny())
    late.wait()
    assert late.session.run is run
    late.finetune.build()
    seen = len(late.finetune.view.loss.points("each batch"))
    between_batches(run, lambda: None)
    run.stop()
    assert len(late.finetune.view.loss.points("each batch")) >= seen
    assert "Stopped after" in late.finetune.view.progress.value
    late.close()
    assert set(registry._instances) == before


def test_every_control_of_the_panel_has_a_label(panel):
    def controls(box):
        for child in box.children:
            if isinstance(child, W.Box):
                yield from controls(child)
            elif isinstance(child, (W.Text, W.Dropdown, W.Checkbox, W.Button, W.IntText)):
                yield child

    found = list(controls(panel))
    assert len(found) > 25 and all(control.description for control in found)


def test_a_redraw_that_takes_its_time_does_not_hold_the_run_up(panel):
    panel.fields.epochs.value = 100_000
    run = start(panel)
    with panel.session.lock:  # somebody draws
        at = len(run.batches)
        passed = threading.Event()
        run.listen(lambda event: passed.set() if len(run.batches) > at + 50 else None)
        assert passed.wait(60)


# --- plain functions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, value", [
    ("", None), (" ", None), ("0.01", 0.01), ("1e-3", 1e-3), ("0,5", 0.5)])
def test_numbers_are_read_as_people_write_them(text, value):
    assert number("Rate", text) == value


def test_planned_rates_cover_the_whole_run_with_few_points():
    rates = planned_rates(Recipe(epochs=50, schedule="constant", warmup=0.0, lr=0.3), 1000)
    assert len(rates) <= 200 and rates[0] == (0.0, 0.3) and rates[-1][0] == pytest.approx(50, abs=0.01)


def test_runs_are_numbered_on():
    assert next_name([]) == "my run 1"
    runs = [SimpleNamespace(name=name) for name in ("my run 9", "my run 10", "resnet on cats")]
    assert next_name(runs) == "my run 11"


def test_classes_take_turns_among_the_samples():
    photos = PhotoSet(("a", "b"), (0, 0, 0, 1), ("p", "q", "r", "s"), lambda i: None)
    assert spread(photos, 3) == [0, 3, 1] and spread(photos, 9) == [0, 3, 1, 2]


def test_scarce_and_uneven_classes_are_noted():
    assert "Fewer than 10" in imbalance({"a": 50, "b": 3})[0]
    assert "6 times" in imbalance({"a": 60, "b": 10})[0]
    assert imbalance({"a": 50, "b": 40}) == []


def test_many_classes_are_counted_not_drawn():
    names = tuple(f"class {i}" for i in range(40))
    photos = PhotoSet(names, tuple(range(40)), names, lambda i: None)
    card = parse(card_html(Splits("many", photos, photos)))
    assert len(card.find_all(cls="vx-track")) == 24 and "16 more classes" in card.text


def test_a_caption_says_what_it_is_where_the_answer_is_wrong():
    labels = ("cat", "dog")
    right, wrong = caption(torch.tensor([3.0, 0.0]), 0, labels), caption(torch.tensor([3.0, 0.0]), 1, labels)
    assert right.right and right.text == "cat 95\N{NO-BREAK SPACE}%"
    assert wrong.right is False and wrong.text.endswith("but it is dog")
    several = caption(torch.tensor([3.0, -1.0]), (0, 1), labels)
    assert several.text == "cat" and several.right is False and "cat, dog" in several.title


def test_a_run_that_prepares_says_how_far_it_is():
    progress = SimpleNamespace(what="looking at each photo once", done=64, total=200)
    run = SimpleNamespace(name="r", recipe=Recipe(), history=[], best=None, state="running", started=None,
                          batches=[], progress=progress, asked_to_stop=False)
    assert how_far(run) == (0.0, "Preparing, looking at each photo once: 64 of 200.")
    assert known_runs() is not None


def test_the_preparation_is_a_bar_and_stands_in_the_charts():
    progress = SimpleNamespace(what="looking at each photo once", done=64, total=200)
    run = SimpleNamespace(name="r", recipe=Recipe(), history=[], best=None, state="running", started=None,
                          batches=[], progress=progress, asked_to_stop=False, running=True)
    bar = parse(progress_html(run, "started in a cell")).find("progress")
    assert (bar.attributes["value"], bar.attributes["aria-label"]) == ("0.320", "prepared")
    assert waiting_text(run) == "64 of 200 photos looked at; then the curve begins."
    run.asked_to_stop = True
    assert how_far(run)[1] == "Stopping after the present batch …"
    run.asked_to_stop, run.started = False, SimpleNamespace(batches=4)
    run.batches = [SimpleNamespace(epoch=0, batch=4)]
    assert "all 4 batches learnt; now the validation photos" in how_far(run)[1]


@pytest.mark.parametrize("scratch", [False, True])
def test_from_scratch_forgets_the_trained_weights(folder, scratch):
    dash = explorer.Dashboard("tf_efficientnet_lite0")
    dash.wait()
    panel = dash.finetune
    panel.build()
    panel.fields.data.value, panel.fields.folder.value, panel.fields.epochs.value = "a folder", str(folder), 1
    panel.fields.scratch.value, panel.fields.advanced["threads"].value = scratch, "1"
    run = start(panel).wait(120)
    mine, theirs = (model.get_parameter("conv_stem.weight") for model in (run.model, dash.session.model))
    assert torch.equal(mine, theirs) != scratch  # the body is frozen: as it was, or drawn anew
    dash.close()


def test_an_own_network_cant_begin_from_scratch_by_name_and_says_so(panel):
    panel.fields.scratch.value = True
    panel.start.click()
    panel.wait()
    assert "build yours anew in a cell" in panel.problem.value and panel.session.run is None
