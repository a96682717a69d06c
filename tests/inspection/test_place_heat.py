"""A heat map for a box or a region is of that score, lies where it should, and takes one pass."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.attribution.methods import METHODS
from explorer.inspection.attribution.places import answer, heat_of_box, heat_of_region
from explorer.inspection.attribution.questions import BoxQuestion, RegionQuestion
from explorer.models import ModelConfig, Stage
from explorer.models.contract import evaluation
from explorer.models.detection.candidates import Candidates
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import fit_inside, in_frame
from explorer.models.segmentation.segmenter import Segmenter
from tests.html import parse
from tests.inspection.small_models import noise_photo
from tests.models.oracle import randomise

PHOTO = noise_photo(120, 90)
NAMES = ("ant", "<b>bee</b>", "cat")
DETECTORS = {"retinanet": {"backbone": "resnet18", "width": 32, "depth": 1},
             "efficientdet": {"backbone": "resnet18"}, "yolov5n": {}}
DOORS = ("fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large")
QUICK = {"scorecam": {"channels": 3}, "smoothgrad": {"samples": 2}, "integrated_gradients": {"steps": 3},
         "gradient_shap": {"samples": 2}, "occlusion": {"window": 8, "stride": 8}}


def small(name: str, options: dict | None = None) -> nn.Module:
    """A network with random numbers for small photos."""
    model = explorer.create_model(name, num_classes=3, **(options or {}))
    randomise(model)
    size = {} if "ssd" in name else {"input_size": (3, 64, 64)}
    model.config = model.config.with_(labels=NAMES, **size)
    return model.eval()


@pytest.fixture(scope="module", params=[*DETECTORS, *(f"torchvision/{name}" for name in DOORS)])
def detector(request):
    return small(request.param, DETECTORS.get(request.param))


@pytest.fixture(scope="module")
def seen(detector):
    return explorer.look(detector, PHOTO)


@pytest.fixture(scope="module")
def retinanet():
    return small("retinanet", DETECTORS["retinanet"])


@pytest.fixture(scope="module")
def unet():
    return small("unet", {"backbone": "resnet18", "decoder_widths": (16, 16, 16, 8, 8)})


class Logit(nn.Module):
    """A detector as a network of one score, that of a box: inputs [B, C, H, W] -> [B, 1]."""

    def __init__(self, model: Detector, found, number: int):
        super().__init__()
        self.model, self.places = model, [found.place]
        row = found.chosen.take(torch.tensor([number]))
        self.anchor, self.label, self.start = row.anchors.item(), row.labels.item(), row.starts

    def forward(self, x):
        """By what each family's raw maps mean, not by `log_odds`."""
        model, anchor, label = self.model, self.anchor, self.label
        raw = model.see(x, self.places)
        if isinstance(raw, list):  # YOLO
            rows = torch.cat([level.flatten(1, 3) for level in raw], dim=1)[:, anchor].double()
            score = rows[:, 4].sigmoid() * rows[:, 5 + label].sigmoid()
            return torch.logit(score)[:, None]
        if "class_maps" in raw:
            flat = [level.permute(0, 2, 3, 1).reshape(len(x), -1, 3) for level in raw["class_maps"]]
            return torch.cat(flat, dim=1)[:, anchor, label][:, None]
        if "class_logits" in raw:
            logits = raw["class_logits"][anchor].double()
            return torch.logit(logits.softmax(0)[label + 1])[None, None]
        if "anchors" in raw:
            return torch.logit(raw["cls_logits"][:, anchor].double().softmax(1)[:, label + 1])[:, None]
        return raw["cls_logits"][:, anchor, label][:, None]


def stage_module(model: nn.Module, name: str) -> nn.Module:
    path = next(stage.module for stage in model.stage_table if stage.name == name)
    return getattr(model, "module", model).get_submodule(path)


def by_hand(
    model: nn.Module, x: torch.Tensor, scored: nn.Module, stage: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """(Grad-CAM by a hook on the stage's module and a backward pass, before the ReLU; the score)."""
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output)
        output.retain_grad()
        return output * 1  # the next layer may work in place, on another tensor

    hook = stage_module(model, stage).register_forward_hook(keep)
    with evaluation(model):
        score = scored(x)
        score.sum().backward()
    hook.remove()
    return (kept[0].grad[0].mean((1, 2), keepdim=True) * kept[0][0]).sum(0).detach(), score.detach()


