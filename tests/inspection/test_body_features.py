"""Features of networks for boxes and masks: those of their bodies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.look.bodies import AT_ONCE, body_vectors, features_config
from tests.inspection.small_models import noise_photo
from tests.models.oracle import randomise

MADE_OF = {"retinanet": {"backbone": "resnet18"}, "yolov5n": {}, "unet": {"backbone": "resnet18"},
           "torchvision/ssdlite320_mobilenet_v3_large": {}}
PHOTOS = [noise_photo(96 + 8 * seed, 80, seed) for seed in range(5)]


@pytest.fixture(scope="module", params=MADE_OF, ids=str)
def model(request):
    net = explorer.create_model(request.param, num_classes=3, **MADE_OF[request.param])
    randomise(net)
    side = 320 if "320" in request.param else 64
    net.config = net.config.with_(input_size=(3, side, side))
    return net.eval()


def test_an_embedding_is_the_mean_of_the_bodys_deepest_map(model, tmp_path):
    found = explorer.embed(model, PHOTOS, cache_dir=tmp_path)
    stage = model.body_stages[-1]
    assert found.vectors.shape == (5, stage.channels)
    assert found.features.logits.shape == (5, 0) and found.features.class_names == ()
    square = noise_photo(*features_config(model)["input_size"][1:])
    seen = explorer.look(model, square)  # a photo that both ways leave as it is
    one = explorer.embed(model, [square], cache_dir=tmp_path).vectors[0]
    np.testing.assert_allclose(one, seen.embedding.numpy(), rtol=1e-3, atol=1e-4 * np.abs(one).max())
    np.testing.assert_allclose(seen.embedding, seen.stages[stage.name].mean((1, 2)))
    assert dict((one.index, one.distance) for one in found.nearest(PHOTOS[2]))[2] < 1e-6
    again = explorer.embed(model, PHOTOS, cache_dir=tmp_path)
    assert again.features.computed == 0 and np.array_equal(again.vectors, found.vectors)


def test_every_stage_answers_for_itself(model):
    names = [stage.name for stage in model.stage_table]
    alike = explorer.compare_stages(model, model, PHOTOS)
    assert list(alike.stages_a) == names
    np.testing.assert_allclose(np.diag(alike.matrix), 1, atol=1e-6)
    top = explorer.top_photos(model, PHOTOS, names[-1], 0, count=2)
    assert len(top) == 2 and not top.problems


def test_a_detectors_body_is_as_its_classifier_where_it_has_the_same_weights():
    classifier = explorer.create_model("resnet18", num_classes=0).eval()
    randomise(classifier)
    detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=2).eval()
    detector.body.load_state_dict(classifier.state_dict())
    for net in (classifier, detector):
        net.config = net.config.with_(input_size=(3, 64, 64), crop_pct=1.0, interpolation="bilinear")
    alike = explorer.compare_stages(detector, classifier, PHOTOS)
    own = len(detector.body_stages)
    np.testing.assert_allclose(np.diag(alike.matrix[:own]), 1, atol=1e-6)
    assert alike.best()[own - 1][1] == classifier.stage_table[-1].name


def test_a_pass_over_large_photos_is_made_in_parts():
    model = explorer.create_model("yolov5n", num_classes=2).eval()
    seen: list[int] = []
    model.model[0].register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    side = 1280
    with torch.inference_mode():
        assert body_vectors(model, torch.rand(3, 3, side, side)).shape == (3, 256)
    assert max(seen) == max(1, AT_ONCE // side**2) == 1


def test_a_probe_reads_them(tmp_path):
    for name, colour in (("red", (200, 20, 20)), ("blue", (20, 20, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (70, 60), tuple(part + number for part in colour)).save(
                tmp_path / "photos" / name / f"{number}.png")
    model = explorer.create_model("unet", backbone="resnet18", num_classes=2).eval()
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64))
    features = explorer.run_folder(model, tmp_path / "photos", cache_dir=tmp_path / "kept")
    assert explorer.linear_probe(features).accuracy == 1
    assert any("features mean nothing" in note for note in features.notes)


def test_what_asks_for_classes_says_which_function_to_ask():
    model = explorer.create_model("yolov5n", num_classes=2)
    for ask in (lambda: explorer.predict(model, PHOTOS[0]), lambda: explorer.fgsm(model, PHOTOS[0])):
        with pytest.raises(ValueError, match=r"finds boxes: ask it with explorer\.detect"):
            ask()
