"""explorer.segment: masks in the photo's own frame, one or many, in little memory."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.models import segmentation as tv
from torchvision.transforms._presets import SemanticSegmentation

import explorer
from explorer.display.colours import BASE
from explorer.inspection.segment import enlarging
from explorer.inspection.segment.colours import colour_of
from explorer.inspection.segment.enlarging import bands, mask_of, probability_of
from explorer.inspection.segment.preparing import preparation
from tests.models.oracle import randomise


def photo(width: int = 90, height: int = 60, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def net(name: str = "lraspp", *, num_classes: int = 3, side: int = 64, labels=("background", "cat", "<b>dog"),
        **options):
    options = {"backbone": "mobilenetv3_small_050", "num_classes": num_classes} | options
    model = explorer.create_model(name, **options)
    randomise(model)
    model.config = model.config.with_(input_size=(model.in_chans, side, side), labels=labels)
    return model.eval()


# --- one photo ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(90, 60), (61, 97), (40, 40), (200, 31)])
def test_a_mask_has_the_photos_frame(size):
    found = explorer.segment(net(), photo(*size))
    assert found.mask.shape == size[::-1] and found.mask.dtype == torch.uint8
    assert found.overlay().size == found.picture().size == size
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)


def test_photos_are_prepared_as_torchvision_prepares_them():
    model = net("fcn", backbone="resnet10t", side=52)
    seen, size = preparation(model)(photo(90, 60))
    theirs = SemanticSegmentation(resize_size=52)(photo(90, 60))
    assert size == seen.shape[1:] == theirs.shape[1:] == (52, 78)
    assert torch.allclose(seen, theirs, atol=1e-5)


def test_the_mask_is_torchvisions():
    theirs = tv.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    randomise(theirs)
    mine = explorer.create_model("lraspp_mobilenet_v3_large").eval()
    mine.load_state_dict(explorer.models.weights.convert(
        "lraspp_mobilenet_v3_large", theirs.state_dict(), "torchvision"))
    mine.config = mine.config.with_(input_size=(3, 104, 104))
    picture = photo(150, 120)
    with torch.no_grad():
        scores = theirs(SemanticSegmentation(resize_size=104)(picture)[None])["out"]
    wanted = F.interpolate(scores, size=(120, 150), mode="bilinear").argmax(1)[0]
    same = (explorer.segment(mine, picture).mask == wanted).float().mean()
    assert same > 0.999  # two classes may be equal but for rounding


def test_a_photo_is_padded_to_what_the_network_wants_and_cut_again():
    model = net("unet")
    seen, size = preparation(model)(photo(90, 60))
    assert size == (64, 96) and seen.shape[1:] == (64, 96)
    seen, size = preparation(model)(photo(100, 60))
    assert size == (64, 106) and seen.shape[1:] == (64, 128) and not seen[:, :, 106:].any()
    assert explorer.segment(model, photo(100, 60)).scores.shape == (3, 64, 106)


def test_a_backbone_built_for_one_size_sees_the_photo_inside_of_it():
    model = net("linknet", backbone="levit_128s")
    seen, size = preparation(model)(photo(90, 60))
    assert seen.shape[1:] == (224, 224) and size == (149, 224)
    assert explorer.segment(model, photo(90, 60)).mask.shape == (60, 90)


def test_a_strip_goes_in_smaller():
    model = net("unet")
    seen, size = preparation(model)(photo(480, 60))
    assert size == (64, 512) and seen.shape[1:] == (64, 512)
    seen, size = preparation(model)(photo(960, 60))
    assert size == (32, 512) and seen.shape[1:] == (32, 512)
    assert explorer.segment(model, photo(3, 2000)).mask.shape == (2000, 3)


def test_a_backbone_that_wants_whole_multiples_gets_them():
    model = net("fcn", backbone="dla46x_c")
    assert preparation(model)(photo(91, 60))[0].shape == (3, 64, 128)
    assert explorer.segment(model, photo(91, 60)).mask.shape == (60, 91)


def test_one_pass_a_photo_and_the_training_flags_stay():
    model, passes = net().train(), []
    first = next(part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: passes.append(1))
    explorer.segment(model, photo())
    assert len(passes) == 1 and model.training


def test_an_auxiliary_heads_scores_are_not_the_mask():
    model = net("fcn", backbone="resnet10t", aux=True)
    with_aux = explorer.segment(model, photo())
    model.aux_level = None
    assert torch.equal(with_aux.mask, explorer.segment(model, photo()).mask)


def test_a_single_score_is_a_yes_or_no():
    found = explorer.segment(net(num_classes=1, labels=("cat",)), photo())
    assert found.labels == ("background", "cat") and set(found.mask.unique().tolist()) <= {0, 1}
    assert torch.equal(found.mask == 1, found.probabilities("cat") > 0.5)


@pytest.mark.parametrize("in_chans", [1, 5])
def test_pictures_of_other_channels(in_chans):
    picture = photo() if in_chans == 1 else np.random.default_rng(0).random((60, 90, 5), dtype=np.float32)
    found = explorer.segment(net(in_chans=in_chans), picture)
    assert found.mask.shape == (60, 90) and found.overlay().mode == "RGB"


# --- probabilities ------------------------------------------------------------------------------------------


def test_probabilities_are_of_a_name_or_an_index_and_sum_to_one():
    found = explorer.segment(net(), photo())
    each = torch.stack([found.probabilities(index) for index in range(3)])
    assert torch.equal(each[1], found.probabilities("cat"))
    assert torch.allclose(each.sum(0), torch.ones(60, 90), atol=1e-5)
    assert torch.equal(each.argmax(0).to(torch.uint8), found.mask)


@pytest.mark.parametrize(("label", "said"), [
    ("cta", "There is no class 'cta'. Did you mean 'cat'"), (3, "index from 0 to 2"),
    (True, "index from 0 to 2"), (None, "give a class's name"),
])
def test_a_class_that_there_is_not_is_said(label, said):
    with pytest.raises(ValueError, match=said):
        explorer.segment(net(), photo()).probabilities(label)


# --- bands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(60, 90), (7, 11), (400, 30), (1, 1)])
def test_bands_are_what_interpolation_gives_at_once(monkeypatch, size):
    monkeypatch.setattr(enlarging, "MOST_SCORES", 700)
    scores = torch.randn(5, 17, 23, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(scores[None], size=size, mode="bilinear")[0]
    pieces = list(bands(scores, size))
    assert torch.allclose(torch.cat([found for _, found in pieces], dim=1), whole, atol=1e-5)
    assert len(pieces) > 1 or size[0] * size[1] < 700
    assert (mask_of(scores, size) == whole.argmax(0)).float().mean() > 0.99
    assert torch.allclose(probability_of(scores, size, 2), whole.softmax(0)[2], atol=1e-5)


def test_a_large_photo_is_held_as_a_mask_and_never_as_scores(monkeypatch):
    largest = []
    interpolate = F.interpolate

    def counted(*args, **options):
        found = interpolate(*args, **options)
        largest.append(found.numel())
        return found

    monkeypatch.setattr(F, "interpolate", counted)
    found = mask_of(torch.randn(21, 52, 69), (3000, 4000))
    assert found.shape == (3000, 4000) and max(largest) <= enlarging.MOST_SCORES


def test_more_classes_than_a_byte_holds():
    mask = mask_of(torch.randn(300, 4, 4), (8, 8))
    assert mask.dtype == torch.int64


# --- pictures and words -------------------------------------------------------------------------------------


def test_an_overlay_leaves_the_background_and_colours_the_rest():
    found = explorer.segment(net(), photo())
    plain, whole = np.asarray(photo()), np.asarray(found.overlay(1.0))
    mask = found.mask.numpy()
    assert (whole[mask == 0] == plain[mask == 0]).all()
    for index in (1, 2):
        assert (whole[mask == index] == colour_of(index)).all()
    alone = np.asarray(found.overlay(1.0, classes=["cat"]))
    assert (alone[mask != 1] == plain[mask != 1]).all() and (alone[mask == 1] == colour_of(1)).all()
    assert np.array_equal(np.asarray(found.overlay(0.0)), plain)
    with pytest.raises(ValueError, match="opacity is 2"):
        found.overlay(2)


def test_colours_are_unlike_and_always_the_same():
    assert len({colour_of(index) for index in range(5 * len(BASE) + 1)}) == 5 * len(BASE) + 1
    assert colour_of(1) == (230, 159, 0)


def test_a_picture_of_the_mask_is_the_mask(tmp_path):
    found = explorer.segment(net(), photo())
    found.picture().save(tmp_path / "mask.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "mask.png")), found.mask.numpy())


def test_html_stands_for_itself_and_names_are_escaped():
    html = explorer.segment(net(labels=("<i>a", "<i>b", "<i>c")), photo())._repr_html_()
    assert "&lt;i&gt;" in html and "<i>" not in html
    assert "<script" not in html and "http" not in html and "data:image/jpeg" in html
    assert "its masks mean nothing" in html


def test_nothing_is_known_of_names_that_nobody_gave():
    assert explorer.segment(net(labels=()), photo()).labels == ("class 0", "class 1", "class 2")


def test_scores_that_are_no_numbers_are_said():
    model = net()
    with torch.no_grad():
        model.classifier["low_classifier"].bias.fill_(float("nan"))
    assert "no numbers" in explorer.segment(model, photo()).notes[0]


# --- many photos --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "photos"
    (made / "trip").mkdir(parents=True)
    photo(seed=1).save(made / "a.jpg")
    photo(70, 50, seed=2).save(made / "a.png")
    photo(40, 80, seed=3).save(made / "trip" / "b.png")
    (made / "broken.png").write_bytes(b"no picture")
    (made / "words.txt").write_text("hello")
    return made


def test_a_folder_is_a_table(folder, tmp_path):
    table = explorer.segment(net(), folder)
    assert [row.name for row in table] == ["a.jpg", "a.png", "broken.png", "trip/b.png"]
    assert len(table.errors) == 1 and table.ignored == 1
    assert table[0].found.mask.shape == (60, 90) and table[0].found.image is None
    assert "4 photos, 1 could not be opened, 1 other file ignored" in repr(table)
    assert table._repr_html_().count("<img") == 3
    table.to_csv(tmp_path / "masks.csv")
    rows = list(csv.DictReader((tmp_path / "masks.csv").open(encoding="utf-8")))
    assert sum(float(row["share"]) for row in rows if row["name"] == "a.jpg") == pytest.approx(1)
    assert [row["error"] != "" for row in rows].count(True) == 1
    with pytest.raises(ValueError, match="A table keeps the masks alone"):
        table[0].found.probabilities("cat")
    assert table[0].found.overlay(image=explorer.load_image(folder / "a.jpg")).size == (90, 60)


def test_masks_are_saved_beside_the_table_each_under_its_photos_name(folder, tmp_path):
    table = explorer.segment(net(), folder)
    saved = table.save(tmp_path / "out" / "masks")
    files = sorted(path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file())
    assert files == ["a.png", "a.png.png", "masks.csv", "trip/b.png"]
    for row, name in zip((table[0], table[1], table[3]), ("a.png", "a.png.png", "trip/b.png")):
        assert np.array_equal(np.asarray(Image.open(saved / name)), row.found.mask.numpy())


def test_names_that_lead_out_of_the_folder_stay_in_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder / "trip")
    saved = explorer.segment(net(), [str(folder / "a.jpg"), "../a.png", photo()]).save(tmp_path / "masks")
    assert sorted(path.name for path in saved.iterdir()) == ["a.png", "a.png.png", "image 3.png", "masks.csv"]


def test_a_list_gives_what_each_photo_alone_gives():
    model = net()
    table = explorer.segment(model, [photo(seed=1), photo(30, 50, seed=2)])
    assert [row.name for row in table] == ["image 1", "image 2"]
    assert torch.equal(table[1].found.mask, explorer.segment(model, photo(30, 50, seed=2)).mask)


# --- what is no network for masks ---------------------------------------------------------------------------


def test_a_model_of_another_task_is_sent_where_it_belongs():
    with pytest.raises(TypeError, match="resnet10t says what a photo shows: explorer.look and"):
        explorer.segment(explorer.create_model("resnet10t"), photo())
    with pytest.raises(TypeError, match="this model is a Linear"):
        explorer.segment(nn.Linear(2, 2), photo())
    with pytest.raises(ValueError, match="no last layer"):
        explorer.segment(net(num_classes=0), photo())


def test_a_compiled_or_wrapped_network_is_looked_through():
    assert explorer.segment(nn.DataParallel(net()), photo()).mask.shape == (60, 90)


def test_what_is_no_picture_is_said():
    with pytest.raises(explorer.ImageError):
        explorer.segment(net(), "no such file.jpg")
