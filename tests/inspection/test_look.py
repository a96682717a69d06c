"""A look holds what a forward pass by hand gives, and leaves everything as it was."""

from __future__ import annotations

import copy
import pickle
import re
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.images import ImageError
from explorer.inspection.look.answers import Prediction
from explorer.inspection.look.looking import look
from explorer.inspection.look.model import evaluating
from explorer.models import ModelConfig, Stage, VisionModel
from tests.html import parse
from tests.inspection.small_models import red_and_blue, told
from tests.models.oracle import randomise, relative_error, same_weights

timm = pytest.importorskip("timm")

FAMILIES = ["resnet18", "vgg11_bn", "tf_efficientnet_lite0", "vit_tiny_patch16_224"]


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request):
    """(our model, timm's with the same random weights)."""
    ours, theirs = explorer.create_model(request.param), timm.create_model(request.param)
    same_weights(ours, theirs)
    return ours, theirs


def timms_input(theirs, photo) -> torch.Tensor:
    config = timm.data.resolve_data_config({}, model=theirs)
    return timm.data.create_transform(**config)(photo)


def test_the_input_equals_timms_transform(pair, photo):
    ours, theirs = pair
    assert torch.equal(look(ours, photo).input, timms_input(theirs, photo))


def test_logits_predictions_and_embedding_equal_timms(pair, photo):
    ours, theirs = pair
    seen = look(ours, photo, topk=7)
    with torch.no_grad():
        x = timms_input(theirs, photo)[None]
        logits = theirs(x)[0]
        embedding = theirs.forward_head(theirs.forward_features(x), pre_logits=True)[0]
    assert relative_error(seen.logits, logits) < 1e-5
    assert relative_error(seen.embedding, embedding) < 1e-5
    likelihoods = (logits.double() - logits.max()).exp()
    probabilities = likelihoods / likelihoods.sum()
    order = sorted(range(1000), key=lambda i: -logits[i])[:7]
    assert [p.index for p in seen.predictions] == order
    shown = seen.predictions
    assert [p.probability for p in shown] == pytest.approx([float(probabilities[i]) for i in order], rel=1e-3)
    assert [p.logit for p in shown] == pytest.approx([float(logits[i]) for i in order], rel=1e-4)
    assert [p.label for p in seen.predictions] == [seen.labels[i] for i in order]


def test_stage_maps_equal_what_hooks_see_in_timms_model(pair, photo):
    ours, theirs = pair
    seen = look(ours, photo)
    maps, handles = {}, []
    for stage in ours.stages:
        def keep(module, args, output, name=stage.name):
            maps[name] = output.clone()  # before the next layer can work in place

        handles.append(theirs.get_submodule(stage.module).register_forward_hook(keep))
    with torch.no_grad():
        theirs(timms_input(theirs, photo)[None])
    for handle in handles:
        handle.remove()
    assert list(seen.stages) == [stage.name for stage in ours.stages]
    for stage in ours.stages:
        expected, shown = maps[stage.name], seen.stages[stage.name]
        if expected.ndim == 3:  # tokens [B, prefix + N, C] -> patches as a map [B, C, H, W]
            side = shown.shape[-1]
            expected = expected[:, -side * side:].transpose(1, 2).reshape(1, -1, side, side)
        assert shown.shape[0] == stage.channels
        assert relative_error(shown, expected[0]) < 1e-5


def test_the_model_runs_exactly_once(pair, photo):
    ours, _ = pair
    ran = Counter()
    leaves = [m for m in ours.modules() if not list(m.children())]
    handles = [m.register_forward_hook(lambda module, *_: ran.update([module])) for m in leaves]
    seen = look(ours, photo)
    seen.mosaic(next(iter(seen.stages)))
    seen._repr_html_(), seen.steps
    for handle in handles:
        handle.remove()
    convolutions = [m for m in leaves if isinstance(m, nn.Conv2d)]
    assert convolutions and all(ran[m] == 1 for m in convolutions)
    assert max(ran.values()) == 1