def same(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((found - wanted).abs().max() <= 1e-6 * max(1.0, float(wanted.abs().max())))


# --- a box's score ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
def test_grad_cam_of_a_box_is_what_a_hook_and_a_backward_pass_give(detector, seen, number):
    found = seen.detections.at(score_threshold=0.05)
    heat = explorer.explain(detector, look=seen, box=number, score_threshold=0.05, method="gradcam")
    assert heat.probability == pytest.approx(float(found.scores[number]), abs=1e-6)
    assert heat.label == found.labels[number] and heat.number == number
    assert heat.outline == tuple(found.boxes[number].tolist())
    raw, score = by_hand(detector, seen.input[None], Logit(detector, found, number), heat.stage)
    assert float(score.sigmoid()) == pytest.approx(heat.probability, abs=1e-5)
    assert same(heat.raw, raw)
    assert heat.heatmap.shape == (90, 120) and float(heat.heatmap.max()) in (0.0, 1.0)


def test_it_is_captums_too(retinanet):
    found = explorer.detect(retinanet, PHOTO)
    scored, x = Logit(retinanet, found, 0), explorer.look(retinanet, PHOTO).input[None]
    for stage in ("layer3", retinanet.stage_of(found.chosen)):
        theirs = LayerGradCam(scored, stage_module(retinanet, stage)).attribute(x, target=0)
        ours = explorer.explain(retinanet, PHOTO, stage=stage, method="gradcam").raw
        assert same(ours, theirs[0, 0].detach())


def test_one_pass_and_one_backward_pass(detector, seen, monkeypatch):
    first = next(part for part in detector.modules() if isinstance(part, nn.Conv2d))
    passes, backward, grad = [], [], torch.autograd.grad
    hook = first.register_forward_hook(lambda *_: passes.append(1))
    counted = lambda *args, **more: backward.append(1) or grad(*args, **more)
    monkeypatch.setattr(torch.autograd, "grad", counted)
    heat = explorer.explain(detector, PHOTO, score_threshold=0.05)
    assert (len(passes), len(backward), heat.passes) == (1, 1, 1)
    passes.clear(), backward.clear()
    again = heat_of_box(seen, 0, found=seen.detections.at(score_threshold=0.05))
    hook.remove()
    assert (len(passes), len(backward), again.passes) == (1, 1, 1)
    assert torch.allclose(again.heatmap, heat.heatmap, atol=1e-4)


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.needs_class])
def test_every_method_that_asks_for_a_score_answers(method):
    for model in (RedFinder().eval(), Paint().eval()):
        photo = red_square(96, 64)
        heat = explorer.explain(model, photo, method=method, **QUICK.get(method, {}))
        assert heat.heatmap.shape == (128, 256) and torch.isfinite(heat.heatmap).all()
        assert heat.method == method and 0 <= float(heat.heatmap.min()) <= float(heat.heatmap.max()) <= 1
        seen = explorer.look(model, photo)
        again = explorer.explain(model, look=seen, method=method, **QUICK.get(method, {}))
        assert torch.equal(again.raw, heat.raw) and again.passes <= heat.passes


def test_in_two_stages_the_proposal_stays_whatever_the_photo():
    model = small(f"torchvision/{DOORS[0]}")
    found = explorer.detect(model, PHOTO, score_threshold=0.05)
    row, seen = found.chosen.take(torch.tensor([0, 1])), explorer.look(model, PHOTO)
    batch = torch.stack((seen.input, torch.zeros_like(seen.input)))
    with torch.no_grad():
        again = model.score_again(batch, [found.place] * 2, row)
    assert again.shape == (2, 2)
    assert torch.allclose(again[0].sigmoid(), row.scores, atol=1e-5)
    assert not torch.equal(again[0], again[1])


def test_a_class_and_a_box_can_be_asked_for_together(retinanet):
    found = explorer.detect(retinanet, PHOTO)
    own = int(found.indices[0])
    other = (own + 1) % 3
    heat = explorer.explain(retinanet, PHOTO, box=0, target=other)
    assert heat.target == other and NAMES[other] in heat.caption
    candidates = found.candidates
    row = (candidates.anchors == found.chosen.anchors[0]) & (candidates.labels == other)
    if row.any():
        assert heat.probability == pytest.approx(float(candidates.scores[row][0]), abs=1e-6)
    wanted = found.labels.index(found.labels[-1])
    assert explorer.explain(retinanet, PHOTO, target=found.labels[-1]).number == wanted


