"""`finetune` of networks that find masks: what is learnt, told, kept, and refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.data.places.place_set import IGNORED
from explorer.inspection.compare.sizes import published_of
from explorer.inspection.segment.preparing import preparation
from explorer.models.segmentation.losses import mask_loss
from explorer.models.weights.report import LoadReport
from explorer.training.loop.events import Batch, Epoch
from explorer.training.loop.measures import MIOU, measure_of
from explorer.training.loop.place_sources import MasksMade
from explorer.training.run.listeners import print_progress
from tests.training.places import CLASSES, SIDE, TEACHING, painted, segmenter

NAMES = ("background", *CLASSES)


@pytest.fixture(scope="module")
def data():
    return painted(16, 0, "segmentation"), painted(6, 1, "segmentation")


@pytest.fixture(scope="module")
def taught(data):
    """A run of four epochs, its events, and what it printed."""
    events, told = [], io.StringIO()
    listeners = [events.append, print_progress(told)]
    tell = lambda event: [listener(event) for listener in listeners]
    return explorer.finetune(segmenter(), data, epochs=4, on_event=tell, **TEACHING).wait(), events, told


def small(data, **settings):
    few = data[0].subset(range(4)), data[1].subset(range(2))
    return explorer.finetune(settings.pop("model", None) or segmenter(), few, epochs=1, **TEACHING | settings)


def test_rectangles_are_told_from_what_is_behind_them(taught):
    run, _, _ = taught
    assert run.best["val_miou"] > 0.5  # all background is 0.28
    assert run.labels == NAMES == run.model.config.labels
    assert measure_of(run) is MIOU and "mIoU" in repr(run)


def test_the_parts_of_the_loss_add_up_to_it_and_are_printed(taught):
    run, events, told = taught
    for event in events:
        if isinstance(event, Batch | Epoch):
            assert set(event.parts) == {"ce", "dice"}
            assert sum(event.parts.values()) == pytest.approx(event.loss, rel=1e-5)
    first = next(line for line in told.getvalue().splitlines() if line.startswith("epoch 1: "))
    assert "(ce " in first and ", dice " in first and "; judged: loss " in first and ", mIoU " in first
    assert "finished: best epoch" in told.getvalue() and told.getvalue().count("epoch 4: ") == 1


def test_the_loss_of_a_step_is_that_of_the_masks(data):
    model = segmenter()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = small(data, model=model, loss="focal").wait()
    model.load_state_dict(before)
    prepare = preparation(model)
    seen = torch.stack([prepare(data[0].open_one(i))[0] for i in range(4)])
    masks = torch.stack([torch.from_numpy(data[0].open_mask(i)).long() for i in range(4)])
    expected = mask_loss(model.train()(seen), masks, loss="focal")
    assert run.batches[0].parts == pytest.approx({"focal": expected["focal"].item()}, rel=1e-4)


def test_evaluate_tells_what_the_run_was_judged_by(taught):
    run, _, _ = taught
    assert explorer.evaluate(run).miou == pytest.approx(run.best["val_miou"], abs=1e-6)


def test_a_saved_model_gives_the_same_mask(taught, data, tmp_path):
    run, _, _ = taught
    loaded = explorer.load_run(run.save(tmp_path / "saved"))
    mine, theirs = (explorer.segment(net, data[1].open_one(0)) for net in (run.model, loaded.model))
    assert torch.equal(mine.mask, theirs.mask) and mine.labels == theirs.labels == NAMES
    assert loaded.history == run.history
    assert "Mean iou (mIoU)" in (tmp_path / "saved" / "README.md").read_text()


def test_nothing_that_was_published_is_said_of_a_network_that_learnt_more(data):
    net = segmenter()
    told = {"metrics": (("mIoU", 83.8),), "notes": "measured on 24 others", "paper_ids": "arXiv:1505.04597",
            "origin_url": "https://example.org", "top1": 80.0, "license": "mit"}
    net.config = net.config.with_(**told)
    net.load_report = LoadReport("a publisher")
    config = small(data, model=net).wait().model.config
    assert published_of(net) is None and not config.metrics and config.top1 is None
    assert config.notes == config.paper_ids == config.origin_url == "" and config.license == "mit"
    assert config.tag == "the data" and config.labels == NAMES


def test_a_name_over_another_backbone_goes_on_and_opens_again_with_its_options(data, tmp_path):
    few = tuple(part.subset(range(4)) for part in data)
    wanted = {**TEACHING, "augment": "standard", "batch_size": 2, "backbone": "lcnet_035",
              "pretrained": False, "epochs": 2}
    whole = explorer.finetune("unet", few, **wanted).wait()
    begun = explorer.finetune("unet", few, run_dir=tmp_path / "run", **wanted)
    begun.listen(lambda event: isinstance(event, Batch) and begun.stop(wait=False))
    begun.wait()
    run = explorer.finetune("unet", few, run_dir=tmp_path / "run", resume=True, **wanted).wait()
    assert [row["loss"] for row in run.history] == [row["loss"] for row in whole.history]
    assert ("backbone", "lcnet_035") in run.model.config.build_options
    loaded = explorer.load_run(tmp_path / "run")
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


def test_an_auxiliary_head_learns_too(data):
    model = explorer.create_model("fcn", backbone="lcnet_035", aux=True, num_classes=3)
    run = small(data, model=model, train="head").wait()
    assert set(run.best["parts"]) == {"ce", "dice", "aux"}
    assert sum(run.best["parts"].values()) == pytest.approx(run.best["loss"], rel=1e-5)


def test_photos_of_several_sizes_make_one_batch_in_which_the_rest_does_not_count():
    made = MasksMade(preparation(segmenter(img_size=SIDE)))
    sizes = ((64, 64), (96, 64), (64, 100))
    pairs = [made.one(Image.new("RGB", size, "white"), np.ones(size[::-1], np.uint8)) for size in sizes]
    photos, masks = made.batch(pairs)
    assert photos.shape == (3, 3, 128, 96) and masks.shape == (3, 128, 96)
    for (wide, high), mask in zip(sizes, masks):
        assert (mask[:high, :wide] == 1).all() and int((mask == IGNORED).sum()) == 128 * 96 - wide * high


def test_masks_of_which_nothing_counts_are_said_in_a_sentence(data):
    blank = type(data[1])(NAMES, data[1].names[:2], data[1].open_one,
                          open_mask=lambda index: np.full((SIDE, SIDE), IGNORED, np.uint8))
    run = explorer.finetune(segmenter(), (data[0].subset(range(2)), blank), epochs=1, **TEACHING)
    with pytest.raises(explorer.data.folders.DataError, match="no pixel counts"):
        run.wait()
    learnt = explorer.finetune(segmenter(), (blank, data[1].subset(range(2))), epochs=1, **TEACHING).wait()
    assert learnt.best["loss"] == 0.0


@pytest.mark.parametrize("settings, sentence", [
    ({"loss": "mse"}, "for masks give ce, dice, focal"), ({"loss": "ce+ce"}, "for masks give"),
    ({"mixup": 0.2}, "mixup is for classes, and 'the data' has photos with masks"),
    ({"outputs": "numbers"}, "outputs is for whole photos"),
])
def test_what_can_not_be_is_refused_in_a_sentence(data, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        small(data, **settings)


def test_a_cluster_says_that_it_can_not():
    from explorer import cluster

    with pytest.raises(ValueError, match="on one computer"):
        cluster.finetune(segmenter(), "nowhere")