class InPlaceNet(VisionModel):
    """Two stages, of which the second overwrites the first one's map."""

    def __init__(self, num_classes: int = 3):
        super().__init__()
        self.stages = (Stage("first", "conv", 4, 1), Stage("second", "act", 4, 1))
        self.num_classes, self.num_features, self.in_chans = num_classes, 4, 3
        self.conv, self.act, self.fc = nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Linear(4, num_classes)
        self.config = ModelConfig(architecture="in_place_net", input_size=(3, 16, 16))

    def forward_stages(self, x):
        x = self.conv(x)
        yield x
        x = self.act(x)
        yield x
        return x.mul_(2)

    def forward_head(self, x, pre_logits=False):
        x = x.mean((2, 3))
        return x if pre_logits else self.fc(x)

    def get_classifier(self):
        return self.fc


def test_layers_that_work_in_place_do_not_alter_a_map_that_was_kept(photo):
    model = InPlaceNet()
    seen = look(model, photo)
    first = nn.functional.conv2d(seen.input[None], model.conv.weight, model.conv.bias)[0]
    assert (first < 0).any()
    assert torch.allclose(seen.stages["first"], first, atol=1e-6)
    assert torch.allclose(seen.stages["second"], first.relu(), atol=1e-6)
    assert torch.allclose(seen.embedding, 2 * first.relu().mean((1, 2)), atol=1e-6)


def test_training_flags_are_put_back_one_by_one(small_model, photo):
    modules = list(small_model.modules())
    flags = [bool(flag) for flag in np.random.default_rng(1).integers(0, 2, len(modules))]
    for module, flag in zip(modules, flags):
        module.training = flag
    look(small_model, photo)
    assert [module.training for module in modules] == flags


def test_training_flags_are_put_back_after_an_error(small_model, photo):
    small_model.train()

    def fail(*_):
        raise RuntimeError("out of memory")

    handle = small_model.layer3.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        look(small_model, photo)
    handle.remove()
    assert all(module.training for module in small_model.modules())


def test_a_model_in_training_mode_is_looked_at_in_evaluation_mode(photo):
    model = explorer.create_model("resnet18", num_classes=7, drop_rate=0.5, drop_path_rate=0.5)
    randomise(model)
    statistics = {k: v.clone() for k, v in model.state_dict().items()}
    while_training = look(model.train(), photo)
    for key, value in model.state_dict().items():
        assert torch.equal(value, statistics[key])  # BatchNorm has not learnt
    assert torch.equal(while_training.logits, look(model.eval(), photo).logits)


def test_random_numbers_gradients_and_threads_are_left_alone(small_model, photo):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    look(small_model.train(), photo)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert all(p.grad is None for p in small_model.parameters())


def test_several_threads_may_look_at_one_model_that_is_training(small_model, photo):
    expected = look(small_model, photo).logits
    small_model.train()
    results, errors = [], []

    def work():
        try:
            results.extend(look(small_model, photo).logits for _ in range(3))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(results) == 12
    assert all(torch.allclose(logits, expected, rtol=1e-4) for logits in results)
    assert all(module.training for module in small_model.modules())


def test_evaluating_lets_one_thread_in_at_a_time(small_model):
    entered = threading.Event()

    def second():
        with evaluating(small_model):
            entered.set()

    with evaluating(small_model):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(10)
    assert entered.is_set()


def test_what_it_gives_can_be_trained_on(small_model, photo):
    seen = look(small_model, photo)
    weight = torch.ones(512, requires_grad=True)
    (seen.embedding * weight).sum().backward()
    assert torch.equal(weight.grad, seen.embedding)
    assert not any(maps.is_inference() or maps.requires_grad for maps in seen.stages.values())


def test_a_look_inside_inference_mode_gives_ordinary_tensors(small_model, photo):
    wanted = look(small_model, photo)
    with torch.inference_mode():
        seen = look(small_model, photo)
    assert torch.equal(seen.logits, wanted.logits) and torch.equal(seen.embedding, wanted.embedding)
    assert not any(each.is_inference() or each.requires_grad for each in (seen.logits, *seen.stages.values()))