def test_other_weights_give_another_map(retinanet, unet):
    photo = noise_photo(240, 180)
    found = explorer.detect(retinanet, photo)

    def asked(model):
        if isinstance(model, Detector):  # the same candidate, whatever its score is now
            question = BoxQuestion(model, photo, 0, known=found)
        else:
            question = RegionQuestion(model, photo, 1, (60, 40, 180, 140))
        return answer(question, METHODS["gradcam"], stage="layer1", options={})

    for model in (retinanet, unet):
        before, other = asked(model).raw, copy.deepcopy(model)
        randomise(other, seed=7)
        after = asked(other).raw
        alike = torch.corrcoef(torch.stack((before.ravel(), after.ravel())))[0, 1]
        assert before.any() and after.any() and float(alike) < 0.7, alike


# --- where it lies ------------------------------------------------------------------------------------------


class RedFinder(Detector):
    """Finds red squares of 16 pixels, in a letterbox: its evidence is known."""

    size_multiple = 8
    body_name = ""

    def __init__(self):
        super().__init__()
        self.red, self.squares, self.last = nn.Conv2d(3, 1, 1), nn.AvgPool2d(8), nn.Conv2d(1, 1, 1)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, -0.5, -0.5])[None, :, None, None])
            self.red.bias.fill_(-0.5)
            self.last.weight.fill_(20)
            self.last.bias.fill_(-2)
        self.num_classes, self.num_features, self.in_chans = 1, 1, 3
        self.stages = (Stage("red", "act", 1, 1), Stage("p3", "squares", 1, 8))
        self.act = nn.ReLU()
        self.config = ModelConfig(input_size=(3, 64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, labels=("red",))

    def place(self, photo):
        return in_frame(fit_inside(photo, (64, 64))[0], photo.shape[-2:], (64, 64), 0.5)

    def forward_stages(self, x):
        x = self.act(self.red(x))
        yield x
        x = self.squares(x)
        yield x
        return [x]

    def forward_head(self, x, pre_logits=False):
        return self.last(x[0]).flatten(1)  # [B, 64], a cell each

    def get_classifier(self):
        return self.last

    def anchor_levels(self, raw, size):
        corner = torch.stack((torch.arange(64) % 8, torch.arange(64) // 8), dim=1) * 8.0
        return [torch.cat((corner, corner + 8), 1)]

    def candidates(self, raw, size, places, *, score_threshold=None):
        found = []
        for scores in raw.sigmoid():
            index = torch.nonzero(scores > (score_threshold or 0))[:, 0]
            index = index[scores[index].argsort(descending=True)]
            corner = torch.stack((index % 8, index // 8), dim=1) * 8.0
            zeros = torch.zeros_like(index)
            found.append(Candidates(torch.cat((corner, corner + 8), 1), scores[index], zeros, zeros, index))
        return found

    def log_odds(self, raw, found):
        return raw[:, found.anchors]


def red_square(left: int, top: int) -> Image.Image:
    """A photo of 256 x 128 pixels, grey with a red square of 32: of 8, a cell, in the network."""
    photo = Image.new("RGB", (256, 128), (120, 120, 120))
    photo.paste((255, 0, 0), (left, top, left + 32, top + 32))
    return photo


@pytest.mark.parametrize("method", ["gradcam", "layercam", "saliency", "occlusion"])
@pytest.mark.parametrize(("left", "top"), [(0, 0), (96, 64), (224, 96)])
def test_a_box_that_moves_in_the_photo_moves_the_heat_with_it(method, left, top):
    options = {"window": 8, "stride": 8} if method == "occlusion" else {}
    heat = explorer.explain(RedFinder().eval(), red_square(left, top), method=method, **options)
    assert heat.outline == (left, top, left + 32, top + 32)
    inside = heat.heatmap[max(top - 8, 0):top + 40, max(left - 8, 0):left + 40]
    assert float(inside.sum() / heat.heatmap.sum()) > 0.6
    row, column = divmod(int(heat.heatmap.argmax()), 256)
    assert left <= column < left + 32 and top <= row < top + 32


# --- a class in a region of a mask --------------------------------------------------------------------------


class Paint(Segmenter):
    """Two convolutions: small enough to work Seg-Grad-CAM out by hand."""

    body_name = ""

    def __init__(self, num_classes: int = 2):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.pool, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.AvgPool2d(4), \
            nn.Conv2d(4, num_classes, 3, padding=1)
        self.num_classes, self.num_features, self.in_chans = num_classes, 4, 3
        self.relu = nn.ReLU()
        self.stages = (Stage("first", "relu", 4, 1), Stage("pool", "pool", 4, 4))
        self.classifier_path = "last"
        self.config = ModelConfig(input_size=(3, 32, 32), mean=(0.5,) * 3, std=(0.5,) * 3,
                                  labels=("background", "cell")[-num_classes:])

    def forward_stages(self, x):
        x = self.relu(self.first(x))
        yield x
        x = self.pool(x)
        yield x
        return x


def test_seg_grad_cam_is_the_papers_formula():
    model, photo = Paint().eval(), noise_photo(32, 32)
    heat = explorer.explain(model, photo, target="cell", region=(4, 8, 20, 24), stage="pool",
                            method="gradcam")
    assert heat.title == "Seg-Grad-CAM"
    x = explorer.look(model, photo).input[None]
    maps = model.pool(model.first(x).relu()).detach().requires_grad_()
    scores = nn.functional.interpolate(model.last(maps), (32, 32), mode="bilinear", align_corners=False)
    scores[0, 1, 8:24, 4:20].sum().backward()
    alpha = maps.grad[0].sum((1, 2)) / maps[0, 0].numel()
    assert same(heat.raw, (alpha[:, None, None] * maps[0]).sum(0).detach())
    probability = scores.detach().softmax(1)[0, 1, 8:24, 4:20].mean()
    assert heat.probability == pytest.approx(float(probability), abs=1e-6)


def test_a_box_a_mask_and_a_point_ask_for_the_same_pixels():
    model, photo = Paint().eval(), noise_photo(64, 32)
    mask = np.zeros((32, 64), bool)
    mask[8:24, 4:20] = True
    box = explorer.explain(model, photo, target=1, region=(4, 8, 20, 24))
    for region in (mask, torch.from_numpy(mask), Image.fromarray(mask), np.array([4, 8, 20, 24])):
        assert torch.equal(explorer.explain(model, photo, target=1, region=region).raw, box.raw)
    point = explorer.explain(model, photo, target=1, region=(5, 9))
    assert torch.equal(point.raw, explorer.explain(model, photo, target=1, region=(5, 9, 6, 10)).raw)
    tiny = explorer.explain(model, noise_photo(640, 320), target=1, region=(52.2, 91, 52.4, 91.5))
    assert "1 pixel of" in tiny.caption


def test_without_a_region_it_is_where_the_class_is_found():
    model, photo = Paint().eval(), noise_photo(32, 32)
    found = explorer.segment(model, photo)
    for target in (0, 1):
        heat = explorer.explain(model, photo, target=target)
        region = explorer.explain(model, photo, target=target, region=(found.mask == target),
                                  method="gradcam")
        assert torch.equal(heat.raw, region.raw) and torch.equal(heat.outline, found.mask == target)
    assert explorer.explain(model, photo).label == "cell"  # the background only where there is no other


def test_of_a_yes_or_no_what_speaks_for_the_no_speaks_against_the_yes():
    model, photo = Paint(1).eval(), noise_photo(32, 32)
    yes, no = (explorer.explain(model, photo, target=target, region=(4, 4, 20, 20), method="gradcam")
               for target in (1, 0))
    assert torch.allclose(yes.raw, -no.raw)
    assert yes.probability + no.probability == pytest.approx(1)


def test_a_region_takes_one_pass_and_so_does_a_look_at_it(unet):
    seen = explorer.look(unet, PHOTO)
    first, passes = next(part for part in unet.modules() if isinstance(part, nn.Conv2d)), []
    hook = first.register_forward_hook(lambda *_: passes.append(1))
    fresh = explorer.explain(unet, PHOTO, region=(10, 10, 60, 60))
    assert len(passes) == fresh.passes == 1
    again = heat_of_region(seen, region=(10, 10, 60, 60))
    assert len(passes) == 2 and again.passes == 1 and torch.equal(again.raw, fresh.raw)
    for stage in ("up0", "up3", "layer1"):
        assert explorer.explain(unet, PHOTO, stage=stage).raw.shape == seen.stages[stage].shape[1:]
    hook.remove()


# --- whatever state the network is in -----------------------------------------------------------------------


def test_frozen_in_training_and_without_gradients_it_is_the_same(retinanet, unet):
    for model in (copy.deepcopy(retinanet), copy.deepcopy(unet)):
        wanted = explorer.explain(model, PHOTO).raw
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        model.train()
        flags = [part.training for part in model.modules()]
        with torch.no_grad():
            assert torch.allclose(explorer.explain(model, PHOTO).raw, wanted, atol=1e-6)
        with torch.inference_mode():
            assert torch.allclose(explorer.explain(model, PHOTO).raw, wanted, atol=1e-6)
            seen = explorer.look(model, PHOTO)
        assert torch.allclose(explorer.explain(model, look=seen).raw, wanted, atol=1e-6)
        assert [part.training for part in model.modules()] == flags
        assert all(p.grad is None and not p.requires_grad for p in model.parameters())


def test_in_half_the_precision(retinanet, unet):
    for model in (retinanet, unet):
        half = explorer.explain(copy.deepcopy(model).bfloat16(), PHOTO)
        assert half.raw.dtype == half.heatmap.dtype == torch.float32 and torch.isfinite(half.raw).all()


def test_a_look_by_a_model_that_changed_since_is_not_believed(unet):
    model = copy.deepcopy(unet)
    seen = explorer.look(model, PHOTO)
    with torch.no_grad():
        model.segmentation_head[0].bias += torch.tensor([-50.0, 50, 0])
    assert heat_of_region(seen).label == NAMES[1]
    del model
    gc.collect()
    with pytest.raises(ValueError, match="look at the photo again"):
        heat_of_region(seen)


# --- what is said -------------------------------------------------------------------------------------------


def test_it_shows_itself_with_what_was_asked(retinanet, unet, tmp_path):
    box = explorer.explain(retinanet, PHOTO)
    assert f"score {box.probability:.2f} of {box.label!r} in the box (" in box.caption
    assert box.stage in box.caption
    region = explorer.explain(unet, PHOTO, target=1, region=(10, 10, 60, 60))
    assert "in the box (10, 10, 60, 60)" in region.caption
    for heat in (box, region, explorer.explain(unet, PHOTO), explorer.explain(unet, PHOTO, region=(3, 3))):
        page = heat._repr_html_()
        parse(page)
        assert "<b>bee</b>" not in page and "<img" in page and heat.caption in repr(heat).replace("\\'", "'")
        assert heat.overlay().size == PHOTO.size
        assert heat.overlay().tobytes() != heat.overlay(outline=False).tobytes()
        assert Image.open(heat.save(tmp_path / "heat.png")).size == PHOTO.size
        assert heat.plot().axes


@pytest.mark.parametrize(("asked", "said"), [
    ({"box": 999}, "box is 999, and .* found above a score of 0.3"),
    ({"score_threshold": 1.0}, "Nothing is found in this photo above a score of 1"),
    ({"target": "dog"}, "None of the 3 classes"),
    ({"region": (1, 2, 3, 4)}, "region is for networks that find masks"),
    ({"method": "attention"}, "Attention knows of no boxes"),
    ({"method": "rollout"}, "knows of no boxes"),
    ({"stage": "layer9"}, "has no stage 'layer9'"),
    ({"stage": "p7", "box": 0}, "does not depend on the map of 'p7'"),
    ({"box": -1}, "box is -1"), ({"box": "first"}, "box is 'first'"),
])
def test_what_no_box_can_be_asked_is_said_in_a_sentence(retinanet, asked, said):
    with pytest.raises((ValueError, TypeError), match=said):
        explorer.explain(retinanet, PHOTO, **asked)


@pytest.mark.parametrize(("region", "said"), [
    ((200, 10, 300, 40), "holds nothing of this photo of 120 x 90"), ((30, 10, 20, 40), "holds nothing"),
    ((1, 2, 3), "expected .left, top, right, bottom"), ("all", "region is 'all'"),
    ((float("nan"), 2), "finite"), ({}, "region is {}"), (np.ones((2, 3, 4)), "expected"),
    (np.zeros((90, 120)), "without a pixel"), (np.ones((9, 12)), "mask of 12 x 9"),
    ((-1, 5), "holds nothing"),
])
def test_what_is_no_region_is_said_in_a_sentence(unet, region, said):
    with pytest.raises((ValueError, TypeError), match=said):
        explorer.explain(unet, PHOTO, region=region)


def test_classifiers_have_no_boxes_and_no_regions():
    model = explorer.create_model("resnet18", num_classes=3).eval()
    for asked in ({"box": 0}, {"region": (1, 1, 2, 2)}, {"score_threshold": 0.5}):
        with pytest.raises(ValueError, match="is for networks that find"):
            explorer.explain(model, PHOTO, **asked)
