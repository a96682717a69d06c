"""A heat map is for the right class, lies in the photo's frame, and costs no pass that a look has made."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data import sample_photos
from explorer.inspection.attribution.explaining import explain
from explorer.inspection.attribution.methods import METHODS, find_method
from explorer.inspection.look.looking import look
from explorer.inspection.look.tail import default_stage
from explorer.inspection.look.targets import find_class
from tests.html import parse
from tests.inspection.small_models import RedNet, noise_photo, red_and_blue, tiny, told
from tests.models.oracle import randomise
from tests.models.samples import ONE_A_FILE

PHOTO = noise_photo()
#: What keeps methods of many passes short here.
QUICK = {"scorecam": {"channels": 4}, "smoothgrad": {"samples": 4}, "integrated_gradients": {"steps": 4},
         "gradient_shap": {"samples": 4}, "occlusion": {"window": 8, "stride": 8}}
CLASS_METHODS = [name for name, method in METHODS.items() if method.needs_class]


@pytest.fixture(scope="module")
def resnet():
    return tiny("resnet")


@pytest.fixture(scope="module")
def vit():
    return tiny("vit")


class Count:
    """How often a model runs, counted at its first convolution."""

    def __init__(self, model: nn.Module):
        self.photos = 0
        first = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
        first.register_forward_hook(lambda _module, inputs, _output: self.add(len(inputs[0])))

    def add(self, photos: int) -> None:
        self.photos += photos


# --- where the heat is --------------------------------------------------------------------------------------


def share_inside(heat: torch.Tensor, box: tuple[int, int, int, int], margin: int = 0) -> float:
    left, top, right, bottom = box
    inside = heat[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
    return float(inside.sum() / heat.sum())


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("corner", ["left top", "right bottom"])
@pytest.mark.parametrize("method", CLASS_METHODS)
def test_the_heat_lies_on_planted_evidence(method, corner, mode):
    model = RedNet(crop_mode=mode, crop_pct=0.9)
    photo = Image.new("RGB", (200, 140), (120, 120, 120))
    seen = explain(model, photo, method="saliency").seen_box
    left = int(seen[0]) + 2 if "left" in corner else int(seen[2]) - 42
    top = int(seen[1]) + 2 if "top" in corner else int(seen[3]) - 42
    box = (left, top, left + 40, top + 40)
    photo.paste((250, 10, 10), box)
    found = explain(model, photo, method=method, target="red", **QUICK.get(method, {}))
    heat = found.heatmap
    assert heat.shape == (140, 200) and heat.dtype == torch.float32
    assert float(heat.max()) == pytest.approx(1, abs=0.05)
    row, column = divmod(int(heat.argmax()), 200)
    cell = 25 // 2 + 1  # half a place of the map, in the photo's pixels: it may be red in part
    assert top - cell <= row < top + 40 + cell and left - cell <= column < left + 40 + cell
    assert share_inside(heat, box, margin=24) > 0.9
    outside = torch.ones_like(heat, dtype=torch.bool)
    x0, y0, x1, y1 = (round(edge) for edge in found.seen_box)
    outside[y0:y1, x0:x1] = False
    assert not heat[outside].any()


def test_the_first_question_to_a_network_that_loses_its_places_finds_a_map_that_has_them():
    for method in ("gradcam", "scorecam"):
        found = explain(tiny("lenet"), PHOTO, method=method)
        assert found.stage == "S4" and found.raw.shape == (5, 5)


def test_another_class_has_its_heat_elsewhere():
    photo = Image.new("RGB", (128, 128), (120, 120, 120))
    photo.paste((250, 10, 10), (0, 0, 40, 40))
    photo.paste((10, 10, 250), (88, 88, 128, 128))
    red, blue = (explain(RedNet(), photo, target=name).heatmap for name in ("red", "blue"))
    assert share_inside(red, (0, 0, 40, 40), 16) > 0.9 and share_inside(blue, (88, 88, 128, 128), 16) > 0.9


@pytest.mark.parametrize("place", [(28, 28), (220, 220)], ids=str)
def test_a_trained_network_sees_the_cat_where_it_was_pasted(place, lite0):
    cat = next(photo for photo in sample_photos() if photo.name == "cat_tabby")
    canvas = Image.new("RGB", (448, 448), (127, 127, 127))
    canvas.paste(explorer.load_image(cat).crop((110, 0, 536, 426)).resize((200, 200)), place)
    box = (*place, place[0] + 200, place[1] + 200)
    heat = explain(lite0, canvas, target="tabby").heatmap
    assert share_inside(heat, box, 16) > 0.6
    heat = explain(lite0, canvas, target="tabby", method="occlusion", window=28, stride=28).heatmap
    row, column = divmod(int(heat.argmax()), 448)
    assert box[0] <= column < box[2] and box[1] <= row < box[3] and share_inside(heat, box, 48) > 0.6


@pytest.fixture(scope="module")
def lite0():
    return explorer.create_model("tf_efficientnet_lite0", pretrained=True).eval()


# --- every family -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ONE_A_FILE)
def test_a_look_at_any_family_holds_what_grad_cam_needs(module):
    model = tiny(module)
    look(model, PHOTO)  # the first look finds out whose maps still have places
    seen = look(model, PHOTO)
    count = Count(model)
    found = explain(model, PHOTO, look=seen)
    assert found.passes == count.photos == 0
    assert found.stage == default_stage(model) and found.raw.shape == seen.stages[found.stage].shape[1:]
    assert found.raw.numel() > 1 and found.raw.any()
    fresh = explain(model, PHOTO)
    assert (fresh.target, fresh.stage, fresh.passes, count.photos) == (found.target, found.stage, 1, 1)
    assert torch.allclose(fresh.raw, found.raw, rtol=1e-4, atol=1e-5 * float(found.raw.abs().max()))


@pytest.mark.parametrize("module", ["resnet", "hrnet", "densenet", "xception", "vit", "swin", "levit"])
def test_every_stage_can_be_asked_for(module):
    model = tiny(module)
    seen = look(model, PHOTO)
    for stage in model.stage_table:
        found = explain(model, PHOTO, stage=stage.name, look=seen)
        assert found.stage == stage.name and found.raw.shape == seen.stages[stage.name].shape[1:]


@pytest.mark.parametrize("name", ["torchvision/resnet18", "timm/test_resnet", "timm/test_vit"])
def test_models_behind_a_door_are_explained_from_their_look_too(name):
    pytest.importorskip("timm")
    model = explorer.create_model(name).eval()
    randomise(model)
    seen = look(model, PHOTO)
    found = explain(model, PHOTO, look=seen, target=5)
    assert found.passes == 0 and found.raw.any()
    assert found.stage == default_stage(model) and found.raw.shape == seen.stages[found.stage].shape[1:]
    assert torch.allclose(explain(model, PHOTO, target=5).raw, found.raw, atol=1e-6)
    assert explain(model, PHOTO, look=seen, method="saliency", target=5).raw.any()


def test_a_class_token_that_nobody_tells_of_is_found_out():
    from torchvision.models import VisionTransformer

    model = explorer.wrap(VisionTransformer(64, 16, 3, 2, 32, 64, num_classes=5), input_size=64).eval()
    randomise(model)
    found = explain(model, PHOTO, look=look(model, PHOTO), target=1)
    assert found.stage == model.stages[-2].name and found.raw.any() and "Drawn from" in found.notes[0]


def test_a_wrapped_model_has_the_map_of_its_own_module():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, 2, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    model = explorer.wrap(module, input_size=32, labels=("a", "b", "c")).eval()
    found = explain(model, PHOTO, look=look(model, PHOTO), target="b")
    with torch.no_grad():
        maps = module[:4](look(model, PHOTO).input[None])[0]
    weights = module[6].weight[1] / maps[0].numel()  # behind a mean and a linear layer the gradient is known
    assert found.passes == 0
    assert torch.allclose(found.raw, torch.einsum("c,chw->hw", weights, maps), atol=1e-5)


# --- one pass -----------------------------------------------------------------------------------------------


class HalfNet(RedNet):
    """Shows one of two views of the same memory, and goes on with both: autograd forbids to add to that."""

    def __init__(self, at: str):
        super().__init__()
        self.at = at

    def forward_stages(self, x):
        x = self.act(self.conv(x))
        yield x
        halves = self.pool(x.repeat(1, 2, 1, 1)).chunk(2, 1)
        with torch.inference_mode(self.at == "inference"):
            shown = halves[0] * 1 if self.at == "inference" else halves[0]
        yield shown
        return halves[0] + halves[1]


@pytest.mark.parametrize("at", ["chunk", "inference"])
def test_a_network_that_autograd_can_t_follow_is_looked_at_all_the_same(at):
    model, photo = HalfNet(at).eval(), Image.new("RGB", (64, 64), (250, 10, 10))
    seen, wanted = look(model, photo), look(RedNet(), photo)
    assert torch.allclose(seen.logits, 2 * wanted.logits)
    assert torch.equal(seen.stages["squares"], wanted.stages["squares"])
    assert explain(model, photo, look=seen, target="red", stage="colour").raw.any()


def test_any_class_of_a_look_costs_no_pass(resnet):
    seen = look(resnet, PHOTO)
    for target in range(5):
        for method in ("gradcam", "gradcam++", "layercam"):
            held = explain(resnet, look=seen, method=method, target=target)
            assert held.passes == 0 and held.image is seen.image
            assert torch.allclose(
                held.raw, explain(resnet, PHOTO, method=method, target=target).raw, atol=1e-6
            )


def test_the_numbers_of_a_look_are_those_of_a_pass_without_gradients(resnet, vit):
    for model in (resnet, vit):
        seen = look(model, PHOTO)
        with torch.inference_mode():
            features, maps = model.forward_intermediates(seen.input[None])
            logits = model.forward_head(features)[0]
        assert torch.equal(seen.logits, logits)
        assert all(
            torch.equal(mine, wanted[0]) for mine, wanted in zip(seen.stages.values(), maps, strict=True)
        )
        assert not any(
            t.requires_grad or t.is_inference() for t in (seen.logits, seen.embedding, *seen.stages.values())
        )


def test_a_model_that_was_trained_since_is_run_again(photo_step=0.5):
    model = tiny("resnet")
    seen = look(model, PHOTO)
    before = explain(model, PHOTO, look=seen, target=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=photo_step)
    model.train()(torch.randn(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    model.eval()
    after = explain(model, PHOTO, look=seen, target=1)
    assert after.passes == 1 and not torch.allclose(after.raw, before.raw)
    assert torch.equal(after.raw, explain(model, PHOTO, target=1).raw)


@pytest.mark.parametrize(
    "change", ["load_state_dict", "reset_classifier", "statistics", "double", "data", "layer"]
)
def test_a_model_that_was_changed_since_is_run_again(change):
    model = tiny("resnet")
    seen = look(model, PHOTO)
    {"load_state_dict": lambda: model.load_state_dict(tiny("resnet", drop_rate=0.1).state_dict()),
     "reset_classifier": lambda: model.reset_classifier(5),
     "statistics": lambda: model.train()(torch.randn(2, 3, 64, 64)),
     "double": lambda: model.double(),
     "data": lambda: [weight.data.mul_(1.1) for weight in model.parameters()],  # torch does not count it
     "layer": lambda: setattr(model, "act1", torch.nn.Tanh())}[change]()
    assert explain(model, PHOTO, look=seen, target=1).passes == 1


def test_a_look_by_another_model_gives_this_models_answer(resnet):
    other = copy.deepcopy(resnet)
    randomise(other, seed=7)
    found = explain(other, PHOTO, look=look(resnet, PHOTO), target=1)
    assert found.passes == 1 and torch.equal(found.raw, explain(other, PHOTO, target=1).raw)


def test_copies_and_saved_looks_hold_the_numbers_alone(resnet):
    seen = look(resnet, PHOTO)
    explain(resnet, look=seen)
    for other in (copy.copy(seen), copy.deepcopy(seen), pickle.loads(pickle.dumps(seen))):
        assert torch.equal(other.logits, seen.logits) and list(other.stages) == list(seen.stages)
        found = explain(resnet, look=other)
        assert found.passes == 1 and torch.allclose(found.raw, explain(resnet, look=seen).raw, atol=1e-6)


def test_a_look_does_not_keep_a_model_alive():
    model = tiny("resnet")
    seen = look(model, PHOTO)
    weights = weakref.ref(model.get_classifier().weight)
    del model
    gc.collect()
    assert weights() is None and seen.logits.shape == (5,)


def test_a_look_remembers_no_more_than_the_way_from_one_map_to_the_scores(vit):
    """Of three blocks the last one is behind the map."""
    seen = look(vit, PHOTO)
    _, logits, _ = seen._origin.tail._kept
    nodes, todo = set(), [logits.grad_fn]
    while todo:
        node = todo.pop()
        if node not in nodes:
            nodes.add(node)
            todo.extend(edge for edge, _ in node.next_functions if edge is not None)
    attention = [node.name() for node in nodes if "ScaledDotProduct" in node.name()]
    assert len(attention) == 1 and explain(vit, look=seen).passes == 0


def test_a_model_from_inference_mode_can_be_looked_at_and_explained_with_what_it_allows(resnet):
    with torch.inference_mode():
        model = copy.deepcopy(resnet)
    seen = look(model, PHOTO)
    with torch.no_grad():
        assert torch.equal(seen.logits, resnet(seen.input[None])[0])
    with pytest.raises(ValueError, match="inference_mode"):
        explain(model, PHOTO, look=seen)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_notebook_that_switched_gradients_off_gets_its_heat_map(resnet, mode):
    wanted = explain(resnet, PHOTO, target=1).raw
    with mode():
        seen = look(resnet, PHOTO)
        assert torch.equal(explain(resnet, PHOTO, target=1).raw, wanted)
        # a look that was not the first goes through a faster copy, which answers to rounding
        found = explain(resnet, PHOTO, look=seen, target=1).raw
        assert torch.allclose(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
        assert explain(resnet, PHOTO, method="saliency", target=1).raw.any()


# --- the model is left alone --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_training_flags_gradients_and_what_learns_stay_as_they_were(method):
    model = tiny("vit" if METHODS[method].group == "attention" else "resnet")
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 2 == 0)
        parameter.grad = torch.full_like(parameter, number) if number % 3 == 0 else None
    for number, part in enumerate(model.modules()):
        part.training = number % 2 == 0
    before = [
        (p.requires_grad, None if p.grad is None else p.grad.clone(), p.clone()) for p in model.parameters()
    ]
    statistics = [buffer.clone() for buffer in model.buffers()]
    explain(model, PHOTO, method=method, **QUICK.get(method, {}))
    for parameter, (learns, gradient, value) in zip(model.parameters(), before):
        assert parameter.requires_grad == learns and torch.equal(parameter, value)
        assert (parameter.grad is None) == (gradient is None)
        assert (gradient is None or torch.equal(parameter.grad, gradient))
    assert [part.training for part in model.modules()] == [n % 2 == 0 for n, _ in enumerate(model.modules())]
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), statistics))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_a_frozen_model_is_explained_all_the_same(method, resnet):
    frozen = copy.deepcopy(resnet).requires_grad_(False)
    options = {"target": 2, "method": method, **QUICK.get(method, {})}
    assert torch.allclose(
        explain(frozen, PHOTO, **options).raw, explain(resnet, PHOTO, **options).raw, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.float16])
def test_a_model_of_another_precision_gives_nearly_the_same_map(resnet, dtype):
    wanted = explain(resnet, PHOTO, target=1, stage="layer3")
    other = copy.deepcopy(resnet).to(dtype)
    found = explain(other, PHOTO, target=1, stage="layer3")
    assert found.raw.dtype == found.heatmap.dtype == torch.float32
    assert np.corrcoef(found.raw.flatten(), wanted.raw.flatten())[0, 1] > 0.98
    for method in (
        ("saliency",) if dtype == torch.float16 else ("saliency", "integrated_gradients", "occlusion")
    ):
        assert (
            explain(other, PHOTO, target=1, method=method, **QUICK.get(method, {})).raw.dtype == torch.float32
        )


def test_an_optimized_model_gives_the_same_map(resnet):
    fast = explorer.optimize(resnet, example=torch.randn(1, 3, 64, 64))
    seen = look(fast, PHOTO)
    found = explain(fast, look=seen, target=1)
    assert found.passes == 0 and torch.allclose(found.raw, explain(resnet, PHOTO, target=1).raw, atol=1e-4)


def test_a_quantised_model_is_told_what_needs_no_gradient(resnet):
    class WholeNumbers(nn.Linear):  # as a quantised layer answers: without a way back
        def forward(self, x):
            return super().forward(x.detach())

    model = copy.deepcopy(resnet)
    model.fc = WholeNumbers(512, 5).requires_grad_(False)
    for method in ("gradcam", "saliency", "integrated_gradients"):
        with pytest.raises(ValueError, match='method="occlusion"'):
            explain(model, PHOTO, method=method, look=look(model, PHOTO))
    assert explain(model, PHOTO, method="occlusion", **QUICK["occlusion"]).raw.any()


def test_several_threads_may_explain_one_look(resnet):
    seen = look(resnet, PHOTO)
    wanted = {target: explain(resnet, look=seen, target=target).raw for target in range(5)}
    wrong = []

    def work():
        for target in range(5):
            if not torch.equal(explain(resnet, look=seen, target=target).raw, wanted[target]):
                wrong.append(target)
            explain(resnet, PHOTO, method="saliency", target=target)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- what a user types, and is told -------------------------------------------------------------------------


LABELS = ("tabby, tabby cat", "tiger cat", "Egyptian cat", "crane", "catamaran", "crane", "Tiger")


@pytest.mark.parametrize(("given", "index"), [
    (4, 4), ("tiger", 6), ("Tiger Cat", 1), ("tabby cat", 0), ("egypt", 2), ("catamaran", 4),
    (" tabby ", 0), (np.int64(3), 3),
], ids=str)
def test_a_class_is_found_by_index_name_or_an_unmistakable_part(given, index):
    assert find_class(given, LABELS) == index


@pytest.mark.parametrize(("given", "words"), [
    ("cat", r"3 classes match 'cat': 'tabby, tabby cat' \(0\), 'tiger cat' \(1\), 'Egyptian cat' \(2\). "
            r"Give more"),
    ("crane", r"2 classes match 'crane': 'crane' \(3\), 'crane' \(5\).*or the index"),
    ("katamaran", "None of the 7 classes is called 'katamaran'. Did you mean 'catamaran'"),
    (7, "target is 7, but this model's classes are 0 to 6"), (-1, "0 to 6"),
    ("", "expected a class's index or name"),
    (True, "expected a class's index"), (1.5, "expected a class's index"),
], ids=str)
def test_a_class_that_is_none_or_several_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        find_class(given, LABELS)


@pytest.mark.parametrize(("given", "name"), [
    ("gradcam", "gradcam"), ("Grad-CAM", "gradcam"), ("Grad-CAM++", "gradcam++"),
    ("grad_cam_pp", "gradcam++"),
    ("Integrated gradients", "integrated_gradients"), ("score cam", "scorecam"),
    ("Attention rollout", "rollout"),
])
def test_a_method_is_found_however_it_is_written(given, name):
    assert find_method(given).name == name


@pytest.mark.parametrize(("given", "words"), [
    ({"method": "gradcan"}, "Unknown method 'gradcan'. Did you mean 'gradcam'.*There are: gradcam, "),
    ({"method": 3}, "Unknown method 3. There are"),
    ({"stage": "layer5"}, "has no stage 'layer5'. Did you mean 'layer4'.*Its stages: stem, layer1"),
    ({"stage": "layer4", "method": "saliency"}, "Saliency is not drawn from a stage's map"),
    ({"smoothness": 3}, "Grad-CAM has no option 'smoothness'. It has none of its own"),
    ({"method": "occlusion", "size": 3}, "Occlusion has no option 'size'. It has: window=None, stride=None, "
                                         "fill='grey'"),
    ({"target": "klass 3"}, "None of the 5 classes is called 'klass 3'. Did you mean 'class 3'"),
], ids=str)
def test_what_does_not_exist_is_told_with_what_does(resnet, given, words):
    with pytest.raises(ValueError, match=words):
        explain(resnet, PHOTO, **given)


def test_a_model_without_classifier_is_told_what_it_lacks(resnet):
    headless = copy.deepcopy(resnet)
    headless.reset_classifier(0)
    for method in CLASS_METHODS:
        with pytest.raises(ValueError, match="has no classifier, so there is no class to explain"):
            explain(headless, PHOTO, method=method)
        assert "has no classifier" in METHODS[method].refuses(headless)


@pytest.mark.parametrize("method", ["gradcam", "saliency", "occlusion", "smoothgrad"])
def test_a_transformer_that_does_not_pool_is_refused_with_a_sentence(method):
    model = tiny("vit", global_pool="")
    with pytest.raises(ValueError, match="global_pool"):
        explain(model, PHOTO, method=method)


def test_a_network_without_stages_is_told_which_methods_need_none():
    class Flat(RedNet):
        stages = ()

        def __init__(self):
            super().__init__()
            self.stages = ()

        def forward_stages(self, x):
            return self.pool(self.conv(x))
            yield

    with pytest.raises(ValueError, match='has no stages.*method="saliency"'):
        explain(Flat(), PHOTO)
    assert explain(Flat(), PHOTO, method="saliency").raw.any() and look(Flat(), PHOTO).stages == {}


def test_a_look_at_another_photo_or_in_another_way_is_refused(resnet):
    with pytest.raises(ValueError, match="a look at another photo"):
        explain(resnet, noise_photo(seed=5), look=look(resnet, PHOTO))
    with pytest.raises(ValueError, match="sees photos in another way"):
        explain(resnet, PHOTO, look=look(RedNet(), PHOTO))
    with pytest.raises(TypeError, match="explorer.look.* gives, not str"):
        explain(resnet, PHOTO, look="my look")
    with pytest.raises(ValueError, match="Give an image"):
        explain(resnet)


def test_a_broken_picture_and_something_that_is_no_model_are_told_apart(resnet):
    with pytest.raises(explorer.ImageError):
        explain(resnet, b"no picture")
    with pytest.raises(TypeError, match="create_model"):
        explain(nn.Linear(2, 2), PHOTO)


def test_scores_that_are_not_numbers_are_said_to_be():
    model = tiny("resnet")
    with torch.no_grad():
        model.get_classifier().weight.fill_(float("nan"))
    found = explain(model, PHOTO, target=0)
    assert "not numbers" in found.notes[0] and not found.heatmap.any()


# --- what it shows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_tells_idea_limits_source_and_cost(method, resnet, vit):
    row = METHODS[method]
    model = vit if row.group == "attention" else resnet
    assert row.idea.endswith(".") and row.limits.endswith(".") and row.link.startswith("https://")
    assert row.source
    assert row.refuses(model) == "" and row.group in ("cam", "pixels", "cover", "attention")
    found = explain(model, PHOTO, method=method, **QUICK.get(method, {}))
    assert found.passes <= row.passes(model, **QUICK.get(method, {})) <= found.passes + 2
    assert "pass" in row.cost(model) and " s" in row.cost(model, seconds_per_pass=0.1)


def test_the_overlay_has_the_photos_size_and_alpha_its_meaning(resnet):
    found = explain(resnet, PHOTO)
    assert found.overlay().size == PHOTO.size and found.overlay().mode == "RGB"
    assert found.overlay(alpha=0).tobytes() == PHOTO.tobytes()
    assert found.overlay(alpha=1).tobytes() == found.picture().tobytes() != found.picture("viridis").tobytes()
    with pytest.raises(ValueError, match="alpha is 2"):
        found.overlay(alpha=2)
    with pytest.raises(ValueError, match="colormap"):
        found.overlay(colormap="jet")


def test_it_shows_itself_with_what_it_does_not_prove(resnet):
    found = explain(resnet, PHOTO, target=3)
    page = parse(found._repr_html_())
    assert page.tags <= {"div", "p", "b", "figure", "img", "figcaption", "span"}
    title, *_, limits = page.find_all("p")
    assert limits.text == METHODS["gradcam"].limits and title.find("b").text == "Grad-CAM"
    assert "class 3 (3)" in title.text and len(page.find_all("img")) == 2
    assert set(found._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert repr(found) == "Attribution('gradcam', 'resnet10t', 'class 3', stage 'layer4', 1 pass)"


def test_hostile_names_do_not_become_html(resnet):
    model, evil = copy.deepcopy(resnet), "<script>alert('x')</script>"
    model.config = model.config.with_(architecture=evil, labels=(evil,) * 5)
    page = parse(explain(model, PHOTO, target=0)._repr_html_())
    assert "script" not in page.tags and evil in page.text


def test_a_grey_model_is_explained_on_a_colour_photo():
    found = explain(tiny("lenet"), PHOTO, method="integrated_gradients", steps=3)
    assert found.raw.shape[0] == 1 and found.overlay().mode == "RGB"


def test_importing_explorer_and_attribution_imports_no_captum():
    import subprocess
    import sys

    check = ("import sys, explorer.inspection.attribution.explaining; "
             "assert not {'captum', 'matplotlib'} & {*sys.modules}")
    subprocess.run([sys.executable, "-c", check], check=True, timeout=120)


# --- what the scores mean -----------------------------------------------------------------------------------

FAST = ("gradcam", "layercam", "scorecam", "saliency", "input_x_gradient", "occlusion")


@pytest.mark.parametrize("method", FAST)
def test_the_no_of_a_yes_or_no_is_explained_by_the_contrary_of_its_score(method):
    """case A6: class 0 of one score is the no: what speaks for the yes speaks against it."""
    model, photo = told("yes/no", ("not red", "red")), red_and_blue()
    yes, no = (explain(model, photo, method=method, target=name) for name in ("red", "not red"))
    assert (yes.target, no.target) == (1, 0) and (yes.label, no.label) == ("red", "not red")
    if method not in ("scorecam", "layercam"):  # which do not turn round with the sign
        torch.testing.assert_close(no.raw, -yes.raw)
    assert float(yes.heatmap[8:24, 8:24].mean()) > float(yes.heatmap[40:56, 40:56].mean())


def test_of_a_yes_or_no_the_answer_is_explained_unless_somebody_asks():
    """case A6: the likeliest of both, by index, by name or by nothing."""
    model = told("yes/no", ("not red", "red"))
    seen = explorer.look(model, red_and_blue())
    assert explain(model, look=seen).label == seen.predictions[0].label == "not red"
    assert explain(model, Image.new("RGB", (64, 64), (255, 0, 0))).label == "red"
    for wrong in (2, -1):
        with pytest.raises(ValueError, match="classes are 0 to 1"):
            explain(model, look=seen, target=wrong)


def test_several_classes_at_once_are_explained_one_by_one():
    model, photo = told("several", ("red", "blue")), red_and_blue()
    red, blue = explain(model, photo, target="red"), explain(model, photo, target="blue")
    assert red.heatmap[16, 16] > 0.5 > red.heatmap[48, 48]
    assert blue.heatmap[48, 48] > 0.5 > blue.heatmap[16, 16]


@pytest.mark.parametrize("method", FAST)
def test_a_number_has_a_heat_map_in_its_own_unit(method):
    """case A6: numbers are explained by name, by index, or the first; their step changes no picture."""
    photo = red_and_blue()
    plain, scaled = (told("numbers", ("redness", "blueness"), **scale) for scale in (
        {}, {"number_mean": (50.0, 0.0), "number_std": (10.0, 1.0)}))
    found = explain(plain, photo, method=method)
    assert (found.target, found.label, found.noun) == (0, "redness", "number")
    title = parse(found._repr_html_()).find_all("p")[0].text
    assert "number redness (0)" in title and "class" not in title
    other = explain(scaled, photo, method=method)
    torch.testing.assert_close(other.heatmap, found.heatmap, rtol=1e-3, atol=1e-4)
    if method in ("gradcam", "saliency", "occlusion"):
        torch.testing.assert_close(other.raw, 10 * found.raw, rtol=1e-3, atol=1e-5)
    assert explain(plain, photo, method=method, target="blueness").target == 1


def test_a_number_that_nothing_raises_says_so():
    found = explain(told("numbers", ("redness",)), Image.new("RGB", (64, 64), (0, 0, 0)), method="occlusion")
    assert any("raises this number" in note for note in found.notes)
    with pytest.raises(ValueError, match="only number is 0"):
        explain(told("numbers", ("redness",)), red_and_blue(), target=1)
    with pytest.raises(ValueError, match="None of the 1 numbers is called 'age'. They are: 'redness'"):
        explain(told("numbers", ("redness",)), red_and_blue(), target="age")


@pytest.mark.parametrize("target", ["tabby", True, float("nan"), 1.5, "", " ", [1], np.bool_(True), 7, -1])
def test_a_class_that_a_hand_made_head_has_not_is_a_sentence(target):
    """case A5: explain(target="tabby") with five outputs of one's own was an IndexError."""
    model = explorer.create_model("resnet10t", num_classes=1000).eval()
    model.fc = torch.nn.Linear(512, 5)
    model.config = model.config.with_(input_size=(3, 64, 64))
    with pytest.raises(ValueError, match="target is|None of the 5 classes is called 'tabby'. They are: "
                                         "'class 0'"):
        explain(model, red_and_blue(), target=target)
    assert explain(model, red_and_blue(), target="class 3").target == 3


def test_a_look_from_before_the_model_was_told_what_it_means_is_not_trusted():
    model = told("yes/no", ("not red", "red"))
    seen = explorer.look(model, red_and_blue())
    model.config = model.config.with_(outputs="numbers", labels=("redness",))
    found = explain(model, look=seen)
    assert found.noun == "number" and found.passes > 0