def test_a_look_can_be_copied_and_saved(small_model, photo):
    seen = look(small_model, photo)
    for other in (copy.copy(seen), copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
        assert torch.equal(other.logits, seen.logits) and other.predictions == seen.predictions
        assert other._repr_html_() == seen._repr_html_()


def test_the_maps_of_a_look_are_its_own(small_model, photo):
    """What is written into one stage changes no other number."""
    seen, again = look(small_model, photo), look(small_model, photo)
    seen.stages["layer4"].zero_()
    assert torch.equal(seen.stages["layer3"], again.stages["layer3"])
    assert torch.equal(seen.embedding, again.embedding)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_of_another_precision_gives_float32_results(small_model, photo, dtype):
    expected = look(small_model, photo)
    seen = look(small_model.to(dtype), photo)
    assert seen.logits.dtype == seen.embedding.dtype == seen.stages["layer1"].dtype == torch.float32
    assert relative_error(seen.logits, expected.logits) < (0.2 if dtype == torch.bfloat16 else 1e-4)


def test_a_grey_model_sees_a_grey_photo(photo):
    model = explorer.create_model("resnet18", num_classes=2, in_chans=1)
    seen = look(model, photo)
    assert seen.input.shape == (1, 224, 224) and seen.seen.mode == "L"
    assert parse(seen._repr_html_()).find_all("img")


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_a_model_of_other_channels_looks_at_all_bands_of_a_tensor_or_an_array(channels):
    """case C10: what it reads is every band, resized and cropped as a photo's are; what is shown is three of
    them.
    """
    model = explorer.create_model("resnet18", num_classes=2, in_chans=channels).eval()
    values = torch.rand(channels, 224, 300, generator=torch.Generator().manual_seed(0))
    model.config = model.config.with_(crop_pct=1.0)
    seen = look(model, values)
    config = seen.config
    mean, std = (torch.tensor(config[key]).view(-1, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(seen.input, (values[:, :, 38:262] - mean) / std, atol=1e-5, rtol=1e-5)
    assert seen.image.mode == "RGB" and seen.image.size == (300, 224) and seen.seen.size == (224, 224)
    again = look(model, values.permute(1, 2, 0).numpy())
    assert torch.equal(again.input, seen.input) and torch.equal(again.logits, seen.logits)
    assert parse(seen._repr_html_()).find_all("img") and [step.name for step in seen.steps][-1] == "normalise"
    heat = explorer.explain(model, values)
    assert torch.equal(heat.heatmap, explorer.explain(model, look=seen).heatmap)
    assert heat.overlay().size == (300, 224)
    assert [p.logit for p in explorer.predict(model, values)] == pytest.approx(
        [p.logit for p in seen.predictions], rel=1e-4
    )
    assert len(explorer.predict(model, [values, values.numpy()])) == 2


def test_the_bands_on_the_screen_can_be_chosen():
    """case C10"""
    model = explorer.create_model("resnet18", num_classes=2, in_chans=5).eval()
    values = torch.zeros(5, 64, 64)
    values[3, :32], values[1, :, :32] = 1, 1
    seen = look(model, values, bands=(3, 0, 1))
    assert seen.image.getpixel((0, 63)) == (0, 0, 255) and seen.image.getpixel((63, 0)) == (255, 0, 0)
    assert torch.equal(seen.input, look(model, values).input)
    for wrong in ((0, 1), (0, 1, 5), "rgb", (0, 1, 2.0)):
        with pytest.raises(ImageError, match="give the three to show"):
            look(model, values, bands=wrong)


def test_what_a_model_of_other_channels_can_not_read_is_said(photo):
    """case C10"""
    five, three = (
        explorer.create_model("resnet18", in_chans=5).eval(),
        explorer.create_model("resnet18").eval(),
    )
    for wrong, words in (
        (photo, "reads 5 channels, and the picture has 3"),
        (torch.rand(4, 20, 20), "expected 5"),
        (torch.full((5, 20, 20), float("nan")), "NaN"),
        (torch.zeros(5, 20, 20, dtype=torch.int32), "known range"),
        (torch.rand(20, 20), "5 channels"),
    ):
        with pytest.raises(ImageError, match=words):
            look(five, wrong)
    with pytest.raises(ImageError, match="reads photos, and the picture has 5 bands"):
        look(three, torch.rand(5, 20, 20))
    with pytest.raises(ImageError, match="reads photos"):
        explorer.predict(three, torch.rand(5, 20, 20))
    with pytest.raises(ValueError, match="only photos of one or three"):
        explorer.fgsm(five, torch.rand(5, 64, 64))


def test_without_a_classifier_there_are_features_and_no_predictions(small_model, photo):
    expected = look(small_model, photo).embedding
    small_model.reset_classifier(0)
    seen = look(small_model, photo)
    assert seen.predictions == [] and seen.logits.shape == (0,) and seen.labels == ()
    assert torch.equal(seen.embedding, expected)
    page = parse(seen._repr_html_())
    assert "no classifier" in repr(seen) and "no classifier" in page.text and "table" not in page.tags


def test_without_pooling_the_embedding_is_the_mean_over_the_map(small_model, photo):
    expected = look(small_model, photo).embedding
    small_model.reset_classifier(0, global_pool="")
    assert torch.allclose(look(small_model, photo).embedding, expected, rtol=1e-5)


def test_topk_ends_with_the_classes(small_model, photo):
    seen = look(small_model, photo, topk=50)
    assert sorted(p.index for p in seen.predictions) == list(range(7))
    assert sum(p.probability for p in seen.predictions) == pytest.approx(1)
    assert [p.logit for p in seen.predictions] == sorted((p.logit for p in seen.predictions), reverse=True)


@pytest.mark.parametrize("topk", [0, -1, 2.0, True, None])
def test_a_topk_that_is_no_count_is_refused(small_model, photo, topk):
    with pytest.raises(ValueError, match="topk is"):
        look(small_model, photo, topk=topk)


def test_the_labels_are_those_of_the_weights_where_they_fit_the_classifier(small_model, photo):
    names = tuple("abcdefg")
    small_model.config = small_model.config.with_(labels=names)
    assert look(small_model, photo).labels == names
    small_model.reset_classifier(3)
    assert look(small_model, photo).labels == ("class 0", "class 1", "class 2")


def test_a_name_is_created_with_its_trained_weights():
    from explorer.data import sample_photos

    cat = next(p for p in sample_photos() if p.name == "cat_tabby")
    seen = explorer.look("tf_efficientnet_lite0", cat.path)
    assert seen.predictions[0].index in cat.imagenet_indices
    assert seen.predictions[0].label == "tabby" and seen.model_name == "tf_efficientnet_lite0.in1k"
    assert seen.notes == ()


def test_random_weights_are_said_to_be_random(small_model, photo):
    seen = look(small_model, photo)
    assert seen.model_name == "resnet18"  # not the name of weights that it does not have
    assert "mean nothing" in parse(seen._repr_html_()).text


def test_weights_that_were_left_out_are_named(photo):
    model = explorer.create_model("tf_efficientnet_lite0", pretrained=True, num_classes=4)
    assert any("untrained" in note for note in look(model, photo).notes)


def test_a_broken_picture_and_an_unknown_name_are_told_apart(small_model):
    with pytest.raises(explorer.ImageError):
        look(small_model, b"no picture")
    with pytest.raises(ValueError, match="Did you mean 'resnet50'"):
        look("resnet5O", b"no picture")


@pytest.mark.parametrize("wrong", [nn.Linear(2, 2), None, 7])
def test_something_that_is_no_model_is_refused(wrong, photo):
    with pytest.raises(TypeError, match="create_model"):
        look(wrong, photo)


def test_a_model_without_weights_on_meta_is_refused(photo):
    with torch.device("meta"):
        model = explorer.create_model("resnet18")
    with pytest.raises(ValueError, match="meta"):
        look(model, photo)


def test_a_transformer_that_does_not_pool_is_refused_with_a_sentence(photo):
    model = explorer.create_model("vit_tiny_patch16_224", global_pool="")
    with pytest.raises(ValueError, match="global_pool"):
        look(model, photo)


def test_the_steps_lead_from_the_photo_to_what_the_network_saw(small_model, photo):
    seen = look(small_model, photo)
    pictures = [step.image for step in seen.steps if step.image is not None]
    assert pictures[0].tobytes() == photo.tobytes() == seen.image.tobytes()
    assert pictures[-1].tobytes() == seen.seen.tobytes()
    mean, std = (torch.tensor(seen.config[key])[:, None, None] for key in ("mean", "std"))
    pixels = torch.from_numpy(np.asarray(seen.seen).copy()).permute(2, 0, 1) / 255
    assert torch.allclose(seen.input, (pixels - mean) / std, atol=1e-5)


def test_timing_says_how_long_and_where(small_model, photo):
    timing = look(small_model, photo).timing
    assert timing["preprocess"] > 0 and timing["forward"] > 0
    assert timing["device"] == "cpu" and timing["threads"] == torch.get_num_threads()


def test_a_stage_becomes_a_picture_and_an_unknown_one_a_sentence(small_model, photo):
    seen = look(small_model, photo)
    assert isinstance(seen.mosaic("layer4"), Image.Image)
    assert seen.mosaic("layer4", limit=4).size == (15, 15)
    with pytest.raises(ValueError, match="no stage 'layer5'. Its stages: stem, layer1"):
        seen.mosaic("layer5")


def test_the_html_holds_photo_predictions_and_stages_and_no_script(small_model, photo):
    seen = look(small_model, photo)
    page = parse(seen._repr_html_())
    assert page.tags <= set("div p b figure img figcaption table thead tbody tr th td".split())
    rows = [[p.label, "", f"{100 * p.probability:.1f} %", f"{p.logit:.2f}"] for p in seen.predictions]
    assert page.find("table").rows() == [["class", "", "probability", "logit"], *rows]
    pictures = page.find_all("img")
    assert len(pictures) == 1 + len(seen.stages) and all(one.attributes["alt"] for one in pictures)
    assert all(one.attributes["src"].startswith("data:") for one in pictures)
    assert not any(name.startswith("on") or name == "href" for name in page.attribute_names)


def test_hostile_names_do_not_become_html(small_model, photo):
    evil = "<script>alert('x')</script><img src=x onerror=\"boom\">&"
    small_model.config = small_model.config.with_(architecture=evil, labels=(evil,) * 7)
    small_model.load_report = None
    small_model.stages = tuple(Stage(f"{evil}{i}", s.module, s.channels, s.reduction)
                               for i, s in enumerate(small_model.stages))
    page = parse(look(small_model, photo)._repr_html_())
    assert "script" not in page.tags and "onerror" not in page.attribute_names
    assert evil in page.text


def test_the_notebook_gets_short_text_and_html(small_model, photo):
    seen = look(small_model, photo)
    bundle = seen._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == repr(seen) == repr(look(small_model, photo))
    assert re.fullmatch(r"Look\('resnet18', top-1 'class \d' \d+\.\d %, 5 stages\)", repr(seen))


def test_a_model_of_many_stages_shows_some_and_says_so(photo):
    seen = look(explorer.create_model("vit_tiny_patch16_224"), photo)
    page = parse(seen._repr_html_())
    assert len(seen.stages) == 12 and len(page.find_all("img")) == 1 + 6
    assert page.find_all("figure")[-1].text.startswith("block11: ") and "6 of 12 stages" in page.text


def test_scores_that_are_not_numbers_are_shown_and_not_hidden(small_model, photo):
    with torch.no_grad():
        small_model.fc.bias.fill_(float("nan"))
    seen = look(small_model, photo)
    shares = [row[2] for row in parse(seen._repr_html_()).find("table").rows()[1:]]
    assert set(shares) == {"not a number"} and "not a number" in repr(seen)


def test_weights_that_broke_in_memory_are_noted_wherever_scores_are_shown(small_model, photo):
    """case A11: by a training or by hand, so that no file could have said so."""
    whole = copy.deepcopy(small_model)
    with torch.no_grad():
        next(small_model.parameters()).view(-1)[0] = torch.nan
    words = "The model's scores are no numbers (NaN or infinite)"
    assert explorer.look(small_model, photo).notes[0].startswith(words)
    assert explorer.predict(small_model, [photo]).notes[0].startswith(words)
    broken, sound = (row.notes for row in explorer.compare([small_model, whole], [photo], measure=False).rows)
    assert broken[0].startswith(words) and not any("NaN" in note for note in sound)


def test_importing_the_room_imports_no_torch():
    import subprocess
    import sys

    check = "import sys, explorer.inspection; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=120)


def test_a_prediction_says_all_in_its_repr():
    words = "Prediction(label='cat', index=3, probability=0.5, logit=1.25)"
    assert repr(Prediction("cat", 3, 0.5, 1.25)) == words


# --- what the scores mean -----------------------------------------------------------------------------------


def test_a_hand_made_head_has_no_names_of_imagenet():
    """case A5: five fishes, because ImageNet begins with them."""
    model = explorer.create_model("tf_efficientnet_lite0", pretrained=True)
    model.classifier = torch.nn.Linear(1280, 5)
    seen = explorer.look(model, explorer.sample_photos()[0])
    assert sorted(one.label for one in seen.predictions) == [f"class {i}" for i in range(5)]
    assert any("Nobody said what this head's 5 classes are called" in note for note in seen.notes)
    model.classifier = torch.nn.Linear(1280, 1000)
    assert all(
        one.label.startswith("class ")
        for one in explorer.look(model, explorer.sample_photos()[0]).predictions
    )
    model.classifier = torch.nn.Identity()
    without = explorer.look(model, explorer.sample_photos()[0])
    assert without.predictions == [] and any("taken away" in note for note in without.notes)


def test_an_own_net_with_a_thousand_outputs_has_no_names():
    """case A5: any net with 1000 outputs was called after ImageNet."""
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 2),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 1000),
    )
    seen = explorer.look(explorer.wrap(net, input_size=32), explorer.sample_photos()[0])
    assert all(one.label == f"class {one.index}" for one in seen.predictions)


