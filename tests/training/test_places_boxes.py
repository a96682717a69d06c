"""`finetune` of networks that find boxes: what is learnt, told, kept, and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import explorer
from explorer.data.errors import ImageError
from explorer.data.folders import DataError
from explorer.data.places.augment import Augmented
from explorer.data.places.place_set import PlaceSplits
from explorer.inspection.detect.detecting import photo_tensor
from explorer.models.config import ModelConfig
from explorer.training.loop.events import Batch, Epoch
from explorer.training.loop.measures import AP50, best_text, epochs_html, measure_of
from explorer.training.loop.place_aims import learnt
from explorer.training.loop.place_sources import BoxesMade
from explorer.training.loop.recipe import Recipe
from explorer.training.run.place_checks import check_places
from explorer.training.run.small_photos import smaller
from tests.training.places import CLASSES, TEACHING, boxes_of, detector, painted


@pytest.fixture(scope="module")
def data():
    return painted(24, 0), painted(8, 1)


@pytest.fixture(scope="module")
def taught(data, tmp_path_factory):
    """A run of six epochs in a folder, and its events."""
    events: list = []
    folder = tmp_path_factory.mktemp("boxes") / "run"
    run = explorer.finetune(detector(), data, epochs=6, run_dir=folder, on_event=events.append, **TEACHING)
    return run.wait(), events


def small(data, **settings):
    """A run of one short epoch."""
    few = data[0].subset(range(4)), data[1].subset(range(2))
    return explorer.finetune(settings.pop("model", None) or detector(), few, epochs=1, **TEACHING | settings)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_boxes(model, other, photo):
    mine, theirs = (net.eval()([photo_tensor(photo)])[0] for net in (model, other))
    assert torch.equal(mine["labels"], theirs["labels"])
    assert torch.allclose(mine["boxes"], theirs["boxes"], atol=1e-3)
    assert torch.allclose(mine["scores"], theirs["scores"], atol=1e-5)
    return len(mine["boxes"])


def test_rectangles_are_found_far_better_than_by_chance(taught):
    run, _ = taught
    assert run.history[0]["val_ap50"] < 0.1 < run.best["val_ap50"]
    assert run.best["val_ap50"] == max(row["val_ap50"] for row in run.history)
    assert run.labels == CLASSES == run.model.config.labels and not run.model.training


def test_the_parts_of_the_loss_add_up_to_it(taught):
    run, events = taught
    told = [event for event in events if isinstance(event, Batch | Epoch)]
    assert len(told) == 6 * 6 + 6
    for event in told:
        assert set(event.parts) == {"classification", "bbox_regression"}
        assert sum(event.parts.values()) == pytest.approx(event.loss, rel=1e-5)
    for row in run.history:
        assert sum(row["val_parts"].values()) == pytest.approx(row["val_loss"], rel=1e-5)


def test_the_loss_of_a_step_is_that_of_the_model(data):
    model = detector()
    before = weights(model)
    run = small(data, model=model, batch_size=4).wait()
    twin = detector()
    twin.load_state_dict(before)
    twin.config = model.config
    photos = [photo_tensor(data[0][i][0]) for i in range(4)]
    truth = [{"boxes": torch.from_numpy(one.boxes).float(), "labels": torch.from_numpy(one.labels)}
             for one in data[0].boxes[:4]]
    expected = twin.train().loss(photos, truth)
    values = {name: value.item() for name, value in expected.items()}
    assert run.batches[0].parts == pytest.approx(values, rel=1e-4)


def test_evaluate_tells_what_the_run_was_judged_by(taught):
    run, _ = taught
    found = explorer.evaluate(run)
    assert found.ap50 == pytest.approx(run.best["val_ap50"], abs=1e-6)
    assert found.model_name == run.name


def test_a_saved_model_finds_the_same_boxes(taught, data, tmp_path):
    run, _ = taught
    loaded = explorer.load_run(run.save(tmp_path / "saved"))
    assert same_boxes(run.model, loaded.model, data[1][0][0])
    again = explorer.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True)
    same_boxes(run.model, again, data[1][1][0])
    assert loaded.history == run.history and loaded.labels == CLASSES and loaded.recipe == run.recipe
    assert measure_of(loaded) is AP50 and "AP50" in repr(loaded) and "AP50" in loaded._repr_html_()
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "Average precision at iou 0.5 (AP50)" in card and "over 8 photos" in card


def test_its_folder_opens_too(taught, data):
    run, _ = taught
    loaded = explorer.load_run(run.folder)
    same_boxes(run.model, loaded.model, data[1][0][0])
    assert [row["val_ap50"] for row in loaded.history] == [row["val_ap50"] for row in run.history]


def test_words_name_the_figure_and_the_parts(taught):
    run, _ = taught
    assert best_text(run).startswith("AP50 ") and "% right" not in repr(run) + run._repr_html_()
    table = epochs_html(run)
    assert "bbox regression" in table and "classification" in table and table.count("AP50") == 1
    lines = (run.folder / "history.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "epoch"]
    assert "top1" not in rows[0] and set(rows[0]["parts"]) == {"classification", "bbox_regression"}


@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "ema": 0.8}, {"swa": 1.0}])
def test_a_stopped_run_goes_on_to_the_very_same_weights(data, tmp_path, settings):
    few = data[0].subset(range(9)), data[1].subset(range(2))
    wanted = {"epochs": 2, **TEACHING, "augment": "light", **settings}
    whole = explorer.finetune(detector(), few, **wanted).wait()
    begun = explorer.finetune(detector(), few, run_dir=tmp_path / "run", **wanted)
    begun.listen(lambda event: isinstance(event, Batch) and begun.stop(wait=False))
    assert begun.wait().state == "stopped"
    gone_on = explorer.finetune(detector(), few, run_dir=tmp_path / "run", resume=True, **wanted).wait()
    assert [row["loss"] for row in gone_on.history] == [row["loss"] for row in whole.history]
    assert [row["parts"] for row in gone_on.history] == [row["parts"] for row in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, gone_on.model.state_dict()[name]), name


def test_a_frozen_body_stays_as_it_was(data):
    model = detector()
    before = weights(model)
    small(data, model=model, train="head", augment="strong").wait()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any(name.startswith("backbone.body.") for name in changed)
    assert any(name.startswith("backbone.fpn.") for name in changed)
    assert any(name.startswith("head.regression_head.") for name in changed)


def test_the_last_stage_alone_learns_of_the_body(data):
    model = detector()
    before = weights(model)
    small(data, model=model, train="last_stage").wait()
    body = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
            and name.startswith("backbone.body.")}
    assert body and all(name.startswith("backbone.body.blocks.5.") for name in body)


def test_the_body_learns_at_its_own_rate(data):
    run = small(data, lr=1e-3, body_lr=1e-5)
    run.wait()
    rates = {}
    for group in run._work.state.optimizer.param_groups:
        for parameter in group["params"]:
            rates[parameter] = group["initial_lr"]
    names = {name: rates[parameter] for name, parameter in run.model.named_parameters()}
    assert {rate for name, rate in names.items() if name.startswith("backbone.body.")} == {1e-5}
    assert {rate for name, rate in names.items() if not name.startswith("backbone.body.")} == {1e-3}


def test_a_fresh_head_for_other_classes_and_the_same_one_for_the_same(data):
    model = detector(num_classes=5)
    run = small(data, model=model)
    run.wait()
    assert model.num_classes == 2 and model.config.labels == CLASSES
    kept = weights(model)["head.classification_head.cls_logits.weight"]
    turned = painted(4, 0, classes=("light", "dark"))
    slowly = TEACHING | {"lr": 1e-9, "body_lr": 1e-9}
    again = explorer.finetune(model, (turned, turned), epochs=1, **slowly).wait()
    assert again.labels == CLASSES  # the model's own order
    assert torch.allclose(model.state_dict()["head.classification_head.cls_logits.weight"], kept, atol=1e-6)


def test_photos_without_boxes_crowds_and_broken_ones(data):
    photos = [data[0].open_one(i) for i in range(6)]

    def open_one(index):
        if index == 3:
            raise ImageError("'photo 3' could not be read.")
        return photos[index]

    boxes = list(data[0].boxes[:6])
    boxes[0] = boxes_of([], [])
    boxes[1] = boxes_of([(0, 0, 60, 60), (5, 5, 30, 30)], [0, 1], [True, False])
    odd = type(data[0])(CLASSES, data[0].names[:6], open_one, boxes=tuple(boxes))
    judged = data[1].subset(range(2))
    run = explorer.finetune(detector(), (odd, judged), epochs=1, **TEACHING | {"batch_size": 2}).wait()
    assert any(note.startswith("Left out, photo 3") for note in run.notes) and len(run.data.train) == 5
    assert np.isfinite(run.best["loss"])


def test_photos_are_kept_no_larger_than_the_network_sees_them(data):
    large = painted(2, 0)
    photos = [large.open_one(i).resize((1024, 1024)) for i in range(2)]
    boxes = tuple(boxes_of(one.boxes * 16, one.labels) for one in large.boxes)
    big = type(large)(CLASSES, large.names, photos.__getitem__, boxes=boxes)
    run = explorer.finetune(detector(), (big, big), epochs=1, **TEACHING)
    seen = []
    run.listen(lambda event: seen.append(run._work.source) if isinstance(event, Batch) else None)
    run.wait()
    photo, kept = seen[0].train[0]
    assert photo.size == (64, 64) and np.allclose(kept.boxes, large.boxes[0].boxes)
    assert explorer.evaluate(run).ap50 == pytest.approx(run.best["val_ap50"], abs=0.02)


def test_outlines_shrink_and_move_with_their_photo_and_things_without_are_not_learnt():
    corner = [np.array([0.0, 0, 32, 0, 32, 64, 0, 64])]  # the left half, 32 x 64, of a photo 64 x 64
    boxes = boxes_of([(0, 0, 32, 64), (40, 8, 60, 60)], [0, 1])
    boxes = replace(boxes, shapes=(tuple(corner), None))
    half = lambda photo: photo.resize((32, 32))
    photo, small = smaller(Image.new("RGB", (64, 64)), boxes, half, outlines=True)
    photo, turned = Augmented(v2.RandomHorizontalFlip(1.0), outlines=True)(photo, small)
    _, target = BoxesMade(3, outlines=True).one(photo, turned)
    assert target["boxes"].tolist() == [[16, 0, 32, 32], [2, 4, 12, 30]]
    assert target["masks"].shape == (2, 32, 32) and target["masks"][0, :, 16:].all()
    assert not target["masks"][0, :, :16].any() and not target["masks"][1].any()
    kept = learnt(target)
    assert kept["labels"].tolist() == [0] and kept["masks"].shape == (1, 32, 32)


def test_a_network_that_learns_masks_too_needs_outlines(data):
    with pytest.raises(DataError, match="has boxes alone: give COCO's outlines"):
        model = detector()
        model.has_masks = True
        check_places(Recipe(task="detection"), PlaceSplits("boxes", *data), model, workers=1)


@pytest.mark.parametrize("settings, sentence", [
    ({"mixup": 0.2, "cache": False}, "mixup is for classes"), ({"cutmix": 1.0}, "cutmix is for classes"),
    ({"label_smoothing": 0.1}, "label_smoothing is for classes"),
    ({"class_weights": "balanced"}, "class_weights is for classes"),
    ({"outputs": "one"}, "outputs is for whole photos"), ({"views": 2}, "views is for whole photos"),
    ({"rounds": 2}, "rounds is for whole photos"), ({"loss": "dice"}, "a loss of its own"),
    ({"augment": "medium"}, "augment is 'medium'"), ({"task": "detection"}, "no setting 'task'"),
    ({"backbone": "resnet18"}, "the model is there already"),
    ({"batch_size": 1}, "give 2 photos or more"),
])
def test_what_can_not_be_is_refused_in_a_sentence(data, settings, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        small(data, **settings)


def test_data_of_another_task_is_refused(data):
    empty = type(data[0])(CLASSES, data[0].names[:2], data[0].open_one, boxes=(boxes_of([], []),) * 2)
    masks = painted(4, 0, "segmentation")
    for wrong, sentence in (("flowers5", "flowers5"), ((masks, masks), "boxes are wanted"),
                            ((empty, data[1]), "no box that counts")):
        with pytest.raises(DataError, match=sentence):
            explorer.finetune(detector(), wrong, epochs=1, **TEACHING)
    with pytest.raises(ValueError, match="backbone is 'resnet18': it is for networks"):
        explorer.finetune("resnet18", "flowers5", backbone="resnet18", pretrained=False)


def test_a_search_for_a_rate_leaves_the_model_as_it_is(data):
    model = detector()
    before = weights(model)
    found = explorer.find_lr(model, data, train="all", batch_size=4, steps=6, photos=8,
                             input_size=(3, 64, 64))
    assert len(found.rates) >= 5
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_options_of_the_backbone_are_saved_with_it(tmp_path):
    model = detector(backbone="resnet10t", backbone_options={"avg_down": False})
    written = json.dumps(model.config.as_timm())
    kept = dict(ModelConfig.from_dict(json.loads(written)).build_options)
    assert kept["backbone_options"] == (("avg_down", False),)
    again = explorer.create_model("retinanet", num_classes=2, **kept)
    assert again.state_dict().keys() == model.state_dict().keys()