def test_a_yes_or_no_shows_both_with_their_shares():
    """case A6: one score was "class 0, 100 %" for every photo."""
    seen = explorer.look(told("yes/no", ("not red", "red")), red_and_blue())
    yes = torch.sigmoid(seen.logits[0]).item()
    assert {one.label: one.probability for one in seen.predictions} == {
        "red": pytest.approx(yes),
        "not red": pytest.approx(1 - yes),
    }
    assert "made the share of “red” by a sigmoid" in parse(seen._repr_html_()).text


def test_several_classes_stand_alone_and_say_so():
    """case A6: 0.504 / 0.438 was shown as 0.206 / 0.193."""
    seen = explorer.look(told("several", ("red", "blue", "<b>")), red_and_blue())
    assert [one.probability for one in sorted(seen.predictions, key=lambda one: one.index)] == pytest.approx(
        seen.logits.sigmoid().tolist())
    page = parse(seen._repr_html_())
    assert "don't add up to 100 %" in page.text
    assert "<b>" in page.find("table").text and "b" not in page.find("table").tags


def test_numbers_are_shown_as_they_are_without_a_percentage():
    seen = explorer.look(
        told("numbers", ("weight", "size"), number_mean=(100.0, 0.0), number_std=(10.0, 1.0)), red_and_blue()
    )
    weight, size = seen.predictions
    assert weight.value == pytest.approx(100 + 10 * weight.logit) and size.value == pytest.approx(size.logit)
    rows = parse(seen._repr_html_()).find("table").rows()
    assert rows == [["number", "value"], ["weight", weight.text], ["size", size.text]]
    assert repr(seen).startswith("Look('red_net', weight 1") and "probability" not in repr(weight)
    with pytest.raises(ValueError, match="no probability"):
        _ = seen.probabilities
